//! What will be made for limits, settled before anything is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::ground::{Closed, Ground, Parent, plain};
use crate::setting::{Present, Refused, Setting, Settings, Why};
use crate::{Error, Limits, Place, Placement};

/// A group that can be made: where, in which hierarchies, and with what settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blueprint {
    pub(crate) ground: Ground,
    pub(crate) name: Name,
    /// Positions of the ground's parents below which it is made.
    pub(crate) tiers: Vec<usize>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) best_effort: bool,
    pub(crate) delegate: bool,
    pub(crate) keep: bool,
    pub(crate) limits: Limits,
}

/// How a group is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// By a name that nobody else has.
    Own,
    /// By the last part of this path; what is missing above is made too.
    Path(PathBuf),
    /// As a unit of systemd.
    Scope {
        slice: Option<String>,
        name: Option<String>,
    },
}

impl Ground {
    /// Settles how a group is made here for these limits. The ground is to be one that was
    /// [probed](Self::probe) for the same place.
    ///
    /// # Errors
    /// [`Error::limits`] says which limits cannot be had and why, unless it is done as well
    /// as it can be; `EACCES` where no group can be made at all.
    pub fn plan(
        &self,
        placement: &Placement,
        limits: &Limits,
    ) -> Result<Blueprint, Error> {
        let name = self.name(&placement.place)?;
        let Settings { list, mut refused } =
            Settings::of(limits, self, Present::default());
        let mut settings = Vec::new();
        for setting in list {
            match self.obstacle(&setting) {
                None => settings.push(setting),
                Some(why) => refused.push(Refused {
                    limit: setting.limit,
                    why,
                }),
            }
        }
        if placement.delegate && !self.is_v2_alone() {
            refused.push(Refused {
                limit: "delegate".to_owned(),
                why: Why::Other("needs cgroup v2 alone".to_owned()),
            });
        }
        refused.dedup();
        if !placement.best_effort && !refused.is_empty() {
            return Err(Error::refused(refused));
        }
        let tiers = self.tiers(placement, &settings, !limits.is_empty());
        if tiers.is_empty() && (limits.is_empty() || placement.everywhere) {
            return Err(self.nowhere());
        }
        Ok(Blueprint {
            ground: self.clone(),
            name,
            tiers,
            settings,
            refused,
            best_effort: placement.best_effort,
            delegate: placement.delegate,
            keep: placement.keep,
            limits: limits.clone(),
        })
    }

    fn name(&self, place: &Place) -> Result<Name, Error> {
        Ok(match place {
            Place::Scope { slice, name } => {
                if !self.is_v2_alone() {
                    let words = "make a scope of systemd: needs cgroup v2 alone";
                    return Err(Error::told(words, Errno::OPNOTSUPP));
                }
                Name::Scope {
                    slice: slice.clone(),
                    name: name.clone(),
                }
            }
            Place::Auto if self.scope => Name::Scope {
                slice: None,
                name: None,
            },
            Place::Auto | Place::Below(_) => Name::Own,
            Place::Path(path) => Name::Path(plain(path)),
        })
    }

    /// Why a setting cannot be made below the parent of its hierarchy.
    fn obstacle(&self, setting: &Setting) -> Option<Why> {
        if self.scope {
            return None;
        }
        let parent = self.parents.get(setting.tier)?;
        let path = || parent.path().display().to_string();
        if let Some(closed) = parent.closed {
            return Some(closed.why(parent));
        }
        let is_beside = parent.occupied && parent.must_hand_down(&setting.controller);
        is_beside.then(|| Why::Occupied(path()))
    }

    /// The hierarchies in which the group is made.
    fn tiers(
        &self,
        placement: &Placement,
        settings: &[Setting],
        limited: bool,
    ) -> Vec<usize> {
        let is_open = |tier: &usize| self.scope || self.parents[*tier].closed.is_none();
        let all = 0..self.parents.len();
        if placement.everywhere {
            return all.filter(is_open).collect();
        }
        let mut tiers: BTreeSet<usize> = settings.iter().map(|it| it.tier).collect();
        let v2 = || self.parents.iter().position(|it| it.hierarchy.is_v2());
        if placement.delegate {
            tiers.extend(v2().filter(is_open));
        }
        // Whoever is in v1's freezer can be frozen, and killed while it forks no more.
        if tiers
            .iter()
            .any(|tier| !self.parents[*tier].hierarchy.is_v2())
        {
            let freezer = self.parents.iter().position(|it| it.has("freezer"));
            tiers.extend(freezer.filter(is_open));
        }
        if tiers.is_empty() && !limited {
            // A group without limits: for what can be done with it.
            let any = v2().filter(is_open).or_else(|| all.clone().find(is_open));
            tiers.extend(any);
        }
        tiers.into_iter().collect()
    }

