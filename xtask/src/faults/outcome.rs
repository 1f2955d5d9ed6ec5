//! What a traced run did, and whether that was right.

use std::collections::BTreeMap;
use std::fmt;

use super::calls::{Fault, Names, Target};
use crate::Result;

/// A line of the tracer's report, in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Call { process: u32, number: u64 },
    Exec { process: u32 },
    Exit { process: u32, status: i32 },
    Hit,
    Hang { process: u32, comm: String },
    Left { process: u32, comm: String },
}

impl Event {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let kind = words.next()?;
        if kind == "hit" {
            return Some(Self::Hit);
        }
        let process = words.next()?.parse().ok()?;
        let rest = words.next();
        Some(match kind {
            "call" => Self::Call {
                process,
                number: rest?.parse().ok()?,
            },
            "exec" => Self::Exec { process },
            "exit" => Self::Exit {
                process,
                status: rest?.parse().ok()?,
            },
            "hang" => Self::Hang {
                process,
                comm: rest?.to_owned(),
            },
            "left" => Self::Left {
                process,
                comm: rest?.to_owned(),
            },
            _ => return None,
        })
    }
}

/// A traced run.
#[derive(Debug)]
pub struct Trace {
    events: Vec<Event>,
    stderr: String,
}

impl Trace {
    /// Reads the tracer's report.
    pub fn parse(report: &str, stderr: String) -> Result<Self> {
        let event = |line: &str| {
            Event::parse(line)
                .ok_or_else(|| format!("the tracer reports '{line}'").into())
        };
        Ok(Self {
            events: report.lines().map(event).collect::<Result<_>>()?,
            stderr,
        })
    }

    /// The wait status of the first process.
    fn status(&self) -> Option<i32> {
        self.events.iter().find_map(|event| match event {
            Event::Exit { process: 1, status } => Some(*status),
            _ => None,
        })
    }

    /// The exit code of the first process, if it was not killed.
    pub fn exit_code(&self) -> Option<i32> {
        self.status()
            .filter(|status| status & 0x7f == 0)
            .map(|status| status >> 8)
    }

    /// Whether it said this on standard error.
    pub fn says(&self, words: &str) -> bool {
        self.stderr.contains(words)
    }

    /// The system calls of the first process.
    fn first_calls(&self) -> impl Iterator<Item = u64> {
        self.events.iter().filter_map(|event| match event {
            Event::Call { process: 1, number } => Some(*number),
            _ => None,
        })
    }

    /// How many calls both first processes make alike at their beginning.
    pub fn common_start(&self, other: &Self) -> usize {
        let pairs = self.first_calls().zip(other.first_calls());
        pairs.take_while(|(own, other)| own == other).count()
    }

    /// The process of the contained program: helpers come before it.
    fn payload(&self) -> u32 {
        executed(&self.events).max().unwrap_or(0)
    }

    /// The calls, but for the `startup` first of the first process.
    pub fn targets(&self, startup: usize, names: &Names) -> Vec<Target> {
        let mut turns = BTreeMap::new();
        let mut first = 0;
        let payload = self.payload();
        let mut targets = Vec::new();
        for (place, event) in self.events.iter().enumerate() {
            let Event::Call { process, number } = event else {
                continue;
            };
            let nth = turns.entry((*process, *number)).or_insert(0);
            *nth += 1;
            first += usize::from(*process == 1);
            if *process == 1 && first <= startup {
                continue;
            }
            targets.push(Target {
                process: *process,
                number: *number,
                name: names.name(*number),
                nth: *nth,
                payload,
                after_payload: succeeded(payload, &self.events[..place]),
            });
        }
        targets
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) if status & 0x7f != 0 => write!(f, "signal {}", status & 0x7f)?,
            Some(status) => write!(f, "exit code {}", status >> 8)?,
            None => f.write_str("no end")?,
        }
        for line in self.stderr.lines() {
            write!(f, "\n    | {line}")?;
        }
        Ok(())
    }
}

/// The process `payload` has executed its program and ended with 0; or the only process
/// that executed any has, since a run may cope by doing without helpers.
fn succeeded(payload: u32, events: &[Event]) -> bool {
    let executed: Vec<u32> = executed(events).collect();
    let payload = match executed[..] {
        [only] => only,
        _ => payload,
    };
    let ended = Event::Exit {
        process: payload,
        status: 0,
    };
    executed.contains(&payload) && events.contains(&ended)
}

