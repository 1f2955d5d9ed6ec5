//! The numbers by which a network namespace calls others: `NETNSID`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use netlink_packet_core::{
    Emitable, ErrorBuffer, NLM_F_REQUEST, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    Parseable,
};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::{Error, NsFd};

/// Asks the caller's network namespace how it calls others: `RTM_GETNSID` of
/// rtnetlink(7). A device whose peer is in another namespace names that by this number
/// (`link-netnsid` of ip-link(8)).
#[derive(Debug)]
pub struct NetnsNumbers(OwnedFd);

impl NetnsNumbers {
    /// # Errors
    /// Where no netlink socket can be opened.
    pub fn open() -> Result<Self, Error> {
        rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // NETLINK_ROUTE is 0.
            None,
        )
        .map(Self)
        .map_err(|errno| Error::new("open", "a netlink socket", errno))
    }

    /// The number of a network namespace; `None` where it was never given one, as for
    /// one in which no device has its peer.
    ///
    /// # Errors
    /// `EINVAL` where `namespace` is of another kind, and whatever the kernel answers.
    pub fn of(&self, namespace: &NsFd) -> Result<Option<u32>, Errno> {
        let request = request(namespace.as_fd().as_raw_fd().unsigned_abs());
        rustix::net::send(&self.0, &request, SendFlags::empty())?;
        let mut buffer = [0; 1024];
        let (length, _) =
            rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
        answer(&buffer[..length])
    }
}

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

fn request(fd: u32) -> Vec<u8> {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(fd));
    let mut header = NetlinkHeader::default();
    let length = header.buffer_len() + message.buffer_len();
    // A few bytes.
    header.length = length as u32;
    header.message_type = RTM_GETNSID;
    header.flags = NLM_F_REQUEST;
    let mut buffer = vec![0; length];
    header.emit(&mut buffer);
    message.emit(&mut buffer[header.buffer_len()..]);
    buffer
}

fn answer(bytes: &[u8]) -> Result<Option<u32>, Errno> {
    let packet = NetlinkBuffer::new_checked(bytes).map_err(|_| Errno::BADMSG)?;
    match packet.message_type() {
        RTM_NEWNSID => {
            let message =
                NsidMessage::parse(packet.payload()).map_err(|_| Errno::BADMSG)?;
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
        NLMSG_ERROR => {
            let error =
                ErrorBuffer::new_checked(packet.payload()).map_err(|_| Errno::BADMSG)?;
            let code = error.code().map_or(0, |code| code.get().saturating_neg());
            Err(Errno::from_raw_os_error(code))
        }
        _ => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_request_is_the_kernels_28_bytes() {
        let request = request(5);
        let words: Vec<u32> = request
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
            .collect();
        let kind = u32::from(RTM_GETNSID) | u32::from(NLM_F_REQUEST) << 16;
        // Header; family; an attribute of 8 bytes, NETNSA_FD.
        assert_eq!(words, [28, kind, 0, 0, 0, 8 | 3 << 16, 5]);
    }

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
    fn an_answer_that_is_none_is_ebadmsg() {
        for bytes in [&[][..], &[0; 16], &[16, 0, 0, 0, 88, 0, 0, 0]] {
            assert_eq!(answer(bytes), Err(Errno::BADMSG));
        }
    }
}
