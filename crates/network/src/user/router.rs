//! The network of the inside: a link, and at its other end a second network namespace, the
//! router's, where the kernel believes that every address is its own.
//!
//! So the kernel itself ends each connection that is opened inside, as fast as it carries
//! any: nft's tproxy gives it to a listener, whatever its address and port. What opens a
//! connection is held back first (see [`gate`](super::gate)): a copy of it goes to a packet
//! socket, and a rule drops it unless it comes in again by `lo`, where the gate sends it once
//! the outside has answered.
//!
//! The router's namespace has no process in it. It lasts as long as somebody has one of its
//! sockets, and nothing of it can be seen from inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use warren_sys::socket::{NumberOption, capture, turn_on};

use super::packet;
use super::rules;
use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::wire::{Batch, CREATE, EXCLUSIVE};

/// The addresses of the inside.
pub const INSIDE: [IpAddr; 2] = addresses(100, 0x100);
/// What the inside's routes lead to; with [`Config::host_loopback`](super::Config) the host
/// itself.
pub const GATEWAY: [IpAddr; 2] = addresses(2, 2);
/// Who answers questions about names.
pub const RESOLVER: [IpAddr; 2] = addresses(3, 3);

/// Those of slirp4netns, and a unique local prefix of our own.
const fn addresses(last: u8, last6: u16) -> [IpAddr; 2] {
    let prefix: [u16; 3] = [0xfd77, 0x6172, 0x7265];
    [
        IpAddr::V4(Ipv4Addr::new(10, 0, 2, last)),
        IpAddr::V6(Ipv6Addr::new(
            prefix[0], prefix[1], prefix[2], 0, 0, 0, 0, last6,
        )),
    ]
}

/// The number of the link at both of its ends, so that nobody has to ask for it.
pub const LINK: u32 = 100;
const LINK_NAME: &str = "eth0";
/// That of `lo`, in every network namespace.
const LOOPBACK: u32 = 1;
/// The largest that fits an IP packet in whole words, as of slirp4netns.
const MTU: u32 = 65_520;

/// The port of the router's listeners, to which the rules lead.
pub const LISTENER: u16 = 7;

/// The sockets in the router's namespace.
#[derive(Debug)]
pub struct Router {
    /// Listeners that get every connection, by family.
    pub listeners: Vec<OwnedFd>,
    /// Sockets that get every datagram.
    pub datagrams: Vec<OwnedFd>,
    /// Gets what [`packet::parse`] is for.
    pub capture: OwnedFd,
    /// Send whole packets.
    raw: Vec<OwnedFd>,
}

impl Router {
    /// Makes the router's namespace and the link to that of the process `pid`, whose user
    /// namespace, the owner of both, the caller has entered. The caller is in the router's
    /// namespace afterwards.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn new(pid: u32) -> Result<Self> {
        let failed = |errno| Error::new("make a network namespace for the router", errno);
        warren_sys::unshare(NEWNET).map_err(failed)?;
        let socket = Socket::route()?;
        warren_sys::loopback_up(socket.as_fd())
            .map_err(|errno| Error::new("bring lo of the router up", errno))?;
        socket.send(link(pid))?;
        socket.send(routes_of_router(0))?;
        rules::load()?;
        let mut router = Self {
            listeners: Vec::new(),
            datagrams: Vec::new(),
            capture: capture(LINK, &packet::filter())
                .map_err(|errno| Error::new("open a packet socket", errno))?,
            raw: Vec::new(),
        };
        router.open(AddressFamily::INET).map_err(socket_failed)?;
        // A kernel may have no IPv6, or have it turned off.
        if socket.send(routes_of_router(1)).is_ok() {
            router.open(AddressFamily::INET6).map_err(socket_failed)?;
        }
        Ok(router)
    }

    /// Opens the sockets of a family.
    fn open(&mut self, family: AddressFamily) -> std::result::Result<(), Errno> {
        const RAW: Option<Protocol> = match rustix::net::RawProtocol::new(255) {
            Some(number) => Some(Protocol::from_raw(number)),
            None => None,
        };
        let listener = transparent(family, SocketType::STREAM)?;
        rustix::net::listen(&listener, 4096)?;
        let datagrams = transparent(family, SocketType::DGRAM)?;
        let destination = match family {
            AddressFamily::INET => NumberOption::Destination,
            _ => NumberOption::Destination6,
        };
        turn_on(datagrams.as_fd(), destination)?;
        // Bursts wait here while connections have their turn.
        let _ = sockopt::set_socket_recv_buffer_size(&datagrams, 4 << 20);
        let raw = rustix::net::socket_with(family, SocketType::RAW, FLAGS, RAW)?;
        if family == AddressFamily::INET6 {
            turn_on(raw.as_fd(), NumberOption::OwnHeader6)?;
        }
        self.listeners.push(listener);
        self.datagrams.push(datagrams);
        self.raw.push(raw);
        Ok(())
    }

    /// Sends a whole packet, to the inside or to the router itself. One that cannot be sent
    /// is lost, as packets are.
    pub fn send(&self, packet: &[u8], to: IpAddr) {
        let raw = self.raw.get(usize::from(to.is_ipv6()));
        let to = SocketAddr::new(to, 0);
        if let Some(raw) = raw {
            let flags = rustix::net::SendFlags::DONTWAIT;
            let _ = rustix::net::sendto(raw, packet, flags, &to);
        }
    }

    /// All of them, to be handed over: those of each family, then the one of both.
    #[must_use]
    pub fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        let families = self.listeners.iter().zip(&self.datagrams).zip(&self.raw);
        families
            .flat_map(|((listener, datagrams), raw)| [listener, datagrams, raw])
            .chain([&self.capture])
            .map(AsFd::as_fd)
            .collect()
    }

    /// The same from what was handed over.
    #[must_use]
    pub fn from_sockets(mut sockets: Vec<OwnedFd>) -> Option<Self> {
        let mut router = Self {
            capture: sockets.pop()?,
            listeners: Vec::new(),
            datagrams: Vec::new(),
            raw: Vec::new(),
        };
        let mut sockets = sockets.into_iter();
        while let Some(listener) = sockets.next() {
            router.listeners.push(listener);
            router.datagrams.push(sockets.next()?);
            router.raw.push(sockets.next()?);
        }
        (!router.listeners.is_empty()).then_some(router)
    }

    /// Whether there is IPv6.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.listeners.len() > 1
    }
}

