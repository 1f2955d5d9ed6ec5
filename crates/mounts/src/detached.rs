//! Mounts that are attached nowhere yet.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bitflags::bitflags;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use warren_sys::{MountAttr, mount_setattr};

use crate::Result;

bitflags! {
    /// What a mount forbids: the `MOUNT_ATTR_*` flags of mount_setattr(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Attributes: u32 {
        /// Nothing can be written.
        const READ_ONLY = warren_sys::MOUNT_ATTR_RDONLY;
        /// Set-user-id bits and file capabilities mean nothing.
        const NO_SUID = warren_sys::MOUNT_ATTR_NOSUID;
        /// Device files cannot be opened.
        const NO_DEVICES = warren_sys::MOUNT_ATTR_NODEV;
        /// Nothing can be executed.
        const NO_EXEC = warren_sys::MOUNT_ATTR_NOEXEC;
    }
}

/// A detached copy of the mount at `path` (relative to `dir`), with all mounts below
/// it if `recursive`: open_tree(2) with `OPEN_TREE_CLONE`.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` in the user namespace of the mount namespace;
/// `EINVAL` where `dir` lies in another mount namespace, or where a part of a tree
/// from a more privileged one would uncover what it hides.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(dir, path, flags)
}

/// Adds `attributes` to a detached mount, and with `recursive` to all below it, and
/// takes it out of its peer group.
///
/// A tree cloned from a shared mount is its peer: what is mounted in the one would
/// appear in the other, on the host.
///
/// # Errors
/// As mount_setattr(2): `ENOSYS` before Linux 5.12.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    recursive: bool,
) -> Result<()> {
    let attr = MountAttr {
        set: u64::from(attributes.bits()),
        propagation: PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(mount, c"", recursive, attr)
}

/// Adds `attributes` to the mount at `name` in `dir`.
///
/// # Errors
/// As [`set_attributes`].
pub fn add_attributes(
    dir: BorrowedFd<'_>,
    name: &CStr,
    attributes: Attributes,
) -> Result<()> {
    let attr = MountAttr {
        set: u64::from(attributes.bits()),
        ..MountAttr::default()
    };
    mount_setattr(dir, name, false, attr)
}

/// What [`change`] changes of a mount: bits `MOUNT_ATTR_*`, and how it spreads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Attributes that are set.
    pub set: u32,
    /// Attributes that are cleared before.
    pub clear: u32,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave that.
    pub propagation: u64,
}

/// Changes a mount, with `recursive` all below it too, and nothing but what is said.
///
/// # Errors
/// As mount_setattr(2): `EPERM` for an attribute that is locked, `EINVAL` for a mount that
/// is not of the caller's namespace.
pub fn change(mount: BorrowedFd<'_>, change: Change, recursive: bool) -> Result<()> {
    let attr = MountAttr {
        set: u64::from(change.set),
        clear: u64::from(change.clear),
        propagation: change.propagation,
        ..MountAttr::default()
    };
    mount_setattr(mount, c"", recursive, attr)
}

/// Makes the root mount of the caller's mount namespace private, and it alone.
///
/// # Errors
/// As [`set_attributes`].
pub fn make_root_private() -> Result<()> {
    let attr = MountAttr {
        propagation: PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(rustix::fs::CWD, c"/", false, attr)
}

/// Makes every mount of the caller's mount namespace private.
///
/// # Errors
/// As [`set_attributes`].
pub fn make_all_private() -> Result<()> {
    make_private_from(c"/")
}

/// Makes all mounts slaves: what is mounted on their peers comes, and nothing goes there.
///
/// # Errors
/// As [`set_attributes`].
pub fn make_all_slaves() -> Result<()> {
    let attr = MountAttr {
        propagation: SLAVE,
        ..MountAttr::default()
    };
    mount_setattr(rustix::fs::CWD, c"/", true, attr)
}

/// Makes the mount at `path` and all below it private.
///
/// # Errors
/// As [`set_attributes`]; `EINVAL` where `path` is not the root of a mount.
pub fn make_private_from(path: &CStr) -> Result<()> {
    let attr = MountAttr {
        propagation: PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(rustix::fs::CWD, path, true, attr)
}

/// Shows the ids of a detached mount's files through the map of `user_namespace`: an
/// id on disk appears as what it would be inside; with `recursive` in all that is mounted
/// in it too. Linux 5.12, and the filesystem must support it.
///
/// # Errors
/// `EINVAL` where the filesystem has no idmapped mounts or this one has a map already;
/// `EPERM` without `CAP_SYS_ADMIN` over the filesystem.
pub fn shift_ids(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<()> {
    let user_namespace = Some(user_namespace);
    mount_setattr(
        mount,
        c"",
        recursive,
        MountAttr {
            user_namespace,
            ..MountAttr::default()
        },
    )
}

/// `MS_PRIVATE` of mount(2).
const PRIVATE: u64 = 1 << 18;
/// `MS_SLAVE` of it.
const SLAVE: u64 = 1 << 19;

/// A new filesystem on its way to a detached mount: fsopen(2), fsconfig(2),
/// fsmount(2).
#[derive(Debug)]
pub struct Filesystem(OwnedFd);

impl Filesystem {
    /// Begins one of the kind `name`, as in /proc/filesystems.
    ///
    /// # Errors
    /// `ENODEV` where the kernel has no such filesystem.
    pub fn open(name: &CStr) -> Result<Self> {
        rustix::mount::fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC).map(Self)
    }

    /// Sets the option `key` to `value`.
    ///
    /// # Errors
    /// `EINVAL` where the filesystem has no such option or refuses the value.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_string(self.0.as_fd(), key, value)
    }

    /// Sets the option `key` that takes no value.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn flag(&self, key: &CStr) -> Result<()> {
        rustix::mount::fsconfig_set_flag(self.0.as_fd(), key)
    }

    /// Makes the filesystem and a detached mount of it.
    ///
    /// # Errors
    /// `EPERM` where the user namespace may not mount it; for procfs and sysfs also
    /// where the instance that is visible now has parts covered ("mount too
    /// revealing").
    pub fn mount(self, attributes: Attributes) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(self.0.as_fd())?;
        let attributes = MountAttrFlags::from_bits_retain(attributes.bits());
        rustix::mount::fsmount(self.0.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }
}
