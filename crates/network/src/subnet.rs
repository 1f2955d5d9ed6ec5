//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// That of IPv4 from `first` on.
    #[must_use]
    pub const fn v4(first: Ipv4Addr, prefix: u8) -> Self {
        Self {
            first: IpAddr::V4(first),
            prefix,
        }
    }

    /// That of IPv6 from `first` on.
    #[must_use]
    pub const fn v6(first: Ipv6Addr, prefix: u8) -> Self {
        Self {
            first: IpAddr::V6(first),
            prefix,
        }
    }

    /// How many bits are the same.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.first.is_ipv4()
    }

    /// The address of this number in it.
    #[must_use]
    pub fn at(self, number: u16) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => {
                Ipv4Addr::from(u32::from(first) + u32::from(number)).into()
            }
            IpAddr::V6(first) => {
                Ipv6Addr::from(u128::from(first) + u128::from(number)).into()
            }
        }
    }

    /// The number of an address in it.
    #[must_use]
    pub fn number_of(self, address: IpAddr) -> Option<u16> {
        let number = match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                u128::from(u32::from(address).checked_sub(u32::from(first))?)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                u128::from(address).checked_sub(u128::from(first))?
            }
            _ => return None,
        };
        let number = u16::try_from(number).ok()?;
        (number <= self.last()).then_some(number)
    }

    /// The highest number that a member can have; the one above is everybody's in IPv4.
    #[must_use]
    pub fn last(self) -> u16 {
        let bits = if self.is_v4() { 32 } else { 128 } - u32::from(self.prefix);
        match bits {
            16.. => u16::MAX - 1,
            bits => ((1_u32 << bits) - 2) as u16,
        }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.is_v4() == address.is_ipv4()
            && masked(self.first, self.prefix) == masked(address, self.prefix)
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        self.is_v4() == other.is_v4()
            && masked(self.first, prefix) == masked(other.first, prefix)
    }
}

/// The bits that a prefix has, as a number.
pub fn masked(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    bits.checked_shr(width - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is no subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetError;

impl fmt::Display for SubnetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected the first address and a prefix that leaves 2 to 16 bits \
             (IPv6: 16 to 64): 10.5.0.0/24",
        )
    }
}

impl std::error::Error for SubnetError {}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (first, prefix) = text.split_once('/').ok_or(SubnetError)?;
        let first: IpAddr = first.parse().map_err(|_| SubnetError)?;
        let prefix: u8 = prefix.parse().map_err(|_| SubnetError)?;
        let good = match first {
            IpAddr::V4(first) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                (16..=30).contains(&prefix) && u32::from(first) & host == 0
            }
            IpAddr::V6(first) => {
                let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                (64..=112).contains(&prefix) && u128::from(first) & host == 0
            }
        };
        good.then_some(Self { first, prefix }).ok_or(SubnetError)
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a subnet")
    }

    #[test]
    fn numbers_and_addresses_belong_together() {
        let net = subnet("10.5.0.0/24");
        assert_eq!(net.at(2).to_string(), "10.5.0.2");
        assert_eq!(net.last(), 254);
        assert_eq!(net.number_of(net.at(254)), Some(254));
        for other in ["10.5.0.255", "10.5.1.1", "10.4.255.255", "::1"] {
            assert_eq!(
                net.number_of(other.parse().expect("an address")),
                None,
                "{other}"
            );
        }
        assert_eq!(subnet("fd00::/64").at(300).to_string(), "fd00::12c");
        assert_eq!(subnet("10.5.0.0/16").last(), u16::MAX - 1);
    }

    #[test]
    fn what_shares_an_address_overlaps() {
        assert!(subnet("10.5.0.0/16").overlaps(subnet("10.5.7.0/24")));
        assert!(!subnet("10.5.0.0/24").overlaps(subnet("10.5.1.0/24")));
        assert!(!subnet("10.5.0.0/24").overlaps(subnet("fd00::/64")));
    }

    #[test]
    fn a_subnet_begins_at_its_first_address() {
        for text in [
            "10.5.0.1/24",
            "10.0.0.0/8",
            "10.5.0.0",
            "10.5.0.0/31",
            "fd00::1/64",
            "x/24",
        ] {
            assert_eq!(text.parse::<Subnet>(), Err(SubnetError), "{text}");
        }
    }
}
