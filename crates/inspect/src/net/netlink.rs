//! Questions to rtnetlink(7) and the messages of its answers.
//!
//! Only what is read here is decoded, and what is not understood is passed over: a newer
//! kernel may add attributes, and lengths are never trusted.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// The list changed while it was told.
const NLM_F_DUMP_INTR: u16 = 0x10;
const HEADER: usize = 16;

pub const RTM_GETLINK: u16 = 18;
pub const RTM_GETADDR: u16 = 22;
pub const RTM_GETROUTE: u16 = 26;
pub const RTM_GETNSID: u16 = 90;

/// A socket of the network namespace in which it was opened.
pub struct Socket(OwnedFd);

impl Socket {
    pub fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is protocol 0.
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map(Self)
    }

    /// The bodies of all messages of a list: of links, addresses, routes. `body` is what
    /// follows the header of the question.
    pub fn dump(&self, question: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
        const TRIES: u32 = 5;
        for _ in 0..TRIES {
            self.send(question, NLM_F_REQUEST | NLM_F_DUMP, body)?;
            if let Some(list) = self.receive_list()? {
                return Ok(list);
            }
        }
        // It goes on changing: better a list with a seam than none.
        self.send(question, NLM_F_REQUEST | NLM_F_DUMP, body)?;
        Ok(self.receive_list()?.unwrap_or_default())
    }

    /// The body of the one message that answers.
    pub fn ask(&self, question: u16, body: &[u8]) -> Result<Vec<u8>, Errno> {
        self.send(question, NLM_F_REQUEST, body)?;
        let answer = self.receive()?;
        match messages(&answer).next() {
            Some(message) if message.kind == NLMSG_ERROR => Err(message.error()),
            Some(message) => Ok(message.body.to_vec()),
            None => Err(Errno::BADMSG),
        }
    }

    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
        let length = (HEADER + body.len()) as u32;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        // One question at a time: neither number is looked at.
        message.extend([0; 8]);
        message.extend(body);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &message, SendFlags::empty(), &kernel).map(drop)
    }

    /// `None` where the list changed meanwhile.
    fn receive_list(&self) -> Result<Option<Vec<Vec<u8>>>, Errno> {
        let mut list = Vec::new();
        let mut changed = false;
        loop {
            let answer = self.receive()?;
            for message in messages(&answer) {
                changed |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE => return Ok((!changed).then_some(list)),
                    NLMSG_ERROR => return Err(message.error()),
                    _ => list.push(message.body.to_vec()),
                }
            }
        }
    }

    fn receive(&self) -> Result<Vec<u8>, Errno> {
        // The kernel fills no more than 32 KiB of a list at once.
        let mut buffer = vec![0; 64 * 1024];
        let flags = RecvFlags::TRUNC;
        let (_, length) =
            rustix::io::retry_on_intr(|| recv(&self.0, &mut buffer[..], flags))?;
        if length > buffer.len() {
            return Err(Errno::MSGSIZE);
        }
        buffer.truncate(length);
        Ok(buffer)
    }
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl Message<'_> {
    /// The errno that an error message carries, negative.
    fn error(&self) -> Errno {
        let code = self.body.get(..4).and_then(i32_of).unwrap_or(0);
        match code.checked_neg() {
            Some(errno) if errno > 0 => Errno::from_raw_os_error(errno),
            _ => Errno::BADMSG,
        }
    }
}

/// The messages of one datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_of(bytes.get(..4)?)? as usize;
        let kind = u16_of(bytes.get(4..6)?)?;
        let flags = u16_of(bytes.get(6..8)?)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, flags, body })
    })
}

/// The attributes of a message or of another attribute: number and content.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const HEADER: usize = 4;
    /// Flags in the number: it holds attributes, it is in network order.
    const NUMBER: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16_of(bytes.get(..2)?)?);
        let number = u16_of(bytes.get(2..4)?)?;
        let content = bytes.get(HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((number & NUMBER, content))
    })
}

/// The content of the attribute with this number.
pub fn attribute(bytes: &[u8], number: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, content)| (found == number).then_some(content))
}

/// An attribute for a question.
pub fn attribute_of(number: u16, content: &[u8]) -> Vec<u8> {
    let length = 4 + content.len();
    let mut bytes = Vec::with_capacity(aligned(length));
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(aligned(length), 0);
    bytes
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub fn u16_of(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

pub fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

pub fn i32_of(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

/// Text that ends at its first NUL.
pub fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    crate::lossy(&bytes[..end.unwrap_or(bytes.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_read_as_it_was_written() {
        let mut bytes = attribute_of(3, b"eth0\0");
        bytes.extend(attribute_of(4, &1500_u32.to_ne_bytes()));
        assert_eq!(attribute(&bytes, 3).map(text_of), Some("eth0".to_owned()));
        assert_eq!(attribute(&bytes, 4).and_then(u32_of), Some(1500));
        assert_eq!(attribute(&bytes, 5), None);
    }

    #[test]
    fn lengths_that_lie_end_the_list_and_do_not_panic() {
        for bytes in [
            &b"\x00\x00\x01\x00"[..],
            b"\x03\x00\x01\x00",
            b"\xff\xff\x01\x00abc",
            b"\x04",
            b"",
        ] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
        let mut header = vec![0_u8; 16];
        assert_eq!(messages(&header).count(), 0);
        header[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(messages(&header).count(), 0);
        header[..4].copy_from_slice(&16_u32.to_ne_bytes());
        assert_eq!(messages(&header).count(), 1);
    }

    #[test]
    fn an_error_that_is_none_is_a_bad_message() {
        let error = |code: i32| {
            let body = code.to_ne_bytes();
            let message = Message {
                kind: NLMSG_ERROR,
                flags: 0,
                body: &body,
            };
            message.error()
        };
        assert_eq!(error(-1), Errno::PERM);
        assert_eq!(error(0), Errno::BADMSG);
        assert_eq!(error(i32::MIN), Errno::BADMSG);
    }

    #[test]
    fn every_prefix_of_a_message_is_taken_without_a_panic() {
        let mut body = vec![0; 16];
        body.extend(attribute_of(18, &attribute_of(1, b"veth\0")));
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        message.extend(&body);
        for length in 0..message.len() {
            let told = messages(&message[..length]).count();
            assert_eq!(told, 0);
        }
        assert_eq!(messages(&message).count(), 1);
    }
}
