//! Control groups of a target: those that refuse who enters, and systemd's.

use std::fs;
use std::os::unix::process::CommandExt;

use warren_testkit::{ORDINARY_USER, Test, eventually, program, run, tests, warren};

use super::{Groups, Target, WAITS};

pub const TESTS: &[Test] = tests! {
    Root:
        groups_that_refuse_the_caller_are_left_out_or_a_failure;
    Machine:
        the_groups_of_threads_are_joined_by_a_whole_process,
        a_unit_of_systemd_is_entered_by_its_name;
};

/// An ordinary user's process in a user namespace of its own.
fn of_ordinary_user() -> Target {
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--uts", "sh", "-c", WAITS]);
    unshare.uid(ORDINARY_USER).gid(ORDINARY_USER);
    Target::start(&mut unshare, 0)
}

fn groups_of(pid: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    text.expect("it lives").trim_end().to_owned()
}

fn groups_that_refuse_the_caller_are_left_out_or_a_failure() {
    let groups = Groups::make(&format!("warren-test-{}", std::process::id()));
    let target = of_ordinary_user();
    groups.add(&target.pid);
    let print = ["--", "cat", "/proc/self/cgroup"];
    let words = |options: &[&str]| {
        let mut command = warren(["enter", &target.pid]);
        command.args(options).args(print);
        command
    };
    let ordinary =
        |options: &[&str]| run(words(options).uid(ORDINARY_USER).gid(ORDINARY_USER));
    let own = groups_of("self");
    ordinary(&[])
        .complains("cgroup.procs: Permission denied")
        .complains("hint: going on in the caller's control groups; --no-cgroup says so")
        .says(&own);
    ordinary(&["--no-cgroup"]).says(&own);
    ordinary(&["--cgroup"])
        .is_refused("cgroup.procs: Permission denied")
        .complains("hint: root may join them");
    // The way out.
    run(&mut words(&["--cgroup"])).says(&groups_of(&target.pid));
    drop(target);
}

/// Version 2 alone has groups of threads.
fn the_groups_of_threads_are_joined_by_a_whole_process() {
    let name = format!("warren-test-{}", std::process::id());
    let groups = Groups::make(&name);
    let folder = format!("/sys/fs/cgroup/{name}");
    let threads = Threads(format!("{folder}/threads"));
    let mut unshare = program("unshare");
    let target = Target::start(unshare.args(["--uts", "sh", "-c", WAITS]), 0);
    groups.add(&target.pid);
    fs::create_dir(&threads.0).expect("make a control group");
    fs::write(format!("{}/cgroup.type", threads.0), "threaded").expect("of threads");
    fs::write(format!("{}/cgroup.threads", threads.0), &target.pid).expect("moved");
    let theirs = groups_of(&target.pid);
    assert!(theirs.ends_with("/threads"), "{theirs}");
    target
        .enter(&["--cgroup", "--", "cat", "/proc/self/cgroup"])
        .says(&theirs);
    drop((target, threads));
}

struct Threads(String);

impl Drop for Threads {
    fn drop(&mut self) {
        eventually("an empty group", || fs::remove_dir(&self.0).is_ok());
    }
}

/// A service of systemd's, stopped when dropped.
struct Unit(String);

impl Unit {
    fn start() -> Self {
        let unit = Self(format!("warren-test-{}.service", std::process::id()));
        let mut systemd = program("systemd-run");
        systemd.args(["--quiet", "--collect", "--unit", &unit.0]);
        systemd.args([
            "--property=PrivateNetwork=yes",
            "--property=PrivateMounts=yes",
        ]);
        run(systemd.args(["sleep", "1000"])).succeeds();
        unit
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        run(program("systemctl").args(["stop", &self.0])).succeeds();
    }
}

fn a_unit_of_systemd_is_entered_by_its_name() {
    let unit = Unit::start();
    let mut show = program("systemctl");
    let shown = run(show.args(["show", "--property=MainPID", "--value", &unit.0]));
    let pid = shown.succeeds();
    // Its own namespaces come a moment after its process.
    let own = fs::read_link("/proc/self/ns/net").expect("one's own");
    eventually("the unit's namespaces", || {
        let link = fs::read_link(format!("/proc/{pid}/ns/net"));
        link.is_ok_and(|link| link != own)
            && fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name == "sleep\n")
    });
    let net = fs::read_link(format!("/proc/{pid}/ns/net")).expect("it lives");
    let entered = |words: &[&str]| run(warren(["enter", &unit.0, "--"]).args(words));
    entered(&["readlink", "/proc/self/ns/net"]).says(&net.display().to_string());
    entered(&["cat", "/proc/self/cgroup"]).says(&groups_of(pid));
    assert!(groups_of(pid).contains(&unit.0), "{}", groups_of(pid));
    run(&mut warren(["enter", &unit.0, "--check"])).exits(0);
    let bare = unit.0.trim_end_matches(".service");
    run(&mut warren(["enter", bare, "--check"])).exits(0);
    run(&mut warren(["ls"])).has(bare);
}
