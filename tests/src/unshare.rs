//! `warren unshare`: a command in new namespaces of the kinds named, and nothing else.

use std::fs;

use warren_testkit::{Output, Test, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_named_kinds_are_new_and_no_other_as_with_util_linux,
        the_exit_code_is_the_commands,
        a_plan_makes_nothing;
};

const SCRIPT: &str = "readlink /proc/self/ns/user /proc/self/ns/uts /proc/self/ns/net";

fn is_new(output: &Output) -> Vec<bool> {
    let kinds = ["user", "uts", "net"].iter();
    let own = kinds.map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")));
    let own = own.map(|link| {
        link.expect("read own namespace")
            .to_string_lossy()
            .into_owned()
    });
    output
        .succeeds()
        .lines()
        .zip(own)
        .map(|(inside, own)| inside != own)
        .collect()
}

fn the_named_kinds_are_new_and_no_other_as_with_util_linux() {
    let words = ["--user", "--uts", "--", "sh", "-c", SCRIPT];
    let ours = run(warren(["unshare"]).args(words));
    let theirs = run(program("unshare").args(words));
    assert_eq!(is_new(&theirs), [true, true, false], "{theirs}");
    assert_eq!(is_new(&ours), [true, true, false], "{ours}");
}

fn the_exit_code_is_the_commands() {
    run(&mut warren([
        "unshare", "--user", "--", "sh", "-c", "exit 7",
    ]))
    .exits(7);
    run(&mut warren(["unshare", "--user", "--", "no-such-command"])).exits(127);
}

fn a_plan_makes_nothing() {
    let made = warren_testkit::scratch().join("made");
    let path = made.display().to_string();
    run(&mut warren([
        "unshare", "--user", "--plan", "--", "touch", &path,
    ]))
    .succeeds();
    assert!(!made.exists());
}
