//! Descriptors that the process was started with.
//!
//! All that this workspace opens is closed at exec. What is not was there before, and
//! nobody in the process owns it.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::{Errno, Result, check};

/// Whether the descriptor `number` is one that the process was started with and that
/// nobody has [taken](take_inherited): fcntl(2) `F_GETFD`.
#[must_use]
pub fn is_inherited(number: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing.
    let flags = check(unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) });
    flags.is_ok_and(|flags| flags & libc::c_long::from(libc::FD_CLOEXEC) == 0)
}

/// Takes the descriptor `number` that the process was started with; it is closed at exec
/// from now on, and cannot be taken twice. Not one of the standard streams, which std
/// uses.
///
/// # Errors
/// `EBADF` where there is none, or it is taken.
pub fn take_inherited(number: RawFd) -> Result<OwnedFd> {
    if number <= libc::STDERR_FILENO || !is_inherited(number) {
        return Err(Errno::BADF);
    }
    // SAFETY: it changes a flag of a descriptor that nobody in the process owns.
    check(unsafe {
        libc::syscall(libc::SYS_fcntl, number, libc::F_SETFD, libc::FD_CLOEXEC)
    })?;
    // SAFETY: without the flag it was nobody's, as the module says, and with the flag it is
    // not given out again.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
