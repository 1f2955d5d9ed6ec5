//! `warren run --learn`: a profile lets exactly that run again, and nothing more.

use std::fs;
use std::path::PathBuf;

use warren_testkit::{Output, Test, program, run, scratch, tests, warren};

use crate::run::audit::follow_advice;

pub const TESTS: &[Test] = tests! {
    Both:
        a_compiler_runs_again_by_what_was_learned,
        a_build_runs_again_by_what_was_learned,
        a_clone_runs_again_by_what_was_learned,
        a_server_and_its_client_run_again_by_what_was_learned,
        what_was_not_learned_is_refused_until_the_option_that_is_named_is_given,
        another_run_adds_to_what_was_learned,
        what_is_no_profile_is_left_alone,
        files_of_the_home_stay_single_files,
        a_link_on_the_way_is_learned_with_its_target,
        calls_of_chance_are_always_among_those_learned;
};

/// A project of the host, with a profile beside it.
struct Project {
    folder: PathBuf,
    profile: String,
}

impl Project {
    fn new() -> Self {
        let folder = scratch().join("project");
        fs::create_dir(&folder).expect("make a folder");
        let profile = scratch().join("learned.toml").display().to_string();
        Self { folder, profile }
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        let parent = path.parent().expect("a folder");
        fs::create_dir_all(parent).expect("make a folder");
        fs::write(path, text).expect("write a file");
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Learns from a command in the project.
    #[track_caller]
    fn learn(&self, command: &[&str]) -> Output {
        let mut line = warren(["run", "--here", "--map", "single", "--audit", "--learn"]);
        line.arg(&self.profile).arg("--").args(command);
        run(line.current_dir(&self.folder))
    }

    /// Runs a command with what was learned, from somewhere else. Nothing is refused but
    /// what was when it was learned.
    #[track_caller]
    fn again(&self, command: &[&str], learned: &Output) -> Output {
        let mut line = warren(["run", "--audit", "--profile", &self.profile, "--"]);
        let output = run(line.args(command));
        let known = refused(learned);
        let new: Vec<_> = refused(&output)
            .into_iter()
            .filter(|action| !known.contains(action))
            .collect();
        output.expect(&format!("no refusal, not {new:?}"), new.is_empty());
        output
    }

    fn learned(&self) -> String {
        fs::read_to_string(&self.profile).expect("read the profile")
    }

    /// Expects that a script is refused under the profile, and works when the options are
    /// added that are named.
    #[track_caller]
    fn is_kept_from(&self, script: &str, refusal: &str) -> Output {
        let command = ["python3", "-c", script];
        let mut line = warren(["run", "--audit", "--profile", &self.profile, "--"]);
        let output = run(line.args(command));
        output.expect("a failure", output.code() != 0);
        output.complains(refusal);
        follow_advice(&["--profile", &self.profile], &command)
    }
}

/// What an audit says was refused, without reasons.
fn refused(output: &Output) -> Vec<&str> {
    let lines = output.stderr.lines();
    let actions = lines.filter_map(|line| line.strip_prefix("refused: "));
    actions
        .map(|action| action.split_once(": ").map_or(action, |(what, _)| what))
        .collect()
}

/// A file that nobody has been given.
fn secret() -> String {
    let folder = scratch().join("home/.ssh");
    fs::create_dir_all(&folder).expect("make folders");
    let key = folder.join("id");
    fs::write(&key, "secret\n").expect("write a file");
    key.display().to_string()
}

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";

fn a_compiler_runs_again_by_what_was_learned() {
    let project = Project::new();
    project.file("src/a.c", HELLO);
    let command = ["gcc", "-o", "a", "src/a.c"];
    let learned = project.learn(&command);
    learned.exits(0);
    fs::remove_file(project.folder.join("a")).expect("remove what was built");
    project.again(&command, &learned).exits(0);
    run(&mut program(project.at("a"))).says("hello");
}

fn a_build_runs_again_by_what_was_learned() {
    let project = Project::new();
    let manifest =
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    project.file("Cargo.toml", manifest);
    project.file("src/main.rs", "fn main() { println!(\"built\"); }\n");
    let command = ["/usr/bin/cargo", "build", "--offline", "--quiet"];
    let learned = project.learn(&command);
    learned.exits(0);
    fs::remove_dir_all(project.folder.join("target")).expect("remove what was built");
    project.again(&command, &learned).exits(0);
    run(&mut program(project.at("target/debug/small"))).says("built");
}

fn a_clone_runs_again_by_what_was_learned() {
    let project = Project::new();
    project.file("repository/file", "content\n");
    let git = "git -c init.defaultBranch=main -C repository";
    let script = format!(
        "{git} init -q && {git} add file && \
         {git} -c user.name=a -c user.email=a@example.org commit -qm one"
    );
    let mut commit = program("sh");
    run(commit.args(["-c", &script]).current_dir(&project.folder)).exits(0);
    let command = ["git", "clone", "-q", "repository", "copy"];
    let learned = project.learn(&command);
    learned.exits(0);
    fs::remove_dir_all(project.folder.join("copy")).expect("remove the copy");
    project.again(&command, &learned).exits(0);
    let copied = fs::read_to_string(project.folder.join("copy/file"));
    assert_eq!(copied.expect("a copied file"), "content\n");
}

/// A web server on loopback, and who asks it, until it answers.
const SERVE: &str = "
import http.server, threading, urllib.request
handler = http.server.SimpleHTTPRequestHandler
server = http.server.ThreadingHTTPServer(('127.0.0.1', 8123), handler)
threading.Thread(target=server.serve_forever).start()
print(urllib.request.urlopen('http://127.0.0.1:8123/page').read().decode(), end='')
server.shutdown()
";

/// The same by the module's own command line.
const SERVE_BY_MODULE: &str = "
python3 -m http.server --bind 127.0.0.1 8123 >/dev/null 2>&1 & server=$!
until python3 -c 'import urllib.request
print(urllib.request.urlopen(\"http://127.0.0.1:8123/page\").read().decode())' 2>/dev/null
do sleep 0.1; done
kill $server
";

fn a_server_and_its_client_run_again_by_what_was_learned() {
    for script in [
        ["python3", "-c", SERVE].as_slice(),
        &["sh", "-c", SERVE_BY_MODULE],
    ] {
        let project = Project::new();
        project.file("page", "a page");
        let learned = project.learn(script);
        learned.says("a page");
        project.again(script, &learned).says("a page");
        let learned = project.learned();
        assert!(learned.contains("bind = [8123]"), "{learned}");
        assert!(learned.contains("connect = [8123]"), "{learned}");
        fs::remove_dir_all(&project.folder).expect("our own folder");
        fs::remove_file(&project.profile).expect("our own file");
    }
}

fn what_was_not_learned_is_refused_until_the_option_that_is_named_is_given() {
    let project = Project::new();
    project.file("page", "a page");
    let command = ["python3", "-c", SERVE];
    let learned = project.learn(&command);
    learned.says("a page");
    let key = secret();
    let output = project.is_kept_from(
        &format!("print(open('{key}').read())"),
        &format!("refused: open {key} to read: not shown (--ro-bind {key} {key})"),
    );
    output.has("secret");
    let other = scratch().join("other");
    fs::create_dir(&other).expect("make a folder");
    let other = other.display().to_string();
    project.is_kept_from(
        &format!("open('{other}/new', 'w')"),
        &format!(
            "refused: open {other}/new to create: not shown (--bind {other} {other})"
        ),
    );
    assert!(scratch().join("other/new").exists());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    project.is_kept_from(
        &format!("import socket; socket.create_connection(('127.0.0.1', {port}))"),
        &format!(
            "refused: connect 127.0.0.1:{port}: no port of this run \
             (--share net --connect-port {port})"
        ),
    );
    // What was learned goes on to work.
    project.again(&command, &learned).says("a page");
}

fn another_run_adds_to_what_was_learned() {
    let project = Project::new();
    project.file("one", "1\n");
    project.file("two", "2\n");
    let learned = project.learn(&["cat", "one"]);
    learned.says("1");
    let first = project.learned();
    assert!(!first.contains(&project.at("two")), "{first}");
    project.learn(&["cat", "two"]).says("2");
    let both = project.learned();
    for name in ["one", "two"] {
        assert!(both.contains(&project.at(name)), "{both}");
        project.again(&["cat", name], &learned).exits(0);
    }
    // Nothing new: the same again.
    project.learn(&["cat", "one"]).says("1");
    assert_eq!(project.learned(), both);
}

fn what_is_no_profile_is_left_alone() {
    let project = Project::new();
    fs::write(&project.profile, "verson = 1\n").expect("write a file");
    project.learn(&["echo", "ran"]).exits(125).lacks("ran");
    assert_eq!(project.learned(), "verson = 1\n");
}

fn files_of_the_home_stay_single_files() {
    let home = scratch().join("home");
    fs::create_dir(&home).expect("make a folder");
    let files =
        ["a", "b", "c", "d", "e"].map(|name| home.join(name).display().to_string());
    for file in &files {
        fs::write(file, "").expect("write a file");
    }
    let profile = scratch().join("learned.toml");
    let mut line = warren(["run", "--map", "single", "--bind"]);
    line.args([&home, &home]).arg("--learn").arg(&profile);
    line.args(["--", "cat"]).args(&files).env("HOME", &home);
    run(&mut line).exits(0);
    let learned = fs::read_to_string(&profile).expect("read the profile");
    for file in &files {
        assert!(learned.contains(&format!("{file:?}")), "{learned}");
    }
    assert!(!learned.contains(&format!("{:?}", home.display().to_string())));
}

fn a_link_on_the_way_is_learned_with_its_target() {
    let project = Project::new();
    let elsewhere = scratch().join("elsewhere");
    fs::create_dir(&elsewhere).expect("make a folder");
    fs::write(elsewhere.join("file"), "found\n").expect("write a file");
    let link = project.folder.join("link");
    std::os::unix::fs::symlink(&elsewhere, link).expect("make a symlink");
    let elsewhere = elsewhere.display().to_string();
    let mut line = warren(["run", "--here", "--map", "single", "--learn"]);
    line.arg(&project.profile);
    line.args([
        "--ro-bind",
        &elsewhere,
        &elsewhere,
        "--",
        "cat",
        "link/file",
    ]);
    let learned = run(line.current_dir(&project.folder));
    learned.says("found");
    project.again(&["cat", "link/file"], &learned).says("found");
}

fn calls_of_chance_are_always_among_those_learned() {
    let project = Project::new();
    project.learn(&["true"]).exits(0);
    let learned = project.learned();
    for call in ["futex", "rt_sigreturn", "restart_syscall"] {
        assert!(learned.contains(&format!("\"{call}\"")), "{learned}");
    }
    assert!(!learned.contains("\"mkdir\""), "{learned}");
}
