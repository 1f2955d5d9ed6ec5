//! What a container has of networks before it exists: addresses and ports of the host.
//!
//! An address is held by the name of an abstract unix socket, a port by a socket bound to
//! it. The kernel gives either to one process of a network namespace and frees it however
//! that one dies: so who is alive is never a guess.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::allow::Pinned;
use crate::connect::{self, Connection, Member};
use crate::error::{Error, Result};
use crate::network::{Driver, GATEWAY, Network, Rate};
use crate::publish::{Protocol, Publish};
use crate::settings;

/// What is wanted of networks.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By which name the members of its networks find it.
    pub name: Option<String>,
    /// Of which it is a member.
    pub networks: Vec<Network>,
    /// The address in the first one.
    pub ip: Option<IpAddr>,
    /// The address of the link to the first one.
    pub mac: Option<[u8; 6]>,
    /// Ports of the host that lead to it.
    pub publish: Vec<Publish>,
    /// The only places that it may reach.
    pub allow: Option<Vec<Pinned>>,
    /// What each of its links may carry in each direction.
    pub rate: Option<Rate>,
    /// How many bytes it may send and receive in all.
    pub quota: Option<u64>,
}

/// Addresses and ports, held until the value is dropped; what was connected with them is
/// disconnected then.
#[derive(Debug)]
pub struct Reservation {
    connection: Connection,
    _held: Vec<OwnedFd>,
}

impl Reservation {
    /// Takes what is wanted.
    ///
    /// # Errors
    /// What contradicts itself; an address or a port that somebody else has.
    pub fn take(wanted: Wanted) -> Result<Self> {
        check(&wanted)?;
        let mut held = Vec::new();
        for publish in &wanted.publish {
            bind_ports(publish, &mut held)?;
        }
        let v6 = settings::has_v6();
        let mut members = Vec::new();
        for (number, network) in wanted.networks.into_iter().enumerate() {
            let ip = wanted.ip.filter(|_| number == 0);
            let (member, name) = lease(&network, ip)?;
            held.push(name);
            let own = match network.driver {
                Driver::Bridge => network.mac(member),
                // Others on the same wire may count alike.
                Driver::Macvlan { .. } => random_mac()?,
            };
            members.push(Member {
                addresses: network.addresses(member, v6),
                mac: wanted.mac.filter(|_| number == 0).unwrap_or(own),
                inside: format!("eth{number}"),
                network,
                number: member,
            });
        }
        Ok(Self {
            connection: Connection {
                name: wanted.name,
                members,
                publish: wanted.publish,
                allow: wanted.allow.map(without_parts),
                rate: wanted.rate,
                quota: wanted.quota,
            },
            _held: held,
        })
    }

    /// What a process is to be connected to.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Disconnects, and gives all back.
    ///
    /// # Errors
    /// What could not be removed; the rest was.
    pub fn release(mut self) -> Result<()> {
        let connection = std::mem::take(&mut self.connection);
        connect::disconnect(&connection)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Who wants to know calls release; what remains is found by gc.
        let _ = connect::disconnect(&self.connection);
    }
}

/// Without ranges that are in others: those of a set have no address in common.
fn without_parts(places: Vec<Pinned>) -> Vec<Pinned> {
    let mut kept: Vec<Pinned> = Vec::new();
    for place in places {
        if place.prefix.is_some() {
            let covers = |a: &Pinned, b: &Pinned| a.prefix.is_some() && a.covers(b);
            if kept.iter().any(|other| covers(other, &place)) {
                continue;
            }
            kept.retain(|other| other.prefix.is_none() || !covers(&place, other));
        }
        kept.push(place);
    }
    kept
}

/// The rules between the parts, one a line.
fn check(wanted: &Wanted) -> Result<()> {
    let first = wanted.networks.first();
    let all_bridges = wanted.networks.iter().all(Network::has_bridge);
    let rules = [
        (
            !wanted.publish.is_empty() && first.is_none_or(|first| first.internal),
            "a published port needs a network that is not internal",
        ),
        (
            !(all_bridges
                || wanted.publish.is_empty()
                    && wanted.allow.is_none()
                    && wanted.quota.is_none()
                    && wanted.rate.is_none()),
            "ports, lists, rates and quotas are of bridges: a macvlan passes the host by",
        ),
        (
            wanted.networks.iter().enumerate().any(|(n, network)| {
                wanted.networks[..n]
                    .iter()
                    .any(|other| other.number == network.number)
            }),
            "a network is named twice",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::words(rule)),
        None => Ok(()),
    }
}

/// Takes an address: the one that is wanted, or a free one from a random place on, so that
/// what one container was known by is not the next one's by habit.
fn lease(network: &Network, ip: Option<IpAddr>) -> Result<(u16, OwnedFd)> {
    if let Some(ip) = ip {
        return lease_of(network, ip);
    }
    let (first, last) = (GATEWAY + 1, network.subnet.last());
    let count = u32::from(last - first) + 1;
    let start = random::<4>().map(u32::from_ne_bytes).map_err(no_random)? % count;
    for n in 0..count {
        let member = first + ((start + n) % count) as u16;
        match claim(network.number, member) {
            Ok(name) => return Ok((member, name)),
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(cannot_claim(network, errno)),
        }
    }
    Err(Error::new(
        format!("take an address of the network {}", network.name),
        Errno::NOSPC,
    )
    .hint(format!(
        "all {count} addresses of {} are in use",
        network.subnet
    )))
}

