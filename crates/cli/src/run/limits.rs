//! What the command and all that it starts may use.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use warren_cgroups::{Cgroup, Limits, Place, Placement, Refused};
use warren_namespaces::Kind;
use warren_spawn::{
    Child, DetailedMount, FlagChange, GroupEnd, Mount, Mounted, Namespace, Spec,
};

use crate::failure::{self, Failure};
use crate::limits::words::{self, Rate};
use crate::run::sizes;

/// Limits, and where their control group is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Let CMD and all that it starts use at most N CPUs' time: 0.5, 2
    #[arg(long, value_name = "N")]
    cpus: Option<String>,
    /// Give them this share where CPUs are busy: 1 to 10000, others have 100
    #[arg(long, value_name = "N")]
    cpu_weight: Option<String>,
    /// Let them save up this much of --cpus while idle
    #[arg(long, value_name = "TIME")]
    cpu_burst: Option<String>,
    /// Run them only when no other group wants to
    #[arg(long)]
    cpu_idle: bool,
    /// Let realtime processes run this long in each period (v1)
    #[arg(long, value_name = "TIME[/PERIOD]")]
    cpu_realtime: Option<String>,
    /// Run them on these CPUs alone: 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Take memory from these nodes alone
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Never let two runs share a core at once, by its hyperthreads
    #[arg(long)]
    core_sched: bool,
    /// Kill a process where they would have more memory than SIZE
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Slow them down and reclaim above SIZE (v2)
    #[arg(long, value_name = "SIZE")]
    memory_high: Option<String>,
    /// Reclaim nothing below SIZE while others have some
    #[arg(long, value_name = "SIZE")]
    memory_low: Option<String>,
    /// Never reclaim below SIZE (v2)
    #[arg(long, value_name = "SIZE")]
    memory_min: Option<String>,
    /// Let them have at most SIZE of swap; on v1 with --memory
    #[arg(long, value_name = "SIZE")]
    swap: Option<String>,
    /// Let them have at most SIZE of compressed swap (v2)
    #[arg(long, value_name = "SIZE")]
    zswap: Option<String>,
    /// Where one would be killed for want of memory, kill all (v2)
    #[arg(long)]
    oom_group: bool,
    /// Let SIZE be written, in all, to what vanishes: /tmp, overlays in memory
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// Have that lie on the disk of this folder, in a file without a name, not in memory (root)
    #[arg(long, value_name = "DIR", requires = "disk")]
    disk_in: Option<PathBuf>,
    /// Let there be at most N processes and threads, Warren's init among them
    #[arg(long, value_name = "N")]
    pids: Option<String>,
    /// Give them this share of busy disks: 1 to 10000, others have 100
    #[arg(long, value_name = "N")]
    io_weight: Option<String>,
    /// Read at most RATE bytes a second from the disk that PATH is, or is on
    #[arg(long, value_name = "PATH:RATE")]
    read_bps: Vec<String>,
    /// The same of writing
    #[arg(long, value_name = "PATH:RATE")]
    write_bps: Vec<String>,
    /// Make at most N reads a second there
    #[arg(long, value_name = "PATH:N")]
    read_iops: Vec<String>,
    /// The same of writes
    #[arg(long, value_name = "PATH:N")]
    write_iops: Vec<String>,
    /// Let them have at most so many bytes in huge pages of this size: 2MB:64M
    #[arg(long, value_name = "SIZE:BYTES")]
    hugetlb: Vec<String>,
    /// Limit an RDMA device: mlx4_0:handles=2,objects=2000
    #[arg(long, value_name = "DEVICE:LIMITS")]
    rdma: Vec<String>,
    /// Limit what the misc controller counts (v2)
    #[arg(long, value_name = "NAME:N")]
    misc: Vec<String>,
    /// Forbid to open or make device files: all, /dev/kvm:w, c:10:*
    #[arg(long, value_name = "RULE")]
    device_deny: Vec<String>,
    /// Allow some of what --device-deny forbids
    #[arg(long, value_name = "RULE")]
    device_allow: Vec<String>,
    /// Set any limit by its name of v2: memory.high=1G
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
    /// What to do where a limit cannot be had
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Care::Required)]
    limits: Care,
    /// Make the control group below this one, which is there, as seen from the root
    #[arg(long, value_name = "PATH", conflicts_with = "slice")]
    cgroup: Option<PathBuf>,
    /// Have systemd make it, in this slice
    #[arg(long, value_name = "NAME")]
    slice: Option<String>,
    /// Hand it over, at /sys/fs/cgroup: groups can be made below it from inside (v2)
    #[arg(long)]
    delegate: bool,
}

