//! `linux.resources` and `linux.cgroupsPath`.

use std::collections::BTreeMap;

use warren_cgroups::limits::{
    CpuWeight, DeviceKind, DeviceRule, IoWeight, Limits, Most, Throttle,
};
use warren_cgroups::{Place, weight_to_blkio, weight_to_shares};

use super::Writer;
use crate::config::{self, Resources};

impl Writer<'_> {
    pub(super) fn resources(&mut self) {
        let limits = &self.spec.limits;
        if !limits.is_empty() {
            self.linux.resources = Some(resources(limits));
        }
        let place = self.spec.cgroup.as_ref().map(|placement| &placement.place);
        match place {
            None => {}
            Some(Place::Path(path)) => {
                self.linux.cgroups_path = self.path("linux.cgroupsPath", path);
            }
            Some(Place::Scope {
                slice,
                name: Some(name),
            }) => {
                let slice = slice.as_deref().unwrap_or_default();
                let name = name.strip_suffix(".scope").unwrap_or(name);
                let (prefix, name) = name.split_once('-').unwrap_or(("", name));
                self.linux.cgroups_path = format!("{slice}:{prefix}:{name}");
            }
            Some(_) => self.losses.note(
                "linux.cgroupsPath",
                "the control group is the runtime's choice",
            ),
        }
        if self.spec.core_sched {
            let what = "other programs may share the cores";
            self.losses.weaker("linux.resources", what);
        }
    }
}

fn resources(limits: &Limits) -> Resources {
    let io = &limits.io;
    let blkio = |weight: IoWeight| match weight {
        IoWeight::Blkio(weight) => weight as u16,
        IoWeight::Weight(weight) => weight_to_blkio(weight) as u16,
    };
    let has_io = io.weight.is_some()
        || io.leaf_weight.is_some()
        || !io.device_weights.is_empty()
        || !io.throttles.is_empty();
    let block_io = config::BlockIo {
        weight: io.weight.map(blkio),
        leaf_weight: io.leaf_weight.map(|weight| weight as u16),
        weight_device: io
            .device_weights
            .iter()
            .map(|one| config::WeightDevice {
                major: one.device.major.into(),
                minor: one.device.minor.into(),
                weight: one.weight.map(blkio),
                leaf_weight: one.leaf_weight.map(|weight| weight as u16),
            })
            .collect(),
        throttle_read_bps_device: rates(&io.throttles, |it| it.read_bps),
        throttle_write_bps_device: rates(&io.throttles, |it| it.write_bps),
        throttle_read_iops_device: rates(&io.throttles, |it| it.read_iops),
        throttle_write_iops_device: rates(&io.throttles, |it| it.write_iops),
    };
    let network = &limits.network;
    let has_network = network.class_id.is_some() || !network.priorities.is_empty();
    Resources {
        devices: limits.devices.iter().map(device).collect(),
        memory: memory(limits),
        cpu: cpu(limits),
        pids: limits.pids.map(|most| config::Pids {
            limit: Some(number(most)),
        }),
        block_io: has_io.then_some(block_io),
        hugepage_limits: limits
            .hugetlb
            .iter()
            .map(|pages| config::HugepageLimit {
                page_size: pages.size.clone(),
                limit: pages.max.limit().unwrap_or(u64::MAX),
            })
            .collect(),
        network: has_network.then(|| config::Network {
            class_id: network.class_id,
            priorities: network
                .priorities
                .iter()
                .map(|(name, priority)| config::InterfacePriority {
                    name: name.clone(),
                    priority: *priority,
                })
                .collect(),
        }),
        rdma: limits
            .rdma
            .iter()
            .map(|one| {
                let most = |most: Option<Most>| {
                    most.and_then(Most::limit).map(|most| most as u32)
                };
                let rdma = config::Rdma {
                    hca_handles: most(one.handles),
                    hca_objects: most(one.objects),
                };
                (one.device.clone(), rdma)
            })
            .collect(),
        unified: unified(limits),
    }
}

