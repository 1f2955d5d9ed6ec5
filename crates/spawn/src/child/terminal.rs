//! A terminal of the program's own.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Uid};
use rustix::fs::{Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::termios::{OptionalActions, OutputModes, Winsize};
use warren_mounts::open_in_root;
use warren_sys::{Errno, Result};

use super::Child;

/// How the multiplexer is opened: every open makes a terminal.
const MULTIPLEXER: OFlags = OFlags::RDWR.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl Child<'_> {
    /// Opens the multiplexer of the root that is made, or of the caller's.
    pub(super) fn terminal_at(
        &self,
        multiplexer: &CStr,
        in_root: bool,
    ) -> Result<OwnedFd> {
        if in_root {
            rustix::fs::openat(self.dev()?, multiplexer, MULTIPLEXER, Mode::empty())
        } else {
            rustix::fs::open(multiplexer, MULTIPLEXER, Mode::empty())
        }
    }

    /// Opens the caller's multiplexer, should the root that is entered have none.
    pub(super) fn hold_terminal(&mut self) -> Result<()> {
        self.fds.multiplexer = Some(self.terminal_at(c"/dev/ptmx", false)?);
        Ok(())
    }

    /// Opens the multiplexer in the devpts of the root that was entered, so that what
    /// `tty` says there is true; else takes the one that is held.
    pub(super) fn terminal_of_root(&mut self) -> Result<OwnedFd> {
        let held = self.fds.multiplexer.take();
        self.devpts_multiplexer().or_else(|errno| held.ok_or(errno))
    }

    /// Whatever else lies at that place is not opened: it could be anything.
    fn devpts_multiplexer(&self) -> Result<OwnedFd> {
        const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = rustix::fs::open(c"/", flags, Mode::empty())?;
        let root = self.fds.root.as_ref().unwrap_or(&root);
        let folder = open_in_root(root.as_fd(), c"dev/pts", flags | OFlags::DIRECTORY)?;
        if rustix::fs::fstatfs(&folder)?.f_type != DEVPTS_SUPER_MAGIC {
            return Err(Errno::NOTTY);
        }
        rustix::fs::openat(&folder, c"ptmx", MULTIPLEXER, Mode::empty())
    }

    /// Makes a terminal and sends its master to the parent, which could not open it in
    /// a devpts that it does not see.
    pub(super) fn open_terminal(
        &mut self,
        master: &OwnedFd,
        size: Winsize,
        plain: bool,
    ) -> Result<()> {
        rustix::pty::unlockpt(master)?;
        rustix::termios::tcsetwinsize(master, size)?;
        // By ioctl, not by the name in /dev/pts, which might have been replaced
        // (CVE-2025-52565). Linux 4.13.
        let flags = rustix::pty::OpenptFlags::RDWR
            | rustix::pty::OpenptFlags::NOCTTY
            | rustix::pty::OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(master, flags)?;
        if plain {
            show_plainly(&slave)?;
        }
        let channel = self.with.terminal.ok_or(Errno::BADF)?;
        send_descriptor(channel, master.as_fd())?;
        self.fds.terminal = Some(slave);
        Ok(())
    }

    /// As far as that is possible: what is the host's own and not mapped stays as it is. A
    /// file or a device that somebody handed on belongs to others too: to them it could be
    /// the host's /dev/null.
    pub(super) fn own_streams(&self, uid: u32) {
        let owner = Some(Uid::from_raw(uid));
        if let Some(terminal) = &self.fds.terminal {
            let _ = rustix::fs::fchown(terminal, owner, None::<Gid>);
            return;
        }
        for (fd, given) in (0..).zip(self.with.stdio) {
            let fd = given.unwrap_or(super::borrowed(&fd));
            let is_pipe = rustix::fs::fstat(fd).is_ok_and(|stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
            });
            if is_pipe {
                let _ = rustix::fs::fchown(fd, owner, None::<Gid>);
            }
        }
    }

    pub(super) fn control_terminal(&mut self, has_init: bool) -> Result<()> {
        let terminal = self.fds.terminal.take().ok_or(Errno::BADF)?;
        if has_init {
            // The init leads the session. A group of the program's own is not orphaned,
            // so that Ctrl-Z stops it and the init can tell.
            rustix::process::setpgid(None, None)?;
            // A background group that does this gets TTOU, which is blocked here.
            rustix::termios::tcsetpgrp(&terminal, rustix::process::getpid())?;
        } else {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(&terminal)?;
        }
        rustix::stdio::dup2_stdin(&terminal)?;
        rustix::stdio::dup2_stdout(&terminal)?;
        rustix::stdio::dup2_stderr(&terminal)
    }
}

/// Before anybody can write to it.
fn show_plainly(terminal: &OwnedFd) -> Result<()> {
    let mut attributes = rustix::termios::tcgetattr(terminal)?;
    attributes.output_modes.remove(OutputModes::ONLCR);
    rustix::termios::tcsetattr(terminal, OptionalActions::Now, &attributes)
}

pub(super) fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Sends one descriptor over a socket: `SCM_RIGHTS`, unix(7).
pub(super) fn send_descriptor(channel: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(b"t")];
    rustix::net::sendmsg(channel, &byte, &mut control, SendFlags::NOSIGNAL).map(drop)
}
