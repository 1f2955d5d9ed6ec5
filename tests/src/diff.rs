//! `warren diff`: in what namespaces differ.

use serde_json::Value;
use warren_testkit::{Output, Test, run, tests, warren};

use crate::show::Burrow;

pub const TESTS: &[Test] = tests! {
    Both:
        a_process_is_the_same_as_itself,
        what_differs_inside_is_told,
        two_copies_of_a_mount_namespace_differ_in_nothing_inside,
        kinds_choose_what_is_compared,
        the_host_is_the_second_unless_told,
        trouble_is_125;
};

fn own() -> String {
    std::process::id().to_string()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).expect("parse the JSON")
}

fn kind<'a>(json: &'a Value, name: &str) -> &'a Value {
    let kinds = json["kinds"].as_array().expect("a list");
    let found = kinds.iter().find(|kind| kind["kind"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn a_process_is_the_same_as_itself() {
    let output = run(&mut warren(["diff", &own(), &own()]));
    output
        .exits(0)
        .has("the same namespace")
        .lacks("difference");
    let output = run(&mut warren(["diff", "--json", &own(), &own()]));
    output.exits(0);
    let json = json(&output);
    assert_eq!((&json["version"], &json["same"]), (&1.into(), &true.into()));
    assert_eq!(json["kinds"].as_array().map(Vec::len), Some(8));
}

fn what_differs_inside_is_told() {
    let burrow = Burrow::dig();
    let output = run(&mut warren(["diff", "--json", &burrow.pid, &own()]));
    output.exits(1);
    let json = json(&output);
    let find = |of: &str, topic: &str, name: &str| {
        let differences = kind(&json, of)["differences"].as_array();
        let mut differences = differences.expect("a list").iter();
        let is_it = |it: &&Value| it["topic"] == topic && it["name"] == name;
        let found = differences.find(is_it);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {topic} {name}\n{output}"))
    };
    assert_eq!(find("uts", "hostname", "")["a"], "sett");
    assert_eq!(find("time", "clock", "boottime")["a"], "+1000 s");
    assert_eq!(
        find("net", "address", "veth0 10.1.0.1/24")["b"],
        Value::Null
    );
    assert_eq!(
        find("net", "route", "10.9.0.0/16 dev veth0")["b"],
        Value::Null
    );
    assert_eq!(find("net", "port", "tcp 127.0.0.1:8123")["a"], "open");
    assert_eq!(find("user", "setgroups", "")["a"], "deny");
    let shared = kind(&json, "ipc")["differences"].to_string();
    assert!(shared.contains("shared memory"), "{shared}");
    let text = run(&mut warren(["diff", &burrow.pid, &own()]));
    text.exits(1)
        .has("sett")
        .has("+1000 s")
        .has("veth0 10.1.0.1/24");
}

fn two_copies_of_a_mount_namespace_differ_in_nothing_inside() {
    let burrow = Burrow::dig();
    let output = run(&mut warren([
        "diff",
        "--json",
        "--kinds",
        "mnt",
        &burrow.pid,
        &own(),
    ]));
    output.exits(1);
    let json = json(&output);
    let mounts = kind(&json, "mnt");
    assert_eq!(mounts["same_namespace"], false, "{json}");
    // A mount of a newer mount namespace is not copied, and somebody may have one.
    let differences = mounts["differences"].as_array().expect("a list").iter();
    let is_pin = |it: &Value| it["b"].as_str().is_some_and(|b| b.starts_with("nsfs "));
    assert_eq!(differences.filter(|it| !is_pin(it)).count(), 0, "{json}");
}

fn kinds_choose_what_is_compared() {
    let burrow = Burrow::dig();
    let output = run(&mut warren(["diff", "--kinds", "uts", &burrow.pid, &own()]));
    output.exits(1).has("hostname").lacks("veth0").lacks("net ");
}

fn the_host_is_the_second_unless_told() {
    let burrow = Burrow::dig();
    let output = run(&mut warren([
        "diff",
        "--json",
        "--kinds",
        "uts",
        &burrow.pid,
    ]));
    output.exits(1);
    let json = json(&output);
    let name = json["b"]["name"].as_str().expect("text");
    let known = name.starts_with("the host") || name.starts_with("this shell");
    output.expect("a second one", known);
}

fn trouble_is_125() {
    run(&mut warren(["diff", "4194304", &own()])).is_refused("4194304");
    run(&mut warren(["diff", &own(), "net:[1]"])).is_refused("net:[1]");
    let own_net = std::fs::read_link("/proc/self/ns/net").expect("a link");
    let own_net = own_net.to_string_lossy().into_owned();
    let words = ["diff", "--kinds", "uts", &own_net, &own()];
    run(&mut warren(words)).is_refused("no uts namespace");
}
