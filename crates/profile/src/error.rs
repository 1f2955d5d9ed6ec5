//! What is wrong with a profile, and where.

use std::fmt;

/// A profile that cannot be used; prints as
/// `read the profile build.toml, line 3, files.raed: unknown key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Error {
    /// The file, or the name of a shipped profile; empty where it is not known.
    pub file: String,
    /// The line, from 1 on.
    pub line: Option<usize>,
    /// The key: `files.read`.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// Why, and the way out: one sentence each.
    pub hints: Vec<String>,
}

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn file(mut self, file: impl fmt::Display) -> Self {
        self.file = file.to_string();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read the profile")?;
        if !self.file.is_empty() {
            write!(f, " {}", self.file)?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", {key}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Error {}
