//! Connections of two sockets: what one receives, the other sends.
//!
//! The bytes go through a pipe by splice(2), so that they are never copied: the pipe holds
//! the pages that the kernel received them in. A way that has nothing to carry has no pipe.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::net::sockopt;
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::bucket::Bucket;
use super::events::{Events, Kind, Source};

/// What a pipe holds: more makes no stream faster, and soon finds no room in the caches.
const PIPE: usize = 256 * 1024;

/// How much of one connection is carried before the others have their turn.
const TURN: usize = 4 * PIPE;

/// How many pipes are kept for the next connection that needs one.
const SPARE_PIPES: usize = 32;

/// Whether bytes leave the inside or come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They leave.
    Out = 0,
    /// They come.
    In = 1,
}

/// The limits of both directions.
pub type Buckets = [Option<Bucket>; 2];

/// All connections that are carried on.
#[derive(Debug, Default)]
pub struct Relays {
    all: HashMap<u32, Relay>,
    /// Those that could go on, but others had their turn.
    ready: VecDeque<u32>,
    /// Those that wait for their direction's bucket to fill, or for a pipe.
    starved: VecDeque<u32>,
    spare: Vec<Pipe>,
}

#[derive(Debug)]
struct Relay {
    sockets: [OwnedFd; 2],
    /// From each socket to the other.
    ways: [Way; 2],
}

#[derive(Debug)]
struct Way {
    direction: Direction,
    pipe: Option<Pipe>,
    /// How many bytes the pipe holds.
    held: usize,
    /// Whether there may be something to receive, and room to send: as far as is known.
    readable: bool,
    writable: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing more comes.
    Ended,
    /// And that was passed on.
    Over,
}

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    fn new() -> Result<Self, Errno> {
        let (reader, writer) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Where the user has too many such pages already, it stays as it was.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        Ok(Self { reader, writer })
    }
}

/// How a turn of a way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is nothing to do until something happens.
    Waits,
    /// It could go on.
    Unfinished,
    /// Its bucket is empty, or there is no pipe.
    Starves,
}

impl Relays {
    /// Carries on between two connected sockets; what `first` receives goes in `direction`.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn add(
        &mut self,
        events: &mut Events,
        [first, second]: [OwnedFd; 2],
        direction: Direction,
    ) -> Result<(), Errno> {
        let id = events.new_id();
        let back = match direction {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
        };
        for (side, socket) in [&first, &second].into_iter().enumerate() {
            prepare(socket);
            let kind = Kind::Relay;
            events.on_change(socket, Source { kind, id, side })?;
        }
        let relay = Relay {
            sockets: [first, second],
            ways: [Way::new(direction), Way::new(back)],
        };
        self.all.insert(id, relay);
        self.ready.push_back(id);
        Ok(())
    }

    /// Notes what happened to a socket, and carries on.
    pub fn happened(
        &mut self,
        source: Source,
        [readable, writable]: [bool; 2],
        buckets: &mut Buckets,
    ) {
        let Some(relay) = self.all.get_mut(&source.id) else {
            return;
        };
        relay.ways[source.side].readable |= readable;
        relay.ways[1 - source.side].writable |= writable;
        self.turn(source.id, buckets);
    }

    /// Carries on those that were left unfinished.
    pub fn go_on(&mut self, buckets: &mut Buckets) {
        for _ in 0..self.ready.len() {
            if let Some(id) = self.ready.pop_front() {
                self.turn(id, buckets);
            }
        }
    }

    /// Carries on those that wait for a bucket.
    pub fn feed(&mut self, buckets: &mut Buckets) {
        for _ in 0..self.starved.len() {
            if let Some(id) = self.starved.pop_front() {
                self.turn(id, buckets);
            }
        }
    }

    /// How soon something is to be done though nothing happens.
    #[must_use]
    pub fn pause(&self, buckets: &Buckets) -> Option<Duration> {
        /// For a pipe that there are no descriptors for.
        const NO_PIPE: Duration = Duration::from_millis(20);
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let pauses = buckets.iter().flatten().map(Bucket::pause);
        let pause = pauses
            .min()
            .unwrap_or(NO_PIPE)
            .clamp(Duration::from_millis(1), NO_PIPE);
        (!self.starved.is_empty()).then_some(pause)
    }

    fn turn(&mut self, id: u32, buckets: &mut Buckets) {
        let Some(relay) = self.all.get_mut(&id) else {
            return;
        };
        let result = relay.turn(&mut self.spare, buckets);
        let is_over = relay.ways.iter().all(|way| way.state == State::Over);
        match result {
            Ok(_) if is_over => self.remove(id),
            Ok(Turn::Waits) => {}
            Ok(Turn::Unfinished) => push_once(&mut self.ready, id),
            Ok(Turn::Starves) => push_once(&mut self.starved, id),
            Err(_) => {
                // Who sends to the other end is to learn that it did not arrive.
                relay.sockets.iter().for_each(break_off);
                self.remove(id);
            }
        }
        self.spare.truncate(SPARE_PIPES);
    }

    fn remove(&mut self, id: u32) {
        // Pipes that hold something are closed with it.
        self.all.remove(&id);
    }
}

