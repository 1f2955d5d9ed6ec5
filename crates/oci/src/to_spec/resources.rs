//! `linux.resources` and `linux.cgroupsPath`.
//!
//! A 0 where the specification has none to offer is what Go writes for "not given", and is
//! passed over, as every runtime does.

use std::collections::BTreeMap;

use warren_cgroups::limits::{
    Cpu, CpuWeight, Cpuset, DeviceKind, DeviceNumber, DeviceRule, DeviceWeight,
    HugePages, Io, IoWeight, Limits, Memory, Most, Network, Rdma, Throttle,
};
use warren_cgroups::{Place, Placement};

use super::Reader;
use crate::config::{self, Linux};
use crate::error::Error;

impl Reader<'_> {
    pub(super) fn resources(&mut self, linux: &Linux) -> Result<(), Error> {
        self.cgroup(&linux.cgroups_path)?;
        if let Some(resources) = &linux.resources {
            if resources
                .memory
                .as_ref()
                .is_some_and(|one| one.kernel.is_some())
            {
                let what = "memory of the kernel is no longer limited by itself";
                self.losses.note("linux.resources.memory.kernel", what);
            }
            self.spec.limits = limits(resources)?;
        }
        Ok(())
    }

    /// A path below the root of each hierarchy, or `SLICE:PREFIX:NAME` for systemd.
    fn cgroup(&mut self, path: &str) -> Result<(), Error> {
        if path.is_empty() {
            return Ok(());
        }
        let wrong = |message: String| Error::new("linux.cgroupsPath", message);
        let is_up = |part: &str| part == "..";
        if path.split('/').any(is_up) || path.contains(['\0', '\n']) {
            return Err(wrong(format!("expected a path without .., found {path:?}")));
        }
        let parts: Vec<&str> = path.split(':').collect();
        let place = match parts[..] {
            [slice, prefix, name] if !path.starts_with('/') => {
                if name.is_empty() || path.contains('/') {
                    let message = format!("expected slice:prefix:name, found {path:?}");
                    return Err(wrong(message));
                }
                let dash = if prefix.is_empty() { "" } else { "-" };
                let slice = (!slice.is_empty()).then(|| slice.to_owned());
                // A slice is a unit of its own, and not made for the process.
                let suffix = if name.ends_with(".slice") {
                    ""
                } else {
                    ".scope"
                };
                let name = Some(format!("{prefix}{dash}{name}{suffix}"));
                Place::Scope { slice, name }
            }
            _ => Place::Path(path.into()),
        };
        self.spec.cgroup = Some(Placement {
            place,
            everywhere: true,
            ..Placement::default()
        });
        Ok(())
    }
}

/// What `linux.resources` allows.
///
/// # Errors
/// [`Error`] where a value is none.
pub fn limits(resources: &config::Resources) -> Result<Limits, Error> {
    let cpu = resources.cpu.as_ref();
    let memory = resources.memory.as_ref().map(memory).transpose()?;
    let mut limits = Limits {
        cpu: cpu.map(cpu_time).transpose()?.unwrap_or_default(),
        cpuset: cpu.map(cpuset).unwrap_or_default(),
        memory: memory.unwrap_or_default(),
        pids: pids(resources.pids.as_ref())?,
        devices: devices(&resources.devices)?,
        network: resources.network.as_ref().map(network).unwrap_or_default(),
        unified: resources.unified.clone().into_iter().collect(),
        ..Limits::default()
    };
    if let Some(block_io) = &resources.block_io {
        limits.io = io(block_io)?;
    }
    for (index, pages) in resources.hugepage_limits.iter().enumerate() {
        if pages.page_size.is_empty() {
            let key = format!("hugepageLimits[{index}].pageSize");
            return Err(wrong(&key, "is missing"));
        }
        limits.hugetlb.push(HugePages {
            size: pages.page_size.clone(),
            max: Most::Of(pages.limit),
        });
    }
    for (device, most) in &resources.rdma {
        let most_of = |most: Option<u32>| most.map(|most| Most::Of(most.into()));
        limits.rdma.push(Rdma {
            device: device.clone(),
            handles: most_of(most.hca_handles),
            objects: most_of(most.hca_objects),
        });
    }
    Ok(limits)
}

