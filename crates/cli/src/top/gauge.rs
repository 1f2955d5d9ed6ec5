//! What a group of processes has used until now.
//!
//! The kernel's own count is that of a control group. Where somebody else is in the same one,
//! what the processes themselves have used is added up: without those that have ended. On v1
//! each hierarchy has groups of its own, so one may be counted so and another so.

use std::collections::HashMap;

use warren_cgroups::{Cgroup, Hierarchies, Membership, Pressure, of_process};
use warren_namespaces::{Kind, ProcRoot, Process, Snapshot};

use crate::overview::{Node, Overview};

/// Use until now; `None` where it could not be read.
#[derive(Clone, Debug, Default)]
pub struct Gauge {
    /// Microseconds on a CPU.
    pub cpu_us: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes read from block devices and written to them.
    pub io: Option<[u64; 2]>,
    /// Bytes that came to the network namespace and left it, where it is not the host's.
    pub net: Option<[u64; 2]>,
    /// Of a control group that is its own.
    pub pressure: Pressure,
    /// Who has counted the time on a CPU.
    pub counted: Counted,
    /// Who has counted the bytes of block devices.
    pub io_counted: Counted,
    /// Whether something is there that the caller may not read.
    pub is_partial: bool,
}

/// Who has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// Nobody: no process is there.
    #[default]
    Nobody,
    /// The kernel, for a control group of its own.
    Group,
    /// The processes that are there, each for itself.
    Processes,
}

impl Counted {
    fn group(is_it: bool) -> Self {
        match is_it {
            true => Self::Group,
            false => Self::Nobody,
        }
    }
}

/// The gauges of all nodes of an overview, by their place in it; none of the host's.
pub fn read(proc: &ProcRoot, snapshot: &Snapshot, overview: &Overview) -> Vec<Gauge> {
    let members = overview.group_of_processes(snapshot);
    let groups = Groups::read(proc, &members);
    let hierarchies = Hierarchies::detect(proc).ok();
    let read = |(at, node): (usize, &Node)| {
        if node.is_host || node.pid.is_none() {
            return Gauge::default();
        }
        let own: Vec<&Process> = members
            .iter()
            .filter(|(_, of)| *of == at)
            .map(|(process, _)| *process)
            .collect();
        let Some(first) = own.first() else {
            return Gauge::default();
        };
        let group = hierarchies.as_ref().and_then(|all| {
            let is_own = |membership: &Membership| groups.is_own(at, membership);
            Cgroup::of_process_where(all, proc, first.pid, is_own).ok()
        });
        let mut gauge = match group {
            Some(group) => of_group(&group),
            None => Gauge::default(),
        };
        add_processes(&mut gauge, proc, &own);
        if is_elsewhere(snapshot, first) {
            gauge.net = network(proc, first.pid);
            gauge.is_partial |= gauge.net.is_none();
        }
        gauge
    };
    overview.nodes.iter().enumerate().map(read).collect()
}

/// Which nodes' processes are in which control groups.
struct Groups {
    /// The only node in a group; `None` where there are several.
    owner: HashMap<Membership, Option<usize>>,
}

impl Groups {
    fn read(proc: &ProcRoot, members: &[(&Process, usize)]) -> Self {
        let mut owner = HashMap::new();
        for (process, at) in members {
            for membership in of_process(proc, process.pid).unwrap_or_default() {
                let owner = owner.entry(membership).or_insert(Some(*at));
                *owner = owner.filter(|owner| owner == at);
            }
        }
        Self { owner }
    }

    fn is_own(&self, at: usize, membership: &Membership) -> bool {
        self.owner.get(membership) == Some(&Some(at))
    }
}

fn of_group(group: &Cgroup) -> Gauge {
    let stat = group.stat();
    let io = stat.io_read.zip(stat.io_written).map(<[u64; 2]>::from);
    Gauge {
        cpu_us: stat.cpu_us,
        memory: stat.memory,
        io,
        pressure: group.pressure(),
        counted: Counted::group(stat.cpu_us.is_some()),
        io_counted: Counted::group(io.is_some()),
        ..Gauge::default()
    }
}

