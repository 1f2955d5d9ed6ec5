//! The root to be, and what of the host is seen in it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::mount::UnmountFlags;
use warren_mounts::{
    Attributes, Filesystem, Target, attach_at, attach_over, clone_tree, open_in_root,
};
use warren_namespaces::Kind;
use warren_sys::{Errno, Result};

use super::Child;
use crate::spec::Access;
use crate::step::{Source, Step};

impl Child<'_> {
    /// The tree of a source, detached, with the attributes that every tree gets.
    pub(super) fn tree(&self, source: &Source, access: Access) -> Result<OwnedFd> {
        match source {
            Source::Path(path) => {
                let tree = self.clone_own_tree(path)?;
                warren_mounts::set_attributes(tree.as_fd(), attributes(access), true)?;
                Ok(tree)
            }
            Source::Kept(number, _) => {
                let tree = self.fds.trees.get(*number).and_then(Option::as_ref);
                rustix::io::fcntl_dupfd_cloexec(tree.ok_or(Errno::BADF)?, 3)
            }
            // The parent has set the attributes. A copy, since the original is the
            // parent's to close.
            Source::Tree(number, _) => {
                let tree = self.with.trees.get(*number).ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(tree, 3)
            }
        }
    }

    /// KERNEL(6.18): a copied mount namespace has no unbindable mounts. Before, one that
    /// another user namespace owns can be neither copied nor left out of a copy (`EPERM`),
    /// as the store of kept namespaces; as a private one it is copied.
    fn clone_own_tree(&self, path: &CStr) -> Result<OwnedFd> {
        let clone = || clone_tree(rustix::fs::CWD, path, true);
        match clone() {
            Err(Errno::PERM) if self.has_new_mounts() => {
                warren_mounts::make_all_private()?;
                clone()
            }
            tree => tree,
        }
    }

    /// Whether the mount namespace was made for this child.
    fn has_new_mounts(&self) -> bool {
        self.with.steps.iter().any(|step| {
            matches!(step, Step::Clone { namespaces } if namespaces.contains(Kind::Mnt))
        })
    }

    pub(super) fn stage(&mut self, root: OwnedFd) -> Result<()> {
        attach_over_root(root.as_fd())?;
        self.fds.root = Some(root);
        Ok(())
    }

    pub(super) fn root_empty(&mut self) -> Result<()> {
        let root = tmpfs(c"755", None)?;
        self.stage(root)
    }

    pub(super) fn root_tree(&mut self, source: &Source, access: Access) -> Result<()> {
        let tree = self.tree(source, access)?;
        self.stage(tree)
    }

    /// The layers live on a tmpfs that the root then covers. Their paths are given
    /// relative to it, so none of them is looked up in the host's tree.
    pub(super) fn make_layers(&mut self) -> Result<()> {
        let layers = tmpfs(c"755", None)?;
        attach_over_root(layers.as_fd())?;
        self.fds.layers = Some(layers);
        Ok(())
    }

    pub(super) fn overlay(&mut self, source: &Source) -> Result<OwnedFd> {
        let lower = self.tree(source, Access::ReadOnly)?;
        let all = self.fds.layers.as_ref().ok_or(Errno::BADF)?;
        let number = self.overlays;
        self.overlays = number.checked_add(1).ok_or(Errno::OVERFLOW)?;
        let mut name = [0; 12];
        let layer = make_numbered(all, number, &mut name)?;
        for name in [c"lower", c"upper", c"work"] {
            rustix::fs::mkdirat(&layer, name, Mode::from_raw_mode(0o700))?;
        }
        // What the root of the overlay looks like is up to the upper layer.
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&lower)?.st_mode & 0o7777);
        rustix::fs::chmodat(&layer, c"upper", mode, AtFlags::empty())?;
        attach_at(lower.as_fd(), layer.as_fd(), c"lower")?;
        rustix::process::fchdir(&layer)?;
        let overlay = Filesystem::open(c"overlay")?;
        overlay.set(c"lowerdir", c"lower")?;
        overlay.set(c"upperdir", c"upper")?;
        overlay.set(c"workdir", c"work")?;
        // trusted.* attributes need privilege over the host (Linux 5.11).
        overlay.flag(c"userxattr")?;
        overlay.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
    }

    pub(super) fn folder(&self, target: &Target, mode: u32, own: bool) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let mode = Mode::from_raw_mode(mode);
        match rustix::fs::mkdirat(parent, target.name(), mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        if own {
            let copy = clone_tree(parent, target.name(), false)?;
            attach_at(copy.as_fd(), parent, target.name())?;
        }
        Ok(())
    }

    pub(super) fn symlink(&self, content: &CStr, target: &Target) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        rustix::fs::symlinkat(content, parent, target.name())
    }

    /// Covers what is at `target`, if anything is.
    pub(super) fn mask(&mut self, target: &Target) -> Result<()> {
        let place = match open_in_root(self.root()?, target.path(), OFlags::PATH) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let stat = rustix::fs::fstat(&place)?;
        let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            empty_folder()?
        } else {
            nothing()?
        };
        attach_over(cover.as_fd(), place.as_fd())
    }

    /// A folder of the root: not one behind a magic link, since a link of the tree to
    /// /proc/self/fd/N would lead out of it (CVE-2024-21626).
    pub(super) fn work_dir(&self, path: &CStr) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = match &self.fds.root {
            Some(root) => open_in_root(root.as_fd(), path, flags)?,
            None => {
                let slash =
                    rustix::fs::open(c"/", flags | OFlags::CLOEXEC, Mode::empty())?;
                open_in_root(slash.as_fd(), path, flags)?
            }
        };
        rustix::process::fchdir(folder)
    }

    /// From here on the old root has no name; then it is gone.
    pub(super) fn enter_root(&mut self) -> Result<()> {
        rustix::process::fchdir(self.root()?)?;
        match warren_sys::pivot_root() {
            // A root that is no mount, as after chroot(2), cannot be moved away.
            Err(Errno::INVAL) if self.fds.outer_root.is_some() => {
                rustix::process::chroot(c".")?;
                return rustix::process::chdir(c"/");
            }
            result => result?,
        }
        // The old root lies on the new one now; the layers, which the new root covered
        // until it moved, lie on the old one still. Each call takes the topmost.
        if self.fds.layers.take().is_some() {
            rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        }
        rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")
    }
}

