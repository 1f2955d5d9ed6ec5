//! The file that says what is kept: `KEY VALUE` lines, the version first.

use std::fmt::Write;
use std::path::Path;

use rustix::io::Errno;

use super::HolderId;
use crate::{Error, Kind, NamespaceSet};

/// Raised when an older reader could not do with what a newer writer writes.
const VERSION: u32 = 1;

const NEWER: &str = "it was written by a newer warren";

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The kinds that are kept.
    pub kinds: NamespaceSet,
    /// The process that holds some of them.
    pub holder: Option<HolderId>,
}

impl Record {
    /// Reads a record; `None` where there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(text) = read(path)? else {
            return Ok(None);
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|words| bad(path, words))
    }

    /// The holder that a record names, however little else can be understood of it; not
    /// of one that a newer version wrote, which may have more than one.
    pub fn holder_of(path: &Path) -> Result<Option<HolderId>, Error> {
        let Some(text) = read(path)? else {
            return Ok(None);
        };
        match Self::parse(&text) {
            Err(NEWER) => Err(bad(path, NEWER)),
            _ => Ok(value(&text, "holder").and_then(HolderId::parse)),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        match value(text, "version").map(str::parse) {
            Some(Ok(VERSION)) => {}
            Some(Ok(1..)) => return Err(NEWER),
            _ => return Err("it is no record of kept namespaces"),
        }
        let kinds = value(text, "kinds").ok_or("it names no kinds")?;
        let kinds: Result<NamespaceSet, _> =
            kinds.split(',').map(str::parse::<Kind>).collect();
        let holder = value(text, "holder")
            .map(|holder| HolderId::parse(holder).ok_or("its holder cannot be read"))
            .transpose()?;
        Ok(Self {
            kinds: kinds.map_err(|_| "it names a kind that is unknown here")?,
            holder,
        })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!("version {VERSION}\nkinds {}\n", self.kinds);
        if let Some(holder) = &self.holder {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "holder {holder}");
        }
        text
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
            Err(Error::new("read", path.display().to_string(), errno))
        }
        Ok(text) => Ok(Some(text)),
    }
}

fn bad(path: &Path, words: &str) -> Error {
    Error::words("read", path.display().to_string(), Errno::INVAL, words)
}

/// What stands behind a key.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(found, value)| (found == key).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kinds: [Kind::Net, Kind::Pid].into_iter().collect(),
            holder: HolderId::parse("12 3400 99 4026531836 0a-b"),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let text = record().text();
        assert_eq!(
            text,
            "version 1\nkinds net,pid\nholder 12 3400 99 4026531836 0a-b\n"
        );
        assert_eq!(Record::parse(&text), Ok(record()));
        let holder = None;
        let bare = Record { holder, ..record() };
        assert_eq!(Record::parse(&bare.text()), Ok(bare));
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_a_later_version_is_not() {
        let text = record().text() + "colour blue\n";
        assert_eq!(Record::parse(&text), Ok(record()));
        let newer = text.replace("version 1", "version 2");
        assert_eq!(
            Record::parse(&newer),
            Err("it was written by a newer warren")
        );
    }

    #[test]
    fn half_a_record_is_none() {
        for text in [
            "",
            "version 1\n",
            "version 0\nkinds net\n",
            "version 1\nkinds colour\n",
            "version 1\nkinds net\nholder 12\n",
        ] {
            assert!(Record::parse(text).is_err(), "{text:?}");
        }
    }
}
