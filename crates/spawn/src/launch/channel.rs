//! Between the parent and a child that is not the program yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags,
    SocketFlags, SocketType, sockopt,
};
use rustix::pipe::PipeFlags;
use warren_sys::{Errno, signal};

use crate::error::Error;
use crate::process::TerminalEnd;
use crate::report::Report;

/// The pipe and the socket between parent and child.
pub struct Channels {
    /// The parent's: its end tells that nobody holds the other.
    pub alive_reader: OwnedFd,
    /// The child's.
    pub alive_writer: OwnedFd,
    /// The parent's and the child's end.
    pub terminal: Option<(OwnedFd, OwnedFd)>,
    /// Likewise, for a program that is watched.
    pub observer: Option<(OwnedFd, OwnedFd)>,
    /// Likewise, for the layers of overlays.
    pub layers: Option<(OwnedFd, OwnedFd)>,
    /// The parent's and the child's end of a pipe that the program's end closes.
    pub ended: Option<(OwnedFd, OwnedFd)>,
    /// The parent's and the child's end, for a parent that has a turn of its own.
    pub turn: Option<(OwnedFd, OwnedFd)>,
}

/// Which channels a launch needs.
#[derive(Clone, Copy, Debug)]
pub struct Sockets {
    /// For a terminal to be sent, and its stops to be told.
    pub terminal: bool,
    /// For an observer.
    pub observer: bool,
    /// For the layers of overlays to be sent.
    pub layers: bool,
    /// For the program's end to be told while the init is still there.
    pub ended: bool,
    /// For the parent to be told that it has its turn.
    pub turn: bool,
}

impl Channels {
    /// Makes them, as far as they are needed.
    pub fn new(sockets: Sockets) -> Result<Self, Error> {
        let failed = |errno| Error::step("make a channel to the child", errno);
        let (alive_reader, alive_writer) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        };
        let terminal = sockets.terminal.then(pair).transpose().map_err(failed)?;
        let observer = sockets.observer.then(pair).transpose().map_err(failed)?;
        let layers = sockets.layers.then(pair).transpose().map_err(failed)?;
        let turn = sockets.turn.then(pair).transpose().map_err(failed)?;
        if let Some((parent, _)) = &observer {
            // Each message then comes with its sender's number.
            sockopt::set_socket_passcred(parent, true).map_err(failed)?;
        }
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let ended = sockets.ended.then(pipe).transpose().map_err(failed)?;
        Ok(Self {
            alive_reader,
            alive_writer,
            terminal,
            observer,
            layers,
            ended,
            turn,
        })
    }

    /// Has the program's end told by `SIGCHLD` too, for which a supervisor waits.
    pub fn signal_end(&self) -> Result<(), Error> {
        let Some((parent, _)) = &self.ended else {
            return Ok(());
        };
        warren_sys::signal_when_readable(parent.as_fd(), signal::SIGCHLD)
            .map_err(|errno| Error::step("be told of the program's end", errno))
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
    /// Whether it was born in its control group of v2.
    pub is_born_in_group: bool,
    alive: OwnedFd,
    terminal: Option<OwnedFd>,
    observer: Option<OwnedFd>,
    layers: Option<OwnedFd>,
    turn: Option<OwnedFd>,
}

/// What the child has sent to its parent.
#[derive(Debug)]
pub struct Sent {
    /// The other end of its terminal.
    pub terminal: Option<TerminalEnd>,
    /// The layers of its overlays.
    pub layers: Option<OwnedFd>,
}

/// The process that will become the program, before it executes it.
#[derive(Debug)]
pub struct Held<'a> {
    pid: i32,
    channel: BorrowedFd<'a>,
}

impl Held<'_> {
    /// Its number, in the caller's pid namespace. It cannot have gone to another: its
    /// parent is the caller or the init, which waits for it only after its end.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// `EPIPE` where it has ended.
    pub fn release(&self) -> Result<(), Errno> {
        let flags = SendFlags::NOSIGNAL;
        rustix::net::send(self.channel, &[1], flags).map(drop)
    }
}

impl Started {
    /// Keeps the parent's ends, and closes the child's.
    pub fn new(pid: i32, pidfd: OwnedFd, channels: Channels) -> Self {
        let terminal = channels.terminal.map(|(parent, _)| parent);
        let observer = channels.observer.map(|(parent, _)| parent);
        let layers = channels.layers.map(|(parent, _)| parent);
        let ended = channels.ended.map(|(parent, _)| parent);
        let turn = channels.turn.map(|(parent, _)| parent);
        Self {
            pid,
            pidfd,
            ended,
            is_born_in_group: false,
            alive: channels.alive_reader,
            terminal,
            observer,
            layers,
            turn,
        }
    }

