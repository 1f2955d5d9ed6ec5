//! seccomp(2): loading a filter.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::{Errno, Result, check};

/// One instruction of a classic BPF program: `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInstruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip where it does not.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

bitflags::bitflags! {
    /// How a filter is loaded: `SECCOMP_FILTER_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SeccompFlags: u32 {
        /// Every thread of the process, not only the calling one.
        const TSYNC = 1;
        /// The kernel's log notes all refusals, not only deaths.
        const LOG = 1 << 1;
        /// No mitigation of speculative store bypass for the sake of the filter.
        const SPEC_ALLOW = 1 << 2;
        /// With a listener: once the supervisor has received a call, only a fatal
        /// signal interrupts it (Linux 5.19).
        const WAIT_KILLABLE_RECV = 1 << 5;
    }
}

/// Puts the calling thread, and all that it will fork, under `filter` for good:
/// `SECCOMP_SET_MODE_FILTER`.
///
/// # Errors
/// `EACCES` without no_new_privs or `CAP_SYS_ADMIN`; `EINVAL` for a program that the
/// kernel's checker refuses or a kernel without `CONFIG_SECCOMP_FILTER`.
pub fn seccomp_load(filter: &[BpfInstruction]) -> Result<()> {
    seccomp_load_with(filter, SeccompFlags::empty())
}

/// The same with `flags`.
///
/// # Errors
/// As [`seccomp_load`]; `EINVAL` for a flag that the kernel lacks; `ESRCH` for `TSYNC`
/// where a thread has a filter of its own already.
pub fn seccomp_load_with(filter: &[BpfInstruction], flags: SeccompFlags) -> Result<()> {
    load(filter, flags.bits()).map(drop)
}

/// The same with a listener: the descriptor, close-on-exec, on which a supervisor
/// receives the calls that the filter answers with `SECCOMP_RET_USER_NOTIF`. Linux 5.0.
///
/// # Errors
/// As [`seccomp_load_with`]; `EBUSY` where the thread has a filter with a listener.
pub fn seccomp_load_listener(
    filter: &[BpfInstruction],
    flags: SeccompFlags,
) -> Result<OwnedFd> {
    const NEW_LISTENER: u32 = 1 << 3;
    let fd = load(filter, flags.bits() | NEW_LISTENER)?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: with NEW_LISTENER the kernel returned a new descriptor; nobody else
    // knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The same by the older call: prctl(2) `PR_SET_SECCOMP`.
///
/// # Errors
/// As [`seccomp_load`].
pub fn seccomp_load_by_prctl(filter: &[BpfInstruction]) -> Result<()> {
    const SECCOMP_MODE_FILTER: libc::c_ulong = 2;
    let length = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = Program {
        length,
        filter: filter.as_ptr(),
    };
    // SAFETY: as in load().
    let result = unsafe {
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_SECCOMP,
            SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    check(result).map(drop)
}

/// A program as the kernel takes it: struct sock_fprog.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const BpfInstruction,
}

fn load(filter: &[BpfInstruction], mut flags: u32) -> Result<libc::c_long> {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    // Without it a thread that cannot follow is told by its number as the result,
    // which nobody could tell from a listener (Linux 5.7).
    const TSYNC_ESRCH: u32 = 1 << 4;
    if flags & SeccompFlags::TSYNC.bits() != 0 {
        flags |= TSYNC_ESRCH;
    }
    let length = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = Program {
        length,
        filter: filter.as_ptr(),
    };
    // SAFETY: `program` is laid out as struct sock_fprog and describes a live slice
    // of instructions laid out as struct sock_filter.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    check(result)
}
