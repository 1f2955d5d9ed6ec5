//! Ending all processes of a group, and removing it with all groups below it.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::delegation::open_below;
use crate::ground::plain;
use crate::group::{Cgroup, Record, Tier};
use crate::{Error, Hierarchies, Hierarchy, file};

/// How long processes that were killed, and groups that were left, are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Removes a group that was written down, if no process and no group is in it: where
    /// that is known to be likely, it takes one call for each hierarchy. False where
    /// something is left, to be [reopened](Self::reopen); so always of a scope.
    #[must_use]
    pub fn remove_empty(hierarchies: &Hierarchies, record: &Record) -> bool {
        let has_gone = |(controllers, path): &(Vec<String>, PathBuf)| {
            let mut mounted = hierarchies.list.iter();
            let hierarchy = mounted.find(|it| it.controllers == *controllers);
            hierarchy.is_none_or(|hierarchy| remove_empty(hierarchy, &plain(path)))
        };
        // The first is looked into for what is left, and so the last to go.
        record.scope.is_none() && record.paths.iter().rev().all(has_gone)
    }

    /// Ends whoever is left in it, as [`Self::kill`], and [removes](Self::remove) it.
    ///
    /// # Errors
    /// As these.
    pub fn clear(&self) -> Result<(), Error> {
        let has_gone = |tier: &Tier| {
            let is_alone = tier.made && tier.made_above == 0;
            is_alone && remove_empty(&tier.hierarchy, &tier.below)
        };
        if self.scope.is_none() && self.tiers.iter().rev().all(has_gone) {
            return Ok(());
        }
        self.kill()?;
        self.remove()
    }

    /// The processes in it and in all groups below it; none where it was removed.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a group of threads.
    pub fn procs(&self) -> Result<Vec<u32>, Error> {
        let Some(tier) = self.v2().or(self.tiers.first()) else {
            return Ok(Vec::new());
        };
        let mut pids = Vec::new();
        let mut collect = |folder: &OwnedFd| {
            let text = file::read(folder, "cgroup.procs")?;
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            Ok(())
        };
        let wrap = |errno| Error::new("list", tier.path().to_string_lossy(), errno);
        // systemd may have removed it with its last process.
        walk(&tier.folder, false, &mut collect)
            .or_else(gone)
            .map_err(wrap)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Kills all processes in it and below it, and waits until they are gone.
    ///
    /// # Errors
    /// `ETIMEDOUT` where some are still there after ten seconds, as what waits for a dead
    /// network filesystem.
    pub fn kill(&self) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            if !self.kill_once()? {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                let path = self.tiers.first().map(Tier::path).unwrap_or_default();
                return Err(Error::new("kill", path.to_string_lossy(), Errno::TIMEDOUT));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether there was somebody to kill.
    fn kill_once(&self) -> Result<bool, Error> {
        let pids = self.procs()?;
        if pids.is_empty() {
            return Ok(false);
        }
        // Since Linux 5.14; it leaves nobody that is born meanwhile.
        if self
            .v2()
            .is_some_and(|tier| tier.write("cgroup.kill", "1").is_ok())
        {
            return Ok(true);
        }
        // Whoever is frozen forks no more.
        let frozen = self.freeze().is_ok();
        for pid in self.procs()? {
            self.kill_process(pid);
        }
        if frozen {
            self.thaw()?;
        }
        Ok(true)
    }

    /// Kills the process if it is still in the group once it is held, so that no other can
    /// have its number.
    fn kill_process(&self, pid: u32) {
        let Some(number) = Pid::from_raw(pid as i32) else {
            return;
        };
        let Ok(pidfd) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else {
            return;
        };
        if self.procs().is_ok_and(|pids| pids.contains(&pid)) {
            // It may have ended.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }

    /// Removes it with all groups below it, and those above that were made for it. A scope
    /// of systemd is stopped. It must have no process any more.
    ///
    /// # Errors
    /// `EBUSY` where processes are in it; the other hierarchies are gone by then.
    pub fn remove(&self) -> Result<(), Error> {
        let mut first = Ok(());
        for tier in self.tiers.iter().rev() {
            first = first.and(tier.remove());
        }
        if let Some(scope) = &self.scope {
            first = first.and(scope.stop());
        }
        first
    }
}

impl Tier {
    fn remove(&self) -> Result<(), Error> {
        if !self.made {
            return Ok(());
        }
        let path = self.path();
        let wrap = |errno| Error::new("remove", path.to_string_lossy(), errno);
        let mut below = self.below.as_path();
        for level in 0..=self.made_above {
            let (Some(above), Some(name)) = (below.parent(), below.file_name()) else {
                break;
            };
            let (parent, name) = (open_below(&self.hierarchy, above)?, c_name(name));
            let removed = match level {
                0 => self.remove_whole(parent.as_fd(), &name),
                _ => remove_child(parent.as_fd(), &name),
            };
            match removed {
                // Others may have come to share what was made above.
                Err(Errno::BUSY) if level > 0 => break,
                removed => removed.or_else(gone).map_err(wrap)?,
            }
            below = above;
        }
        Ok(())
    }
}

impl Tier {
    fn remove_whole(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        // Mostly there is nothing below it, and one call does.
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::BUSY) => {}
            removed => return removed,
        }
        walk(&self.folder, true, &mut |_| Ok(())).or_else(gone)?;
        remove_child(parent, name)
    }
}

/// Removes the group at `below` if nothing is in it; whether there is none now.
fn remove_empty(hierarchy: &Hierarchy, below: &Path) -> bool {
    let (Some(above), Some(name)) = (below.parent(), below.file_name()) else {
        return false;
    };
    let Ok(parent) = open_below(hierarchy, above) else {
        return false;
    };
    let removed = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
    removed.or_else(gone).is_ok()
}

/// Whether some process is in a group or below it.
///
/// # Errors
/// Where it cannot be read.
pub fn has_process(folder: &OwnedFd) -> Result<bool, Errno> {
    let mut found = false;
    walk(folder, false, &mut |folder| {
        found |= !file::read(folder, "cgroup.procs")?.trim().is_empty();
        Ok(())
    })?;
    Ok(found)
}

fn gone(errno: Errno) -> Result<(), Errno> {
    match errno {
        Errno::NOENT | Errno::NODEV => Ok(()),
        errno => Err(errno),
    }
}

type Visit<'a> = &'a mut dyn FnMut(&OwnedFd) -> Result<(), Errno>;

/// Visits a group and all below it, those below first, and removes these on the way back.
///
/// One folder is open at a time and no path is joined: whoever was handed the group may have
/// made others below it to any depth.
fn walk(top: &OwnedFd, remove: bool, visit: Visit<'_>) -> Result<(), Errno> {
    let mut at = open(top, c".")?;
    let mut above = vec![(None, children(&at)?)];
    while let Some((_, siblings)) = above.last_mut() {
        if let Some(child) = siblings.pop() {
            match open(&at, &child) {
                Ok(folder) => {
                    at = folder;
                    above.push((Some(child), children(&at)?));
                }
                Err(errno) => gone(errno)?,
            }
            continue;
        }
        visit(&at).or_else(gone)?;
        let Some((Some(name), _)) = above.pop() else {
            return Ok(());
        };
        let parent = open(&at, c"..")?;
        if remove {
            remove_child(parent.as_fd(), &name).or_else(gone)?;
        }
        at = parent;
    }
    Ok(())
}

fn open(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// The names of the groups directly in a group.
pub(crate) fn children(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes a group, which the kernel refuses for a moment after its last process has ended.
fn remove_child(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let mut pause = Duration::from_micros(500);
    loop {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::BUSY) if pause < Duration::from_millis(300) => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            removed => return removed,
        }
    }
}

fn c_name(name: &OsStr) -> CString {
    // The name of a folder that was opened has no zero byte.
    CString::new(name.as_bytes()).unwrap_or_default()
}
