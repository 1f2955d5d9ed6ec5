//! The listener of the child's filter, handed to who answers its calls.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::PidfdGetfdFlags;
use warren_sys::Errno;

use crate::report::Report;
use crate::spec::Listener;

/// Connects before the child exists: who does not listen fails the launch early.
pub fn connect(socket: &Path) -> Result<OwnedFd, Errno> {
    UnixStream::connect(socket)
        .map(OwnedFd::from)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// Takes the listener from the child, as soon as that has told its number, and sends it.
/// Nothing is sent where the child ends before.
pub fn send(
    listener: &Listener,
    channel: BorrowedFd<'_>,
    child: BorrowedFd<'_>,
    pid: i32,
    report: &Report,
) -> Result<(), Errno> {
    const PAUSE: Duration = Duration::from_micros(100);
    let number = loop {
        if let Some(number) = report.listener() {
            break number;
        }
        if report.failure().is_some() || has_ended(child)? {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    };
    let taken = rustix::process::pidfd_getfd(child, number, PidfdGetfdFlags::empty());
    let sent = taken.and_then(|fd| {
        let text = listener.message.join(&pid.to_string());
        send_with(channel, text.as_bytes(), fd.as_fd())
    });
    report.listener_is_taken();
    sent
}

fn has_ended(child: BorrowedFd<'_>) -> Result<bool, Errno> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&child, PollFlags::IN)], Some(&now)).map(|ended| ended > 0)
}

fn send_with(
    channel: BorrowedFd<'_>,
    mut text: &[u8],
    fd: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let fds = [fd];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let flags = SendFlags::NOSIGNAL;
    let length =
        rustix::net::sendmsg(channel, &[IoSlice::new(text)], &mut control, flags)?;
    text = &text[length..];
    while !text.is_empty() {
        let length = rustix::net::send(channel, text, flags)?;
        text = &text[length..];
    }
    Ok(())
}
