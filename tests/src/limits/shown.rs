//! `warren limits`: a running group shown, changed and stopped.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use warren_testkit::{Test, eventually, run, scratch, tests, warren};

use super::{limited, open_to_all, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        limits_and_use_are_shown,
        what_the_whole_machine_has_used_is_not_shown_as_its_use,
        a_changed_limit_is_met_by_the_workload,
        memory_may_shrink_and_grow,
        a_quota_changes_while_it_runs,
        a_frozen_group_stands_still,
        a_group_of_the_callers_own_is_not_frozen,
        what_cannot_be_set_is_refused;
};

/// A run that reads its standard input, and its init.
struct Workload {
    child: Child,
    init: String,
}

impl Workload {
    fn start(way: &[&str], options: &[&str], words: &[&str]) -> Self {
        let mut command: Command = limited(way, options);
        command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().expect("started");
        let pid = child.id();
        let mut init = String::new();
        let children = format!("/proc/{pid}/task/{pid}/children");
        eventually("the program of a run", || {
            init = fs::read_to_string(&children)
                .unwrap_or_default()
                .trim()
                .to_owned();
            let below = format!("/proc/{init}/task/{init}/children");
            let program = fs::read_to_string(below).unwrap_or_default();
            let path = format!("/proc/{}/comm", program.trim());
            let name = fs::read_to_string(path).unwrap_or_default();
            name.trim() == words[0]
        });
        Self { child, init }
    }

    /// Lets it go on, and takes its code and what it says.
    fn goes_on(mut self) -> (Option<i32>, String) {
        let stdin = self.child.stdin.take();
        writeln!(stdin.expect("a pipe"), "go").expect("it reads");
        let output = self.child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.code(), text)
    }

    fn set(&self, limits: &[&str]) {
        let mut command = warren(["limits", &self.init]);
        limits.iter().for_each(|limit| {
            command.args(["--set", limit]);
        });
        run(&mut command).succeeds();
    }

    fn json(&self) -> Value {
        let output = run(&mut warren(["limits", &self.init, "--json"]));
        serde_json::from_str(output.succeeds()).expect("JSON")
    }
}

fn limits_and_use_are_shown() {
    for way in ways() {
        let options = ["--memory", "64M", "--pids", "20", "--cpus", "0.5"];
        let work = Workload::start(way, &options, &["cat"]);
        run(&mut warren(["limits", &work.init]))
            .has("memory.max")
            .has("64.0M")
            .has("0.50 CPUs")
            .has("pids.max");
        let shown = work.json();
        assert_eq!(shown["version"], 1);
        assert_eq!(shown["limits"]["memory.max"], 64 << 20, "{shown:#}");
        assert_eq!(shown["limits"]["cpu.quota_us"], 50_000, "{shown:#}");
        assert_eq!(shown["limits"]["pids.max"], 20, "{shown:#}");
        // The init and the program.
        assert_eq!(shown["use"]["pids"], 2, "{shown:#}");
        assert!(shown["use"]["memory"].as_u64() > Some(4096), "{shown:#}");
        assert_eq!(shown["lowest"]["pids"]["most"], 20, "{shown:#}");
        assert_eq!(work.goes_on(), (Some(0), "go".to_owned()));
    }
}

/// On v1 it has a group only where it has a limit, and is in the first one elsewhere.
fn what_the_whole_machine_has_used_is_not_shown_as_its_use() {
    for way in ways() {
        let work = Workload::start(way, &["--pids", "20"], &["cat"]);
        let shown = work.json();
        let most = 30_000_000;
        assert!(shown["use"]["cpu_us"].as_u64() < Some(most), "{shown:#}");
        let stalls = &shown["pressure"]["cpu"]["some"]["total_us"];
        assert!(stalls.as_u64() < Some(most), "{shown:#}");
        assert_eq!(work.goes_on().0, Some(0));
    }
}

