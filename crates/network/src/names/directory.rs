//! Who has which name in a network: as the kernel has it, where each member's port has the
//! name of its container as its alias.
//!
//! So nobody keeps a list, nobody depends on another's process, and a name ends with the
//! container that has it, however that ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::question::{
    A, AAAA, ANY, Code, DNSKEY, DS, IN, NS, PTR, Question, Record, SOA,
};
use crate::connect;
use crate::network::Network;
use crate::socket::{Changes, Socket};

/// More addresses than this are not told of one name.
const MOST: usize = 1000;

/// The names of some networks' members.
#[derive(Debug)]
pub struct Directory {
    socket: Socket,
    changes: Changes,
    networks: Vec<Network>,
    v6: bool,
    /// Domains that programs add to a name that they look for.
    search: Vec<String>,
    members: Vec<Member>,
    is_fresh: bool,
}

/// A member that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// In lower case.
    pub name: String,
    /// That of its network, likewise.
    pub network: String,
    /// Its addresses there.
    pub addresses: Vec<IpAddr>,
}

/// What is known of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The answer.
    Told(Code, Vec<Record>),
    /// Others are to be asked.
    Nothing,
}

impl Directory {
    /// One of these networks; the sockets are of the namespace that their bridges are in.
    pub fn new(
        socket: Socket,
        changes: Changes,
        networks: Vec<Network>,
        v6: bool,
        search: Vec<String>,
    ) -> Self {
        Self {
            socket,
            changes,
            networks,
            v6,
            search,
            members: Vec::new(),
            is_fresh: false,
        }
    }

    /// What is known of a question now.
    pub fn look_up(&mut self, question: &Question<'_>) -> Known {
        if self.changes.any() || !self.is_fresh {
            self.read();
        }
        let mut known = self.known(question);
        if let Known::Told(_, records) = &mut known {
            // Each in its turn is the first that is tried.
            let turn = records.len().max(1);
            records.rotate_left(usize::from(question.number()) % turn);
            records.truncate(MOST);
        }
        known
    }

    fn read(&mut self) {
        let mut members = Vec::new();
        let mut is_fresh = true;
        for network in &self.networks {
            // What could not be read is read again for the next question.
            let Ok(ports) = connect::named_ports(&self.socket, network) else {
                is_fresh = false;
                continue;
            };
            members.extend(ports.into_iter().map(|(number, name)| Member {
                name: name.to_ascii_lowercase(),
                network: network.name.to_ascii_lowercase(),
                addresses: network.addresses(number, self.v6),
            }));
        }
        self.members = members;
        self.is_fresh = is_fresh;
    }

    fn known(&self, question: &Question<'_>) -> Known {
        if question.class != IN {
            return Known::Nothing;
        }
        if let Some(address) = reversed(&question.name) {
            return self.name_of(address, question.kind);
        }
        let found = self.addresses_of(&question.name);
        if let Some(addresses) = found {
            let is_wanted = |address: &IpAddr| match question.kind {
                A => address.is_ipv4(),
                AAAA => address.is_ipv6(),
                kind => kind == ANY,
            };
            let wanted = addresses.into_iter().filter(is_wanted);
            return Known::Told(Code::Fine, wanted.map(Record::Address).collect());
        }
        // A name without a dot is nobody's outside, and no stranger is to hear it; but what
        // proves that an answer is genuine begins at the top.
        let is_of_the_top = matches!(question.kind, NS | SOA | DS | DNSKEY);
        match question.name.is_empty() || question.name.contains('.') || is_of_the_top {
            true => Known::Nothing,
            false => Known::Told(Code::NoSuchName, Vec::new()),
        }
    }

    /// The addresses of all members of a name: `db`, `db.shop` for who is in two networks,
    /// and what becomes of `db` by the domains that are searched.
    fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let found = |name: &str| -> Option<Vec<IpAddr>> {
            let is_it = |member: &&Member| {
                let rest = name.strip_prefix(&*member.name);
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.strip_prefix('.') == Some(&*member.network)
                })
            };
            let members = self.members.iter().filter(is_it);
            let addresses: Vec<IpAddr> =
                members.flat_map(|it| it.addresses.clone()).collect();
            (!addresses.is_empty()).then_some(addresses)
        };
        let bare = |domain: &String| name.strip_suffix(&**domain)?.strip_suffix('.');
        found(name).or_else(|| self.search.iter().filter_map(bare).find_map(found))
    }

    /// The name at an address of one of the networks, which nobody else knows.
    fn name_of(&self, address: IpAddr, kind: u16) -> Known {
        let is_ours = self.networks.iter().any(|network| {
            let subnets = [network.subnet, network.subnet6];
            subnets.iter().any(|subnet| subnet.contains(address))
        });
        if !is_ours {
            return Known::Nothing;
        }
        let has_it = |member: &&Member| member.addresses.contains(&address);
        match self.members.iter().find(has_it) {
            Some(_) if !matches!(kind, PTR | ANY) => Known::Told(Code::Fine, Vec::new()),
            Some(member) => {
                let name = format!("{}.{}", member.name, member.network);
                Known::Told(Code::Fine, vec![Record::Name(name)])
            }
            None => Known::Told(Code::NoSuchName, Vec::new()),
        }
    }
}

