//! Memory.

use std::fs;

use serde_json::Value;
use warren_testkit::{Output, Test, run, scratch, tests};

use super::{is_v2, limited, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        an_allocation_past_the_limit_is_killed_and_told,
        one_below_it_is_not,
        a_child_that_was_killed_is_told_beside_the_code,
        a_limit_too_low_to_set_up_is_named,
        all_of_a_group_are_killed_where_one_would_be,
        what_is_slowed_down_is_not_killed;
};

fn allocates(mebibytes: u32) -> String {
    format!("import sys; held = bytearray({mebibytes} << 20); print('had it')")
}

fn python(way: &[&str], options: &[&str], script: &str) -> Output {
    run(limited(way, options).args(["python3", "-c", script]))
}

fn an_allocation_past_the_limit_is_killed_and_told() {
    for way in ways() {
        let status = scratch().join("status");
        let options = [
            "--memory",
            "64M",
            "--json-status",
            status.to_str().expect("text"),
        ];
        python(way, &options, &allocates(200))
            .exits(137)
            .complains("warren: killed: out of memory (memory.max 64M)");
        let text = fs::read_to_string(&status).expect("a status");
        let status: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status["oom_killed"], true, "{status:#}");
        assert_eq!(status["signal"], 9, "{status:#}");
    }
}

fn one_below_it_is_not() {
    for way in ways() {
        let output = python(way, &["--memory", "128M"], &allocates(64));
        output.says("had it").lacks("out of memory");
    }
}

fn a_child_that_was_killed_is_told_beside_the_code() {
    for way in ways() {
        let mut command = limited(way, &["--memory", "64M"]);
        let script = format!("python3 -c \"{}\"; exit 3", allocates(200));
        run(command.args(["sh", "-c", &script]))
            .exits(3)
            .complains("warren: a process was killed: out of memory (memory.max 64M)");
    }
}

fn a_limit_too_low_to_set_up_is_named() {
    for way in ways() {
        let output = run(limited(way, &["--memory", "4096"]).arg("true"));
        output.exits(125);
        output.complains("hint: its limit on memory is too low to set it up");
    }
}

/// v2 alone has it.
fn all_of_a_group_are_killed_where_one_would_be() {
    for way in ways() {
        let mut command = limited(way, &["--memory", "64M", "--oom-group"]);
        let script = format!("python3 -c \"{}\"; echo went on", allocates(200));
        let output = run(command.args(["sh", "-c", &script]));
        if is_v2() {
            output.exits(137).lacks("went on");
        } else {
            output.is_refused("limit memory.oom.group: needs cgroup v2");
        }
    }
}

fn what_is_slowed_down_is_not_killed() {
    for way in ways() {
        let output = python(way, &["--memory-high", "64M"], &allocates(80));
        if is_v2() {
            output.says("had it");
        } else {
            output.is_refused("limit memory.high: needs cgroup v2");
        }
    }
}
