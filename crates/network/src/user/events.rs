//! What the loop waits for.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Whose descriptor something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The supervisor's channel.
    Supervisor,
    /// The socket of captured packets.
    Capture,
    /// A listener of the inside's connections.
    Listener,
    /// A socket of the inside's datagrams.
    Datagrams,
    /// A connection on its way to the outside.
    Opening,
    /// One of the two sockets of a relay.
    Relay,
    /// A socket of datagrams to the outside.
    Flow,
    /// A ping socket.
    Echo,
    /// A question to a resolver.
    Question,
    /// A published port.
    Port,
    /// A connection from a published port on its way to the inside.
    Entering,
    /// A socket of datagrams from a published port to the inside.
    Client,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Supervisor,
        Self::Capture,
        Self::Listener,
        Self::Datagrams,
        Self::Opening,
        Self::Relay,
        Self::Flow,
        Self::Echo,
        Self::Question,
        Self::Port,
        Self::Entering,
        Self::Client,
    ];
}

/// A descriptor that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Whose it is.
    pub kind: Kind,
    /// Which of these; never used for two.
    pub id: u32,
    /// Which of its two sockets.
    pub side: usize,
}

impl Source {
    /// One with one socket.
    #[must_use]
    pub const fn new(kind: Kind, id: u32) -> Self {
        Self { kind, id, side: 0 }
    }

    fn to_number(self) -> u64 {
        u64::from(self.id) | (self.side as u64) << 32 | (self.kind as u64) << 40
    }

    fn of_number(number: u64) -> Option<Self> {
        Some(Self {
            kind: *Kind::ALL.get((number >> 40) as usize)?,
            id: number as u32,
            side: (number >> 32) as usize & 1,
        })
    }
}

/// What happened to it.
#[derive(Clone, Copy, Debug)]
pub struct Happened {
    /// To which descriptor.
    pub source: Source,
    /// It can be read, or has ended.
    pub readable: bool,
    /// It can be written, or has ended.
    pub writable: bool,
}

/// An epoll(7) descriptor.
#[derive(Debug)]
pub struct Events {
    epoll: OwnedFd,
    last_id: u32,
}

impl Events {
    /// # Errors
    /// What epoll_create1(2) says.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            last_id: 0,
        })
    }

    /// A number for something new.
    pub fn new_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Waits for something to read, for as long as there is some.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn on_input(&self, socket: impl AsFd, source: Source) -> Result<(), Errno> {
        self.add(socket, source, EventFlags::IN)
    }

    /// Waits until it is connected or refused.
    ///
    /// # Errors
    /// As [`Self::on_input`].
    pub fn on_connected(&self, socket: impl AsFd, source: Source) -> Result<(), Errno> {
        self.add(socket, source, EventFlags::OUT)
    }

    /// Tells of each change alone, in both directions.
    ///
    /// # Errors
    /// As [`Self::on_input`].
    pub fn on_change(&self, socket: impl AsFd, source: Source) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET | EventFlags::RDHUP;
        self.add(socket, source, flags)
    }

    fn add(
        &self,
        socket: impl AsFd,
        source: Source,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        let data = EventData::new_u64(source.to_number());
        epoll::add(&self.epoll, socket, data, flags)
    }

    /// Waits for it no more. A descriptor that nobody has a copy of is forgotten when it is
    /// closed.
    pub fn forget(&self, socket: impl AsFd) {
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// What happens next; nothing if it takes longer than `most`.
    ///
    /// # Errors
    /// What epoll_wait(2) says.
    pub fn wait(&self, most: Option<Duration>) -> Result<Vec<Happened>, Errno> {
        const AT_ONCE: usize = 64;
        let mut events: Vec<Event> = Vec::with_capacity(AT_ONCE);
        let most = most.map(|most| Timespec {
            tv_sec: most.as_secs().min(3600) as i64,
            tv_nsec: most.subsec_nanos().into(),
        });
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            most.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(events.iter().filter_map(happened).collect())
    }
}

fn happened(event: &Event) -> Option<Happened> {
    let (data, flags) = (event.data, event.flags);
    let over = EventFlags::ERR | EventFlags::HUP;
    Some(Happened {
        source: Source::of_number(data.u64())?,
        readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | over),
        writable: flags.intersects(EventFlags::OUT | over),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_again_by_its_number() {
        for kind in Kind::ALL {
            for (id, side) in [(0, 0), (u32::MAX, 1), (7, 1)] {
                let source = Source { kind, id, side };
                assert_eq!(Source::of_number(source.to_number()), Some(source));
            }
        }
        assert_eq!(Source::of_number(u64::MAX), None);
    }
}
