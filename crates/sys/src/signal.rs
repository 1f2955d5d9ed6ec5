//! Signals as a supervisor handles them: blocked, then taken one by one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::{Errno, Result, check};

pub use libc::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGSYS, SIGTERM,
    SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGXCPU,
};

/// A set of signals, as the kernel lays it out: bit N-1 is signal N.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal. The kernel never blocks KILL and STOP.
    pub const ALL: Self = Self(u64::MAX);

    /// The set with `signal` in it.
    #[must_use]
    pub const fn with(self, signal: i32) -> Self {
        Self(self.0 | (1 << (signal - 1)))
    }

    /// The set without `signal`.
    #[must_use]
    pub const fn without(self, signal: i32) -> Self {
        Self(self.0 & !(1 << (signal - 1)))
    }
}

/// A signal that was taken from the queue: the part of `siginfo_t` that matters to a
/// supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub signal: i32,
    /// Whether the kernel sent it (the terminal's Ctrl-C, a dead child), not a process.
    pub from_kernel: bool,
}

/// Replaces the calling thread's blocked signals and returns the old ones:
/// rt_sigprocmask(2).
pub fn set_blocked(set: SignalSet) -> SignalSet {
    let mut old = SignalSet::EMPTY;
    // SAFETY: both pointers lead to live 8-byte sets, the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const set,
            &raw mut old,
            size_of::<SignalSet>(),
        )
    };
    debug_assert_eq!(result, 0, "rt_sigprocmask with valid arguments cannot fail");
    old
}

/// Waits until a signal of `set`, which must be blocked, is there, and takes it:
/// rt_sigtimedwait(2). `None` waits for ever.
///
/// # Errors
/// `EAGAIN` when the time is over. It begins again by itself on `EINTR`.
pub fn wait(set: SignalSet, timeout: Option<Duration>) -> Result<Taken> {
    let timeout = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: an all-zero siginfo_t is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the set is 8 bytes as stated; `info` and `timeout` are live or null.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const set,
                &raw mut info,
                timeout,
                size_of::<SignalSet>(),
            )
        };
        match check(result) {
            Ok(signal) => {
                return Ok(Taken {
                    signal: signal as i32,
                    from_kernel: info.si_code > 0,
                });
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sets `signal`'s action back to the default: rt_sigaction(2).
pub fn default_action(signal: i32) {
    /// `struct sigaction` of the kernel, all zero: `SIG_DFL`, no flags, no restorer,
    /// empty mask. Larger than that of any architecture.
    #[repr(C, align(8))]
    struct KernelSigaction([u8; 64]);
    let action = KernelSigaction([0; 64]);
    // SAFETY: the kernel reads a sigaction, which is at most 64 bytes, and the mask
    // size given is its own. A signal that has no settable action is EINVAL.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const action,
            std::ptr::null_mut::<u8>(),
            size_of::<SignalSet>(),
        )
    };
}

/// Has `signal` end the process: the first process of a pid namespace is otherwise not
/// ended by one from outside but KILL, as long as it has no handler: pid_namespaces(7).
pub fn end_by(signal: i32) {
    extern "C" fn end(signal: i32) {
        crate::exit_now(128 + signal);
    }
    let handler: extern "C" fn(i32) = end;
    // SAFETY: integers and an optional function, for which zero is a value: no flags, and an
    // empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the kernel reads an action, which outlives the call. Its handler calls nothing
    // but _exit(2), whatever it interrupts.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// Sets every signal that has a handler back to the default, and leaves the ignored
/// ones ignored, as `CLONE_CLEAR_SIGHAND` does.
pub fn handlers_reset() {
    const SIGNALS: i32 = 64;
    for signal in 1..=SIGNALS {
        if has_handler(signal) {
            default_action(signal);
        }
    }
}

fn has_handler(signal: i32) -> bool {
    let mut action = [0_usize; 8];
    // SAFETY: the kernel writes a sigaction of at most 64 bytes, whose first word is
    // the handler on every architecture but MIPS.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            std::ptr::null::<u8>(),
            &raw mut action,
            size_of::<SignalSet>(),
        )
    };
    result == 0 && action[0] != libc::SIG_DFL && action[0] != libc::SIG_IGN
}

/// Sends `signal` to a child that has not been reaped, so that the number cannot have
/// gone to another process: kill(2).
///
/// # Errors
/// `EPERM`, `ESRCH`.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: kill has no memory to get wrong.
    check(unsafe { libc::syscall(libc::SYS_kill, pid, signal) }).map(drop)
}

/// Sends any `signal`, those without a name too, to the process of a pidfd; 0 sends none:
/// pidfd_send_signal(2), Linux 5.1.
///
/// # Errors
/// `ESRCH` where it is gone, `EPERM`, `EINVAL` where there is no such signal.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let number = pidfd.as_raw_fd();
    // SAFETY: a null siginfo is what kill(2) would send.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            number,
            signal,
            std::ptr::null::<u8>(),
            0,
        )
    })
    .map(drop)
}

/// Blocked signals as a descriptor that poll(2) can wait for: signalfd(2).
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// One that gives the signals of `set`, which must be blocked.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn open(set: SignalSet) -> Result<Self> {
        // SAFETY: the set is live and 8 bytes, as stated; -1 asks for a new descriptor.
        let fd = check(unsafe {
            libc::syscall(
                libc::SYS_signalfd4,
                -1,
                &raw const set,
                size_of::<SignalSet>(),
                libc::SFD_CLOEXEC,
            )
        })?;
        // SAFETY: the kernel has just made it, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Takes one signal; waits for it.
    ///
    /// # Errors
    /// Whatever read(2) answers.
    pub fn take(&self) -> Result<Taken> {
        const CODE: usize = 8;
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut info))?;
        if length != info.len() {
            return Err(Errno::IO);
        }
        // The number is the first word, si_code the third.
        let word = |at: usize| {
            i32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]])
        };
        Ok(Taken {
            signal: word(0),
            from_kernel: word(CODE) > 0,
        })
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