    /// The same channels, to another process.
    pub fn replaced_by(mut self, pid: i32, pidfd: OwnedFd) -> Self {
        self.pid = pid;
        self.pidfd = pidfd;
        self
    }

    /// Does what the caller wants done while the child waits; not where it has died before.
    pub fn take_turn(
        &self,
        report: &Report,
        work: &mut dyn FnMut(u32) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(channel) = &self.turn else {
            return Ok(());
        };
        let failed = |errno| Error::step("hear from the child", errno);
        let read = || rustix::io::read(channel, &mut [0]);
        if rustix::io::retry_on_intr(read).map_err(failed)? == 0 {
            return Ok(());
        }
        work(report.replacement().unwrap_or(self.pid) as u32)?;
        let flags = SendFlags::NOSIGNAL;
        // A child that has been killed says so at the end.
        let _ = rustix::net::send(channel, &[1], flags);
        Ok(())
    }

    pub fn born_in_group(mut self, is_born: bool) -> Self {
        self.is_born_in_group = is_born;
        self
    }

    /// Waits until the program's process is there to be watched; `None` where it has
    /// ended before.
    pub fn held(&self) -> Result<Option<Held<'_>>, Errno> {
        let channel = self.observer.as_ref().ok_or(Errno::BADF)?.as_fd();
        let pid = receive_sender(channel)?;
        Ok(pid.map(|pid| Held { pid, channel }))
    }

    /// Waits until nobody holds the pipe's other end: the program was executed, or the
    /// child is gone.
    pub fn await_exec(&self) -> Result<(), Error> {
        await_end(&self.alive)
    }

    /// Waits until the program has ended, or the child is gone; where nothing tells of that
    /// but the end of the init, as [`Self::await_exec`].
    pub fn await_end(&self) -> Result<(), Error> {
        await_end(self.ended.as_ref().unwrap_or(&self.alive))
    }

    /// Takes what the child sends, in the order of its steps.
    pub fn receive(&self) -> Result<Sent, Error> {
        Ok(Sent {
            terminal: self.receive_terminal()?,
            layers: self.receive_layers()?,
        })
    }

    /// Takes the layers of the child's overlays; none if it died before.
    fn receive_layers(&self) -> Result<Option<OwnedFd>, Error> {
        let Some(channel) = &self.layers else {
            return Ok(None);
        };
        receive_descriptor(channel.as_fd()).map_err(|errno| {
            Error::step("receive the layers of overlays from the child", errno)
        })
    }

    /// Takes the terminal that the child has opened; none if it died before.
    fn receive_terminal(&self) -> Result<Option<TerminalEnd>, Error> {
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

    /// Kills it, and who goes on in its stead, and takes its wait status.
    pub fn end(&self, replacement: Option<i32>) -> Option<i32> {
        if let Some(pid) = replacement {
            // It is not reaped yet, so the number is still its own.
            let _ = signal::kill(pid, signal::SIGKILL);
            let _ = crate::process::reap(self.pid);
            return crate::process::reap(pid).ok();
        }
        let kill = rustix::process::Signal::KILL;
        // ESRCH: it has died by itself.
        if rustix::process::pidfd_send_signal(&self.pidfd, kill) == Err(Errno::NOSYS) {
            // It is not reaped yet, so the number is still its own.
            let _ = signal::kill(self.pid, kill.as_raw());
        }
        crate::process::reap(self.pid).ok()
    }
}

/// Waits until nobody holds the other end of a pipe that carries nothing.
fn await_end(pipe: &OwnedFd) -> Result<(), Error> {
    rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut [0]))
        .map(drop)
        .map_err(|errno| Error::step("hear from the child", errno))
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

/// The number of who has sent a byte, as the caller's pid namespace counts.
fn receive_sender(channel: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = rustix::io::retry_on_intr(|| {
        let into = &mut [std::io::IoSliceMut::new(&mut byte)];
        rustix::net::recvmsg(channel, into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let sender = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
        _ => None,
    });
    // Nobody else has the other end.
    let sender = sender.ok_or(Errno::SRCH)?;
    Ok(Some(sender.as_raw_nonzero().get()))
}
