//! Limits that cannot be had.

use std::os::unix::process::CommandExt;
use warren_testkit::{ORDINARY_USER, Test, run, tests, warren};

use super::{is_v2, limited, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        a_limit_without_controller_is_refused_before_anything_is_made,
        best_effort_goes_on_and_says_so,
        a_group_that_is_not_there_is_named,
        an_ordinary_user_is_told_the_way_out,
        the_plan_says_what_will_be_written,
        a_kernel_without_core_scheduling_says_so;
};

fn a_limit_without_controller_is_refused_before_anything_is_made() {
    for way in ways() {
        run(limited(way, &["--limit", "nosuch.max=1"]).arg("true"))
            .exits(125)
            .is_refused("limit nosuch.max: ")
            .complains("hint: --limits best-effort goes on without it");
    }
}

fn best_effort_goes_on_and_says_so() {
    for way in ways() {
        let options = ["--limits", "best-effort", "--limit", "nosuch.max=1"];
        run(limited(way, &options).args(["echo", "went on"]))
            .exits(0)
            .has("went on")
            .complains("warren: without limit nosuch.max: ");
        // What can be had is had all the same.
        let all: Vec<&str> = options.into_iter().chain(["--pids", "1"]).collect();
        let output = run(limited(way, &all).args(["sh", "-c", "(true)"]));
        output.expect("no second process", output.code() != 0);
    }
}

fn a_group_that_is_not_there_is_named() {
    let options = ["--cgroup", "/no/such/group", "--pids", "5"];
    run(limited(&[], &options).arg("true")).is_refused("no/such/group");
}

fn an_ordinary_user_is_told_the_way_out() {
    let mut command = warren(["run", "--pids", "5", "--", "true"]);
    let output = run(command.uid(ORDINARY_USER).gid(ORDINARY_USER));
    output.exits(125).is_refused("pids.max").complains("hint: ");
}

fn the_plan_says_what_will_be_written() {
    for way in ways() {
        let options = ["--plan", "--memory", "64M", "--pids", "20"];
        let output = run(limited(way, &options).arg("true"));
        let memory = if is_v2() {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        output
            .has("parent   make the control group ")
            .has(&format!(
                "parent   limit memory.max: write '67108864' to {memory}"
            ))
            .has("parent   limit pids.max: write '20' to pids.max")
            .has("parent   put the process into the control group")
            .has("child    wait until it is in the control group")
            .has("child    make a cgroup namespace with that group as its root");
    }
}

fn a_kernel_without_core_scheduling_says_so() {
    let has = warren_sys::has_core_scheduling();
    let output = run(limited(&[], &["--core-sched"]).arg("true"));
    if has {
        output.exits(0);
    } else {
        output.is_refused("limit core_sched: this kernel has no core scheduling");
    }
}
