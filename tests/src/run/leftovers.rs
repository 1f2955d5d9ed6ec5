//! Nothing outlives a run. That mounts, links, cgroups, files and processes are as before
//! is checked by the harness around every test; here are the ways to end.

use rustix::process::Signal;
use warren_testkit::{Running, Test, program, run, staged, tests, warren};

use super::{inside_with, shell};

pub const TESTS: &[Test] = tests! {
    Both:
        nothing_is_left_after_success,
        nothing_is_left_after_a_failed_exec,
        nothing_is_left_of_processes_that_outlive_the_command,
        a_terminating_signal_reaches_the_command,
        a_command_may_handle_the_signal_and_choose_its_code,
        a_signal_at_the_first_moment_reaches_the_command,
        a_caller_that_ignores_its_childrens_ends_is_told_of_this_one,
        killing_the_supervisor_ends_everything_inside,
        a_failing_mount_leaves_nothing;
    Root:
        an_overlay_leaves_nothing_when_the_supervisor_is_killed;
};

fn nothing_is_left_after_success() {
    inside_with(&[], "true").succeeds();
    inside_with(&["--host-root"], "true").succeeds();
    inside_with(&["--host-root=overlay"], "true").succeeds();
}

fn nothing_is_left_after_a_failed_exec() {
    run(&mut warren(["run", "--", "no-such-command"])).exits(127);
}

fn nothing_is_left_of_processes_that_outlive_the_command() {
    inside_with(
        &[],
        "setsid sleep 1000 >/dev/null 2>&1 & (sleep 1000 >/dev/null 2>&1 &)",
    )
    .exits(0);
}

fn a_terminating_signal_reaches_the_command() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        // The shell waits for sleep in the foreground; both must die, though only the
        // shell is told.
        let mut running = Running::start(&mut shell(&[], "echo ready; exec sleep 1000"));
        assert_eq!(running.line(), "ready");
        running.signal(signal);
        assert_eq!(running.ends(), code, "after {signal:?}");
    }
}

fn a_command_may_handle_the_signal_and_choose_its_code() {
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = Running::start(&mut shell(&[], script));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::TERM);
    assert_eq!(running.ends(), 9);
}

fn a_signal_at_the_first_moment_reaches_the_command() {
    for _ in 0..20 {
        let script = "trap 'exit 9' TERM; echo ready; sleep 5 & wait; exit 8";
        let mut running = Running::start(&mut shell(&[], script));
        assert_eq!(running.line(), "ready");
        running.signal(Signal::TERM);
        assert_eq!(running.ends(), 9);
    }
}

fn a_caller_that_ignores_its_childrens_ends_is_told_of_this_one() {
    let mut perl = program("perl");
    perl.args(["-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV"]);
    perl.arg(staged("warren"));
    perl.args(["run", "--", "sh", "-c", "sleep 0.1; exit 3"]);
    run(&mut perl).exits(3);
}

fn killing_the_supervisor_ends_everything_inside() {
    let script = "setsid sleep 1000 & sleep 1000 & echo ready; wait";
    let mut running = Running::start(&mut shell(&[], script));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::KILL);
    // End of file: nothing inside holds the pipe any more.
    assert_eq!(running.line_or_end(), None);
    assert_eq!(running.ends(), 137);
}

fn a_failing_mount_leaves_nothing() {
    run(&mut warren([
        "run",
        "--tmpfs",
        "/usr/no/such/folder",
        "--",
        "true",
    ]));
    run(&mut warren([
        "run",
        "--bind",
        "/etc",
        "/proc/1/no-such",
        "--",
        "true",
    ]))
    .exits(125);
}

fn an_overlay_leaves_nothing_when_the_supervisor_is_killed() {
    let script = "touch /usr/x; echo ready; sleep 1000";
    let mut running = Running::start(&mut shell(&["--host-root=overlay"], script));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::KILL);
    assert_eq!(running.ends(), 137);
}
