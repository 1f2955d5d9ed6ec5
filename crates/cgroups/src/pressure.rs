//! How long processes of a group waited for what others had: PSI.

use serde::{Deserialize, Serialize};

use crate::Cgroup;

/// What of the time was lost for want of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// A CPU.
    pub cpu: Option<Stalls>,
    /// Memory.
    pub memory: Option<Stalls>,
    /// Block devices.
    pub io: Option<Stalls>,
}

/// Time lost for want of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalls {
    /// While some process waited.
    pub some: Stall,
    /// While all of them did.
    pub full: Stall,
}

/// A share of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// Hundredths of a percent of the last 10 seconds.
    pub avg10: u32,
    /// Of the last 60.
    pub avg60: u32,
    /// Of the last 300.
    pub avg300: u32,
    /// Microseconds since the group was made.
    pub total_us: u64,
}

impl Cgroup {
    /// The pressure on the group; a part is `None` where the kernel does not tell: v1 has
    /// none, and Linux may be told at boot to count none (`psi=0`). That on the first group
    /// is that on the whole machine, and left out.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let tier = self.v2().filter(|tier| !tier.is_first());
        let read = |name| parse(&tier?.read(name)?);
        Pressure {
            cpu: read("cpu.pressure"),
            memory: read("memory.pressure"),
            io: read("io.pressure"),
        }
    }
}

/// `some avg10=0.12 avg60=0.00 avg300=0.00 total=345` and the same for `full`, which the
/// CPU had not before Linux 5.13.
fn parse(text: &str) -> Option<Stalls> {
    let line = |name| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(word, _)| *word == name)
            .map(|(_, rest)| stall(rest))
    };
    Some(Stalls {
        some: line("some")?,
        full: line("full").unwrap_or_default(),
    })
}

fn stall(text: &str) -> Stall {
    let value = |name: &str| {
        let mut words = text.split_ascii_whitespace();
        words
            .find_map(|word| word.strip_prefix(name))
            .unwrap_or("0")
    };
    Stall {
        avg10: hundredths(value("avg10=")),
        avg60: hundredths(value("avg60=")),
        avg300: hundredths(value("avg300=")),
        total_us: value("total=").parse().unwrap_or(0),
    }
}

/// `12.34` as 1234.
fn hundredths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u32 = whole.parse().unwrap_or(0);
    whole.saturating_mul(100) + part.parse::<u32>().unwrap_or(0).min(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read() {
        let text = "some avg10=1.50 avg60=0.02 avg300=100.00 total=345\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let found = parse(text).expect("a good file");
        let expected = Stall {
            avg10: 150,
            avg60: 2,
            avg300: 10_000,
            total_us: 345,
        };
        assert_eq!(found.some, expected);
        assert_eq!(found.full.total_us, 7);
    }

    #[test]
    fn a_kernel_that_does_not_count_tells_nothing() {
        assert_eq!(parse(""), None);
    }
}
