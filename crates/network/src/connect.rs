//! Connecting a network namespace, and undoing it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space,
    move_into_thread_name_spaces,
};
use serde::{Deserialize, Serialize};
use warren_namespaces::ProcRoot;

use crate::allow::Pinned;
use crate::error::{Error, Result};
use crate::gc;
use crate::network::{Driver, GATEWAY, Network, Rate, port_of_index};
use crate::nft::{self, Change, Data, Element, Family};
use crate::publish::Publish;
use crate::route::{self, Cable, GETLINK, Index};
use crate::settings;
use crate::socket::Socket;
use crate::state::Store;
use crate::table;
use crate::wire::{self, Batch, DUMP};

/// What a process is connected to, to the last detail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// By which name the members of its networks find it.
    pub name: Option<String>,
    /// The networks, the one that leads out first.
    pub members: Vec<Member>,
    /// Ports of the host that lead to the first.
    pub publish: Vec<Publish>,
    /// The only places that may be reached.
    pub allow: Option<Vec<Pinned>>,
    /// What each link may carry in each direction.
    pub rate: Option<Rate>,
    /// How many bytes in all.
    pub quota: Option<u64>,
}

/// A place in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The network.
    pub network: Network,
    /// Its number there.
    pub number: u16,
    /// The name of the link inside.
    pub inside: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// That of the link.
    pub mac: [u8; 6],
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = &self.network;
        let through = match &network.driver {
            Driver::Bridge => format!("bridge {}", network.bridge()),
            Driver::Macvlan { parent } => format!("a macvlan link of {parent}"),
        };
        write!(
            f,
            "{} in the network {} on {through}",
            self.inside, network.name
        )?;
        for (n, address) in self.addresses.iter().enumerate() {
            let between = if n == 0 { ": " } else { ", " };
            write!(f, "{between}{address}")?;
        }
        Ok(())
    }
}

impl Member {
    fn port(&self) -> String {
        self.network.port(self.number)
    }

    fn index(&self) -> Index {
        self.network.port_index(self.number)
    }

    fn cable<'a>(&'a self, port: &'a str, place: usize) -> Cable<'a> {
        Cable {
            name: port,
            index: self.index(),
            bridge: self.network.bridge_index(),
            inside: &self.inside,
            // 1 is the loopback.
            inside_index: place as u32 + 2,
            mac: self.mac,
            mtu: self.network.mtu,
        }
    }

    fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .find(|address| address.is_ipv4() == v4)
    }
}

/// Connects the network namespace of a process, whose number the caller knows to be its
/// own: a child that was not waited for, with its pidfd.
///
/// # Errors
/// The message that was refused. What was made until then is undone by `disconnect`.
pub fn connect(
    connection: &Connection,
    pid: u32,
    pidfd: BorrowedFd<'_>,
    proc: &ProcRoot,
) -> Result<()> {
    let store = Store::default();
    let route = Socket::route()?;
    let lock = store.lock()?;
    if connection
        .members
        .iter()
        .any(|member| member.network.has_bridge())
    {
        let nft = Socket::netfilter()?;
        for member in connection
            .members
            .iter()
            .filter(|member| member.network.has_bridge())
        {
            ensure(&member.network, &route, &nft)?;
        }
        let leaves =
            |member: &Member| member.network.has_bridge() && !member.network.internal;
        if connection.members.iter().any(leaves) {
            let outside = |publish: &Publish| {
                publish
                    .address
                    .is_some_and(|address| !address.is_loopback())
            };
            let wide = connection.publish.iter().any(outside);
            settings::let_forward(&store, settings::namespace(&route)?, wide)?;
        }
        // Before there is a port: no frame goes by unasked.
        add_elements(connection, &nft)?;
    }
    route.send(links(connection, pid, &route)?)?;
    drop(lock);
    inside(connection, pidfd, proc)
}

