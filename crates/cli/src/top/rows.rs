//! What was used between two looks, a row for each group of processes.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Instant;

use warren_cgroups::Stalls;
use warren_namespaces::{Kind, NamespaceSet, Snapshot};

use super::gauge::{self, Counted, Gauge};
use crate::failure::Failure;
use crate::overview::{Key, Overview};
use crate::watch::look::Looks;
use crate::words::Users;

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub command: String,
    pub pid: Option<u32>,
    pub user: Option<String>,
    pub processes: usize,
    pub kinds: Vec<Kind>,
    pub gauge: Gauge,
    /// Hundredths of a percent of one CPU.
    pub cpu: Option<u64>,
    /// Bytes a second, read and written, received and sent.
    pub io: Option<[u64; 2]>,
    pub net: Option<[u64; 2]>,
}

impl Row {
    /// The highest share of the last ten seconds in which something waited, in hundredths of
    /// a percent.
    pub fn pressure(&self) -> Option<u32> {
        let pressure = &self.gauge.pressure;
        let parts = [pressure.cpu, pressure.memory, pressure.io];
        parts.iter().flatten().map(average).max()
    }

    /// Its name, and its command where that says more.
    pub fn what(&self) -> String {
        match self.command.is_empty() || self.command == self.name {
            true => self.name.clone(),
            false => format!("{}: {}", self.name, self.command),
        }
    }
}

pub fn average(stalls: &Stalls) -> u32 {
    stalls.some.avg10
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Cpu,
    Memory,
    Io,
    Net,
    Pressure,
    Name,
}

impl Sort {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Cpu, "cpu"),
        (Self::Memory, "memory"),
        (Self::Io, "io"),
        (Self::Net, "net"),
        (Self::Pressure, "pressure"),
        (Self::Name, "name"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()].0
    }

    fn of(self, row: &Row) -> Option<u64> {
        let sum = |pair: Option<[u64; 2]>| pair.map(|[a, b]| a.saturating_add(b));
        match self {
            Self::Cpu => row.cpu,
            Self::Memory => row.gauge.memory,
            Self::Io => sum(row.io),
            Self::Net => sum(row.net),
            Self::Pressure => row.pressure().map(u64::from),
            Self::Name => None,
        }
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(sort, _)| *sort)
            .ok_or_else(|| "there are cpu memory io net pressure name".to_owned())
    }
}

/// The most first, then by name and pid, so that nothing jumps.
pub fn sort(rows: &mut [Row], by: Sort) {
    rows.sort_by(|a, b| {
        let most_first = by.of(b).cmp(&by.of(a));
        most_first
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| a.pid.cmp(&b.pid))
    });
}

/// What a look has found.
pub struct Table {
    pub rows: Vec<Row>,
    /// How many rows have something that the caller may not read.
    pub partial: usize,
    /// Seconds since the look before, if there was one.
    pub seconds: Option<f64>,
}

/// Remembers the look before.
pub struct Meter {
    users: Users,
    before: HashMap<Key, Gauge>,
    at: Option<Instant>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            users: Users::read(),
            before: HashMap::new(),
            at: None,
        }
    }
}

impl Meter {
    /// Looks, and compares with the look before.
    pub fn look(&mut self, looks: &mut Looks, by: Sort) -> Result<Table, Failure> {
        let snapshot = looks.look()?;
        Ok(self.take_up(looks, &snapshot, by))
    }

    fn take_up(&mut self, looks: &Looks, snapshot: &Snapshot, by: Sort) -> Table {
        let overview = Overview::new(snapshot, NamespaceSet::ALL, &self.users);
        let now = Instant::now();
        let gauges = gauge::read(looks.proc(), snapshot, &overview);
        let passed = self.at.replace(now).map(|at| now.duration_since(at));
        let seconds = passed.map(|passed| passed.as_secs_f64());
        let mut rows = Vec::new();
        let mut before = std::mem::take(&mut self.before);
        for (node, gauge) in overview.nodes.iter().zip(gauges) {
            if node.is_host {
                continue;
            }
            let old = before.remove(&node.key).zip(seconds);
            // Where another has counted no difference of the two means anything.
            let cpu_before = old.as_ref().filter(|(old, _)| old.counted == gauge.counted);
            let io_before = old
                .as_ref()
                .filter(|(old, _)| old.io_counted == gauge.io_counted);
            rows.push(Row {
                name: node.name.clone(),
                command: node.command.clone(),
                pid: node.pid,
                user: node.user.clone(),
                processes: node.processes,
                kinds: node.own_kinds().iter().collect(),
                cpu: cpu_before.and_then(|(old, seconds)| {
                    let used = rate(old.cpu_us?, gauge.cpu_us?, *seconds);
                    Some(used / 100)
                }),
                io: io_before
                    .and_then(|(old, seconds)| Some(rates(old.io?, gauge.io?, *seconds))),
                net: old.as_ref().and_then(|(old, seconds)| {
                    Some(rates(old.net?, gauge.net?, *seconds))
                }),
                gauge: gauge.clone(),
            });
            self.before.insert(node.key, gauge);
        }
        sort(&mut rows, by);
        Table {
            partial: rows.iter().filter(|row| row.gauge.is_partial).count(),
            rows,
            seconds,
        }
    }
}

fn rate(before: u64, now: u64, seconds: f64) -> u64 {
    // Processes that have ended count no more.
    (now.saturating_sub(before) as f64 / seconds.max(0.001)).round() as u64
}

fn rates(before: [u64; 2], now: [u64; 2], seconds: f64) -> [u64; 2] {
    [0, 1].map(|n| rate(before[n], now[n], seconds))
}

/// The word for who has counted.
pub fn counted(counted: Counted) -> Option<&'static str> {
    match counted {
        Counted::Nobody => None,
        Counted::Group => Some("group"),
        Counted::Processes => Some("processes"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(name: &str, pid: u32, cpu: Option<u64>, memory: Option<u64>) -> Row {
        Row {
            name: name.to_owned(),
            command: format!("/usr/bin/{name} --all"),
            pid: Some(pid),
            user: Some("root".to_owned()),
            processes: 3,
            kinds: vec![Kind::Net, Kind::Pid],
            gauge: Gauge {
                memory,
                counted: Counted::Group,
                ..Gauge::default()
            },
            cpu,
            io: Some([2 << 20, 0]),
            net: cpu.map(|_| [1024, 2048]),
        }
    }

    #[test]
    fn the_most_comes_first_and_what_is_unknown_last() {
        let mut rows = vec![
            row("b", 1, Some(5), Some(9)),
            row("c", 2, None, Some(10)),
            row("a", 3, Some(700), None),
        ];
        let mut names = |by| {
            sort(&mut rows, by);
            rows.iter().map(|row| row.name.clone()).collect::<String>()
        };
        assert_eq!(names(Sort::Cpu), "abc");
        assert_eq!(names(Sort::Memory), "cba");
        assert_eq!(names(Sort::Net), "abc");
        assert_eq!(names(Sort::Name), "abc");
    }

    #[test]
    fn every_order_has_a_name_and_a_next_one() {
        for (sort, name) in Sort::ALL {
            assert_eq!(name.parse(), Ok(sort));
            assert_eq!(sort.name(), name);
        }
        assert_eq!(Sort::Name.next(), Sort::Cpu);
        assert!("size".parse::<Sort>().is_err());
    }

    #[test]
    fn a_rate_is_per_second_and_never_negative() {
        assert_eq!(rate(100, 300, 2.0), 100);
        assert_eq!(rate(300, 100, 2.0), 0);
        assert_eq!(rates([0, 10], [5, 10], 0.5), [10, 0]);
    }
}
