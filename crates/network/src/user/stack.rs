//! The loop: one thread, one epoll(7), as long as the supervisor lives.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags};
use warren_sys::socket::receive_with_destination;

use super::Limits;
use super::bucket::Bucket;
use super::echoes::Echoes;
use super::events::{Events, Happened, Kind, Source};
use super::flows::Flows;
use super::gate::Gate;
use super::handover::{receive, send_with};
use super::names::Names;
use super::packet::{self, Packet};
use super::policy::{Policy, Rules};
use super::ports::{Port, Ports, address};
use super::relay::{Direction, Relays, break_off};
use super::router::{INSIDE, RESOLVER, Router};
use super::shared::Shared;

/// As long as the longest packet.
const BUFFER: usize = 65_536;

/// How many packets of one kind are taken before others have their turn.
const TURN: usize = 256;

/// How often idle things are looked for.
const TIDY: Duration = Duration::from_secs(1);

/// What a stack is to do.
#[derive(Debug)]
pub struct Wanted {
    pub resolvers: Vec<SocketAddr>,
    pub rules: Option<Rules>,
    pub host_loopback: bool,
    pub limits: Limits,
    pub ports: Vec<Port>,
}

/// All of it.
pub struct Stack {
    shared: Shared,
    gate: Gate,
    relays: Relays,
    flows: Flows,
    echoes: Echoes,
    names: Names,
    ports: Ports,
    supervisor: OwnedFd,
    buffer: Vec<u8>,
}