const FORKS: &str = "
import os
input()
try:
    if os.fork() == 0: os._exit(0)
    print('forked')
except OSError:
    print('refused')
";

fn a_changed_limit_is_met_by_the_workload() {
    for way in ways() {
        let words = ["python3", "-c", FORKS];
        let work = Workload::start(way, &["--pids", "20"], &words);
        work.set(&["pids.max=2"]);
        assert_eq!(work.json()["limits"]["pids.max"], 2);
        assert_eq!(work.goes_on(), (Some(0), "refused".to_owned()));
        let work = Workload::start(way, &["--pids", "2"], &words);
        work.set(&["pids.max=max"]);
        assert_eq!(work.goes_on(), (Some(0), "forked".to_owned()));
    }
}

fn memory_may_shrink_and_grow() {
    let words = [
        "python3",
        "-c",
        "input(); held = bytearray(100 << 20); print('had it')",
    ];
    for way in ways() {
        let work = Workload::start(way, &["--memory", "256M"], &words);
        work.set(&["memory.max=64M"]);
        assert_eq!(work.goes_on().0, Some(137));
        // On v1 memory and swap together grow first.
        let options = ["--memory", "64M", "--swap", "0"];
        let work = Workload::start(way, &options, &words);
        work.set(&["memory.max=256M", "memory.swap.max=0"]);
        assert_eq!(work.goes_on(), (Some(0), "had it".to_owned()));
    }
}

fn a_quota_changes_while_it_runs() {
    for way in ways() {
        let work = Workload::start(way, &["--cpus", "0.5"], &["cat"]);
        work.set(&["cpu.max=0.25", "cpu.max.burst=10ms"]);
        let limits = &work.json()["limits"];
        assert_eq!(limits["cpu.quota_us"], 25_000, "{limits:#}");
        assert_eq!(limits["cpu.max.burst"], 10_000, "{limits:#}");
        assert_eq!(work.goes_on().0, Some(0));
    }
}

fn a_frozen_group_stands_still() {
    let counts = "
import time
while True:
    open('count', 'a').write('x')
    time.sleep(0.01)
";
    let file = scratch().join("count");
    open_to_all(&scratch());
    for way in ways() {
        let _ = fs::remove_file(&file);
        let mut command = limited(way, &["--pids", "9", "--here"]);
        command.args(["python3", "-c", counts]);
        let mut child = command.spawn().expect("started");
        let length = || fs::metadata(&file).map_or(0, |found| found.len());
        let pid = child.id().to_string();
        let init = || {
            let path = format!("/proc/{pid}/task/{pid}/children");
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        eventually("the first count", || length() > 3);
        let limits = |word| run(&mut warren(["limits", &init(), word]));
        limits("--freeze").succeeds();
        let stopped = length();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(length(), stopped);
        assert!(limits("--json").succeeds().contains("\"frozen\": true"));
        limits("--thaw").succeeds();
        eventually("another count", || length() > stopped);
        let number = rustix::process::Pid::from_child(&child);
        let ends = rustix::process::kill_process(number, rustix::process::Signal::TERM);
        ends.expect("it lives");
        child.wait().expect("it ends");
    }
}

fn a_group_of_the_callers_own_is_not_frozen() {
    let own = std::process::id().to_string();
    let output = run(&mut warren(["limits", &own, "--freeze"]));
    output.exits(125);
}

fn what_cannot_be_set_is_refused() {
    for way in ways() {
        let work = Workload::start(way, &["--pids", "20"], &["cat"]);
        let set = |limit| run(&mut warren(["limits", &work.init, "--set", limit]));
        set("pids.max=x").is_refused("--set: 'x' is no number, or max");
        set("pids.max")
            .is_refused("--set: 'pids.max' is no limit, such as memory.max=1G");
        set("no.such=1").is_refused("limit no.such: ");
        assert_eq!(work.goes_on().0, Some(0));
    }
}
