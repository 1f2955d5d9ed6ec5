//! `--allow HOST:PORT[/udp]`, `--allow 10.0.0.0/8:PORT`: the one thing that may be reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::publish::{Protocol, port};
use crate::subnet::masked;

/// A place that may be reached: by name, by address, or all addresses that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// A name, an address, or the first of some with how many bits they share.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is carried.
    pub protocol: Protocol,
}

/// The addresses of an [`Allow`], looked up once: they stay so for the whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The name, where it was one.
    pub name: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How many bits of an address count, where not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u8>,
    /// The port.
    pub port: u16,
    /// What is carried.
    pub protocol: Protocol,
}

impl Pinned {
    /// Whether an address is one of its own.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|own| match self.prefix {
            None => own.to_canonical() == address,
            Some(prefix) => {
                own.is_ipv4() == address.is_ipv4()
                    && masked(*own, prefix) == masked(address, prefix)
            }
        })
    }

    /// Whether another is the same or a part of it.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let bits = |place: &Self| place.prefix.unwrap_or(u8::MAX);
        (self.port, self.protocol) == (other.port, other.protocol)
            && bits(self) <= bits(other)
            && other.addresses.iter().all(|address| self.has(*address))
    }

    /// The first and the last address, where it is some that begin alike.
    pub(crate) fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        let (prefix, address) = (self.prefix?, *self.addresses.first()?);
        Some(match address {
            IpAddr::V4(address) => {
                let rest = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                let first = u32::from(address) & !rest;
                (
                    Ipv4Addr::from(first).into(),
                    Ipv4Addr::from(first | rest).into(),
                )
            }
            IpAddr::V6(address) => {
                let rest = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                let first = u128::from(address) & !rest;
                (
                    Ipv6Addr::from(first).into(),
                    Ipv6Addr::from(first | rest).into(),
                )
            }
        })
    }
}

impl Allow {
    /// Looks its name up, as any program of the host would.
    ///
    /// # Errors
    /// What the resolver says.
    pub fn pin(&self) -> std::io::Result<Pinned> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(self.pinned(None, vec![address]));
        }
        if let Some((address, prefix)) = range(&self.host) {
            return Ok(Pinned {
                prefix: Some(prefix),
                ..self.pinned(None, vec![address])
            });
        }
        let mut addresses: Vec<IpAddr> = (self.host.as_str(), self.port)
            .to_socket_addrs()?
            .map(|address| address.ip())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(self.pinned(Some(self.host.clone()), addresses))
    }

    fn pinned(&self, name: Option<String>, addresses: Vec<IpAddr>) -> Pinned {
        Pinned {
            name,
            addresses,
            prefix: None,
            port: self.port,
            protocol: self.protocol,
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}/{}", self.host, self.port, self.protocol),
            false => write!(f, "{}:{}/{}", self.host, self.port, self.protocol),
        }
    }
}

/// Why a text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowError;

impl fmt::Display for AllowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected HOST:PORT or HOST:PORT/udp; HOST is a name, an address or a range such \
             as 10.0.0.0/8; IPv6 stands in brackets",
        )
    }
}

impl std::error::Error for AllowError {}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let (place, protocol) = match text.rsplit_once('/') {
            Some((place, "tcp")) => (place, Protocol::Tcp),
            Some((place, "udp")) => (place, Protocol::Udp),
            // It may be that of a range.
            _ => (text, Protocol::Tcp),
        };
        let (host, number) = place.rsplit_once(':').ok_or(AllowError)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(AllowError)?;
                let is_range = range(inner).is_some_and(|(ip, _)| ip.is_ipv6());
                let is_good = is_range || inner.parse::<Ipv6Addr>().is_ok();
                Some(inner).filter(|_| is_good).ok_or(AllowError)?
            }
            None if is_name(host) => host,
            None if range(host).is_some_and(|(ip, _)| ip.is_ipv4()) => host,
            None => return Err(AllowError),
        };
        Ok(Self {
            host: host.to_owned(),
            port: port(number).map_err(|_| AllowError)?,
            protocol,
        })
    }
}

/// `10.0.0.0/8`: an address, and how many of its bits count.
fn range(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let is_plain = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= width)?;
    is_plain.then_some((address, prefix))
}

/// Whether it can be the name of a host, or an IPv4 address.
pub fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.len() <= 253
        && text
            .strip_suffix('.')
            .unwrap_or(text)
            .split('.')
            .all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_both_families_are_places() {
        for (text, host) in [
            ("example.org:443", "example.org"),
            ("192.0.2.7:53/udp", "192.0.2.7"),
            ("[2001:db8::1]:80/tcp", "2001:db8::1"),
            ("10.0.0.0/8:443", "10.0.0.0/8"),
            ("10.0.0.0/8:53/udp", "10.0.0.0/8"),
            ("[fd00::/8]:53", "fd00::/8"),
            ("[::/0]:53/udp", "::/0"),
        ] {
            let allow: Allow = text.parse().expect("a place");
            assert_eq!(allow.host, host);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "example.org",
            ":80",
            "a b:80",
            "x:0",
            "::1:80",
            "[x]:80",
            "x:80/sctp",
            "10.0.0.0/33:80",
            "10.0.0.0/+8:80",
            "10.0.0.0/:80",
            "10.0.0/8:80",
            "fd00::/8:80",
            "[10.0.0.0/8]:80",
            "[fd00::/129]:80",
            "example.org/8:80",
        ] {
            assert_eq!(text.parse::<Allow>(), Err(AllowError), "{text:?}");
        }
    }

    fn pinned(text: &str) -> Pinned {
        let allow: Allow = text.parse().expect("a place");
        allow.pin().expect("it needs no lookup")
    }

    #[test]
    fn a_range_has_what_begins_like_its_address() {
        let ten = pinned("10.1.2.3/8:443");
        for (text, is_in) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("::ffff:10.9.9.9", true),
            ("11.0.0.0", false),
            ("a00::", false),
        ] {
            assert_eq!(ten.has(text.parse().expect("an address")), is_in, "{text}");
        }
        let ends = |text| {
            let (first, last) = pinned(text).ends().expect("a range");
            format!("{first} {last}")
        };
        assert_eq!(ends("10.1.2.3/8:443"), "10.0.0.0 10.255.255.255");
        assert_eq!(ends("10.1.2.3/32:443"), "10.1.2.3 10.1.2.3");
        assert_eq!(ends("0.0.0.0/0:443"), "0.0.0.0 255.255.255.255");
        assert_eq!(ends("[fd00::/127]:443"), "fd00:: fd00::1");
        assert!(pinned("[::/0]:1").has("fd00::1".parse().expect("an address")));
        assert_eq!(pinned("10.0.0.1:443").ends(), None);
    }

    #[test]
    fn a_place_covers_its_parts_at_the_same_port() {
        let ten = pinned("10.0.0.0/8:443");
        for part in ["10.1.0.0/16:443", "10.0.0.0/8:443", "10.0.0.1:443"] {
            assert!(ten.covers(&pinned(part)), "{part}");
        }
        for other in ["10.0.0.0/8:444", "10.0.0.0/7:443", "10.0.0.0/8:443/udp"] {
            assert!(!ten.covers(&pinned(other)), "{other}");
        }
        assert!(!pinned("10.0.0.1:443").covers(&ten));
    }

    #[test]
    fn an_address_is_pinned_without_a_resolver() {
        let pinned = Allow::from_str("192.0.2.7:53/udp").expect("a place").pin();
        let pinned = pinned.expect("an address needs no lookup");
        assert_eq!((pinned.name, pinned.addresses.len()), (None, 1));
    }
}
