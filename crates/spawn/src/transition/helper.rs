//! The helper: a child that stays in the old namespaces with the old privileges, and
//! does there what the caller cannot do any more.
//!
//! It is told the number of a step, does it, and answers with how it went. It ends when
//! nobody can ask it any more.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions};
use warren_namespaces::{IdMap, Kind, ProcRoot};
use warren_sys::{Errno, exit_now};

use super::Plan;
use super::step::{MapFile, Step};
use super::walk::{Stop, c_path, check_threads, own_folder};
use crate::host::helper as program_path;

/// The caller's hold of it.
pub struct Helper {
    channel: Option<OwnedFd>,
    pid: Option<Pid>,
}

/// An errno, and the exit code of a program that helped and has said why it failed.
type Answer = [i32; 2];

/// Forks the helper.
///
/// # Errors
/// `EDEADLK` in a program with threads, one of which might hold a lock for ever in the
/// child.
pub fn fork(plan: &Plan, proc: &ProcRoot) -> Result<Helper, Errno> {
    check_threads()?;
    let caller = own_folder(proc)?;
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: the process has one thread, so that nothing is held in the child that
    // nobody will release.
    let pid = unsafe { warren_sys::fork() }?;
    if pid == 0 {
        drop(ours);
        serve(plan, caller.as_fd(), &theirs)
    }
    Ok(Helper {
        channel: Some(ours),
        pid: Pid::from_raw(pid),
    })
}

impl Helper {
    /// Has a step done.
    pub fn ask(&mut self, number: usize) -> Result<(), Stop> {
        let channel = self.channel.as_ref().ok_or(Errno::CHILD)?;
        rustix::io::write(channel, &(number as u64).to_ne_bytes())?;
        let mut bytes = [0; size_of::<Answer>()];
        let read = || rustix::io::read(channel, &mut bytes[..]);
        let length = rustix::io::retry_on_intr(read)?;
        if length != bytes.len() {
            // It was killed.
            return Err(Errno::CHILD.into());
        }
        let word = |at: usize| {
            i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        match (word(0), word(4)) {
            (0, 0) => Ok(()),
            (0, code) => Err(Stop::Said(code)),
            (errno, _) => Err(Errno::from_raw_os_error(errno).into()),
        }
    }

    /// Forgets it in a child of the caller, which is not its parent.
    pub fn forget(mut self) {
        self.pid = None;
    }
}

impl Drop for Helper {
    /// Lets it go and takes its end, so that the program does not find a child that it
    /// never had.
    fn drop(&mut self) {
        self.channel = None;
        if let Some(pid) = self.pid {
            let wait = || rustix::process::waitpid(Some(pid), WaitOptions::empty());
            let _ = rustix::io::retry_on_intr(wait);
        }
    }
}

fn serve(plan: &Plan, caller: BorrowedFd<'_>, channel: &OwnedFd) -> ! {
    loop {
        let mut number = [0; size_of::<u64>()];
        match rustix::io::read(channel, &mut number) {
            Ok(length) if length == number.len() => {}
            Err(Errno::INTR) => continue,
            _ => exit_now(0),
        }
        let number = u64::from_ne_bytes(number) as usize;
        let done = match plan.steps.get(number) {
            Some((_, step)) => take(step, caller),
            None => Err(Stop::Errno(Errno::INVAL)),
        };
        let answer: Answer = match done {
            Ok(()) => [0, 0],
            Err(Stop::Said(code)) => [0, code],
            Err(Stop::Errno(errno)) => [errno.raw_os_error(), 0],
            Err(_) => [Errno::INVAL.raw_os_error(), 0],
        };
        let mut bytes = [0; size_of::<Answer>()];
        bytes[..4].copy_from_slice(&answer[0].to_ne_bytes());
        bytes[4..].copy_from_slice(&answer[1].to_ne_bytes());
        // Who does not listen is gone.
        let _ = rustix::io::write(channel, &bytes);
    }
}

fn take(step: &Step, caller: BorrowedFd<'_>) -> Result<(), Stop> {
    match step {
        Step::WriteMap {
            file,
            lines,
            by_program: false,
        } => write(caller, file.name(), &IdMap::text(lines)),
        Step::WriteMap { file, lines, .. } => run_program(caller, *file, lines),
        Step::WriteSetGroups(what) => write(caller, "setgroups", &what.to_string()),
        Step::Pin { kind, path } => Ok(pin(caller, *kind, path)?),
        _ => Err(Errno::INVAL.into()),
    }
}

/// The kernel takes a map in one write.
fn write(caller: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), Stop> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(caller, name, flags, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

/// newuidmap(1) takes a number; the caller lives, since it waits for the answer.
fn run_program(
    caller: BorrowedFd<'_>,
    file: MapFile,
    lines: &[IdMap],
) -> Result<(), Stop> {
    let name = match file {
        MapFile::Uid => "newuidmap",
        MapFile::Gid => "newgidmap",
    };
    let path = program_path(name).ok_or(Errno::NOENT)?;
    let pid = pid_of(caller)?;
    let numbers = lines
        .iter()
        .flat_map(|line| [line.inside, line.outside, line.count]);
    let status = std::process::Command::new(path)
        .arg(pid)
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(std::process::Stdio::null())
        .status()
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (false, Some(code)) => Err(Stop::Said(code)),
        // One that was killed has said nothing, but has not done it either.
        (false, None) => Err(Errno::CHILD.into()),
    }
}

/// The first word of its stat.
fn pid_of(folder: BorrowedFd<'_>) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let stat = rustix::fs::openat(folder, c"stat", flags, Mode::empty())?;
    let mut buffer = [0; 32];
    let length = rustix::io::read(&stat, &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Binds the namespace in which the children of the process will be to `path`.
pub fn pin(process: BorrowedFd<'_>, kind: Kind, path: &Path) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let name = format!("ns/{}", link_name(kind));
    let namespace = rustix::fs::openat(process, name, flags, Mode::empty())?;
    let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
    rustix::mount::mount_bind(source, &c_path(path)?)
}

/// The name in /proc/PID/ns of the namespace of what a process will fork.
#[must_use]
pub fn link_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pid => "pid_for_children",
        Kind::Time => "time_for_children",
        kind => kind.name(),
    }
}
