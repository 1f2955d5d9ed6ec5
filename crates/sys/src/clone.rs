//! clone3(2), its fallback clone(2), and unshare(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check, signal};
use libc::{c_int, c_long, pid_t};

/// What the new process is to have of its own. See clone(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneArgs<'a> {
    /// `CLONE_NEW*` bits; nothing else is accepted.
    pub namespaces: u64,
    /// Start in this cgroup (v2 only, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Which side of a fork the caller is on.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The process that called.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: i32,
        /// A pidfd for the child, close-on-exec.
        pidfd: OwnedFd,
    },
}

/// Every namespace bit that [`clone3`] accepts.
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64
    | CLONE_NEWTIME;

/// Shares its bit with the exit signal of clone(2), so only clone3(2) and
/// unshare(2) take it.
const CLONE_NEWTIME: u64 = 0x80;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Creates a process in new namespaces, with a pidfd and all signal handlers reset.
///
/// Where the kernel or a seccomp filter answers `ENOSYS` to clone3(2), it is made
/// with clone(2), and the child itself resets its handlers and, for a time
/// namespace, calls unshare(2).
///
/// # Errors
/// Whatever clone3(2) answers; `ENOSYS` only where a cgroup was asked for and
/// clone3 is missing; `EINVAL` for a bit that is no namespace.
///
/// # Safety
/// The child is a copy of the calling thread alone: in a program with threads it
/// may only call what is async-signal-safe (no allocation, no lock) until it
/// executes a program or calls [`exit_now`](crate::exit_now).
pub unsafe fn clone3(args: CloneArgs<'_>) -> Result<Forked> {
    if args.namespaces & !NAMESPACES != 0 {
        return Err(Errno::INVAL);
    }
    let mut pidfd: c_int = -1;
    let mut flags = args.namespaces | CLONE_CLEAR_SIGHAND | libc::CLONE_PIDFD as u64;
    if args.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let raw = linux_raw_sys::general::clone_args {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: args.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: `raw` is a whole clone_args of the size given; without CLONE_VM the
    // child runs on its own copy of this stack; `pidfd` outlives the call. What the
    // child may do is the caller's promise.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const raw,
            std::mem::size_of_val(&raw),
        )
    };
    match check(pid) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) => Ok(parent(pid, pidfd)),
        Err(Errno::NOSYS) if args.cgroup.is_none() => {
            // SAFETY: the caller's promise about the child is passed on.
            unsafe { clone_without_clone3(args.namespaces) }
        }
        Err(errno) => Err(errno),
    }
}

/// The same by clone(2), for a kernel or a filter without clone3.
///
/// # Safety
/// As [`clone3`].
unsafe fn clone_without_clone3(namespaces: u64) -> Result<Forked> {
    let mut pidfd: c_int = -1;
    let time = namespaces & CLONE_NEWTIME;
    let flags = (namespaces & !CLONE_NEWTIME) | libc::CLONE_PIDFD as u64;
    // SAFETY: the caller's promise about the child is passed on.
    let pid = unsafe { raw_clone(flags, &raw mut pidfd) }?;
    if pid != 0 {
        return Ok(parent(pid, pidfd));
    }
    signal::handlers_reset();
    // Only children of the caller enter a time namespace made by unshare(2): the
    // reaping init's payload does, a payload without init stays outside.
    if time != 0 {
        unshare(time)?;
    }
    Ok(Forked::Child)
}

/// Forks without new namespaces, with the handlers of the parent.
///
/// Returns 0 in the child and its pid in the parent. It is clone(2), not clone3(2),
/// since a seccomp filter that must look into the flags has to refuse the latter.
///
/// # Errors
/// Whatever clone(2) answers, `EAGAIN` most of all.
///
/// # Safety
/// As [`clone3`].
pub unsafe fn fork() -> Result<i32> {
    // SAFETY: the caller's promise about the child is passed on.
    let pid = unsafe { raw_clone(0, std::ptr::null_mut()) }?;
    Ok(pid as pid_t)
}

