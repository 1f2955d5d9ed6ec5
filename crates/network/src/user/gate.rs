//! Connections that the inside opens: none is accepted before the outside has accepted it.
//!
//! The packet that opens one is held. A socket of the host connects to where it leads; once
//! that has succeeded, the packet is sent to the router, whose listener accepts. Else its
//! sender gets the answer that the outside gave: a reset, or that it cannot be reached. So
//! connect(2) inside takes as long, and ends with the same errno, as it would on the host.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::net::sockopt;

use super::events::{Kind, Source};
use super::packet::{self, Open, Unreachable};
use super::policy::Verdict;
use super::router::RESOLVER;
use super::shared::{Shared, Table, meaning, socket};
use crate::publish::Protocol;

/// Connections on their way at once; a program that opens more has the oldest forgotten,
/// and its own repetition of the packet begins anew.
const MOST: usize = 4096;

/// Longer than any system goes on trying.
const IDLE: Duration = Duration::from_secs(180);

/// All connections on their way.
#[derive(Debug)]
pub struct Gate {
    held: Table<(SocketAddr, SocketAddr), Held>,
    resolver: Option<SocketAddr>,
}

#[derive(Debug)]
struct Held {
    open: Open,
    packet: Vec<u8>,
    outside: OwnedFd,
    is_connected: bool,
}

impl Gate {
    /// Connections to the resolver's address lead to `resolver`.
    pub fn new(resolver: Option<SocketAddr>) -> Self {
        Self {
            held: Table::new(MOST, IDLE),
            resolver,
        }
    }

    /// Takes a packet that opens a connection.
    pub fn open(&mut self, shared: &mut Shared, open: Open, packet: &[u8]) {
        if let Some(held) = self.held.of_key(&(open.from, open.to)) {
            // Sent again: it may be that the router had no room for the first.
            if held.is_connected {
                held.pass(shared);
            }
            return;
        }
        let Some(target) = self.target(shared, open.to) else {
            shared.router.send(&open.reset(), open.from.ip());
            return;
        };
        if let Err(errno) = self.connect(shared, open, packet, target) {
            refuse(shared, &open, packet, errno);
        }
    }

    /// Where it leads; `None` if that is refused.
    fn target(&self, shared: &mut Shared, to: SocketAddr) -> Option<SocketAddr> {
        const DOMAIN: u16 = 53;
        if RESOLVER.contains(&to.ip()) {
            // With rules, names are looked at one by one, as datagrams.
            let is_open = to.port() == DOMAIN && !shared.policy.has_rules();
            return self.resolver.filter(|_| is_open);
        }
        match shared.policy.target(Protocol::Tcp, to) {
            Verdict::To(to) => Some(to),
            Verdict::Refused => None,
        }
    }

    fn connect(
        &mut self,
        shared: &mut Shared,
        open: Open,
        packet: &[u8],
        target: SocketAddr,
    ) -> Result<(), Errno> {
        let outside = socket(target.ip(), SocketType::STREAM, None)?;
        let is_connected = match rustix::net::connect(&outside, &target) {
            Ok(()) => true,
            Err(Errno::INPROGRESS) => false,
            Err(errno) => return Err(errno),
        };
        let id = shared.events.new_id();
        let mut held = Held {
            open,
            packet: packet.to_vec(),
            outside,
            is_connected,
        };
        packet::finish_tcp(&mut held.packet);
        if is_connected {
            held.pass(shared);
        } else {
            let source = Source::new(Kind::Opening, id);
            shared.events.on_connected(&held.outside, source)?;
        }
        self.held.insert(id, (open.from, open.to), held);
        Ok(())
    }

    /// A socket of the host has connected, or has not.
    pub fn connected(&mut self, shared: &mut Shared, id: u32) {
        let Some((_, held)) = self.held.of_id(id) else {
            return;
        };
        shared.events.forget(&held.outside);
        match sockopt::socket_error(&held.outside).and_then(|result| result) {
            Ok(()) => {
                held.is_connected = true;
                held.pass(shared);
            }
            Err(errno) => {
                refuse(shared, &held.open, &held.packet, errno);
                self.held.remove(id);
            }
        }
    }

    /// The host's side of a connection that the router's listener has accepted.
    pub fn take(&mut self, from: SocketAddr, to: SocketAddr) -> Option<OwnedFd> {
        let id = self.held.id_of(&(from, to))?;
        let (_, held) = self.held.remove(id)?;
        held.is_connected.then_some(held.outside)
    }

    /// Forgets those whose opener has gone.
    pub fn tidy(&mut self, now: Instant) {
        self.held.take_idle(now);
    }
}

impl Held {
    /// Lets the packet through to the router.
    fn pass(&self, shared: &Shared) {
        shared.router.send(&self.packet, self.open.to.ip());
    }
}

fn refuse(shared: &Shared, open: &Open, packet: &[u8], errno: Errno) {
    match meaning(errno) {
        Some(Unreachable::Port) => shared.router.send(&open.reset(), open.from.ip()),
        Some(why) => shared.unreachable(packet, open.from.ip(), why),
        None => {}
    }
}