fn wrong(key: &str, message: impl std::fmt::Display) -> Error {
    Error::new(format!("linux.resources.{key}"), message)
}

/// -1 is no limit, 0 none that is given.
fn most(key: &str, value: Option<i64>) -> Result<Option<Most>, Error> {
    match value {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some(Most::Max)),
        Some(value) => match u64::try_from(value) {
            Ok(value) => Ok(Some(Most::Of(value))),
            Err(_) => Err(wrong(key, format!("{value} is neither a limit nor -1"))),
        },
    }
}

fn given(value: Option<u64>) -> Option<u64> {
    value.filter(|value| *value != 0)
}

fn memory(memory: &config::Memory) -> Result<Memory, Error> {
    let max = most("memory.limit", memory.limit)?;
    let both = most("memory.swap", memory.swap)?;
    let swap = match (both, max) {
        (None, Some(Most::Max)) => Some(Most::Max),
        (None, _) => None,
        (Some(Most::Max), _) => Some(Most::Max),
        (Some(Most::Of(both)), Some(Most::Of(max))) if both >= max => {
            Some(Most::Of(both - max))
        }
        (Some(Most::Of(_)), Some(Most::Of(max))) => {
            let message = format!("counts memory too: at least {max}");
            return Err(wrong("memory.swap", message));
        }
        (Some(Most::Of(_)), _) => {
            let message = "counts memory too, and needs memory.limit";
            return Err(wrong("memory.swap", message));
        }
    };
    if memory.swappiness.is_some_and(|percent| percent > 100) {
        return Err(wrong("memory.swappiness", "is at most 100"));
    }
    Ok(Memory {
        max,
        low: most("memory.reservation", memory.reservation)?,
        swap,
        swappiness: memory.swappiness,
        no_oom_killer: memory.disable_oom_killer.filter(|disabled| *disabled),
        kernel_tcp: most("memory.kernelTCP", memory.kernel_tcp)?,
        check_before_update: memory.check_before_update.unwrap_or(false),
        ..Memory::default()
    })
}

fn cpu_time(cpu: &config::Cpu) -> Result<Cpu, Error> {
    let idle = match cpu.idle {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(other) => {
            let message = format!("{other} is neither 0 nor 1");
            return Err(wrong("cpu.idle", message));
        }
    };
    Ok(Cpu {
        quota_us: most("cpu.quota", cpu.quota)?,
        period_us: given(cpu.period),
        burst_us: cpu.burst,
        weight: given(cpu.shares).map(CpuWeight::Shares),
        idle,
        realtime_runtime_us: cpu.realtime_runtime.filter(|time| *time != 0),
        realtime_period_us: given(cpu.realtime_period),
    })
}

fn cpuset(cpu: &config::Cpu) -> Cpuset {
    let list = |list: &String| (!list.is_empty()).then(|| list.clone());
    Cpuset {
        cpus: list(&cpu.cpus),
        mems: list(&cpu.mems),
    }
}

/// 0 is a limit: with none at all not even the first process could be there.
fn pids(pids: Option<&config::Pids>) -> Result<Option<Most>, Error> {
    match pids.and_then(|pids| pids.limit) {
        Some(0) => Ok(Some(Most::Of(1))),
        limit => most("pids.limit", limit),
    }
}

fn network(network: &config::Network) -> Network {
    let priorities = network.priorities.iter();
    Network {
        class_id: network.class_id,
        priorities: priorities
            .map(|one| (one.name.clone(), one.priority))
            .collect(),
    }
}

fn number(key: &str, major: i64, minor: i64) -> Result<DeviceNumber, Error> {
    let part = |value: i64| {
        u32::try_from(value)
            .map_err(|_| wrong(key, format!("{major}:{minor} is no number of a device")))
    };
    Ok(DeviceNumber {
        major: part(major)?,
        minor: part(minor)?,
    })
}

