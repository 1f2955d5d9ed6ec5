//! Routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
    RouteVia,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::netlink::{Question, Socket};

use super::links::Interface;

/// One way out; a route over several interfaces is several of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to: `10.0.0.0/24`; `default` and `default6` for everywhere.
    pub destination: String,
    /// Through which machine.
    pub gateway: Option<String>,
    /// Through which interface.
    pub interface: Option<String>,
    /// What happens to a packet: `unicast`, `blackhole`, `unreachable`.
    pub kind: String,
    /// The lowest is taken first.
    pub metric: Option<u32>,
    /// The number of its table; 254 is `main`.
    pub table: u32,
}

/// The table of the machine's own addresses.
const LOCAL: u32 = 255;
/// The table that is looked at unless a rule says another.
const MAIN: u32 = 254;

impl Route {
    /// What follows the destination, as ip-route(8) says it.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if self.kind != "unicast" {
            words.push(self.kind.clone());
        }
        words.extend(
            self.gateway
                .as_ref()
                .map(|gateway| format!("via {gateway}")),
        );
        words.extend(self.interface.as_ref().map(|name| format!("dev {name}")));
        words.extend(self.metric.map(|metric| format!("metric {metric}")));
        if self.table != MAIN {
            words.push(format!("table {}", self.table));
        }
        words.join(" ")
    }

    pub(crate) fn interface_name(&self) -> &str {
        self.interface.as_deref().unwrap_or("-")
    }
}

/// The routes of both families, without those of the machine's own addresses and those
/// that the kernel has only noted for itself.
pub fn dump(socket: &Socket, interfaces: &[Interface]) -> Result<Vec<Route>, Errno> {
    let name = |index: u32| {
        let at = interfaces.binary_search_by_key(&index, |interface| interface.index);
        at.ok().map(|at| interfaces[at].name.clone())
    };
    let bodies = socket.dump(Question::Routes, &RouteHeader::default())?;
    Ok(bodies.iter().flat_map(|body| routes(body, &name)).collect())
}

/// A message with a part that is not understood is no route: without its destination or
/// its hops it would be another.
fn routes(body: &[u8], name: &impl Fn(u32) -> Option<String>) -> Vec<Route> {
    let Ok(message) = RouteMessage::parse(body) else {
        return Vec::new();
    };
    let Some(route) = route(&message) else {
        return Vec::new();
    };
    let through = |attributes: &[RouteAttribute], index: Option<u32>| Route {
        gateway: attributes.iter().find_map(gateway),
        interface: index.and_then(name),
        ..route.clone()
    };
    let mut index = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::MultiPath(hops) => {
                let hops = hops.iter();
                return hops
                    .map(|hop| through(&hop.attributes, Some(hop.interface_index)))
                    .collect();
            }
            RouteAttribute::Oif(number) => index = Some(*number),
            _ => {}
        }
    }
    vec![through(&message.attributes, index)]
}

/// A route without gateway and interface; `None` for those that are not told.
fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let mut route = Route {
        destination: everywhere(header.address_family).to_owned(),
        gateway: None,
        interface: None,
        kind: kind_name(header.kind).to_owned(),
        metric: None,
        table: u32::from(header.table),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                let prefix = header.destination_prefix_length;
                route.destination = format!("{}/{prefix}", address(to)?);
            }
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            // The byte is too small for the higher ones.
            RouteAttribute::Table(table) => route.table = *table,
            _ => {}
        }
    }
    let told = route.table != LOCAL && !header.flags.contains(RouteFlags::Cloned);
    told.then_some(route)
}

fn everywhere(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Inet6 => "default6",
        _ => "default",
    }
}

fn kind_name(kind: RouteType) -> &'static str {
    match kind {
        RouteType::Unicast => "unicast",
        RouteType::Local => "local",
        RouteType::Broadcast => "broadcast",
        RouteType::Anycast => "anycast",
        RouteType::Multicast => "multicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        RouteType::Nat => "nat",
        _ => "unknown",
    }
}

/// Of the same family, or of the other: `struct rtvia`.
fn gateway(attribute: &RouteAttribute) -> Option<String> {
    let gateway = match attribute {
        RouteAttribute::Gateway(gateway) => address(gateway)?,
        RouteAttribute::Via(RouteVia::Inet(gateway)) => (*gateway).into(),
        RouteAttribute::Via(RouteVia::Inet6(gateway)) => (*gateway).into(),
        _ => return None,
    };
    Some(gateway.to_string())
}

