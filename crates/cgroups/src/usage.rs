//! What the cgroups of a process may use, and what they have used.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::delegation::{open_folder, open_inside};
use crate::{Hierarchies, Hierarchy, Membership};

/// Limits and use of the cgroups of a process; `None` where no hierarchy with the
/// controller can be seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<Amount>,
    /// Processes and threads.
    pub pids: Option<Amount>,
    /// Time on a CPU.
    pub cpu: Option<Cpu>,
    /// Block devices.
    pub io: Option<Io>,
}

/// A count, and the most that it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How much now.
    pub used: Option<u64>,
    /// The lowest limit of the cgroup and those above it.
    pub limit: Option<Limit>,
}

/// A limit, and which cgroup has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The most.
    pub most: u64,
    /// The cgroup, below the mount point of its hierarchy.
    pub of: PathBuf,
}

/// Time on a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Microseconds used since the cgroup was made.
    pub used_us: Option<u64>,
    /// The lowest quota of the cgroup and those above it.
    pub quota: Option<Quota>,
}

/// How much CPU time in how much time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Microseconds of CPU time in each period.
    pub quota_us: u64,
    /// Length of a period in microseconds.
    pub period_us: u64,
    /// The cgroup, below the mount point of its hierarchy.
    pub of: PathBuf,
}

/// Bytes to and from block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    /// Read since the cgroup was made.
    pub read: u64,
    /// Written since then.
    pub written: u64,
}

/// What the cgroups with these memberships may use and have used.
///
/// A file that is missing or unreadable leaves its part out: kernels differ in which
/// controllers they have, and the root cgroup of v2 has no limits at all.
#[must_use]
pub fn usage(hierarchies: &Hierarchies, memberships: &[Membership]) -> Usage {
    let mut usage = Usage::default();
    for hierarchy in &hierarchies.list {
        let matching = |membership: &&Membership| hierarchy.matches(membership);
        let Some(membership) = memberships.iter().find(matching) else {
            continue;
        };
        let Some(line) = Lineage::open(hierarchy, &membership.path) else {
            continue;
        };
        if hierarchy.is_v2() {
            line.add_v2(&mut usage);
        } else {
            line.add_v1(&mut usage, &hierarchy.controllers);
        }
    }
    usage
}

