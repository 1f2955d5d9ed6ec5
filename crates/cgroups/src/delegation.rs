//! What of the cgroup tree is left to the caller.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::{Error, Hierarchies, Hierarchy, Membership, of_process};

/// What the caller may do in its own cgroup of one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// v1: the controllers of the hierarchy; v2: those that this cgroup has
    /// (`cgroup.controllers`).
    pub controllers: Vec<String>,
    /// Whether the hierarchy is v2.
    pub v2: bool,
    /// The folder of the cgroup.
    pub folder: PathBuf,
    /// Whether groups can be made below it.
    pub groups: bool,
    /// Whether processes can be moved into it.
    pub procs: bool,
    /// v2: whether controllers can be handed down (`cgroup.subtree_control`).
    pub subtree_control: bool,
}

impl Delegation {
    /// Whether limits can be set there: groups made, filled, and, for v2, given
    /// controllers.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.groups && self.procs && (self.subtree_control || !self.v2)
    }
}

impl Hierarchies {
    /// What the caller may do in its own cgroup of each hierarchy. Hierarchies in
    /// which that is not to be seen (outside of what is mounted) are left out.
    ///
    /// Only permissions are looked at: a read-only mount counts as refused, a rule
    /// such as v2's "no processes in inner groups" does not.
    ///
    /// # Errors
    /// Where the caller's own membership cannot be read.
    pub fn delegations(&self, proc: &ProcRoot) -> Result<Vec<Delegation>, Error> {
        let own = own_memberships(proc)?;
        let delegation = |hierarchy: &Hierarchy| {
            let membership = own.iter().find(|own| hierarchy.matches(own))?;
            delegation(hierarchy, membership)
        };
        Ok(self.list.iter().filter_map(delegation).collect())
    }
}

/// The caller's own cgroups.
pub(crate) fn own_memberships(proc: &ProcRoot) -> Result<Vec<Membership>, Error> {
    match proc.own_folder()?.parse() {
        Ok(pid) => of_process(proc, pid),
        Err(_) => Err(Error::new("read", "/proc/self", Errno::INVAL)),
    }
}

fn delegation(hierarchy: &Hierarchy, membership: &Membership) -> Option<Delegation> {
    let below = hierarchy.below(&membership.path)?;
    let folder = open_below(hierarchy, below).ok()?;
    let v2 = hierarchy.is_v2();
    Some(Delegation {
        controllers: if v2 {
            v2_controllers(&folder).unwrap_or_default()
        } else {
            hierarchy.controllers.clone()
        },
        v2,
        folder: hierarchy.path(below),
        groups: is_writable(&folder, "."),
        procs: is_writable(&folder, "cgroup.procs"),
        subtree_control: v2 && is_writable(&folder, "cgroup.subtree_control"),
    })
}

/// Opens the folder of a cgroup, crossing no symlink and no other mount.
pub(crate) fn open_below<'a>(
    hierarchy: &'a Hierarchy,
    below: &Path,
) -> Result<Folder<'a>, Error> {
    let root = hierarchy.open()?;
    if below.as_os_str().is_empty() {
        return Ok(Folder::Root(root));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open_inside(root, below, flags).map_err(|errno| {
        let path = hierarchy.path(below);
        Error::new("open", path.to_string_lossy(), errno)
    })?;
    Ok(Folder::Below(folder))
}

/// The folder of a cgroup, to look up from.
pub(crate) enum Folder<'a> {
    /// That of the whole hierarchy, as far as it is mounted.
    Root(BorrowedFd<'a>),
    /// One below it.
    Below(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(root) => *root,
            Self::Below(folder) => folder.as_fd(),
        }
    }
}

/// Opens the folder of a cgroup likewise, to read and to lock it.
pub(crate) fn open_folder(hierarchy: &Hierarchy, below: &Path) -> Result<OwnedFd, Error> {
    let path = match below.as_os_str().is_empty() {
        true => Path::new("."),
        false => below,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_inside(hierarchy.open()?, path, flags).map_err(|errno| {
        let path = hierarchy.path(below);
        Error::new("open", path.to_string_lossy(), errno)
    })
}

/// Opens a path without `..`, given relative to a cgroup folder.
pub(crate) fn open_inside(
    folder: impl AsFd,
    path: &Path,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let folder = folder.as_fd();
    match rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve) {
        // A cgroup filesystem has no symlinks but v1's controller aliases, which are
        // outside of it; only a mount on top could lead elsewhere.
        Err(Errno::NOSYS) => rustix::fs::openat(folder, path, flags, Mode::empty()),
        result => result,
    }
}

pub(crate) fn is_writable(folder: impl AsFd, path: &str) -> bool {
    rustix::fs::accessat(folder, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

pub(crate) fn v2_controllers(folder: impl AsFd) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let path = Path::new("cgroup.controllers");
    let fd = open_inside(folder, path, flags)?;
    // The names of all controllers of all kernels together are far below this.
    let mut buffer = [0; 1024];
    let length = rustix::io::read(&fd, &mut buffer)?;
    let text = OsStr::from_bytes(&buffer[..length]).to_string_lossy();
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Whether systemd is this machine's init, and so the owner of its cgroups:
/// sd_booted(3).
#[must_use]
pub fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegation_is_whole_only_with_all_its_parts() {
        let whole = Delegation {
            controllers: vec![],
            v2: true,
            folder: PathBuf::new(),
            groups: true,
            procs: true,
            subtree_control: true,
        };
        assert!(whole.is_whole());
        let without = |change: fn(&mut Delegation)| {
            let mut delegation = whole.clone();
            change(&mut delegation);
            delegation.is_whole()
        };
        assert!(!without(|delegation| delegation.groups = false));
        assert!(!without(|delegation| delegation.procs = false));
        assert!(!without(|delegation| delegation.subtree_control = false));
        assert!(without(|delegation| {
            delegation.v2 = false;
            delegation.subtree_control = false;
        }));
    }
}
