//! /etc/hosts and /etc/resolv.conf of who is in a network.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::allow::Pinned;

/// What /etc/hosts says: localhost, the host name at `own` addresses (at 127.0.1.1 where it
/// has none), `more` names, and those that were pinned.
#[must_use]
pub fn hosts(
    hostname: &str,
    own: &[IpAddr],
    more: &[(String, IpAddr)],
    pinned: &[Pinned],
) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n");
    if own.is_empty() && !hostname.is_empty() {
        let _ = writeln!(text, "127.0.1.1\t{hostname}");
    }
    for address in own.iter().filter(|_| !hostname.is_empty()) {
        let _ = writeln!(text, "{address}\t{hostname}");
    }
    for (name, address) in more {
        let _ = writeln!(text, "{address}\t{name}");
    }
    for place in pinned {
        let Some(name) = &place.name else { continue };
        for address in &place.addresses {
            let _ = writeln!(text, "{address}\t{name}");
        }
    }
    text
}

/// What /etc/resolv.conf says: the servers that were given, else those of the host's own
/// text, without such as listen on the host's loopback, which is another one inside.
#[must_use]
pub fn resolv_conf(servers: &[IpAddr], of_host: &str) -> String {
    let mut text = String::new();
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    for line in of_host.lines() {
        let mut words = line.split_whitespace();
        let keep = match words.next() {
            Some("nameserver") => {
                servers.is_empty() && words.next().is_some_and(is_reachable)
            }
            Some("search" | "domain" | "options") => true,
            _ => false,
        };
        if keep {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

fn is_reachable(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or(server);
    address
        .parse::<IpAddr>()
        .is_ok_and(|address| !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_the_hosts_loopback_are_left_out() {
        let host = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a.test\n";
        assert_eq!(
            resolv_conf(&[], host),
            "nameserver 192.0.2.1\nsearch a.test\n"
        );
        let own: IpAddr = "192.0.2.9".parse().expect("an address");
        assert_eq!(
            resolv_conf(&[own], host),
            "nameserver 192.0.2.9\nsearch a.test\n"
        );
    }

    #[test]
    fn the_own_name_is_at_the_own_addresses() {
        let own: IpAddr = "10.87.0.2".parse().expect("an address");
        let text = hosts("web", &[own], &[("db".to_owned(), own)], &[]);
        assert!(text.ends_with("10.87.0.2\tweb\n10.87.0.2\tdb\n"), "{text}");
        assert!(hosts("web", &[], &[], &[]).contains("127.0.1.1\tweb\n"));
    }
}
