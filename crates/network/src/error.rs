//! What can go wrong: what was being done, with what, and the errno.

use std::fmt;

use rustix::io::Errno;

/// A failure, and hints at reasons and ways out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    doing: String,
    errno: Option<Errno>,
    hints: Vec<String>,
}

impl Error {
    /// Something that the kernel has refused.
    #[must_use]
    pub fn new(doing: impl Into<String>, errno: Errno) -> Self {
        Self {
            doing: doing.into(),
            errno: Some(errno),
            hints: Vec::new(),
        }
    }

    /// Something that is wrong by itself.
    #[must_use]
    pub fn words(words: impl Into<String>) -> Self {
        Self {
            doing: words.into(),
            errno: None,
            hints: Vec::new(),
        }
    }

    /// Adds a reason or a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What was being done.
    #[must_use]
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// What the kernel said.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// Reasons and ways out.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => {
                let text = warren_namespaces::errno_text(errno);
                write!(f, "{}: {text}", self.doing)
            }
            None => f.write_str(&self.doing),
        }
    }
}

impl std::error::Error for Error {}

/// Why many are named at once: what goes on after a failure collects them.
pub type Result<T> = std::result::Result<T, Error>;
