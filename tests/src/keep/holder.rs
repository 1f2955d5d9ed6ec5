//! The process that keeps what only a process can keep.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use warren_testkit::{Test, eventually, program, run, tests};

use super::{Name, told};

pub const TESTS: &[Test] = tests! {
    Both:
        the_holder_has_nothing_of_the_callers,
        the_holder_leaves_the_session_and_the_terminal,
        the_holder_is_smaller_than_300_kib,
        a_holder_that_was_killed_is_told_of_and_cleared_away,
        a_holder_ends_when_it_is_told_to,
        the_holder_reaps_what_is_orphaned;
};

fn status(pid: i32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find(|line| line.starts_with(key));
    let line = line.expect("a field of status");
    line.split_once(':').expect("a colon").1.trim().to_owned()
}

fn kill(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a pid");
    kill_process(pid, signal).expect("it lives");
}

fn the_holder_has_nothing_of_the_callers() {
    let name = Name::new("burrow");
    let mut keep = told(&["keep", &name.0]);
    run(keep.env("SECRET", "burrow-of-foxes")).says("");
    let pid = name.holder();
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    assert!(environment.iter().all(|byte| *byte == 0));
    let words = fs::read(format!("/proc/{pid}/cmdline")).expect("its arguments");
    let words = String::from_utf8_lossy(&words);
    assert_eq!(words.trim_end_matches('\0'), "warren-keep");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    assert_eq!(open.count(), 0);
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("its folder");
    assert_eq!(cwd.to_str(), Some("/"));
    name.remove();
}

fn the_holder_leaves_the_session_and_the_terminal() {
    let name = Name::kept("burrow", &[]);
    let pid = name.holder();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    // Group, session and terminal follow the state and the parent.
    let fields: Vec<&str> = fields.split(' ').skip(2).take(3).collect();
    let pid = pid.to_string();
    assert_eq!(fields, [&pid, &pid, "0"]);
    name.remove();
}

fn the_holder_is_smaller_than_300_kib() {
    let name = Name::kept("burrow", &[]);
    let size = status(name.holder(), "RssAnon");
    let kib: u32 = size.trim_end_matches(" kB").parse().expect("a size");
    assert!(kib < 300, "{size}");
    name.remove();
}

fn a_holder_that_was_killed_is_told_of_and_cleared_away() {
    let name = Name::kept("burrow", &[]);
    kill(name.holder(), Signal::KILL);
    eventually("it is lost", || name.state().as_deref() == Some("lost"));
    run(&mut told(&["enter", &name.0, "--", "true"])).is_refused("has ended");
    name.remove();
    assert_eq!(name.listed(), None);
}

fn a_holder_ends_when_it_is_told_to() {
    let name = Name::kept("burrow", &[]);
    kill(name.holder(), Signal::HUP);
    kill(name.holder(), Signal::INT);
    assert_eq!(name.state().as_deref(), Some("kept"));
    kill(name.holder(), Signal::TERM);
    eventually("it is lost", || name.state().as_deref() == Some("lost"));
    name.remove();
}

fn the_holder_reaps_what_is_orphaned() {
    let name = Name::kept("burrow", &[]);
    // The subshell ends at once; what it started becomes the init's.
    let script = "(sleep 0.2 &) ; sleep 1; ps -e -o stat=,comm= | grep -c '^Z' || true";
    run(&mut told(&["enter", &name.0, "--", "sh", "-c", script])).says("0");
    let mut ps = program("ps");
    let pid = name.holder().to_string();
    run(ps.args(["-o", "comm=", "--ppid", &pid])).exits(1);
    name.remove();
}
