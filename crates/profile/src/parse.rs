//! Text to profile: TOML, and words for what is wrong with it.

use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::profile::Profile;

/// The longest profile, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

impl FromStr for Profile {
    type Err = Error;

    /// The profile that a text says; what it includes is not looked at.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(too_long());
        }
        let parsed = toml::Deserializer::parse(text).and_then(Self::deserialize);
        let profile = parsed.map_err(|error| of_toml(text, &error))?;
        profile.check().map_err(|error| located(text, error))?;
        Ok(profile)
    }
}

pub(crate) fn too_long() -> Error {
    Error::new("it has more than 1 MiB")
        .hint("a profile is a short text; is it this file?")
}

/// An error of the parser in our words, with its line and key.
fn of_toml(text: &str, error: &toml::de::Error) -> Error {
    let message = error.message().replace('`', "'");
    let span = error.span();
    let mut own = match message.strip_prefix("unknown field ") {
        Some(rest) => Error::new(format!("unknown key {rest}")),
        None if message == "missing field 'version'" => {
            let what = "it does not say which version of the format it has";
            return Error::new(what).hint("write version = 1 in its first line");
        }
        None => Error::new(message.trim_end()),
    };
    own.line = span.as_ref().map(|span| line(text, span.start));
    own.key = span.and_then(|span| key_at(text, &span));
    own.hint("docs/profiles.md has every key")
}

/// An error on a key with the line of that key.
fn located(text: &str, mut error: Error) -> Error {
    let (table, _) = DeTable::parse_recoverable(text);
    let key = error.key.as_deref().unwrap_or_default();
    let mut place = None;
    walk(table.get_ref(), "", &mut |path, at, _| {
        if path == key {
            place = Some(line(text, at.start));
        }
    });
    error.line = place;
    error
}

/// The longest key whose name or value lies around a place in the text.
fn key_at(text: &str, span: &Range<usize>) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut found = None;
    walk(table.get_ref(), "", &mut |path, key, value| {
        let has =
            |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
        if has(&key) || has(&value) {
            found = Some(path.to_owned());
        }
    });
    found
}

/// Is told a key, and where it and its value are.
type Look<'a> = dyn FnMut(&str, Range<usize>, Range<usize>) + 'a;

/// Shows every key, the deeper ones later.
fn walk(table: &DeTable<'_>, above: &str, look: &mut Look<'_>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = match above {
            "" => name.to_string(),
            _ => format!("{above}.{name}"),
        };
        look(&path, key.span(), Spanned::span(value));
        if let DeValue::Table(inner) = value.get_ref() {
            walk(inner, &path, look);
        }
    }
}

fn line(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    1 + before.filter(|byte| **byte == b'\n').count()
}
