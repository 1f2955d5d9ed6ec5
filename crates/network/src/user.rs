//! Networks without privilege: what a program of an ordinary user in a network namespace of
//! its own sends leaves by ordinary sockets of that user.
//!
//! No stack in user mode and no tap device: the kernel ends the inside's connections in a
//! second network namespace (see `router`), and a process of the host carries their bytes
//! on by splice(2). docs/architecture.md has the reasons and the measurements.
//!
//! ```text
//!   inside                 router                     host
//!   program -- eth0 ~~~~ eth0, every address  |  stack: sockets of the user -- outside
//!              veth        tproxy -> listener ==========  accept(2), connect(2), splice(2)
//! ```
//!
//! The stack is a process on the host that was never elsewhere: another, the `builder`,
//! enters the namespaces, makes the router there and hands its sockets over. A socket works in
//! the namespace that it was made in, whoever uses it.

mod bucket;
mod builder;
mod echoes;
mod events;
mod flows;
mod gate;
mod handover;
mod names;
mod packet;
mod policy;
mod ports;
mod refused;
mod relay;
mod router;
mod rules;
mod shared;
mod stack;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{Error, Result};
use crate::publish::Publish;
pub use names::resolvers;
pub use policy::Rules;
use ports::Port;
pub use refused::{Refusal, Refused};
use router::Router;
pub use router::{GATEWAY, INSIDE, RESOLVER};
pub(crate) use shared::{connected, socket};
use stack::{Stack, Wanted};

/// A limit of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes a second.
    pub rate: u64,
    /// How many bytes may pass at once after a pause.
    pub burst: Option<u64>,
}

/// The limits of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What leaves the inside.
    pub out: Option<Limit>,
    /// What comes to it.
    pub into: Option<Limit>,
}

/// What a network is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Who is asked about names, in this order: see [`resolvers`].
    pub resolvers: Vec<SocketAddr>,
    /// What may be reached; everything but the host itself if `None`.
    pub rules: Option<Rules>,
    /// Whether the [`GATEWAY`]'s address leads to the host's loopback.
    pub host_loopback: bool,
    /// Ports of the host that lead inside.
    pub publish: Vec<Publish>,
    /// How much may pass.
    pub limits: Limits,
}

/// A network that has its ports, and waits for a process.
#[derive(Debug)]
pub struct Prepared(Wanted);

impl Prepared {
    /// Listens on the published ports: what is wrong with them is found before anything is
    /// made.
    ///
    /// # Errors
    /// A port that somebody else has, or that the caller may not have.
    pub fn new(config: Config) -> Result<Self> {
        let mut ports = Vec::new();
        for publish in &config.publish {
            ports.extend(Port::listen(publish)?);
        }
        Ok(Self(Wanted {
            resolvers: config.resolvers,
            rules: config.rules,
            host_loopback: config.host_loopback,
            limits: config.limits,
            ports,
        }))
    }

    /// Connects the network namespace of the process `pid`, a child of the caller that was
    /// not waited for, and which has nothing in it but `lo`. It has the network when this
    /// returns.
    ///
    /// # Errors
    /// What the kernel refuses; `EDEADLK` in a program with threads.
    pub fn start(self, pid: u32) -> Result<Network> {
        let failed = |errno| Error::new("start the network's process", errno);
        let process = Pid::from_raw(pid as i32).ok_or_else(|| failed(Errno::SRCH))?;
        let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty());
        let pidfd = pidfd.map_err(failed)?;
        let (ours, theirs) = handover::channel().map_err(failed)?;
        let Self(wanted) = self;
        let mut keep = vec![theirs.as_raw_fd(), pidfd.as_raw_fd()];
        keep.extend(wanted.ports.iter().map(|port| port.as_fd().as_raw_fd()));
        let process = warren_sys::worker(&keep, move || {
            work(wanted, (pid, pidfd), &theirs);
            0
        });
        let network = Network {
            channel: ours,
            process: process.map_err(failed)?,
        };
        network.await_ready()?;
        Ok(network)
    }
}

