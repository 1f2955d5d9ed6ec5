//! Numbers with units, and where a connection goes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How much of a resource there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As much as the caller may have.
    Unlimited,
    /// This much, in the unit of the resource.
    At(u64),
}

impl Limit {
    /// As getrlimit(2) knows it: `None` is no limit.
    #[must_use]
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::At(value) => Some(value),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => serializer.serialize_str("unlimited"),
            Self::At(value) => serializer.serialize_u64(*value),
        }
    }
}

/// A suffix and what it stands for, the largest first.
pub(crate) type Units = [(&'static str, u64)];

pub(crate) const BYTES: &Units = &[
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];
pub(crate) const SECONDS: &Units = &[("h", 3600), ("m", 60), ("s", 1)];

/// `512M`, `unlimited`, or a number alone.
pub(crate) fn parse_limit(text: &str, units: &Units) -> Option<Limit> {
    if text == "unlimited" {
        return Some(Limit::Unlimited);
    }
    let unit = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    // u64::from_str takes a leading `+`.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    // The kernel's RLIM_INFINITY.
    (value != u64::MAX).then_some(Limit::At(value))
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The host's name or address; any host if `None`.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// A port of any host.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self { host: None, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEndpoint(String);

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no PORT or HOST:PORT", self.0)
    }
}

impl std::error::Error for NoEndpoint {}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    /// `443`, `example.org:443`, `[::1]:443`.
    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let wrong = || NoEndpoint(text.to_owned());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, text),
        };
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or_else(wrong)?;
        let host = host.map(|host| bare(host).ok_or_else(wrong)).transpose()?;
        Ok(Self { host, port })
    }
}

/// A host without the brackets that an address with colons needs.
fn bare(host: &str) -> Option<String> {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_plain = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| "[]/ ".contains(c) || c.is_control())
    };
    match inner {
        Some(address) => {
            (is_plain(address) && address.contains(':')).then(|| address.to_owned())
        }
        None => (is_plain(host) && !host.contains(':')).then(|| host.to_owned()),
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.host {
            Some(_) => serializer.collect_str(self),
            None => serializer.serialize_u16(self.port),
        }
    }
}
