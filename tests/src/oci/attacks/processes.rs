//! Who looks at the processes that come into a container, or are made beside it.

use std::fs;

use serde_json::json;
use warren_testkit::{Output, Running, Test, program, run, scratch, tests};

use super::{Bundle, WARREN};

pub const TESTS: &[Test] = tests! {
    Root:
        who_meets_an_exec_finds_no_descriptor_of_the_host,
        who_meets_a_creation_cannot_look_into_it,
        who_meets_an_exec_reads_nothing_of_its_caller;
};

/// Lists what the descriptors of all processes but the first lead to, again and again.
const LOOK: &str = "while :; do for process in /proc/[0-9]*; do \
    case $process in /proc/1|/proc/self) continue;; esac; \
    for fd in $process/fd/*; do where=$(readlink $fd) && echo \"fd $where\"; done; \
    done; done 2>/dev/null";

/// A container whose program looks at what comes in.
fn watcher(script: &str, capabilities: &[&str]) -> (Bundle, Running) {
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.set(|config| {
        for set in ["bounding", "effective", "permitted"] {
            let set = config["process"]["capabilities"][set].as_array_mut();
            set.expect("a set")
                .extend(capabilities.iter().map(|one| json!(one)));
        }
    });
    let words = ["run", "--bundle", bundle.path(), "watch"];
    let watch = Running::start(&mut WARREN.command(&words));
    super::until_it_runs("watch");
    (bundle, watch)
}

/// Ends it, and gives what it has seen.
fn seen(mut watch: Running) -> Vec<String> {
    WARREN.run(&["kill", "watch", "KILL"]).succeeds();
    let lines = std::iter::from_fn(|| watch.line_or_end()).collect();
    watch.ends();
    assert!(WARREN.is_empty());
    lines
}

/// A command of which each `call` waits, so that whoever looks has the time to.
fn slowly(call: &str, words: &[&str]) -> Output {
    const WAIT: &str = "delay_enter=300000";
    let mut strace = program("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(scratch().join("trace"));
    strace.args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:{WAIT}"), "--"]);
    let command = WARREN.command(words);
    strace.arg(command.get_program()).args(command.get_args());
    // A file, since a container that outlives the command holds its streams.
    let out = fs::File::create(scratch().join("out")).expect("make a file");
    let err = out.try_clone().expect("the same file");
    run(strace.stdout(out).stderr(err))
}

/// What was seen but for what the program itself is given: the null device and a file.
fn of_host(seen: &[String]) -> Vec<&str> {
    let out = format!("fd {}", scratch().join("out").display());
    let is_own = |line: &str| line == "fd /dev/null" || line == out;
    let lines = seen.iter().map(String::as_str);
    lines
        .filter(|line| line.starts_with("fd /") && !is_own(line))
        .collect()
}

/// CVE-2016-9962: what is open in a process that comes in leads to the host, its control
/// groups and its procfs, and who has CAP_SYS_PTRACE may look there.
fn who_meets_an_exec_finds_no_descriptor_of_the_host() {
    let able = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"];
    let (_bundle, watch) = watcher(LOOK, &able);
    // Its ids are changed when it is in the container with all else.
    slowly("setgroups", &["exec", "watch", "true"]).succeeds();
    let seen = seen(watch);
    assert!(
        seen.iter().any(|line| line.contains("pipe:")),
        "it was met: {seen:?}"
    );
    assert_eq!(of_host(&seen), [""; 0]);
}

/// The same by a neighbour with no more than the usual capabilities, who has them in common
/// with the process that is made.
fn who_meets_a_creation_cannot_look_into_it() {
    let (_bundle, watch) = watcher(LOOK, &[]);
    let pid = WARREN.state_of("watch")["pid"].clone();
    let mut beside = Bundle::new(&["true"]);
    beside.set(|config| {
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        for one in namespaces.iter_mut().filter(|one| one["type"] == "pid") {
            one["path"] = json!(format!("/proc/{pid}/ns/pid"));
        }
    });
    // When they are closed at last, it has but its own privileges.
    slowly("close_range", &["run", "--bundle", beside.path(), "beside"]).succeeds();
    assert_eq!(of_host(&seen(watch)), [""; 0]);
}

/// Arguments can be read by all, and name what is the host's.
fn who_meets_an_exec_reads_nothing_of_its_caller() {
    let script = "while :; do for process in /proc/[0-9]*; do \
        case $process in /proc/1|/proc/self) continue;; esac; \
        echo $(cat $process/cmdline $process/environ); done; done 2>/dev/null";
    let (_bundle, watch) = watcher(script, &["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
    slowly("setgroups", &["exec", "watch", "true"]).succeeds();
    let seen = seen(watch);
    let state = WARREN.state();
    let state = state.to_str().expect("a scratch folder is text");
    assert!(
        seen.iter().any(|line| line.contains("warren")),
        "it was met"
    );
    let of_caller = |line: &&String| line.contains(state) || line.contains("USER=burrow");
    assert_eq!(seen.iter().find(of_caller), None);
}
