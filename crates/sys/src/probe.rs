//! Which of the newer system calls this process may make.

use crate::{Errno, Result, check};
use libc::c_long;

/// A system call that is newer than Linux 5.0 and that this project uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// clone3(2).
    Clone3,
    /// pidfd_open(2).
    PidfdOpen,
    /// openat2(2).
    Openat2,
    /// close_range(2).
    CloseRange,
    /// open_tree(2).
    OpenTree,
    /// move_mount(2).
    MoveMount,
    /// fsopen(2).
    Fsopen,
    /// mount_setattr(2).
    MountSetattr,
}

impl Call {
    /// Every one of them.
    pub const ALL: [Self; 8] = [
        Self::Clone3,
        Self::PidfdOpen,
        Self::Openat2,
        Self::CloseRange,
        Self::OpenTree,
        Self::MoveMount,
        Self::Fsopen,
        Self::MountSetattr,
    ];

    /// Its name, as in section 2 of the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clone3 => "clone3",
            Self::PidfdOpen => "pidfd_open",
            Self::Openat2 => "openat2",
            Self::CloseRange => "close_range",
            Self::OpenTree => "open_tree",
            Self::MoveMount => "move_mount",
            Self::Fsopen => "fsopen",
            Self::MountSetattr => "mount_setattr",
        }
    }

    /// The first Linux that has it, as (major, minor).
    #[must_use]
    pub const fn since(self) -> (u32, u32) {
        match self {
            Self::OpenTree | Self::MoveMount | Self::Fsopen => (5, 2),
            Self::Clone3 | Self::PidfdOpen => (5, 3),
            Self::Openat2 => (5, 6),
            Self::CloseRange => (5, 9),
            Self::MountSetattr => (5, 12),
        }
    }

    const fn number(self) -> c_long {
        match self {
            Self::Clone3 => libc::SYS_clone3,
            Self::PidfdOpen => libc::SYS_pidfd_open,
            Self::Openat2 => libc::SYS_openat2,
            Self::CloseRange => libc::SYS_close_range,
            Self::OpenTree => libc::SYS_open_tree,
            Self::MoveMount => libc::SYS_move_mount,
            Self::Fsopen => libc::SYS_fsopen,
            Self::MountSetattr => libc::SYS_mount_setattr,
        }
    }

    /// Arguments that no kernel accepts: a null structure of size 0, unknown flags, an
    /// impossible pid, a range that ends before it starts.
    const fn impossible(self) -> [c_long; 5] {
        match self {
            Self::Clone3 => [0, 0, 0, 0, 0],
            Self::PidfdOpen => [-1, -1, 0, 0, 0],
            Self::CloseRange => [1, 0, -1, 0, 0],
            Self::OpenTree => [-1, 0, -1, 0, 0],
            Self::Fsopen => [0, -1, 0, 0, 0],
            Self::Openat2 | Self::MountSetattr => [-1, 0, 0, 0, 0],
            Self::MoveMount => [-1, 0, -1, 0, -1],
        }
    }
}

/// Makes the call in a way that has no effect.
///
/// # Errors
/// `ENOSYS` where the kernel lacks it or a seccomp filter says so; `EPERM` where a
/// filter refuses it in that way. For [`Call::MoveMount`] and [`Call::Fsopen`] `EPERM`
/// counts as success, since without `CAP_SYS_ADMIN` the kernel itself says so.
pub fn probe(call: Call) -> Result<()> {
    let [a, b, c, d, e] = call.impossible();
    // SAFETY: every pointer among the arguments is null and every descriptor -1, so
    // the kernel neither reads nor writes memory and changes nothing: it refuses the
    // arguments that impossible() gives.
    let answer = check(unsafe { libc::syscall(call.number(), a, b, c, d, e) });
    let unprivileged = matches!(call, Call::MoveMount | Call::Fsopen);
    match answer {
        Err(Errno::NOSYS) => Err(Errno::NOSYS),
        Err(Errno::PERM) if !unprivileged => Err(Errno::PERM),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_arguments_are_refused_by_the_kernel() {
        for call in Call::ALL {
            let [a, b, c, d, e] = call.impossible();
            // SAFETY: as in probe().
            let answer = check(unsafe { libc::syscall(call.number(), a, b, c, d, e) });
            let errno = answer.expect_err(call.name());
            let refused = [Errno::INVAL, Errno::PERM, Errno::FAULT, Errno::NOSYS];
            assert!(refused.contains(&errno), "{}: {errno}", call.name());
        }
    }

    #[test]
    fn this_kernel_has_every_call() {
        for call in Call::ALL {
            assert_eq!(probe(call), Ok(()), "{}", call.name());
        }
    }
}
