//! The holder: a process that keeps namespaces by living in them.
//!
//! It has no descriptor, no capability, no terminal, and nothing to do but to reap: in a
//! pid namespace of its own it is the init. It runs in a forked child of a possibly
//! threaded program, under the rules of [`child`](crate::child).

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::WaitOptions;
use rustix::thread::futex;
use warren_sys::signal::{self, SignalSet, Taken};
use warren_sys::{Errno, Result, exit_now};

use crate::report::{Detail, Report};

/// On the futex of a holder: it may outlive its parent.
pub const MAY_STAY: u32 = 2;
/// It does.
pub const STAYS: u32 = 3;

/// Stays until it is killed or gets `SIGTERM`.
///
/// All signals must be blocked, and the parent's death must kill.
pub fn run(report: &Report) -> ! {
    if let Err(errno) = await_leave(report) {
        report.fail(errno, Detail::None);
        exit_now(127);
    }
    loop {
        match signal::wait(SignalSet::ALL, None) {
            Ok(Taken {
                signal: libc::SIGCHLD,
                ..
            }) => reap(),
            // A session or a machine that ends waits for who ignores this.
            Ok(Taken {
                signal: libc::SIGTERM,
                ..
            }) => exit_now(0),
            Ok(_) => {}
            Err(_) => exit_now(127),
        }
    }
}

/// Waits until the parent has written down where the holder is: one of whom nothing is
/// known could never be ended.
fn await_leave(report: &Report) -> Result<()> {
    let stays = report.stays();
    let mut now = stays.load(Ordering::Acquire);
    while now != MAY_STAY {
        match futex::wait(stays, futex::Flags::empty(), now, None) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        now = stays.load(Ordering::Acquire);
    }
    rustix::process::set_parent_process_death_signal(None)?;
    stays.store(STAYS, Ordering::Release);
    // A parent that is not woken looks from time to time.
    let _ = futex::wake(stays, futex::Flags::empty(), 1);
    Ok(())
}

/// Takes every child that has ended.
fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// Lets the holder outlive this process; says whether it does.
///
/// # Errors
/// `ESRCH` where it has been killed, `ETIMEDOUT` where it does not answer.
pub fn let_stay(report: &Report, pidfd: BorrowedFd<'_>) -> Result<()> {
    /// More than any machine takes to run a process that is ready to.
    const MOST: u32 = 100;
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    let stays = report.stays();
    stays.store(MAY_STAY, Ordering::Release);
    futex::wake(stays, futex::Flags::empty(), 1)?;
    for _ in 0..MOST {
        if stays.load(Ordering::Acquire) == STAYS {
            return Ok(());
        }
        match futex::wait(stays, futex::Flags::empty(), MAY_STAY, Some(&pause)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
            Err(errno) => return Err(errno),
        }
        if let Some((errno, _)) = report.failure() {
            return Err(errno);
        }
        if has_ended(pidfd)? {
            return Err(Errno::SRCH);
        }
    }
    Err(Errno::TIMEDOUT)
}

/// Whether the process has ended, reaped or not.
fn has_ended(pidfd: BorrowedFd<'_>) -> Result<bool> {
    let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Ok(rustix::event::poll(&mut ended, Some(&now))? > 0)
}
