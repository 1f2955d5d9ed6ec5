//! From limits to the files that are written: pure, so that a plan can be printed and
//! tested anywhere.

mod io;
mod memory;
mod v1;
mod v2;

use std::fmt;

use crate::devices::Rules;
use crate::ground::{Ground, Parent};
use crate::limits::{DeviceNumber, Limits};

/// One thing that is done to a group to limit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which of the ground's parents has the hierarchy.
    pub tier: usize,
    /// The limit as the user knows it: the name of v2's file.
    pub limit: String,
    /// Which controller does it; empty where every group has it.
    pub controller: String,
    /// What is done.
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A file is written.
    Write {
        /// Its name.
        file: String,
        /// What is written.
        value: String,
    },
    /// v2: device files are guarded by a program.
    Guard(Rules),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Write { file, value } => write!(f, "write '{value}' to {file}"),
            Action::Guard(rules) => {
                write!(f, "guard device files by {} rules", rules.list().len())
            }
        }
    }
}

/// A limit that cannot be had, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The limit: the name of v2's file.
    pub limit: String,
    /// Why.
    pub why: Why,
}

/// Why a limit cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No hierarchy that is mounted has the controller.
    NoController(String),
    /// The controller is on v1 here, which has no such limit.
    OnlyV2,
    /// The controller is on v2 here, which has no such limit.
    OnlyV1,
    /// The controller is there, but not at this place: the way down to it was not opened.
    NotHere {
        /// Which.
        controller: String,
        /// The group that lacks it.
        group: String,
    },
    /// It belongs to somebody else.
    NotYours(String),
    /// The group that would hand the controller down has processes.
    Occupied(String),
    /// Something else, in words.
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.limit, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoController(name) => {
                write!(f, "no controller '{name}' on this machine")
            }
            Self::OnlyV2 => f.write_str("needs cgroup v2, and the controller is on v1"),
            Self::OnlyV1 => f.write_str("needs cgroup v1, and the controller is on v2"),
            Self::NotHere { controller, group } => {
                write!(
                    f,
                    "the controller '{controller}' is not delegated to {group}"
                )
            }
            Self::NotYours(group) => write!(f, "no group can be made in {group}"),
            Self::Occupied(group) => write!(
                f,
                "{group} has processes, beside which v2 hands down no controller"
            ),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// What a group has already, where a change needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// v2: the quota of `cpu.max`.
    pub quota_us: Option<u64>,
    /// v1: `memory.limit_in_bytes`.
    pub memory: Option<u64>,
}

/// What limits come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which they are made.
    pub list: Vec<Setting>,
    /// What cannot be had.
    pub refused: Vec<Refused>,
}

impl Settings {
    /// What `limits` come to on this ground.
    #[must_use]
    pub fn of(limits: &Limits, ground: &Ground, present: Present) -> Self {
        let mut settings = Writer {
            ground,
            present,
            settings: Self::default(),
        };
        settings.all(limits);
        settings.settings
    }
}

/// What one limit is on either version; `None` where that has none.
struct Both {
    v1: Option<Vec<(String, String)>>,
    v2: Option<Vec<(String, String)>>,
}

/// The two versions' writes of one file each.
fn pair(
    v1: &str,
    v1_value: impl fmt::Display,
    v2: &str,
    v2_value: impl fmt::Display,
) -> Both {
    Both {
        v1: Some(vec![(v1.to_owned(), v1_value.to_string())]),
        v2: Some(vec![(v2.to_owned(), v2_value.to_string())]),
    }
}

fn v1_only(file: &str, value: impl fmt::Display) -> Both {
    Both {
        v1: Some(vec![(file.to_owned(), value.to_string())]),
        v2: None,
    }
}

fn v2_only(file: &str, value: impl fmt::Display) -> Both {
    Both {
        v1: None,
        v2: Some(vec![(file.to_owned(), value.to_string())]),
    }
}

struct Writer<'a> {
    ground: &'a Ground,
    present: Present,
    settings: Settings,
}

