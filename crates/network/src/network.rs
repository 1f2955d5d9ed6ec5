//! A network: what containers can be members of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::route::Index;
use crate::subnet::Subnet;

/// What connects its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the host's.
    #[default]
    Bridge,
    /// A link of the host's, on which each member has an address of its own. The host
    /// itself cannot be reached.
    Macvlan {
        /// The name of that link.
        parent: String,
    },
}

/// The name of a network: 1 to 32 letters, digits, `-`, `_`, `.`, and not one of the words
/// that `--net` knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkError;

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the name of a network has 1 to 32 letters, digits, '-', '_' or '.', begins \
             with a letter or digit, and is not none, host, nat or user",
        )
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Name {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let good = (1..=32).contains(&text.len())
            && text.bytes().all(plain)
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && !["none", "host", "nat", "user"].contains(&text);
        good.then(|| Self(text.to_owned())).ok_or(NetworkError)
    }
}

impl TryFrom<String> for Name {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A network, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Of the form of what is stored.
    pub version: u32,
    /// Its name; that of the built-in one is `nat`.
    pub name: String,
    /// Its number, from which its bridge has its name: 0 for `nat`.
    pub number: u8,
    /// What connects its members.
    #[serde(default)]
    pub driver: Driver,
    /// Its IPv4 addresses.
    pub subnet: Subnet,
    /// Its IPv6 addresses.
    pub subnet6: Subnet,
    /// Whether nothing beyond its members and the host's bridge can be reached.
    #[serde(default)]
    pub internal: bool,
    /// The largest packet; the kernel's default if `None`.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// The number of the host in each network.
pub const GATEWAY: u16 = 1;

/// What the numbers of our links begin with: in no other way are so high ones given.
const OURS: Index = 0x57;

impl Network {
    /// The built-in one: `--net nat`.
    #[must_use]
    pub fn nat() -> Self {
        Self {
            version: 1,
            name: "nat".to_owned(),
            number: 0,
            driver: Driver::Bridge,
            subnet: Subnet::v4(Ipv4Addr::new(10, 87, 0, 0), 16),
            subnet6: Self::unique_local(0),
            internal: false,
            mtu: None,
        }
    }

    /// What a network gets if nobody says otherwise.
    #[must_use]
    pub fn default_subnets(number: u8) -> (Subnet, Subnet) {
        (
            Subnet::v4(Ipv4Addr::new(10, 88, number, 0), 24),
            Self::unique_local(number),
        )
    }

    /// `fd57:6172:7265:N::/64`
    fn unique_local(number: u8) -> Subnet {
        let number = u16::from(number);
        Subnet::v6(
            Ipv6Addr::new(0xfd57, 0x6172, 0x7265, number, 0, 0, 0, 0),
            64,
        )
    }

    /// The name of its bridge.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("warren{}", self.number)
    }

    /// Whether its members are ports of a bridge.
    #[must_use]
    pub fn has_bridge(&self) -> bool {
        self.driver == Driver::Bridge
    }

    /// Whether its members find each other by name: not where strangers meet.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.has_bridge() && self.number != 0
    }

    /// The number of its bridge among the host's links.
    #[must_use]
    pub(crate) fn bridge_index(&self) -> Index {
        self.port_index(0)
    }

    /// The number of a member's port among them.
    pub(crate) fn port_index(&self, member: u16) -> Index {
        OURS << 24 | Index::from(self.number) << 16 | Index::from(member)
    }

    /// The name of a member's port, and of all else that is the member's.
    #[must_use]
    pub(crate) fn port(&self, member: u16) -> String {
        port_name(self.number, member)
    }

    /// The addresses of a member.
    #[must_use]
    pub fn addresses(&self, member: u16, v6: bool) -> Vec<IpAddr> {
        let second = v6.then(|| self.subnet6.at(member));
        [Some(self.subnet.at(member)), second]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The link address of a member.
    pub(crate) fn mac(&self, member: u16) -> [u8; 6] {
        let [high, low] = member.to_be_bytes();
        // 0x0a: administered locally, to one.
        [0x0a, 0x57, 0x61, self.number, high, low]
    }

    /// How many bits of an address its members share.
    pub(crate) fn prefix_of(&self, address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(_) => self.subnet.prefix(),
            IpAddr::V6(_) => self.subnet6.prefix(),
        }
    }
}

