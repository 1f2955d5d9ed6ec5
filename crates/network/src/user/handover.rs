//! Messages with descriptors between the processes of a network.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// The sockets of both families, and one more.
const MOST: usize = 8;

/// Two ends of a channel whose messages stay whole.
///
/// # Errors
/// What socketpair(2) says.
pub fn channel() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)
}

/// Sends a message, and descriptors with it.
///
/// # Errors
/// What sendmsg(2) says; `EPIPE` where nobody is there any more.
pub fn send_with(
    channel: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty()
        && !control.push(SendAncillaryMessage::ScmRights(descriptors))
    {
        return Err(Errno::TOOBIG);
    }
    let message = [IoSlice::new(message)];
    let flags = SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(channel, &message, &mut control, flags)
    })
    .map(drop)
}

/// Waits for a message, and takes what came with it. A length of 0 means that nobody is
/// there any more.
///
/// # Errors
/// What recvmsg(2) says.
pub fn receive(
    channel: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let mut into = [IoSliceMut::new(&mut *buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(channel, &mut into, &mut control, flags)
    })?;
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    Ok((received.bytes, descriptors))
}
