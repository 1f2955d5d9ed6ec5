//! From the child to the program.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::process::DumpableBehavior;
use warren_sys::signal;
use warren_sys::{Errno, Result, exit_now};

use super::{Child, Failure, borrowed};
use crate::report::Detail;
use crate::step::Program;

impl Child<'_> {
    /// Puts the standard streams in place and closes at exec what is not to be kept.
    pub(super) fn descriptors(&self, keep: &[i32]) -> Result<()> {
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
        // Not now: the end of the pipe must mark the moment of the exec.
        warren_sys::close_range_on_exec(3);
        for fd in keep {
            rustix::io::fcntl_setfd(borrowed(fd), rustix::io::FdFlags::empty())?;
        }
        // A filter of the program's own, which may come next, need not allow these.
        rustix::process::umask(self.umask);
        signal::set_blocked(self.with.blocked);
        Ok(())
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

/// Says that this process is there, and goes on when that was answered.
pub(super) fn await_answer(channel: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0];
    rustix::io::write(channel, &byte)?;
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
