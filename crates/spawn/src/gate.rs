//! The gate between a process that is set up and its program.
//!
//! A launch whose Spec has a [gate](crate::Spec::gate) ends when the process waits there,
//! and whoever made it can go. The gate is a socket with a name in a folder: while the
//! process waits, the kernel lets it be connected to, and not any more when the process has
//! gone on or has ended. So the name alone says nothing, and can never be wrong.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;
use warren_sys::Errno;

use crate::report::Detail;
use crate::step::Step;

/// Makes a gate at `path`.
///
/// # Errors
/// `EADDRINUSE` where there is something; `ENAMETOOLONG` for more than 107 bytes: a path
/// below `/proc/self/fd/N` of a folder is short.
pub fn make(path: &Path) -> Result<OwnedFd, Errno> {
    let gate = socket()?;
    rustix::net::bind(&gate, &address(path)?)?;
    Ok(gate)
}

/// Whether a process waits at the gate.
///
/// # Errors
/// Whatever connect(2) answers, but that nobody is there.
pub fn is_held(path: &Path) -> Result<bool, Errno> {
    match connect(path) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// What hooks before the program read, and what they write to.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// Their standard input.
    pub read: BorrowedFd<'a>,
    /// Their standard output and error.
    pub written: BorrowedFd<'a>,
}

/// Opens the gate and returns when the program was executed.
///
/// # Errors
/// [`Refusal`]: nobody waits there, or nothing came of it; the process has ended then.
pub fn open(path: &Path, hooks: Option<Streams<'_>>) -> Result<(), Refusal> {
    let gate = connect(path)?;
    let (answer, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    send(gate.as_fd(), theirs.as_fd(), hooks)?;
    drop(theirs);
    let mut bytes = [0; Answer::LENGTH];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(&answer, &mut bytes))?;
    match count {
        Answer::LENGTH => Err(Answer::read(bytes).refusal()),
        _ => Ok(()),
    }
}

/// Why the program was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was being done.
    pub at: At,
    /// What the kernel said.
    pub errno: Errno,
    /// The wait status of a hook that ended otherwise than with 0.
    pub status: Option<i32>,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Nobody could be asked.
    Gate,
    /// This one of the hooks before the program failed.
    Hook(usize),
    /// Something between.
    Step(usize),
    /// The program was not executed.
    Program {
        /// The file is there: its interpreter is not.
        interpreter_missing: bool,
    },
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self {
            at: At::Gate,
            errno,
            status: None,
        }
    }
}

/// What a process that failed behind the gate says: five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer([i32; 5]);

const PROGRAM: i32 = 0;
const HOOK: i32 = 1;
const OTHER: i32 = 2;

impl Answer {
    pub const LENGTH: usize = 20;

    pub fn of(
        step: &Step,
        number: usize,
        errno: Errno,
        detail: Detail,
        status: i32,
    ) -> Self {
        let (kind, which) = match step {
            Step::Exec(_) => (PROGRAM, 0),
            Step::Hook(hook) => (HOOK, hook.number as i32),
            _ => (OTHER, number as i32),
        };
        Self([kind, which, errno.raw_os_error(), detail as i32, status])
    }

    pub fn bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        for (place, number) in bytes.chunks_exact_mut(4).zip(self.0) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    fn read(bytes: [u8; Self::LENGTH]) -> Self {
        let mut numbers = [0; 5];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Self(numbers)
    }

    fn refusal(self) -> Refusal {
        let [kind, which, errno, detail, status] = self.0;
        let detail = Detail::of(detail as u32);
        let at = match kind {
            PROGRAM => At::Program {
                interpreter_missing: detail == Detail::InterpreterMissing,
            },
            HOOK => At::Hook(which as usize),
            _ => At::Step(which as usize),
        };
        Refusal {
            at,
            errno: Errno::from_raw_os_error(errno),
            status: (detail == Detail::HookEnded).then_some(status),
        }
    }
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}

fn address(path: &Path) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(path)
}

fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = socket()?;
    rustix::net::connect(&socket, &address(path)?)?;
    Ok(socket)
}

fn send(
    gate: BorrowedFd<'_>,
    answer: BorrowedFd<'_>,
    hooks: Option<Streams<'_>>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let all;
    let fds: &[BorrowedFd<'_>] = match hooks {
        Some(Streams { read, written }) => {
            all = [answer, read, written];
            &all
        }
        None => &[answer],
    };
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(b"g")];
    rustix::net::sendmsg(gate, &byte, &mut control, SendFlags::NOSIGNAL).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_its_way() {
        let answer = Answer([HOOK, 3, 125, Detail::HookEnded as i32, 7 << 8]);
        assert_eq!(Answer::read(answer.bytes()), answer);
        let refusal = answer.refusal();
        assert_eq!(refusal.at, At::Hook(3));
        assert_eq!(refusal.errno, Errno::CANCELED);
        assert_eq!(refusal.status, Some(7 << 8));
    }
}
