//! What all parts of the stack use.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};

use super::events::Events;
use super::packet::{self, Unreachable};
use super::policy::Policy;
use super::relay::Buckets;
use super::router::Router;

/// What all parts of the stack use.
#[derive(Debug)]
pub struct Shared {
    pub events: Events,
    pub router: Router,
    pub policy: Policy,
    pub buckets: Buckets,
}

impl Shared {
    /// Tells the sender of a packet that it was not delivered.
    pub fn unreachable(&self, packet: &[u8], from: IpAddr, why: Unreachable) {
        if let Some(told) = packet::unreachable(packet, why) {
            self.router.send(&told, from);
        }
    }

    /// Tells the sender of a datagram the same.
    pub fn undelivered(&self, from: SocketAddr, to: SocketAddr, why: Unreachable) {
        if let Some(packet) = packet::datagram(from, to, &[]) {
            self.unreachable(&packet, from.ip(), why);
        }
    }

    /// Sends a datagram to the inside, as if from anywhere.
    pub fn answer(&self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        if let Some(packet) = packet::datagram(from, to, data) {
            self.router.send(&packet, to.ip());
        }
    }
}

/// What an errno of the outside means for who tried to reach it; nothing where the inside
/// notices by itself that nobody answers.
#[must_use]
pub fn meaning(errno: Errno) -> Option<Unreachable> {
    match errno {
        Errno::CONNREFUSED | Errno::CONNRESET => Some(Unreachable::Port),
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some(Unreachable::Host),
        Errno::ACCESS | Errno::PERM => Some(Unreachable::Forbidden),
        Errno::TIMEDOUT => None,
        _ => Some(Unreachable::Network),
    }
}

/// A socket of the host's, which waits for nothing.
///
/// # Errors
/// What socket(2) says.
pub fn socket(
    to: IpAddr,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Result<OwnedFd, Errno> {
    let family = match to {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, kind, flags, protocol)
}

/// A socket of the host's that sends to one address alone.
///
/// # Errors
/// What socket(2) and connect(2) say.
pub fn connected(
    to: SocketAddr,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Result<OwnedFd, Errno> {
    let socket = socket(to.ip(), kind, protocol)?;
    rustix::net::connect(&socket, &to)?;
    Ok(socket)
}

/// Things that are forgotten when nothing happens to them for a time: at most so many, each
/// found by its number or by its key.
#[derive(Debug)]
pub struct Table<K, V> {
    by_id: HashMap<u32, (K, V, Instant)>,
    by_key: HashMap<K, u32>,
    most: usize,
    idle: Duration,
}

impl<K: Clone + Eq + std::hash::Hash, V> Table<K, V> {
    pub fn new(most: usize, idle: Duration) -> Self {
        Self {
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            most,
            idle,
        }
    }

    /// The one of a key, which counts as in use.
    pub fn of_key(&mut self, key: &K) -> Option<&mut V> {
        let id = *self.by_key.get(key)?;
        self.of_id(id).map(|(_, value)| value)
    }

    /// The number of a key.
    pub fn id_of(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// The one of a number, which counts as in use.
    pub fn of_id(&mut self, id: u32) -> Option<(K, &mut V)> {
        let (key, value, used) = self.by_id.get_mut(&id)?;
        *used = Instant::now();
        Some((key.clone(), value))
    }

    /// Adds one, and forgets the one that was idle for longest where there are too many.
    pub fn insert(&mut self, id: u32, key: K, value: V) {
        if self.by_id.len() >= self.most {
            let oldest = self.by_id.iter().min_by_key(|(_, (_, _, used))| *used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.remove(oldest);
            }
        }
        self.by_key.insert(key.clone(), id);
        self.by_id.insert(id, (key, value, Instant::now()));
    }

    pub fn remove(&mut self, id: u32) -> Option<(K, V)> {
        let (key, value, _) = self.by_id.remove(&id)?;
        self.by_key.remove(&key);
        Some((key, value))
    }

    /// Those that have been idle for too long by `now`.
    pub fn take_idle(&mut self, now: Instant) -> Vec<(K, V)> {
        let is_idle = |used: &Instant| now.saturating_duration_since(*used) >= self.idle;
        let idle: Vec<u32> = self
            .by_id
            .iter()
            .filter(|(_, (_, _, used))| is_idle(used))
            .map(|(id, _)| *id)
            .collect();
        idle.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_idle_for_longest_makes_room() {
        let mut table = Table::new(2, Duration::from_secs(60));
        table.insert(1, "a", ());
        table.insert(2, "b", ());
        assert!(table.of_key(&"a").is_some());
        table.insert(3, "c", ());
        assert!(table.of_key(&"b").is_none() && table.of_id(2).is_none());
        assert!(table.of_key(&"a").is_some() && table.of_id(3).is_some());
        let idle = table.take_idle(Instant::now() + Duration::from_secs(61));
        assert_eq!((idle.len(), table.is_empty()), (2, true));
    }
}
