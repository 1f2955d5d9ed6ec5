//! `--allow HOST:PORT[/udp]`: the one thing that may be reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::publish::{Protocol, port};

/// A place that may be reached, by name or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// A name, or an address.
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
    /// The port.
    pub port: u16,
    /// What is carried.
    pub protocol: Protocol,
}

impl Pinned {
    /// Whether an address is one of its own.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
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
            "expected HOST:PORT or HOST:PORT/udp; an IPv6 address stands in brackets",
        )
    }
}

impl std::error::Error for AllowError {}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let (place, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((place, "tcp")) => (place, Protocol::Tcp),
            Some((place, "udp")) => (place, Protocol::Udp),
            Some(_) => return Err(AllowError),
        };
        let (host, number) = place.rsplit_once(':').ok_or(AllowError)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(AllowError)?;
                inner.parse::<Ipv6Addr>().map_err(|_| AllowError)?;
                inner
            }
            None if is_name(host) => host,
            None => return Err(AllowError),
        };
        Ok(Self {
            host: host.to_owned(),
            port: port(number).map_err(|_| AllowError)?,
            protocol,
        })
    }
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
        ] {
            assert_eq!(text.parse::<Allow>(), Err(AllowError), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_pinned_without_a_resolver() {
        let pinned = Allow::from_str("192.0.2.7:53/udp").expect("a place").pin();
        let pinned = pinned.expect("an address needs no lookup");
        assert_eq!((pinned.name, pinned.addresses.len()), (None, 1));
    }
}
