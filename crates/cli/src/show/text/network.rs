//! The section of a network namespace.

use warren_inspect::{Interface, Net, Peer, Port};

use super::INDENT;
use crate::columns::Columns;

/// Interfaces, addresses, routes and ports, each as a table.
pub fn section(out: &mut Columns, net: &Net) {
    let interfaces = net.interfaces.iter().map(interface).collect();
    let head = ["INTERFACE", "STATE", "MTU", "MAC", "KIND", "TIED TO"];
    out.table(INDENT, &head, interfaces);
    if !net.whole {
        out.line(INDENT, "names and addresses only: it may not be entered");
    }
    let addresses = net.interfaces.iter().flat_map(|interface| {
        let address =
            |address: &String| vec![address.clone(), format!("on {}", interface.name)];
        interface.addresses.iter().map(address)
    });
    out.table(INDENT, &["ADDRESS", ""], addresses.collect());
    let routes = net.routes.iter();
    let routes = routes.map(|route| vec![route.destination.clone(), route.words()]);
    out.table(INDENT, &["ROUTE TO", ""], routes.collect());
    let ports = net.ports.iter().map(port);
    out.table(INDENT, &["PORT", "ADDRESS", "PROCESS"], ports.collect());
}

fn interface(interface: &Interface) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let state = match (interface.up, &interface.state) {
        (Some(false), _) => "down".to_owned(),
        // The kernel does not watch the state of the simplest devices.
        (Some(true), Some(state)) if state == "unknown" => "up".to_owned(),
        (_, state) => text(state),
    };
    vec![
        interface.name.clone(),
        state,
        interface.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
        text(&interface.mac),
        text(&interface.kind),
        ties(interface),
    ]
}

/// `bridge br0, peer veth1 in net:[4026531840]`.
fn ties(interface: &Interface) -> String {
    let master = interface.master.iter().map(|name| format!("bridge {name}"));
    let peer = interface.peer.iter().map(peer);
    master.chain(peer).collect::<Vec<_>>().join(", ")
}

fn peer(peer: &Peer) -> String {
    let name = match &peer.name {
        Some(name) => format!("peer {name}"),
        None => format!("peer number {}", peer.index),
    };
    match (peer.namespace, peer.netnsid) {
        (Some(inode), _) => format!("{name} in net:[{inode}]"),
        (None, Some(_)) => format!("{name} in another namespace"),
        (None, None) => name,
    }
}

fn port(port: &Port) -> Vec<String> {
    let process = match (port.pid, &port.command) {
        (Some(pid), Some(command)) => format!("{pid} {command}"),
        (Some(pid), None) => pid.to_string(),
        _ => format!("of uid {}", port.uid),
    };
    vec![port.protocol.clone(), port.place(), process]
}
