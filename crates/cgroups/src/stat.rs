//! What a group has used since it was made.

use serde::{Deserialize, Serialize};

use crate::Cgroup;
use crate::group::Tier;
use crate::usage::{field, v1_io, v2_io};

/// Use of a group; `None` where no hierarchy that it is in counts it. What the first group of
/// a hierarchy has used is that of the whole machine, and nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Microseconds on a CPU.
    pub cpu_us: Option<u64>,
    /// Those of them in programs.
    pub cpu_user_us: Option<u64>,
    /// Those in the kernel.
    pub cpu_system_us: Option<u64>,
    /// Periods with a quota.
    pub cpu_periods: Option<u64>,
    /// Those at whose end the quota was used up.
    pub cpu_throttled: Option<u64>,
    /// Microseconds that were waited for the next.
    pub cpu_throttled_us: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The most that it ever was.
    pub memory_peak: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// How often memory was at its limit.
    pub memory_full: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// The most that there ever were.
    pub pids_peak: Option<u64>,
    /// How often one more was refused.
    pub pids_refused: Option<u64>,
    /// Bytes read from block devices.
    pub io_read: Option<u64>,
    /// Bytes written to them.
    pub io_written: Option<u64>,
}

impl Cgroup {
    /// What it has used.
    #[must_use]
    pub fn stat(&self) -> Stat {
        let mut stat = Stat::default();
        for tier in self.tiers.iter().filter(|tier| !tier.is_first()) {
            if tier.hierarchy.is_v2() {
                tier.add_v2(&mut stat);
            } else {
                tier.add_v1(&mut stat);
            }
        }
        stat
    }

    /// How many of its processes the kernel has killed for want of memory.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let tier = self.with("memory")?;
        let file = if tier.hierarchy.is_v2() {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        field(&tier.read(file)?, "oom_kill")
    }
}

impl Tier {
    fn add_v2(&self, stat: &mut Stat) {
        let cpu = self.read("cpu.stat").unwrap_or_default();
        let add = |to: &mut Option<u64>, name| *to = to.take().or(field(&cpu, name));
        add(&mut stat.cpu_us, "usage_usec");
        add(&mut stat.cpu_user_us, "user_usec");
        add(&mut stat.cpu_system_us, "system_usec");
        add(&mut stat.cpu_periods, "nr_periods");
        add(&mut stat.cpu_throttled, "nr_throttled");
        add(&mut stat.cpu_throttled_us, "throttled_usec");
        if self.has("memory") {
            let events = self.read("memory.events").unwrap_or_default();
            stat.memory = self.number("memory.current");
            stat.memory_peak = self.number("memory.peak");
            stat.swap = self.number("memory.swap.current");
            stat.memory_full = field(&events, "max");
            stat.oom_kills = field(&events, "oom_kill");
        }
        if self.has("pids") {
            let events = self.read("pids.events").unwrap_or_default();
            stat.pids = self.number("pids.current");
            stat.pids_peak = self.number("pids.peak");
            stat.pids_refused = field(&events, "max");
        }
        if let Some(text) = self.read("io.stat").filter(|_| self.has("io")) {
            let io = v2_io(&text);
            (stat.io_read, stat.io_written) = (Some(io.read), Some(io.written));
        }
    }

    fn add_v1(&self, stat: &mut Stat) {
        for controller in self.controllers() {
            match controller.as_str() {
                "cpu" => self.add_v1_quota(stat),
                "cpuacct" => self.add_v1_cpu(stat),
                "memory" => self.add_v1_memory(stat),
                "pids" => {
                    let events = self.read("pids.events").unwrap_or_default();
                    stat.pids = self.number("pids.current");
                    stat.pids_peak = self.number("pids.peak");
                    stat.pids_refused = field(&events, "max");
                }
                "blkio" => {
                    let name = "blkio.throttle.io_service_bytes_recursive";
                    let io = self.read(name).map(|text| v1_io(&text));
                    stat.io_read = io.as_ref().map(|io| io.read);
                    stat.io_written = io.map(|io| io.written);
                }
                _ => {}
            }
        }
    }

    fn add_v1_quota(&self, stat: &mut Stat) {
        let text = self.read("cpu.stat").unwrap_or_default();
        stat.cpu_periods = field(&text, "nr_periods");
        stat.cpu_throttled = field(&text, "nr_throttled");
        stat.cpu_throttled_us = field(&text, "throttled_time").map(|time| time / 1000);
    }

    fn add_v1_cpu(&self, stat: &mut Stat) {
        let microseconds = |name| self.number(name).map(|time| time / 1000);
        stat.cpu_us = microseconds("cpuacct.usage");
        stat.cpu_user_us = microseconds("cpuacct.usage_user");
        stat.cpu_system_us = microseconds("cpuacct.usage_sys");
    }

    fn add_v1_memory(&self, stat: &mut Stat) {
        let events = self.read("memory.oom_control").unwrap_or_default();
        stat.memory = self.number("memory.usage_in_bytes");
        stat.memory_peak = self.number("memory.max_usage_in_bytes");
        stat.memory_full = self.number("memory.failcnt");
        stat.oom_kills = field(&events, "oom_kill");
        let both = self.number("memory.memsw.usage_in_bytes");
        stat.swap = both
            .zip(stat.memory)
            .map(|(both, memory)| both.saturating_sub(memory));
    }
}
