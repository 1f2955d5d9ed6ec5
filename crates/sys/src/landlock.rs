//! landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use linux_raw_sys::landlock as raw;

use crate::{Errno, Result, check};

/// What a ruleset answers for: `struct landlock_ruleset_attr`.
///
/// A bit of `handled_*` is refused wherever no rule allows it; what has no bit is left
/// alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LandlockRuleset {
    /// `LANDLOCK_ACCESS_FS_*`.
    pub handled_files: u64,
    /// `LANDLOCK_ACCESS_NET_*`, ABI 4.
    pub handled_net: u64,
    /// `LANDLOCK_SCOPE_*`, ABI 6.
    pub scoped: u64,
}

/// The version of Landlock's interface: `LANDLOCK_CREATE_RULESET_VERSION`.
///
/// # Errors
/// `ENOSYS` where the kernel was built without it, `EOPNOTSUPP` where it was started
/// without it.
pub fn landlock_abi() -> Result<u32> {
    // SAFETY: with this flag the kernel takes no structure: it neither reads nor writes
    // memory.
    let version = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<LandlockRuleset>(),
            0_usize,
            raw::LANDLOCK_CREATE_RULESET_VERSION,
        )
    })?;
    u32::try_from(version).map_err(|_| Errno::INVAL)
}

/// Makes a ruleset without rules; the descriptor is close-on-exec.
///
/// # Errors
/// As [`landlock_abi`]; `EINVAL` for a bit, `E2BIG` for a field that the kernel does not
/// know; `ENOMSG` for a ruleset that answers for nothing.
pub fn landlock_create(ruleset: &LandlockRuleset) -> Result<OwnedFd> {
    // SAFETY: `ruleset` is laid out as struct landlock_ruleset_attr, of the size given,
    // and lives across the call. Fields that an older kernel lacks must be zero there,
    // which it checks.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::from_ref(ruleset),
            size_of::<LandlockRuleset>(),
            0_u32,
        )
    })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel returned a new descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Allows `access`, of the handled `LANDLOCK_ACCESS_FS_*`, to the file that `place` is
/// and, if it is a folder, to all below it. `place` may be an `O_PATH` descriptor.
///
/// # Errors
/// `EINVAL` for a right that is not handled, or of a folder on a file; `EBADFD` for what
/// lies in no filesystem that can be reached by a path: a pipe, a socket.
pub fn landlock_add_path(
    ruleset: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    access: u64,
) -> Result<()> {
    let rule = raw::landlock_path_beneath_attr {
        allowed_access: access,
        parent_fd: place.as_raw_fd(),
    };
    let kind = raw::landlock_rule_type::LANDLOCK_RULE_PATH_BENEATH;
    // SAFETY: `rule` is the structure of this kind of rule and lives across the call.
    unsafe { add_rule(ruleset, kind, (&raw const rule).cast()) }
}

/// Allows `access`, of the handled `LANDLOCK_ACCESS_NET_*`, to a port; 0 stands for one
/// that bind(2) chooses. ABI 4.
///
/// # Errors
/// `EINVAL` for a right that is not handled.
pub fn landlock_add_port(ruleset: BorrowedFd<'_>, port: u16, access: u64) -> Result<()> {
    let rule = raw::landlock_net_port_attr {
        allowed_access: access,
        port: u64::from(port),
    };
    let kind = raw::landlock_rule_type::LANDLOCK_RULE_NET_PORT;
    // SAFETY: `rule` is the structure of this kind of rule and lives across the call.
    unsafe { add_rule(ruleset, kind, (&raw const rule).cast()) }
}

/// # Safety
/// `rule` points to the structure of `kind`, alive across the call.
unsafe fn add_rule(
    ruleset: BorrowedFd<'_>,
    kind: raw::landlock_rule_type,
    rule: *const libc::c_void,
) -> Result<()> {
    // SAFETY: the caller's promise is passed on.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            kind as u32,
            rule,
            0_u32,
        )
    };
    check(result).map(drop)
}

/// Puts the calling thread, and all that it will fork, under the ruleset for good.
///
/// # Errors
/// `EPERM` without no_new_privs or `CAP_SYS_ADMIN`; `E2BIG` for the 17th layer.
pub fn landlock_restrict_self(ruleset: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the call takes a descriptor and flags, and touches no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32)
    };
    check(result).map(drop)
}