/// Makes the bridge of a network and our tables, where they are not there.
fn ensure(network: &Network, route: &Socket, nft: &Socket) -> Result<()> {
    let has_bridge = has_link(route, network.bridge_index())?;
    let has_table = nft::has_table(nft, Family::Inet)?;
    if has_bridge && has_table {
        return Ok(());
    }
    let mut change = Change::default();
    if !has_table {
        table::make(&mut change);
    }
    let bridge = network.bridge();
    for element in bridge_elements(network) {
        change.element(&element, &bridge);
    }
    change.commit(nft)?;
    if has_bridge {
        return Ok(());
    }
    let index = network.bridge_index();
    let mut batch = Batch::default();
    let mac = network.mac(GATEWAY);
    route::make_bridge(&mut batch, &bridge, index, mac, network.mtu);
    route.send(batch)?;
    settings::prepare_bridge(&bridge);
    let mut batch = Batch::default();
    route::bring_up(&mut batch, &bridge, index);
    if settings::has_v6() {
        // Who forwards asks for neighbours from an address of the link.
        route::add_address(&mut batch, &bridge, index, LINK_LOCAL, 64);
    }
    for address in network.addresses(GATEWAY, settings::has_v6()) {
        route::add_address(
            &mut batch,
            &bridge,
            index,
            address,
            network.prefix_of(address),
        );
    }
    route.send(batch)
}

/// The address of every bridge of ours on its own link.
const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

fn has_link(route: &Socket, index: Index) -> Result<bool> {
    let mut ask = Batch::default();
    let doing = "look for our bridge";
    ask.add(
        doing,
        GETLINK,
        0,
        &route::link_header(0, index, 0, 0),
        |_| {},
    );
    ask.acknowledge();
    match route.list(&ask) {
        Ok(_) => Ok(true),
        Err(Errno::NODEV) => Ok(false),
        Err(errno) => Err(Error::new(doing, errno)),
    }
}

/// The elements of a bridge itself.
fn bridge_elements(network: &Network) -> Vec<Element> {
    let bridge = network.bridge();
    let name = || Data::default().name(&bridge);
    let mut list = vec![
        element(Family::Inet, table::BRIDGES, name()),
        element(Family::Inet, table::SAME, name().name(&bridge)),
    ];
    if network.internal {
        list.push(element(Family::Inet, table::INTERNAL, name()));
    }
    list
}

fn element(family: Family, set: &'static str, key: Data) -> Element {
    Element {
        family,
        set,
        key,
        last: None,
        value: None,
        object: None,
    }
}

/// Adds what our tables know of a container; what a dead one of the same number has left
/// is removed before.
fn add_elements(connection: &Connection, nft: &Socket) -> Result<()> {
    match change_of(connection).commit(nft) {
        Err(error) if matches!(error.errno(), Some(Errno::EXIST | Errno::BUSY)) => {
            gc::remove_dead_elements(nft, &connection.members)?;
            change_of(connection).commit(nft)
        }
        result => result,
    }
}

fn change_of(connection: &Connection) -> Change {
    let mut change = Change::default();
    for member in connection
        .members
        .iter()
        .filter(|member| member.network.has_bridge())
    {
        let port = member.port();
        if let Some(bytes) = connection.quota {
            change.quota(Family::Bridge, &port, bytes);
        }
        for element in member_elements(connection, member) {
            change.element(&element, &port);
        }
    }
    if let Some(first) = connection.members.first() {
        for element in published(&connection.publish, first) {
            change.element(&element, &first.port());
        }
    }
    change
}

/// What our tables know of a member.
fn member_elements(connection: &Connection, member: &Member) -> Vec<Element> {
    let port = member.port();
    let name = || Data::default().name(&port);
    let mut list = vec![element(Family::Bridge, table::PORTS, name())];
    if connection.allow.is_some() {
        list.push(element(Family::Bridge, table::CLOSED, name()));
    }
    if connection.quota.is_some() {
        list.push(Element {
            object: Some(port.clone()),
            ..element(Family::Bridge, table::QUOTAS, name())
        });
    }
    for address in &member.addresses {
        let family = usize::from(address.is_ipv6());
        let own = name().mac(member.mac).address(*address);
        list.push(element(Family::Bridge, table::OWN[family], own));
        let alone = || Data::default().address(*address);
        if !member.network.internal {
            list.push(element(Family::Inet, table::NAT[family], alone()));
        }
        if connection.allow.is_some() {
            list.push(element(Family::Inet, table::LIMITED[family], alone()));
        }
        for to in connection.allow.iter().flatten() {
            let key = |place: IpAddr| {
                let key = alone().address(place).protocol(to.protocol.number());
                key.port(to.port)
            };
            if let Some((first, last)) = to.ends() {
                if first.is_ipv4() == address.is_ipv4() {
                    list.push(Element {
                        last: Some(key(last)),
                        ..element(Family::Inet, table::ALLOWED_RANGES[family], key(first))
                    });
                }
                continue;
            }
            let places = to
                .addresses
                .iter()
                .filter(|to| to.is_ipv4() == address.is_ipv4());
            for place in places {
                let allowed = element(Family::Inet, table::ALLOWED[family], key(*place));
                // Two names may have the same address.
                if !list.contains(&allowed) {
                    list.push(allowed);
                }
            }
        }
    }
    list
}

