//! `lsns`: the same arguments to Debian's own and to ours, and what only newer ones have.

mod compared;
mod mended;
mod newer;
mod terminal;

use std::fs;
use std::process::Command;

use warren_testkit::{Output, Running, Test, eventually, program, run, warren};

pub const TESTS: [&[Test]; 4] = [
    compared::TESTS,
    mended::TESTS,
    newer::TESTS,
    terminal::TESTS,
];

/// Processes in namespaces that nobody else is in: an `unshare` outside of the new pid
/// and time namespaces, and inside a shell with sleepers, of whom one has a further uts
/// namespace and two have a parent that is none of them.
struct Burrow {
    unshare: Option<Running>,
    /// The shell.
    pid: u32,
    /// Pid of `unshare`, the lowest in most of the namespaces.
    outside: u32,
    /// The sleeper in a uts namespace of its own.
    alone: u32,
}

const SCRIPT: &str = "sleep 1000 & unshare --uts sleep 1001 & \
    sh -c 'sleep 1002 & sleep 1003; :' & echo ready; wait";

impl Burrow {
    #[track_caller]
    fn dig() -> Self {
        Self::with(
            &["--user", "--map-root-user", "--mount", "--net"],
            SCRIPT,
            4,
        )
    }

    /// With these kinds besides the cheap ones; waits for so many sleepers.
    #[track_caller]
    fn with(options: &[&str], script: &str, sleepers: usize) -> Self {
        let mut unshare = program("unshare");
        unshare.args([
            "--pid",
            "--fork",
            "--kill-child",
            "--uts",
            "--ipc",
            "--cgroup",
        ]);
        unshare.arg("--time").args(options);
        let mut unshare = Running::start(unshare.args(["sh", "-c", script]));
        assert_eq!(unshare.line(), "ready");
        let outside = unshare.pid().as_raw_nonzero().get().unsigned_abs();
        let pid = children(outside)[0];
        eventually("the sleepers", || sleeping(pid).len() == sleepers);
        let uts = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/uts")).ok();
        let alone = sleeping(pid).into_iter().find(|one| uts(*one) != uts(pid));
        Self {
            unshare: Some(unshare),
            pid,
            outside,
            alone: alone.unwrap_or(pid),
        }
    }

    /// `-p {P}` and the like with the numbers of this burrow.
    fn fill(&self, words: &str) -> Vec<String> {
        let mut filled = words
            .replace("{P}", &self.pid.to_string())
            .replace("{OUT}", &self.outside.to_string())
            .replace("{ALONE}", &self.alone.to_string())
            .replace("{OWNUTS}", &inode(self.alone, "uts"));
        for kind in ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"] {
            filled = filled.replace(&format!("{{{kind}}}"), &inode(self.pid, kind));
        }
        // An empty word is written as two quotes.
        let word = |word: &str| if word == "''" { "" } else { word }.to_owned();
        filled.split_whitespace().map(word).collect()
    }
}

impl Drop for Burrow {
    /// The kernel kills the shell after `unshare`, on a busy machine long after.
    fn drop(&mut self) {
        drop(self.unshare.take());
        if !std::thread::panicking() {
            let stat = format!("/proc/{}/stat", self.pid);
            eventually("the shell to be gone", || {
                fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
            });
        }
    }
}

/// The number of a process's namespace.
#[track_caller]
fn inode(pid: u32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a link");
    link.to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect()
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The descendants that have become `sleep`.
fn sleeping(pid: u32) -> Vec<u32> {
    let comm = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm"));
    let below = children(pid);
    let deeper = below.iter().flat_map(|pid| sleeping(*pid));
    let own = below.iter().copied();
    own.filter(|pid| comm(pid).is_ok_and(|comm| comm == "sleep\n"))
        .chain(deeper)
        .collect()
}

fn ours(words: &[String]) -> Command {
    let mut command = warren(["lsns"]);
    command.args(words);
    command
}

fn theirs(words: &[String]) -> Command {
    let mut command = program("lsns");
    command.args(words);
    command
}

/// The original prints nothing and fails where a process dies while it looks; then it
/// is asked again.
#[track_caller]
fn answer(command: &mut Command) -> Output {
    loop {
        let output = run(command);
        if output.code() != 1 || !output.stdout.is_empty() || !output.stderr.is_empty() {
            return output;
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Expects the same answer of both: standard output, code and first line of complaint.
#[track_caller]
fn same(theirs: &mut Command, ours: &mut Command) {
    let mut last = None;
    // Where other processes come and go, three looks do not all meet one.
    for _ in 0..3 {
        let (their, our) = (answer(theirs), run(ours));
        let complaint = first_line(&their.stderr) == first_line(&our.stderr);
        if their.stdout == our.stdout && their.code() == our.code() && complaint {
            return;
        }
        last = Some((their, our));
    }
    if let Some((their, our)) = last {
        panic!("these differ:\n{their}\n\n{our}");
    }
}