fn push_once(queue: &mut VecDeque<u32>, id: u32) {
    if !queue.contains(&id) {
        queue.push_back(id);
    }
}

impl Way {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            pipe: None,
            held: 0,
            readable: true,
            writable: true,
            state: State::Open,
        }
    }
}

impl Relay {
    /// A turn of both ways; the one that is worse off tells.
    fn turn(
        &mut self,
        spare: &mut Vec<Pipe>,
        buckets: &mut Buckets,
    ) -> Result<Turn, Errno> {
        let mut all = Turn::Waits;
        for (side, way) in self.ways.iter_mut().enumerate() {
            let ends = [&self.sockets[side], &self.sockets[1 - side]];
            let bucket = &mut buckets[way.direction as usize];
            match way.turn(ends, spare, bucket)? {
                Turn::Waits => {}
                Turn::Unfinished => all = Turn::Unfinished,
                Turn::Starves if all == Turn::Waits => all = Turn::Starves,
                Turn::Starves => {}
            }
        }
        Ok(all)
    }
}

impl Way {
    fn turn(
        &mut self,
        [from, to]: [&OwnedFd; 2],
        spare: &mut Vec<Pipe>,
        bucket: &mut Option<Bucket>,
    ) -> Result<Turn, Errno> {
        let mut carried = 0;
        while carried < TURN {
            let most = bucket
                .as_mut()
                .map_or(u64::MAX, |bucket| bucket.fill(Instant::now()));
            let received = match self.receive(from, spare, most)? {
                Some(bytes) => bytes,
                None if self.held == 0 => return Ok(Turn::Starves),
                None => 0,
            };
            if let Some(bucket) = bucket {
                bucket.take(received as u64);
            }
            let sent = self.send(to)?;
            self.finish(to, spare)?;
            carried += sent;
            if received == 0 && sent == 0 {
                return Ok(Turn::Waits);
            }
        }
        Ok(Turn::Unfinished)
    }

    /// Fills the pipe: how many bytes came, at most `most`; `None` where none may come, or
    /// there is no pipe.
    fn receive(
        &mut self,
        from: &OwnedFd,
        spare: &mut Vec<Pipe>,
        most: u64,
    ) -> Result<Option<usize>, Errno> {
        let room = PIPE.saturating_sub(self.held);
        if self.state != State::Open || !self.readable || room == 0 {
            return Ok(Some(0));
        }
        let room = room.min(usize::try_from(most).unwrap_or(usize::MAX));
        if room == 0 || !self.has_pipe(spare) {
            return Ok(None);
        }
        let Some(pipe) = &self.pipe else {
            return Ok(None);
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(from, None, &pipe.writer, None, room, flags) {
            Ok(0) => {
                self.state = State::Ended;
                Ok(Some(0))
            }
            Ok(bytes) => {
                self.held += bytes;
                Ok(Some(bytes))
            }
            // It may be the pipe that has no room: few bytes can take all its pages.
            Err(Errno::AGAIN) if self.held > 0 => Ok(Some(0)),
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Some(0))
            }
            Err(Errno::INTR) => Ok(Some(0)),
            Err(errno) => Err(errno),
        }
    }

    fn has_pipe(&mut self, spare: &mut Vec<Pipe>) -> bool {
        if self.pipe.is_none() {
            self.pipe = spare.pop().or_else(|| Pipe::new().ok());
        }
        self.pipe.is_some()
    }

    /// Empties the pipe as far as there is room: how many bytes went.
    fn send(&mut self, to: &OwnedFd) -> Result<usize, Errno> {
        let Some(pipe) = self
            .pipe
            .as_ref()
            .filter(|_| self.held > 0 && self.writable)
        else {
            return Ok(0);
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(&pipe.reader, None, to, None, self.held, flags) {
            Ok(bytes) => {
                self.held -= bytes.min(self.held);
                Ok(bytes)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    /// Gives an empty pipe back, and passes the end on.
    fn finish(&mut self, to: &OwnedFd, spare: &mut Vec<Pipe>) -> Result<(), Errno> {
        if self.held > 0 {
            return Ok(());
        }
        // One that may fill again at once is kept.
        if !self.readable || self.state != State::Open {
            spare.extend(self.pipe.take());
        }
        if self.state == State::Ended {
            self.state = State::Over;
            return match rustix::net::shutdown(to, Shutdown::Write) {
                // It has been closed in both directions already.
                Err(Errno::NOTCONN) => Ok(()),
                result => result,
            };
        }
        Ok(())
    }
}

/// What both sockets of a relay are set to: nothing is held back for more to come, since
/// who sent it has decided that; a peer that is gone without a word is noticed some time.
fn prepare(socket: &OwnedFd) {
    const IDLE: Duration = Duration::from_secs(120);
    let _ = sockopt::set_tcp_nodelay(socket, true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, IDLE);
}

/// Has its close send a reset.
pub fn break_off(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests;
