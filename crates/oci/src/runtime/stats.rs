//! What a container uses, in the shape that runc's events have.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;
use serde_json::{Value, json};
use warren_cgroups::Stat;

use super::container::Container;
use super::error::Error;

/// What is told of a container.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name.
    pub id: &'a str,
    /// What it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Container {
    /// One event of the type `stats`.
    ///
    /// # Errors
    /// Where it has no control group.
    pub fn stats(&self) -> Result<Event<'_>, Error> {
        let stat = self.needed_cgroup("read its use")?.stat();
        Ok(Event {
            kind: "stats",
            id: &self.record.id,
            data: Some(data(&stat)),
        })
    }

    /// One event of the type `oom`.
    #[must_use]
    pub fn oom(&self) -> Event<'_> {
        Event {
            kind: "oom",
            id: &self.record.id,
            data: None,
        }
    }

    /// How many of its processes were killed for want of memory.
    ///
    /// # Errors
    /// As [`Self::stats`].
    pub fn oom_kills(&self) -> Result<u64, Error> {
        let cgroup = self.needed_cgroup("read its use")?;
        Ok(cgroup.oom_kills().unwrap_or(0))
    }

    /// Waits for its end, but no longer than this; whether it came.
    ///
    /// # Errors
    /// Whatever poll(2) answers.
    pub fn await_end(&self, longest: Duration) -> Result<bool, Error> {
        let Some(init) = self.living_init() else {
            return Ok(true);
        };
        let Ok(pidfd) = init.open(&self.proc) else {
            return Ok(true);
        };
        let time = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(longest.subsec_nanos()),
        };
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let count =
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut ended, Some(&time)));
        count
            .map(|count| count > 0)
            .map_err(|errno| Error::errno("wait for the container's end", errno))
    }
}

fn data(stat: &Stat) -> Value {
    // Times are in nanoseconds there.
    let time = |us: Option<u64>| us.unwrap_or(0) * 1000;
    let number = |value: Option<u64>| value.unwrap_or(0);
    json!({
        "cpu": {
            "usage": {
                "total": time(stat.cpu_us),
                "kernel": time(stat.cpu_system_us),
                "user": time(stat.cpu_user_us),
            },
            "throttling": {
                "periods": number(stat.cpu_periods),
                "throttledPeriods": number(stat.cpu_throttled),
                "throttledTime": time(stat.cpu_throttled_us),
            },
        },
        "memory": {
            "usage": {
                "usage": number(stat.memory),
                "max": number(stat.memory_peak),
                "failcnt": number(stat.memory_full),
            },
            "swap": { "usage": number(stat.swap) },
        },
        "pids": { "current": number(stat.pids) },
        "blkio": {
            "ioServiceBytesRecursive": [
                { "op": "Read", "value": number(stat.io_read) },
                { "op": "Write", "value": number(stat.io_written) },
            ],
        },
    })
}
