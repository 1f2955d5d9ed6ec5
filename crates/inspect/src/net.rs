//! Interfaces, addresses, routes and ports: network_namespaces(7).

mod links;
mod outside;
mod ports;
mod routes;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::netlink::Socket;
use warren_namespaces::{NsFd, ProcRoot};

pub use links::{Interface, Peer};
pub use ports::{Port, read as open_ports};
pub use routes::Route;

use crate::difference::{Fact, Facts};

/// What a network namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// Interfaces with their addresses, by number.
    pub interfaces: Vec<Interface>,
    /// Routes of all tables but `local`, IPv4 first.
    pub routes: Vec<Route>,
    /// Ports on which something listens (TCP) or that are bound (UDP).
    pub ports: Vec<Port>,
    /// Whether states, peers and the like are known: what /proc shows from outside has
    /// names and addresses only.
    pub whole: bool,
}

impl Net {
    /// That of the calling process, by rtnetlink(7). `candidates` are network namespaces
    /// in which the other end of a link may be.
    pub(crate) fn own(proc: &ProcRoot, candidates: &[NsFd]) -> Result<Self, Errno> {
        let socket = Socket::open()?;
        let mut interfaces = links::dump(&socket)?;
        links::name_peers(&socket, &mut interfaces, candidates);
        let routes = routes::dump(&socket, &interfaces)?;
        let own = proc.own_folder().map_err(|error| error.errno())?;
        Ok(Self {
            interfaces,
            routes,
            ports: ports::read(proc, &own)?,
            whole: true,
        })
    }

    /// That of a process, as far as /proc shows it.
    pub(crate) fn of_process(proc: &ProcRoot, pid: u32) -> Result<Self, Errno> {
        let folder = pid.to_string();
        let (interfaces, routes) = outside::read(proc, &folder)?;
        Ok(Self {
            interfaces,
            routes,
            ports: ports::read(proc, &folder)?,
            whole: false,
        })
    }
}

impl Facts for Net {
    /// Numbers of interfaces and hardware addresses that the kernel makes up are not
    /// told: they differ between any two.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for interface in &self.interfaces {
            facts.push(Fact::new("interface", &interface.name, interface.summary()));
            for address in &interface.addresses {
                let name = format!("{} {address}", interface.name);
                facts.push(Fact::new("address", name, "there"));
            }
        }
        facts.extend(self.routes.iter().map(|route| {
            let name = format!("{} dev {}", route.destination, route.interface_name());
            Fact::new("route", name, route.words())
        }));
        facts.extend(self.ports.iter().map(|port| {
            let name = format!("{} {}", port.protocol, port.place());
            Fact::new("port", name, "open")
        }));
        facts
    }
}

/// What tests of messages share.
#[cfg(test)]
mod samples {
    use netlink_packet_core::{DefaultNla, Emitable};

    /// The bytes of one attribute.
    pub fn attribute(number: u16, content: &[u8]) -> Vec<u8> {
        let attribute = DefaultNla::new(number, content.to_vec());
        let mut bytes = vec![0; attribute.buffer_len()];
        attribute.emit(&mut bytes);
        bytes
    }

    /// Bytes without a pattern, the same each time (xorshift).
    pub fn noise() -> impl Iterator<Item = u8> {
        let mut state = 0x9e37_79b9_u32;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Small numbers are lengths and kinds more often than large ones.
            let byte = state.to_ne_bytes()[0];
            if state & 0x100 == 0 { byte & 15 } else { byte }
        })
    }
}
