//! A terminal of the program's own.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::termios::Winsize;
use warren_sys::{Errno, Result};

use super::Child;

impl Child<'_> {
    /// Opens a terminal and sends its master to the parent, which could not open it in
    /// a devpts that it does not see.
    pub(super) fn open_terminal(
        &mut self,
        multiplexer: &CStr,
        in_root: bool,
        size: Winsize,
    ) -> Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = if in_root {
            rustix::fs::openat(self.dev()?, multiplexer, flags, Mode::empty())?
        } else {
            rustix::fs::open(multiplexer, flags, Mode::empty())?
        };
        rustix::pty::unlockpt(&master)?;
        rustix::termios::tcsetwinsize(&master, size)?;
        // By ioctl, not by the name in /dev/pts, which might have been replaced
        // (CVE-2025-52565). Linux 4.13.
        let flags = rustix::pty::OpenptFlags::RDWR
            | rustix::pty::OpenptFlags::NOCTTY
            | rustix::pty::OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        let channel = self.with.terminal.ok_or(Errno::BADF)?;
        send_descriptor(channel, master.as_fd())?;
        self.fds.terminal = Some(slave);
        Ok(())
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

pub(super) fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Sends one descriptor over a socket: `SCM_RIGHTS`, unix(7).
fn send_descriptor(channel: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(b"t")];
    rustix::net::sendmsg(channel, &byte, &mut control, SendFlags::NOSIGNAL).map(drop)
}
