//! What a control group may use: one description for v1 and v2.
//!
//! Values are the kernel's own of v2, cgroup-v2(7), where v1 has the same under another
//! name; what only one of the two has says so. [`Default`] limits nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a group may use; a field that is `None` or empty leaves the kernel's value.
///
/// It is the whole of `linux.resources` of runtime-spec 1.3, and more of v2 than that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time on a CPU.
    pub cpu: Cpu,
    /// Which CPUs and memory nodes.
    pub cpuset: Cpuset,
    /// Memory and swap.
    pub memory: Memory,
    /// Processes and threads: `pids.max`.
    pub pids: Option<Most>,
    /// Block devices.
    pub io: Io,
    /// Huge pages, a size each.
    pub hugetlb: Vec<HugePages>,
    /// RDMA devices.
    pub rdma: Vec<Rdma>,
    /// What the misc controller counts: a name of `misc.capacity`, and the most of it. v2 only.
    pub misc: Vec<(String, Most)>,
    /// Which device files can be opened or made, in this order: a later rule overrules an
    /// earlier one. Empty allows all that the parent group does.
    pub devices: Vec<DeviceRule>,
    /// Marks for the network. v1 only.
    pub network: Network,
    /// Files of v2 and what is written to them, after all else: `memory.high`, `1G`.
    pub unified: Vec<(String, String)>,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The most of something: `max`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Most {
    /// No limit.
    Max,
    /// This many.
    Of(u64),
}

impl Most {
    /// The number, where there is a limit.
    #[must_use]
    pub fn limit(self) -> Option<u64> {
        match self {
            Self::Max => None,
            Self::Of(most) => Some(most),
        }
    }
}

impl From<u64> for Most {
    fn from(most: u64) -> Self {
        Self::Of(most)
    }
}

/// As v2 writes it.
impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Of(most) => most.fmt(f),
        }
    }
}

/// Time on a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// Microseconds of CPU time in each period: `cpu.max`, v1 `cpu.cfs_quota_us`.
    pub quota_us: Option<Most>,
    /// Length of a period in microseconds, 1000 to 1000000; the kernel's default is 100000.
    pub period_us: Option<u64>,
    /// Microseconds that may be saved up in idle periods: `cpu.max.burst`, v1
    /// `cpu.cfs_burst_us`. Since Linux 5.14.
    pub burst_us: Option<u64>,
    /// The share when CPUs are busy.
    pub weight: Option<CpuWeight>,
    /// Runs only when nobody else wants to (`SCHED_IDLE`): `cpu.idle`, since Linux 5.15.
    pub idle: Option<bool>,
    /// Microseconds that realtime tasks may run in each realtime period; -1 for no limit.
    /// v1 only, and only where the kernel has `CONFIG_RT_GROUP_SCHED`.
    pub realtime_runtime_us: Option<i64>,
    /// Length of such a period in microseconds.
    pub realtime_period_us: Option<u64>,
}

/// A share of CPU time, on either scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuWeight {
    /// v2's `cpu.weight`: 1 to 10000, 100 by default.
    Weight(u64),
    /// v1's `cpu.shares`: 2 to 262144, 1024 by default.
    Shares(u64),
}

