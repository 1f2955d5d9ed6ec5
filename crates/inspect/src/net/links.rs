//! Interfaces and their addresses.

use std::collections::HashMap;

use netlink_packet_core::{Emitable, NlaBuffer, Parseable, ParseableParametrized};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeader};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkHeader, LinkMessage, State,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::netlink::{Question, Socket, attributes};
use warren_namespaces::{NetnsNumbers, NsFd};

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is: `veth`, `bridge`; `None` for hardware and `lo`.
    pub kind: Option<String>,
    /// Whether it was brought up; `None` where that is not known.
    pub up: Option<bool>,
    /// Its operational state: `up`, `down`, `lowerlayerdown`, `unknown`.
    pub state: Option<String>,
    /// The largest packet in bytes.
    pub mtu: Option<u32>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its addresses with the length of their prefix: `10.0.0.2/24`.
    pub addresses: Vec<String>,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// The other end of a veth pair, or what it is stacked on.
    pub peer: Option<Peer>,
}

/// The interface that another is tied to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its number, in its own namespace.
    pub index: u32,
    /// Its name, if the caller may ask for it.
    pub name: Option<String>,
    /// The number that this namespace has given to the namespace of the peer; `None` if
    /// that is the same.
    pub netnsid: Option<i32>,
    /// Inode of the peer's namespace, if it is known.
    pub namespace: Option<u64>,
}

impl Interface {
    /// What two interfaces of one name can differ in.
    pub(crate) fn summary(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.kind.clone());
        words.extend(self.up.map(|up| if up { "up" } else { "down" }.to_owned()));
        words.extend(self.mtu.map(|mtu| format!("mtu {mtu}")));
        words.extend(self.master.as_ref().map(|name| format!("master {name}")));
        if words.is_empty() {
            words.push("there".to_owned());
        }
        words.join(" ")
    }
}

/// An interface, and the numbers that its message names others by.
#[derive(Debug, Default, PartialEq, Eq)]
struct Link {
    interface: Interface,
    master: Option<u32>,
    lower: Option<u32>,
    /// The namespace of `lower`.
    netnsid: Option<i32>,
    /// The namespace of which the kernel tells, if it was asked for one.
    asked: Option<i32>,
}

/// All interfaces, by number.
pub fn dump(socket: &Socket) -> Result<Vec<Interface>, Errno> {
    let links = socket.dump(Question::Links, &LinkHeader::default())?;
    let mut found: Vec<Link> = links.iter().filter_map(|body| link(body)).collect();
    name_masters(&mut found);
    let mut interfaces: Vec<Interface> =
        found.into_iter().map(|link| link.interface).collect();
    interfaces.sort_by_key(|interface| interface.index);
    for body in socket.dump(Question::Addresses, &AddressHeader::default())? {
        let Some((index, address)) = interface_address(&body) else {
            continue;
        };
        let at = interfaces.binary_search_by_key(&index, |interface| interface.index);
        if let Ok(at) = at {
            interfaces[at].addresses.push(address);
        }
    }
    Ok(interfaces)
}

fn name_masters(found: &mut [Link]) {
    let names: HashMap<u32, String> = found
        .iter()
        .map(|link| (link.interface.index, link.interface.name.clone()))
        .collect();
    for link in found {
        link.interface.master = link.master.and_then(|index| names.get(&index).cloned());
    }
}

/// An attribute that is not understood costs only itself: a newer kernel may tell more
/// of a device than the crate expects, and the device is there all the same.
fn link(body: &[u8]) -> Option<Link> {
    let header = LinkHeader::parse(body).ok()?;
    let mut link = Link::default();
    link.interface.index = header.index;
    link.interface.up = Some(header.flags.contains(LinkFlags::Up));
    for attribute in attributes(body.get(header.buffer_len()..)?) {
        link.take(&attribute, header.interface_family);
    }
    link.interface.peer = link.peer();
    (!link.interface.name.is_empty()).then_some(link)
}

impl Link {
    fn take(&mut self, attribute: &NlaBuffer<&[u8]>, family: AddressFamily) {
        const IFLA_IFNAME: u16 = 3;
        const IFLA_LINKINFO: u16 = 18;
        match attribute.kind() {
            // Any bytes, where the crate wants UTF-8.
            IFLA_IFNAME => self.interface.name = text_of(attribute.value()),
            // The crate would refuse the kind with the data of the kind.
            IFLA_LINKINFO => self.interface.kind = kind(attribute.value()),
            _ => {
                if let Ok(known) = LinkAttribute::parse_with_param(attribute, family) {
                    self.take_known(known);
                }
            }
        }
    }

    fn take_known(&mut self, attribute: LinkAttribute) {
        match attribute {
            LinkAttribute::OperState(state) => self.interface.state = operstate(state),
            LinkAttribute::Mtu(mtu) => self.interface.mtu = Some(mtu),
            LinkAttribute::Address(bytes) => self.interface.mac = mac(&bytes),
            LinkAttribute::Controller(index) => self.master = Some(index),
            LinkAttribute::Link(index) => self.lower = Some(index),
            LinkAttribute::LinkNetNsId(netnsid) => self.netnsid = Some(netnsid),
            LinkAttribute::IfNetnsId(netnsid) => self.asked = Some(netnsid),
            _ => {}
        }
    }

