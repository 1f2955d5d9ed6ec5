//! Moving a process into the cgroups of another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::delegation::{Folder, open_below, open_inside, own_memberships};
use crate::{Error, Hierarchies, Hierarchy, Membership, of_process};

/// The cgroups of a process, in all mounted hierarchies, open for joining.
///
/// Opened before anything else of the process is entered: inside of its mount
/// namespace the paths mean something else.
#[derive(Debug)]
pub struct Entrance {
    procs: Vec<Procs>,
}

/// An open `cgroup.procs`, and its path for messages.
#[derive(Debug)]
struct Procs {
    path: String,
    fd: OwnedFd,
    /// Its folder, if it is of v2 and not the root.
    cradle: Option<OwnedFd>,
}

impl Entrance {
    /// Opens the cgroups of `pid`. Those that the caller is in as well are left out:
    /// joining them would change nothing, and could be refused.
    ///
    /// # Errors
    /// `EXDEV` where a cgroup lies outside of what is mounted here, `EACCES` where it
    /// is not the caller's to change; each with the path.
    pub fn of_process(
        hierarchies: &Hierarchies,
        proc: &ProcRoot,
        pid: u32,
    ) -> Result<Self, Error> {
        let own = own_memberships(proc)?;
        let target = of_process(proc, pid)?;
        let procs = target
            .iter()
            .filter(|membership| !own.contains(membership))
            .filter_map(|membership| {
                let mut mounted = hierarchies.list.iter();
                let hierarchy = mounted.find(|mounted| mounted.matches(membership))?;
                Some(open_procs(hierarchy, membership))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { procs })
    }

    /// Whether there is nothing to join: the caller is in the same cgroups.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.procs.is_empty()
    }

    /// The open `cgroup.procs` and their paths, for a process that moves itself: it writes
    /// 0 to each.
    pub fn open_files(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let procs = self.procs.iter();
        procs.map(|procs| (procs.path.as_str(), procs.fd.as_fd()))
    }

    /// The open folder of the group, if there is one alone and it is of v2: clone3(2) can let
    /// a process be born in it.
    #[must_use]
    pub fn cradle(&self) -> Option<BorrowedFd<'_>> {
        match self.procs.as_slice() {
            [only] => only.cradle.as_ref().map(AsFd::as_fd),
            _ => None,
        }
    }

    /// All of this, for who keeps it: [`Self::open_files`] and [`Self::cradle`].
    #[must_use]
    pub fn into_open(mut self) -> (Vec<(String, OwnedFd)>, Option<OwnedFd>) {
        let cradle = match self.procs.as_mut_slice() {
            [only] => only.cradle.take(),
            _ => None,
        };
        let procs = self.procs.into_iter();
        (procs.map(|procs| (procs.path, procs.fd)).collect(), cradle)
    }

    /// Moves the process `pid`, as the caller's pid namespace counts, with all its
    /// threads.
    ///
    /// # Errors
    /// `EACCES` without the right to write to the common ancestor's `cgroup.procs`,
    /// `EBUSY` for a v2 group that has handed controllers down. The hierarchies before
    /// have been joined then.
    pub fn join(&self, pid: u32) -> Result<(), Error> {
        for Procs { path, fd, .. } in &self.procs {
            let text = pid.to_string();
            rustix::io::write(fd, text.as_bytes())
                .map_err(|errno| Error::new("join", path.as_str(), errno))?;
        }
        Ok(())
    }
}

/// Whether the process `pid` is in the first cgroup of every mounted hierarchy, which has
/// no limits.
///
/// # Errors
/// As [`of_process`].
pub fn is_in_none(
    hierarchies: &Hierarchies,
    proc: &ProcRoot,
    pid: u32,
) -> Result<bool, Error> {
    let memberships = of_process(proc, pid)?;
    let mounted = |membership: &&Membership| {
        let mut all = hierarchies.list.iter();
        all.any(|hierarchy| hierarchy.matches(membership))
    };
    let mut memberships = memberships.iter().filter(mounted);
    Ok(memberships.all(|membership| membership.path == Path::new("/")))
}

fn open_procs(hierarchy: &Hierarchy, membership: &Membership) -> Result<Procs, Error> {
    let wrap = |path: &Path, errno| Error::new("join", path.to_string_lossy(), errno);
    let below = hierarchy
        .below(&membership.path)
        .ok_or_else(|| wrap(&membership.path, Errno::XDEV))?;
    let folder = open_below(hierarchy, below)?;
    let path = hierarchy.path(below).join("cgroup.procs");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = open_inside(&folder, Path::new("cgroup.procs"), flags)
        .map_err(|errno| wrap(&path, errno))?;
    Ok(Procs {
        path: path.to_string_lossy().into_owned(),
        fd,
        cradle: match folder {
            Folder::Below(folder) if hierarchy.is_v2() => Some(folder),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_nothing_to_join_in_ones_own_cgroups() {
        let proc = ProcRoot::open().expect("/proc");
        let hierarchies = Hierarchies::detect(&proc).expect("mountinfo");
        let own = Entrance::of_process(&hierarchies, &proc, std::process::id());
        assert!(own.expect("own cgroups").is_own());
    }
}
