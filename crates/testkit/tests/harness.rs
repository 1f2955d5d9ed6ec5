//! The harness fails what must fail: it runs a suite of bad tests and is asked about each.
//!
//! Without arguments this binary runs itself with them, as that suite.

#![expect(clippy::print_stdout, reason = "a test runner's output")]

use std::process::{Command, ExitCode};

use warren_testkit::harness::Suite;
use warren_testkit::{Test, scratch, tests};

const BAD: &[Test] = tests! {
    User:
        says_nothing_and_passes,
        panics_with_a_reason,
        leaves_a_process,
        leaves_a_file,
        depends_on_the_test_before;
};

fn says_nothing_and_passes() {}

fn panics_with_a_reason() {
    println!("said before");
    panic!("the reason");
}

fn leaves_a_process() {
    // A daemon: its parent is gone, and it is in a session of its own.
    let shell = Command::new("sh")
        .args(["-c", "setsid sleep 1000 &"])
        .status();
    assert!(shell.is_ok_and(|status| status.success()));
}

fn leaves_a_file() {
    let name = format!("/dev/shm/warren-left.{}", std::process::id());
    std::fs::write(name, "").expect("write a file");
}

fn depends_on_the_test_before() {
    let entries = std::fs::read_dir(scratch()).expect("read the scratch folder");
    assert_eq!(entries.count(), 0, "each test has an empty folder");
    let threads = std::fs::read_dir("/proc/self/task").expect("read own threads");
    assert_eq!(threads.count(), 1, "each test begins single-threaded");
}

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        let golden = std::env::temp_dir().join("no-golden-files");
        return Suite {
            tests: vec![BAD],
            needed: &[],
            golden,
        }
        .main();
    }
    let own = std::env::current_exe().expect("own path");
    let output = Command::new(own)
        .args(["--tier", "user"])
        .env("WARREN_BIN", "/bin/true")
        .output()
        .expect("run the suite");
    let text = String::from_utf8_lossy(&output.stdout);
    remove_left_files(&text);
    for part in [
        "ok      says_nothing_and_passes",
        "FAILED  panics_with_a_reason",
        "| said before",
        "the reason",
        "FAILED  leaves_a_process",
        " sleep\n",
        "FAILED  leaves_a_file",
        "left file /dev/shm/warren-left.",
        "ok      depends_on_the_test_before",
        "\n2 passed, 3 failed\n",
    ] {
        assert!(text.contains(part), "expected {part:?} in\n{text}");
    }
    assert_eq!(output.status.code(), Some(1), "{text}");
    // This runner's own closing line.
    println!("1 passed, 0 failed");
    ExitCode::SUCCESS
}

/// Removes what the bad test left, by the name that the harness told.
fn remove_left_files(text: &str) {
    for line in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("left file "))
    {
        let name = line.split(' ').next().unwrap_or_default();
        if name.starts_with("/dev/shm/warren-left.") {
            std::fs::remove_file(name).expect("remove the left file");
        }
    }
}
