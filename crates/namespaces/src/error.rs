//! The one error of this crate: what was done, to what, and what the kernel said.

use std::fmt;

use rustix::io::Errno;

/// An operation on an object that the kernel refused; prints as
/// `read /etc/subuid: Permission denied (os error 13)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    operation: &'static str,
    object: String,
    errno: Errno,
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
            errno,
        }
    }

    /// What the kernel answered; `EINVAL` also where a file held no number.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What it was about: a path, or a namespace.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.object, self.errno)
    }
}

impl std::error::Error for Error {}
