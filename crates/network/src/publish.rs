//! `-p [IP:]8080:80[/udp]`: ports of the host that lead to ports inside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// tcp(7)
    #[default]
    Tcp,
    /// udp(7)
    Udp,
}

impl Protocol {
    /// Its number in an IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A run of ports of the host, and the run of as many inside that they lead to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The address of the host; its loopback, of both families, if `None`. An unspecified
    /// one (`0.0.0.0`, `::`) stands for all of its family.
    pub address: Option<IpAddr>,
    /// The first port of the host.
    pub host: u16,
    /// The first port inside.
    pub inside: u16,
    /// How many.
    pub count: u16,
    /// What is carried.
    pub protocol: Protocol,
}

impl Publish {
    /// The addresses of the host that it listens on.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        match self.address {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        }
    }

    /// Each port of the host, and the one inside that it leads to.
    pub fn ports(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        let (host, inside) = (self.host, self.inside);
        (0..self.count).map(move |n| (host + n, inside + n))
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(address) => write!(f, "{address}:")?,
            None => {}
        }
        let run = |first: u16| match self.count {
            1 => first.to_string(),
            count => format!("{first}-{}", first + (count - 1)),
        };
        write!(
            f,
            "{}:{}/{}",
            run(self.host),
            run(self.inside),
            self.protocol
        )
    }
}

/// Why a text is no published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The address is none, or an IPv6 address without brackets.
    Address,
    /// A port is no number from 1 to 65535, or a run ends before it begins.
    Port,
    /// The two runs have different lengths.
    Lengths,
    /// What follows the slash.
    Protocol,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => {
                "the address is none; one of IPv6 stands in brackets: [::1]:8080:80"
            }
            Self::Port => {
                "a port is a number from 1 to 65535, or a run such as 8000-8010"
            }
            Self::Lengths => "as many ports of the host as inside are needed",
            Self::Protocol => "the protocol is tcp or udp",
        })
    }
}

impl std::error::Error for PublishError {}

impl FromStr for Publish {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let (rest, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some(_) => return Err(PublishError::Protocol),
        };
        let (address, ports) = split_address(rest)?;
        let (host, inside) = match ports.split_once(':') {
            Some((host, inside)) => (run(host)?, run(inside)?),
            None => (run(ports)?, run(ports)?),
        };
        if host.1 != inside.1 {
            return Err(PublishError::Lengths);
        }
        Ok(Self {
            address,
            host: host.0,
            inside: inside.0,
            count: host.1,
            protocol,
        })
    }
}

/// What stands before the ports, and those.
fn split_address(text: &str) -> Result<(Option<IpAddr>, &str), PublishError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, ports) = rest.split_once("]:").ok_or(PublishError::Address)?;
        let address: Ipv6Addr = address.parse().map_err(|_| PublishError::Address)?;
        return Ok((Some(address.into()), ports));
    }
    match text.split(':').count() {
        1 | 2 => Ok((None, text)),
        3 => {
            let (address, ports) = text.split_once(':').ok_or(PublishError::Address)?;
            let address: Ipv4Addr = address.parse().map_err(|_| PublishError::Address)?;
            Ok((Some(address.into()), ports))
        }
        _ => Err(PublishError::Address),
    }
}

/// `8080` or `8080-8090`: the first, and how many.
fn run(text: &str) -> Result<(u16, u16), PublishError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(PublishError::Port);
    }
    Ok((first, last - first + 1))
}

/// A port: a number without sign from 1 on.
///
/// # Errors
/// [`PublishError::Port`].
pub fn port(text: &str) -> Result<u16, PublishError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.then(|| text.parse().ok()).flatten();
    port.filter(|port| *port != 0).ok_or(PublishError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Publish, PublishError> {
        text.parse()
    }

    #[test]
    fn without_an_address_it_is_the_loopback_of_both_families() {
        let publish = parse("8080:80").expect("a port");
        assert_eq!((publish.host, publish.inside, publish.count), (8080, 80, 1));
        let addresses = publish.addresses();
        assert!(addresses.len() == 2 && addresses.iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn every_form_prints_as_it_is_read() {
        for text in [
            "8080:80/tcp",
            "0.0.0.0:53:53/udp",
            "[::1]:8000-8010:9000-9010/tcp",
            "192.0.2.1:1:65535/udp",
        ] {
            assert_eq!(parse(text).expect("a port").to_string(), text);
        }
        assert_eq!(parse("80").expect("a port").to_string(), "80:80/tcp");
    }

    #[test]
    fn a_run_leads_port_by_port() {
        let run = parse("8000-8002:90-92").expect("a run");
        let ports: Vec<_> = run.ports().collect();
        assert_eq!(ports, [(8000, 90), (8001, 91), (8002, 92)]);
        let all = parse("1-65535:1-65535").expect("a run");
        assert_eq!(all.ports().last(), Some((65535, 65535)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", PublishError::Port),
            ("0:80", PublishError::Port),
            ("65536:80", PublishError::Port),
            ("+1:80", PublishError::Port),
            ("90-80:90-80", PublishError::Port),
            ("80-90:80", PublishError::Lengths),
            ("::1:80:80", PublishError::Address),
            ("[::1]80:80", PublishError::Address),
            ("host:80:80", PublishError::Address),
            ("80:80/sctp", PublishError::Protocol),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
