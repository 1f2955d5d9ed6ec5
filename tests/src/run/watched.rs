//! A command that is watched runs as one that is not.

use std::fs;

use rustix::process::Signal;
use warren_testkit::{Output, Running, Test, Tmux, run, scratch, tests, warren};

use super::terminal::stop_a_job_and_take_it_up;
use super::{inside, inside_with, shell};

pub const TESTS: &[Test] = tests! {
    Both:
        codes_and_signals_are_the_commands,
        what_cannot_be_executed_fails_as_ever,
        a_thousand_short_processes_are_seen_to_their_end,
        a_tree_of_processes_ends_in_its_order,
        a_process_that_is_killed_inside_has_its_parent_told,
        a_stopped_process_stays_stopped_until_it_is_continued,
        an_exec_in_a_thread_becomes_the_process,
        a_child_of_vfork_is_seen,
        a_program_with_a_set_id_bit_runs,
        a_filter_that_kills_does_so,
        the_command_may_be_pid_1_itself,
        a_signal_reaches_the_command,
        control_z_stops_a_job_and_fg_takes_it_up,
        killing_the_supervisor_ends_everything,
        the_plan_tells_that_the_program_waits;
};

/// What a script says under watch.
#[track_caller]
fn watched(script: &str) -> Output {
    inside_with(&["--audit"], script)
}

#[track_caller]
fn python(options: &[&str], script: &str) -> Output {
    let mut command = warren(["run", "--audit"]);
    command
        .args(options)
        .args(["--", "/usr/bin/python3", "-c", script]);
    run(&mut command)
}

fn codes_and_signals_are_the_commands() {
    for end in [
        "exit 0",
        "exit 7",
        "exit 255",
        "kill -TERM $$",
        "kill -KILL $$",
    ] {
        let code = inside(end).code();
        watched(end).exits(code);
    }
}

fn what_cannot_be_executed_fails_as_ever() {
    run(&mut warren(["run", "--audit", "--", "no-such-command"]))
        .exits(127)
        .complains("no-such-command");
    run(&mut warren(["run", "--audit", "--", "/usr"])).exits(126);
    run(&mut warren([
        "run",
        "--audit",
        "--no-init",
        "--",
        "/no/such",
    ]))
    .exits(127);
}

fn a_thousand_short_processes_are_seen_to_their_end() {
    let script =
        "i=0; while [ $i -lt 1000 ]; do /bin/true || exit 1; i=$((i+1)); done; echo $i";
    watched(script).says("1000");
}

/// As make does: several at once, each of which starts others and waits for them.
fn a_tree_of_processes_ends_in_its_order() {
    let leaf = "sh -c 'exit $0' $b; echo $a$b$? >>/tmp/said";
    let branch = format!("for b in 1 2 3; do {leaf} & done; wait");
    let script = format!(
        "for a in 1 2 3; do ({branch}) & done; wait; sort /tmp/said | paste -sd ' '"
    );
    watched(&script).says("111 122 133 211 222 233 311 322 333");
}

fn a_process_that_is_killed_inside_has_its_parent_told() {
    watched("sleep 1000 & kill -KILL $!; wait $!; echo $?").says("137");
}

fn a_stopped_process_stays_stopped_until_it_is_continued() {
    let script = "
import os, signal
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    # Its end must not come before the word that it goes on.
    os.read(read, 1)
    os._exit(5)
_, status = os.waitpid(child, os.WUNTRACED)
print(os.WIFSTOPPED(status), os.WSTOPSIG(status) == signal.SIGSTOP)
print(os.waitpid(child, os.WNOHANG))
os.kill(child, signal.SIGCONT)
_, status = os.waitpid(child, os.WCONTINUED)
print(os.WIFCONTINUED(status))
os.write(write, b'x')
_, status = os.waitpid(child, 0)
print(os.WEXITSTATUS(status))
";
    python(&[], script).says("True True\n(0, 0)\nTrue\n5");
}

fn an_exec_in_a_thread_becomes_the_process() {
    let script = "
import os, threading, time
def become():
    os.execv('/bin/sh', ['sh', '-c', 'echo $$; exit 4'])
threading.Thread(target=become).start()
time.sleep(100)
";
    python(&[], script).exits(4).has("2\n");
}

fn a_child_of_vfork_is_seen() {
    let script = "
import subprocess
subprocess._USE_VFORK = True
print(subprocess.run(['sh', '-c', 'cat /no-such-file; exit 3']).returncode)
";
    python(&[], script).says("3");
}

/// It gains nothing by it, as in every run.
fn a_program_with_a_set_id_bit_runs() {
    watched("test -u /bin/mount && mount --version >/dev/null && echo ran").says("ran");
}

fn a_filter_that_kills_does_so() {
    let policy = scratch().join("policy");
    fs::write(&policy, "default allow\nkill uname\n").expect("write a policy");
    let policy = policy.display().to_string();
    inside_with(&["--audit", "--seccomp", &policy], "uname; echo $?")
        .says("159")
        .complains("refused: uname(2): system-call filter (--allow-call uname)");
}

fn the_command_may_be_pid_1_itself() {
    inside_with(
        &["--audit", "--no-init"],
        "echo $$; sh -c 'exit 4'; exit $?",
    )
    .exits(4)
    .has("1");
    inside_with(
        &["--audit", "--no-init"],
        "sleep 0.1 & wait; kill -KILL $$; exit 6",
    )
    .exits(6);
}

fn a_signal_reaches_the_command() {
    for _ in 0..5 {
        let script = "trap 'exit 9' TERM; echo ready; sleep 5 & wait; exit 8";
        let mut running = Running::start(&mut shell(&["--audit"], script));
        assert_eq!(running.line(), "ready");
        running.signal(Signal::TERM);
        assert_eq!(running.ends(), 9);
    }
}

fn control_z_stops_a_job_and_fg_takes_it_up() {
    let options = ["run", "--audit", "-t", "--env", "PS1=> ", "--", "sh", "-i"];
    let terminal = Tmux::start(&warren(options));
    terminal.shows(">");
    stop_a_job_and_take_it_up(&terminal);
    terminal.type_line("exit 3");
    terminal.shows("[exit 3]");
}

fn killing_the_supervisor_ends_everything() {
    let script = "setsid sleep 1000 & sleep 1000 & echo ready; wait";
    let mut running = Running::start(&mut shell(&["--audit"], script));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::KILL);
    // End of file: nothing inside holds the pipe any more.
    assert_eq!(running.line_or_end(), None);
    assert_eq!(running.ends(), 137);
}

fn the_plan_tells_that_the_program_waits() {
    run(&mut warren(["run", "--audit", "--plan", "--", "true"]))
        .has("payload  wait until it is watched");
    run(&mut warren(["run", "--plan", "--", "true"])).lacks("watched");
}
