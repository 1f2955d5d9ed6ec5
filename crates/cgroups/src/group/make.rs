//! Making a group, and taking everything back where that fails half way.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::blueprint::{Blueprint, Name};
use crate::delegation::{open_below, open_folder};
use crate::ground::Parent;
use crate::group::{Cgroup, Tier, hold};
use crate::left_over::is_own_name;
use crate::systemd::Scope;
use crate::{Error, Hierarchy, file};

/// How often another name is tried where [`left_over`](crate::left_over) took a group away
/// between its making and its being held.
const ATTEMPTS: usize = 8;

/// What the name of a group that is nobody else's begins with.
pub(crate) const PREFIX: &str = "warren-";

impl Blueprint {
    /// Makes the group and sets its limits. `pid` is a process that is put in where systemd
    /// makes it ([`Blueprint::is_scope`]), which makes no empty group; else nobody is in it.
    ///
    /// # Errors
    /// What could not be made or set; nothing is left then.
    pub fn make(&self, pid: Option<u32>) -> Result<Cgroup, Error> {
        let mut group = self.create(pid)?;
        let set = (0..self.settings.len())
            .try_for_each(|number| self.set_limit(&mut group, number));
        match set {
            Ok(()) => Ok(group),
            Err(error) => {
                // What it says is what matters; what cannot be taken back is found by
                // `left_over`.
                let _ = group.remove();
                Err(error)
            }
        }
    }

    /// The same without the limits, for who sets one after the other.
    ///
    /// # Errors
    /// What could not be made; nothing is left then.
    pub fn create(&self, pid: Option<u32>) -> Result<Cgroup, Error> {
        let mut group = Cgroup {
            tiers: Vec::new(),
            scope: None,
            refused: self.refused.clone(),
        };
        let made = match &self.name {
            Name::Scope { slice, name } => {
                self.make_scope(&mut group, slice.as_deref(), name.as_deref(), pid)
            }
            Name::Own => self.make_own_folders(&mut group),
            Name::Path(path) => self.make_folders(&mut group, path),
        };
        match made {
            Ok(()) => Ok(group),
            Err(error) => {
                let _ = group.remove();
                Err(error)
            }
        }
    }

    /// Makes one of the [settings](Self::settings) in a group that was created.
    ///
    /// # Errors
    /// Why it cannot be made; the group stays.
    pub fn set_limit(&self, group: &mut Cgroup, number: usize) -> Result<(), Error> {
        let Some(setting) = self.settings.get(number) else {
            return Ok(());
        };
        let mut tiers = self.tiers.iter();
        let tier = tiers.position(|tier| *tier == setting.tier).unwrap_or(0);
        let refused = group.apply(std::iter::once((tier, setting)), self.best_effort)?;
        group.refused.extend(refused);
        Ok(())
    }

    fn make_own_folders(&self, group: &mut Cgroup) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            match self.make_folders(group, Path::new(&own_name()?)) {
                Err(error) if error.errno() == Errno::AGAIN => {
                    group.remove()?;
                    group.tiers.clear();
                }
                result => return result,
            }
        }
        Err(Error::told(
            "make a control group: somebody removes them",
            Errno::AGAIN,
        ))
    }

    fn make_folders(&self, group: &mut Cgroup, path: &Path) -> Result<(), Error> {
        for tier in &self.tiers {
            let parent = &self.ground.parents[*tier];
            let below = match &self.name {
                Name::Path(path) => path.clone(),
                _ => parent.below.join(path),
            };
            let hand_down: Vec<&str> = self.hand_down(*tier).into_iter().collect();
            make_tier(group, parent, &below, &hand_down)?;
        }
        Ok(())
    }

    fn make_scope(
        &self,
        group: &mut Cgroup,
        slice: Option<&str>,
        name: Option<&str>,
        pid: Option<u32>,
    ) -> Result<(), Error> {
        let Some(pid) = pid else {
            return Err(Error::told(
                "make a scope: no process is given",
                Errno::INVAL,
            ));
        };
        let name = match name {
            Some(name) => name.to_owned(),
            None => own_name()? + ".scope",
        };
        let scope = Scope::start(&name, slice, pid, &self.limits)?;
        let path = scope.control_group()?;
        group.scope = Some(scope);
        let Some(parent) = self.ground.parents.first() else {
            return Err(Error::told(
                "make a scope: no cgroup is mounted",
                Errno::NOENT,
            ));
        };
        let hierarchy = parent.hierarchy.clone();
        let below = hierarchy
            .below(&path)
            .ok_or_else(|| Error::new("open", path.to_string_lossy(), Errno::XDEV))?;
        let folder = open_folder(&hierarchy, below)?;
        hold(&folder).map_err(|errno| wrap("lock", &hierarchy, below, errno))?;
        let below = below.to_owned();
        group.tiers.push(Tier::found(hierarchy, below, folder));
        Ok(())
    }
}

