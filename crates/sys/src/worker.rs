//! A process that works beside its maker.

use std::os::fd::RawFd;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::signal::{SignalSet, set_blocked};
use crate::{Result, close_range, in_child, open_standard_streams};

/// Runs `work` in a copy of the calling process, which dies with its maker and has no other
/// descriptors than `keep`: `work` may use no others, though it can name them. Its standard
/// streams lead nowhere, and all signals are blocked. What `work` returns is its exit
/// code.
///
/// Close-on-exec is not changed, and nothing that the maker holds is dropped.
///
/// # Errors
/// `EDEADLK` in a program with threads; what clone(2) says.
pub fn worker(keep: &[RawFd], work: impl FnOnce() -> i32) -> Result<Pid> {
    let maker = rustix::process::getpid();
    let keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).collect();
    in_child(move || {
        set_blocked(SignalSet::ALL);
        close_all_but(keep);
        open_standard_streams();
        match die_with_maker(maker) {
            true => work(),
            false => 0,
        }
    })
}

/// Asks to be killed when the maker ends; whether it has not already. Taking other ids, and
/// with them a user namespace, takes this back.
pub fn die_with_maker(maker: Pid) -> bool {
    let asked = set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    // In another pid namespace than the maker's it has no number here.
    asked && getppid().is_none_or(|parent| parent == maker)
}

fn close_all_but(mut keep: Vec<u32>) {
    keep.sort_unstable();
    let mut first = 0;
    for fd in keep {
        if fd > first {
            // SAFETY: the caller, a child that never returns to the code that owns these
            // descriptors, has promised to use none of them.
            unsafe { close_range(first, fd - 1) };
        }
        first = fd + 1;
    }
    // SAFETY: as above.
    unsafe { close_range(first, u32::MAX) };
}
