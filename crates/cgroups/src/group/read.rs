//! The limits that a group has.

use std::str::FromStr;

use crate::convert::{blkio_to_weight, shares_to_weight};
use crate::file;
use crate::group::{Cgroup, Tier};
use crate::limits::{Cpu, CpuWeight, DeviceNumber, IoWeight, Limits, Most, Throttle};

impl Cgroup {
    /// The limits that it has itself, on the scales of v2; those above it may have lower
    /// ones. Without rules about devices, which v2 has as programs, and without the rarer
    /// controllers.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for tier in &self.tiers {
            if tier.hierarchy.is_v2() {
                tier.read_v2(&mut limits);
            } else {
                tier.read_v1(&mut limits);
            }
        }
        limits
    }
}

impl Tier {
    fn most(&self, name: &str) -> Option<Most> {
        most_of_v2(&self.read(name)?)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.read(name).map(|text| text.trim().to_owned())
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.read(name)?.trim().parse().ok()
    }

    fn read_v2(&self, limits: &mut Limits) {
        if self.has("cpu") {
            limits.cpu = self.cpu_of_v2();
        }
        if self.has("cpuset") {
            limits.cpuset.cpus = self.text("cpuset.cpus.effective");
            limits.cpuset.mems = self.text("cpuset.mems.effective");
        }
        if self.has("memory") {
            let memory = &mut limits.memory;
            memory.max = self.most("memory.max");
            memory.high = self.most("memory.high");
            memory.low = self.most("memory.low");
            memory.min = self.most("memory.min");
            memory.swap = self.most("memory.swap.max");
            memory.zswap = self.most("memory.zswap.max");
            memory.oom_group = self.parsed::<u8>("memory.oom.group").map(|it| it == 1);
        }
        if self.has("pids") {
            limits.pids = self.most("pids.max");
        }
        if self.has("io") {
            let weight = self.read("io.weight");
            limits.io.weight = weight.and_then(|text| weight_of_v2(&text));
            limits.io.throttles =
                throttles_of_v2(&self.read("io.max").unwrap_or_default());
        }
    }

    fn cpu_of_v2(&self) -> Cpu {
        let max = self.read("cpu.max").unwrap_or_default();
        let (quota, period) = max.trim().split_once(' ').unwrap_or_default();
        Cpu {
            quota_us: most_of_v2(quota),
            period_us: file::number(period),
            burst_us: self.parsed("cpu.max.burst"),
            weight: self.parsed("cpu.weight").map(CpuWeight::Weight),
            idle: self.parsed::<u8>("cpu.idle").map(|it| it == 1),
            ..Cpu::default()
        }
    }

    fn read_v1(&self, limits: &mut Limits) {
        for controller in self.controllers() {
            match controller.as_str() {
                "cpu" => limits.cpu = self.cpu_of_v1(),
                "cpuset" => {
                    limits.cpuset.cpus = self.text("cpuset.effective_cpus");
                    limits.cpuset.mems = self.text("cpuset.effective_mems");
                }
                "memory" => self.memory_of_v1(limits),
                "pids" => limits.pids = self.most("pids.max"),
                "blkio" => {
                    let weight = self.parsed("blkio.bfq.weight").map(blkio_to_weight);
                    limits.io.weight = weight.map(IoWeight::Weight);
                    limits.io.throttles = self.throttles_of_v1();
                }
                _ => {}
            }
        }
    }

    fn cpu_of_v1(&self) -> Cpu {
        let quota: Option<i64> = self.parsed("cpu.cfs_quota_us");
        let quota = quota.map(|quota| u64::try_from(quota).map_or(Most::Max, Most::Of));
        let shares = self.parsed("cpu.shares");
        Cpu {
            quota_us: quota,
            period_us: self.parsed("cpu.cfs_period_us"),
            burst_us: self.parsed("cpu.cfs_burst_us"),
            weight: shares.map(|it| CpuWeight::Weight(shares_to_weight(it))),
            idle: self.parsed::<u8>("cpu.idle").map(|it| it == 1),
            ..Cpu::default()
        }
    }

