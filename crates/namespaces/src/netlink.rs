//! Questions to rtnetlink(7): asked, and the answers cut into messages.
//!
//! What stands in a message is netlink-packet-route's part. A length that lies ends the
//! datagram, and a message of another kind than was asked for is passed over.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NlaBuffer, NlasIterator,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// What is asked for; the kernel answers with the number two below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Question {
    /// `RTM_GETLINK`
    Links = 18,
    /// `RTM_GETADDR`
    Addresses = 22,
    /// `RTM_GETROUTE`
    Routes = 26,
    /// `RTM_GETNSID`
    NetnsNumber = 90,
}

impl Question {
    fn answer(self) -> u16 {
        self as u16 - 2
    }
}

/// A socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is protocol 0.
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .map(Self)
    }

    /// The bodies of all messages of a list. `body` is what follows the header of the
    /// question.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn dump(
        &self,
        question: Question,
        body: &dyn Emitable,
    ) -> Result<Vec<Vec<u8>>, Errno> {
        const TRIES: u32 = 5;
        let request = request(question, NLM_F_REQUEST | NLM_F_DUMP, body);
        for _ in 0..TRIES {
            self.send(&request)?;
            if let Some(list) = self.receive_list(question)? {
                return Ok(list);
            }
        }
        // It goes on changing: better a list with a seam than none.
        self.send(&request)?;
        Ok(self.receive_list(question)?.unwrap_or_default())
    }

    /// The body of the one message that answers.
    ///
    /// # Errors
    /// Whatever the kernel answers; `EBADMSG` for what is no answer.
    pub fn ask(&self, question: Question, body: &dyn Emitable) -> Result<Vec<u8>, Errno> {
        self.send(&request(question, NLM_F_REQUEST, body))?;
        answer(question, &self.receive()?)
    }

    fn send(&self, request: &[u8]) -> Result<(), Errno> {
        rustix::net::send(&self.0, request, SendFlags::empty()).map(drop)
    }

    /// `None` where the list changed while it was told.
    fn receive_list(&self, question: Question) -> Result<Option<Vec<Vec<u8>>>, Errno> {
        let mut list = Vec::new();
        let mut changed = false;
        loop {
            let datagram = self.receive()?;
            for message in messages(&datagram) {
                changed |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    NLMSG_DONE => return Ok((!changed).then_some(list)),
                    NLMSG_ERROR => return Err(error(message.payload())),
                    kind if kind == question.answer() => {
                        list.push(message.payload().to_vec());
                    }
                    _ => {}
                }
            }
        }
    }

    fn receive(&self) -> Result<Vec<u8>, Errno> {
        receive(self.0.as_fd())
    }
}

/// The next datagram of a netlink socket.
///
/// # Errors
/// What recv(2) says; `EMSGSIZE` for one that is longer than any the kernel sends.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // The kernel fills no more than 32 KiB of a list at once.
    let mut buffer = vec![0; 64 * 1024];
    let (_, length) = rustix::io::retry_on_intr(|| {
        rustix::net::recv(socket, &mut buffer[..], RecvFlags::TRUNC)
    })?;
    if length > buffer.len() {
        return Err(Errno::MSGSIZE);
    }
    buffer.truncate(length);
    Ok(buffer)
}

/// One question at a time: the numbers of sequence and port stay 0.
fn request(question: Question, flags: u16, body: &dyn Emitable) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let start = header.buffer_len();
    let length = start + body.buffer_len();
    // Some dozen bytes.
    header.length = length as u32;
    header.message_type = question as u16;
    header.flags = flags;
    let mut buffer = vec![0; length];
    header.emit(&mut buffer);
    body.emit(&mut buffer[start..]);
    buffer
}

fn answer(question: Question, datagram: &[u8]) -> Result<Vec<u8>, Errno> {
    let message = messages(datagram).next().ok_or(Errno::BADMSG)?;
    match message.message_type() {
        NLMSG_ERROR => Err(error(message.payload())),
        kind if kind == question.answer() => Ok(message.payload().to_vec()),
        _ => Err(Errno::BADMSG),
    }
}

/// The errno of an error message, which has it negative.
fn error(body: &[u8]) -> Errno {
    let code = ErrorBuffer::new_checked(body)
        .ok()
        .and_then(|error| error.code());
    match code.and_then(|code| code.get().checked_neg()) {
        Some(errno) if errno > 0 => Errno::from_raw_os_error(errno),
        _ => Errno::BADMSG,
    }
}

/// The messages of one datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    const ALIGNMENT: usize = 4;
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(bytes).ok()?;
        let next = (message.length() as usize).next_multiple_of(ALIGNMENT);
        bytes = bytes.get(next..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes of a message or of another attribute, up to one whose length lies.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::DefaultNla;
    use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_request_is_the_kernels_28_bytes() {
        let mut body = NsidMessage::default();
        body.attributes.push(NsidAttribute::Fd(5));
        let request = request(Question::NetnsNumber, NLM_F_REQUEST, &body);
        let words: Vec<u32> = request
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
            .collect();
        let kind = 90 | u32::from(NLM_F_REQUEST) << 16;
        // Header; family; an attribute of 8 bytes, NETNSA_FD.
        assert_eq!(words, [28, kind, 0, 0, 0, 8 | 3 << 16, 5]);
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
        let error = |code: i32| error(&code.to_ne_bytes());
        assert_eq!(error(-1), Errno::PERM);
        assert_eq!(error(0), Errno::BADMSG);
        assert_eq!(error(i32::MIN), Errno::BADMSG);
        assert_eq!(super::error(&[0xff, 0xff]), Errno::BADMSG);
    }

    #[test]
    fn only_the_answer_to_the_question_is_taken() {
        let ask = |bytes: &[u8]| answer(Question::NetnsNumber, bytes);
        assert_eq!(ask(&message(88, b"body")), Ok(b"body".to_vec()));
        let refused = message(NLMSG_ERROR, &(-22_i32).to_ne_bytes());
        assert_eq!(ask(&refused), Err(Errno::INVAL));
        for bytes in [
            &message(16, b"body")[..],
            &[],
            &[0; 16],
            &[16, 0, 0, 0, 88, 0, 0, 0],
        ] {
            assert_eq!(ask(bytes), Err(Errno::BADMSG), "{bytes:?}");
        }
    }

    #[test]
    fn every_prefix_of_a_message_is_taken_without_a_panic() {
        let mut body = vec![0; 16];
        let attribute = DefaultNla::new(18, b"\x09\x00\x01\x00veth\0".to_vec());
        let start = body.len();
        body.resize(start + attribute.buffer_len(), 0);
        attribute.emit(&mut body[start..]);
        let message = message(16, &body);
        for length in 0..message.len() {
            assert_eq!(messages(&message[..length]).count(), 0);
        }
        assert_eq!(messages(&message).count(), 1);
        assert_eq!(messages(&message.repeat(3)).count(), 3);
    }
}