fn io(block_io: &config::BlockIo) -> Result<Io, Error> {
    let weight = |weight: Option<u16>| given(weight.map(u64::from));
    let mut device_weights = Vec::new();
    for (index, one) in block_io.weight_device.iter().enumerate() {
        let key = format!("blockIO.weightDevice[{index}]");
        device_weights.push(DeviceWeight {
            device: number(&key, one.major, one.minor)?,
            weight: weight(one.weight).map(IoWeight::Blkio),
            leaf_weight: weight(one.leaf_weight),
        });
    }
    Ok(Io {
        weight: weight(block_io.weight).map(IoWeight::Blkio),
        leaf_weight: weight(block_io.leaf_weight),
        device_weights,
        throttles: throttles(block_io)?,
    })
}

/// Of four lists, one for each device.
fn throttles(block_io: &config::BlockIo) -> Result<Vec<Throttle>, Error> {
    type Field = fn(&mut Throttle) -> &mut Option<Most>;
    let lists: [(&str, _, Field); 4] = [
        (
            "throttleReadBpsDevice",
            &block_io.throttle_read_bps_device,
            |it| &mut it.read_bps,
        ),
        (
            "throttleWriteBpsDevice",
            &block_io.throttle_write_bps_device,
            |it| &mut it.write_bps,
        ),
        (
            "throttleReadIOPSDevice",
            &block_io.throttle_read_iops_device,
            |it| &mut it.read_iops,
        ),
        (
            "throttleWriteIOPSDevice",
            &block_io.throttle_write_iops_device,
            |it| &mut it.write_iops,
        ),
    ];
    let mut all: BTreeMap<DeviceNumber, Throttle> = BTreeMap::new();
    for (name, list, field) in lists {
        for (index, one) in list.iter().enumerate() {
            let key = format!("blockIO.{name}[{index}]");
            let device = number(&key, one.major, one.minor)?;
            let throttle = all.entry(device).or_default();
            throttle.device = device;
            // To v1, 0 is no limit.
            *field(throttle) = Some(match one.rate {
                0 => Most::Max,
                rate => Most::Of(rate),
            });
        }
    }
    Ok(all.into_values().collect())
}

/// The rules, and after them those without which no container works: the devices that each
/// has, and the making of files that cannot be opened then.
fn devices(rules: &[config::DeviceRule]) -> Result<Vec<DeviceRule>, Error> {
    let mut all = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        all.push(device(index, rule)?);
    }
    if !all.is_empty() {
        all.extend(usual_devices());
    }
    Ok(all)
}

fn device(index: usize, rule: &config::DeviceRule) -> Result<DeviceRule, Error> {
    let wrong =
        |key: &str, message: String| wrong(&format!("devices[{index}].{key}"), message);
    let kind = match rule.r#type.as_str() {
        "" | "a" => DeviceKind::All,
        "c" | "u" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        other => return Err(wrong("type", format!("unknown type {other:?}"))),
    };
    let part = |key: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| wrong(key, format!("{value} is no number of a device"))),
    };
    // An a is no letter of the specification, but everybody has passed it over.
    if let Some(letter) = rule.access.chars().find(|letter| !"rwma".contains(*letter)) {
        let message = format!("expected letters of rwm, found {letter:?}");
        return Err(wrong("access", message));
    }
    let has = |letter: char| rule.access.is_empty() || rule.access.contains(letter);
    Ok(DeviceRule {
        allow: rule.allow,
        kind,
        major: part("major", rule.major)?,
        minor: part("minor", rule.minor)?,
        read: has('r'),
        write: has('w'),
        mknod: has('m'),
    })
}

fn usual_devices() -> Vec<DeviceRule> {
    let make = |kind| DeviceRule {
        allow: true,
        kind,
        mknod: true,
        ..DeviceRule::default()
    };
    let open = |major, minor| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(major),
        minor,
        read: true,
        write: true,
        mknod: true,
    };
    let mut all = vec![make(DeviceKind::Char), make(DeviceKind::Block)];
    // null, zero, full, random, urandom
    all.extend([3, 5, 7, 8, 9].map(|minor| open(1, Some(minor))));
    // tty, console, ptmx
    all.extend([0, 1, 2].map(|minor| open(5, Some(minor))));
    // The terminals of a devpts.
    all.push(open(136, None));
    all
}