    fn memory_of_v1(&self, limits: &mut Limits) {
        let memory = &mut limits.memory;
        memory.max = self.parsed("memory.limit_in_bytes").map(most_of_v1);
        memory.low = self.parsed("memory.soft_limit_in_bytes").map(most_of_v1);
        let both = self.parsed("memory.memsw.limit_in_bytes").map(most_of_v1);
        memory.swap = match (both, memory.max) {
            (Some(Most::Of(both)), Some(Most::Of(max))) => {
                Some(Most::Of(both.saturating_sub(max)))
            }
            (both, _) => both,
        };
    }

    fn throttles_of_v1(&self) -> Vec<Throttle> {
        let files = ["read_bps", "write_bps", "read_iops", "write_iops"];
        let mut throttles: Vec<Throttle> = Vec::new();
        for name in files {
            let text = self.read(&format!("blkio.throttle.{name}_device"));
            for line in text.unwrap_or_default().lines() {
                let Some((device, rate)) = line.split_once(' ') else {
                    continue;
                };
                let Some(device) = device_number(device) else {
                    continue;
                };
                let known = throttles.iter().position(|it| it.device == device);
                let at = known.unwrap_or(throttles.len());
                if known.is_none() {
                    throttles.push(Throttle {
                        device,
                        ..Throttle::default()
                    });
                }
                let throttle = &mut throttles[at];
                *match name {
                    "read_bps" => &mut throttle.read_bps,
                    "write_bps" => &mut throttle.write_bps,
                    "read_iops" => &mut throttle.read_iops,
                    _ => &mut throttle.write_iops,
                } = file::number(rate).map(Most::Of);
            }
        }
        throttles
    }
}

fn most_of_v2(text: &str) -> Option<Most> {
    match text.trim() {
        "max" => Some(Most::Max),
        text => file::number(text).map(Most::Of),
    }
}

/// The highest whole page below 2^63 for none.
fn most_of_v1(number: u64) -> Most {
    const NONE: u64 = i64::MAX as u64 - 0xffff;
    if number < NONE {
        Most::Of(number)
    } else {
        Most::Max
    }
}

/// `default 100`, and a line for each device of its own.
fn weight_of_v2(text: &str) -> Option<IoWeight> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("default "));
    file::number(lines.next()?).map(IoWeight::Weight)
}

/// `8:0 rbps=max wbps=1048576 riops=max wiops=max`, a line for each device.
fn throttles_of_v2(text: &str) -> Vec<Throttle> {
    let line = |line: &str| {
        let (device, words) = line.split_once(' ')?;
        let value = |name: &str| {
            let mut words = words.split(' ').filter_map(|word| word.split_once('='));
            let (_, value) = words.find(|(key, _)| *key == name)?;
            most_of_v2(value)
        };
        Some(Throttle {
            device: device_number(device)?,
            read_bps: value("rbps"),
            write_bps: value("wbps"),
            read_iops: value("riops"),
            write_iops: value("wiops"),
        })
    };
    text.lines().filter_map(line).collect()
}

fn device_number(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_v1_is_no_limit() {
        assert_eq!(most_of_v1(9_223_372_036_854_771_712), Most::Max);
        assert_eq!(most_of_v1(4096), Most::Of(4096));
    }

    #[test]
    fn rates_are_read_by_device() {
        let found = throttles_of_v2("8:0 rbps=max wbps=1048576 riops=max wiops=7\nx\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].write_bps, Some(Most::Of(1 << 20)));
        assert_eq!(found[0].write_iops, Some(Most::Of(7)));
        assert_eq!(found[0].read_bps, Some(Most::Max));
    }

    #[test]
    fn the_default_weight_is_the_groups() {
        let found = weight_of_v2("default 250\n8:0 10\n");
        assert_eq!(found, Some(IoWeight::Weight(250)));
    }
}