/// Routes of multicast have families of their own, and addresses like the others'.
fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        RouteAddress::Other(bytes) => <[u8; 4]>::try_from(bytes.as_slice())
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
            .ok(),
        _ => None,
    }
}

/// The lines of /proc/PID/net/route; what is no line of one is passed over.
pub fn parse_v4(text: &str) -> Vec<Route> {
    text.lines().skip(1).filter_map(v4).collect()
}

/// `IFACE DESTINATION GATEWAY FLAGS REFCNT USE METRIC MASK ...`, addresses as the
/// machine stores them.
fn v4(line: &str) -> Option<Route> {
    const GATEWAY: u32 = 2;
    const REJECT: u32 = 0x200;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[name, destination, gateway, flags, _, _, metric, mask, ..] = &fields[..] else {
        return None;
    };
    let v4 = |text: &str| {
        let number = u32::from_str_radix(text, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let prefix = u32::from(v4(mask)?).leading_ones();
    let destination = match (v4(destination)?, prefix) {
        (address, 0) if address.is_unspecified() => "default".to_owned(),
        (address, prefix) => format!("{address}/{prefix}"),
    };
    let metric: u32 = metric.parse().ok()?;
    Some(Route {
        destination,
        gateway: (flags & GATEWAY != 0)
            .then(|| v4(gateway))
            .flatten()
            .map(|it| it.to_string()),
        interface: (name != "*").then(|| name.to_owned()),
        kind: if flags & REJECT == 0 {
            "unicast"
        } else {
            "unreachable"
        }
        .to_owned(),
        metric: (metric != 0).then_some(metric),
        table: MAIN,
    })
}

/// The lines of /proc/PID/net/ipv6_route, without those of the machine's own addresses.
pub fn parse_v6(text: &str) -> Vec<Route> {
    text.lines().filter_map(v6).collect()
}

/// `DESTINATION PREFIX SOURCE PREFIX GATEWAY METRIC REFCNT USE FLAGS IFACE`, all hex.
fn v6(line: &str) -> Option<Route> {
    const REJECT: u32 = 0x200;
    /// Its own addresses, what the kernel noted, and multicast.
    const NOT_TOLD: u32 = 0x8000_0000 | 0x0100_0000 | 0x0020_0000;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[
        destination,
        prefix,
        _,
        _,
        gateway,
        metric,
        _,
        _,
        flags,
        name,
    ] = &fields[..]
    else {
        return None;
    };
    let v6 = |text: &str| Some(Ipv6Addr::from(u128::from_str_radix(text, 16).ok()?));
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let destination = v6(destination)?;
    let prefix = u8::from_str_radix(prefix, 16).ok()?;
    if flags & NOT_TOLD != 0
        || destination.is_multicast()
        || (name == "lo" && flags & REJECT != 0)
    {
        return None;
    }
    let gateway = v6(gateway)?;
    Some(Route {
        destination: match prefix {
            0 => "default6".to_owned(),
            _ => format!("{destination}/{prefix}"),
        },
        gateway: (!gateway.is_unspecified()).then(|| gateway.to_string()),
        interface: Some(name.to_owned()),
        kind: if flags & REJECT == 0 {
            "unicast"
        } else {
            "unreachable"
        }
        .to_owned(),
        metric: u32::from_str_radix(metric, 16)
            .ok()
            .filter(|metric| *metric != 0),
        table: MAIN,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{attribute, noise};
    use super::*;

    fn message(prefix: u8, table: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![2, prefix, 0, 0, table, 3, 0, 1, 0, 0, 0, 0];
        for (number, content) in attributes {
            body.extend(attribute(*number, content));
        }
        body
    }

    fn told(body: &[u8]) -> Vec<String> {
        let name = |index: u32| Some(format!("eth{index}"));
        let routes = routes(body, &name).into_iter();
        routes
            .map(|route| format!("{} {}", route.destination, route.words()))
            .collect()
    }

    #[test]
    fn a_route_reads_as_ip_route_says_it() {
        let default = message(0, 254, &[(5, &[10, 0, 0, 1]), (4, &[2, 0, 0, 0])]);
        assert_eq!(told(&default), ["default via 10.0.0.1 dev eth2"]);
        let other = message(24, 7, &[(1, &[10, 0, 0, 0]), (6, &[9, 0, 0, 0])]);
        assert_eq!(told(&other), ["10.0.0.0/24 metric 9 table 7"]);
    }

    #[test]
    fn the_machines_own_addresses_are_no_routes() {
        assert!(told(&message(32, 255, &[(1, &[10, 0, 0, 1])])).is_empty());
    }

    #[test]
    fn each_hop_of_a_route_is_one() {
        let hop = |index: u8, last: u8| {
            let gateway = attribute(5, &[10, 0, 0, last]);
            let mut hop = vec![8 + gateway.len() as u8, 0, 0, 0, index, 0, 0, 0];
            hop.extend(gateway);
            hop
        };
        let hops = [hop(1, 1), hop(2, 2)].concat();
        let body = message(0, 254, &[(9, &hops)]);
        assert_eq!(
            told(&body),
            [
                "default via 10.0.0.1 dev eth1",
                "default via 10.0.0.2 dev eth2"
            ]
        );
        // A hop that claims more than there is ends the list.
        let body = message(0, 254, &[(9, &[200, 0, 0, 0, 1, 0, 0, 0])]);
        assert!(told(&body).is_empty());
    }

    #[test]
    fn a_gateway_of_the_other_family_is_told() {
        let via = [&[10, 0][..], &[0; 15], &[1]].concat();
        let body = message(0, 254, &[(18, &via), (4, &[2, 0, 0, 0])]);
        assert_eq!(told(&body), ["default via ::1 dev eth2"]);
    }

    #[test]
    fn a_message_with_a_part_that_is_not_understood_is_no_route() {
        let destination: (u16, &[u8]) = (1, &[10, 0, 0, 0]);
        for bad in [(1, &[10, 0, 0][..]), (15, &[7]), (5, &[10, 0]), (4, &[])] {
            assert!(told(&message(24, 7, &[destination, bad])).is_empty());
        }
        // What nobody knows yet is no such part.
        let body = message(24, 254, &[destination, (0x3ff0, b"new")]);
        assert_eq!(told(&body), ["10.0.0.0/24 "]);
        for length in 0..12 {
            assert!(told(&body[..length]).is_empty());
        }
    }

    #[test]
    fn no_content_of_any_attribute_panics() {
        let mut noise = noise();
        for number in 0..64 {
            for length in 0..64 {
                let content: Vec<u8> = noise.by_ref().take(length).collect();
                // With an encapsulation of each kind: RTA_ENCAP_TYPE.
                for kind in 0..12 {
                    let nested = attribute(kind, &content);
                    let encapsulation: (u16, &[u8]) = (21, &[kind as u8, 0]);
                    told(&message(24, 7, &[encapsulation, (number, &nested)]));
                    told(&message(24, 7, &[encapsulation, (number, &content)]));
                }
            }
        }
    }

    #[test]
    fn routes_are_read_from_procs_tables() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
            broken line\n";
        let words: Vec<String> = parse_v4(text)
            .iter()
            .map(|route| format!("{} {}", route.destination, route.words()))
            .collect();
        assert_eq!(
            words,
            [
                "default via 192.0.2.1 dev eth0",
                "192.0.2.0/24 dev eth0 metric 100"
            ]
        );
        let none = "0".repeat(32);
        let text = format!(
            "fd000000000000000000000000000000 40 {none} 00 {none} 00000100 1 0 00000001 eth0\n\
             fd000000000000000000000000000002 80 {none} 00 {none} 00000000 2 0 80200001 eth0\n\
             {none} 00 {none} 00 fd000000000000000000000000000001 00000400 2 0 00000003 eth0\n\
             {none} 00 {none} 00 {none} ffffffff 1 0 00200200 lo\n"
        );
        let words: Vec<String> = parse_v6(&text)
            .iter()
            .map(|route| format!("{} {}", route.destination, route.words()))
            .collect();
        assert_eq!(
            words,
            [
                "fd00::/64 dev eth0 metric 256",
                "default6 via fd00::1 dev eth0 metric 1024"
            ]
        );
    }
}
