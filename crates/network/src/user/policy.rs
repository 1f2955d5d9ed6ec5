//! What the inside may reach.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::refused::Refused;
use super::router::GATEWAY;
use crate::allow::Pinned;
use crate::publish::Protocol;

/// The places that may be reached; no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those whose addresses are known.
    pub places: Vec<Pinned>,
    /// Names of which everything may be reached, and below them.
    pub domains: Vec<String>,
}

/// Where something that is allowed goes, or what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To this address of the outside.
    To(SocketAddr),
    /// It is refused.
    Refused,
}

/// The rules, what was learned for them, and what they have refused.
#[derive(Debug)]
pub struct Policy {
    rules: Option<Rules>,
    /// Addresses that a resolver has told for names that are allowed.
    learned: HashSet<IpAddr>,
    host_loopback: bool,
    /// What was refused.
    pub refused: Refused,
}

/// More addresses than this are not learned: the oldest answers have been used by then.
const MOST_LEARNED: usize = 16_384;

/// What is said of a name that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameVerdict {
    /// A resolver of the host is asked.
    Ask,
    /// These are its addresses.
    Known(Vec<IpAddr>),
    /// It is refused.
    Refused,
}

impl Policy {
    /// Everything is allowed but the host itself where there are no rules. With
    /// `host_loopback` the gateway's address leads to the host's loopback.
    #[must_use]
    pub fn new(rules: Option<Rules>, host_loopback: bool) -> Self {
        Self {
            rules,
            learned: HashSet::new(),
            host_loopback,
            refused: Refused::default(),
        }
    }

    /// Whether some places alone may be reached.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// What becomes of something that the inside sends to an address.
    pub fn target(&mut self, protocol: Protocol, to: SocketAddr) -> Verdict {
        match self.allowed(Some((protocol, to.port())), to.ip()) {
            Some(ip) => Verdict::To(SocketAddr::new(ip, to.port())),
            None => {
                self.refused.address(protocol, to);
                Verdict::Refused
            }
        }
    }

    /// The same of an echo request, which every place that is allowed may get.
    pub fn echo_target(&mut self, to: IpAddr) -> Option<IpAddr> {
        let target = self.allowed(None, to);
        if target.is_none() {
            self.refused.echo(to);
        }
        target
    }

