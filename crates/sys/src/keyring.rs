//! Keyrings: keyctl(2).

use std::ffi::CStr;

use crate::{Result, check};

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
const KEYCTL_SETPERM: libc::c_int = 5;

/// Everything to who has it; to its user to see it, to read it, to link it, and to find it
/// by its name: the last is not the kernel's own choice.
const PERMISSIONS: libc::c_uint = 0x3f1b_0000;

/// Leaves the caller's session keyring for the one called `name`, which is made if this user
/// namespace has none, and can be joined by others of the same user.
///
/// # Errors
/// `ENOSYS` from a kernel without keyrings; `EDQUOT` where the user has too many.
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    // SAFETY: the name is read up to its NUL, and nothing else of memory is touched.
    let keyring = check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())
    })?;
    // SAFETY: numbers alone.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, keyring, PERMISSIONS)
    })
    .map(drop)
}
