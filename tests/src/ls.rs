//! `warren ls`: the namespaces of this machine.

use serde_json::Value;
use warren_testkit::{Running, Test, Tmux, eventually, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_callers_namespaces_are_listed_as_by_lsns,
        a_runs_namespaces_are_listed,
        a_run_is_one_line_of_its_own,
        what_is_shared_is_named_with_whom,
        every_holder_of_a_namespace_is_named,
        the_last_line_says_how_complete_it_is,
        a_terminal_gets_no_line_that_it_would_wrap,
        a_fast_look_lists_processes_and_says_what_it_passed_over,
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
    for option in ["--tree", "--all", "--held-by", "--json"] {
        let text = listed(&[option]);
        for number in &numbers {
            assert!(text.contains(number), "{number} is not in\n{text}");
        }
    }
}

/// A process in new namespaces of the kinds that `options` of unshare(1) name.
fn unshared(options: &[&str], script: &str) -> (Running, u32) {
    let mut command = program("unshare");
    command.args(["--user", "--map-root-user"]).args(options);
    let script = format!("echo $$; {script}");
    let mut running = Running::start(command.args(["sh", "-c", &script]));
    let pid = running.line().parse().expect("a pid");
    (running, pid)
}

/// Ends what a script has started in the background.
fn kill(pid: &str) {
    run(program("kill").args(["-KILL", pid])).succeeds();
}

/// The line of `ls` that begins with a pid.
fn line_of(text: &str, pid: u32) -> &str {
    let start = format!("{pid} ");
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(&start));
    line.unwrap_or_else(|| panic!("no line of {pid} in\n{text}"))
}

fn a_run_is_one_line_of_its_own() {
    let script = "sleep 1000 & echo $!; exec sleep 1000";
    let (mut running, pid) = unshared(&["--uts", "--ipc"], script);
    let second = running.line();
    let text = listed(&[]);
    kill(&second);
    let words: Vec<&str> = line_of(&text, pid).split_whitespace().collect();
    assert_eq!(words[1], "2", "{text}");
    assert_eq!(words[3..6], ["ipc", "user", "uts"], "{text}");
}

fn what_is_shared_is_named_with_whom() {
    let script = "unshare --uts sleep 1000 & echo $!; wait";
    let (mut running, pid) = unshared(&["--net"], script);
    let inner = running.line();
    let line = format!("uts, net user of {pid} ");
    eventually("the line of the inner one", || {
        let text = listed(&[]);
        let inner: u32 = inner.parse().expect("a pid");
        text.contains(&line) && line_of(&text, inner).contains(&line)
    });
    kill(&inner);
}

fn every_holder_of_a_namespace_is_named() {
    let script = "exec 9</proc/self/ns/uts; echo open; exec sleep 1000";
    let (mut running, pid) = unshared(&["--uts"], script);
    assert_eq!(running.line(), "open");
    eventually("both holders", || {
        let text = listed(&["--held-by", "uts"]);
        text.contains(&format!("process {pid} (sleep)\n"))
            && text.contains(&format!("fd {pid}:9 (sleep)\n"))
    });
    let all = listed(&["--held-by", "--all", "user"]);
    assert!(all.contains(" child"), "{all}");
}

fn the_last_line_says_how_complete_it_is() {
    for options in [&[][..], &["--tree"], &["--all"], &["--held-by"]] {
        let text = listed(options);
        let last = text.lines().last().unwrap_or_default();
        assert!(last.contains(" read"), "{text}");
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root || last.ends_with("run as root"), "{text}");
    }
}

fn a_terminal_gets_no_line_that_it_would_wrap() {
    let (_running, pid) = unshared(&["--uts", "--ipc"], "exec sleep 1000");
    let warren = warren_testkit::staged("warren");
    let script = format!("read start; {} ls | tail -n 1; {0} ls", warren.display());
    let terminal = Tmux::start(program("sh").args(["-c", &script]));
    terminal.resize(40, 100);
    terminal.type_line("");
    terminal.shows(&format!("{pid} sleep"));
    terminal.shows("[exit 0]");
    terminal.shows("; ipc user uts");
}

fn a_fast_look_lists_processes_and_says_what_it_passed_over() {
    let script = "readlink /proc/self/ns/net; sleep 1000";
    let mut running = Running::start(&mut warren(["run", "--", "sh", "-c", script]));
    let line = running.line();
    let net = line.trim_start_matches("net:[").trim_end_matches(']');
    let text = listed(&["--fast", "--all"]);
    assert!(text.contains(net), "{net} is not in\n{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("--fast passed over threads"), "{text}");
    run(&mut warren(["ls", "--fast", "--tree"])).is_refused("cannot be used with");
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
