//! The reaping init: pid 1 of a container, or the parent that waits in front of a
//! joined pid namespace.
//!
//! It holds no descriptor but those by which it tells of stops and of the end, has no
//! capability, cannot be traced by the program, and does three things: it reaps whatever
//! is orphaned, passes signals on to the program, and ends as the program ended, after all
//! that is left.
//!
//! It runs in a forked child of a possibly threaded program, under the rules of
//! [`child`](crate::child): no allocation, no lock, no panic.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Pid, WaitOptions};
use rustix::thread::futex;
use warren_sys::signal::{self, SignalSet, Taken};
use warren_sys::{Errno, exit_now};

use crate::report::{COUNTABLE, Detail, Report};

/// The byte that says on the event pipe that the program was stopped by its terminal.
pub const STOPPED: u8 = b's';

/// Runs until `program` has ended, then ends the same way.
///
/// All signals must be blocked. With `events`, a stop of the program is told there; with
/// `ended`, the parent first counts what the control group has used.
pub fn run(
    program: Pid,
    report: &Report,
    events: Option<BorrowedFd<'_>>,
    ended: Option<BorrowedFd<'_>>,
) -> ! {
    loop {
        if let Some(status) = attend(program, report, events) {
            reap_what_is_left();
            if let Some(ended) = ended {
                await_count(report, ended);
            }
            exit_now(exit_code(status));
        }
    }
}

/// The same, but goes on when `program` has ended, which it tells by closing `ended`, for as
/// long as there are other processes.
pub fn linger(program: Pid, report: &Report, ended: BorrowedFd<'_>) -> ! {
    let status = loop {
        if let Some(status) = attend(program, report, None) {
            break status;
        }
    };
    tell_end(ended);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => exit_now(exit_code(status)),
        }
    }
}

/// Stays until the parent has counted: systemd removes a scope as soon as nobody is in it.
///
/// A parent that has gone, or that waits for the end alone, does not count.
fn await_count(report: &Report, ended: BorrowedFd<'_>) {
    const PATIENCE: Timespec = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let counted = report.counted();
    counted.store(COUNTABLE, Ordering::Release);
    tell_end(ended);
    while counted.load(Ordering::Acquire) == COUNTABLE {
        // The page is shared between processes: not a private futex.
        let flags = futex::Flags::empty();
        match futex::wait(counted, flags, COUNTABLE, Some(&PATIENCE)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Closes the pipe whose end tells the parent that the program has ended.
fn tell_end(ended: BorrowedFd<'_>) {
    let ended = ended.as_raw_fd() as u32;
    // SAFETY: this process is forked and never returns to code that owns the descriptor.
    unsafe { warren_sys::close_range(ended, ended) };
}

/// Takes one signal; gives the status of the program if that has ended.
fn attend(program: Pid, report: &Report, events: Option<BorrowedFd<'_>>) -> Option<i32> {
    match signal::wait(SignalSet::ALL, None) {
        Ok(Taken {
            signal: libc::SIGCHLD,
            ..
        }) => return reap(program, report, events),
        Ok(taken) => forward(taken, program, events.is_some()),
        Err(errno) => give_up(errno, report),
    }
    None
}

/// Takes every child that has changed, up to the program.
fn reap(program: Pid, report: &Report, events: Option<BorrowedFd<'_>>) -> Option<i32> {
    let mut options = WaitOptions::NOHANG;
    if events.is_some() {
        options |= WaitOptions::UNTRACED;
    }
    loop {
        match rustix::process::wait(options) {
            Ok(None) => return None,
            Ok(Some((child, _))) if child != program => {}
            Ok(Some((_, status))) if status.stopped() => tell_stopped(events),
            Ok(Some((_, status))) => {
                report.end(status.as_raw());
                return Some(status.as_raw());
            }
            Err(Errno::INTR) => {}
            Err(errno) => give_up(errno, report),
        }
    }
}

/// Kills what the program has left and waits for it: what the kernel kills at the end of
/// an init counts to nobody's use.
///
/// A parent in front of a joined pid namespace is not pid 1, and what it could kill is not
/// the program's. Processes of other users cannot be killed from here; the kernel does that.
fn reap_what_is_left() {
    const PATIENCE: Duration = Duration::from_millis(50);
    let wait = || rustix::process::wait(WaitOptions::NOHANG);
    // Mostly nothing is left, and this is the only call that it takes to know.
    if matches!(wait(), Err(Errno::CHILD)) || rustix::process::getpid() != Pid::INIT {
        return;
    }
    let _ = signal::kill(EVERYBODY, libc::SIGKILL);
    loop {
        match wait() {
            Ok(Some(_)) => {}
            Ok(None) => {
                let child = SignalSet::EMPTY.with(libc::SIGCHLD);
                if signal::wait(child, Some(PATIENCE)).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// For kill(2): all processes of the pid namespace but the init.
const EVERYBODY: i32 = -1;

/// Ends, since nobody would hear of the program's end any more.
fn give_up(errno: Errno, report: &Report) -> ! {
    report.fail(errno, Detail::None);
    exit_now(127)
}

fn tell_stopped(events: Option<BorrowedFd<'_>>) {
    if let Some(events) = events {
        // A parent that has gone cares no more.
        let _ = rustix::io::write(events, &[STOPPED]);
    }
}

/// Passes a signal on.
///
/// What the kernel itself sends comes from a terminal, and the program, in the same
/// foreground group, has had it already. With a terminal of its own the program may be
/// several processes in one group, all of which a stop or a continue concerns.
fn forward(taken: Taken, program: Pid, own_terminal: bool) {
    if taken.from_kernel {
        return;
    }
    let program = program.as_raw_nonzero().get();
    let whole_group = own_terminal && taken.signal == libc::SIGCONT;
    let target = if whole_group { -program } else { program };
    // The program is not reaped yet, so its number is still its own. EPERM cannot be:
    // both have the same ids.
    let _ = signal::kill(target, taken.signal);
}

/// The exit code by which an init that cannot die of a signal tells of one.
fn exit_code(status: i32) -> i32 {
    match status & 0x7f {
        0 => status >> 8 & 0xff,
        signal => 128 + signal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_ends_with_the_code_a_shell_would_show() {
        assert_eq!(exit_code(7 << 8), 7);
        assert_eq!(exit_code(libc::SIGTERM), 143);
        assert_eq!(exit_code(libc::SIGSEGV | 0x80), 139);
    }
}