/// Forks a child of the caller's own parent: clone(2) with `CLONE_PARENT`. For who has
/// entered a pid namespace, which only children are born in, and is to go.
///
/// Returns 0 in the new process and its pid in the caller.
///
/// # Errors
/// Whatever clone(2) answers; `EINVAL` for the init of a pid namespace.
///
/// # Safety
/// As [`clone3`].
pub unsafe fn fork_sibling() -> Result<i32> {
    let flags = libc::CLONE_PARENT as u64;
    // SAFETY: the caller's promise about the child is passed on.
    let pid = unsafe { raw_clone(flags, std::ptr::null_mut()) }?;
    Ok(pid as pid_t)
}

/// # Safety
/// As [`clone3`]; `pidfd` is null or valid, and read only with `CLONE_PIDFD`.
unsafe fn raw_clone(flags: u64, pidfd: *mut c_int) -> Result<c_long> {
    let flags = flags | libc::SIGCHLD as u64;
    // The argument order of clone(2) is x86-64's, aarch64's and riscv64's for the
    // first three, which are all that is used.
    // SAFETY: a null stack means the child's own copy of this one; no CLONE_VM, no
    // CLONE_SETTLS. What the child may do is the caller's promise.
    check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            std::ptr::null_mut::<u8>(),
            pidfd,
            0,
            0,
        )
    })
}

fn parent(pid: c_long, pidfd: c_int) -> Forked {
    // SAFETY: the kernel has just stored a new descriptor there (CLONE_PIDFD), which
    // nobody else knows.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Forked::Parent {
        pid: pid as i32,
        pidfd,
    }
}

/// Moves the caller into new namespaces: `int unshare(int flags)`, unshare(2).
///
/// # Errors
/// Whatever unshare(2) answers; `EINVAL` for a bit that is no namespace.
pub fn unshare(namespaces: u64) -> Result<()> {
    if namespaces & !NAMESPACES != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: namespaces alone are unshared, never the descriptor table or memory
    // that other code of this process relies on.
    check(unsafe { libc::syscall(libc::SYS_unshare, namespaces) }).map(drop)
}

/// Whether the calling process has one thread: unshare(2) of `CLONE_THREAD`, which does
/// nothing where it has.
#[must_use]
pub fn has_one_thread() -> bool {
    // SAFETY: the call changes nothing, or fails.
    check(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_THREAD) }).is_ok()
}

/// Moves the caller into the namespace `fd`, or, where `fd` is a pidfd, into those of
/// that process that `namespaces` names: `int setns(int fd, int nstype)`, setns(2).
///
/// # Errors
/// `EINVAL` where `fd` is of another kind, or the caller has threads and the kind is
/// user; `EPERM` without `CAP_SYS_ADMIN` in the owner.
pub fn setns(fd: BorrowedFd<'_>, namespaces: u64) -> Result<()> {
    // SAFETY: setns has no memory to get wrong.
    check(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), namespaces) }).map(drop)
}

/// The user or group ids of a process: credentials(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Who it is.
    pub real: u32,
    /// As whom it is judged.
    pub effective: u32,
    /// Whom it may become again.
    pub saved: u32,
}

impl Ids {
    /// The number that is nobody's: (uid_t) -1.
    const NOBODYS: Self = Self {
        real: u32::MAX,
        effective: u32::MAX,
        saved: u32::MAX,
    };

    /// Whether all are the same.
    #[must_use]
    pub fn are_one(&self) -> bool {
        self.real == self.effective && self.effective == self.saved
    }
}

/// The caller's user ids: getresuid(2).
#[must_use]
pub fn own_user_ids() -> Ids {
    let mut ids = Ids::NOBODYS;
    // SAFETY: it writes a number to each of the three, unless a filter forbids it.
    unsafe { libc::getresuid(&mut ids.real, &mut ids.effective, &mut ids.saved) };
    ids
}

/// The caller's group ids: getresgid(2).
#[must_use]
pub fn own_group_ids() -> Ids {
    let mut ids = Ids::NOBODYS;
    // SAFETY: as above.
    unsafe { libc::getresgid(&mut ids.real, &mut ids.effective, &mut ids.saved) };
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positive case is each fork of a transition.
    #[test]
    fn a_test_has_another_thread() {
        assert!(!has_one_thread());
    }
}
