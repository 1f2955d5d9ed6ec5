//! Bind mounts of namespaces.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::folder::shown;
use crate::mountinfo::{self, MountInfo};
use crate::{Error, Kind, NsFd, ProcRoot};

/// Makes a folder a mount of its own: namespaces can only be mounted where no other
/// mount namespace would get a copy, since one of a mount namespace in itself would keep
/// itself alive for ever, and the kernel refuses it (`ELOOP`, `EINVAL`).
pub fn own_mount(
    proc: &ProcRoot,
    folder: &Path,
    propagation: MountPropagationFlags,
) -> Result<(), Error> {
    let failed = |errno| {
        Error::new("mount a folder on itself,", shown(folder), errno).hint(
            "this takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace",
        )
    };
    if !is_mount_point(proc, folder)? {
        rustix::mount::mount_bind(folder, folder).map_err(failed)?;
    }
    rustix::mount::mount_change(folder, propagation).map_err(failed)
}

/// Whether something is mounted exactly there.
pub fn is_mount_point(proc: &ProcRoot, folder: &Path) -> Result<bool, Error> {
    let there = |mount: &MountInfo| mount.mount_point == folder;
    Ok(mountinfo::own(proc)?.iter().any(there))
}

/// Mounts a namespace at `path`, where no file may be.
pub fn pin(namespace: &NsFd, path: &Path) -> Result<(), Error> {
    let failed = |errno| {
        let error = Error::new("keep a namespace at", shown(path), errno);
        match (errno, namespace.kind()) {
            // KERNEL(6.18): the ids by which the kernel tells the older are given out per
            // CPU, so that one made on another CPU a moment later can have the lower one.
            (Errno::INVAL | Errno::LOOP, Kind::Mnt) => error
                .hint("a mount namespace cannot be mounted in itself or in a younger one")
                .hint(
                    "in a mount namespace that was made a moment ago, a new one can count \
                     as older (Linux 6.18): try again",
                ),
            (Errno::EXIST, _) => error.hint("a file of that name is there"),
            _ => error,
        }
    };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o444)).map_err(failed)?;
    attach(namespace, path).map_err(|errno| {
        let _ = rustix::fs::unlink(path);
        failed(errno)
    })
}

fn attach(namespace: &NsFd, path: &Path) -> Result<(), Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = rustix::mount::open_tree(namespace.as_fd(), c"", flags)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", rustix::fs::CWD, path, flags)
}

/// Unmounts all namespaces at `path` and removes the file: with it go the copies that
/// mount namespaces made meanwhile have.
pub fn unpin(path: &Path) -> Result<(), Error> {
    let failed = |errno| Error::new("remove", shown(path), errno);
    while NsFd::open(path).is_ok() {
        // A process that has the file open does not keep the name.
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        rustix::mount::unmount(path, flags)
            .map_err(|errno| Error::new("unmount", shown(path), errno))?;
    }
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}