/// Makes the group of one hierarchy, and those missing above it.
fn make_tier(
    group: &mut Cgroup,
    parent: &Parent,
    below: &Path,
    hand_down: &[&str],
) -> Result<(), Error> {
    let hierarchy = &parent.hierarchy;
    let mut made_above = 0;
    let mut at = PathBuf::new();
    let above: Vec<&OsStr> = below.parent().into_iter().flatten().collect();
    for name in above {
        // What is there stays as it is.
        if open_below(hierarchy, &at.join(name)).is_ok() {
            fill_cpuset(hierarchy, &at, name)?;
            at.push(name);
            continue;
        }
        let folder = open_below(hierarchy, &at)?;
        hand_controllers_down(hierarchy, folder.as_fd(), &at, hand_down)?;
        at.push(name);
        make_folder(hierarchy, folder.as_fd(), name, &at)?;
        made_above += 1;
        let own = open_below(hierarchy, &at)?;
        inherit_cpuset(hierarchy, folder.as_fd(), own.as_fd(), &at)?;
    }
    let folder = open_below(hierarchy, &at)?;
    hand_controllers_down(hierarchy, folder.as_fd(), &at, hand_down)?;
    let name = below.file_name().unwrap_or_default();
    let made = match make_folder(hierarchy, folder.as_fd(), name, below) {
        Ok(()) => true,
        Err(error) if error.errno() == Errno::EXIST => {
            fill_cpuset(hierarchy, &at, name)?;
            false
        }
        Err(error) => return Err(error),
    };
    let own = open_held(hierarchy, below, made)?;
    let inherited = match made {
        true => inherit_cpuset(hierarchy, folder.as_fd(), own.as_fd(), below),
        false => Ok(()),
    };
    // First, so that it is taken back where that failed.
    group.tiers.push(Tier {
        made_above,
        made,
        ..Tier::found(hierarchy.clone(), below.to_owned(), own)
    });
    inherited
}

/// Opens a group that is there now, and holds it if it was made here. Who looks for what is
/// left over may have found it in between: `EAGAIN`.
fn open_held(hierarchy: &Hierarchy, below: &Path, made: bool) -> Result<OwnedFd, Error> {
    let lost = || wrap("lock", hierarchy, below, Errno::AGAIN);
    let folder = match open_folder(hierarchy, below) {
        Err(error) if made && error.errno() == Errno::NOENT => return Err(lost()),
        folder => folder?,
    };
    // Nobody looks for those that have another name.
    if !below.file_name().is_some_and(is_own_name) {
        return Ok(folder);
    }
    let held = hold(&folder).map_err(|errno| wrap("lock", hierarchy, below, errno))?;
    if made && !(held && file::exists(&folder, "cgroup.procs")) {
        return Err(lost());
    }
    Ok(folder)
}

fn make_folder(
    hierarchy: &Hierarchy,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
) -> Result<(), Error> {
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdirat(parent, name, mode)
        .map_err(|errno| wrap("make", hierarchy, path, errno))
}

fn hand_controllers_down(
    hierarchy: &Hierarchy,
    folder: BorrowedFd<'_>,
    path: &Path,
    controllers: &[&str],
) -> Result<(), Error> {
    if !hierarchy.is_v2() || controllers.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    let file = "cgroup.subtree_control";
    file::write(folder, file, &words.join(" "))
        .map_err(|errno| wrap("write", hierarchy, &path.join(file), errno))
}

const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

fn has_cpuset(hierarchy: &Hierarchy) -> bool {
    hierarchy.controllers.iter().any(|name| name == "cpuset")
}

/// A new group of v1 has no CPU and no memory, and takes no process, until it was given
/// some.
fn inherit_cpuset(
    hierarchy: &Hierarchy,
    parent: BorrowedFd<'_>,
    own: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), Error> {
    if !has_cpuset(hierarchy) {
        return Ok(());
    }
    for file in CPUSET {
        let value = file::read(parent, file);
        let copied = value.and_then(|value| file::write(own, file, value.trim()));
        copied.map_err(|errno| wrap("write", hierarchy, &path.join(file), errno))?;
    }
    Ok(())
}

/// The same for a group that somebody has made and never filled; what it has it keeps.
fn fill_cpuset(hierarchy: &Hierarchy, at: &Path, name: &OsStr) -> Result<(), Error> {
    if !has_cpuset(hierarchy) {
        return Ok(());
    }
    let path = at.join(name);
    let folder = open_below(hierarchy, &path)?;
    for file in CPUSET {
        let is_empty = |value: String| value.trim().is_empty();
        if !file::read(folder.as_fd(), file).is_ok_and(is_empty) {
            continue;
        }
        let parent = open_below(hierarchy, at)?;
        let filled = file::read(parent.as_fd(), file)
            .and_then(|value| file::write(folder.as_fd(), file, value.trim()));
        filled.map_err(|errno| wrap("write", hierarchy, &path.join(file), errno))?;
    }
    Ok(())
}

fn wrap(what: &'static str, hierarchy: &Hierarchy, below: &Path, errno: Errno) -> Error {
    Error::new(what, hierarchy.path(below).to_string_lossy(), errno)
}

/// A name that no other group has.
fn own_name() -> Result<String, Error> {
    let mut bytes = [0; 8];
    let filled =
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    filled.map_err(|errno| Error::new("take", "a random name", errno))?;
    Ok(format!("{PREFIX}{:016x}", u64::from_ne_bytes(bytes)))
}
