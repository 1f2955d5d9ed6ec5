//! The one error of this crate: what was done, to what, and what the kernel said.

use std::fmt;

use rustix::io::Errno;

use crate::NotProcfs;

/// An operation on an object that the kernel refused; prints as
/// `read /etc/subuid: Permission denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    operation: &'static str,
    object: String,
    cause: Cause,
    hints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Errno(Errno),
    NotProcfs,
    Words { errno: Errno, words: String },
}

impl Error {
    pub(crate) fn new(
        operation: &'static str,
        object: impl Into<String>,
        errno: Errno,
    ) -> Self {
        Self {
            operation,
            object: object.into(),
            cause: Cause::Errno(errno),
            hints: Vec::new(),
        }
    }

    /// One that says more than its errno does.
    pub(crate) fn words(
        operation: &'static str,
        object: impl Into<String>,
        errno: Errno,
        words: impl Into<String>,
    ) -> Self {
        let words = words.into();
        Self {
            operation,
            object: object.into(),
            cause: Cause::Words { errno, words },
            hints: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Why, and the way out, where that is known: one sentence each.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What the kernel answered; `EINVAL` also where a file held no number, `EXDEV`
    /// where something else than procfs is on /proc.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self.cause {
            Cause::Errno(errno) | Cause::Words { errno, .. } => errno,
            Cause::NotProcfs => Errno::XDEV,
        }
    }

    /// What it was about: a path, or a namespace.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.operation, self.object)?;
        match &self.cause {
            Cause::Errno(errno) => f.write_str(&errno_text(*errno)),
            Cause::Words { words, .. } => f.write_str(words),
            Cause::NotProcfs => f.write_str("not the root of a procfs"),
        }
    }
}

/// The words of an errno, without the number that `std` appends.
#[must_use]
pub fn errno_text(errno: Errno) -> String {
    io_error_text(&errno.into())
}

/// The words of an error of `std`, without the number that it appends to those of the
/// kernel.
#[must_use]
pub fn io_error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl From<NotProcfs> for Error {
    fn from(error: NotProcfs) -> Self {
        let cause = match error {
            NotProcfs::Open(errno) => Cause::Errno(errno),
            NotProcfs::Other => Cause::NotProcfs,
        };
        Self {
            operation: "open",
            object: "/proc".to_owned(),
            cause,
            hints: Vec::new(),
        }
    }
}

impl std::error::Error for Error {}
