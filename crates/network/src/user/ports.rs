//! Published ports: the host listens, and each connection goes on to the inside's own
//! address, by a socket that was made in the inside's network namespace.
//!
//! The inside sees its own address as the other end, and not its loopback: programs trust
//! what comes from there (CVE-2021-20199).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType,
};

use super::events::{Kind, Source};
use super::flows::{has_room, send};
use super::handover::{receive, send_with};
use super::relay::{Direction, Relays, break_off};
use super::router::INSIDE;
use super::shared::{Shared, Table};
use crate::error::Error;
use crate::publish::{Protocol, Publish};

const MOST: usize = 1024;
const IDLE: Duration = Duration::from_secs(120);
const TURN: usize = 64;

/// A port of the host on which somebody listens already.
#[derive(Debug)]
pub struct Port {
    socket: OwnedFd,
    protocol: Protocol,
    inside: u16,
}

impl Port {
    /// Listens on every port of `publish`.
    ///
    /// # Errors
    /// `EADDRINUSE` where somebody else does; `EACCES` for a port that is root's.
    pub fn listen(publish: &Publish) -> Result<Vec<Self>, Error> {
        let mut ports = Vec::new();
        for address in publish.addresses() {
            for (host, inside) in publish.ports() {
                let address = SocketAddr::new(address, host);
                match Self::open(address, publish.protocol, inside) {
                    Ok(port) => ports.push(port),
                    // Without a given address it is the loopback of both families, of
                    // which a machine may have one.
                    Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                        if publish.address.is_none() && address.is_ipv6() => {}
                    Err(errno) => return Err(listen_failed(publish, address, errno)),
                }
            }
        }
        Ok(ports)
    }

