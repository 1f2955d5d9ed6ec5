//! The one error of this crate: what was done, to what, and what the kernel said.

use std::fmt;

use rustix::io::Errno;

/// An operation on a cgroup that the kernel refused; prints as
/// `join /sys/fs/cgroup/pids/a: Permission denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    Cgroup {
        operation: &'static str,
        object: String,
        errno: Errno,
    },
    Proc(warren_namespaces::Error),
}

impl Error {
    pub(crate) fn new(
        operation: &'static str,
        object: impl Into<String>,
        errno: Errno,
    ) -> Self {
        Self(Inner::Cgroup {
            operation,
            object: object.into(),
            errno,
        })
    }

    /// What the kernel answered.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match &self.0 {
            Inner::Cgroup { errno, .. } => *errno,
            Inner::Proc(error) => error.errno(),
        }
    }
}

impl From<warren_namespaces::Error> for Error {
    fn from(error: warren_namespaces::Error) -> Self {
        Self(Inner::Proc(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Cgroup {
                operation,
                object,
                errno,
            } => write!(
                f,
                "{operation} {object}: {}",
                warren_namespaces::errno_text(*errno)
            ),
            Inner::Proc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
