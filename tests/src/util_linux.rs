//! The originals of the personalities and Warren's own, run with the same line of a
//! shell.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use warren_testkit::{Output, Running, eventually, program, run, scratch, staged};

const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A folder in which the names of the personalities lead to Warren.
pub fn personalities() -> PathBuf {
    let folder = scratch().join("personalities");
    if fs::create_dir(&folder).is_ok() {
        for name in ["unshare", "nsenter", "bwrap"] {
            symlink(staged("warren"), folder.join(name)).expect("a link");
        }
    }
    folder
}

/// A line of the shell in which `unshare` and `nsenter` are Warren's.
pub fn ours(line: &str) -> Command {
    let path = format!("{}:{SYSTEM}", personalities().display());
    shell(line, &path)
}

/// The same with Debian's.
pub fn theirs(line: &str) -> Command {
    shell(line, SYSTEM)
}

fn shell(line: &str, path: &str) -> Command {
    let mut command = program("sh");
    command.args(["-c", line]).env("PATH", path);
    command
}

/// Processes in namespaces of their own, as variables of the lines.
#[derive(Default)]
pub struct Targets {
    running: Vec<Running>,
    variables: Vec<(&'static str, String)>,
}

impl Targets {
    /// Starts what the original `unshare` makes of `words`, with `--fork`; the variable
    /// is the number of the process inside, seen from here.
    pub fn with(mut self, variable: &'static str, words: &[&str]) -> Self {
        let mut unshare = program("unshare");
        unshare.args(["--fork", "--kill-child"]).args(words);
        unshare.args(["sh", "-c", "echo ready; exec sleep 1000"]);
        let mut running = Running::start(&mut unshare);
        assert_eq!(running.line(), "ready");
        let parent = running.pid().as_raw_nonzero();
        let file = format!("/proc/{parent}/task/{parent}/children");
        let mut child = String::new();
        eventually("the process inside", || {
            child = fs::read_to_string(&file)
                .unwrap_or_default()
                .trim()
                .to_owned();
            !child.is_empty()
        });
        self.running.push(running);
        self.variables.push((variable, child));
        self
    }

    /// The value of a variable.
    pub fn pid(&self, variable: &str) -> &str {
        let found = self.variables.iter().find(|(name, _)| *name == variable);
        &found.expect("a variable of this name").1
    }

    fn run(&self, mut command: Command) -> Output {
        let variables = self.variables.iter().map(|(name, pid)| (*name, pid));
        run(command.envs(variables))
    }

    /// A line with Warren's.
    pub fn ours(&self, line: &str) -> Output {
        self.run(ours(line))
    }

    /// Expects each line to say the same on both, and to end the same.
    #[track_caller]
    pub fn same(&self, lines: &[&str]) {
        let differing: Vec<String> = lines
            .iter()
            .filter_map(|line| {
                let (theirs, ours) = (self.run(theirs(line)), self.ours(line));
                let differ = told(&theirs) != told(&ours);
                differ.then(|| format!("{line}\n{theirs}\n--- Warren\n{ours}"))
            })
            .collect();
        assert!(
            differing.is_empty(),
            "{} of {} lines differ\n{}",
            differing.len(),
            lines.len(),
            differing.join("\n\n")
        );
    }

    /// The same, with each line in an empty folder.
    #[track_caller]
    pub fn same_each(&self, lines: &[&str]) {
        let lines = lines
            .iter()
            .map(|line| format!("rm -rf w; mkdir w; cd w\n{line}"));
        let lines: Vec<String> = lines.collect();
        self.same(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Expects of each line what only a newer original than Debian's says.
    #[track_caller]
    pub fn newer(&self, lines: &[Newer]) {
        for Newer(line, code, stdout, complaint) in lines {
            let ours = self.ours(line);
            ours.exits(*code);
            let (_, said, first) = told(&ours);
            ours.expect(&format!("{stdout:?}"), said.trim_end() == *stdout);
            ours.expect(&format!("{complaint:?}"), first == *complaint);
        }
    }
}

/// A line, its exit code, standard output, and the first line of standard error.
pub struct Newer(
    pub &'static str,
    pub i32,
    pub &'static str,
    pub &'static str,
);

/// What is compared: the exit code, standard output, and the first line of standard
/// error without what differs from run to run. Hints stand on later lines.
fn told(output: &Output) -> (i32, String, String) {
    let first = output.stderr.lines().next().unwrap_or_default();
    let first = match first.split_once(": ") {
        // getopt names the program by its whole path.
        Some((name, rest)) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            format!("{name}: {rest}")
        }
        None => first.to_owned(),
    };
    (output.code(), output.stdout.clone(), without_pid(&first))
}

/// `/proc/123/ns` as `/proc/PID/ns`.
fn without_pid(line: &str) -> String {
    let Some((before, after)) = line.split_once("/proc/") else {
        return line.to_owned();
    };
    let rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if rest.len() == after.len() {
        return line.to_owned();
    }
    format!("{before}/proc/PID{rest}")
}
