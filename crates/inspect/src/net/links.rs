//! Interfaces and their addresses.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::NsFd;

use super::address;
use super::netlink::{
    RTM_GETADDR, RTM_GETLINK, RTM_GETNSID, Socket, attribute, attribute_of, i32_of,
    text_of, u32_of,
};

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

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFF_UP: u32 = 1;
/// Bytes of `struct ifinfomsg` and `struct ifaddrmsg`.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;

/// All interfaces, by number.
pub fn dump(socket: &Socket) -> Result<Vec<Interface>, Errno> {
    let links = socket.dump(RTM_GETLINK, &[0; IFINFOMSG])?;
    let mut found: Vec<(Interface, Option<u32>)> =
        links.iter().filter_map(|body| link(body)).collect();
    name_masters(&mut found);
    let mut interfaces: Vec<Interface> =
        found.into_iter().map(|(interface, _)| interface).collect();
    interfaces.sort_by_key(|interface| interface.index);
    for body in socket.dump(RTM_GETADDR, &[0; IFADDRMSG])? {
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

fn name_masters(found: &mut [(Interface, Option<u32>)]) {
    let names: std::collections::HashMap<u32, String> = found
        .iter()
        .map(|(interface, _)| (interface.index, interface.name.clone()))
        .collect();
    for (interface, master) in found {
        interface.master = master.and_then(|index| names.get(&index).cloned());
    }
}

/// An interface, and the number of its master.
fn link(body: &[u8]) -> Option<(Interface, Option<u32>)> {
    let index = u32_of(body.get(4..8)?)?;
    let flags = u32_of(body.get(8..12)?)?;
    let attributes = body.get(IFINFOMSG..)?;
    let find = |number| attribute(attributes, number);
    let info = find(IFLA_LINKINFO).unwrap_or_default();
    let interface = Interface {
        index,
        name: text_of(find(IFLA_IFNAME)?),
        kind: attribute(info, IFLA_INFO_KIND).map(text_of),
        up: Some(flags & IFF_UP != 0),
        state: find(IFLA_OPERSTATE).and_then(|bytes| operstate(*bytes.first()?)),
        mtu: find(IFLA_MTU).and_then(u32_of),
        mac: find(IFLA_ADDRESS).and_then(mac),
        addresses: Vec::new(),
        master: None,
        peer: peer(attributes, index),
    };
    Some((interface, find(IFLA_MASTER).and_then(u32_of)))
}

/// RFC 2863, as the kernel numbers its states.
fn operstate(number: u8) -> Option<String> {
    const STATES: [&str; 7] = [
        "unknown",
        "notpresent",
        "down",
        "lowerlayerdown",
        "testing",
        "dormant",
        "up",
    ];
    let state = STATES.get(usize::from(number))?;
    Some((*state).to_owned())
}

/// `02:fc:00:00:00:01`; nothing for an interface that has none, such as `lo`.
fn mac(bytes: &[u8]) -> Option<String> {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes
        .iter()
        .any(|byte| *byte != 0)
        .then(|| octets.join(":"))
}

fn peer(attributes: &[u8], own: u32) -> Option<Peer> {
    let index = attribute(attributes, IFLA_LINK).and_then(u32_of)?;
    let netnsid = attribute(attributes, IFLA_LINK_NETNSID).and_then(i32_of);
    // A physical interface names itself.
    let itself = index == own && netnsid.is_none();
    (index != 0 && !itself).then_some(Peer {
        index,
        netnsid,
        ..Peer::default()
    })
}

/// The number of the interface and the address.
fn interface_address(body: &[u8]) -> Option<(u32, String)> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    let prefix = body.get(1)?;
    let index = u32_of(body.get(4..8)?)?;
    let attributes = body.get(IFADDRMSG..)?;
    // On a point-to-point link the first is the other end's.
    let own =
        attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS));
    Some((index, format!("{}/{prefix}", address(own?)?)))
}

/// Finds names for the numbers of peers: here, or in another namespace, of which the
/// kernel tells with `CAP_NET_ADMIN` over both (Linux 5.0).
pub fn name_peers(socket: &Socket, interfaces: &mut [Interface], candidates: &[NsFd]) {
    let names: std::collections::HashMap<u32, String> = interfaces
        .iter()
        .map(|interface| (interface.index, interface.name.clone()))
        .collect();
    let known = known_ids(socket, interfaces, candidates);
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
fn known_ids(
    socket: &Socket,
    interfaces: &[Interface],
    candidates: &[NsFd],
) -> Vec<(i32, u64)> {
    let elsewhere = |interface: &Interface| {
        let peer = interface.peer.as_ref();
        peer.is_some_and(|peer| peer.netnsid.is_some())
    };
    if !interfaces.iter().any(elsewhere) {
        return Vec::new();
    }
    candidates
        .iter()
        .filter_map(|candidate| {
            let id = netnsid(socket, candidate)?;
            Some((id, candidate.id().ok()?.inode))
        })
        .collect()
}

fn netnsid(socket: &Socket, namespace: &NsFd) -> Option<i32> {
    const NETNSA_NSID: u16 = 1;
    const NETNSA_FD: u16 = 3;
    /// Bytes of `struct rtgenmsg`, padded.
    const RTGENMSG: usize = 4;
    let fd = namespace.as_fd().as_raw_fd();
    let mut body = vec![0; RTGENMSG];
    body.extend(attribute_of(NETNSA_FD, &fd.to_ne_bytes()));
    let answer = socket.ask(RTM_GETNSID, &body).ok()?;
    attribute(answer.get(RTGENMSG..)?, NETNSA_NSID).and_then(i32_of)
}

fn name_in(socket: &Socket, netnsid: i32, index: u32) -> Option<String> {
    let mut body = vec![0; IFINFOMSG];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body.extend(attribute_of(IFLA_TARGET_NETNSID, &netnsid.to_ne_bytes()));
    let answer = socket.ask(RTM_GETLINK, &body).ok()?;
    let attributes = answer.get(IFINFOMSG..)?;
    // A kernel that does not know the attribute answers for this namespace.
    attribute(attributes, IFLA_TARGET_NETNSID)?;
    attribute(attributes, IFLA_IFNAME).map(text_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the kernel for one link.
    fn message(index: u32, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        for (number, content) in attributes {
            body.extend(attribute_of(*number, content));
        }
        body
    }

    #[test]
    fn a_veth_is_read_with_its_peer_elsewhere() {
        let info = attribute_of(IFLA_INFO_KIND, b"veth\0");
        let body = message(
            2,
            IFF_UP,
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
        let (interface, master) = link(&body).expect("a link");
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
        assert_eq!(master, Some(9));
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
        let (interface, _) = link(&body).expect("a link");
        assert_eq!((interface.mac, interface.peer), (None, None));
        assert_eq!(interface.up, Some(false));
    }

    #[test]
    fn a_message_that_is_cut_off_is_no_link() {
        let body = message(1, 0, &[(IFLA_IFNAME, b"lo\0")]);
        for length in 0..IFINFOMSG + 4 {
            assert_eq!(link(&body[..length]), None, "{length}");
        }
        assert_eq!(interface_address(&[2, 24, 0, 0]), None);
    }

    #[test]
    fn ones_own_address_of_a_point_to_point_link_is_told() {
        let mut body = vec![2, 32, 0, 0];
        body.extend(5_u32.to_ne_bytes());
        body.extend(attribute_of(1, &[10, 0, 0, 2]));
        body.extend(attribute_of(2, &[10, 0, 0, 1]));
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