    fn peer(&self) -> Option<Peer> {
        let index = self.lower?;
        // A physical interface names itself.
        let itself = index == self.interface.index && self.netnsid.is_none();
        (index != 0 && !itself).then_some(Peer {
            index,
            netnsid: self.netnsid,
            ..Peer::default()
        })
    }
}

/// Text that ends at its first NUL.
fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    crate::lossy(&bytes[..end.unwrap_or(bytes.len())])
}

fn kind(info: &[u8]) -> Option<String> {
    let kind = attributes(info).find_map(|attribute| InfoKind::parse(&attribute).ok());
    kind.map(|kind| kind.to_string())
}

/// RFC 2863.
fn operstate(state: State) -> Option<String> {
    (!matches!(state, State::Other(_))).then(|| state.to_string().to_lowercase())
}

/// `02:fc:00:00:00:01`; nothing for an interface that has none, such as `lo`.
fn mac(bytes: &[u8]) -> Option<String> {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes
        .iter()
        .any(|byte| *byte != 0)
        .then(|| octets.join(":"))
}

/// The number of the interface and the address. The label is passed over where it is no
/// UTF-8, like the name that it begins with.
fn interface_address(body: &[u8]) -> Option<(u32, String)> {
    let header = AddressHeader::parse(body).ok()?;
    let (mut local, mut other) = (None, None);
    for attribute in attributes(body.get(header.buffer_len()..)?) {
        match AddressAttribute::parse(&attribute) {
            Ok(AddressAttribute::Local(address)) => local = Some(address),
            Ok(AddressAttribute::Address(address)) => other = Some(address),
            _ => {}
        }
    }
    // On a point-to-point link the second is the other end's.
    let own = local.or(other)?;
    Some((header.index, format!("{own}/{}", header.prefix_len)))
}

/// Finds names for the numbers of peers: here, or in another namespace, of which the
/// kernel tells with `CAP_NET_ADMIN` over both (Linux 5.0).
pub fn name_peers(socket: &Socket, interfaces: &mut [Interface], candidates: &[NsFd]) {
    let names: HashMap<u32, String> = interfaces
        .iter()
        .map(|interface| (interface.index, interface.name.clone()))
        .collect();
    let known = known_ids(interfaces, candidates);
    for peer in interfaces
        .iter_mut()
        .filter_map(|interface| interface.peer.as_mut())
    {
        match peer.netnsid {
            None => peer.name = names.get(&peer.index).cloned(),
            Some(netnsid) => {
                peer.name = name_in(socket, netnsid, peer.index);
                peer.namespace = known
                    .iter()
                    .find(|(id, _)| *id == netnsid)
                    .map(|(_, inode)| *inode);
            }
        }
    }
}

/// The numbers that this namespace has given to the candidates, with their inodes.
fn known_ids(interfaces: &[Interface], candidates: &[NsFd]) -> Vec<(i32, u64)> {
    let elsewhere = |interface: &Interface| {
        let peer = interface.peer.as_ref();
        peer.is_some_and(|peer| peer.netnsid.is_some())
    };
    if !interfaces.iter().any(elsewhere) {
        return Vec::new();
    }
    let Ok(numbers) = NetnsNumbers::open() else {
        return Vec::new();
    };
    candidates
        .iter()
        .filter_map(|candidate| {
            let id = numbers.of(candidate).ok()??;
            Some((id.cast_signed(), candidate.id().ok()?.inode))
        })
        .collect()
}