/// The processes that have executed a program.
fn executed(events: &[Event]) -> impl Iterator<Item = u32> {
    events.iter().filter_map(|event| match event {
        Event::Exec { process } => Some(*process),
        _ => None,
    })
}

/// A run with a fault.
pub struct Outcome<'a> {
    trace: &'a Trace,
    target: &'a Target,
    fault: Fault,
    /// Whether the job executes a program.
    executes: bool,
    /// The process that may stay, of a job that executes none.
    stays: Option<&'static str>,
}

impl<'a> Outcome<'a> {
    /// What `fault` at `target` led to.
    pub fn of(trace: &'a Trace, target: &'a Target, fault: Fault) -> Self {
        Self {
            trace,
            target,
            fault,
            executes: true,
            stays: None,
        }
    }

    /// The same for a job that executes no program and may leave this process.
    pub fn leaving(self, comm: Option<&'static str>) -> Self {
        Self {
            executes: false,
            stays: comm,
            ..self
        }
    }

    /// What kind of right it was, or what was wrong.
    pub fn verdict(&self) -> std::result::Result<&'static str, String> {
        self.nothing_stayed()?;
        self.nothing_broke()?;
        if !self.trace.events.contains(&Event::Hit) {
            return match self.trace.exit_code() {
                Some(0) => Ok("not reached"),
                _ => Err(format!("not reached, and yet {}", self.trace)),
            };
        }
        match (self.fault, self.target.process) {
            (Fault::Kill, 1) => self.died(),
            (Fault::Kill, _) => self.noticed(),
            _ => self.failed_or_coped(),
        }
    }

    fn nothing_stayed(&self) -> std::result::Result<(), String> {
        let staying: Vec<String> = self
            .trace
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Hang { process, comm } => {
                    Some(format!("{comm} ({process}) hangs"))
                }
                Event::Left { comm, .. } if self.stays == Some(comm) => None,
                Event::Left { process, comm } => {
                    Some(format!("{comm} ({process}) is left behind"))
                }
                _ => None,
            })
            .collect();
        if staying.is_empty() {
            return Ok(());
        }
        Err(format!("{}; {}", staying.join(", "), self.trace))
    }

    /// No process panicked, or died by a signal that was not the fault's.
    fn nothing_broke(&self) -> std::result::Result<(), String> {
        const SIGHUP: i32 = 1;
        const SIGKILL: i32 = 9;
        // The death of the supervisor hangs a terminal up that it holds.
        let hangs_up = (self.fault, self.target.process) == (Fault::Kill, 1);
        let by_signal = self.trace.events.iter().find_map(|event| match event {
            Event::Exit { process, status } => {
                let signal = status & 0x7f;
                let right = signal == SIGKILL || hangs_up && signal == SIGHUP;
                (signal != 0 && !right).then_some((process, signal))
            }
            _ => None,
        });
        if let Some((process, signal)) = by_signal {
            return Err(format!(
                "process {process} died by signal {signal}; {}",
                self.trace
            ));
        }
        if self.trace.stderr.contains("panicked") {
            return Err(format!("it panicked: {}", self.trace));
        }
        Ok(())
    }

    /// The supervisor was killed, and it shows.
    fn died(&self) -> std::result::Result<&'static str, String> {
        match self.trace.status() {
            Some(9) => Ok("killed"),
            _ => Err(format!("the supervisor lived on: {}", self.trace)),
        }
    }

    /// Another process was killed, and the supervisor says so.
    fn noticed(&self) -> std::result::Result<&'static str, String> {
        const KILLED: i32 = 128 + 9;
        match self.trace.exit_code() {
            Some(KILLED) => Ok("killed"),
            Some(0) if self.target.after_payload || !self.executes => Ok("done before"),
            _ => self.failed_with_reason(),
        }
    }

    fn failed_or_coped(&self) -> std::result::Result<&'static str, String> {
        match self.trace.exit_code() {
            Some(0) if !self.executes => Ok("coped"),
            Some(0) if succeeded(self.target.payload, &self.trace.events) => Ok("coped"),
            Some(0) => Err(format!("it says 0 and ran nothing: {}", self.trace)),
            _ => self.failed_with_reason(),
        }
    }

    /// Exit code 125, 126 or 127, and a line that says what was done to what, and why it
    /// did not work.
    fn failed_with_reason(&self) -> std::result::Result<&'static str, String> {
        let code = self.trace.exit_code();
        if !code.is_some_and(|code| (125..=127).contains(&code)) {
            return Err(format!("an end that says nothing: {}", self.trace));
        }
        if !self.trace.stderr.lines().any(names_a_step) {
            return Err(format!("no line names the step: {}", self.trace));
        }
        Ok("failed with a reason")
    }
}

