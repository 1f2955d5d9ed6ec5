//! `warren enter`: into namespaces that are there.

use std::fs;

use warren_testkit::{Running, Test, eventually, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_command_sees_the_targets_namespaces_as_with_nsenter,
        the_exit_code_is_the_commands,
        a_target_that_is_not_there_is_refused_by_name,
        a_plan_enters_nothing;
};

/// A run that waits, and the id on the host of its command.
fn target() -> (Running, String) {
    let mut command = warren(["run", "--hostname", "burrow", "--", "sh", "-c"]);
    let mut running = Running::start(command.arg("echo ready; sleep 1000; true"));
    assert_eq!(running.line(), "ready");
    let supervisor = running.pid().as_raw_nonzero().to_string();
    let mut pid = String::new();
    eventually("the command below init", || {
        pid = children(&children(&supervisor));
        !pid.is_empty()
    });
    (running, pid)
}

fn children(pid: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default()
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn a_command_sees_the_targets_namespaces_as_with_nsenter() {
    let (_running, pid) = target();
    run(&mut warren(["enter", &pid, "--", "uname", "-n"])).says("burrow");
    let mut nsenter = program("nsenter");
    nsenter.args([
        "--user",
        "--uts",
        "--preserve-credentials",
        "--target",
        &pid,
    ]);
    run(nsenter.args(["uname", "-n"])).says("burrow");
}

fn the_exit_code_is_the_commands() {
    let (_running, pid) = target();
    run(&mut warren(["enter", &pid, "--", "sh", "-c", "exit 7"])).exits(7);
    run(&mut warren(["enter", &pid, "--", "no-such-command"])).exits(127);
}

fn a_target_that_is_not_there_is_refused_by_name() {
    // Above any pid_max.
    run(&mut warren(["enter", "99999999", "--", "true"])).is_refused("99999999");
}

fn a_plan_enters_nothing() {
    let (_running, pid) = target();
    let made = warren_testkit::scratch().join("made");
    let path = made.display().to_string();
    run(&mut warren(["enter", "--plan", &pid, "--", "touch", &path])).succeeds();
    assert!(!made.exists());
}
