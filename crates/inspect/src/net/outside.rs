//! What /proc/PID/net tells of interfaces and routes to a caller that may not enter.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use super::links::Interface;
use super::routes::{self, Route};

/// Interfaces by name, their addresses, and routes.
pub fn read(
    proc: &ProcRoot,
    folder: &str,
) -> Result<(Vec<Interface>, Vec<Route>), Errno> {
    let needed = |name: &str| {
        let text = proc.read(&format!("{folder}/net/{name}"));
        text.map(|text| String::from_utf8_lossy(&text).into_owned())
            .map_err(|error| error.errno())
    };
    // Without IPv6 the kernel has fewer files.
    let text = |name: &str| needed(name).unwrap_or_default();
    let mut interfaces = names(&needed("dev")?);
    let mut all = routes::parse_v4(&text("route"));
    let links = &mut interfaces;
    for address in local_v4(&text("fib_trie")) {
        place(links, &interface_of(address, &all), &address.to_string());
    }
    for (name, address) in v6(&text("if_inet6")) {
        place(links, &name, &address);
    }
    all.extend(routes::parse_v6(&text("ipv6_route")));
    Ok((interfaces, all))
}

fn place(interfaces: &mut [Interface], name: &str, address: &str) {
    let mut named = interfaces.iter_mut();
    if let Some(found) = named.find(|interface| interface.name == name) {
        found.addresses.push(address.to_owned());
    }
}

/// The names in the table of counters, whose two first lines are headings. A name can
/// hold a colon, and numbers follow the last.
fn names(text: &str) -> Vec<Interface> {
    let lines = text.lines().skip(2);
    lines
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(name, _)| Interface {
            name: name.trim_start().to_owned(),
            ..Interface::default()
        })
        .collect()
}

/// The addresses of the machine itself: those with `/32 host LOCAL` in the tree of its
/// routes, which has each twice.
fn local_v4(text: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut at = None;
    for line in text.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            at = address.parse().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(at.filter(|address| !found.contains(address)));
        }
    }
    found
}

/// The tree does not say which interface has an address; the network that it lies in
/// does.
fn interface_of(address: Ipv4Addr, routes: &[Route]) -> String {
    if address.is_loopback() {
        return "lo".to_owned();
    }
    let holds = |route: &&Route| {
        let Some((network, prefix)) = route.destination.split_once('/') else {
            return false;
        };
        let (Ok(network), Ok(prefix)) =
            (network.parse::<Ipv4Addr>(), prefix.parse::<u32>())
        else {
            return false;
        };
        let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
        route.gateway.is_none() && u32::from(network) == u32::from(address) & mask
    };
    let route = routes.iter().find(holds);
    route
        .and_then(|route| route.interface.clone())
        .unwrap_or_default()
}

/// `ADDRESS INDEX PREFIX SCOPE FLAGS NAME`, numbers in hex.
fn v6(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let &[address, _, prefix, _, _, name] = &fields[..] else {
            return None;
        };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        let prefix = u8::from_str_radix(prefix, 16).ok()?;
        Some((name.to_owned(), format!("{address}/{prefix}")))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whatever_they_hold() {
        let text = "Inter-|   Receive\n face |bytes\n    lo:  1 2\n  a:b: 3 4\nbroken\n";
        let found: Vec<String> = names(text)
            .into_iter()
            .map(|interface| interface.name)
            .collect();
        assert_eq!(found, ["lo", "a:b"]);
    }

    #[test]
    fn the_machines_own_addresses_are_found_in_the_tree_of_routes() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n\
            \x20       /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n\
            \x20    |-- 192.0.2.2\n        /32 host LOCAL\nLocal:\n\
            \x20    |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n\
            \x20       /32 link BROADCAST\n";
        let expected = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 2)];
        assert_eq!(local_v4(text), expected);
    }

    #[test]
    fn an_address_belongs_to_the_interface_of_its_network() {
        let table = "head\neth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let routes = routes::parse_v4(table);
        let of = |address: [u8; 4]| interface_of(address.into(), &routes);
        assert_eq!(of([192, 0, 2, 2]), "eth0");
        assert_eq!(of([127, 0, 0, 1]), "lo");
        assert_eq!(of([10, 0, 0, 1]), "");
    }

    #[test]
    fn v6_addresses_are_read() {
        let text = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\nbroken\n";
        let expected = ("eth0".to_owned(), "fe80::fc:ff:fe00:1/64".to_owned());
        assert_eq!(v6(text), [expected]);
    }
}
