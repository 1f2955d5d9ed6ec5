//! seccomp(2): loading a filter.

use crate::{Result, check};

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

/// Puts the calling thread, and all that it will fork, under `filter` for good:
/// `SECCOMP_SET_MODE_FILTER`.
///
/// # Errors
/// `EACCES` without no_new_privs or `CAP_SYS_ADMIN`; `EINVAL` for a program that the
/// kernel's checker refuses or a kernel without `CONFIG_SECCOMP_FILTER`.
pub fn seccomp_load(filter: &[BpfInstruction]) -> Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const BpfInstruction,
    }
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    let length = u16::try_from(filter.len()).map_err(|_| crate::Errno::INVAL)?;
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
            0,
            &raw const program,
        )
    };
    check(result).map(drop)
}
