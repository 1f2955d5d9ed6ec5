//! Echo requests: they leave by the kernel's ping sockets, which need no privilege where
//! net.ipv4.ping_group_range has the caller's group: icmp(7).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{Protocol, RecvFlags, SocketType, ipproto};

use super::events::{Kind, Source};
use super::flows::send;
use super::packet::{Echo, Unreachable, echo_of_message};
use super::router::{GATEWAY, RESOLVER};
use super::shared::{Shared, Table, connected, meaning};

const MOST: usize = 256;
const IDLE: Duration = Duration::from_secs(60);

/// Who sent a request, to whom, and its identifier.
type Key = (IpAddr, IpAddr, u16);

/// All programs that wait for echoes.
#[derive(Debug)]
pub struct Echoes(Table<Key, OwnedFd>);

impl Default for Echoes {
    fn default() -> Self {
        Self(Table::new(MOST, IDLE))
    }
}

impl Echoes {
    /// Sends a request of the inside on.
    pub fn request(&mut self, shared: &mut Shared, echo: &Echo<'_>, packet: &[u8]) {
        if GATEWAY.contains(&echo.to) || RESOLVER.contains(&echo.to) {
            let back = Echo {
                from: echo.to,
                to: echo.from,
                ..*echo
            };
            shared.router.send(&back.reply(), echo.from);
            return;
        }
        let key = (echo.from, echo.to, echo.identifier);
        let result = match self.0.of_key(&key) {
            Some(socket) => send(socket, &echo.request_message()),
            None => match shared.policy.echo_target(echo.to) {
                Some(target) => self.open(shared, key, target, echo),
                None => {
                    shared.unreachable(packet, echo.from, Unreachable::Forbidden);
                    return;
                }
            },
        };
        if let Some(why) = result.err().and_then(meaning) {
            shared.unreachable(packet, echo.from, why);
        }
    }

    fn open(
        &mut self,
        shared: &mut Shared,
        key: Key,
        target: IpAddr,
        echo: &Echo<'_>,
    ) -> Result<(), Errno> {
        let protocol = match target {
            IpAddr::V4(_) => ipproto::ICMP,
            IpAddr::V6(_) => ipproto::ICMPV6,
        };
        let socket = ping_socket(target, protocol).inspect_err(|errno| {
            shared.policy.refused.no_echo |=
                matches!(*errno, Errno::ACCESS | Errno::PERM);
        })?;
        let id = shared.events.new_id();
        shared
            .events
            .on_input(&socket, Source::new(Kind::Echo, id))?;
        let result = send(&socket, &echo.request_message());
        self.0.insert(id, key, socket);
        result
    }

    /// Sends the replies that have come to who asked.
    pub fn receive(&mut self, shared: &mut Shared, id: u32, buffer: &mut [u8]) {
        let Some(((inside, outside, identifier), socket)) = self.0.of_id(id) else {
            return;
        };
        while let Ok((_, length)) =
            rustix::net::recv(&*socket, &mut *buffer, RecvFlags::DONTWAIT)
        {
            let message = &buffer[..length.min(buffer.len())];
            if let Some((sequence, data)) = echo_of_message(message) {
                let echo = Echo {
                    from: outside,
                    to: inside,
                    identifier,
                    sequence,
                    data,
                };
                shared.router.send(&echo.reply(), inside);
            }
        }
    }

    /// Forgets the idle ones.
    pub fn tidy(&mut self, now: Instant) {
        self.0.take_idle(now);
    }
}

fn ping_socket(target: IpAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let to = SocketAddr::new(target, 0);
    connected(to, SocketType::DGRAM, Some(protocol))
}