const NEWNET: u64 = 0x4000_0000;
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn socket_failed(errno: Errno) -> Error {
    Error::new("open the sockets of the router", errno)
}

/// A socket that can be reached at every address.
fn transparent(
    family: AddressFamily,
    kind: SocketType,
) -> std::result::Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(family, kind, FLAGS, None)?;
    let (option, any) = match family {
        AddressFamily::INET => (NumberOption::Transparent, Ipv4Addr::UNSPECIFIED.into()),
        _ => {
            sockopt::set_ipv6_v6only(&socket, true)?;
            (
                NumberOption::Transparent6,
                IpAddr::from(Ipv6Addr::UNSPECIFIED),
            )
        }
    };
    turn_on(socket.as_fd(), option)?;
    rustix::net::bind(&socket, &SocketAddr::new(any, LISTENER))?;
    Ok(socket)
}

/// The link, with one end here and one with the process.
fn link(pid: u32) -> Batch {
    const IFNAME: u16 = 3;
    const IF_MTU: u16 = 4;
    const LINKINFO: u16 = 18;
    const NET_NS_PID: u16 = 19;
    // The other end cannot be up before this one is there.
    let (header, other) = (link_header(true), link_header(false));
    let mut batch = Batch::default();
    let doing = format!("make the link {LINK_NAME}");
    batch.add(doing, NEWLINK, CREATE | EXCLUSIVE, &header, |body| {
        body.text(IFNAME, LINK_NAME).u32(IF_MTU, MTU);
        body.nest(LINKINFO, |info| {
            info.text(1, "veth");
            info.nest(2, |data| {
                data.nest(1, |peer| {
                    peer.raw(&other);
                    peer.text(IFNAME, LINK_NAME).u32(IF_MTU, MTU);
                    peer.u32(NET_NS_PID, pid);
                });
            });
        });
    });
    batch
}

const NEWLINK: u16 = 16;

/// struct ifinfomsg: family and kind, number, flags and which of them are meant.
fn link_header(is_up: bool) -> [u8; 16] {
    let up = u32::from(is_up);
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&LINK.to_ne_bytes());
    header[8..12].copy_from_slice(&up.to_ne_bytes());
    header[12..].copy_from_slice(&up.to_ne_bytes());
    header
}

/// The router's addresses of a family, and that all others are its own too.
fn routes_of_router(family: usize) -> Batch {
    let mut batch = Batch::default();
    // Those that the inside asks for by the link itself, as they are of its own network.
    add_address(&mut batch, GATEWAY[family]);
    add_address(&mut batch, RESOLVER[family]);
    add_route(&mut batch, family, Route::AllLocal);
    batch
}

/// Gives the inside its addresses and routes: for a caller in its network namespace.
///
/// # Errors
/// What the kernel refuses.
pub fn set_up_inside(has_ipv6: bool) -> Result<()> {
    let mut batch = Batch::default();
    let doing = format!("bring {LINK_NAME} up");
    batch.add(doing, NEWLINK, 0, &link_header(true), |_| {});
    let families = if has_ipv6 { 2 } else { 1 };
    for (family, address) in INSIDE.iter().enumerate().take(families) {
        add_address(&mut batch, *address);
        add_route(&mut batch, family, Route::Gateway(GATEWAY[family]));
    }
    Socket::route()?.send(batch)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn family_number(address: IpAddr) -> u8 {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    family.as_raw() as u8
}

fn add_address(batch: &mut Batch, address: IpAddr) {
    const NEWADDR: u16 = 20;
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    // Nobody else can have it: it need not be asked for.
    const NODAD: u8 = 2;
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    let mut header = [family_number(address), prefix, NODAD, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&LINK.to_ne_bytes());
    let doing = format!("give {LINK_NAME} the address {address}");
    batch.add(doing, NEWADDR, CREATE | EXCLUSIVE, &header, |body| {
        body.bytes(LOCAL, &octets(address))
            .bytes(ADDRESS, &octets(address));
    });
}

#[derive(Clone, Copy)]
enum Route {
    Gateway(IpAddr),
    AllLocal,
}

/// What is not of the link's own network.
fn add_route(batch: &mut Batch, family: usize, route: Route) {
    const NEWROUTE: u16 = 24;
    const GATEWAY_ADDRESS: u16 = 5;
    const OUTPUT: u16 = 4;
    const MAIN: u8 = 254;
    const STATIC: u8 = 4;
    let (scope, kind, link, doing) = match route {
        Route::Gateway(_) => (0, 1, LINK, "add the default route"),
        Route::AllLocal => (254, 2, LOOPBACK, "route every address to the router"),
    };
    // struct rtmsg. In the main table, since the link's network comes before it there.
    let family = family_number(GATEWAY[family]);
    let header = [family, 0, 0, 0, MAIN, STATIC, scope, kind, 0, 0, 0, 0];
    batch.add(doing, NEWROUTE, CREATE | EXCLUSIVE, &header, |body| {
        body.u32(OUTPUT, link);
        if let Route::Gateway(gateway) = route {
            body.bytes(GATEWAY_ADDRESS, &octets(gateway));
        }
    });
}