/// The address whose name is asked for: 7.0.5.10.in-addr.arpa.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let mut words: Vec<&str> = rest.split('.').collect();
        words.reverse();
        return words.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').collect();
    if digits.len() != 32 || digits.iter().any(|digit| digit.len() != 1) {
        return None;
    }
    let digits: String = digits.into_iter().rev().collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    Some(Ipv6Addr::from(number).into())
}

#[cfg(test)]
mod tests {
    use super::super::question::tests::ask;
    use super::*;

    /// A directory that has read its members already.
    fn directory() -> Directory {
        let shop = Network {
            number: 1,
            name: "Shop".to_owned(),
            subnet: "10.5.0.0/24".parse().expect("a subnet"),
            subnet6: "fd05::/64".parse().expect("a subnet"),
            ..Network::nat()
        };
        let member = |name: &str, number| Member {
            name: name.to_owned(),
            network: "shop".to_owned(),
            addresses: shop.addresses(number, true),
        };
        let members = vec![member("db", 7), member("web", 8), member("web", 9)];
        Directory {
            members,
            search: vec!["corp.test".to_owned()],
            ..Directory::new(
                Socket::route().expect("a socket"),
                Changes::of_links().expect("a socket"),
                vec![shop.clone()],
                true,
                Vec::new(),
            )
        }
    }

    fn known(name: &str, kind: u16) -> Known {
        let message = ask(name, kind, None);
        directory().known(&Question::read(&message).expect("a question"))
    }

    fn told(addresses: &[&str]) -> Known {
        let address = |text: &&str| Record::Address(text.parse().expect("an address"));
        Known::Told(Code::Fine, addresses.iter().map(address).collect())
    }

    #[test]
    fn a_member_is_found_by_name_whatever_its_case() {
        for name in ["db", "DB", "db.shop", "Db.Shop", "db.corp.test"] {
            assert_eq!(known(name, A), told(&["10.5.0.7"]), "{name}");
            assert_eq!(known(name, AAAA), told(&["fd05::7"]), "{name}");
        }
        assert_eq!(known("db", ANY), told(&["10.5.0.7", "fd05::7"]));
    }

    #[test]
    fn a_name_that_two_have_is_both() {
        assert_eq!(known("web", A), told(&["10.5.0.8", "10.5.0.9"]));
    }

    #[test]
    fn a_name_without_a_record_of_the_type_is_there_all_the_same() {
        const MX: u16 = 15;
        assert_eq!(known("db", MX), told(&[]));
        assert_eq!(known("7.0.5.10.in-addr.arpa", A), told(&[]));
    }

    #[test]
    fn names_without_a_dot_are_nobodys_else() {
        let none = || Known::Told(Code::NoSuchName, Vec::new());
        for name in ["dbx", "d", "nosuch"] {
            assert_eq!(known(name, A), none(), "{name}");
        }
        for name in [
            "example.org",
            "db.example.org",
            "db.shopx",
            "x.db",
            "db.corp",
        ] {
            assert_eq!(known(name, A), Known::Nothing, "{name}");
        }
        for kind in [NS, SOA, DS, DNSKEY] {
            assert_eq!(known("org", kind), Known::Nothing);
        }
        assert_eq!(known("", NS), Known::Nothing);
    }

    #[test]
    fn an_address_of_the_network_has_a_name_or_none() {
        let name = Known::Told(Code::Fine, vec![Record::Name("db.shop".to_owned())]);
        assert_eq!(known("7.0.5.10.in-addr.arpa", PTR), name);
        let v6: String = format!("7{}.5.0.d.f.ip6.arpa", ".0".repeat(27));
        assert_eq!(known(&v6, PTR), name, "{v6}");
        let none = Known::Told(Code::NoSuchName, Vec::new());
        assert_eq!(known("6.0.5.10.in-addr.arpa", PTR), none);
        for other in [
            "1.0.6.10.in-addr.arpa",
            "in-addr.arpa",
            "5.10.in-addr.arpa",
            "x.ip6.arpa",
        ] {
            assert_eq!(known(other, PTR), Known::Nothing, "{other}");
        }
    }
}