/// What to do where a limit cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Care {
    /// Do not begin
    Required,
    /// Go on without it, and say so
    BestEffort,
}

impl LimitOptions {
    /// Adds them to what is wanted.
    pub fn apply(&self, spec: &mut Spec) -> Result<(), Failure> {
        self.add_limits(&mut spec.limits)?;
        spec.core_sched |= self.core_sched;
        let disk = self.disk.as_deref().map(|text| sizes::size("--disk", text));
        spec.disk = disk.transpose()?.or(spec.disk);
        spec.disk_in = self.disk_in.clone().or(spec.disk_in.take());
        if self.places() {
            spec.cgroup = Some(self.placement());
        }
        if self.delegate && *spec.namespaces.get(Kind::Mnt) == Namespace::New {
            spec.mounts.push(own_groups());
        }
        Ok(())
    }

    fn places(&self) -> bool {
        self.cgroup.is_some()
            || self.slice.is_some()
            || self.delegate
            || self.limits == Care::BestEffort
    }

    fn placement(&self) -> Placement {
        let place = match (&self.cgroup, &self.slice) {
            (Some(path), _) => Place::Below(Some(path.clone())),
            (None, Some(slice)) => Place::Scope {
                slice: Some(with_suffix(slice)),
                name: None,
            },
            (None, None) => Place::Auto,
        };
        Placement {
            place,
            best_effort: self.limits == Care::BestEffort,
            delegate: self.delegate,
            ..Placement::default()
        }
    }

    fn add_limits(&self, limits: &mut Limits) -> Result<(), Failure> {
        let one = |switch: bool| switch.then(|| "1".to_owned());
        let named = [
            ("--cpus", "cpu.max", self.cpus.clone()),
            ("--cpu-weight", "cpu.weight", self.cpu_weight.clone()),
            ("--cpu-burst", "cpu.max.burst", self.cpu_burst.clone()),
            ("--cpu-idle", "cpu.idle", one(self.cpu_idle)),
            ("--cpu-realtime", "cpu.rt", self.cpu_realtime.clone()),
            ("--cpuset-cpus", "cpuset.cpus", self.cpuset_cpus.clone()),
            ("--cpuset-mems", "cpuset.mems", self.cpuset_mems.clone()),
            ("--memory", "memory.max", self.memory.clone()),
            ("--memory-high", "memory.high", self.memory_high.clone()),
            ("--memory-low", "memory.low", self.memory_low.clone()),
            ("--memory-min", "memory.min", self.memory_min.clone()),
            ("--swap", "memory.swap.max", self.swap.clone()),
            ("--zswap", "memory.zswap.max", self.zswap.clone()),
            ("--oom-group", "memory.oom.group", one(self.oom_group)),
            ("--pids", "pids.max", self.pids.clone()),
            ("--io-weight", "io.weight", self.io_weight.clone()),
        ];
        for (option, name, value) in named {
            if let Some(value) = value {
                words::set(limits, option, name, &value)?;
            }
        }
        self.add_lists(limits)
    }

