//! Attaching a detached mount at a place inside a root, made if it is missing.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, UnmountFlags};

use crate::{Errno, Result, Target, open_in_root};

/// What kind of file a mount point is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder, for a folder or a filesystem.
    Folder,
    /// An empty file, for a file of any other type.
    File,
}

/// Attaches `mount` at `target` below `root`, and makes `target` and its parents
/// where they are missing.
///
/// A target of one component is used as it is named, without following a symlink;
/// symlinks on a longer way are resolved inside the root, the last component too unless
/// the target is [exact](Target::exactly).
///
/// # Errors
/// `EROFS` or `EACCES` where the target is missing and cannot be made; `ENOTDIR` or
/// `EISDIR` where one of mount and target is a folder and the other is not.
pub fn attach(
    mount: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    target: &Target,
    node: Node,
) -> Result<()> {
    // A folder cannot be mounted on a symlink; a file can.
    let plain = !target.is_exact() || node == Node::Folder;
    if target.parents().is_empty() && plain {
        match attach_at(mount, root, target.name()) {
            Err(Errno::NOENT) => {
                make(root, target.name(), node)?;
                return attach_at(mount, root, target.name());
            }
            // Not the right kind of file: it may be a symlink to one.
            Err(Errno::INVAL | Errno::NOTDIR) => {}
            other => return other,
        }
    }
    if target.is_exact() {
        return attach_exactly(mount, root, target, node, true);
    }
    let place = ensure(root, target, node)?;
    match (node, is_folder(&place)?) {
        (Node::Folder, false) => Err(Errno::NOTDIR),
        (Node::File, true) => Err(Errno::ISDIR),
        _ => attach_over(mount, place.as_fd()),
    }
}

