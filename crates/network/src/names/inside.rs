//! The end of a resolver that its container sees: two sockets in the network namespace of the
//! container, and port 53 of an address of its loopback that leads to them.
//!
//! Not bound to port 53: a name server inside, which binds that of all addresses, would find
//! it taken. The numbers of ports are changed in each packet, without connection tracking,
//! which would slow down everything else that the container sends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::RESOLVER;
use crate::error::{Error, Result};
use crate::nft::{Base, Change, FIRST, Family, Hook, Meta, Rule};
use crate::route;
use crate::socket::Socket;
use crate::wire::Batch;

/// The port of resolvers.
pub const DOMAIN: u16 = 53;

/// Both sockets, bound to the same port.
#[derive(Debug)]
pub struct Inside {
    pub datagrams: OwnedFd,
    pub listener: OwnedFd,
}

impl Inside {
    /// Makes both in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn make() -> Result<Self> {
        const LOOPBACK: u32 = 1;
        // A socket bound before would send from another address.
        let mut batch = Batch::default();
        route::up(&mut batch, "lo", LOOPBACK);
        Socket::route()?.send(batch)?;
        let failed = |errno| Error::new("make the resolver's sockets", errno);
        let datagrams = bound(SocketType::DGRAM, 0).map_err(failed)?;
        let port = port(&datagrams).map_err(failed)?;
        let listener = bound(SocketType::STREAM, port).map_err(failed)?;
        rustix::net::listen(&listener, 16).map_err(failed)?;
        let mut change = Change::default();
        redirect(&mut change, port);
        change.commit(&Socket::netfilter()?)?;
        Ok(Self {
            datagrams,
            listener,
        })
    }
}

fn bound(kind: SocketType, port: u16) -> std::result::Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(RESOLVER, port))?;
    Ok(socket)
}

fn port(socket: &OwnedFd) -> std::result::Result<u16, Errno> {
    let own = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    Ok(own.port())
}

/// Has port 53 of the resolver's address be `port`, and the other way round.
fn redirect(change: &mut Change, port: u16) {
    const TCP: (u8, u32) = (6, 16);
    const UDP: (u8, u32) = (17, 6);
    const OUTPUT: u32 = 3;
    const RAW: i32 = -300;
    const SOURCE: (u32, u32) = (12, 0);
    const DESTINATION: (u32, u32) = (16, 2);
    let hook = Hook {
        kind: "filter",
        number: OUTPUT,
        priority: RAW,
    };
    change.table(Family::Inet);
    change.chain(Family::Inet, "names", Some(hook));
    for (protocol, checksum) in [TCP, UDP] {
        for ((address, place), from, to) in
            [(DESTINATION, DOMAIN, port), (SOURCE, port, DOMAIN)]
        {
            let rule = Rule::default()
                .family(true)
                .load(Base::Network, address, 4, FIRST)
                .is(FIRST, &Ipv4Addr::octets(&RESOLVER))
                .meta(Meta::Transport, FIRST)
                .is(FIRST, &[protocol])
                .load(Base::Transport, place, 2, FIRST)
                .is(FIRST, &from.to_be_bytes())
                .store(place, &to.to_be_bytes(), checksum);
            change.rule(Family::Inet, "names", rule);
        }
    }
}
