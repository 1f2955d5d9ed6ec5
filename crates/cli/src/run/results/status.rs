//! How a run ended, as one object: docs/json.md.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde::Serialize;
use warren_cgroups::Hierarchies;
use warren_namespaces::ProcRoot;
use warren_sys::signal::SIGXCPU;

use crate::failure::Failure;
use crate::supervise::{Ended, Over};

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct Status {
    version: u32,
    /// That of `warren`.
    code: u8,
    exit_code: Option<i32>,
    signal: Option<i32>,
    error: Option<SetUp>,
    wall_us: Option<u64>,
    user_us: Option<u64>,
    system_us: Option<u64>,
    max_rss: Option<u64>,
    oom_killed: Option<bool>,
    timed_out: bool,
    cpu_timed_out: bool,
}

/// Why the command was never executed.
#[derive(Debug, Serialize)]
struct SetUp {
    message: String,
    step: Option<String>,
    errno: Option<i32>,
    hints: Vec<String>,
}

impl Status {
    /// Of a command that has run. The counters are those of [`oom_kills`] before it and
    /// now.
    pub fn of_command(ended: &Ended, code: u8, oom_kills: [Option<u64>; 2]) -> Self {
        let microseconds =
            |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let killed = ended.was_killed();
        let usage = ended.usage;
        Self {
            code,
            exit_code: ended.status.code(),
            signal: ended.status.signal(),
            wall_us: Some(microseconds(ended.wall)),
            user_us: usage.map(|usage| microseconds(usage.user)),
            system_us: usage.map(|usage| microseconds(usage.system)),
            max_rss: usage.map(|usage| usage.max_rss),
            oom_killed: match (ended.oom_kills, oom_kills) {
                (Some(kills), _) => Some(killed && kills > 0),
                (None, [Some(before), Some(now)]) => Some(killed && now > before),
                _ => None,
            },
            timed_out: ended.over == Some(Over::Wall),
            cpu_timed_out: ended.over == Some(Over::Cpu)
                || ended.status.signal() == Some(SIGXCPU),
            ..Self::empty()
        }
    }

    /// Of one that was never executed.
    pub fn of_failure(failure: &Failure) -> Self {
        Self {
            code: failure.exit_code(),
            error: Some(SetUp {
                message: failure.to_string(),
                step: failure.failed_step().map(str::to_owned),
                errno: failure.errno(),
                hints: failure.hints().to_vec(),
            }),
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            version: 1,
            code: 0,
            exit_code: None,
            signal: None,
            error: None,
            wall_us: None,
            user_us: None,
            system_us: None,
            max_rss: None,
            oom_killed: None,
            timed_out: false,
            cpu_timed_out: false,
        }
    }

    /// As one line.
    pub fn line(&self) -> Result<String, Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
        Ok(text + "\n")
    }
}

/// How many processes of the caller's cgroup, which is the command's too, were killed for
/// want of memory.
pub fn oom_kills() -> Option<u64> {
    let proc = ProcRoot::open().ok()?;
    let hierarchies = Hierarchies::detect(&proc).ok()?;
    let own = warren_cgroups::of_process(&proc, std::process::id()).ok()?;
    warren_cgroups::oom_kills(&hierarchies, &own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitStatus;
    use warren_sys::signal::SIGKILL;

    fn ended(status: i32, over: Option<Over>) -> Ended {
        Ended {
            status: ExitStatus::from_raw(status),
            usage: None,
            wall: Duration::from_millis(2),
            over,
            oom_kills: None,
        }
    }

    #[test]
    fn nothing_is_left_out_of_the_line() {
        let status = Status::of_command(&ended(7 << 8, None), 7, [Some(1), Some(1)]);
        assert_eq!(
            status.line().expect("JSON"),
            "{\"version\":1,\"code\":7,\"exit_code\":7,\"signal\":null,\"error\":null,\
             \"wall_us\":2000,\"user_us\":null,\"system_us\":null,\"max_rss\":null,\
             \"oom_killed\":false,\"timed_out\":false,\"cpu_timed_out\":false}\n"
        );
    }

    #[test]
    fn out_of_memory_takes_the_counter_and_the_signal_of_nobody_else() {
        let of = |status, over, counters| {
            Status::of_command(&ended(status, over), 137, counters).oom_killed
        };
        let rose = [Some(1), Some(2)];
        assert_eq!(of(SIGKILL, None, rose), Some(true));
        assert_eq!(of(0, None, rose), Some(false));
        assert_eq!(of(SIGKILL, None, [Some(2), Some(2)]), Some(false));
        assert_eq!(of(SIGKILL, Some(Over::Wall), rose), Some(false));
        assert_eq!(of(SIGKILL, None, [None, Some(2)]), None);
    }

    #[test]
    fn a_failure_has_its_step_errno_and_hints() {
        let failure = Failure::new("bind /a at /b: No such file or directory")
            .step("bind /a at /b", Some(2))
            .hint("why");
        let line = Status::of_failure(&failure).line().expect("JSON");
        assert!(
            line.contains(
                "\"code\":125,\"exit_code\":null,\"signal\":null,\"error\":{\"message\":\
                 \"bind /a at /b: No such file or directory\",\"step\":\"bind /a at /b\",\
                 \"errno\":2,\"hints\":[\"why\"]},\"wall_us\":null"
            ),
            "{line}"
        );
    }
}
