//! Moving a network interface into another network namespace.
//!
//! It keeps its hardware address and MTU by itself; the kernel takes its addresses, which are
//! given back, and it is brought up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use warren_namespaces::{Kind, NsFd};
use warren_sys::Errno;

/// The longest name of an interface, without its NUL.
pub const LONGEST_NAME: usize = 15;

/// Moves the interface `outside` of the calling thread's network namespace into
/// `namespace`, as `inside`.
///
/// # Errors
/// `ENODEV` where there is none of this name; `EEXIST` where `namespace` has one of the new
/// name; `EINVAL` for one that cannot be moved, as `lo`; `EPERM` without `CAP_NET_ADMIN`
/// over both.
pub fn move_interface(
    outside: &str,
    inside: &str,
    namespace: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let here = Socket::open()?;
    let index = here.index(outside)?;
    let addresses = here.addresses(index)?;
    let mut message = Message::link(RTM_SETLINK, index, 0);
    message.attribute(IFLA_NET_NS_FD, &raw_fd(namespace).to_ne_bytes());
    message.name(inside);
    here.ask(message)?;
    let there = in_namespace(namespace, Socket::open)??;
    let index = there.index(inside)?;
    there.ask(Message::link(RTM_NEWLINK, index, IFF_UP))?;
    for address in addresses {
        there.ask(address.message(index))?;
    }
    Ok(())
}

/// Moves the interface `inside` of `namespace` back into the calling thread's network
/// namespace, as `outside`.
///
/// # Errors
/// As [`move_interface`].
pub fn take_interface_back(
    inside: &str,
    outside: &str,
    namespace: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let own = own_namespace()?;
    in_namespace(namespace, || move_interface(inside, outside, own.as_fd()))?
}

fn own_namespace() -> Result<OwnedFd, Errno> {
    NsFd::open(Path::new("/proc/thread-self/ns/net")).map(NsFd::into_fd)
}

fn raw_fd(fd: BorrowedFd<'_>) -> u32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd() as u32
}

/// Does something with the calling thread in `namespace`, and returns from there.
fn in_namespace<T>(
    namespace: BorrowedFd<'_>,
    act: impl FnOnce() -> T,
) -> Result<T, Errno> {
    let own = own_namespace()?;
    warren_sys::setns(namespace, Kind::Net.clone_flag())?;
    let done = act();
    warren_sys::setns(own.as_fd(), Kind::Net.clone_flag())?;
    Ok(done)
}

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_F_PERMANENT: u8 = 0x80;
const SCOPE_UNIVERSE: u8 = 0;
/// Before the body of a message.
const HEADER: usize = 16;
/// Of struct ifinfomsg.
const LINK: usize = 16;
/// Of struct ifaddrmsg.
const ADDRESS: usize = 8;

/// A message of rtnetlink(7), as far as it is written.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        Self(bytes)
    }

    /// About a link, whose flags of `up` are set.
    fn link(kind: u16, index: u32, up: u32) -> Self {
        let mut message = Self::new(kind, NLM_F_ACK);
        message.0.extend([0; 4]);
        message.0.extend(index.to_ne_bytes());
        message.0.extend(up.to_ne_bytes());
        message.0.extend(up.to_ne_bytes());
        message
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        let aligned = self.0.len().next_multiple_of(4);
        self.0.resize(aligned, 0);
    }

    fn name(&mut self, name: &str) {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(IFLA_IFNAME, &bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// An address of an interface.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    family: u8,
    prefix: u8,
    /// Of [`IFA_ADDRESS`], [`IFA_LOCAL`] and [`IFA_BROADCAST`], those that it has.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// One that somebody gave the interface `index`, and that others can reach: those of
    /// the link alone the kernel makes anew.
    fn read(body: &[u8], index: u32) -> Option<Self> {
        let head = body.get(..ADDRESS)?;
        let own = u32::from_ne_bytes(head[4..8].try_into().ok()?);
        let is_permanent = head[2] & IFA_F_PERMANENT != 0;
        if own != index || !is_permanent || head[3] != SCOPE_UNIVERSE {
            return None;
        }
        let wanted = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST];
        let all = attributes(&body[ADDRESS..]);
        let kept = all.into_iter().filter(|(kind, _)| wanted.contains(kind));
        Some(Self {
            family: head[0],
            prefix: head[1],
            attributes: kept.map(|(kind, value)| (kind, value.to_vec())).collect(),
        })
    }

    fn message(&self, index: u32) -> Message {
        let mut message = Message::new(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE);
        let (flags, scope) = (IFA_F_PERMANENT, SCOPE_UNIVERSE);
        message.0.extend([self.family, self.prefix, flags, scope]);
        message.0.extend(index.to_ne_bytes());
        for (kind, value) in &self.attributes {
            message.attribute(*kind, value);
        }
        message
    }
}