/// An element for each port of the host.
fn published(publish: &[Publish], member: &Member) -> Vec<Element> {
    let mut list = Vec::new();
    for publish in publish {
        for address in publish.addresses() {
            let family = usize::from(address.is_ipv6());
            // No route leads from ::1 to another link: see docs/architecture.md.
            let is_loopback = address.is_ipv6() && address.is_loopback();
            let inside = member.address(address.is_ipv4()).filter(|_| !is_loopback);
            let Some(inside) = inside else { continue };
            for (port, to) in publish.ports() {
                let key = Data::default().protocol(publish.protocol.number());
                let (set, key) = match address.is_unspecified() {
                    true => (table::PUBLISH_ANY[family], key.port(port)),
                    false => (table::PUBLISH[family], key.address(address).port(port)),
                };
                list.push(Element {
                    value: Some(Data::default().address(inside).port(to)),
                    ..element(Family::Inet, set, key)
                });
            }
        }
    }
    list
}

/// The messages that make the links to a process.
fn links(connection: &Connection, pid: u32, route: &Socket) -> Result<Batch> {
    let mut batch = Batch::default();
    for (place, member) in connection.members.iter().enumerate() {
        let port = member.port();
        let cable = member.cable(&port, place);
        match &member.network.driver {
            Driver::Macvlan { parent } => {
                let parent = link_number(route, parent)?;
                route::make_macvlan(&mut batch, &cable, parent, pid);
            }
            Driver::Bridge => {
                route::make_cable(&mut batch, &cable, pid);
                let closed = connection.allow.is_some();
                route::guard_port(&mut batch, &port, cable.index, member.mac, closed);
                if let Some(rate) = connection.rate {
                    let index = cable.index;
                    route::limit_rate(&mut batch, &port, index, rate.bytes, rate.burst);
                }
                if let Some(name) = &connection.name {
                    route::name_port(&mut batch, &port, cable.index, name);
                }
                route::bring_up(&mut batch, &port, cable.index);
            }
        }
    }
    Ok(batch)
}

/// The number of the link of a name.
pub fn link_number(route: &Socket, name: &str) -> Result<Index> {
    let mut ask = Batch::default();
    let doing = format!("look for the link {name}");
    ask.add(
        doing.clone(),
        GETLINK,
        0,
        &route::link_header(0, 0, 0, 0),
        |body| {
            body.text(route::NAME, name);
        },
    );
    ask.acknowledge();
    let list = route
        .list(&ask)
        .map_err(|errno| Error::new(doing.clone(), errno))?;
    let number = list.first().and_then(|body| wire::u32_at(body, 4));
    number.ok_or_else(|| Error::new(doing, Errno::NODEV))
}

/// Sets up the links inside, through a socket that is opened there.
fn inside(connection: &Connection, pidfd: BorrowedFd<'_>, proc: &ProcRoot) -> Result<()> {
    let socket = in_namespace_of(pidfd, proc, Socket::route)?;
    let mut batch = Batch::default();
    let mut has_route = [false; 2];
    for (place, member) in connection.members.iter().enumerate() {
        let port = member.port();
        let index = member.cable(&port, place).inside_index;
        let name = &member.inside;
        if let Some(rate) = connection.rate {
            route::limit_rate(&mut batch, name, index, rate.bytes, rate.burst);
        }
        route::bring_up(&mut batch, name, index);
        for address in &member.addresses {
            let prefix = member.network.prefix_of(*address);
            route::add_address(&mut batch, name, index, *address, prefix);
        }
        if member.network.internal {
            continue;
        }
        for address in &member.addresses {
            let has_route = &mut has_route[usize::from(address.is_ipv6())];
            if !std::mem::replace(has_route, true) {
                let network = &member.network;
                let subnet = if address.is_ipv4() {
                    network.subnet
                } else {
                    network.subnet6
                };
                route::add_default_route(&mut batch, name, index, subnet.at(GATEWAY));
            }
        }
    }
    socket.send(batch)
}