/// What every mount of a host's tree forbids.
pub fn attributes(access: Access) -> Attributes {
    let always = Attributes::NO_SUID | Attributes::NO_DEVICES;
    match access {
        Access::ReadOnly => always | Attributes::READ_ONLY,
        Access::ReadWrite => always,
    }
}

pub(super) fn tmpfs(mode: &CStr, size: Option<&CStr>) -> Result<OwnedFd> {
    let tmpfs = Filesystem::open(c"tmpfs")?;
    // The kernel's own default.
    if mode != c"1777" {
        tmpfs.set(c"mode", mode)?;
    }
    if let Some(size) = size {
        tmpfs.set(c"size", size)?;
    }
    tmpfs.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
}

/// A detached mount of the null device on which even that cannot be opened, so that who
/// reads what it covers gets an error, not an empty file.
pub(super) fn nothing() -> Result<OwnedFd> {
    let null = clone_tree(rustix::fs::CWD, c"/dev/null", false)?;
    warren_mounts::set_attributes(null.as_fd(), Attributes::all(), false)?;
    Ok(null)
}

/// A detached folder in which nothing is and nothing can be made.
pub(super) fn empty_folder() -> Result<OwnedFd> {
    Filesystem::open(c"tmpfs")?.mount(Attributes::all())
}

/// Puts a mount over the root of this process, which goes on to see what is below: its
/// own root is the old one, and it has the new one by descriptor.
fn attach_over_root(mount: BorrowedFd<'_>) -> Result<()> {
    attach_at(mount, rustix::fs::CWD, c"/")
}

/// Makes a folder whose name is a number, and opens it.
fn make_numbered(parent: &OwnedFd, number: u16, name: &mut [u8; 12]) -> Result<OwnedFd> {
    for (place, power) in name.iter_mut().zip([10_000, 1_000, 100, 10, 1]) {
        *place = b'0' + (number / power % 10) as u8;
    }
    let name = CStr::from_bytes_until_nul(name).map_err(|_| Errno::INVAL)?;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
