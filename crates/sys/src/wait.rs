//! Waiting for a child, with what it has used.

use std::time::Duration;

use crate::{Errno, Result, check};

/// What a process and all its descendants that were waited for have used: getrusage(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU outside of the kernel.
    pub user: Duration,
    /// Time on a CPU inside of it.
    pub system: Duration,
    /// The largest resident set that one of the processes had, in bytes; not their sum.
    pub max_rss: u64,
}

/// Waits for the child `pid`, or with `hang` false only looks: wait4(2). Gives its wait
/// status and what it has used.
///
/// # Errors
/// `ECHILD` where it is none, or waited for already. It begins again by itself on `EINTR`.
pub fn wait4(pid: i32, hang: bool) -> Result<Option<(i32, Usage)>> {
    let options = if hang { 0 } else { libc::WNOHANG };
    let mut status = 0_i32;
    // SAFETY: an all-zero rusage is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers lead to live values of the types that the call fills in.
        let result = unsafe {
            libc::syscall(
                libc::SYS_wait4,
                pid,
                &raw mut status,
                options,
                &raw mut usage,
            )
        };
        match check(result) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some((status, of_rusage(&usage)))),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn of_rusage(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        // The kernel counts it in KiB.
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_waited_for_with_what_it_used() {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 7",
            ])
            .spawn()
            .expect("sh");
        let (status, usage) = wait4(child.id() as i32, true)
            .expect("a child")
            .expect("it has ended");
        assert_eq!(status, 7 << 8);
        assert!(usage.user > Duration::from_millis(1), "{usage:?}");
        assert!(usage.max_rss > 100 << 10, "{usage:?}");
        let error = child.wait().expect_err("it was waited for");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    }

    #[test]
    fn a_look_does_not_wait() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        assert_eq!(wait4(child.id() as i32, false), Ok(None));
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
}
