//! A ruleset, in the form in which the kernel takes it: for the child.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use warren_sys::{LandlockRuleset, Result};

use super::{Files, Scopes, Tcp};

/// What a ruleset answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Refused on every file on which no rule allows it.
    pub files: Files,
    /// Refused on every port on which no rule allows it.
    pub tcp: Tcp,
    /// Kept among the restricted processes.
    pub scopes: Scopes,
}

impl Handled {
    /// Whether it would restrict nothing.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// A ruleset in the kernel. Each method is one system call and nothing else.
#[derive(Debug)]
pub struct Ruleset {
    fd: OwnedFd,
}

impl Ruleset {
    /// A ruleset without rules.
    ///
    /// # Errors
    /// As landlock_create_ruleset(2).
    pub fn new(handled: Handled) -> Result<Self> {
        let fd = warren_sys::landlock_create(&LandlockRuleset {
            handled_files: handled.files.bits(),
            handled_net: handled.tcp.bits(),
            scoped: handled.scopes.bits(),
        })?;
        Ok(Self { fd })
    }

    /// Allows `rights`, which must be handled, on `place` and all below it.
    ///
    /// # Errors
    /// `EINVAL` for rights that are not handled, or of a folder on another file;
    /// `EBADFD` for what has no path, as a pipe.
    pub fn allow(&self, place: BorrowedFd<'_>, rights: Files) -> Result<()> {
        warren_sys::landlock_add_path(self.fd.as_fd(), place, rights.bits())
    }

    /// Allows a port.
    ///
    /// # Errors
    /// `EINVAL` where ports are not handled.
    pub fn allow_port(&self, port: u16, rights: Tcp) -> Result<()> {
        warren_sys::landlock_add_port(self.fd.as_fd(), port, rights.bits())
    }

    /// Restricts the calling thread and what it will fork, for good.
    ///
    /// # Errors
    /// `EPERM` without no_new_privs; `E2BIG` for more than 16 rulesets on one process.
    pub fn restrict_self(&self) -> Result<()> {
        warren_sys::landlock_restrict_self(self.fd.as_fd())
    }
}
