//! The numbers by which a network namespace calls others: `NETNSID`.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::Parseable;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use rustix::io::Errno;

use crate::netlink::{Question, Socket};
use crate::{Error, NsFd};

/// Asks the caller's network namespace how it calls others: `RTM_GETNSID` of
/// rtnetlink(7). A device whose peer is in another namespace names that by this number
/// (`link-netnsid` of ip-link(8)).
#[derive(Debug)]
pub struct NetnsNumbers(Socket);

impl NetnsNumbers {
    /// # Errors
    /// Where no netlink socket can be opened.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open();
        socket
            .map(Self)
            .map_err(|errno| Error::new("open", "a netlink socket", errno))
    }

    /// The number of a network namespace; `None` where it was never given one, as for
    /// one in which no device has its peer.
    ///
    /// # Errors
    /// `EINVAL` where `namespace` is of another kind, and whatever the kernel answers.
    pub fn of(&self, namespace: &NsFd) -> Result<Option<u32>, Errno> {
        let mut question = NsidMessage::default();
        let fd = namespace.as_fd().as_raw_fd().unsigned_abs();
        question.attributes.push(NsidAttribute::Fd(fd));
        number(&self.0.ask(Question::NetnsNumber, &question)?)
    }
}

fn number(answer: &[u8]) -> Result<Option<u32>, Errno> {
    let message = NsidMessage::parse(answer).map_err(|_| Errno::BADMSG)?;
    let id = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NsidAttribute::Id(id) => Some(*id),
            _ => None,
        });
    // -1: none.
    Ok(id.and_then(|id| u32::try_from(id).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_own_namespace_mostly_has_no_number_and_another_kind_is_refused() {
        let numbers = NetnsNumbers::open().expect("a netlink socket");
        let open = |kind: &str| NsFd::open(&Path::new("/proc/self/ns").join(kind));
        let net = open("net").expect("own namespace");
        assert!(numbers.of(&net).is_ok());
        let uts = open("uts").expect("own namespace");
        assert_eq!(numbers.of(&uts), Err(Errno::INVAL));
    }

    #[test]
    fn a_number_below_0_is_none_and_an_answer_that_is_none_is_ebadmsg() {
        let answer = |id: i32| {
            let mut bytes = vec![0, 0, 0, 0, 8, 0, 1, 0];
            bytes.extend(id.to_ne_bytes());
            bytes
        };
        assert_eq!(number(&answer(7)), Ok(Some(7)));
        assert_eq!(number(&answer(-1)), Ok(None));
        for bytes in [&[][..], &[0, 0], &[0, 0, 0, 0, 200, 0, 1, 0]] {
            assert_eq!(number(bytes), Err(Errno::BADMSG));
        }
    }
}
