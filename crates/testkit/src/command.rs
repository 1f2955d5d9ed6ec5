//! Commands in a fixed environment, and expectations that tell everything they know.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage;

/// The built `warren` in the fixed environment of [`program`].
pub fn warren<I, S>(arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = program(stage::warren_binary());
    command.args(arguments);
    command
}

/// A program with nothing inherited but PATH, HOME, USER, LANG and TERM, whose values
/// are fixed, and standard input at its end.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", stage::home())
        .env("USER", "burrow")
        .env("LANG", "C.UTF-8")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    command
}

/// Runs `command` to its end.
///
/// # Panics
/// Where it cannot be started.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let told = describe(command);
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("start {told}: {error}"),
    };
    Output {
        command: told,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&format!("{argument:?}"));
    }
    let folder = match command.get_current_dir() {
        Some(folder) => folder.display().to_string(),
        None => std::env::current_dir().map_or_else(
            |error| error.to_string(),
            |folder| folder.display().to_string(),
        ),
    };
    format!("{text}\n  in {folder}")
}

/// How a command ended, and all that it said.
#[derive(Clone, Debug)]
pub struct Output {
    command: String,
    /// As wait(2) gave it.
    pub status: ExitStatus,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command: {}", self.command)?;
        writeln!(f, "  {}", self.status)?;
        writeln!(f, "--- standard output\n{}", self.stdout.trim_end())?;
        write!(f, "--- standard error\n{}", self.stderr.trim_end())
    }
}

impl Output {
    /// The exit code; 128 plus the signal where one ended it.
    pub fn code(&self) -> i32 {
        let signal = self.status.signal().map_or(0, |signal| 128 + signal);
        self.status.code().unwrap_or(signal)
    }

    /// Expects `holds`, called `what`.
    #[track_caller]
    pub fn expect(&self, what: &str, holds: bool) -> &Self {
        assert!(holds, "expected {what}\n{self}");
        self
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        self.expect(
            &format!("exit code {code}, not {}", self.code()),
            self.code() == code,
        )
    }

    /// Expects exit code 0 and gives standard output without its last newline.
    #[track_caller]
    pub fn succeeds(&self) -> &str {
        self.exits(0);
        self.stdout.trim_end_matches('\n')
    }

    /// Expects exit code 0 and this standard output, its last newline aside.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        self.expect(
            &format!("{text:?} on standard output"),
            self.succeeds() == text,
        )
    }

    /// Expects `part` somewhere on standard output.
    #[track_caller]
    pub fn has(&self, part: &str) -> &Self {
        self.expect(
            &format!("{part:?} on standard output"),
            self.stdout.contains(part),
        )
    }

    /// Expects `part` nowhere on standard output.
    #[track_caller]
    pub fn lacks(&self, part: &str) -> &Self {
        self.expect(
            &format!("no {part:?} on standard output"),
            !self.stdout.contains(part),
        )
    }

    /// Expects `part` somewhere on standard error.
    #[track_caller]
    pub fn complains(&self, part: &str) -> &Self {
        self.expect(
            &format!("{part:?} on standard error"),
            self.stderr.contains(part),
        )
    }

    /// Expects a failure of Warren's own: code 125 and `warren: ...` on standard error.
    #[track_caller]
    pub fn is_refused(&self, part: &str) -> &Self {
        self.exits(125).complains("warren: ").complains(part)
    }

    /// The words after `key` on the line of standard output that begins with it.
    #[track_caller]
    pub fn field(&self, key: &str) -> &str {
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(key));
        self.expect(
            &format!("a line {key:?} on standard output"),
            line.is_some(),
        );
        line.unwrap_or_default().trim()
    }
}

/// A command that goes on while the test does something to it. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    command: String,
    ended: bool,
}

impl Running {
    /// Starts `command`; its standard error goes to the test's own.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let told = describe(command);
        let mut child = match command.stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => panic!("start {told}: {error}"),
        };
        let Some(stdout) = child.stdout.take() else {
            unreachable!("standard output was asked to be a pipe");
        };
        let lines = BufReader::new(stdout);
        Self {
            child,
            lines,
            command: told,
            ended: false,
        }
    }

    /// The next line of standard output, without its newline; `None` at its end, which
    /// comes when no process holds the pipe any more.
    #[track_caller]
    pub fn line_or_end(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            Err(error) => panic!("read from {}: {error}", self.command),
        }
    }

    /// The next line of standard output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.line_or_end() {
            Some(line) => line,
            None => panic!("{} ended its output", self.command),
        }
    }

    /// Process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the process that was started, not to its group.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(self.pid(), signal) {
            panic!("send {signal:?} to {}: {error}", self.command);
        }
    }

    /// Waits for the end; gives the exit code, or 128 plus the signal.
    #[track_caller]
    pub fn ends(mut self) -> i32 {
        self.ended = true;
        match self.child.wait() {
            Ok(status) => {
                let signal = status.signal().map_or(0, |signal| 128 + signal);
                status.code().unwrap_or(signal)
            }
            Err(error) => panic!("wait for {}: {error}", self.command),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // Already failing: what cannot be killed is found by the harness.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Expects `holds` to become true within five seconds (times [`patience`]).
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5) * patience();
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many times longer than on an ordinary machine things may take:
/// `WARREN_TEST_PATIENCE`, 1 unless set.
pub fn patience() -> u32 {
    let told = std::env::var("WARREN_TEST_PATIENCE").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(1)
}