/// `warren: <what we were doing> <object>: <errno text>`.
fn names_a_step(line: &str) -> bool {
    let Some((step, reason)) = line
        .strip_prefix("warren: ")
        .and_then(|message| message.split_once(": "))
    else {
        return false;
    };
    step.split_whitespace().count() >= 2 && !reason.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "call 1 1\ncall 1 7\ncall 1 56\ncall 2 7\ncall 3 59\nexec 3\n\
                        exit 3 0\ncall 2 231\nexit 2 0\ncall 1 7\nexit 1 0\n";

    fn trace(report: &str, stderr: &str) -> Trace {
        Trace::parse(report, stderr.to_owned()).expect("a report")
    }

    fn target(process: u32) -> Target {
        let names = Names::of_kernel_headers().expect("gcc");
        let targets = trace(GOOD, "").targets(0, &names);
        let found = targets.into_iter().find(|target| target.process == process);
        found.expect("a call of the process")
    }

    fn verdict(
        process: u32,
        fault: Fault,
        report: &str,
        stderr: &str,
    ) -> std::result::Result<&'static str, String> {
        Outcome::of(&trace(report, stderr), &target(process), fault).verdict()
    }

    fn fails() -> Fault {
        super::super::calls::faults_of("fchdir")[0]
    }

    #[test]
    fn targets_count_by_process_and_name() {
        let names = Names::of_kernel_headers().expect("gcc");
        let whole = trace(GOOD, "");
        let startup = whole.common_start(&trace("call 1 1\ncall 1 7\ncall 1 3\n", ""));
        assert_eq!(startup, 2);
        let targets = whole.targets(startup, &names);
        let short: Vec<_> = targets
            .iter()
            .map(|target| {
                (
                    target.process,
                    target.number,
                    target.nth,
                    target.after_payload,
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                (1, 56, 1, false),
                (2, 7, 1, false),
                (3, 59, 1, false),
                (2, 231, 1, true),
                (1, 7, 2, true),
            ]
        );
    }

    #[test]
    fn coping_means_that_the_command_ran() {
        let report = format!("hit\n{GOOD}");
        assert_eq!(verdict(2, fails(), &report, ""), Ok("coped"));
        assert!(verdict(2, fails(), "hit\nexit 2 0\nexit 1 0\n", "").is_err());
    }

    #[test]
    fn a_failure_names_its_step() {
        let report = "hit\nexit 2 32000\nexit 1 32000\n";
        let reason = "warren: mount /proc: Operation not permitted (os error 1)\n";
        assert_eq!(
            verdict(2, fails(), report, reason),
            Ok("failed with a reason")
        );
        for bad in [
            "",
            "warren: Operation not permitted\n",
            "warren: clone: EPERM\n",
        ] {
            assert!(verdict(2, fails(), report, bad).is_err(), "{bad}");
        }
        let other_code = "hit\nexit 2 256\nexit 1 256\n";
        assert!(verdict(2, fails(), other_code, reason).is_err());
    }

    #[test]
    fn panics_hangs_and_orphans_do_not_pass() {
        let panic = "thread 'main' panicked at src/main.rs:1:1:\n";
        assert!(verdict(1, fails(), &format!("hit\n{GOOD}"), panic).is_err());
        assert!(verdict(1, fails(), "hit\nhang 1 warren\n", "").is_err());
        let left = "hit\nexit 1 9\nleft 2 warren-init\n";
        assert!(verdict(1, Fault::Kill, left, "").is_err());
        // Process 2 died by SIGSEGV.
        assert!(verdict(2, fails(), &format!("hit\nexit 2 11\n{GOOD}"), "").is_err());
    }

    #[test]
    fn a_killed_process_shows() {
        assert_eq!(
            verdict(1, Fault::Kill, "hit\nexit 1 9\nexit 2 9\n", ""),
            Ok("killed")
        );
        let said = "hit\nexit 2 9\nexit 1 35072\n";
        assert_eq!(verdict(2, Fault::Kill, said, ""), Ok("killed"));
        assert!(verdict(2, Fault::Kill, "hit\nexit 2 9\nexit 1 0\n", "").is_err());
    }
}