/// How many processes of the cgroup with these memberships the kernel has killed for want
/// of memory, whose limit ever it was; `None` where no file of it tells: the root of v2 has
/// none, nor has v1 before Linux 4.13.
#[must_use]
pub fn oom_kills(hierarchies: &Hierarchies, memberships: &[Membership]) -> Option<u64> {
    hierarchies.list.iter().find_map(|hierarchy| {
        let file = if hierarchy.is_v2() {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let membership = memberships
            .iter()
            .find(|membership| hierarchy.matches(membership))?;
        let line = Lineage::open(hierarchy, &membership.path)?;
        field(&line.own(file)?, "oom_kill")
    })
}

/// A cgroup and all above it up to the mount point, itself first.
struct Lineage(Vec<(PathBuf, OwnedFd)>);

impl Lineage {
    fn open(hierarchy: &Hierarchy, cgroup: &Path) -> Option<Self> {
        let below = hierarchy.below(cgroup)?;
        let open = |path: &Path| {
            let fd = open_folder(hierarchy, path).ok()?;
            Some((Path::new("/").join(path), fd))
        };
        let line: Vec<_> = below.ancestors().map_while(open).collect();
        (!line.is_empty()).then_some(Self(line))
    }

    fn add_v2(&self, usage: &mut Usage) {
        let amount = |used, most| self.amount(used, most, v2_limit);
        usage.memory = amount("memory.current", "memory.max").or(usage.memory.take());
        usage.pids = amount("pids.current", "pids.max").or(usage.pids.take());
        // Of the CPU the v2 tree always counts something, be the controller on v1.
        if usage.cpu.is_none() {
            usage.cpu = self.cpu(|stat| field(stat, "usage_usec"), "cpu.stat", v2_quota);
        }
        if let Some(text) = self.own("io.stat") {
            usage.io = Some(v2_io(&text));
        }
    }

    fn add_v1(&self, usage: &mut Usage, controllers: &[String]) {
        for controller in controllers {
            match controller.as_str() {
                "memory" => {
                    let names = ("memory.usage_in_bytes", "memory.limit_in_bytes");
                    usage.memory = self.amount(names.0, names.1, v1_limit);
                }
                "pids" => {
                    usage.pids = self.amount("pids.current", "pids.max", v2_limit);
                }
                "cpu" => {
                    let quota = self.lowest_quota(v1_quota);
                    usage.cpu.get_or_insert_default().quota = quota;
                }
                "cpuacct" => {
                    let nanoseconds = self.own("cpuacct.usage");
                    let used = nanoseconds.and_then(|text| number(&text));
                    usage.cpu.get_or_insert_default().used_us =
                        used.map(|used| used / 1000);
                }
                "blkio" => {
                    let text = self.own("blkio.throttle.io_service_bytes");
                    usage.io = text.map(|text| v1_io(&text));
                }
                _ => {}
            }
        }
    }

    /// The text of a file of the cgroup itself.
    fn own(&self, name: &str) -> Option<String> {
        self.0.first().and_then(|(_, fd)| read(fd, name))
    }

    fn amount(
        &self,
        used: &str,
        most: &str,
        limit: impl Fn(&str) -> Option<u64>,
    ) -> Option<Amount> {
        let used = self.own(used).and_then(|text| number(&text));
        let limits = self.0.iter().filter_map(|(path, fd)| {
            let most = limit(&read(fd, most)?)?;
            let of = path.clone();
            Some(Limit { most, of })
        });
        let limit = limits.min_by_key(|limit| limit.most);
        (used.is_some() || limit.is_some()).then_some(Amount { used, limit })
    }

    fn cpu(
        &self,
        used: impl Fn(&str) -> Option<u64>,
        stat: &str,
        quota: impl Fn(&OwnedFd) -> Option<(u64, u64)>,
    ) -> Option<Cpu> {
        let used_us = self.own(stat).and_then(|text| used(&text));
        let quota = self.lowest_quota(quota);
        (used_us.is_some() || quota.is_some()).then_some(Cpu { used_us, quota })
    }

    fn lowest_quota(
        &self,
        quota: impl Fn(&OwnedFd) -> Option<(u64, u64)>,
    ) -> Option<Quota> {
        let quotas = self.0.iter().filter_map(|(path, fd)| {
            let (quota_us, period_us) = quota(fd)?;
            let of = path.clone();
            (period_us > 0).then_some(Quota {
                quota_us,
                period_us,
                of,
            })
        });
        // A thousandth of a CPU is fine enough to tell which is lower.
        quotas.min_by_key(|quota| quota.quota_us.saturating_mul(1000) / quota.period_us)
    }
}

fn read(folder: &OwnedFd, name: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = open_inside(folder, Path::new(name), flags).ok()?;
    // Every file that is read here fits.
    let mut buffer = [0; 16 * 1024];
    let length = rustix::io::read(&fd, &mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `max` for none.
fn v2_limit(text: &str) -> Option<u64> {
    number(text)
}

/// The highest whole page below 2^63 for none.
fn v1_limit(text: &str) -> Option<u64> {
    const NONE: u64 = i64::MAX as u64 - 0xffff;
    number(text).filter(|most| *most < NONE)
}

/// `QUOTA PERIOD`, the first `max` for none.
fn v2_quota(folder: &OwnedFd) -> Option<(u64, u64)> {
    let text = read(folder, "cpu.max")?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some((number(quota)?, number(period)?))
}

/// The quota is -1 for none.
fn v1_quota(folder: &OwnedFd) -> Option<(u64, u64)> {
    let quota = number(&read(folder, "cpu.cfs_quota_us")?)?;
    Some((quota, number(&read(folder, "cpu.cfs_period_us")?)?))
}

/// The number behind a word at the start of a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(key, _)| *key == name)?;
    number(value)
}

/// `8:0 rbytes=1 wbytes=2 rios=...`, a line for each device.
pub(crate) fn v2_io(text: &str) -> Io {
    let sum = |name: &str| {
        let words = text.split_ascii_whitespace();
        let values = words.filter_map(|word| number(word.strip_prefix(name)?));
        values.fold(0, u64::saturating_add)
    };
    Io {
        read: sum("rbytes="),
        written: sum("wbytes="),
    }
}

/// `8:0 Read 1`, `8:0 Write 2` and more, for each device.
pub(crate) fn v1_io(text: &str) -> Io {
    let sum = |name: &str| {
        let lines = text.lines().map(str::split_ascii_whitespace);
        let values = lines.filter_map(|mut words| {
            words.nth(1).filter(|word| *word == name)?;
            number(words.next()?)
        });
        values.fold(0, u64::saturating_add)
    };
    Io {
        read: sum("Read"),
        written: sum("Write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_written_in_two_ways() {
        assert_eq!(v2_limit("max\n"), None);
        assert_eq!(v2_limit("1024\n"), Some(1024));
        assert_eq!(v1_limit("9223372036854771712\n"), None);
        assert_eq!(v1_limit("9223372036854710272\n"), None);
        assert_eq!(v1_limit("4096\n"), Some(4096));
    }

    #[test]
    fn bytes_are_summed_over_the_devices() {
        let text = "8:0 rbytes=10 wbytes=1 rios=9 wios=9\n8:16 rbytes=5 wbytes=2\n";
        let expected = Io {
            read: 15,
            written: 3,
        };
        assert_eq!(v2_io(text), expected);
        let text = "8:0 Read 10\n8:0 Write 1\n8:0 Total 11\n8:16 Read 5\n8:16 Write 2\nTotal 18\n";
        assert_eq!(v1_io(text), expected);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "usage_usec_x 1\nusage_usec 22\nuser_usec 3\n";
        assert_eq!(field(text, "usage_usec"), Some(22));
        assert_eq!(field("usage_usec\n", "usage_usec"), None);
    }

    #[test]
    fn an_overflow_is_the_most_and_no_panic() {
        let most = u64::MAX;
        let text = format!("8:0 rbytes={most}\n8:1 rbytes={most}\n");
        assert_eq!(v2_io(&text).read, most);
    }
}