/// `w0v17`
pub fn port_name(network: u8, member: u16) -> String {
    format!("w{network}v{member}")
}

/// Network and member of the name of a port.
pub fn port_of_name(name: &str) -> Option<(u8, u16)> {
    let (network, member) = name.strip_prefix('w')?.split_once('v')?;
    Some((network.parse().ok()?, member.parse().ok()?))
}

/// Network and member of the number of one of our links; a bridge is member 0.
pub fn port_of_index(index: Index) -> Option<(u8, u16)> {
    (index >> 24 == OURS).then_some(((index >> 16) as u8, index as u16))
}

/// Bytes a second, and how many at once: `10mbit`, `1gbit:256k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: u64,
    /// Bytes at once.
    pub burst: u32,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateError;

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected a rate such as 500kbit, 10mbit or 1gbit, at least 8kbit, and after a \
             colon how many bytes at once: 10mbit:64k",
        )
    }
}

impl std::error::Error for RateError {}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let bits = scaled(
            rate,
            &[("kbit", 1000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)],
        );
        let bytes = bits.map(|bits| bits / 8).filter(|bytes| *bytes >= 1000);
        let bytes = bytes.ok_or(RateError)?;
        // A packet at least; without a word, a hundredth of a second.
        let burst = match burst {
            None => u32::try_from(bytes / 100)
                .unwrap_or(u32::MAX)
                .clamp(4096, 4 << 20),
            Some(burst) => scaled(burst, &[("k", 1 << 10), ("m", 1 << 20), ("", 1)])
                .and_then(|burst| u32::try_from(burst).ok())
                .filter(|burst| *burst >= 2048)
                .ok_or(RateError)?,
        };
        Ok(Self { bytes, burst })
    }
}

/// A number with one of the endings.
fn scaled(text: &str, endings: &[(&str, u64)]) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (digits, scale) = endings
        .iter()
        .find_map(|(ending, scale)| Some((text.strip_suffix(ending)?, *scale)))?;
    let digits =
        Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits?.parse::<u64>().ok()?.checked_mul(scale)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes a second", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in ["web", "a.b-c_1", "0"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        let long = "x".repeat(33);
        for name in [
            "", "nat", "host", "none", "user", "-a", "../x", "a/b", "a b", "a:b", &long,
        ] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_port_and_its_number_tell_the_member() {
        let nat = Network::nat();
        assert_eq!(port_of_name(&nat.port(70)), Some((0, 70)));
        assert_eq!(port_of_index(nat.port_index(70)), Some((0, 70)));
        assert_eq!(port_of_index(7), None);
        for other in ["warren0", "w1", "wXv1", "w1v", "w1v70000", "eth0"] {
            assert_eq!(port_of_name(other), None, "{other}");
        }
    }

    #[test]
    fn rates_are_bits_and_bursts_are_bytes() {
        let rate = |text: &str| text.parse::<Rate>();
        let is = |bytes, burst| Ok(Rate { bytes, burst });
        assert_eq!(rate("10mbit"), is(1_250_000, 12_500));
        assert_eq!(rate("1gbit:256k"), is(125_000_000, 262_144));
        assert_eq!(rate("64kbit"), is(8000, 4096));
        for text in [
            "", "10", "10mb", "mbit", "1.5mbit", "-1mbit", "1kbit", "10mbit:", "10mbit:1",
        ] {
            assert_eq!(rate(text), Err(RateError), "{text}");
        }
    }
}