/// What the network's process does.
fn work(wanted: Wanted, target: (u32, OwnedFd), supervisor: &OwnedFd) {
    let mut stack = match build(wanted, target, supervisor) {
        Ok(stack) => stack,
        Err(error) => {
            let message = builder::refusal(&error);
            let _ = handover::send_with(supervisor.as_fd(), &message, &[]);
            return;
        }
    };
    if handover::send_with(supervisor.as_fd(), builder::READY, &[]).is_ok() {
        // The supervisor sees the end of the channel.
        let _ = stack.run();
    }
}

fn build(wanted: Wanted, target: (u32, OwnedFd), supervisor: &OwnedFd) -> Result<Stack> {
    let failed = |errno| Error::new("start the network's process", errno);
    let (ours, theirs) = handover::channel().map_err(failed)?;
    let (pid, pidfd) = target;
    let keep = [theirs.as_raw_fd(), pidfd.as_raw_fd()];
    let maker = rustix::process::getpid();
    let has_ports = !wanted.ports.is_empty();
    warren_sys::worker(&keep, move || {
        builder::build((pid, pidfd.as_fd()), maker, &theirs, has_ports);
        0
    })
    .map_err(failed)?;
    give_up_privilege().map_err(failed)?;
    let mut message = [0; 1024];
    let (length, sockets) =
        handover::receive(ours.as_fd(), &mut message).map_err(failed)?;
    builder::answer(&message[..length])?;
    let router = Router::from_sockets(sockets).ok_or_else(|| failed(Errno::CHILD))?;
    let supervisor = supervisor.try_clone().map_err(|_| failed(Errno::MFILE))?;
    Stack::new(wanted, router, ours, supervisor).map_err(failed)
}

/// Keeps what an ordinary user has, and as many descriptors as that may have: each
/// connection needs two.
pub(crate) fn give_up_privilege() -> std::result::Result<(), Errno> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    rustix::thread::set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, none)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// A network that works. Its process ends with the caller's, or when this is dropped.
#[derive(Debug)]
pub struct Network {
    channel: OwnedFd,
    process: Pid,
}

impl Network {
    /// Waits until the inside has its network.
    fn await_ready(&self) -> Result<()> {
        let mut buffer = [0; 1024];
        let failed = |errno| Error::new("hear from the network's process", errno);
        let (length, _) =
            handover::receive(self.channel.as_fd(), &mut buffer).map_err(failed)?;
        builder::answer(&buffer[..length])
    }

    /// Ends it, and tells what was refused.
    #[must_use]
    pub fn finish(self) -> Refused {
        self.refused().unwrap_or_default()
    }

    fn refused(&self) -> Option<Refused> {
        const PATIENCE: Duration = Duration::from_secs(2);
        const LONGEST: usize = 256 * 1024;
        handover::send_with(self.channel.as_fd(), b"?", &[]).ok()?;
        let timeout = rustix::event::Timespec::try_from(PATIENCE).ok()?;
        let mut ready = [PollFd::new(&self.channel, PollFlags::IN)];
        if poll(&mut ready, Some(&timeout)).ok()? == 0 {
            return None;
        }
        let mut text = vec![0; LONGEST];
        let (length, _) = handover::receive(self.channel.as_fd(), &mut text).ok()?;
        std::str::from_utf8(&text[..length]).ok()?.parse().ok()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ =
            rustix::process::kill_process(self.process, rustix::process::Signal::KILL);
        // Nobody else waits for it: the number is its own until then.
        let waited =
            || rustix::process::waitpid(Some(self.process), WaitOptions::empty());
        let _ = rustix::io::retry_on_intr(waited);
    }
}

/// The addresses of the inside that it has for others.
#[must_use]
pub fn own_addresses() -> [IpAddr; 2] {
    INSIDE
}