impl Stack {
    /// A stack that ends when `supervisor` does, with the sockets of its router.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn new(
        wanted: Wanted,
        router: Router,
        maker: OwnedFd,
        supervisor: OwnedFd,
    ) -> Result<Self, Errno> {
        let events = Events::new()?;
        let families = router.listeners.iter().zip(&router.datagrams);
        for (family, (listener, datagrams)) in families.enumerate() {
            let family = family as u32;
            events.on_input(listener, Source::new(Kind::Listener, family))?;
            events.on_input(datagrams, Source::new(Kind::Datagrams, family))?;
        }
        events.on_input(&router.capture, Source::new(Kind::Capture, 0))?;
        events.on_input(&supervisor, Source::new(Kind::Supervisor, 0))?;
        let now = Instant::now();
        let bucket = |limit: Option<super::Limit>| {
            limit.map(|limit| Bucket::new(limit.rate, limit.burst, now))
        };
        let shared = Shared {
            events,
            router,
            policy: Policy::new(wanted.rules, wanted.host_loopback),
            buckets: [bucket(wanted.limits.out), bucket(wanted.limits.into)],
        };
        Ok(Self {
            gate: Gate::new(wanted.resolvers.first().copied()),
            relays: Relays::default(),
            flows: Flows::default(),
            echoes: Echoes::default(),
            names: Names::new(wanted.resolvers),
            ports: Ports::new(&shared, wanted.ports, maker)?,
            supervisor,
            buffer: vec![0; BUFFER],
            shared,
        })
    }

    /// Works until the supervisor asks what was refused, or is gone.
    ///
    /// # Errors
    /// What epoll_wait(2) says.
    pub fn run(&mut self) -> Result<(), Errno> {
        let mut tidied = Instant::now();
        loop {
            let pause = self.pause();
            for happened in self.shared.events.wait(Some(pause))? {
                if happened.source.kind == Kind::Supervisor {
                    return self.farewell();
                }
                self.happened(happened);
            }
            let buckets = &mut self.shared.buckets;
            self.relays.go_on(buckets);
            self.relays.feed(buckets);
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                self.tidy(tidied);
            }
        }
    }

    fn pause(&self) -> Duration {
        /// Nothing that is idle is in anybody's way.
        const LONGEST: Duration = Duration::from_secs(30);
        let longest = if self.names.is_waiting() {
            TIDY
        } else {
            LONGEST
        };
        let buckets = &self.shared.buckets;
        self.relays.pause(buckets).unwrap_or(longest).min(longest)
    }

    fn happened(&mut self, happened: Happened) {
        let Happened {
            source,
            readable,
            writable,
        } = happened;
        let shared = &mut self.shared;
        let buffer = &mut self.buffer;
        match source.kind {
            Kind::Capture => self.packets(),
            Kind::Listener => self.accept(source.id as usize),
            Kind::Datagrams => self.datagrams(source.id as usize),
            Kind::Opening => self.gate.connected(shared, source.id),
            Kind::Relay => {
                let what = [readable, writable];
                self.relays.happened(source, what, &mut shared.buckets);
            }
            Kind::Flow => self.flows.receive(shared, source.id, buffer),
            Kind::Echo => self.echoes.receive(shared, source.id, buffer),
            Kind::Question => self.names.answered(shared, source.id, buffer),
            Kind::Port => {
                self.ports
                    .happened(shared, &mut self.relays, source.id, buffer);
            }
            Kind::Entering => {
                self.ports.connected(shared, &mut self.relays, source.id);
            }
            Kind::Client => self.ports.receive(shared, source.id, buffer),
            Kind::Supervisor => {}
        }
    }

    /// What opens connections, and echo requests.
    fn packets(&mut self) {
        for _ in 0..TURN {
            let flags = RecvFlags::DONTWAIT;
            let capture = &self.shared.router.capture;
            let Ok((_, length)) = rustix::net::recv(capture, &mut self.buffer[..], flags)
            else {
                return;
            };
            let packet = &self.buffer[..length.min(BUFFER)];
            match packet::parse(packet) {
                Some(Packet::Open(open)) if is_inside(open.from.ip()) => {
                    self.gate.open(&mut self.shared, open, packet);
                }
                Some(Packet::Echo(echo)) if is_inside(echo.from) => {
                    self.echoes.request(&mut self.shared, &echo, packet);
                }
                _ => {}
            }
        }
    }

    fn accept(&mut self, family: usize) {
        for _ in 0..TURN {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Some(listener) = self.shared.router.listeners.get(family) else {
                return;
            };
            let Ok((inside, from)) = rustix::net::acceptfrom_with(listener, flags) else {
                return;
            };
            // Its own address is the one that the inside has connected to.
            let to = rustix::net::getsockname(&inside).ok();
            let from = from.as_ref().and_then(address);
            let ends = from.zip(to.as_ref().and_then(address));
            match ends.and_then(|(from, to)| self.gate.take(from, to)) {
                Some(outside) => {
                    let sockets = [inside, outside];
                    let events = &mut self.shared.events;
                    let _ = self.relays.add(events, sockets, Direction::Out);
                }
                None => break_off(&inside),
            }
        }
    }

    fn datagrams(&mut self, family: usize) {
        const DOMAIN: u16 = 53;
        for _ in 0..TURN {
            let Some(socket) = self.shared.router.datagrams.get(family) else {
                return;
            };
            let received = receive_with_destination(socket.as_fd(), &mut self.buffer);
            let (length, from, to) = match received {
                Ok(received) => received,
                Err(Errno::AGAIN) => return,
                Err(_) => continue,
            };
            if !is_inside(from.ip()) {
                continue;
            }
            let data = &self.buffer[..length.min(BUFFER)];
            if RESOLVER.contains(&to.ip()) && to.port() == DOMAIN {
                self.names.ask(&mut self.shared, from, to, data);
            } else {
                self.flows.send(&mut self.shared, from, to, data);
            }
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.gate.tidy(now);
        self.flows.tidy(now);
        self.echoes.tidy(now);
        self.ports.tidy(now);
        self.names.tidy(&mut self.shared, now);
    }

    /// Tells the supervisor what was refused, if it asks.
    fn farewell(&self) -> Result<(), Errno> {
        let (length, _) = receive(self.supervisor.as_fd(), &mut [0; 1])?;
        match length {
            0 => Ok(()),
            _ => {
                let text = self.shared.policy.refused.to_string();
                send_with(self.supervisor.as_fd(), text.as_bytes(), &[])
            }
        }
    }
}

/// Whether an address is the inside's own: a program there with the right to make packets
/// may write what it likes.
fn is_inside(ip: IpAddr) -> bool {
    INSIDE.contains(&ip)
}