    /// Where it leads, if it may be reached.
    fn allowed(&self, port: Option<(Protocol, u16)>, to: IpAddr) -> Option<IpAddr> {
        let to = to.to_canonical();
        let is_allowed = match &self.rules {
            None => true,
            Some(rules) => {
                self.learned.contains(&to)
                    || rules.places.iter().any(|place| is_at(place, port, to))
            }
        };
        if !is_allowed {
            return None;
        }
        if GATEWAY.contains(&to) {
            return self.host_loopback.then_some(match to {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        (!is_of_host(to)).then_some(to)
    }

    /// What is said of a name, in lower case and without a last dot.
    pub fn name(&mut self, name: &str) -> NameVerdict {
        let Some(rules) = &self.rules else {
            return NameVerdict::Ask;
        };
        let is_it = |place: &&Pinned| {
            place
                .name
                .as_ref()
                .is_some_and(|own| plain_name(own) == name)
        };
        let mut known: Vec<IpAddr> = rules
            .places
            .iter()
            .filter(is_it)
            .flat_map(|place| place.addresses.clone())
            .collect();
        if !known.is_empty() {
            known.sort_unstable();
            known.dedup();
            return NameVerdict::Known(known);
        }
        if rules.domains.iter().any(|domain| is_in(name, domain)) {
            return NameVerdict::Ask;
        }
        self.refused.name(name);
        NameVerdict::Refused
    }

    /// Notes the addresses of a name that is allowed.
    pub fn learn(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            if self.learned.len() < MOST_LEARNED {
                self.learned.insert(address.to_canonical());
            }
        }
    }
}

fn is_at(place: &Pinned, port: Option<(Protocol, u16)>, to: IpAddr) -> bool {
    place.has(to) && port.is_none_or(|port| port == (place.protocol, place.port))
}

/// A name as it is compared: in lower case, without a last dot.
#[must_use]
pub fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether a name is that of a domain or below it.
fn is_in(name: &str, domain: &str) -> bool {
    let domain = plain_name(domain);
    name.strip_suffix(&domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether an address leads to the host itself whoever asks for it, or to nobody in
/// particular.
fn is_of_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // 0.0.0.0 is taken for the loopback.
            ip.is_loopback()
                || ip.octets()[0] == 0
                || ip.is_broadcast()
                || ip.is_multicast()
        }
        IpAddr::V6(ip) => {
            let is_embedded = |ip: Ipv6Addr| {
                // ::127.0.0.1 and the like.
                ip.segments()[..6] == [0; 6]
            };
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || is_embedded(ip)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(policy: &mut Policy, address: &str) -> Option<String> {
        let address = address.parse().expect("an address");
        match policy.target(Protocol::Tcp, address) {
            Verdict::To(to) => Some(to.to_string()),
            Verdict::Refused => None,
        }
    }

    fn place(name: Option<&str>, address: &str, port: u16) -> Pinned {
        Pinned {
            name: name.map(str::to_owned),
            addresses: vec![address.parse().expect("an address")],
            prefix: None,
            port,
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn no_address_leads_to_the_hosts_loopback() {
        let mut policy = Policy::new(None, false);
        for address in [
            "127.0.0.1:80",
            "127.8.9.1:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::1]:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:0.0.0.0]:80",
            "[::127.0.0.1]:80",
            "255.255.255.255:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "[fe80::1]:80",
            "10.0.2.2:80",
        ] {
            assert_eq!(to(&mut policy, address), None, "{address}");
        }
        let others = ["192.0.2.1:80", "10.0.2.9:1", "[2001:db8::1]:443"];
        for address in others {
            assert_eq!(to(&mut policy, address).as_deref(), Some(address));
        }
        let mapped = to(&mut policy, "[::ffff:192.0.2.1]:80");
        assert_eq!(mapped.as_deref(), Some("192.0.2.1:80"));
    }

    #[test]
    fn the_gateway_is_the_host_where_that_was_asked_for() {
        let mut policy = Policy::new(None, true);
        assert_eq!(
            to(&mut policy, "10.0.2.2:80").as_deref(),
            Some("127.0.0.1:80")
        );
        assert_eq!(to(&mut policy, "127.0.0.1:80"), None);
        let mut policy = Policy::new(Some(Rules::default()), true);
        assert_eq!(to(&mut policy, "10.0.2.2:80"), None, "it is no place");
    }

    #[test]
    fn rules_allow_their_places_alone() {
        let rules = Rules {
            places: vec![place(None, "192.0.2.1", 443), place(None, "127.0.0.1", 80)],
            domains: Vec::new(),
        };
        let mut policy = Policy::new(Some(rules), false);
        assert!(to(&mut policy, "192.0.2.1:443").is_some());
        assert!(to(&mut policy, "[::ffff:192.0.2.1]:443").is_some());
        assert_eq!(to(&mut policy, "192.0.2.1:80"), None);
        assert_eq!(to(&mut policy, "192.0.2.2:443"), None);
        assert_eq!(
            to(&mut policy, "127.0.0.1:80"),
            None,
            "whatever the rules say"
        );
        assert_eq!(policy.refused.total(), 3);
    }

    #[test]
    fn a_range_allows_its_addresses_and_never_the_host() {
        let range = Pinned {
            prefix: Some(0),
            ..place(None, "0.0.0.0", 80)
        };
        let rules = Rules {
            places: vec![range],
            domains: Vec::new(),
        };
        let mut policy = Policy::new(Some(rules), false);
        assert!(to(&mut policy, "192.0.2.1:80").is_some());
        assert!(to(&mut policy, "[::ffff:192.0.2.1]:80").is_some());
        for other in [
            "192.0.2.1:81",
            "127.0.0.1:80",
            "10.0.2.2:80",
            "[2001:db8::1]:80",
        ] {
            assert_eq!(to(&mut policy, other), None, "{other}");
        }
    }

    #[test]
    fn a_domain_is_itself_and_what_is_below_it() {
        let rules = Rules {
            places: vec![place(Some("Pinned.test"), "192.0.2.7", 443)],
            domains: vec!["Example.org".to_owned()],
        };
        let mut policy = Policy::new(Some(rules), false);
        for name in ["example.org", "www.example.org", "a.b.example.org"] {
            assert_eq!(policy.name(name), NameVerdict::Ask, "{name}");
        }
        for name in ["badexample.org", "example.org.test", "org", ""] {
            assert_eq!(policy.name(name), NameVerdict::Refused, "{name}");
        }
        let known = NameVerdict::Known(vec![IpAddr::from([192, 0, 2, 7])]);
        assert_eq!(policy.name("pinned.test"), known);
        assert_eq!(to(&mut policy, "192.0.2.99:22"), None);
        policy.learn([IpAddr::from([192, 0, 2, 99])]);
        assert!(to(&mut policy, "192.0.2.99:22").is_some());
    }
}
