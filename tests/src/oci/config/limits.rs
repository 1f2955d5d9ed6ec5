//! `linux.resources` and `linux.cgroupsPath`.

use std::path::Path;

use serde_json::{Value, json};
use warren_testkit::{Test, tests};

use super::Bundle;

pub const TESTS: &[Test] = tests! {
    Root:
        limits_are_those_of_the_control_group,
        the_control_group_is_where_it_is_asked_for_and_gone_then,
        devices_are_opened_as_the_rules_say,
        a_limit_that_cannot_be_had_is_refused_by_name;
};

/// Whether controllers are on v1 here.
fn is_v1() -> bool {
    Path::new("/sys/fs/cgroup/memory").exists()
}

fn name() -> String {
    format!("/warren-test-{}", std::process::id())
}

/// The contents of a file of the container's group, on v1 or v2.
fn file(v1: &str, v2: &str) -> String {
    match is_v1() {
        true => format!("cat /sys/fs/cgroup/{v1}"),
        false => format!("cat /sys/fs/cgroup/{v2}"),
    }
}

fn bundle(resources: &Value) -> Bundle {
    let mut bundle = Bundle::new(&[
        ("linux/resources", resources.clone()),
        ("linux/cgroupsPath", json!(name())),
    ]);
    bundle.set("linux/namespaces/-", json!({"type": "cgroup"}));
    bundle
}

fn limits_are_those_of_the_control_group() {
    let resources = json!({"memory": {"limit": 67_108_864, "reservation": 33_554_432},
        "pids": {"limit": 55}, "cpu": {"shares": 512, "quota": 20_000, "period": 50_000}});
    let script = [
        file("memory/memory.limit_in_bytes", "memory.max"),
        file("memory/memory.soft_limit_in_bytes", "memory.low"),
        file("pids/pids.max", "pids.max"),
        file("cpu/cpu.cfs_quota_us", "cpu.max"),
    ]
    .join("; ");
    bundle(&resources).as_runc(&script).has("67108864");
}

fn the_control_group_is_where_it_is_asked_for_and_gone_then() {
    let mut bundle = bundle(&json!({"pids": {"limit": 50}}));
    bundle.set(
        "linux/namespaces",
        json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}]),
    );
    let wanted = name();
    let output = bundle.ours("cut -d: -f3 /proc/self/cgroup");
    output.expect("there", output.stdout.lines().any(|line| line == wanted));
    let place = if is_v1() {
        "/sys/fs/cgroup/pids"
    } else {
        "/sys/fs/cgroup"
    };
    assert!(!Path::new(place).join(&wanted[1..]).exists(), "it is left");
}

fn devices_are_opened_as_the_rules_say() {
    let rules = json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
    ]});
    let mut bundle = bundle(&rules);
    let all = ["CAP_MKNOD", "CAP_SYS_ADMIN"];
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(&format!("process/capabilities/{set}"), json!(all));
    }
    // /dev/kmsg is none of those that every container has.
    let script = "echo x >/dev/null && head -c 1 /dev/zero | wc -c; rm -f /tmp/kmsg; \
        mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg 2>&1 | grep -o 'not permitted'";
    bundle.as_runc(script).says("1\nnot permitted");
}

fn a_limit_that_cannot_be_had_is_refused_by_name() {
    let unified = json!({"unified": {"no.such.file": "1"}});
    bundle(&unified).ours("echo ran").is_refused("no.such.file");
    let path = Bundle::new(&[("linux/cgroupsPath", json!("/a/../../b"))]);
    path.ours("echo ran")
        .is_refused("linux.cgroupsPath: expected a path without ..");
}