fn number(most: Most) -> i64 {
    match most {
        Most::Max => -1,
        Most::Of(value) => i64::try_from(value).unwrap_or(i64::MAX),
    }
}

fn memory(limits: &Limits) -> Option<config::Memory> {
    let memory = &limits.memory;
    // Both together are what the specification counts.
    let swap = match (memory.swap, memory.max) {
        (Some(Most::Max), _) => Some(-1),
        (Some(Most::Of(swap)), Some(Most::Of(max))) => {
            Some(number(Most::Of(swap.saturating_add(max))))
        }
        _ => None,
    };
    let made = config::Memory {
        limit: memory.max.map(number),
        reservation: memory.low.map(number),
        swap,
        kernel_tcp: memory.kernel_tcp.map(number),
        swappiness: memory.swappiness,
        disable_oom_killer: memory.no_oom_killer,
        check_before_update: memory.check_before_update.then_some(true),
        ..config::Memory::default()
    };
    (made != config::Memory::default()).then_some(made)
}

fn cpu(limits: &Limits) -> Option<config::Cpu> {
    let (cpu, cpuset) = (&limits.cpu, &limits.cpuset);
    let made = config::Cpu {
        shares: cpu.weight.map(|weight| match weight {
            CpuWeight::Shares(shares) => shares,
            CpuWeight::Weight(weight) => weight_to_shares(weight),
        }),
        quota: cpu.quota_us.map(number),
        burst: cpu.burst_us,
        period: cpu.period_us,
        realtime_runtime: cpu.realtime_runtime_us,
        realtime_period: cpu.realtime_period_us,
        cpus: cpuset.cpus.clone().unwrap_or_default(),
        mems: cpuset.mems.clone().unwrap_or_default(),
        idle: cpu.idle.map(i64::from),
    };
    (made != config::Cpu::default()).then_some(made)
}

fn rates(
    throttles: &[Throttle],
    field: impl Fn(&Throttle) -> Option<Most>,
) -> Vec<config::Throttle> {
    let given = throttles
        .iter()
        .filter_map(|one| Some((one.device, field(one)?)));
    given
        .map(|(device, most)| config::Throttle {
            major: device.major.into(),
            minor: device.minor.into(),
            rate: most.limit().unwrap_or(0),
        })
        .collect()
}

fn device(rule: &DeviceRule) -> config::DeviceRule {
    let letters = [(rule.read, 'r'), (rule.write, 'w'), (rule.mknod, 'm')];
    let given = letters.into_iter().filter(|(has, _)| *has);
    config::DeviceRule {
        allow: rule.allow,
        r#type: match rule.kind {
            DeviceKind::All => "a",
            DeviceKind::Char => "c",
            DeviceKind::Block => "b",
        }
        .to_owned(),
        major: rule.major.map(i64::from),
        minor: rule.minor.map(i64::from),
        access: given.map(|(_, letter)| letter).collect(),
    }
}

/// The files of v2, and what has no other name.
fn unified(limits: &Limits) -> BTreeMap<String, String> {
    let memory = &limits.memory;
    let files = [
        ("memory.high", memory.high),
        ("memory.min", memory.min),
        ("memory.zswap.max", memory.zswap),
    ];
    let files = files
        .into_iter()
        .filter_map(|(name, most)| Some((name.to_owned(), most?.to_string())));
    let switches = [
        ("memory.oom.group", memory.oom_group),
        ("memory.zswap.writeback", memory.zswap_writeback),
    ];
    let switches = switches
        .into_iter()
        .filter_map(|(name, on)| Some((name.to_owned(), u8::from(on?).to_string())));
    let misc = limits
        .misc
        .iter()
        .map(|(name, most)| format!("{name} {most}"));
    let misc: Vec<String> = misc.collect();
    let misc = (!misc.is_empty()).then(|| ("misc.max".to_owned(), misc.join("\n")));
    files
        .chain(switches)
        .chain(misc)
        .chain(limits.unified.iter().cloned())
        .collect()
}
