//! What was refused, and how often: as the supervisor tells it at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::publish::Protocol;

/// Different things that are kept apart; a program that tries more is not told of each.
const MOST: usize = 256;

/// Something that the inside wanted and did not get.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A place.
    Address {
        /// Whether it was udp(7).
        udp: bool,
        /// Its address.
        to: SocketAddr,
    },
    /// An echo.
    Echo(IpAddr),
    /// The addresses of a name.
    Name(String),
}

/// How often what was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    counts: BTreeMap<Refusal, u64>,
    more: u64,
    /// Whether the kernel lets the caller send no echo requests.
    pub no_echo: bool,
}

impl Refused {
    /// Notes a place.
    pub fn address(&mut self, protocol: Protocol, to: SocketAddr) {
        let udp = protocol == Protocol::Udp;
        self.note(Refusal::Address { udp, to });
    }

    /// Notes an echo.
    pub fn echo(&mut self, to: IpAddr) {
        self.note(Refusal::Echo(to));
    }

    /// Notes a name.
    pub fn name(&mut self, name: &str) {
        // Only what can be told on one line.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        let name = if is_plain { name } else { "?" };
        self.note(Refusal::Name(name.to_owned()));
    }

    fn note(&mut self, what: Refusal) {
        if let Some(count) = self.counts.get_mut(&what) {
            *count += 1;
        } else if self.counts.len() < MOST {
            self.counts.insert(what, 1);
        } else {
            self.more += 1;
        }
    }

    /// Each of them with its count.
    pub fn all(&self) -> impl Iterator<Item = (&Refusal, u64)> {
        self.counts.iter().map(|(what, count)| (what, *count))
    }

    /// How many are not among these.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.more
    }

    /// How many altogether.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.more
    }
}

/// As lines, which [`FromStr`] reads again.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            match what {
                Refusal::Address { udp: false, to } => writeln!(f, "{count} tcp {to}")?,
                Refusal::Address { udp: true, to } => writeln!(f, "{count} udp {to}")?,
                Refusal::Echo(to) => writeln!(f, "{count} echo {to}")?,
                Refusal::Name(name) => writeln!(f, "{count} name {name}")?,
            }
        }
        if self.more > 0 {
            writeln!(f, "{} more -", self.more)?;
        }
        if self.no_echo {
            writeln!(f, "1 no-echo -")?;
        }
        Ok(())
    }
}

impl FromStr for Refused {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut refused = Self::default();
        for line in text.lines() {
            let (count, rest) = line.split_once(' ').ok_or(())?;
            let count = count.parse().map_err(|_| ())?;
            let (kind, what) = rest.split_once(' ').ok_or(())?;
            let address = || what.parse().map_err(|_| ());
            let refusal = match kind {
                "tcp" => Refusal::Address {
                    udp: false,
                    to: address()?,
                },
                "udp" => Refusal::Address {
                    udp: true,
                    to: address()?,
                },
                "echo" => Refusal::Echo(what.parse().map_err(|_| ())?),
                "name" => Refusal::Name(what.to_owned()),
                "more" => {
                    refused.more = count;
                    continue;
                }
                "no-echo" => {
                    refused.no_echo = true;
                    continue;
                }
                _ => return Err(()),
            };
            refused.counts.insert(refusal, count);
        }
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_reads_as_it_was_written() {
        let mut refused = Refused {
            no_echo: true,
            ..Refused::default()
        };
        for _ in 0..3 {
            refused.address(Protocol::Udp, SocketAddr::from(([192, 0, 2, 1], 53)));
        }
        refused.address(
            Protocol::Tcp,
            "[2001:db8::1]:443".parse().expect("an address"),
        );
        refused.echo(IpAddr::from([192, 0, 2, 1]));
        refused.name("example.org");
        refused.name("bad\nname");
        assert_eq!(refused.to_string().parse(), Ok(refused.clone()));
        assert_eq!(refused.total(), 7);
    }

    #[test]
    fn a_program_that_tries_everything_takes_no_memory_for_it() {
        let mut refused = Refused::default();
        for port in 0..10_000 {
            refused.address(Protocol::Tcp, SocketAddr::from(([192, 0, 2, 1], port)));
        }
        assert_eq!(refused.all().count(), MOST);
        assert_eq!(refused.total(), 10_000);
        assert_eq!(refused.to_string().parse(), Ok(refused));
    }
}