fn name_in(socket: &Socket, netnsid: i32, index: u32) -> Option<String> {
    let mut question = LinkMessage::default();
    question.header.index = index;
    question.attributes.push(LinkAttribute::IfNetnsId(netnsid));
    let answer = link(&socket.ask(Question::Links, &question).ok()?)?;
    // A kernel that does not know the attribute answers for this namespace.
    answer.asked?;
    Some(answer.interface.name)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{attribute, noise};
    use super::*;

    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_LINK: u16 = 5;
    const IFLA_MASTER: u16 = 10;
    const IFLA_OPERSTATE: u16 = 16;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_LINK_NETNSID: u16 = 37;
    /// Bytes of `struct ifinfomsg`.
    const IFINFOMSG: usize = 16;

    /// A message of the kernel for one link.
    fn message(index: u32, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        for (number, content) in attributes {
            body.extend(attribute(*number, content));
        }
        body
    }

    /// One for an address of a link.
    fn address_message(prefix: u8, index: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![2, prefix, 0, 0];
        body.extend(index.to_ne_bytes());
        for (number, content) in attributes {
            body.extend(attribute(*number, content));
        }
        body
    }

    #[test]
    fn a_veth_is_read_with_its_peer_elsewhere() {
        let info = attribute(1, b"veth\0");
        let body = message(
            2,
            1,
            &[
                (IFLA_IFNAME, b"eth0\0"),
                (IFLA_MTU, &1500_u32.to_ne_bytes()),
                (IFLA_ADDRESS, &[2, 0xfc, 0, 0, 0, 1]),
                (IFLA_LINK, &7_u32.to_ne_bytes()),
                (IFLA_LINK_NETNSID, &0_i32.to_ne_bytes()),
                (IFLA_OPERSTATE, &[6]),
                (IFLA_LINKINFO, &info),
                (IFLA_MASTER, &9_u32.to_ne_bytes()),
            ],
        );
        let link = link(&body).expect("a link");
        let interface = link.interface;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((interface.index, interface.name.as_str()), (2, "eth0"));
        assert_eq!(
            (interface.kind, interface.state),
            (text("veth"), text("up"))
        );
        assert_eq!((interface.mtu, interface.up), (Some(1500), Some(true)));
        assert_eq!(interface.mac, text("02:fc:00:00:00:01"));
        let peer = interface.peer.expect("a peer");
        assert_eq!((peer.index, peer.netnsid), (7, Some(0)));
        assert_eq!(link.master, Some(9));
    }

    #[test]
    fn the_loopback_has_no_mac_and_no_peer() {
        let body = message(
            1,
            0,
            &[
                (IFLA_IFNAME, b"lo\0"),
                (IFLA_ADDRESS, &[0; 6]),
                (IFLA_LINK, &1_u32.to_ne_bytes()),
            ],
        );
        let interface = link(&body).expect("a link").interface;
        assert_eq!((interface.mac, interface.peer), (None, None));
        assert_eq!(interface.up, Some(false));
    }

    #[test]
    fn states_read_as_rfc_2863_has_them() {
        let state = |number: u8| {
            let name: (u16, &[u8]) = (IFLA_IFNAME, b"lo\0");
            let body = message(1, 0, &[name, (IFLA_OPERSTATE, &[number])]);
            link(&body).expect("a link").interface.state
        };
        let told: Vec<String> = (0..7).filter_map(state).collect();
        assert_eq!(
            told.join(" "),
            "unknown notpresent down lowerlayerdown testing dormant up"
        );
        assert_eq!(state(7), None);
    }

    #[test]
    fn what_is_not_understood_costs_only_itself() {
        // A bridge whose data the crate cannot take; an MTU of two bytes; an attribute
        // that nobody knows; a name that is no text.
        let info =
            [attribute(1, b"bridge\0"), attribute(2, &attribute(1, &[1]))].concat();
        let body = message(
            3,
            1,
            &[
                (IFLA_MTU, &[1, 2]),
                (IFLA_LINKINFO, &info),
                (0x3ff0, b"new"),
                (IFLA_IFNAME, b"br\xff0\0\0"),
            ],
        );
        let interface = link(&body).expect("a link").interface;
        assert_eq!(interface.name, "br\u{fffd}0");
        assert_eq!(interface.kind.as_deref(), Some("bridge"));
        assert_eq!(interface.mtu, None);
        let label: (u16, &[u8]) = (3, b"br\xff0\0");
        let body = address_message(24, 3, &[label, (1, &[10, 0, 0, 1])]);
        let expected = (3, "10.0.0.1/24".to_owned());
        assert_eq!(interface_address(&body), Some(expected));
    }

    #[test]
    fn a_message_that_is_cut_off_is_no_link() {
        let body = message(1, 0, &[(IFLA_IFNAME, b"lo\0")]);
        for length in 0..IFINFOMSG + 4 {
            assert_eq!(link(&body[..length]), None, "{length}");
        }
        assert_eq!(interface_address(&[2, 24, 0, 0]), None);
        assert_eq!(interface_address(&address_message(24, 1, &[])), None);
        let short = address_message(24, 1, &[(1, &[10, 0, 0])]);
        assert_eq!(interface_address(&short), None);
    }

    #[test]
    fn no_content_of_any_attribute_panics() {
        let mut noise = noise();
        for number in 0..128 {
            for length in 0..64 {
                let content: Vec<u8> = noise.by_ref().take(length).collect();
                for inner in 0..12 {
                    let nested = attribute(inner, &content);
                    link(&message(1, 0, &[(number, &nested)]));
                    interface_address(&address_message(24, 1, &[(number, &nested)]));
                }
                link(&message(1, 0, &[(number, &content)]));
                interface_address(&address_message(24, 1, &[(number, &content)]));
            }
        }
    }

    #[test]
    fn ones_own_address_of_a_point_to_point_link_is_told() {
        let body = address_message(32, 5, &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])]);
        let expected = (5, "10.0.0.1/32".to_owned());
        assert_eq!(interface_address(&body), Some(expected));
    }

    #[test]
    fn the_callers_own_interfaces_have_the_loopback() {
        let socket = Socket::open().expect("a socket");
        let found = dump(&socket).expect("a list");
        assert!(found.iter().any(|interface| interface.name == "lo"));
    }
}