/// What is opened in the network namespace of a process. This thread is there for as long as
/// it takes to open it.
pub fn in_namespace_of<T>(
    pidfd: BorrowedFd<'_>,
    proc: &ProcRoot,
    open: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let doing = "enter the network namespace of the process";
    let failed = |errno| Error::new(doing, errno);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own =
        rustix::fs::openat(proc.as_fd(), c"thread-self/ns/net", flags, Mode::empty())
            .map_err(failed)?;
    move_into_thread_name_spaces(pidfd, ThreadNameSpaceType::NETWORK).map_err(failed)?;
    let opened = open();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::new("come back to the own network namespace", errno))?;
    opened
}

/// Moves the calling thread into an open network namespace: setns(2).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over it; `EINVAL` where it is none.
pub fn join(namespace: BorrowedFd<'_>) -> Result<()> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::new("enter the network namespace", errno))
}

/// Undoes [`connect`], as far as it came. Where the last member is gone, so are the bridge,
/// our tables and the settings.
///
/// # Errors
/// What could not be removed; the rest was.
pub fn disconnect(connection: &Connection) -> Result<()> {
    let bridges: Vec<_> = connection
        .members
        .iter()
        .filter(|member| member.network.has_bridge())
        .collect();
    if bridges.is_empty() {
        return Ok(());
    }
    let store = Store::default();
    let route = Socket::route()?;
    let nft = Socket::netfilter()?;
    let lock = store.lock()?;
    let mut result = Ok(());
    for member in &bridges {
        let removed = remove_link(&route, &member.port(), member.index());
        result = result.and(removed);
    }
    // All that was added, or what of it is there.
    if remove_elements(connection, &nft).is_err() {
        let removed = gc::remove_elements_of(&nft, |owner| {
            bridges.iter().any(|member| member.port() == owner)
        });
        result = result.and(removed.map(drop));
    }
    let swept = gc::remove_empty(&store, &route, &nft);
    drop(lock);
    result.and(swept.map(drop))
}

fn remove_elements(connection: &Connection, nft: &Socket) -> Result<()> {
    let mut change = Change::default();
    for member in connection
        .members
        .iter()
        .filter(|member| member.network.has_bridge())
    {
        for element in member_elements(connection, member) {
            change.remove(&element);
        }
        if connection.quota.is_some() {
            change.remove_quota(Family::Bridge, &member.port());
        }
    }
    if let Some(first) = connection.members.first() {
        for element in published(&connection.publish, first) {
            change.remove(&element);
        }
    }
    change.commit(nft)
}

/// Removes a link that may be gone already, with the namespace of its other end.
pub fn remove_link(route: &Socket, name: &str, index: Index) -> Result<()> {
    let mut batch = Batch::default();
    route::remove_link(&mut batch, name, index);
    match route.send(batch) {
        Err(error) if error.errno() == Some(Errno::NODEV) => Ok(()),
        result => result,
    }
}

/// The links of ours: network, member (0 for the bridge itself).
pub fn own_links(route: &Socket) -> Result<Vec<(u8, u16)>> {
    let mut ask = Batch::default();
    ask.add(
        "list the links",
        GETLINK,
        DUMP,
        &route::link_header(0, 0, 0, 0),
        |_| {},
    );
    let list = route
        .list(&ask)
        .map_err(|errno| Error::new("list the links", errno))?;
    Ok(list
        .iter()
        .filter_map(|body| port_of_index(wire::u32_at(body, 4)?))
        .collect())
}

/// The members of a network whose ports have names, with these.
///
/// # Errors
/// What the kernel answers.
pub fn named_ports(
    route: &Socket,
    network: &Network,
) -> std::result::Result<Vec<(u16, String)>, Errno> {
    let mut ask = Batch::default();
    let header = route::link_header(0, 0, 0, 0);
    ask.add(
        "list the ports of a bridge",
        GETLINK,
        DUMP,
        &header,
        |body| {
            body.u32(route::MASTER, network.bridge_index());
        },
    );
    let named = |body: &Vec<u8>| {
        let (own, member) = port_of_index(wire::u32_at(body, 4)?)?;
        let name = wire::attribute(body.get(16..)?, route::ALIAS)?;
        (own == network.number).then(|| (member, wire::text(name)))
    };
    Ok(route.list(&ask)?.iter().filter_map(named).collect())
}
