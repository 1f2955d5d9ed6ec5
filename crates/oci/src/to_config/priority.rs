//! Clocks, priorities, and the labels of security modules.

use warren_spawn::{IoClass, Policy};

use super::Writer;
use crate::config::{self, TimeOffset};
use crate::to_spec::priority::{MEMORY_FLAGS, MEMORY_MODES, SCHEDULER_FLAGS, list};

impl Writer<'_> {
    pub(super) fn priorities(&mut self) {
        self.of_process();
        self.of_linux();
    }

    fn of_process(&mut self) {
        let spec = self.spec;
        let Some(process) = &mut self.config.process else {
            return;
        };
        if let Some(one) = spec.scheduler {
            let flags = SCHEDULER_FLAGS
                .iter()
                .filter(|(_, bit)| one.flags & bit != 0);
            process.scheduler = Some(config::Scheduler {
                policy: policy(one.policy).to_owned(),
                nice: one.nice,
                priority: one.priority.try_into().unwrap_or(i32::MAX),
                flags: flags.map(|(word, _)| (*word).to_owned()).collect(),
                runtime: one.runtime,
                deadline: one.deadline,
                period: one.period,
            });
        }
        if let Some(one) = spec.io_priority {
            let class = match one.class {
                IoClass::RealTime => "IOPRIO_CLASS_RT",
                IoClass::BestEffort => "IOPRIO_CLASS_BE",
                IoClass::Idle => "IOPRIO_CLASS_IDLE",
            };
            process.io_priority = Some(config::IoPriority {
                class: class.to_owned(),
                priority: one.priority.into(),
            });
        }
        process.apparmor_profile = spec.labels.apparmor.clone().unwrap_or_default();
        process.selinux_label = spec.labels.selinux.clone().unwrap_or_default();
    }

    fn of_linux(&mut self) {
        let spec = self.spec;
        self.linux.mount_label = spec.mount_label.clone().unwrap_or_default();
        let offsets = [
            ("monotonic", spec.time_offsets.monotonic),
            ("boottime", spec.time_offsets.boottime),
        ];
        for (clock, offset) in offsets {
            let Some((secs, nanosecs)) = offset else {
                continue;
            };
            let offset = TimeOffset { secs, nanosecs };
            self.linux.time_offsets.insert(clock.to_owned(), offset);
        }
        if let Some(domain) = spec.personality {
            match domain {
                0 | 8 => {
                    let word = if domain == 0 { "LINUX" } else { "LINUX32" };
                    self.linux.personality = Some(config::Personality {
                        domain: word.to_owned(),
                        flags: Vec::new(),
                    });
                }
                other => self.losses.note(
                    "linux.personality",
                    format!("there is no word for the domain {other:#x}"),
                ),
            }
        }
        if let Some(policy) = &spec.memory_policy {
            const FLAGS: u32 = 0xe000;
            let mode = MEMORY_MODES.iter();
            let mode = mode.clone().find(|(_, bits)| *bits == policy.mode & !FLAGS);
            let flags = MEMORY_FLAGS
                .iter()
                .filter(|(_, bit)| policy.mode & bit != 0);
            self.linux.memory_policy = Some(config::MemoryPolicy {
                mode: mode.map_or("", |(word, _)| word).to_owned(),
                nodes: list(&policy.nodes),
                flags: flags.map(|(word, _)| (*word).to_owned()).collect(),
            });
        }
        if let Some(class) = &spec.cache_class {
            self.linux.intel_rdt = Some(config::IntelRdt {
                clos_id: class.name.clone(),
                schemata: class.schemata.clone(),
                enable_monitoring: class.monitor.is_some(),
                ..config::IntelRdt::default()
            });
        }
    }
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Other => "SCHED_OTHER",
        Policy::Fifo => "SCHED_FIFO",
        Policy::RoundRobin => "SCHED_RR",
        Policy::Batch => "SCHED_BATCH",
        Policy::Iso => "SCHED_ISO",
        Policy::Idle => "SCHED_IDLE",
        Policy::Deadline => "SCHED_DEADLINE",
    }
}