/// Which CPUs and memory nodes: cpuset(7), lists as `0-3,7`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpuset {
    /// `cpuset.cpus`.
    pub cpus: Option<String>,
    /// `cpuset.mems`.
    pub mems: Option<String>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Above this the group's processes are killed: `memory.max`, v1
    /// `memory.limit_in_bytes`.
    pub max: Option<Most>,
    /// Above this they are slowed down and their memory is reclaimed: `memory.high`. v2
    /// only.
    pub high: Option<Most>,
    /// Below this nothing is reclaimed if it can be had elsewhere: `memory.low`, v1
    /// `memory.soft_limit_in_bytes`.
    pub low: Option<Most>,
    /// Below this nothing is ever reclaimed: `memory.min`. v2 only.
    pub min: Option<Most>,
    /// Swap alone: `memory.swap.max`. v1 counts memory and swap together
    /// (`memory.memsw.limit_in_bytes`), so that it needs `max` there.
    pub swap: Option<Most>,
    /// Compressed swap: `memory.zswap.max`. v2 only, since Linux 5.19.
    pub zswap: Option<Most>,
    /// Whether zswap may write to the disk: `memory.zswap.writeback`. v2 only, since
    /// Linux 6.8.
    pub zswap_writeback: Option<bool>,
    /// Kills all of the group where one would be killed: `memory.oom.group`. v2 only.
    pub oom_group: Option<bool>,
    /// 0 to 100: `memory.swappiness`. v1 only.
    pub swappiness: Option<u64>,
    /// Lets processes wait for memory instead of killing one: `memory.oom_control`. v1
    /// only.
    pub no_oom_killer: Option<bool>,
    /// Memory of the kernel for the group: `memory.kmem.limit_in_bytes`. v1 only, and
    /// refused or ignored since Linux 5.16.
    pub kernel: Option<Most>,
    /// Memory of TCP: `memory.kmem.tcp.limit_in_bytes`. v1 only.
    pub kernel_tcp: Option<Most>,
    /// Whether groups below count too: `memory.use_hierarchy`. v1 only, always so since
    /// Linux 5.11.
    pub use_hierarchy: Option<bool>,
    /// Refuses a `max` that is below what is used already, where the kernel would kill.
    pub check_before_update: bool,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Io {
    /// The share when a device is busy.
    pub weight: Option<IoWeight>,
    /// v1 only, of processes directly in the group; gone since Linux 5.0.
    pub leaf_weight: Option<u64>,
    /// The share on one device.
    pub device_weights: Vec<DeviceWeight>,
    /// The most bytes and operations a second on one device: `io.max`, v1
    /// `blkio.throttle.*`.
    pub throttles: Vec<Throttle>,
}

/// A share of a block device, on either scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IoWeight {
    /// v2's `io.weight`: 1 to 10000, 100 by default.
    Weight(u64),
    /// v1's `blkio.weight`: 10 to 1000; 100 by default, of BFQ.
    Blkio(u64),
}

/// A block device by its numbers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A share of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// The device.
    pub device: DeviceNumber,
    /// The share.
    pub weight: Option<IoWeight>,
    /// As [`Io::leaf_weight`].
    pub leaf_weight: Option<u64>,
}

/// The most that may be moved to and from one device in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The device: a whole disk, for the kernel refuses a partition (`ENODEV`).
    pub device: DeviceNumber,
    /// Bytes read.
    pub read_bps: Option<Most>,
    /// Bytes written.
    pub write_bps: Option<Most>,
    /// Reads.
    pub read_iops: Option<Most>,
    /// Writes.
    pub write_iops: Option<Most>,
}

/// Huge pages of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugePages {
    /// As the kernel names it: `2MB`, `1GB`.
    pub size: String,
    /// Bytes of them: `hugetlb.2MB.max`, v1 `hugetlb.2MB.limit_in_bytes`.
    pub max: Most,
}

/// One RDMA device: `rdma.max`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rdma {
    /// Its name, such as `mlx4_0`.
    pub device: String,
    /// Open handles.
    pub handles: Option<Most>,
    /// Objects.
    pub objects: Option<Most>,
}

/// Which device files a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Both.
    #[default]
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// One rule about device files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceRule {
    /// Whether it allows; else it forbids.
    pub allow: bool,
    /// Of which kind. A rule for both is one for every device, whatever its numbers say:
    /// so v1 takes it.
    pub kind: DeviceKind,
    /// Every driver if `None`.
    pub major: Option<u32>,
    /// Every device of the driver if `None`.
    pub minor: Option<u32>,
    /// Opening for reading.
    pub read: bool,
    /// Opening for writing.
    pub write: bool,
    /// mknod(2).
    pub mknod: bool,
}

/// Marks for the network. v1 only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The class of packets for tc(8): `net_cls.classid`.
    pub class_id: Option<u32>,
    /// The priority on each interface: `net_prio.ifpriomap`.
    pub priorities: Vec<(String, u32)>,
}
