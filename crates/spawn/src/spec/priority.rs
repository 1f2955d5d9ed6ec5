//! When the process runs, where its memory lies, and as what machine it sees the kernel.

use serde::{Deserialize, Serialize};

/// The scheduling policy: sched_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scheduler {
    /// The policy.
    pub policy: Policy,
    /// The nice value, of [`Policy::Other`] and [`Policy::Batch`].
    pub nice: i32,
    /// The static priority, of [`Policy::Fifo`] and [`Policy::RoundRobin`].
    pub priority: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nanoseconds per period, of [`Policy::Deadline`].
    pub runtime: u64,
    /// Nanoseconds until the deadline.
    pub deadline: u64,
    /// Nanoseconds of a period.
    pub period: u64,
}

/// The policies of sched(7), by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// `SCHED_OTHER`.
    #[default]
    Other = 0,
    /// `SCHED_FIFO`.
    Fifo = 1,
    /// `SCHED_RR`.
    RoundRobin = 2,
    /// `SCHED_BATCH`.
    Batch = 3,
    /// `SCHED_ISO`, which no kernel has so far.
    Iso = 4,
    /// `SCHED_IDLE`.
    Idle = 5,
    /// `SCHED_DEADLINE`.
    Deadline = 6,
}

/// The priority of input and output: ioprio_set(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoPriority {
    /// The class.
    pub class: IoClass,
    /// 0, the highest, to 7.
    pub priority: u8,
}

/// The classes of ioprio_set(2), by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IoClass {
    /// First of all.
    RealTime = 1,
    /// The usual one.
    BestEffort = 2,
    /// When nobody else wants.
    Idle = 3,
}

/// On which nodes memory is taken: set_mempolicy(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryPolicy {
    /// `MPOL_*`, with `MPOL_F_*`.
    pub mode: u32,
    /// The nodes, as bits; the lowest of the first word is node 0.
    pub nodes: Vec<u64>,
}

/// Processors, as bits; the lowest of the first word is processor 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processors(pub Vec<u64>);

/// On which processors the process may run: sched_setaffinity(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affinity {
    /// From the begin, before it is in its control group.
    pub initial: Option<Processors>,
    /// From when it is in there.
    pub last: Option<Processors>,
}

/// Offsets of the clocks of a new time namespace: time_namespaces(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeOffsets {
    /// Seconds and nanoseconds that are added to `CLOCK_MONOTONIC`.
    pub monotonic: Option<(i64, u32)>,
    /// Those of `CLOCK_BOOTTIME`.
    pub boottime: Option<(i64, u32)>,
}

impl TimeOffsets {
    /// Whether no clock has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The labels that security modules give the program when it is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// The profile of AppArmor.
    pub apparmor: Option<String>,
    /// The context of SELinux.
    pub selinux: Option<String>,
}

impl Labels {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who answers the system calls that a profile leaves to a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The socket that takes the listener's descriptor.
    pub socket: std::path::PathBuf,
    /// What is sent with it: these, with the number of the process, as the caller sees
    /// it, between one and the next.
    pub message: Vec<String>,
}

/// A class of cache and memory bandwidth of the processor: resctrl.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheClass {
    /// Its name, a folder of resctrl.
    pub name: String,
    /// The lines of its file `schemata`; if empty, it must be there already.
    pub schemata: Vec<String>,
    /// Counts the process by itself: a monitoring group of this name in it.
    pub monitor: Option<String>,
}

/// A network interface that is moved into the new network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name in the caller's network namespace.
    pub outside: String,
    /// Its name inside.
    pub inside: String,
}