/// Adds up what no control group has counted.
fn add_processes(gauge: &mut Gauge, proc: &ProcRoot, processes: &[&Process]) {
    let (mut cpu_us, mut memory, mut io) = (0, 0, Some([0, 0]));
    let has_io = gauge.io.is_some();
    let mut seen = false;
    for process in processes {
        if gauge.cpu_us.is_none() || gauge.memory.is_none() {
            let stat = proc.read(&format!("{}/stat", process.pid)).ok();
            if let Some((time, bytes)) = stat.and_then(|stat| of_stat(&stat)) {
                seen = true;
                cpu_us += time;
                memory += bytes;
            }
        }
        if !has_io {
            let text = proc.read(&format!("{}/io", process.pid)).ok();
            io = io
                .zip(text.and_then(|text| of_io(&text)))
                .map(|(sum, own)| [sum[0] + own[0], sum[1] + own[1]]);
        }
    }
    if seen {
        gauge.cpu_us.get_or_insert(cpu_us);
        gauge.memory.get_or_insert(memory);
        if gauge.counted == Counted::Nobody {
            gauge.counted = Counted::Processes;
        }
    }
    if !has_io && io.is_some() {
        gauge.io = io;
        gauge.io_counted = Counted::Processes;
    }
    gauge.is_partial = gauge.io.is_none() || gauge.cpu_us.is_none();
}

/// Microseconds on a CPU and bytes of memory: /proc/PID/stat.
fn of_stat(text: &[u8]) -> Option<(u64, u64)> {
    // The name may have anything in it, parentheses too.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
    let word = |field: usize| rest.split_ascii_whitespace().nth(field - 3)?.parse().ok();
    let (user, system, pages): (u64, u64, u64) = (word(14)?, word(15)?, word(24)?);
    let tick = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    Some(((user + system) * tick, pages * page))
}

/// Bytes read from block devices and written to them: /proc/PID/io.
fn of_io(text: &[u8]) -> Option<[u64; 2]> {
    let text = std::str::from_utf8(text).ok()?;
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    Some([field("read_bytes:")?, field("write_bytes:")?])
}

/// Whether a process has not the host's network.
fn is_elsewhere(snapshot: &Snapshot, process: &Process) -> bool {
    snapshot.reference.is_some_and(|host| {
        host.namespaces.get(Kind::Net) != process.namespaces.get(Kind::Net)
    })
}

fn network(proc: &ProcRoot, pid: u32) -> Option<[u64; 2]> {
    let text = proc.read(&format!("{pid}/net/dev")).ok()?;
    Some(of_links(&String::from_utf8_lossy(&text)))
}

/// Bytes received and sent by all links but the loopback: /proc/PID/net/dev.
fn of_links(text: &str) -> [u64; 2] {
    let mut sum = [0; 2];
    let links = text.lines().filter_map(|line| line.split_once(':'));
    for (_, counts) in links.filter(|(name, _)| name.trim() != "lo") {
        let counts: Vec<u64> = counts
            .split_ascii_whitespace()
            .map(|word| word.parse().unwrap_or(0))
            .collect();
        if let [received, _, _, _, _, _, _, _, sent, ..] = counts[..] {
            sum = [sum[0] + received, sum[1] + sent];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let text = b"7 (a) b) (c) S 1 7 7 0 -1 4 0 0 0 0 150 50 0 0 20 0 1 0 9 4096 3 9";
        let tick = 1_000_000 / rustix::param::clock_ticks_per_second();
        let page = rustix::param::page_size() as u64;
        assert_eq!(of_stat(text), Some((200 * tick, 3 * page)));
        assert_eq!(of_stat(b"7 (a"), None);
        assert_eq!(of_stat(b"7 (a) S 1"), None);
    }

    #[test]
    fn links_but_the_loopback_are_added_up() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n\
                    \x20   lo: 500 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n\
                    \x20 eth0: 100 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n\
                    \x20 eth1: 20 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0\n";
        assert_eq!(of_links(text), [120, 10]);
        assert_eq!(of_links(""), [0, 0]);
    }

    #[test]
    fn blocks_are_read_from_io_and_not_what_the_cache_had() {
        let text = b"rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\n\
                     cancelled_write_bytes: 0\n";
        assert_eq!(of_io(text), Some([4096, 8192]));
        assert_eq!(of_io(b""), None);
    }
}
