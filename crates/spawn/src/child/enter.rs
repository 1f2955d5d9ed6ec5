//! Into control groups, mount namespaces and roots that exist.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use warren_mounts::{Attributes, clone_tree, open_in_root};
use warren_namespaces::Kind;
use warren_sys::{Errno, Result};

use super::kernel::DEVICES;
use super::{Child, borrowed};

impl Child<'_> {
    /// Clones a tree while it can be named, to be attached in another mount namespace.
    pub(super) fn keep_tree(
        &mut self,
        number: usize,
        path: &CStr,
        forbids: Attributes,
    ) -> Result<()> {
        let tree = clone_tree(rustix::fs::CWD, path, true)?;
        warren_mounts::set_attributes(tree.as_fd(), forbids, true)?;
        let place = self.fds.trees.get_mut(number).ok_or(Errno::MFILE)?;
        *place = Some(tree);
        Ok(())
    }

    pub(super) fn keep_devices(&mut self) -> Result<()> {
        for ((path, _), place) in DEVICES.iter().zip(&mut self.fds.devices) {
            *place = Some(clone_tree(rustix::fs::CWD, path, false)?);
        }
        Ok(())
    }

    /// From here on the mounts are a copy. Its root is made private by the working
    /// directory where the process's own root is another folder, since only a mount can
    /// be: the kernel moves both into the copy.
    pub(super) fn copy_mounts(&mut self, private: bool) -> Result<()> {
        if let Some(outer) = &self.fds.outer_root {
            rustix::process::fchdir(outer)?;
        } else {
            rustix::process::chdir(c"/")?;
        }
        warren_sys::unshare(Kind::Mnt.clone_flag())?;
        if private {
            warren_mounts::make_private_from(c".")?;
        }
        rustix::process::chdir(c"/")
    }

    /// The new root is reached by descriptor, so no name of it can be changed meanwhile;
    /// the working directory follows, or `..` would lead out of it.
    pub(super) fn change_root_to(&mut self, folder: RawFd) -> Result<()> {
        self.note_outer_root()?;
        rustix::process::fchdir(borrowed(&folder))?;
        rustix::process::chroot(c".")?;
        rustix::process::chdir(c"/")
    }

    pub(super) fn change_root(&mut self, path: &CStr) -> Result<()> {
        let root = own_root()?;
        let folder = open_in_root(root.as_fd(), path, OFlags::PATH | OFlags::DIRECTORY)?;
        self.note_outer_root()?;
        rustix::process::fchdir(&folder)?;
        rustix::process::chroot(c".")?;
        rustix::process::chdir(c"/")
    }

    fn note_outer_root(&mut self) -> Result<()> {
        if self.fds.outer_root.is_none() {
            self.fds.outer_root = Some(own_root()?);
        }
        Ok(())
    }
}

pub(super) fn own_root() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/", flags, Mode::empty())
}

/// Writes 0, which is the writing process, to an open `cgroup.procs`.
pub(super) fn join_cgroup(procs: RawFd) -> Result<()> {
    rustix::io::write(borrowed(&procs), b"0").map(drop)
}

/// Goes to an open folder, if it lies below the root: from outside, `..` leads on.
pub(super) fn work_dir_to(folder: RawFd) -> Result<()> {
    rustix::process::fchdir(borrowed(&folder))?;
    if warren_sys::is_below_root()? {
        return Ok(());
    }
    rustix::process::chdir(c"/")?;
    Err(Errno::XDEV)
}
