//! What a picture says about itself: of which machine, when, how complete.

use std::time::{SystemTime, UNIX_EPOCH};

use warren_namespaces::{NamespaceSet, Snapshot};

use super::is_all;
use crate::ls::complete;
use crate::terminal::printable;
use crate::words::{self, count};

/// The words around a picture.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `Namespaces of HOST`.
    pub title: String,
    /// How many there are of what.
    pub summary: String,
    /// When it was taken.
    pub time: String,
    /// How complete it is.
    pub complete: String,
}

impl Facts {
    /// About a snapshot that was taken just now.
    pub fn new(snapshot: &Snapshot, kinds: NamespaceSet) -> Self {
        let uname = rustix::system::uname();
        let host = printable(&uname.nodename().to_string_lossy());
        let of_kinds = |text: &str| match is_all(kinds) {
            true => format!("{text} of {host}"),
            false => format!("{text} of {host}: {}", words::kinds(kinds).join(" ")),
        };
        let asked = snapshot.namespaces.iter();
        let number = asked
            .filter(|namespace| kinds.contains(namespace.kind))
            .count();
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            title: of_kinds("Namespaces"),
            summary: format!(
                "{}, {}",
                count(number, "namespace", "namespaces"),
                words::processes(snapshot.processes.len())
            ),
            time: time(since.as_secs()),
            complete: complete::completeness(snapshot),
        }
    }
}

/// `2026-02-03 04:05 UTC`, from seconds since 1970.
fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3600, rest % 3600 / 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The day after so many since 1970-01-01: counted in eras of 400 years that begin in
/// March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const TO_1970: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days + TO_1970;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}

#[cfg(test)]
impl Facts {
    /// Of a test, the same each time.
    pub fn sample() -> Self {
        Self {
            title: "Namespaces of burrow".to_owned(),
            summary: "24 namespaces, 7 processes".to_owned(),
            time: time(1_770_091_500),
            complete: "7 processes read; nothing was unreadable".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        assert_eq!(time(0), "1970-01-01 00:00 UTC");
        assert_eq!(time(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(time(1_770_091_500), "2026-02-03 04:05 UTC");
        assert_eq!(time(4_102_444_799), "2099-12-31 23:59 UTC");
    }
}
