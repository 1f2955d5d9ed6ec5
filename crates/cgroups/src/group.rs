//! A group as a handle: made or found, open in each hierarchy, limited, filled, counted and
//! removed.

pub(crate) mod make;
mod read;
pub(crate) mod remove;
mod set;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FlockOperation, Gid, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::ProcRoot;

use crate::delegation::open_folder;
use crate::ground::{Ground, Parent};
use crate::setting::Refused;
use crate::systemd::Scope;
use crate::{Error, Hierarchies, Hierarchy, Membership, file, of_process};

pub(crate) use remove::has_process;

/// A group of processes, open in each hierarchy that it is in.
///
/// Dropping it removes nothing. Its folders are locked (flock(2)) as long as who made it
/// holds it, so that [`left_over`](crate::left_over) can tell whether somebody does.
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) tiers: Vec<Tier>,
    pub(crate) scope: Option<Scope>,
    pub(crate) refused: Vec<Refused>,
}

/// The group in one hierarchy.
#[derive(Debug)]
pub(crate) struct Tier {
    pub hierarchy: Hierarchy,
    /// Its path below the mount point.
    pub below: PathBuf,
    pub folder: OwnedFd,
    /// The controllers that it has, once that was asked.
    pub controllers: OnceLock<Vec<String>>,
    /// How many groups above it were made for it.
    pub made_above: usize,
    /// Whether it was made, rather than found.
    pub made: bool,
}

/// Where a group is, to be written down and found again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// For each hierarchy its controllers (none for v2), and the path of the group from the
    /// root of the hierarchy as it is mounted.
    pub paths: Vec<(Vec<String>, PathBuf)>,
    /// The unit of systemd that it is.
    pub scope: Option<String>,
}

impl Tier {
    pub fn path(&self) -> PathBuf {
        self.hierarchy.path(&self.below)
    }

    /// One that is there, open.
    pub fn found(hierarchy: Hierarchy, below: PathBuf, folder: OwnedFd) -> Self {
        Self {
            hierarchy,
            below,
            folder,
            controllers: OnceLock::new(),
            made_above: 0,
            made: false,
        }
    }

    pub fn controllers(&self) -> &[String] {
        self.controllers.get_or_init(|| {
            if self.hierarchy.is_v2() {
                crate::delegation::v2_controllers(&self.folder).unwrap_or_default()
            } else {
                self.hierarchy.controllers.clone()
            }
        })
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers().iter().any(|name| name == controller)
    }

    /// Whether it is the first group of its hierarchy, in which all processes are that were
    /// put into no other: each version has a file there alone, or everywhere else.
    pub fn is_first(&self) -> bool {
        let has = |name| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::statat(&self.folder, name, flags).is_ok()
        };
        match self.hierarchy.is_v2() {
            true => !has("cgroup.type"),
            false => has("release_agent"),
        }
    }

    pub fn read(&self, name: &str) -> Option<String> {
        file::read(&self.folder, name).ok()
    }

    /// What a file that is no list says.
    pub fn value(&self, name: &str) -> Option<String> {
        file::read_value(&self.folder, name).ok()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        file::number(&self.value(name)?)
    }

    pub fn write(&self, name: &str, value: &str) -> Result<(), Error> {
        file::write(&self.folder, name, value).map_err(|errno| {
            let path = self.path().join(name);
            Error::new("write", path.to_string_lossy(), errno)
        })
    }
}

impl Cgroup {
    /// Opens the groups of the process `pid`.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` where there is no such process, `EXDEV` where all of its groups
    /// are outside of what is mounted here.
    pub fn of_process(
        hierarchies: &Hierarchies,
        proc: &ProcRoot,
        pid: u32,
    ) -> Result<Self, Error> {
        Self::of_process_where(hierarchies, proc, pid, |_| true)
    }

    /// The same, of the hierarchies alone for which `is_wanted` holds.
    ///
    /// # Errors
    /// The same; `ENOENT` where it holds for none.
    pub fn of_process_where(
        hierarchies: &Hierarchies,
        proc: &ProcRoot,
        pid: u32,
        is_wanted: impl Fn(&Membership) -> bool,
    ) -> Result<Self, Error> {
        let memberships = of_process(proc, pid)?;
        let paths = hierarchies.list.iter().filter_map(|hierarchy| {
            let mut memberships = memberships.iter();
            let membership = memberships.find(|it| hierarchy.matches(it))?;
            if !is_wanted(membership) {
                return None;
            }
            let below = hierarchy.below(&membership.path)?.to_owned();
            Some((hierarchy.clone(), below))
        });
        let mut group = Self::open(paths, None)?;
        let is_v2_alone = group.tiers.len() == 1;
        let v2 = group.v2().filter(|_| is_v2_alone);
        group.scope = v2.and_then(|tier| Scope::of_group(&tier.below));
        Ok(group)
    }

