//! What `--hide` hides, and what it leaves alone.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use warren_testkit::{Output, Running, Test, run, scratch, tests, warren};

use super::shell;

pub const TESTS: &[Test] = tests! {
    Both:
        hidden_contents_are_reached_by_no_name,
        an_exception_spares_what_it_matches,
        a_hidden_folder_is_empty,
        a_hidden_name_is_hidden_in_every_bind_of_its_tree,
        another_hard_link_of_a_hidden_file_is_hidden_too,
        a_hidden_file_cannot_be_moved_or_replaced,
        a_pattern_with_a_slash_is_about_a_path,
        a_path_inside_is_hidden_wherever_it_comes_from,
        what_a_later_mount_shows_there_is_not_hidden,
        a_file_that_the_command_makes_is_its_own,
        what_is_not_there_is_not_made,
        a_run_killed_at_any_moment_leaves_the_tree_as_it_was;
};

/// A project: `.env`, `sub/.env`, `example.env`, `keys/a.pem`, `file`.
fn project() -> PathBuf {
    let tree = scratch().join("project");
    for folder in ["", "sub", "keys"] {
        let path = tree.join(folder);
        fs::DirBuilder::new()
            .mode(0o777)
            .create(&path)
            .expect("a new folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("its mode");
    }
    for (name, text) in [
        (".env", "SECRET=1\n"),
        ("sub/.env", "SECRET=2\n"),
        ("sub/example.env", "EXAMPLE\n"),
        ("keys/a.pem", "SECRET key\n"),
        ("file", "public\n"),
    ] {
        fs::write(tree.join(name), text).expect("a file");
    }
    tree
}

/// What a script says in the project, shown at /srv/p.
#[track_caller]
fn with_hidden(tree: &Path, hide: &[&str], script: &str) -> Output {
    let tree = tree.display().to_string();
    let mut options = vec!["--bind", &tree, "/srv/p", "--workdir", "/srv/p"];
    options.extend(hide.iter().flat_map(|pattern| ["--hide", pattern]));
    run(&mut shell(&options, script))
}

fn hidden_contents_are_reached_by_no_name() {
    let tree = project();
    let script = "cat file; \
        cat .env; cat sub/.env; cat ./sub/../.env; \
        ln -s .env link; cat link; \
        ln .env hard; cat hard; \
        exec 3<.env; cat <&3; cat /proc/self/fd/3; \
        cp .env copy; cat copy; \
        cd sub; cat .env; cat ../.env; cat /proc/self/cwd/.env; cat /proc/1/root/srv/p/.env; \
        head -c 10 < .env; grep -r SECRET /srv/p; \
        python3 -c 'print(open(\".env\").read())'; true";
    let output = with_hidden(&tree, &["**/.env", "*.pem"], script);
    output.has("public");
    output.lacks("SECRET");
    output.complains("cat: .env: Permission denied");
}

fn an_exception_spares_what_it_matches() {
    let tree = project();
    let hide = ["*.env", "!example.env"];
    let output =
        with_hidden(&tree, &hide, "cat sub/example.env; cat sub/.env .env; true");
    output.says("EXAMPLE");
    // The last that matches decides.
    let hide = ["!example.env", "*.env"];
    with_hidden(&tree, &hide, "cat sub/example.env; true").says("");
}

fn a_hidden_folder_is_empty() {
    let tree = project();
    let script = "ls keys; cat keys/a.pem; touch keys/x; true";
    let output = with_hidden(&tree, &["keys"], script);
    output.says("").complains("keys/a.pem: No such file");
}

fn a_hidden_name_is_hidden_in_every_bind_of_its_tree() {
    let tree = project().display().to_string();
    let parent = scratch().display().to_string();
    let sub = format!("{tree}/sub");
    let options = [
        "--ro-bind",
        &tree,
        "/srv/a",
        "--bind",
        &parent,
        "/srv/b",
        "--overlay",
        &tree,
        "/srv/c",
        "--ro-bind",
        &sub,
        "/srv/d",
        "--hide",
        ".env",
    ];
    let script = "cat /srv/a/.env /srv/b/project/.env /srv/c/.env /srv/d/.env; \
                  cat /srv/c/file; true";
    run(&mut shell(&options, script)).says("public");
}

fn another_hard_link_of_a_hidden_file_is_hidden_too() {
    let tree = project();
    fs::hard_link(tree.join(".env"), tree.join("sub/innocent")).expect("a hard link");
    let output = with_hidden(&tree, &[".env"], "cat sub/innocent; cat file; true");
    output.says("public");
}

fn a_hidden_file_cannot_be_moved_or_replaced() {
    let tree = project();
    let script = "mv .env moved; cat moved; rm -f .env; mv file .env; \
                  mv sub moved-sub && cat moved-sub/.env; ls -A | sort";
    let output = with_hidden(&tree, &[".env"], script);
    output.lacks("SECRET").has("moved-sub").has(".env");
    // The folder was moved on the host, since it may be written, with all that is in it.
    let kept = fs::read_to_string(tree.join("moved-sub/.env")).expect("the file");
    assert_eq!(kept, "SECRET=2\n");
}

fn a_pattern_with_a_slash_is_about_a_path() {
    let tree = project();
    with_hidden(&tree, &["sub/.env"], "cat .env; cat sub/.env; true").says("SECRET=1");
    with_hidden(&tree, &["keys/*.pem"], "cat .env; cat keys/a.pem; true")
        .says("SECRET=1");
}

fn a_path_inside_is_hidden_wherever_it_comes_from() {
    let tree = project();
    let hide = ["/srv/p/keys", "/etc/passwd", "/usr/share/d*"];
    let script = "cat keys/a.pem /etc/passwd; ls /usr/share/doc; cat file; true";
    with_hidden(&tree, &hide, script).says("public");
}

fn what_a_later_mount_shows_there_is_not_hidden() {
    let tree = project().display().to_string();
    let example = format!("{tree}/sub/example.env");
    let options = [
        "--bind",
        &tree,
        "/srv/p",
        "--ro-bind",
        &example,
        "/srv/p/.env",
        "--hide",
        ".env",
    ];
    let script = "cat /srv/p/.env; cat /srv/p/sub/.env; true";
    run(&mut shell(&options, script)).says("EXAMPLE");
}

fn a_file_that_the_command_makes_is_its_own() {
    let tree = project();
    fs::remove_file(tree.join(".env")).expect("the file");
    with_hidden(&tree, &[".env"], "echo own > .env; cat .env").says("own");
}

fn what_is_not_there_is_not_made() {
    let tree = project();
    let before = state(&tree);
    with_hidden(&tree, &["/srv/p/no/such", "nothing"], "cat file").says("public");
    assert_eq!(state(&tree), before);
}

/// Name, size, mode, times and text of everything in a tree.
fn state(tree: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let data = fs::symlink_metadata(&path).expect("a look");
            if data.is_dir() {
                folders.push(path.clone());
            }
            let text = fs::read(&path).unwrap_or_default();
            all.push(format!(
                "{} {} {:o} {} {} {text:?}",
                path.display(),
                data.size(),
                data.mode(),
                data.mtime_nsec(),
                data.nlink()
            ));
        }
    }
    all.sort();
    all
}

fn a_run_killed_at_any_moment_leaves_the_tree_as_it_was() {
    let tree = project();
    let before = state(&tree);
    let path = tree.display().to_string();
    for number in 0..40 {
        let mut command = warren(["run", "--bind", &path, "/srv/p", "--hide", "*.env"]);
        command.args(["--hide", "keys", "--hide", "new", "--", "sleep", "100"]);
        let running = Running::start(&mut command);
        std::thread::sleep(Duration::from_micros(250 * number));
        running.signal(rustix::process::Signal::KILL);
        running.ends();
        assert_eq!(
            state(&tree),
            before,
            "killed after {number} quarters of 1 ms"
        );
    }
}