/// Cut at the first length that lies.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while let Some((head, _)) = bytes.split_at_checked(4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(value) = bytes.get(4..length) else {
            break;
        };
        all.push((u16::from_ne_bytes([head[2], head[3]]), value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// The messages of a datagram: kind and body.
fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while let Some((head, _)) = bytes.split_at_checked(HEADER) {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = bytes.get(HEADER..length) else {
            break;
        };
        all.push((u16::from_ne_bytes([head[4], head[5]]), body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

struct Socket(OwnedFd);

impl Socket {
    fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is protocol 0.
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .map(Self)
    }

    /// Asks for something to be done.
    fn ask(&self, message: Message) -> Result<(), Errno> {
        self.send(message)?;
        for (kind, body) in messages(&self.receive()?) {
            if kind == NLMSG_ERROR {
                return error(body);
            }
        }
        Err(Errno::BADMSG)
    }

    /// The number of the interface `name`.
    fn index(&self, name: &str) -> Result<u32, Errno> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Errno::NODEV);
        }
        let mut message = Message::new(RTM_GETLINK, 0);
        message.0.extend([0; LINK]);
        message.name(name);
        self.send(message)?;
        for (kind, body) in messages(&self.receive()?) {
            match kind {
                NLMSG_ERROR => return error(body).and(Err(Errno::BADMSG)),
                RTM_NEWLINK => {
                    let number = body.get(4..8).ok_or(Errno::BADMSG)?;
                    let number = number.try_into().map_err(|_| Errno::BADMSG)?;
                    return Ok(u32::from_ne_bytes(number));
                }
                _ => {}
            }
        }
        Err(Errno::BADMSG)
    }

    fn addresses(&self, index: u32) -> Result<Vec<Address>, Errno> {
        let mut message = Message::new(RTM_GETADDR, NLM_F_DUMP);
        message.0.extend([0; ADDRESS]);
        self.send(message)?;
        let mut all = Vec::new();
        loop {
            for (kind, body) in messages(&self.receive()?) {
                match kind {
                    NLMSG_DONE => return Ok(all),
                    NLMSG_ERROR => return error(body).and(Err(Errno::BADMSG)),
                    RTM_NEWADDR => all.extend(Address::read(body, index)),
                    _ => {}
                }
            }
        }
    }

    fn send(&self, message: Message) -> Result<(), Errno> {
        let bytes = message.finish();
        rustix::net::send(&self.0, &bytes, SendFlags::empty()).map(drop)
    }

    fn receive(&self) -> Result<Vec<u8>, Errno> {
        // The kernel fills no more than 32 KiB at once.
        let mut buffer = vec![0; 64 * 1024];
        let (_, length) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())
        })?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// What an NLMSG_ERROR says; 0 is success.
fn error(body: &[u8]) -> Result<(), Errno> {
    let number = body.get(..4).and_then(|bytes| bytes.try_into().ok());
    match number.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(Errno::from_raw_os_error(number.saturating_neg())),
        None => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let address = Address {
            family: 2,
            prefix: 24,
            attributes: vec![
                (IFA_ADDRESS, vec![10, 0, 0, 1]),
                (IFA_LOCAL, vec![10, 0, 0, 1]),
            ],
        };
        let bytes = address.message(7).finish();
        let all = messages(&bytes);
        assert_eq!(all.len(), 1);
        assert_eq!(Address::read(all[0].1, 7), Some(address));
        assert_eq!(
            Address::read(all[0].1, 8),
            None,
            "it is another interface's"
        );
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for length in [0_u16, 3, 400] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend([1, 0, 5, 5, 5, 5]);
            assert!(attributes(&bytes).len() <= 1);
        }
        let mut bytes = vec![0xff; 4];
        bytes.extend([0; 20]);
        assert!(messages(&bytes).is_empty());
        assert!(messages(&[0; 40]).len() <= 40);
    }
}
