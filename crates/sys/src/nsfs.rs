//! The ioctls of namespace descriptors: ioctl_nsfs(2), NS_GET_* (Linux 4.9 and 4.11).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Result, check};
use libc::c_long;

const NS_GET_USERNS: u64 = 0xb701;
const NS_GET_PARENT: u64 = 0xb702;
const NS_GET_NSTYPE: u64 = 0xb703;
const NS_GET_OWNER_UID: u64 = 0xb704;

/// The user namespace that owns the namespace `fd`: `NS_GET_USERNS`.
///
/// # Errors
/// `EPERM` where the owner is outside of the caller's own user namespace.
pub fn namespace_user(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    new_fd(fd, NS_GET_USERNS)
}

/// The parent of the pid or user namespace `fd`: `NS_GET_PARENT`.
///
/// # Errors
/// `EPERM` where the parent is out of the caller's sight, as the initial namespace's
/// is; `EINVAL` for a kind without hierarchy.
pub fn namespace_parent(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    new_fd(fd, NS_GET_PARENT)
}

/// The `CLONE_NEW*` bit of the namespace `fd`: `NS_GET_NSTYPE`.
///
/// # Errors
/// `ENOTTY` where `fd` is no namespace.
pub fn namespace_kind(fd: BorrowedFd<'_>) -> Result<u64> {
    ioctl(fd, NS_GET_NSTYPE, std::ptr::null_mut()).map(|kind| kind as u64)
}

/// The user id, as the caller's user namespace sees it, that made the user namespace
/// `fd`: `NS_GET_OWNER_UID`.
///
/// # Errors
/// `EINVAL` where `fd` is no user namespace.
pub fn namespace_owner_uid(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut uid = 0;
    ioctl(fd, NS_GET_OWNER_UID, &raw mut uid).map(|_| uid)
}

fn new_fd(fd: BorrowedFd<'_>, request: u64) -> Result<OwnedFd> {
    let raw = ioctl(fd, request, std::ptr::null_mut())?;
    // SAFETY: both requests return a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}

fn ioctl(fd: BorrowedFd<'_>, request: u64, argument: *mut u32) -> Result<c_long> {
    // SAFETY: of the four requests only NS_GET_OWNER_UID touches its argument, and
    // namespace_owner_uid() passes it a live u32.
    check(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), request, argument) })
}