/// Attaches `mount` at `target` below `root` and nowhere else: a symlink there is not
/// followed. Only with `make` is the target made where it is missing.
///
/// # Errors
/// `ENOENT` where it is missing, `ELOOP` for a symlink; else as [`attach`].
pub fn attach_exactly(
    mount: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    target: &Target,
    node: Node,
    make_it: bool,
) -> Result<()> {
    let place = match open_exactly(root, target) {
        Err(Errno::NOENT) if make_it => {
            let parent = ensure_parent(root, target)?;
            let dir = parent.as_ref().map_or(root, OwnedFd::as_fd);
            match make(dir, target.name(), node) {
                Ok(()) | Err(Errno::EXIST) => open_exactly(root, target)?,
                Err(errno) => return Err(errno),
            }
        }
        other => other?,
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    match (node, kind) {
        (_, FileType::Symlink) => Err(Errno::LOOP),
        (Node::File, FileType::Directory) => Err(Errno::ISDIR),
        (Node::Folder, kind) if kind != FileType::Directory => Err(Errno::NOTDIR),
        _ => attach_over(mount, place.as_fd()),
    }
}

/// Opens the folder `target` below `root`, which is made if it is missing, and is no symlink.
///
/// # Errors
/// `ELOOP` for a symlink, `ENOTDIR` for any other file; else as [`ensure`].
pub fn ensure_exactly(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd> {
    match open_folder_exactly(root, target) {
        Err(Errno::NOENT) => {
            let parent = ensure_parent(root, target)?;
            let dir = parent.as_ref().map_or(root, OwnedFd::as_fd);
            match make(dir, target.name(), Node::Folder) {
                Ok(()) | Err(Errno::EXIST) => open_folder_exactly(root, target),
                Err(errno) => Err(errno),
            }
        }
        opened => opened,
    }
}

fn open_folder_exactly(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    match open_in_root(root, target.path(), flags) {
        // The kernel says so of a symlink too.
        Err(Errno::NOTDIR) => {
            let place = open_exactly(root, target)?;
            match FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) {
                FileType::Symlink => Err(Errno::LOOP),
                _ => Err(Errno::NOTDIR),
            }
        }
        opened => opened,
    }
}

fn open_exactly(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd> {
    open_in_root(root, target.path(), OFlags::PATH | OFlags::NOFOLLOW)
}

/// Unmounts what is mounted at `target` below `root`, which must be neither a symlink nor
/// in use. The working directory of the process is the target's folder afterwards.
///
/// # Errors
/// `EINVAL` where it is no mount point, `EBUSY` where it is in use.
pub fn detach_exactly(root: BorrowedFd<'_>, target: &Target) -> Result<()> {
    let parent = match target.parent() {
        None => None,
        Some(path) => Some(open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY)?),
    };
    // umount2(2) takes no descriptor of a folder.
    rustix::process::fchdir(parent.as_ref().map_or(root, OwnedFd::as_fd))?;
    rustix::mount::unmount(target.name(), UnmountFlags::NOFOLLOW)
}

fn is_folder(place: &OwnedFd) -> Result<bool> {
    let stat = rustix::fs::fstat(place)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Attaches `mount` on top of the file or folder `place`.
///
/// # Errors
/// As [`attach`].
pub fn attach_over(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<()> {
    let flags =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", place, c"", flags)
}

/// Attaches `mount` at `name` in `dir`. A symlink there is not followed.
///
/// # Errors
/// As [`attach`]; `ENOENT` where nothing is there.
pub fn attach_at(mount: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", dir, name, flags)
}

/// Mounts `source` at `name` in the working directory: mount(2) with `MS_BIND`.
///
/// One call instead of three, for a working directory in a filesystem that the caller has
/// just made: `name` is followed if it is a symlink.
///
/// # Errors
/// `ENOENT` where either is missing.
pub fn bind_here(source: &CStr, name: &CStr) -> Result<()> {
    rustix::mount::mount_bind(source, name)
}

/// Mounts a new filesystem at `name` in the working directory: mount(2), under the
/// conditions of [`bind_here`].
///
/// # Errors
/// `ENOENT` where `name` is missing; `EPERM` where the user namespace may not.
pub fn mount_here(
    filesystem: &CStr,
    name: &CStr,
    flags: MountFlags,
    options: Option<&CStr>,
) -> Result<()> {
    rustix::mount::mount(filesystem, name, filesystem, flags, options)
}

/// Opens `target` below `root` as a path descriptor; makes it and its parents where
/// they are missing.
///
/// # Errors
/// As [`attach`]; `ELOOP` for a symlink that leads nowhere inside the root.
pub fn ensure(root: BorrowedFd<'_>, target: &Target, node: Node) -> Result<OwnedFd> {
    match open_in_root(root, target.path(), OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let parent = ensure_parent(root, target)?;
    let dir = parent.as_ref().map_or(root, OwnedFd::as_fd);
    match make(dir, target.name(), node) {
        Ok(()) | Err(Errno::EXIST) => open_in_root(root, target.path(), OFlags::PATH),
        Err(errno) => Err(errno),
    }
}

/// Opens the folder that `target` lies in, and makes it and its parents where they are
/// missing; `None` where that folder is the root itself.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_parent(root: BorrowedFd<'_>, target: &Target) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let Some(whole) = target.parent() else {
        return Ok(None);
    };
    match open_in_root(root, whole, flags) {
        Err(Errno::NOENT) => {}
        found => return found.map(Some),
    }
    let mut parent = None;
    for path in target.parents() {
        let dir = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let mode = Mode::from_raw_mode(target.parents_mode());
        match rustix::fs::mkdirat(dir, last_component(path), mode) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        parent = Some(open_in_root(root, path, flags)?);
    }
    Ok(parent)
}

/// The part of `path` after its last slash. Never empty for a prefix of a target.
fn last_component(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    CStr::from_bytes_with_nul(&bytes[start..]).unwrap_or(path)
}

pub(crate) fn make(dir: BorrowedFd<'_>, name: &CStr, node: Node) -> Result<()> {
    match node {
        Node::Folder => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)),
        Node::File => {
            let mode = Mode::from_raw_mode(0o444);
            rustix::fs::mknodat(dir, name, FileType::RegularFile, mode, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_what_follows_the_last_slash() {
        assert_eq!(last_component(c"a/b/c"), c"c");
        assert_eq!(last_component(c"a"), c"a");
    }
}
