//! Clocks, priorities, labels, and the profile whose calls somebody may answer.

use warren_sys::{SchedulerAttributes, SeccompFlags};

use super::Planner;
use super::program::{c_string, own_text};
use crate::error::Error;
use crate::spec::TimeOffsets;
use crate::step::Step;

impl Planner<'_> {
    pub(super) fn time_offsets(&mut self) {
        let offsets = self.spec.time_offsets;
        if !offsets.is_empty() {
            let offsets = own_text(&lines(offsets));
            self.push(Step::TimeNamespace { offsets });
        }
    }

    /// Before privileges are dropped: most of it needs `CAP_SYS_NICE`.
    pub(super) fn priorities(&mut self) {
        let spec = self.spec;
        if let Some(processors) = &spec.affinity.last {
            self.push(Step::Affinity(processors.0.clone()));
        }
        if let Some(one) = spec.scheduler {
            self.push(Step::Scheduler(SchedulerAttributes {
                policy: one.policy as u32,
                flags: one.flags,
                nice: one.nice,
                priority: one.priority,
                runtime: one.runtime,
                deadline: one.deadline,
                period: one.period,
            }));
        }
        if let Some(one) = spec.io_priority {
            self.push(Step::IoPriority(one));
        }
        if let Some(policy) = &spec.memory_policy {
            self.push(Step::MemoryPolicy(policy.clone()));
        }
        if let Some(domain) = spec.personality {
            self.push(Step::Personality(domain));
        }
    }

    /// As root: who has changed its ids may not open these files of its own any more.
    pub(super) fn labels(&mut self) -> Result<(), Error> {
        let labels = &self.spec.labels;
        if let Some(profile) = &labels.apparmor {
            let label = c_string(format!("exec {profile}").as_ref())?;
            let files = ["thread-self/attr/apparmor/exec", "thread-self/attr/exec"];
            let files = files.map(own_text);
            self.push(Step::Label { files, label });
        }
        if let Some(context) = &labels.selinux {
            let label = c_string(context.as_ref())?;
            let files = ["thread-self/attr/selinux/exec", "thread-self/attr/exec"];
            let files = files.map(own_text);
            self.push(Step::Label { files, label });
        }
        Ok(())
    }

    /// The filter of the program's own profile: at the very end, so that it needs to allow
    /// nothing of what goes before; but `first` where only privilege can load it.
    pub(super) fn profile(&mut self, first: bool) -> Result<(), Error> {
        let spec = self.spec;
        let Some(profile) = &spec.syscalls else {
            return Ok(());
        };
        let filter = profile.compile();
        let filter = filter.map_err(|error| {
            Error::spec(format!("compile the system-call profile: {error}"))
        })?;
        let flags = SeccompFlags::from_bits_retain(spec.syscalls_flags);
        let listens = spec.listener.is_some();
        self.push(if first {
            Step::LoadProfileFirst {
                filter,
                flags,
                listens,
            }
        } else {
            Step::LoadProfile {
                filter,
                flags,
                listens,
            }
        });
        Ok(())
    }

    /// Whether the parent adds to the child what the child must wait for.
    pub(super) fn parent_adds(&self) -> bool {
        !self.spec.interfaces.is_empty() || self.spec.cache_class.is_some()
    }

    pub(super) fn parents_additions(&mut self) {
        let spec = self.spec;
        for one in &spec.interfaces {
            self.push(Step::MoveInterface {
                outside: one.outside.clone(),
                inside: one.inside.clone(),
            });
        }
        if let Some(class) = &spec.cache_class {
            self.push(Step::JoinCacheClass(class.clone()));
        }
    }
}

/// As timens_offsets of a process takes them.
fn lines(offsets: TimeOffsets) -> String {
    let clocks = [
        ("monotonic", offsets.monotonic),
        ("boottime", offsets.boottime),
    ];
    let given = clocks.into_iter().filter_map(|(name, offset)| {
        let (seconds, nanoseconds) = offset?;
        Some(format!("{name} {seconds} {nanoseconds}\n"))
    });
    given.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_lines_of_the_clocks_that_have_one() {
        let offsets = TimeOffsets {
            monotonic: None,
            boottime: Some((-7, 5)),
        };
        assert_eq!(lines(offsets), "boottime -7 5\n");
        let offsets = TimeOffsets {
            monotonic: Some((1, 0)),
            ..offsets
        };
        assert_eq!(lines(offsets), "monotonic 1 0\nboottime -7 5\n");
    }
}
