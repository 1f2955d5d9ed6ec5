//! Messages of rtnetlink(7): links, addresses, routes, neighbours, queues.

use std::net::IpAddr;

use crate::wire::{Batch, Body, CREATE, EXCLUSIVE};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
/// `RTM_GETLINK`
pub const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const NEWNEIGH: u16 = 28;
const NEWQDISC: u16 = 36;

const INET: u8 = 2;
const BRIDGE: u8 = 7;
const INET6: u8 = 10;

/// `IFLA_IFNAME`
pub const NAME: u16 = 3;
const ADDRESS: u16 = 1;
const MTU: u16 = 4;
const LINK: u16 = 5;
/// `IFLA_MASTER`
pub const MASTER: u16 = 10;
const PROTINFO: u16 = 12;
const LINKINFO: u16 = 18;
/// `IFLA_IFALIAS`
pub const ALIAS: u16 = 20;
const NET_NS_PID: u16 = 19;
const AF_SPEC: u16 = 26;

const UP: u32 = 1;

/// The number of a link, as its owner has chosen it.
pub type Index = u32;
/// The address of a link.
pub type Mac = [u8; 6];

/// The header of a message about links.
#[must_use]
pub fn link_header(family: u8, index: Index, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Makes a bridge that learns nothing by itself and stays quiet.
pub fn make_bridge(
    batch: &mut Batch,
    name: &str,
    index: Index,
    mac: Mac,
    mtu: Option<u32>,
) {
    const MCAST_SNOOPING: u16 = 23;
    let doing = format!("make the bridge {name}");
    let header = link_header(0, index, 0, 0);
    batch.add(doing, NEWLINK, CREATE | EXCLUSIVE, &header, |body| {
        body.text(NAME, name).bytes(ADDRESS, &mac);
        if let Some(mtu) = mtu {
            body.u32(MTU, mtu);
        }
        body.nest(LINKINFO, |info| {
            info.text(1, "bridge");
            info.nest(2, |data| {
                data.u8(MCAST_SNOOPING, 0);
            });
        });
    });
}

/// Two ends of a cable: one a port of a bridge, one in the network namespace of a process.
#[derive(Clone, Copy, Debug)]
pub struct Cable<'a> {
    /// The name of the end here.
    pub name: &'a str,
    /// Its number.
    pub index: Index,
    /// The bridge.
    pub bridge: Index,
    /// The name of the end there.
    pub inside: &'a str,
    /// Its number.
    pub inside_index: Index,
    /// Its address.
    pub mac: Mac,
    /// The largest packet.
    pub mtu: Option<u32>,
}

/// Makes a cable to the namespace of process `pid`; both ends are down.
pub fn make_cable(batch: &mut Batch, cable: &Cable<'_>, pid: u32) {
    let doing = format!("make the link {} to {} inside", cable.name, cable.inside);
    let header = link_header(0, cable.index, 0, 0);
    batch.add(doing, NEWLINK, CREATE | EXCLUSIVE, &header, |body| {
        body.text(NAME, cable.name).u32(MASTER, cable.bridge);
        mtu(body, cable.mtu);
        body.nest(LINKINFO, |info| {
            info.text(1, "veth");
            info.nest(2, |data| {
                data.nest(1, |peer| {
                    peer.raw(&link_header(0, cable.inside_index, 0, 0));
                    peer.text(NAME, cable.inside).bytes(ADDRESS, &cable.mac);
                    peer.u32(NET_NS_PID, pid);
                    mtu(peer, cable.mtu);
                });
            });
        });
    });
}

/// Makes a link on `parent` with an address of its own, in the namespace of process `pid`.
pub fn make_macvlan(batch: &mut Batch, cable: &Cable<'_>, parent: Index, pid: u32) {
    const MODE: u16 = 1;
    const MODE_BRIDGE: u32 = 4;
    let doing = format!("make the macvlan link {} inside", cable.inside);
    let header = link_header(0, cable.inside_index, 0, 0);
    batch.add(doing, NEWLINK, CREATE | EXCLUSIVE, &header, |body| {
        body.text(NAME, cable.inside).bytes(ADDRESS, &cable.mac);
        body.u32(LINK, parent).u32(NET_NS_PID, pid);
        mtu(body, cable.mtu);
        body.nest(LINKINFO, |info| {
            info.text(1, "macvlan");
            info.nest(2, |data| {
                data.u32(MODE, MODE_BRIDGE);
            });
        });
    });
}

fn mtu(body: &mut Body, mtu: Option<u32>) {
    if let Some(mtu) = mtu {
        body.u32(MTU, mtu);
    }
}

/// Has a link make no IPv6 address by itself, and brings it up.
pub fn bring_up(batch: &mut Batch, name: &str, index: Index) {
    const GENERATE: u16 = 8;
    const NONE: u8 = 1;
    // By one message the link would be up before.
    let doing = format!("keep {name} from making addresses");
    batch.add(doing, NEWLINK, 0, &link_header(0, index, 0, 0), |body| {
        body.nest(AF_SPEC, |spec| {
            spec.nest(u16::from(INET6), |inet6| {
                inet6.u8(GENERATE, NONE);
            });
        });
    });
    up(batch, name, index);
}

