//! Core scheduling: prctl(2), `PR_SCHED_CORE`, since Linux 5.14.

use crate::{Errno, Result, check};

const PR_SCHED_CORE: i32 = 62;
const GET: usize = 0;
const CREATE: usize = 1;
/// `PIDTYPE_PID` and `PIDTYPE_TGID` of the kernel.
const THREAD: usize = 0;
const PROCESS: usize = 1;

/// Whether the kernel was built with it. Where no core has hyperthreads it has nothing to do
/// and says `ENODEV`, which is as good.
#[must_use]
pub fn has_core_scheduling() -> bool {
    let mut cookie = 0u64;
    // SAFETY: `cookie` has room for the one number that the call writes, and outlives it.
    let result =
        unsafe { libc::prctl(PR_SCHED_CORE, GET, 0usize, THREAD, &raw mut cookie) };
    matches!(check(result.into()), Ok(_) | Err(Errno::NODEV))
}

/// Gives the calling process a cookie that nobody else has: from now on only what it starts
/// runs on a core together with it. Allocates nothing.
///
/// # Errors
/// `EINVAL` where the kernel has none, `ENOMEM`.
pub fn share_cores_with_none() -> Result<()> {
    // SAFETY: it has no pointer.
    let result = unsafe { libc::prctl(PR_SCHED_CORE, CREATE, 0usize, PROCESS, 0usize) };
    match check(result.into()) {
        Err(Errno::NODEV) => Ok(()),
        result => result.map(drop),
    }
}