    fn open(address: SocketAddr, protocol: Protocol, inside: u16) -> Result<Self, Errno> {
        let kind = match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let socket = super::shared::socket(address.ip(), kind, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        if protocol == Protocol::Tcp {
            // Connections of an earlier run that are closing do not count.
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        if protocol == Protocol::Tcp {
            rustix::net::listen(&socket, 1024)?;
        }
        Ok(Self {
            socket,
            protocol,
            inside,
        })
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn listen_failed(publish: &Publish, address: SocketAddr, errno: Errno) -> Error {
    let error = Error::new(format!("publish {publish}: listen on {address}"), errno);
    match errno {
        Errno::ADDRINUSE => error.hint(format!(
            "another program listens there: `ss -ltnup sport = :{}` names it",
            address.port()
        )),
        Errno::ACCESS => error.hint(
            "ports below net.ipv4.ip_unprivileged_port_start are root's; publish a higher one",
        ),
        _ => error,
    }
}

/// All published ports and what enters by them.
#[derive(Debug)]
pub struct Ports {
    all: Vec<Port>,
    /// Who makes sockets inside.
    maker: OwnedFd,
    entering: HashMap<u32, Entering>,
    clients: Table<(usize, SocketAddr), OwnedFd>,
}

#[derive(Debug)]
struct Entering {
    outside: OwnedFd,
    inside: OwnedFd,
    /// What is tried next.
    rest: Vec<SocketAddr>,
}

impl Ports {
    /// The ports, and the channel to who [makes sockets](serve).
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn new(shared: &Shared, all: Vec<Port>, maker: OwnedFd) -> Result<Self, Errno> {
        for (number, port) in all.iter().enumerate() {
            let source = Source::new(Kind::Port, number as u32);
            shared.events.on_input(port, source)?;
        }
        Ok(Self {
            all,
            maker,
            entering: HashMap::new(),
            clients: Table::new(MOST, IDLE),
        })
    }

    /// Takes what has come by a port.
    pub fn happened(
        &mut self,
        shared: &mut Shared,
        relays: &mut Relays,
        number: u32,
        buffer: &mut [u8],
    ) {
        let number = number as usize;
        for _ in 0..TURN {
            let Some(port) = self.all.get(number) else {
                return;
            };
            let inside = port.inside;
            let result = match port.protocol {
                Protocol::Tcp => self.accept(shared, relays, number, inside),
                Protocol::Udp => self.datagram(shared, number, inside, buffer),
            };
            if result == Err(Errno::AGAIN) {
                return;
            }
        }
    }

    fn accept(
        &mut self,
        shared: &mut Shared,
        relays: &mut Relays,
        number: usize,
        inside: u16,
    ) -> Result<(), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let outside = rustix::net::accept_with(&self.all[number].socket, flags)?;
        // The family in which more programs listen comes last, to be taken first.
        let mut rest = places(shared, inside);
        rest.reverse();
        self.enter(shared, relays, outside, rest)
    }

    /// Connects to the first place that takes it.
    fn enter(
        &mut self,
        shared: &mut Shared,
        relays: &mut Relays,
        outside: OwnedFd,
        mut rest: Vec<SocketAddr>,
    ) -> Result<(), Errno> {
        while let Some(place) = rest.pop() {
            let inside = make(&self.maker, place.ip(), Protocol::Tcp)?;
            match rustix::net::connect(&inside, &place) {
                Ok(()) => {
                    return relays.add(
                        &mut shared.events,
                        [outside, inside],
                        Direction::In,
                    );
                }
                Err(Errno::INPROGRESS) => {
                    let id = shared.events.new_id();
                    let source = Source::new(Kind::Entering, id);
                    shared.events.on_connected(&inside, source)?;
                    let entering = Entering {
                        outside,
                        inside,
                        rest,
                    };
                    self.entering.insert(id, entering);
                    return Ok(());
                }
                Err(_) => {}
            }
        }
        // Nobody listens inside: who connected learns it as from a closed port, if late.
        break_off(&outside);
        Ok(())
    }

    /// A connection to the inside is there, or is refused.
    pub fn connected(&mut self, shared: &mut Shared, relays: &mut Relays, id: u32) {
        let Some(Entering {
            outside,
            inside,
            rest,
        }) = self.entering.remove(&id)
        else {
            return;
        };
        shared.events.forget(&inside);
        let _ = match sockopt::socket_error(&inside).and_then(|result| result) {
            Ok(()) => relays.add(&mut shared.events, [outside, inside], Direction::In),
            Err(_) => self.enter(shared, relays, outside, rest),
        };
    }

    fn datagram(
        &mut self,
        shared: &mut Shared,
        number: usize,
        inside: u16,
        buffer: &mut [u8],
    ) -> Result<(), Errno> {
        let flags = RecvFlags::DONTWAIT;
        let socket = &self.all[number].socket;
        let (_, length, from) = rustix::net::recvfrom(socket, &mut *buffer, flags)?;
        let from = from.as_ref().and_then(address).ok_or(Errno::BADMSG)?;
        let data = &buffer[..length.min(buffer.len())];
        if !has_room(shared, Direction::In, data.len()) {
            return Ok(());
        }
        if let Some(client) = self.clients.of_key(&(number, from)) {
            // A refusal is of an earlier one.
            let _ = send(client, data);
            return Ok(());
        }
        let place = *places(shared, inside).first().ok_or(Errno::NETUNREACH)?;
        let client = make(&self.maker, place.ip(), Protocol::Udp)?;
        rustix::net::connect(&client, &place)?;
        let id = shared.events.new_id();
        shared
            .events
            .on_input(&client, Source::new(Kind::Client, id))?;
        let result = send(&client, data);
        self.clients.insert(id, (number, from), client);
        result
    }

    /// Sends what the inside has answered to who asked.
    pub fn receive(&mut self, shared: &mut Shared, id: u32, buffer: &mut [u8]) {
        let Some(((number, to), client)) = self.clients.of_id(id) else {
            return;
        };
        let Some(port) = self.all.get(number) else {
            return;
        };
        for _ in 0..TURN {
            let received = rustix::net::recv(&*client, &mut *buffer, RecvFlags::DONTWAIT);
            let Ok((_, length)) = received else { return };
            let data = &buffer[..length.min(buffer.len())];
            if has_room(shared, Direction::Out, data.len()) {
                let flags = SendFlags::DONTWAIT;
                let _ = rustix::net::sendto(&port.socket, data, flags, &to);
            }
        }
    }

    /// Forgets the idle ones.
    pub fn tidy(&mut self, now: Instant) {
        self.clients.take_idle(now);
    }
}

/// Where a program inside may listen.
fn places(shared: &Shared, port: u16) -> Vec<SocketAddr> {
    let families = if shared.router.has_ipv6() { 2 } else { 1 };
    let place = |ip: &IpAddr| SocketAddr::new(*ip, port);
    INSIDE.iter().take(families).map(place).collect()
}

/// The address of a peer.
pub fn address(any: &SocketAddrAny) -> Option<SocketAddr> {
    SocketAddr::try_from(any.clone()).ok()
}

/// Has a socket made inside.
fn make(maker: &OwnedFd, ip: IpAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let wish = [u8::from(ip.is_ipv6()), protocol.number()];
    send_with(maker.as_fd(), &wish, &[])?;
    let (_, mut sockets) = receive(maker.as_fd(), &mut [0; 1])?;
    sockets.pop().ok_or(Errno::CHILD)
}

/// Makes sockets in the caller's network namespace for the other end of `channel`, until
/// that is closed.
pub fn serve(channel: &OwnedFd) {
    let mut wish = [0; 2];
    while let Ok((2, _)) = receive(channel.as_fd(), &mut wish) {
        let family = match wish[0] {
            0 => AddressFamily::INET,
            _ => AddressFamily::INET6,
        };
        let kind = match wish[1] {
            17 => SocketType::DGRAM,
            _ => SocketType::STREAM,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, kind, flags, None);
        let sockets: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
        if send_with(channel.as_fd(), &[0], &sockets).is_err() {
            return;
        }
    }
}
