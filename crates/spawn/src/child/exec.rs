//! From the child to the program.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::fs::FileType;
use rustix::process::DumpableBehavior;
use warren_sys::signal;
use warren_sys::{Errno, Result, exit_now};

use super::{Child, Failure, borrowed};
use crate::report::Detail;
use crate::step::{Program, Step};

impl Child<'_> {
    /// Puts the standard streams in place and closes what is not to be kept.
    ///
    /// Not first at the exec: by then the kernel has looked for the program, and for the
    /// interpreter that its first line names, and up to then /proc/self/fd leads to all
    /// that is open; from a folder of the host on to its whole tree (CVE-2024-21626).
    pub(super) fn descriptors(&self, keep: &[RawFd]) -> Result<()> {
        let [stdin, stdout, stderr] = self.with.stdio;
        if let Some(fd) = stdin {
            rustix::stdio::dup2_stdin(fd)?;
        }
        if let Some(fd) = stdout {
            rustix::stdio::dup2_stdout(fd)?;
        }
        if let Some(fd) = stderr {
            rustix::stdio::dup2_stderr(fd)?;
        }
        close_but(|first| self.next_needed(first, keep));
        for fd in keep {
            rustix::io::fcntl_setfd(borrowed(fd), rustix::io::FdFlags::empty())?;
        }
        // A filter of the program's own, which may come next, need not allow these.
        rustix::process::umask(self.umask);
        signal::set_blocked(self.with.blocked);
        Ok(())
    }

    /// Closes what leads to the host, while steps are still to come that need others than
    /// the program does.
    pub(super) fn close_hosts(&self, keep: &[RawFd]) {
        let with = self.with;
        let given = with.stdio.iter().flatten().chain(&with.terminal);
        let terminals = self.fds.multiplexer.iter().map(AsRawFd::as_raw_fd);
        let needed = given.map(AsRawFd::as_raw_fd).chain(terminals);
        close_but(|first| {
            let own = needed.clone().filter(|fd| *fd >= first);
            own.chain(self.next_needed(first, keep)).min()
        });
    }

    /// The first descriptor from `first` on that the program gets, or a step to come needs:
    /// pipes and sockets but for what is executed, and all closed at the exec, whose moment
    /// the end of one of the pipes marks.
    fn next_needed(&self, first: RawFd, keep: &[RawFd]) -> Option<RawFd> {
        let with = self.with;
        let channels = [Some(with.alive), with.observer, with.turn];
        let channels = channels.into_iter().flatten();
        let channels = channels.map(|channel| channel.as_raw_fd());
        let of_hooks = [with.hooks_read, with.hooks_written].into_iter().flatten();
        let mut next: Option<RawFd> = None;
        let mut take = |fd: RawFd| {
            if fd >= first && next.is_none_or(|next| fd < next) {
                next = Some(fd);
            }
        };
        keep.iter()
            .copied()
            .chain(channels)
            .chain(of_hooks)
            .for_each(&mut take);
        for step in with.steps {
            match step {
                Step::AwaitExec(open) => take(open.fd),
                Step::AwaitGate { kept, .. } => kept.iter().copied().for_each(&mut take),
                Step::Exec(program) => {
                    program.file.iter().for_each(|file| take(file.fd));
                }
                _ => {}
            }
        }
        next
    }
}

impl Child<'_> {
    /// Tells the observer that it is there and waits for its answer.
    pub(super) fn await_observer(&self) -> Result<()> {
        let channel = self.with.observer.ok_or(Errno::BADF)?;
        // A copy of the hidden init's memory, or of who has changed its ids, can be traced
        // by privilege alone; and nobody else is inside yet who could.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        await_answer(channel)
    }
}

/// Closes all descriptors above the standard streams but those that `next` gives, the first
/// one from a number on.
fn close_but(next: impl Fn(RawFd) -> Option<RawFd>) {
    let mut first = 3;
    while let Some(next) = next(first) {
        close_from(first, next - 1);
        first = next + 1;
    }
    close_from(first, RawFd::MAX);
}

/// Closes the descriptors from `first` to `last`, if there is a number between.
fn close_from(first: RawFd, last: RawFd) {
    if first <= last {
        // SAFETY: this process is forked and never returns to code that owns descriptors;
        // the steps that follow use none but those that were asked for.
        unsafe { warren_sys::close_range(first as u32, last as u32) };
    }
}

/// Says that this process is there, and goes on when that was answered.
pub(super) fn await_answer(channel: BorrowedFd<'_>) -> Result<()> {
    rustix::io::write(channel, &[0])?;
    hear_answer(channel)
}

/// Waits for the byte with which the other side answers.
pub(super) fn hear_answer(channel: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0];
    loop {
        match rustix::io::read(channel, &mut byte) {
            // Who was to answer has died, or has failed at what it wanted to do.
            Ok(0) => exit_now(127),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether [`execute`] would find a file that can be executed; it says the same if not.
pub(super) fn check(program: &Program) -> std::result::Result<(), Failure> {
    if program.file.is_some() {
        return Ok(());
    }
    let mut worst = (Errno::NOENT, Detail::None);
    for path in &program.candidates {
        let access = rustix::fs::accessat(
            rustix::fs::CWD,
            path,
            rustix::fs::Access::EXEC_OK,
            rustix::fs::AtFlags::EACCESS,
        );
        match access {
            Ok(()) if is_folder(path) => worst = (Errno::ACCESS, Detail::IsFolder),
            Ok(()) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => worst = (errno, Detail::None),
        }
    }
    Err(worst)
}

/// Tries each path and says why none could be executed.
pub(super) fn execute(program: &Program, folder: usize) -> Failure {
    let Some(environment) = program.environments.get(folder) else {
        return (Errno::INVAL, Detail::None);
    };
    if let Some(file) = &program.file {
        let arguments = &program.arguments;
        let errno = warren_sys::execveat(borrowed(&file.fd), arguments, environment);
        // It is there, since it is open: what is not is its loader.
        let missing = errno == Errno::NOENT;
        return (
            errno,
            if missing {
                Detail::InterpreterMissing
            } else {
                Detail::None
            },
        );
    }
    let mut worst = Errno::NOENT;
    let mut found: Option<&CStr> = None;
    for path in &program.candidates {
        match warren_sys::execve(path, &program.arguments, environment) {
            Errno::NOENT if !exists(path) => {}
            Errno::NOTDIR => {}
            // As execvp(3): a later folder may have one that can be executed.
            errno @ (Errno::ACCESS | Errno::NOENT) => {
                worst = errno;
                found = Some(path);
            }
            errno => return (errno, Detail::None),
        }
    }
    let detail = match found {
        Some(path) if is_folder(path) => Detail::IsFolder,
        Some(_) if worst == Errno::NOENT => Detail::InterpreterMissing,
        _ => Detail::None,
    };
    (worst, detail)
}

fn exists(path: &CStr) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

fn is_folder(path: &CStr) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