    fn nowhere(&self) -> Error {
        let mut reasons = self.parents.iter().filter_map(|it| Some((it.closed?, it)));
        let why = reasons.next().map(|(closed, parent)| closed.why(parent));
        let why = why.unwrap_or(Why::Other("no cgroup filesystem is mounted".to_owned()));
        Error::told(format!("make a control group: {why}"), Errno::ACCESS)
    }
}

impl Closed {
    fn why(self, parent: &Parent) -> Why {
        let path = parent.path().display().to_string();
        match self {
            Self::OutOfSight => Why::Other(format!(
                "the caller's own group is not in what is mounted at {}",
                parent.hierarchy.mount_point.display()
            )),
            Self::Missing => Why::Other(format!("there is no group {path}")),
            Self::Denied => Why::NotYours(path),
        }
    }
}

impl Parent {
    pub(crate) fn must_hand_down(&self, controller: &str) -> bool {
        self.hierarchy.is_v2()
            && !controller.is_empty()
            && !self.handed_down.iter().any(|name| name == controller)
    }
}

impl Blueprint {
    /// What cannot be had, where that was accepted.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// What will be set, in this order.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Whether nothing is left to be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// Whether systemd makes it, which needs a process to put in.
    #[must_use]
    pub fn is_scope(&self) -> bool {
        matches!(self.name, Name::Scope { .. })
    }

    /// Whether a process can be born in it: clone3(2) with a group of v2.
    #[must_use]
    pub fn can_be_born_in(&self) -> bool {
        !self.is_scope() && self.v2_tier().is_some()
    }

    /// Whether there is a hierarchy that a process must be moved to after its birth.
    #[must_use]
    pub fn must_be_moved(&self) -> bool {
        self.is_scope() || self.tiers.iter().any(|tier| !self.is_v2(*tier))
    }

    /// Whether the v2 group is handed to who owns the user namespace.
    #[must_use]
    pub fn delegates(&self) -> bool {
        self.delegate
    }

    /// Whether the group stays when its processes have ended.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// Where it will be, for people to read.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        match &self.name {
            Name::Scope { slice, name } => {
                let name = name.as_deref().unwrap_or("warren-*.scope");
                let slice = slice.as_deref().map(|slice| format!(" in {slice}"));
                vec![format!("{name}{}", slice.unwrap_or_default())]
            }
            _ => {
                let tiers = self.tiers.iter().map(|tier| &self.ground.parents[*tier]);
                tiers.map(|parent| self.path(parent)).collect()
            }
        }
    }

    fn path(&self, parent: &Parent) -> String {
        let path = match &self.name {
            Name::Path(path) => parent.hierarchy.path(path),
            _ => parent.path().join("warren-*"),
        };
        path.display().to_string()
    }

    fn is_v2(&self, tier: usize) -> bool {
        self.ground.parents[tier].hierarchy.is_v2()
    }

    fn v2_tier(&self) -> Option<usize> {
        self.tiers.iter().copied().find(|tier| self.is_v2(*tier))
    }

    /// The controllers of v2 that the parent must hand down.
    pub(crate) fn hand_down(&self, tier: usize) -> BTreeSet<&str> {
        let parent = &self.ground.parents[tier];
        let own = self.settings.iter().filter(|setting| setting.tier == tier);
        let needed = own.map(|setting| setting.controller.as_str());
        let mut needed: BTreeSet<&str> =
            needed.filter(|name| parent.must_hand_down(name)).collect();
        // Whoever is handed a group may want to limit what is below it.
        if self.delegate && !parent.occupied {
            let all = parent.controllers.iter().map(String::as_str);
            needed.extend(all.filter(|name| parent.must_hand_down(name)));
        }
        needed
    }
}