/// Brings a link up.
pub fn up(batch: &mut Batch, name: &str, index: Index) {
    let doing = format!("bring {name} up");
    batch.add(doing, NEWLINK, 0, &link_header(0, index, UP, UP), |_| {});
}

/// Notes at a port of a bridge the name of whose it is.
pub fn name_port(batch: &mut Batch, port: &str, index: Index, name: &str) {
    let doing = format!("note the name {name} at {port}");
    batch.add(doing, NEWLINK, 0, &link_header(0, index, 0, 0), |body| {
        body.bytes(ALIAS, name.as_bytes());
    });
}

/// Has a port of a bridge take part in nothing but what it is told: no learning, nothing
/// flooded to it but what is for all.
pub fn guard_port(batch: &mut Batch, name: &str, index: Index, mac: Mac, isolated: bool) {
    const GUARD: u16 = 5;
    const PROTECT: u16 = 6;
    const LEARNING: u16 = 8;
    const UNICAST_FLOOD: u16 = 9;
    const ISOLATED: u16 = 33;
    let doing = format!("guard the port {name}");
    let header = link_header(BRIDGE, index, 0, 0);
    batch.add(doing, SETLINK, 0, &header, |body| {
        body.nest(PROTINFO, |port| {
            port.u8(LEARNING, 0).u8(UNICAST_FLOOD, 0);
            port.u8(GUARD, 1).u8(PROTECT, 1);
            port.u8(ISOLATED, u8::from(isolated));
        });
    });
    const NTF_MASTER: u8 = 4;
    // Static; NUD_PERMANENT would say that it is the bridge's own.
    const NOARP: u16 = 0x40;
    let mut header = [0; 12];
    header[0] = BRIDGE;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&NOARP.to_ne_bytes());
    header[10] = NTF_MASTER;
    let doing = format!("tell the bridge who is at {name}");
    batch.add(doing, NEWNEIGH, CREATE, &header, |body| {
        body.bytes(2, &mac);
    });
}

/// Gives a link an address.
pub fn add_address(
    batch: &mut Batch,
    name: &str,
    index: Index,
    address: IpAddr,
    prefix: u8,
) {
    const NO_DAD: u8 = 2;
    const BROADCAST: u16 = 4;
    let doing = format!("give {name} the address {address}/{prefix}");
    let mut header = [family(address), prefix, NO_DAD, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    batch.add(doing, NEWADDR, CREATE | EXCLUSIVE, &header, |body| {
        let bytes = octets(address);
        body.bytes(2, &bytes).bytes(1, &bytes);
        if let IpAddr::V4(address) = address {
            let all =
                u32::from(address) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            body.bytes(BROADCAST, &all.to_be_bytes());
        }
    });
}

/// Has everything else go through `gateway`.
pub fn add_default_route(batch: &mut Batch, name: &str, index: Index, gateway: IpAddr) {
    const MAIN: u8 = 254;
    const STATIC: u8 = 4;
    const UNICAST: u8 = 1;
    let doing = format!("route through {gateway} on {name}");
    let mut header = [0; 12];
    header[0] = family(gateway);
    header[4..8].copy_from_slice(&[MAIN, STATIC, 0, UNICAST]);
    batch.add(doing, NEWROUTE, CREATE | EXCLUSIVE, &header, |body| {
        body.bytes(5, &octets(gateway)).u32(4, index);
    });
}

/// Lets through no more than `rate` bytes a second, and `burst` bytes at once.
pub fn limit_rate(batch: &mut Batch, name: &str, index: Index, rate: u64, burst: u32) {
    const ROOT: u32 = u32::MAX;
    const ETHERNET: u8 = 1;
    let doing = format!("limit what {name} sends to {rate} bytes a second");
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&0x10000_u32.to_ne_bytes());
    header[12..16].copy_from_slice(&ROOT.to_ne_bytes());
    // struct tc_tbf_qopt: two rates of 12 bytes, then limit, buffer and mtu. With the
    // link layer named, the kernel wants no table of times.
    let mut options = [0; 36];
    options[1] = ETHERNET;
    let low = u32::try_from(rate).unwrap_or(u32::MAX);
    options[8..12].copy_from_slice(&low.to_ne_bytes());
    // What waits longer than a tenth of a second is dropped.
    let limit = u32::try_from(rate / 10)
        .unwrap_or(u32::MAX)
        .max(burst)
        .max(64 * 1024);
    options[24..28].copy_from_slice(&limit.to_ne_bytes());
    batch.add(doing, NEWQDISC, CREATE | EXCLUSIVE, &header, |body| {
        body.text(1, "tbf").nest(2, |tbf| {
            tbf.bytes(1, &options).u32(6, burst);
            if u64::from(low) != rate {
                tbf.bytes(4, &rate.to_ne_bytes());
            }
        });
    });
}

/// Removes a link, and what hangs on it.
pub fn remove_link(batch: &mut Batch, name: &str, index: Index) {
    let doing = format!("remove the link {name}");
    batch.add(doing, DELLINK, 0, &link_header(0, index, 0, 0), |_| {});
}

/// The bytes of an address.
#[must_use]
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}