fn lease_of(network: &Network, ip: IpAddr) -> Result<(u16, OwnedFd)> {
    let subnet = if ip.is_ipv4() {
        network.subnet
    } else {
        network.subnet6
    };
    let member = subnet.number_of(ip).filter(|member| *member > GATEWAY);
    let member = member.filter(|member| *member <= network.subnet.last());
    let Some(member) = member else {
        let name = &network.name;
        return Err(
            Error::words(format!("{ip} is no address of the network {name}")).hint(
                format!("its addresses are {subnet}, and the first is the host's"),
            ),
        );
    };
    match claim(network.number, member) {
        Ok(name) => Ok((member, name)),
        Err(Errno::ADDRINUSE) => Err(Error::new(
            format!("take the address {ip}"),
            Errno::ADDRINUSE,
        )
        .hint("another container has it")),
        Err(errno) => Err(cannot_claim(network, errno)),
    }
}

fn cannot_claim(network: &Network, errno: Errno) -> Error {
    Error::new(
        format!("take an address of the network {}", network.name),
        errno,
    )
}

/// Claims a member's number; `EADDRINUSE` where somebody alive has it.
pub fn claim(network: u8, member: u16) -> std::result::Result<OwnedFd, Errno> {
    let name = format!("warren/net/{network}/{member}");
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Binds each port of the host, so that nobody else can, and a clash is told before
/// anything is made.
fn bind_ports(publish: &Publish, held: &mut Vec<OwnedFd>) -> Result<()> {
    for address in publish.addresses() {
        for (port, _) in publish.ports() {
            let place = SocketAddr::new(address, port);
            match bind(place, publish.protocol) {
                Ok(socket) => held.push(socket),
                // A host without IPv6 has one loopback address.
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                    if publish.address.is_none() && address.is_ipv6() => {}
                Err(errno) => return Err(cannot_bind(place, publish.protocol, errno)),
            }
        }
    }
    Ok(())
}

fn bind(place: SocketAddr, protocol: Protocol) -> std::result::Result<OwnedFd, Errno> {
    let family = if place.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if place.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &place)?;
    Ok(socket)
}

fn cannot_bind(place: SocketAddr, protocol: Protocol, errno: Errno) -> Error {
    let error = Error::new(format!("publish the port {place}/{protocol}"), errno);
    match errno {
        Errno::ADDRINUSE => error.hint("another program or container has it"),
        Errno::ADDRNOTAVAIL => error.hint("no link of this machine has that address"),
        _ => error,
    }
}

fn random<const N: usize>() -> std::result::Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

fn random_mac() -> Result<[u8; 6]> {
    let mut mac = random::<6>().map_err(no_random)?;
    mac[0] = mac[0] & !1 | 2;
    Ok(mac)
}

fn no_random(errno: Errno) -> Error {
    Error::new("take random bytes", errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_network() -> Network {
        Network {
            number: 255,
            subnet: "10.255.255.0/29".parse().expect("a subnet"),
            ..Network::nat()
        }
    }

    #[test]
    fn an_address_is_given_once_and_the_last_one_ends_it() {
        let network = test_network();
        let mut held = Vec::new();
        let mut members: Vec<u16> = (0..5)
            .map(|_| {
                let (member, name) = lease(&network, None).expect("a free address");
                held.push(name);
                member
            })
            .collect();
        members.sort_unstable();
        assert_eq!(members, [2, 3, 4, 5, 6]);
        let full = lease(&network, None).expect_err("all are taken");
        assert_eq!(full.errno(), Some(Errno::NOSPC));
        let taken = lease(&network, Some(network.subnet.at(3))).expect_err("it is taken");
        assert_eq!(taken.errno(), Some(Errno::ADDRINUSE));
        drop(held);
        assert!(lease(&network, Some(network.subnet.at(3))).is_ok());
        for other in [
            network.subnet.at(1),
            network.subnet.at(7),
            "10.9.9.9".parse().expect("one"),
        ] {
            assert!(lease(&network, Some(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn of_ranges_in_each_other_the_widest_is_left() {
        let place = |text: &&str| {
            let allow: crate::Allow = text.parse().expect("a place");
            allow.pin().expect("it needs no lookup")
        };
        let places = [
            "10.1.0.0/16:443",
            "10.0.0.0/8:443",
            "10.2.0.0/16:443",
            "10.2.0.0/16:80",
            "10.9.9.9:443",
            "10.0.0.0/8:443",
        ];
        let left = without_parts(places.iter().map(place).collect());
        let expected = ["10.0.0.0/8:443", "10.2.0.0/16:80", "10.9.9.9:443"];
        assert_eq!(left, expected.iter().map(place).collect::<Vec<_>>());
    }

    #[test]
    fn a_port_is_reserved_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let publish = Publish {
            address: None,
            host: port,
            inside: 80,
            count: 1,
            protocol: Protocol::Tcp,
        };
        let clash = bind_ports(&publish, &mut Vec::new()).expect_err("it is taken");
        assert_eq!(clash.errno(), Some(Errno::ADDRINUSE));
        drop(listener);
        let mut held = Vec::new();
        bind_ports(&publish, &mut held).expect("free now");
        assert!(bind_ports(&publish, &mut Vec::new()).is_err());
    }
}
