//! The one error of this crate: what was done, to what, and what the kernel said.

use std::fmt;

use rustix::io::Errno;

use crate::setting::Refused;

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
    Refused(Vec<Refused>),
    Told {
        what: String,
        errno: Errno,
    },
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

    /// Limits that cannot be had.
    pub(crate) fn refused(limits: Vec<Refused>) -> Self {
        Self(Inner::Refused(limits))
    }

    /// What somebody else than the kernel said, in words.
    pub(crate) fn told(what: impl Into<String>, errno: Errno) -> Self {
        Self(Inner::Told {
            what: what.into(),
            errno,
        })
    }

    /// The limits that cannot be had, if that is why.
    #[must_use]
    pub fn limits(&self) -> &[Refused] {
        match &self.0 {
            Inner::Refused(limits) => limits,
            _ => &[],
        }
    }

    /// What the kernel answered.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match &self.0 {
            Inner::Refused(_) => Errno::OPNOTSUPP,
            Inner::Told { errno, .. } => *errno,
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

impl From<warren_namespaces::NotProcfs> for Error {
    fn from(error: warren_namespaces::NotProcfs) -> Self {
        Self::told(error.to_string(), Errno::NOENT)
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
            Inner::Refused(limits) => {
                let words: Vec<String> = limits.iter().map(ToString::to_string).collect();
                write!(f, "limit {}", words.join("; "))
            }
            Inner::Told { what, .. } => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
