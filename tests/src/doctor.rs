//! `warren doctor`: what this machine allows.

use serde_json::Value;
use warren_testkit::{Test, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        every_kind_and_the_kernel_are_told_of,
        json_has_a_version;
};

fn every_kind_and_the_kernel_are_told_of() {
    let output = run(&mut warren(["doctor"]));
    let release =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("read release");
    output.has(release.trim());
    for word in [
        "mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time", "seccomp",
    ] {
        output.has(word);
    }
}

fn json_has_a_version() {
    let output = run(&mut warren(["doctor", "--json"]));
    let json: Value = serde_json::from_str(&output.stdout).expect("parse the JSON");
    output.expect("a version", json["version"].is_number());
}