    fn add_lists(&self, limits: &mut Limits) -> Result<(), Failure> {
        let lists = [
            ("--hugetlb", "hugetlb", &self.hugetlb),
            ("--rdma", "rdma.max", &self.rdma),
            ("--misc", "misc.max", &self.misc),
        ];
        for (option, name, values) in lists {
            for value in values {
                words::set(limits, option, name, value)?;
            }
        }
        let rates = [
            ("--read-bps", Rate::ReadBytes, &self.read_bps),
            ("--write-bps", Rate::WriteBytes, &self.write_bps),
            ("--read-iops", Rate::ReadOperations, &self.read_iops),
            ("--write-iops", Rate::WriteOperations, &self.write_iops),
        ];
        for (option, which, values) in rates {
            for value in values {
                words::rate(limits, option, which, value)?;
            }
        }
        for text in &self.device_deny {
            limits
                .devices
                .push(words::device_rule("--device-deny", false, text)?);
        }
        for text in &self.device_allow {
            limits
                .devices
                .push(words::device_rule("--device-allow", true, text)?);
        }
        for text in &self.limit {
            let (name, value) = words::assignment("--limit", text)?;
            words::set(limits, "--limit", name, value)?;
        }
        Ok(())
    }
}

/// What was handed over, where programs look for it.
fn own_groups() -> Mount {
    let set = FlagChange::NO_SUID | FlagChange::NO_DEVICES | FlagChange::NO_EXEC;
    Mount::Detailed(Box::new(DetailedMount {
        what: Mounted::Cgroup,
        target: "/sys/fs/cgroup".into(),
        flags: FlagChange { set, clear: 0 },
        flags_below: FlagChange::default(),
        propagation: Vec::new(),
    }))
}

fn with_suffix(slice: &str) -> String {
    const SUFFIX: &str = ".slice";
    slice.strip_suffix(SUFFIX).unwrap_or(slice).to_owned() + SUFFIX
}

/// Says which limits the run goes on without.
pub fn tell_refused(refused: &[Refused]) -> Result<(), Failure> {
    for refused in refused {
        failure::print_error(&format!("warren: without limit {refused}\n"))?;
    }
    Ok(())
}

/// Says after the end what of its limits the command met with death, and what could not be
/// cleared away.
pub fn tell_end(
    child: &Child,
    spec: &Spec,
    told: &[Refused],
    killed: bool,
) -> Result<(), Failure> {
    let refused = child.cgroup().map(Cgroup::refused).unwrap_or_default();
    let untold = refused.iter().filter(|it| !told.contains(it));
    tell_refused(&untold.cloned().collect::<Vec<_>>())?;
    let Some(end) = child.cgroup_end() else {
        return Ok(());
    };
    if end.stat.oom_kills.is_some_and(|kills| kills > 0) {
        let text = out_of_memory(end, &spec.limits, killed);
        failure::print_error(&text)?;
    }
    if let Some(error) = &end.left {
        failure::print_error(&format!(
            "warren: {error}\nhint: `warren gc` clears it away\n"
        ))?;
    }
    Ok(())
}

fn out_of_memory(end: &GroupEnd, limits: &Limits, killed: bool) -> String {
    let limit = limits.memory.max.and_then(|most| most.limit());
    let limit = limit.map(|bytes| format!(" (memory.max {})", size(bytes)));
    let limit = limit.unwrap_or_default();
    match end.stat.oom_kills {
        _ if killed => format!("warren: killed: out of memory{limit}\n"),
        Some(1) | None => format!("warren: a process was killed: out of memory{limit}\n"),
        Some(kills) => {
            format!("warren: {kills} processes were killed: out of memory{limit}\n")
        }
    }
}

/// As it can be given: 64M.
fn size(bytes: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let fits = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(fits) {
        Some((shift, letter)) => format!("{}{letter}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_may_be_named_without_its_suffix() {
        assert_eq!(with_suffix("batch"), "batch.slice");
        assert_eq!(with_suffix("batch.slice"), "batch.slice");
    }

    #[test]
    fn sizes_are_said_as_they_are_given() {
        assert_eq!(size(64 << 20), "64M");
        assert_eq!(size(1536 << 20), "1536M");
        assert_eq!(size(1000), "1000");
        assert_eq!(size(0), "0");
    }
}
