//! `warren profile`.

mod jobs;

use std::fs;

use serde_json::Value;
use warren_testkit::{Test, run, scratch, tests, warren};

/// All of this command's tests, by file.
pub const TESTS: [&[Test]; 2] = [OWN, jobs::TESTS];

const OWN: &[Test] = tests! {
    Both:
        ls_has_the_shipped_ones_and_the_users,
        ls_tells_of_a_broken_one_and_goes_on,
        what_show_prints_is_a_profile_that_says_the_same,
        show_says_what_a_run_does,
        every_shipped_profile_is_good_here,
        check_finds_what_is_wrong_and_what_cannot_be_held,
        check_names_a_profile_that_its_command_could_change,
        json_has_a_version_and_the_same_facts;
};

const NAMES: [&str; 5] = ["agent", "build", "client", "install", "offline"];

fn profiles(words: &[&str]) -> std::process::Command {
    let mut command = warren(["profile"]);
    let project = scratch().join("project");
    fs::create_dir_all(&project).expect("make a folder");
    command
        .args(words)
        .env("HOME", scratch().join("home"))
        .current_dir(project);
    command
}

fn own(name: &str, text: &str) {
    let folder = scratch().join("home/.config/warren/profiles");
    fs::create_dir_all(&folder).expect("make a folder");
    fs::write(folder.join(name), text).expect("write a profile");
}

fn file(name: &str, text: &str) -> String {
    let file = scratch().join(name);
    fs::write(&file, format!("version = 1\n{text}")).expect("write a profile");
    file.display().to_string()
}

fn ls_has_the_shipped_ones_and_the_users() {
    own("mine.toml", "version = 1\nabout = 'mine \\u001b[31m'\n");
    own("build.toml", "version = 1\n");
    own("note.txt", "no profile");
    let output = run(&mut profiles(&["ls"]));
    let lines: Vec<Vec<&str>> = output
        .succeeds()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let names: Vec<&str> = lines.iter().skip(1).map(|line| line[0]).collect();
    output.expect(
        "all by name",
        names
            == [
                "agent", "build", "build", "client", "install", "mine", "offline",
            ],
    );
    output.expect(
        "the user's first",
        lines[2][1].ends_with("profiles/build.toml"),
    );
    output.expect("then the shipped", lines[3][1] == "shipped");
    output
        .has("(the one above counts)")
        .lacks("\u{1b}")
        .lacks("note");
}

fn ls_tells_of_a_broken_one_and_goes_on() {
    own("broken.toml", "version = 1\nwhat = 2\n");
    run(&mut profiles(&["ls"]))
        .has("line 2, what: unknown key 'what'")
        .has("offline");
}

fn what_show_prints_is_a_profile_that_says_the_same() {
    for name in NAMES {
        let shown = run(&mut profiles(&["show", name]));
        let copy = scratch().join("copy.toml");
        fs::write(&copy, shown.succeeds()).expect("write a copy");
        let again = run(&mut profiles(&["show", &copy.display().to_string()]));
        let same = shown
            .stdout
            .lines()
            .skip(1)
            .eq(again.succeeds().lines().skip(1));
        again.expect("the same but for the first line", same);
    }
}

fn show_says_what_a_run_does() {
    let project = scratch().join("project");
    let output = run(&mut profiles(&["show", "install"]));
    output.succeeds();
    output.has("# build, then install\n");
    let project = project.display();
    output.has(&format!("bind {project} at {project}, writable"));
    output.has("execute true");
    let missing = file("m.toml", "files.read = ['/nonexistent']");
    run(&mut profiles(&["show", &missing]))
        .has("# A run with it is refused here: ")
        .exits(0);
}

fn every_shipped_profile_is_good_here() {
    for name in NAMES {
        run(&mut profiles(&["check", name])).has(&format!("{name}: good"));
    }
}

fn check_finds_what_is_wrong_and_what_cannot_be_held() {
    let cases = [
        ("files.raed = []", 1, "error: read the profile "),
        (
            "files.read = ['/nonexistent']",
            0,
            "warning: files.read: /nonexistent is not there",
        ),
        ("files.read = ['?/nonexistent']", 0, ": good"),
        (
            "limits.open-files = '99999999'",
            0,
            "warning: limits.open-files: the caller's own",
        ),
        (
            "network.connect = ['a.example:443']",
            0,
            "warning: network.connect: of a.example:443",
        ),
        (
            "syscalls.default = 'deny'",
            1,
            "error: syscalls: execve is refused",
        ),
        (
            "syscalls.default = 'deny'\nsyscalls.allow = ['execve']",
            0,
            ": good",
        ),
        (
            "landlock = false\nrequire = ['landlock']",
            1,
            "error: read the profile, landlock: ",
        ),
        (
            "files.write = ['$XDG_RUNTIME_DIR']",
            1,
            "$XDG_RUNTIME_DIR has no value here",
        ),
        ("process.hostname = ''", 1, "error: "),
    ];
    for (text, code, expected) in cases {
        let file = file("own.toml", text);
        run(&mut profiles(&["check", &file]))
            .exits(code)
            .has(expected);
    }
    run(&mut profiles(&["check", "nosuch"]))
        .exits(1)
        .has("there is no profile");
}

fn check_names_a_profile_that_its_command_could_change() {
    let project = scratch().join("project");
    fs::create_dir_all(&project).expect("make a folder");
    let own = project.join("own.toml");
    fs::write(&own, "version = 1\nfiles.write = ['$PROJECT']\n")
        .expect("write a profile");
    run(&mut profiles(&["check", "./own.toml"]))
        .exits(0)
        .has(&format!("the command can change {} itself", own.display()));
    let text =
        "version = 1\nfiles.write = ['$PROJECT']\nfiles.read = ['$PROJECT/own.toml']\n";
    fs::write(&own, text).expect("write a profile");
    run(&mut profiles(&["check", "./own.toml"])).lacks("itself");
}

fn json_has_a_version_and_the_same_facts() {
    let json = |words: &[&str]| {
        let output = run(&mut profiles(words));
        let json: Value = serde_json::from_str(&output.stdout).expect("parse the JSON");
        output.expect("a version", json["version"] == 1);
        json
    };
    let list = json(&["ls", "--json"]);
    let names = list["profiles"].as_array().expect("a list");
    assert!(names.iter().any(|item| item["name"] == "agent"), "{list}");
    let shown = json(&["show", "--json", "offline"]);
    assert_eq!(shown["profile"]["network"]["mode"], "none");
    assert_eq!(shown["files"][0], "offline");
    assert!(
        shown["plan"]
            .as_array()
            .is_some_and(|plan| !plan.is_empty())
    );
    let file = file("own.toml", "x = 1");
    let checked = json(&["check", "--json", &file]);
    assert_eq!(checked["ok"], false);
    assert_eq!(checked["problems"][0]["level"], "error");
}
