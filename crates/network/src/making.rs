//! Making networks, removing them, and who is in them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use crate::connect::{self, link_number};
use crate::error::{Error, Result};
use crate::network::{Driver, Name, Network, port_of_name};
use crate::nft::{self, Family};
use crate::settings;
use crate::socket::Socket;
use crate::state::Store;
use crate::subnet::Subnet;
use crate::table;

/// What is wanted of a new network.
#[derive(Clone, Debug, Default)]
pub struct Design {
    /// What connects its members.
    pub driver: Driver,
    /// Its IPv4 and IPv6 addresses, where not the next that are free.
    pub subnets: Vec<Subnet>,
    /// Whether nothing beyond it can be reached.
    pub internal: bool,
    /// The largest packet.
    pub mtu: Option<u32>,
}

/// Makes a network. Its bridge is made with its first member, and goes with the last.
///
/// # Errors
/// `EEXIST` where the name is taken; a subnet that something else has.
pub fn create(store: &Store, name: &Name, design: Design) -> Result<Network> {
    let doing = format!("make the network {name}");
    check(&design)?;
    let lock = store.lock()?;
    if store.find(name)?.is_some() {
        return Err(Error::new(doing, Errno::EXIST));
    }
    if let Driver::Macvlan { parent } = &design.driver {
        link_number(&Socket::route()?, parent)?;
    }
    let mut others = store.list()?;
    others.push(Network::nat());
    let is_free = |number: &u8| others.iter().all(|other| other.number != *number);
    let number = (1..=u8::MAX).find(is_free).ok_or_else(|| {
        Error::new(doing, Errno::NOSPC).hint("there are 255 networks already")
    })?;
    let (mut subnet, mut subnet6) = Network::default_subnets(number);
    for given in design.subnets {
        *(if given.is_v4() {
            &mut subnet
        } else {
            &mut subnet6
        }) = given;
    }
    let network = Network {
        version: 1,
        name: name.to_string(),
        number,
        driver: design.driver,
        subnet,
        subnet6,
        internal: design.internal,
        mtu: design.mtu,
    };
    check_overlap(&network, &others)?;
    store.keep(name, &network, &lock)?;
    Ok(network)
}

fn check(design: &Design) -> Result<()> {
    let v4 = design
        .subnets
        .iter()
        .filter(|subnet| subnet.is_v4())
        .count();
    let is_macvlan = design.driver != Driver::Bridge;
    let rules = [
        (
            v4 > 1 || design.subnets.len() - v4 > 1,
            "a network has one subnet of each family",
        ),
        (
            is_macvlan && design.internal,
            "a macvlan network is as open as its parent: it cannot be internal",
        ),
        (
            design
                .mtu
                .is_some_and(|mtu| !(1280..=65_535).contains(&mtu)),
            "the largest packet has 1280 to 65535 bytes",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::words(rule)),
        None => Ok(()),
    }
}

/// Refuses addresses that another network, or a route of the host, has. A macvlan network
/// has those of the wire by intent.
fn check_overlap(network: &Network, others: &[Network]) -> Result<()> {
    if network.driver != Driver::Bridge {
        return Ok(());
    }
    let taken = |subnet: Subnet, by: &str| {
        Err(
            Error::new(format!("use the subnet {subnet}"), Errno::ADDRINUSE).hint(
                format!("{by} has addresses in it; --subnet chooses another"),
            ),
        )
    };
    for other in others {
        if network.subnet.overlaps(other.subnet) {
            return taken(network.subnet, &format!("the network {}", other.name));
        }
        if network.subnet6.overlaps(other.subnet6) {
            return taken(network.subnet6, &format!("the network {}", other.name));
        }
    }
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    for (link, route) in routes(&table) {
        if network.subnet.overlaps(route) {
            return taken(network.subnet, &format!("a route on {link}"));
        }
    }
    Ok(())
}

/// The routes of /proc/net/route that lead to less than everything.
fn routes(table: &str) -> Vec<(String, Subnet)> {
    let route = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |place: usize| u32::from_str_radix(words.get(place)?, 16).ok();
        let first = Ipv4Addr::from(u32::from_be(number(1)?));
        let prefix = number(7)?.count_ones() as u8;
        (prefix != 0).then(|| (words[0].to_owned(), Subnet::v4(first, prefix)))
    };
    table.lines().filter_map(route).collect()
}

/// Forgets a network that nobody is in.
///
/// # Errors
/// `ENOENT` where there is none of that name, `EBUSY` where it has members.
pub fn remove(store: &Store, name: &Name) -> Result<()> {
    let doing = || format!("remove the network {name}");
    let lock = store.lock()?;
    let network = store
        .find(name)?
        .ok_or_else(|| Error::new(doing(), Errno::NOENT))?;
    let links = connect::own_links(&Socket::route()?)?;
    let count = links
        .iter()
        .filter(|(own, n)| *own == network.number && *n != 0)
        .count();
    if count != 0 {
        return Err(Error::new(doing(), Errno::BUSY).hint(format!(
            "containers are in it: {count}; see `warren net show {name}`"
        )));
    }
    store.forget(name, &lock)
}

/// A member that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// By which name the others find it.
    pub name: Option<String>,
    /// The name of its port.
    pub port: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How many packets to places that it may not reach were refused.
    pub refused: Option<u64>,
    /// How many bytes of its quota are used.
    pub used: Option<u64>,
}

/// Who is in a network that has a bridge, as the kernel knows.
///
/// # Errors
/// What the kernel answers.
pub fn occupants(network: &Network) -> Result<Vec<Occupant>> {
    let v6 = settings::has_v6();
    let route = Socket::route()?;
    let links = connect::own_links(&route)?;
    let names = connect::named_ports(&route, network).unwrap_or_default();
    let mut members: Vec<u16> = links
        .into_iter()
        .filter(|(own, member)| *own == network.number && *member != 0)
        .map(|(_, member)| member)
        .collect();
    members.sort_unstable();
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let socket = Socket::netfilter()?;
    let mut refused = Vec::new();
    for set in table::LIMITED {
        refused.extend(nft::elements(&socket, Family::Inet, set)?);
    }
    let quotas = nft::quotas(&socket, Family::Bridge)?;
    let occupant = |member: u16| {
        let port = network.port(member);
        let own = |owner: &str| port_of_name(owner) == Some((network.number, member));
        let counts = refused
            .iter()
            .filter(|found| found.owner.as_deref().is_some_and(own))
            .filter_map(|found| found.packets);
        let name = names.iter().find(|(own, _)| *own == member);
        Occupant {
            name: name.map(|(_, name)| name.clone()),
            addresses: network.addresses(member, v6),
            refused: counts.reduce(|a, b| a + b),
            used: quotas
                .iter()
                .find(|(name, _)| *name == port)
                .map(|(_, used)| *used),
            port,
        }
    };
    Ok(members.into_iter().map(occupant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_host_are_subnets() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth1\t0005580A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let found = routes(table);
        let subnet: Subnet = "10.88.5.0/24".parse().expect("a subnet");
        assert_eq!(found, [("eth1".to_owned(), subnet)]);
        let mut network = Network::nat();
        network.subnet = subnet;
        network.subnet6 = Network::default_subnets(9).1;
        let clash = check_overlap(
            &network,
            &[Network {
                subnet,
                ..Network::nat()
            }],
        );
        assert_eq!(clash.expect_err("the same").errno(), Some(Errno::ADDRINUSE));
    }
}
