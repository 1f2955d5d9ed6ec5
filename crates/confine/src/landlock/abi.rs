//! The version of Landlock that the kernel has.

use std::fmt;

use warren_sys::Errno;

/// A version of Landlock's interface; each has all that the ones before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Abi(u32);

impl Abi {
    /// Files can be moved between folders, if a rule says so (Linux 5.19). With the
    /// version before, whoever is restricted at all can move none, so that it is not
    /// used here for files.
    pub const REFER: Self = Self(2);
    /// Emptying a file (Linux 6.2).
    pub const TRUNCATE: Self = Self(3);
    /// TCP ports (Linux 6.7).
    pub const TCP: Self = Self(4);
    /// ioctl(2) of device files (Linux 6.10).
    pub const IOCTL_DEVICE: Self = Self(5);
    /// Abstract unix sockets and signals (Linux 6.12).
    pub const SCOPES: Self = Self(6);
    /// Unix sockets that have a path (Linux 7.1).
    pub const RESOLVE_UNIX: Self = Self(9);

    /// The version of this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// [`Missing`] where it has no Landlock for this process.
    pub fn probe() -> Result<Self, Missing> {
        warren_sys::landlock_abi().map(Self).map_err(Missing::of)
    }

    /// The first Linux that has it, as (major, minor); `None` for one that is newer than
    /// what this was written for.
    #[must_use]
    pub const fn since(self) -> Option<(u32, u32)> {
        Some(match self.0 {
            1 => (5, 13),
            2 => (5, 19),
            3 => (6, 2),
            4 => (6, 7),
            5 => (6, 10),
            6 => (6, 12),
            7 => (6, 15),
            8 => (7, 0),
            9 => (7, 1),
            _ => return None,
        })
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ABI {}", self.0)
    }
}

/// Why there is no Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The kernel was built without it, or a seccomp filter says so: `ENOSYS`.
    NotBuilt,
    /// The kernel was started without it: `EOPNOTSUPP`.
    NotStarted,
    /// Something else refuses it, such as a filter of another tool's container.
    Refused(Errno),
}

impl Missing {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOSYS => Self::NotBuilt,
            Errno::OPNOTSUPP => Self::NotStarted,
            errno => Self::Refused(errno),
        }
    }

    /// The way out.
    #[must_use]
    pub fn way_out(self) -> &'static str {
        match self {
            Self::NotBuilt => {
                "it needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and a container's filter must allow landlock_create_ruleset"
            }
            Self::NotStarted => "add landlock to the kernel's lsm= parameter",
            Self::Refused(_) => {
                "allow landlock_create_ruleset, landlock_add_rule and landlock_restrict_self in the container's seccomp profile"
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("this kernel has no Landlock"),
            Self::NotStarted => f.write_str("this kernel was started without Landlock"),
            Self::Refused(errno) => write!(f, "Landlock is refused: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_came_later_than_the_one_before() {
        let since: Vec<_> = (1..=9).map(|number| Abi::new(number).since()).collect();
        assert!(since.iter().all(Option::is_some));
        assert!(since.is_sorted());
        assert_eq!(Abi::new(10).since(), None);
    }

    #[test]
    fn this_kernel_answers() {
        let abi = Abi::probe().expect("the tests need Landlock");
        assert!(abi >= Abi::new(1), "{abi}");
    }

    #[test]
    fn an_errno_is_a_reason() {
        assert_eq!(Missing::of(Errno::NOSYS), Missing::NotBuilt);
        assert_eq!(Missing::of(Errno::OPNOTSUPP), Missing::NotStarted);
        let refused = Missing::of(Errno::PERM);
        assert!(refused.to_string().starts_with("Landlock is refused: "));
    }
}
