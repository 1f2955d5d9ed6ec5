//! `warren ls`: the namespaces of this machine.

use serde_json::Value;
use warren_testkit::{Running, Test, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_callers_namespaces_are_listed_as_by_lsns,
        a_runs_namespaces_are_listed,
        json_has_a_version,
        a_reader_that_goes_away_is_no_error;
};

fn listed(options: &[&str]) -> String {
    let mut command = warren(["ls"]);
    run(command.args(options)).succeeds().to_owned()
}

fn the_callers_namespaces_are_listed_as_by_lsns() {
    let own = std::process::id().to_string();
    let theirs =
        run(program("lsns").args(["--noheadings", "--output", "NS", "--task", &own]));
    let ours = listed(&["--json"]);
    assert_eq!(theirs.succeeds().lines().count(), 8, "{theirs}");
    for number in theirs.succeeds().split_whitespace() {
        assert!(ours.contains(number), "{number} is not in\n{ours}");
    }
}

fn a_runs_namespaces_are_listed() {
    let script = "readlink /proc/self/ns/mnt /proc/self/ns/pid; sleep 1000";
    let mut running = Running::start(&mut warren(["run", "--", "sh", "-c", script]));
    let numbers: Vec<String> = [running.line(), running.line()]
        .iter()
        .filter_map(|link| Some(link.split_once('[')?.1.trim_end_matches(']').to_owned()))
        .collect();
    assert_eq!(numbers.len(), 2);
    let (text, json) = (listed(&[]), listed(&["--json"]));
    for number in numbers {
        assert!(text.contains(&number), "{number} is not in\n{text}");
        assert!(json.contains(&number), "{number} is not in\n{json}");
    }
}

fn json_has_a_version() {
    let json: Value = serde_json::from_str(&listed(&["--json"])).expect("parse the JSON");
    assert!(json["version"].is_number(), "{json}");
}

fn a_reader_that_goes_away_is_no_error() {
    let warren = warren_testkit::staged("warren");
    let script = format!("{{ {} ls; echo code $? >&2; }} | true", warren.display());
    let output = run(program("sh").args(["-c", &script]));
    // Whether the first write or SIGPIPE comes first is open, as with any other tool.
    let said = output.stderr.trim_end();
    output.expect("silence", said == "code 0" || said == "code 141");
}
