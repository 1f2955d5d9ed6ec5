//! Addresses of sockets.

use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where a socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An address and a port.
    Inet(SocketAddr),
    /// A file.
    File(PathBuf),
    /// A name in the network namespace, without a file.
    Abstract(Vec<u8>),
    /// Of another family: `AF_*`.
    Other(u16),
}

// linux/socket.h.
const AF_UNSPEC: u16 = 0;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

impl Address {
    /// Reads a `struct sockaddr`. `None` where it says nothing: a family of no address,
    /// by which a socket is disconnected; a unix address without a name.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        match u16::from_ne_bytes(*family) {
            AF_UNSPEC => None,
            AF_UNIX => unix(rest),
            AF_INET => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
                let port = u16::from_be_bytes(*port);
                Some(Self::Inet(SocketAddr::new(ip.into(), port)))
            }
            AF_INET6 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                // After the flow label.
                let ip = Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?);
                let port = u16::from_be_bytes(*port);
                Some(Self::Inet(SocketAddr::new(ip.to_canonical(), port)))
            }
            other => Some(Self::Other(other)),
        }
    }

    /// Whether it is on the interface `lo`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Inet(address) if address.ip().is_loopback())
    }
}

fn unix(path: &[u8]) -> Option<Address> {
    match path.split_first()? {
        (0, name) => Some(Address::Abstract(name.to_vec())),
        _ => {
            let end = path.iter().position(|byte| *byte == 0);
            let path = &path[..end.unwrap_or(path.len())];
            Some(Address::File(OsStr::from_bytes(path).into()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => write!(f, "{address}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Self::Other(family) => write!(f, "an address of family {family}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(family: u16, rest: &[u8]) -> Vec<u8> {
        [&family.to_ne_bytes(), rest].concat()
    }

    #[track_caller]
    fn assert_reads(family: u16, rest: &[u8], text: Option<&str>) {
        let address = Address::parse(&bytes(family, rest));
        assert_eq!(address.map(|address| address.to_string()).as_deref(), text);
    }

    #[test]
    fn each_family_is_read_and_what_is_too_short_is_none() {
        assert_reads(
            AF_INET,
            &[1, 187, 192, 0, 2, 1, 0, 0],
            Some("192.0.2.1:443"),
        );
        assert_reads(AF_INET, &[1, 187, 192, 0, 2], None);
        let mut six = [0; 26];
        (six[1], six[21]) = (80, 1);
        assert_reads(AF_INET6, &six, Some("[::1]:80"));
        assert_reads(AF_INET6, &six[..20], None);
        assert_reads(AF_UNIX, b"/run/x.sock\0more", Some("/run/x.sock"));
        assert_reads(AF_UNIX, b"no-nul", Some("no-nul"));
        assert_reads(AF_UNIX, b"\0name", Some("@name"));
        assert_reads(AF_UNIX, b"", None);
        assert_reads(16, &[0; 10], Some("an address of family 16"));
        assert_reads(AF_UNSPEC, &[0; 14], None);
        assert_eq!(Address::parse(&[2]), None);
    }

    #[test]
    fn an_ipv4_address_is_the_same_as_ipv6() {
        let mut six = vec![0, 80, 0, 0, 0, 0];
        six.extend_from_slice(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        let address = Address::parse(&bytes(AF_INET6, &six)).expect("an address");
        assert_eq!(address.to_string(), "127.0.0.1:80");
        assert!(address.is_loopback());
    }
}
