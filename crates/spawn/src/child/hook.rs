//! A program of somebody else that is run, to its end, while the process is set up.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::SeekFrom;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use warren_sys::{Errno, exit_now, signal};

use super::{Child, Failure, borrowed};
use crate::report::Detail;
use crate::step::HookProgram;

impl Child<'_> {
    pub(super) fn hook(&self, hook: &HookProgram) -> std::result::Result<(), Failure> {
        let plain = |errno| (errno, Detail::None);
        // SAFETY: the new process walks only what follows, under the rules of `child`.
        let forked = unsafe { warren_sys::fork() }.map_err(plain)?;
        let Some(process) = Pid::from_raw(forked) else {
            self.become_hook(hook);
        };
        let status = self.await_hook(process, hook.timeout).map_err(plain)?;
        if let Some((errno, _)) = self.with.report.failure() {
            return Err(plain(errno));
        }
        if status == 0 {
            return Ok(());
        }
        self.with.report.end(status);
        Err((Errno::CANCELED, Detail::HookEnded))
    }

    /// Executes it, or notes why it could not.
    fn become_hook(&self, hook: &HookProgram) -> ! {
        let placed = match hook.in_root {
            true => self.root().and_then(rustix::process::fchdir),
            false => Ok(()),
        };
        let errno = match placed.and_then(|()| self.hooks_streams()) {
            Ok(()) => {
                warren_sys::close_range_on_exec(3);
                signal::set_blocked(self.with.blocked);
                warren_sys::execve(&hook.path, &hook.arguments, &hook.environment)
            }
            Err(errno) => errno,
        };
        self.with.report.fail(errno, Detail::None);
        exit_now(127)
    }

    /// Every hook reads the whole file from its begin. What it writes is told with its
    /// failure.
    fn hooks_streams(&self) -> Result<(), Errno> {
        let given = self.with.hooks_written.as_ref().map(borrowed);
        let output: Option<BorrowedFd<'_>> = self.fds.output.as_ref().map(AsFd::as_fd);
        if let Some(output) = output.or(given) {
            rustix::stdio::dup2_stdout(output)?;
            rustix::stdio::dup2_stderr(output)?;
        }
        let given = self.with.hooks_read.as_ref().map(borrowed);
        let state: Option<BorrowedFd<'_>> = self.fds.state.as_ref().map(AsFd::as_fd);
        let Some(state) = state.or(given) else {
            return Ok(());
        };
        rustix::fs::seek(state, SeekFrom::Start(0))?;
        rustix::stdio::dup2_stdin(state)
    }

    /// Waits for its end, and makes one when its time is over.
    fn await_hook(&self, process: Pid, timeout: Option<u32>) -> Result<i32, Errno> {
        if let Some(seconds) = timeout {
            let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty())?;
            let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
            let time = Timespec {
                tv_sec: i64::from(seconds),
                tv_nsec: 0,
            };
            let over = rustix::event::poll(&mut ended, Some(&time)) == Ok(0);
            if over {
                let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            }
            let status = reap(process)?;
            return if over {
                Err(Errno::TIMEDOUT)
            } else {
                Ok(status)
            };
        }
        reap(process)
    }
}

fn reap(process: Pid) -> Result<i32, Errno> {
    loop {
        match rustix::process::waitpid(Some(process), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.as_raw()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
