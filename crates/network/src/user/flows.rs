//! Datagrams: each pair of addresses of the inside has a socket of the host's.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::events::{Kind, Source};
use super::packet::Unreachable;
use super::policy::Verdict;
use super::relay::Direction;
use super::shared::{Shared, Table, connected, meaning};
use crate::publish::Protocol;

/// How many there may be, and how long one lasts without a datagram: as long as most
/// gateways remember, RFC 4787 has two minutes.
const MOST: usize = 1024;
const IDLE: Duration = Duration::from_secs(120);

/// How many datagrams of one socket are taken before others have their turn.
const TURN: usize = 64;

/// All pairs.
#[derive(Debug)]
pub struct Flows(Table<(SocketAddr, SocketAddr), OwnedFd>);

impl Default for Flows {
    fn default() -> Self {
        Self(Table::new(MOST, IDLE))
    }
}

impl Flows {
    /// Sends a datagram of the inside on.
    pub fn send(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
    ) {
        if !has_room(shared, Direction::Out, data.len()) {
            return;
        }
        let result = match self.0.of_key(&(from, to)) {
            Some(outside) => send(outside, data),
            None => match shared.policy.target(Protocol::Udp, to) {
                Verdict::Refused => {
                    shared.undelivered(from, to, Unreachable::Forbidden);
                    return;
                }
                Verdict::To(target) => self.open(shared, from, to, target, data),
            },
        };
        if let Some(why) = result.err().and_then(meaning) {
            shared.undelivered(from, to, why);
        }
    }

    fn open(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        to: SocketAddr,
        target: SocketAddr,
        data: &[u8],
    ) -> Result<(), Errno> {
        let outside = connected(target, SocketType::DGRAM, None)?;
        let id = shared.events.new_id();
        shared
            .events
            .on_input(&outside, Source::new(Kind::Flow, id))?;
        let result = send(&outside, data);
        self.0.insert(id, (from, to), outside);
        result
    }

    /// Sends what has come for the inside.
    pub fn receive(&mut self, shared: &mut Shared, id: u32, buffer: &mut [u8]) {
        let Some(((inside, outside), socket)) = self.0.of_id(id) else {
            return;
        };
        for _ in 0..TURN {
            match rustix::net::recv(&*socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    let data = &buffer[..length.min(buffer.len())];
                    if has_room(shared, Direction::In, data.len()) {
                        shared.answer(outside, inside, data);
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(errno) => {
                    if let Some(why) = meaning(errno) {
                        shared.undelivered(inside, outside, why);
                    }
                    return;
                }
            }
        }
    }

    /// Forgets the idle ones.
    pub fn tidy(&mut self, now: Instant) {
        self.0.take_idle(now);
    }
}

/// Sends a datagram; one for which there is no room is lost, as datagrams are.
pub fn send(socket: impl AsFd, data: &[u8]) -> Result<(), Errno> {
    match rustix::net::send(socket, data, SendFlags::DONTWAIT) {
        Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Whether the bucket of a direction has this much; it is taken from there.
pub fn has_room(shared: &mut Shared, direction: Direction, bytes: usize) -> bool {
    let Some(bucket) = &mut shared.buckets[direction as usize] else {
        return true;
    };
    let has_room = bucket.fill(Instant::now()) >= bytes as u64;
    if has_room {
        bucket.take(bytes as u64);
    }
    has_room
}
