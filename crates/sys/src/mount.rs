//! mount_setattr(2) and the form of pivot_root(2) that needs no second folder.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Result, check};

pub use linux_raw_sys::general::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
};

/// What [`mount_setattr`] changes: `struct mount_attr`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountAttr<'a> {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear first.
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    /// The user namespace whose map an idmapped mount uses (`MOUNT_ATTR_IDMAP`).
    pub user_namespace: Option<BorrowedFd<'a>>,
}

/// Changes the attributes of the mount at `path` below `dir` (of `dir` itself, if
/// `path` is empty), and with `recursive` of all below it, in one step that succeeds
/// or fails whole: mount_setattr(2), Linux 5.12.
///
/// # Errors
/// `EPERM` where a bit is locked by a more privileged mount namespace or the caller
/// lacks `CAP_SYS_ADMIN`; `EINVAL` for an idmap of a filesystem that has none.
pub fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    recursive: bool,
    attr: MountAttr<'_>,
) -> Result<()> {
    let mut flags = libc::AT_SYMLINK_NOFOLLOW;
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let idmap = u64::from(MOUNT_ATTR_IDMAP);
    let raw = linux_raw_sys::general::mount_attr {
        attr_set: attr.set
            | if attr.user_namespace.is_some() {
                idmap
            } else {
                0
            },
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: attr.user_namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: `raw` is a whole mount_attr of the size given, `path` a C string, and
    // both live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const raw,
            size_of_val(&raw),
        )
    };
    check(result).map(drop)
}

/// Makes the working directory, which must be a mount, the root of the mount
/// namespace, and stacks the old root on top of it: `pivot_root(".", ".")`.
///
/// pivot_root(2) describes the form. `umount2(".", MNT_DETACH)` then removes the
/// old root, which at no moment had a name inside the new one.
///
/// # Errors
/// `EINVAL` where the new or the old root is a shared mount or the rootfs itself.
pub fn pivot_root() -> Result<()> {
    let here = c".".as_ptr();
    // SAFETY: both arguments are the same static C string.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) }).map(drop)
}