impl Writer<'_> {
    fn all(&mut self, limits: &Limits) {
        self.cpuset(limits);
        self.cpu(limits);
        self.memory(&limits.memory);
        self.pids(limits);
        self.io(&limits.io);
        self.others(limits);
        self.devices(limits);
        self.unified(limits);
    }

    /// Puts down what one limit comes to in the hierarchy that has its controller.
    fn add(&mut self, limit: &str, controller: &str, both: Both) {
        let Some((tier, parent)) = self.tier(limit, controller) else {
            return;
        };
        let (writes, why) = if parent.hierarchy.is_v2() {
            (both.v2, Why::OnlyV1)
        } else {
            (both.v1, Why::OnlyV2)
        };
        let Some(writes) = writes else {
            return self.refuse(limit, why);
        };
        for (file, value) in writes {
            self.settings.list.push(Setting {
                tier,
                limit: limit.to_owned(),
                controller: controller.to_owned(),
                action: Action::Write { file, value },
            });
        }
    }

    /// The hierarchy that has a controller; notes why where there is none.
    fn tier(&mut self, limit: &str, controller: &str) -> Option<(usize, &Parent)> {
        let ground = self.ground;
        let parents = || ground.parents.iter().enumerate();
        let v1 = parents().find(|(_, it)| !it.hierarchy.is_v2() && it.has(controller));
        let v2 = || parents().find(|(_, it)| it.hierarchy.is_v2() && it.has(controller));
        if let Some(found) = v1.or_else(v2) {
            return Some(found);
        }
        let above = parents().find(|(_, it)| it.hierarchy.is_v2());
        let why = match above {
            // What the tree's own root lacks, nobody can delegate.
            Some((_, parent)) if !parent.below.as_os_str().is_empty() => Why::NotHere {
                controller: controller.to_owned(),
                group: parent.path().display().to_string(),
            },
            _ => Why::NoController(controller.to_owned()),
        };
        self.refuse(limit, why);
        None
    }

    fn refuse(&mut self, limit: &str, why: Why) {
        self.settings.refused.push(Refused {
            limit: limit.to_owned(),
            why,
        });
    }

    fn is_v2(&self, controller: &str) -> bool {
        let mut parents = self.ground.parents.iter();
        let v1 = parents.any(|it| !it.hierarchy.is_v2() && it.has(controller));
        !v1
    }

    fn cpuset(&mut self, limits: &Limits) {
        if let Some(cpus) = &limits.cpuset.cpus {
            self.add(
                "cpuset.cpus",
                "cpuset",
                pair("cpuset.cpus", cpus, "cpuset.cpus", cpus),
            );
        }
        if let Some(mems) = &limits.cpuset.mems {
            self.add(
                "cpuset.mems",
                "cpuset",
                pair("cpuset.mems", mems, "cpuset.mems", mems),
            );
        }
    }

    fn pids(&mut self, limits: &Limits) {
        if let Some(most) = limits.pids {
            self.add("pids.max", "pids", pair("pids.max", most, "pids.max", most));
        }
    }

    fn others(&mut self, limits: &Limits) {
        for pages in &limits.hugetlb {
            let v2 = format!("hugetlb.{}.max", pages.size);
            let v1 = format!("hugetlb.{}.limit_in_bytes", pages.size);
            let both = pair(&v1, v1::most(pages.max), &v2, pages.max);
            self.add(&v2, "hugetlb", both);
        }
        for rdma in &limits.rdma {
            let part = |name, most: Option<_>| {
                most.map(|most| format!(" {name}={most}"))
                    .unwrap_or_default()
            };
            let handles = part("hca_handle", rdma.handles);
            let objects = part("hca_object", rdma.objects);
            let line = format!("{}{handles}{objects}", rdma.device);
            self.add(
                "rdma.max",
                "rdma",
                pair("rdma.max", &line, "rdma.max", &line),
            );
        }
        for (name, most) in &limits.misc {
            self.add(
                "misc.max",
                "misc",
                v2_only("misc.max", format!("{name} {most}")),
            );
        }
        if let Some(class) = limits.network.class_id {
            self.add(
                "net_cls.classid",
                "net_cls",
                v1_only("net_cls.classid", class),
            );
        }
        for (interface, priority) in &limits.network.priorities {
            let line = format!("{interface} {priority}");
            self.add(
                "net_prio.ifpriomap",
                "net_prio",
                v1_only("net_prio.ifpriomap", line),
            );
        }
    }

    /// v1 has a controller for them; v2 guards them by a program, whatever controllers
    /// there are.
    fn devices(&mut self, limits: &Limits) {
        const LIMIT: &str = "devices";
        if limits.devices.is_empty() {
            return;
        }
        let rules = Rules::new(&limits.devices);
        let mut parents = self.ground.parents.iter().enumerate();
        if let Some((tier, _)) = parents
            .clone()
            .find(|(_, it)| !it.hierarchy.is_v2() && it.has("devices"))
        {
            return match rules.v1() {
                Ok(writes) => {
                    let settings = writes.into_iter().map(|(file, value)| Setting {
                        tier,
                        limit: LIMIT.to_owned(),
                        controller: LIMIT.to_owned(),
                        action: Action::Write {
                            file: file.to_owned(),
                            value,
                        },
                    });
                    self.settings.list.extend(settings);
                }
                Err(words) => self.refuse(LIMIT, Why::Other(words)),
            };
        }
        match parents.find(|(_, it)| it.hierarchy.is_v2()) {
            Some((tier, _)) => self.settings.list.push(Setting {
                tier,
                limit: LIMIT.to_owned(),
                controller: String::new(),
                action: Action::Guard(rules),
            }),
            None => self.refuse(LIMIT, Why::NoController(LIMIT.to_owned())),
        }
    }

    /// The name of a file begins with its controller's, but for those that every group has.
    fn unified(&mut self, limits: &Limits) {
        for (file, value) in &limits.unified {
            let controller = file.split('.').next().unwrap_or_default();
            let is_plain = file.contains('.') && !file.contains('/') && !value.is_empty();
            if !is_plain {
                let words = "is no file of a cgroup, such as memory.high".to_owned();
                self.refuse(file, Why::Other(words));
            } else if controller == "cgroup" {
                self.every_group(file, value);
            } else {
                self.add(file, controller, v2_only(file, value));
            }
        }
    }

    fn every_group(&mut self, file: &str, value: &str) {
        let mut parents = self.ground.parents.iter();
        match parents.position(|it| it.hierarchy.is_v2()) {
            Some(tier) => self.settings.list.push(Setting {
                tier,
                limit: file.to_owned(),
                controller: String::new(),
                action: Action::Write {
                    file: file.to_owned(),
                    value: value.to_owned(),
                },
            }),
            None => self.refuse(file, Why::OnlyV2),
        }
    }
}

/// `8:0` and what is said of it.
fn of_device(device: DeviceNumber, value: impl fmt::Display) -> String {
    format!("{device} {value}")
}

#[cfg(test)]
mod tests;
