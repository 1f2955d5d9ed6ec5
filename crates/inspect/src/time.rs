//! Offsets of the clocks: time_namespaces(7).

use serde::{Deserialize, Serialize};

use crate::difference::{Fact, Facts};

/// How far the clocks of a time namespace are from the machine's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Nanoseconds that `CLOCK_MONOTONIC` is ahead.
    pub monotonic_ns: i64,
    /// Nanoseconds that `CLOCK_BOOTTIME` is ahead.
    pub boottime_ns: i64,
}

impl Clocks {
    /// From the text of /proc/PID/timens_offsets.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let offset = |clock: &str| {
            let mut lines = text.lines().map(str::split_ascii_whitespace);
            let mut words =
                lines.find_map(|mut words| (words.next()? == clock).then_some(words))?;
            let seconds: i64 = words.next()?.parse().ok()?;
            let nanoseconds: i64 = words.next()?.parse().ok()?;
            seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
        };
        Some(Self {
            monotonic_ns: offset("monotonic")?,
            boottime_ns: offset("boottime")?,
        })
    }
}

impl Facts for Clocks {
    fn facts(&self) -> Vec<Fact> {
        let fact = |name, offset: i64| Fact::new("clock", name, seconds(offset));
        vec![
            fact("monotonic", self.monotonic_ns),
            fact("boottime", self.boottime_ns),
        ]
    }
}

/// `+1000 s`, `-0.5 s`.
fn seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { '-' } else { '+' };
    let (whole, part) = (
        nanoseconds.unsigned_abs() / 1_000_000_000,
        nanoseconds.unsigned_abs() % 1_000_000_000,
    );
    if part == 0 {
        return format!("{sign}{whole} s");
    }
    let part = format!("{part:09}");
    format!("{sign}{whole}.{} s", part.trim_end_matches('0'))
}

impl Clocks {
    /// Both offsets in words: `+1000 s`.
    #[must_use]
    pub fn words(self) -> [(&'static str, String); 2] {
        [
            ("monotonic", seconds(self.monotonic_ns)),
            ("boottime", seconds(self.boottime_ns)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_with_their_sign() {
        let text = b"monotonic           0         0\nboottime        -1000 500000000\n";
        let clocks = Clocks::parse(text).expect("the kernel's text");
        assert_eq!(clocks.monotonic_ns, 0);
        assert_eq!(clocks.boottime_ns, -999_500_000_000);
        assert_eq!(clocks.words()[1].1, "-999.5 s");
        assert_eq!(seconds(1_000_000_000_000), "+1000 s");
    }

    #[test]
    fn what_is_no_such_file_is_none() {
        for text in ["", "monotonic 0 0\n", "monotonic x 0\nboottime 0 0\n"] {
            assert_eq!(Clocks::parse(text.as_bytes()), None, "{text:?}");
        }
        let beyond = format!("monotonic {} 0\nboottime 0 0\n", i64::MAX);
        assert_eq!(Clocks::parse(beyond.as_bytes()), None);
    }
}
