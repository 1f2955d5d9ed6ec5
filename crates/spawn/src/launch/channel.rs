//! Between the parent and a child that is not the program yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags,
    SocketType,
};
use rustix::pipe::PipeFlags;
use warren_sys::{Errno, signal};

use crate::error::Error;
use crate::process::TerminalEnd;

/// The pipe and the socket between parent and child.
pub struct Channels {
    /// The parent's: its end tells that nobody holds the other.
    pub alive_reader: OwnedFd,
    /// The child's.
    pub alive_writer: OwnedFd,
    /// The parent's and the child's end.
    pub terminal: Option<(OwnedFd, OwnedFd)>,
    /// The parent's and the child's end of a pipe that the program's end closes.
    pub ended: Option<(OwnedFd, OwnedFd)>,
}

impl Channels {
    /// Makes them: the socket if there is a terminal to be sent, the pipe of the program's
    /// end if the init outlives it.
    pub fn new(terminal: bool, lingers: bool) -> Result<Self, Error> {
        let failed = |errno| Error::step("make a channel to the child", errno);
        let (alive_reader, alive_writer) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        };
        let terminal = terminal.then(pair).transpose().map_err(failed)?;
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let ended = lingers.then(pipe).transpose().map_err(failed)?;
        Ok(Self {
            alive_reader,
            alive_writer,
            terminal,
            ended,
        })
    }
}

/// The child, before it is known to have become the program.
pub struct Started {
    /// Its number.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Its end tells that the program has ended.
    pub ended: Option<OwnedFd>,
    alive: OwnedFd,
    terminal: Option<OwnedFd>,
}

impl Started {
    /// Keeps the parent's ends, and closes the child's.
    pub fn new(pid: i32, pidfd: OwnedFd, channels: Channels) -> Self {
        let terminal = channels.terminal.map(|(parent, _)| parent);
        let ended = channels.ended.map(|(parent, _)| parent);
        Self {
            pid,
            pidfd,
            ended,
            alive: channels.alive_reader,
            terminal,
        }
    }

    /// Waits until nobody holds the pipe's other end: the program was executed, or the
    /// child is gone.
    pub fn await_exec(&self) -> Result<(), Error> {
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.alive, &mut byte) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::step("hear from the child", errno)),
            }
        }
    }

    /// Takes the terminal that the child has opened; none if it died before.
    pub fn receive_terminal(&self) -> Result<Option<TerminalEnd>, Error> {
        let Some(channel) = &self.terminal else {
            return Ok(None);
        };
        let failed = |errno| Error::step("receive the terminal from the child", errno);
        let master = receive_descriptor(channel.as_fd()).map_err(failed)?;
        let Some(master) = master else {
            return Ok(None);
        };
        let events = channel.try_clone().map_err(|_| failed(Errno::MFILE))?;
        Ok(Some(TerminalEnd { master, events }))
    }

    /// Kills it and takes its wait status.
    pub fn end(&self) -> Option<i32> {
        let kill = rustix::process::Signal::KILL;
        // ESRCH: it has died by itself.
        if rustix::process::pidfd_send_signal(&self.pidfd, kill) == Err(Errno::NOSYS) {
            // It is not reaped yet, so the number is still its own.
            let _ = signal::kill(self.pid, kill.as_raw());
        }
        crate::process::reap(self.pid).ok()
    }
}

fn receive_descriptor(channel: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        let into = &mut [std::io::IoSliceMut::new(&mut byte)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(channel, into, &mut control, flags) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut messages = control.drain();
    Ok(messages.find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}
