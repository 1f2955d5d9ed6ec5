//! Descriptors in bulk, and the one network call of every sandbox.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};

use crate::{Errno, Result, check};

/// Closes every descriptor from `first` to `last`: close_range(2), Linux 5.9.
///
/// Where the call is missing, one by one.
///
/// # Safety
/// No value of this process may go on believing that it owns one of them: in
/// practice, a forked child that only walks its plan.
pub unsafe fn close_range(first: u32, last: u32) {
    // The filter of a container may forbid what it does not know.
    if close_range_call(first, last, 0).is_err() {
        for fd in first..=last.min(highest_possible()) {
            // SAFETY: the caller has given up every descriptor of the range.
            unsafe { libc::close(fd as RawFd) };
        }
    }
}

/// Marks every descriptor from `first` on as close-on-exec.
///
/// close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11; one by one where that is
/// missing.
pub fn close_range_on_exec(first: u32) {
    const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
    if close_range_call(first, u32::MAX, CLOSE_RANGE_CLOEXEC).is_err() {
        for fd in first..=highest_possible() {
            // SAFETY: F_SETFD on any number is at worst EBADF.
            unsafe { libc::fcntl(fd as RawFd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

fn close_range_call(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: closing is the point of the call; close_range() above passes the
    // promise on to its caller, close_range_on_exec() closes nothing now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// The highest descriptor number that this process could have opened.
fn highest_possible() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // The hard limit, since the soft one may have been lowered after an open.
    let most = limit.maximum.unwrap_or(1 << 20).clamp(1, 1 << 20);
    most as u32 - 1
}

/// Whether the working directory lies below the root of the process: getcwd(2), which
/// puts `(unreachable)` in front of a path that does not.
///
/// # Errors
/// `ENOENT` where the folder was removed.
// Its buffer is a page of stack that most callers can do without.
#[inline(never)]
pub fn is_below_root() -> Result<bool> {
    let mut path = [0_u8; 4096];
    // SAFETY: the buffer is live and as long as is said.
    check(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })
        .map(|_| path[0] == b'/')
}

/// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed.
pub fn open_standard_streams() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: three live pollfds, and no wait.
    unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) };
    for stream in streams {
        if stream.revents & libc::POLLNVAL != 0 {
            // The lowest free number is this one, since those below it are open.
            // SAFETY: a C string and flags; the descriptor stays open for good.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// Brings the interface `lo` of the caller's network namespace up, through `socket`,
/// any socket of that namespace: `SIOCSIFFLAGS`, netdevice(7).
///
/// The kernel gives `lo` its addresses 127.0.0.1 and ::1 when it comes up, so no
/// netlink conversation is needed.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` in the namespace's owner.
pub fn loopback_up(socket: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: an all-zero ifreq is valid: a name of NULs and a zero union.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives on this stack.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        )
    };
    check(result).map(drop)
}

/// Whether the process of a pidfd has not been reaped: pidfd_send_signal(2) with no
/// signal.
///
/// # Errors
/// `ESRCH` where it is gone. A process that may not be signalled is alive.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: signal 0 and a null siginfo ask only for the check.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            0,
            std::ptr::null::<u8>(),
            0,
        )
    };
    match check(result) {
        Err(Errno::PERM) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether a descriptor of this number is open: fcntl(2) `F_GETFD`.
///
/// # Errors
/// `EBADF` where it is not.
pub fn is_open(number: RawFd) -> Result<()> {
    // SAFETY: F_GETFD changes nothing.
    check(unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) }).map(drop)
}

/// A copy of the descriptor `number`, at 3 or above, that is closed at exec: fcntl(2)
/// `F_DUPFD_CLOEXEC`.
///
/// # Errors
/// `EBADF` where it is not open, `EMFILE` where there is no number left.
pub fn duplicate(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: it changes nothing but the table of descriptors, by one that is new.
    let copy = check(unsafe {
        libc::syscall(libc::SYS_fcntl, number, libc::F_DUPFD_CLOEXEC, 3)
    })?;
    // SAFETY: the kernel has just given it to this process, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

/// Has the kernel send `signal` to this process whenever something can be read from `pipe`,
/// its end included: fcntl(2) `F_SETSIG` and `O_ASYNC`.
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn signal_when_readable(pipe: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let settings = [
        (libc::F_SETOWN, own),
        (linux_raw_sys::general::F_SETSIG as i32, signal),
        (libc::F_SETFL, libc::O_ASYNC),
    ];
    for (setting, value) in settings {
        // SAFETY: these take a number each, and change nothing but the open pipe.
        check(unsafe {
            libc::syscall(libc::SYS_fcntl, pipe.as_raw_fd(), setting, value)
        })?;
    }
    Ok(())
}

/// Locks the whole of a file for reading, without waiting: fcntl_locking(2) `F_SETLK`,
/// `F_RDLCK`. The lock belongs to the process and ends when it closes any descriptor of
/// the file.
///
/// # Errors
/// `EAGAIN` or `EACCES` where somebody has it locked for writing.
pub fn lock_for_reading(file: BorrowedFd<'_>) -> Result<()> {
    // All zero: from the start of the file to its end, wherever that is.
    let lock = libc::flock {
        l_type: libc::F_RDLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the kernel reads one struct flock, which lives over the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_fcntl,
            file.as_raw_fd(),
            libc::F_SETLK,
            &raw const lock,
        )
    })
    .map(drop)
}

/// Gives up the controlling terminal, if there is one: ioctl_tty(2) `TIOCNOTTY`.
///
/// setsid(2) would do the same, but its new session is a group of its own to the
/// scheduler (sched(7), autogroup): on a busy machine a short run then took half as long
/// again.
///
/// # Errors
/// Whatever open(2) answers for a terminal that is there.
pub fn leave_terminal() -> Result<()> {
    let open = |access| {
        let flags = access | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(c"/dev/tty", flags, Mode::empty())
    };
    // Rules of a control group about devices answer EPERM, be there a terminal or not. What
    // they leave open to a program inside must be found here.
    let ways = [OFlags::RDWR, OFlags::RDONLY, OFlags::WRONLY];
    let mut opened = ways.into_iter().map(open);
    let opened = opened.find(|it| !matches!(it, Err(Errno::PERM)));
    let terminal = match opened {
        Some(Ok(terminal)) => terminal,
        // None, or no way to it for anybody.
        None | Some(Err(Errno::NXIO | Errno::NOENT)) => return Ok(()),
        Some(Err(errno)) => return Err(errno),
    };
    // SAFETY: TIOCNOTTY takes no argument.
    let result =
        unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TIOCNOTTY) };
    check(result).map(drop)
}