    /// Opens a group that was written down; hierarchies in which it is gone are left out.
    ///
    /// # Errors
    /// `ENOENT` where it is in none any more.
    pub fn reopen(hierarchies: &Hierarchies, record: &Record) -> Result<Self, Error> {
        let paths = record.paths.iter().filter_map(|(controllers, path)| {
            let mut mounted = hierarchies.list.iter();
            let hierarchy = mounted.find(|it| it.controllers == *controllers)?;
            Some((hierarchy.clone(), crate::ground::plain(path)))
        });
        let scope = record.scope.as_deref().map(Scope::named);
        Self::open(paths, scope)
    }

    fn open(
        paths: impl Iterator<Item = (Hierarchy, PathBuf)>,
        scope: Option<Scope>,
    ) -> Result<Self, Error> {
        let mut tiers = Vec::new();
        let mut last = Error::new("open", "the control group", Errno::NOENT);
        for (hierarchy, below) in paths {
            match open_tier(hierarchy, below) {
                Ok(tier) => tiers.push(tier),
                Err(error) => last = error,
            }
        }
        if tiers.is_empty() {
            return Err(last);
        }
        Ok(Self {
            tiers,
            scope,
            refused: Vec::new(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn record(&self) -> Record {
        let tiers = self.tiers.iter();
        let path = |tier: &Tier| {
            let path = PathBuf::from("/").join(&tier.below);
            (tier.hierarchy.controllers.clone(), path)
        };
        Record {
            paths: tiers.map(path).collect(),
            scope: self.scope.as_ref().map(|scope| scope.name().to_owned()),
        }
    }

    /// Its folders, for people to read.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.tiers.iter().map(Tier::path).collect()
    }

    /// Limits that could not be had, where that was accepted.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Its folder on v2, in which clone3(2) can let a process be born.
    #[must_use]
    pub fn v2_folder(&self) -> Option<BorrowedFd<'_>> {
        self.v2().map(|tier| tier.folder.as_fd())
    }

    /// The same group as one that was made here: [`remove`](Self::remove) takes it away.
    #[must_use]
    pub fn adopted(mut self) -> Self {
        self.tiers.iter_mut().for_each(|tier| tier.made = true);
        self
    }

    /// Hands the v2 group to another user, as far as cgroups(7), "Delegation", has it: groups
    /// can be made below it, filled and given controllers; its own limits cannot be changed.
    ///
    /// # Errors
    /// `EPERM` without `CAP_CHOWN`.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<(), Error> {
        let Some(tier) = self.v2() else { return Ok(()) };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        for name in [
            ".",
            "cgroup.procs",
            "cgroup.subtree_control",
            "cgroup.threads",
        ] {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&tier.folder, name, Some(uid), Some(gid), flags)
                .map_err(|errno| {
                    let path = tier.path().join(name);
                    Error::new("hand over", path.to_string_lossy(), errno)
                })?;
        }
        Ok(())
    }

    /// Moves a process with all its threads into it, in every hierarchy.
    ///
    /// # Errors
    /// `ESRCH` where it has ended, `EACCES` where it belongs to somebody else.
    pub fn add(&self, pid: u32) -> Result<(), Error> {
        self.add_where(pid, |_| true)
    }

    /// The same in the hierarchies of v1 alone, for a process that was born in that of v2.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_on_v1(&self, pid: u32) -> Result<(), Error> {
        self.add_where(pid, |tier| !tier.hierarchy.is_v2())
    }

    fn add_where(&self, pid: u32, which: fn(&Tier) -> bool) -> Result<(), Error> {
        let pid = pid.to_string();
        let mut tiers = self.tiers.iter().filter(|tier| which(tier));
        tiers.try_for_each(|tier| tier.write("cgroup.procs", &pid))
    }

    pub(crate) fn v2(&self) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.hierarchy.is_v2())
    }

    /// The tier that has a controller; v2 has some files of each group without one.
    pub(crate) fn with(&self, controller: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.has(controller))
    }

    /// The ground below which it lies, for what can be set.
    pub(crate) fn ground(&self) -> Ground {
        let parents = self.tiers.iter().map(|tier| Parent {
            hierarchy: tier.hierarchy.clone(),
            below: tier.below.clone(),
            controllers: tier.controllers().to_vec(),
            handed_down: tier.controllers().to_vec(),
            closed: None,
            occupied: false,
        });
        Ground {
            parents: parents.collect(),
            uid: 0,
            scope: false,
        }
    }
}

fn open_tier(hierarchy: Hierarchy, below: PathBuf) -> Result<Tier, Error> {
    let folder = open_folder(&hierarchy, &below)?;
    Ok(Tier::found(hierarchy, below, folder))
}

/// Holds a group for as long as the folder is open; false if somebody else does.
pub(crate) fn hold(folder: &OwnedFd) -> Result<bool, Errno> {
    match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}
