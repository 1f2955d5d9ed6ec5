//! Descriptors that are handed to who asked for them.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use warren_sys::Errno;

use super::error::Error;

/// Connects to a stream socket that somebody listens at.
pub(super) fn connect(path: &Path) -> Result<OwnedFd, Error> {
    let connected = || {
        let (family, flags) = (AddressFamily::UNIX, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    connected().map_err(|errno: Errno| {
        Error::errno(format!("connect to {}", path.display()), errno)
    })
}

/// Sends a descriptor with a word beside it: `SCM_RIGHTS`, unix(7).
///
/// # Errors
/// Whatever sendmsg(2) answers.
pub fn send_descriptor(
    socket: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    word: &[u8],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let word = [std::io::IoSlice::new(word)];
    rustix::net::sendmsg(socket, &word, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Hands the other end of a terminal, or a pidfd, over.
pub(super) fn hand_over(
    socket: &OwnedFd,
    fd: BorrowedFd<'_>,
    word: &str,
) -> Result<(), Error> {
    send_descriptor(socket.as_fd(), fd, word.as_bytes())
        .map_err(|errno| Error::errno(format!("hand {word} over"), errno))
}
