//! What is lost between the two languages.

use std::fmt;

/// Something that the other language cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The property of config.json: `linux.intelRdt`. Of a Spec, what it is about.
    pub path: String,
    /// What becomes of it, in words.
    pub what: String,
    /// Whether the program is less isolated without it.
    pub weakens: bool,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// A list of them, as it grows.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<Unsupported>);

impl Losses {
    /// Notes one without which the program is isolated as before.
    pub fn note(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.push(path.into(), what.into(), false);
    }

    /// Notes one without which it is isolated less.
    pub fn weaker(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.push(path.into(), what.into(), true);
    }

    fn push(&mut self, path: String, what: String, weakens: bool) {
        self.0.push(Unsupported {
            path,
            what,
            weakens,
        });
    }

    pub fn into_vec(self) -> Vec<Unsupported> {
        self.0
    }
}
