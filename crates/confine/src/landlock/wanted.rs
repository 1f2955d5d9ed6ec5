//! What is wanted of Landlock, and what of it a kernel lacks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Abi, Files, Handled, Missing, Scopes, Tcp};

/// What is wanted. Which files a process may use is not said here: that follows from what
/// is mounted for it.
///
/// The default asks for all that the kernel has, and goes on without what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Landlock {
    /// Whether the rules on files must hold: else a kernel without them is good enough,
    /// since the mounts hold too.
    pub required: bool,
    /// The TCP ports that may be used, and no other; all if `None`. Nothing else holds
    /// these, so that a kernel without them is never good enough.
    pub ports: Option<Ports>,
}

/// TCP ports that may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    /// To connect to, on any address.
    pub connect: Vec<u16>,
    /// To bind to; 0 is one that the kernel chooses.
    pub bind: Vec<u16>,
}

impl Ports {
    /// Each port that is named, and what may be done with it.
    pub fn rules(&self) -> impl Iterator<Item = (u16, Tcp)> + '_ {
        let connect = self.connect.iter().map(|port| (*port, Tcp::CONNECT));
        let bind = self.bind.iter().map(|port| (*port, Tcp::BIND));
        connect.chain(bind)
    }
}

/// A rule that was asked for and that the kernel cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// What the rule is about.
    pub what: &'static str,
    /// The first version that holds it.
    pub needs: Abi,
    /// What the kernel has.
    pub has: Result<Abi, Missing>,
}

impl TooOld {
    /// The way out.
    #[must_use]
    pub fn way_out(&self) -> String {
        match (self.has, self.needs.since()) {
            (Err(missing), _) => missing.way_out().to_owned(),
            (Ok(_), Some((major, minor))) => {
                format!("it came with Linux {major}.{minor}")
            }
            (Ok(_), None) => format!("it came with {}", self.needs),
        }
    }
}

/// `this kernel has Landlock ABI 3, and TCP ports need ABI 4`.
impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, needs, has } = self;
        match has {
            Err(missing) => write!(f, "{missing}, which {what} need"),
            Ok(abi) => {
                write!(f, "this kernel has Landlock {abi}, and {what} need {needs}")
            }
        }
    }
}

impl std::error::Error for TooOld {}

/// What is left open on a kernel, for the reader of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What.
    pub what: &'static str,
    /// The first version that would not.
    pub needs: Abi,
}

impl Landlock {
    /// Whether the kernel can hold what must hold.
    ///
    /// # Errors
    /// [`TooOld`] for what it cannot.
    pub fn check(&self, has: Result<Abi, Missing>) -> Result<(), TooOld> {
        let lacks = |needs| has.map_or(true, |abi| abi < needs);
        let must = [
            (self.ports.is_some(), "rules on TCP ports", Abi::TCP),
            // Before it a file that may only be read can be emptied.
            (self.required, "rules on files", Abi::TRUNCATE),
        ];
        match must.into_iter().find(|(is, _, needs)| *is && lacks(*needs)) {
            Some((_, what, needs)) => Err(TooOld { what, needs, has }),
            None => Ok(()),
        }
    }

    /// What a kernel can hold of it.
    #[must_use]
    pub fn handled(&self, has: Result<Abi, Missing>) -> Handled {
        let Ok(abi) = has else {
            return Handled::default();
        };
        Handled {
            files: Files::of(abi),
            tcp: match self.ports {
                Some(_) => Tcp::of(abi),
                None => Tcp::empty(),
            },
            scopes: Scopes::of(abi),
        }
    }

    /// What a kernel with Landlock of version `abi` leaves open.
    pub fn lacks(abi: Abi) -> impl Iterator<Item = Lack> {
        const ALL: [(&str, Abi); 5] = [
            ("which files are used", Abi::REFER),
            (
                "whether a file that may only be read is emptied",
                Abi::TRUNCATE,
            ),
            ("ioctl(2) of device files", Abi::IOCTL_DEVICE),
            ("abstract unix sockets and signals", Abi::SCOPES),
            ("unix sockets that have a path", Abi::RESOLVE_UNIX),
        ];
        ALL.into_iter()
            .filter(move |(_, needs)| abi < *needs)
            .map(|(what, needs)| Lack { what, needs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abi(number: u32) -> Result<Abi, Missing> {
        Ok(Abi::new(number))
    }

    fn with_ports() -> Landlock {
        Landlock {
            ports: Some(Ports::default()),
            ..Landlock::default()
        }
    }

    #[test]
    fn best_effort_takes_any_kernel() {
        let wanted = Landlock::default();
        let none = Err(Missing::NotBuilt);
        assert_eq!(wanted.check(none), Ok(()));
        assert_eq!(wanted.handled(none), Handled::default());
        let first = wanted.handled(abi(1));
        assert!(first.is_nothing(), "{first:?}");
        assert_eq!(wanted.handled(abi(3)).files, Files::of(Abi::new(3)));
        assert!(wanted.handled(abi(7)).tcp.is_empty());
        assert_eq!(wanted.handled(abi(7)).scopes, Scopes::all());
    }

    #[test]
    fn what_must_hold_names_what_the_kernel_lacks() {
        let required = Landlock {
            required: true,
            ..Landlock::default()
        };
        let error = required.check(abi(2)).expect_err("too old");
        let text = "this kernel has Landlock ABI 2, and rules on files need ABI 3";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.way_out(), "it came with Linux 6.2");
        assert_eq!(required.check(abi(3)), Ok(()));
        let error = required.check(Err(Missing::NotBuilt)).expect_err("none");
        let text = "this kernel has no Landlock, which rules on files need";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn ports_must_hold_whether_required_or_not() {
        let error = with_ports().check(abi(3)).expect_err("too old");
        assert_eq!(error.needs, Abi::TCP);
        assert_eq!(with_ports().check(abi(4)), Ok(()));
        assert_eq!(with_ports().handled(abi(4)).tcp, Tcp::all());
    }

    #[test]
    fn a_newer_kernel_leaves_less_open() {
        let open = |number| Landlock::lacks(Abi::new(number)).count();
        assert_eq!([1, 2, 3, 5, 7, 9].map(open), [5, 4, 3, 2, 1, 0]);
    }
}
