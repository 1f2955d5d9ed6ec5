//! Moving a network interface into another network namespace.
//!
//! It keeps its hardware address and MTU by itself; the kernel takes its addresses, which are
//! given back, and it is brought up.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use warren_namespaces::{Kind, NsFd};

use crate::connect::link_number;
use crate::error::Error;
use crate::route::{NAME, link_header};
use crate::socket::Socket;
use crate::wire::{self, Batch, CREATE, DUMP};

const NEWLINK: u16 = 16;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
/// `IFLA_NET_NS_FD`
const NET_NS_FD: u16 = 28;
const UP: u32 = 1;
/// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`
const KEPT: [u16; 3] = [1, 2, 4];
/// `IFA_F_PERMANENT`
const PERMANENT: u8 = 0x80;
const SCOPE_UNIVERSE: u8 = 0;
/// Of struct ifaddrmsg.
const HEADER: usize = 8;

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
    let here = Socket::route()?;
    let index = link_number(&here, outside)?;
    let addresses = addresses(&here, index)?;
    let mut batch = Batch::default();
    let header = link_header(0, index, 0, 0);
    batch.add("move an interface", SETLINK, 0, &header, |body| {
        body.u32(NET_NS_FD, namespace.as_raw_fd() as u32);
        body.text(NAME, inside);
    });
    here.send(batch)?;
    let there = in_namespace(namespace, Socket::route)??;
    let index = link_number(&there, inside)?;
    let mut batch = Batch::default();
    let header = link_header(0, index, UP, UP);
    batch.add("bring it up", NEWLINK, 0, &header, |_| {});
    for address in addresses {
        address.add(&mut batch, index);
    }
    Ok(there.send(batch)?)
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

/// Brings `lo` of a network namespace up.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over it.
pub fn loopback_up(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let there = in_namespace(namespace, Socket::route)??;
    warren_sys::loopback_up(there.as_fd())
}

/// For who has words of its own.
impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        error.errno().unwrap_or(Self::INVAL)
    }
}

fn own_namespace() -> Result<OwnedFd, Errno> {
    NsFd::open(Path::new("/proc/thread-self/ns/net")).map(NsFd::into_fd)
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

/// An address of an interface.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// One that somebody gave the interface `index`, and that others can reach: those of
    /// the link alone the kernel makes anew.
    fn read(body: &[u8], index: u32) -> Option<Self> {
        let (head, attributes) = body.split_at_checked(HEADER)?;
        let is_permanent = head[2] & PERMANENT != 0;
        let own = wire::u32_at(head, 4)?;
        if own != index || !is_permanent || head[3] != SCOPE_UNIVERSE {
            return None;
        }
        let kept = wire::attributes(attributes).filter(|(kind, _)| KEPT.contains(kind));
        Some(Self {
            family: head[0],
            prefix: head[1],
            attributes: kept.map(|(kind, value)| (kind, value.to_vec())).collect(),
        })
    }

    fn add(&self, batch: &mut Batch, index: u32) {
        let mut header = [
            self.family,
            self.prefix,
            PERMANENT,
            SCOPE_UNIVERSE,
            0,
            0,
            0,
            0,
        ];
        header[4..].copy_from_slice(&index.to_ne_bytes());
        batch.add("give it an address", NEWADDR, CREATE, &header, |body| {
            for (kind, value) in &self.attributes {
                body.bytes(*kind, value);
            }
        });
    }
}

fn addresses(socket: &Socket, index: u32) -> Result<Vec<Address>, Errno> {
    let mut ask = Batch::default();
    ask.add("list the addresses", GETADDR, DUMP, &[0; HEADER], |_| {});
    let list = socket.list(&ask)?;
    Ok(list
        .iter()
        .filter_map(|body| Address::read(body, index))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let address = Address {
            family: 2,
            prefix: 24,
            attributes: vec![(1, vec![10, 0, 0, 1]), (2, vec![10, 0, 0, 1])],
        };
        let mut batch = Batch::default();
        address.add(&mut batch, 7);
        let message = wire::messages(batch.as_bytes()).next().expect("one");
        let read = |index| Address::read(message.body, index);
        assert_eq!(read(7), Some(address));
        assert_eq!(read(8), None, "it is another interface's");
    }
}
