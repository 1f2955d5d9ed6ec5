//! The eight kinds of namespace and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the eight kinds of namespace: namespaces(7).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Mount points: mount_namespaces(7).
    Mnt,
    /// Network devices, addresses, ports: network_namespaces(7).
    Net,
    /// System V IPC and POSIX message queues: ipc_namespaces(7).
    Ipc,
    /// User and group ids, capabilities: user_namespaces(7).
    User,
    /// Process ids: pid_namespaces(7).
    Pid,
    /// Host name and NIS domain: uts_namespaces(7).
    Uts,
    /// The root of the cgroup tree as processes see it: cgroup_namespaces(7).
    Cgroup,
    /// Offsets of the monotonic and boot-time clocks: time_namespaces(7).
    Time,
}

impl Kind {
    /// Every kind, in the order in which this project lists them.
    pub const ALL: [Self; 8] = [
        Self::Mnt,
        Self::Net,
        Self::Ipc,
        Self::User,
        Self::Pid,
        Self::Uts,
        Self::Cgroup,
        Self::Time,
    ];

    /// Its name in /proc/PID/ns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::User => "user",
            Self::Pid => "pid",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// Its `CLONE_NEW*` bit for clone3(2), unshare(2) and setns(2).
    #[must_use]
    pub const fn clone_flag(self) -> u64 {
        match self {
            Self::Mnt => 0x0002_0000,
            Self::Net => 0x4000_0000,
            Self::Ipc => 0x0800_0000,
            Self::User => 0x1000_0000,
            Self::Pid => 0x2000_0000,
            Self::Uts => 0x0400_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Time => 0x0000_0080,
        }
    }

    /// The sysctl below /proc/sys/user that limits how many of the kind a user may
    /// make; namespaces(7).
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Mnt => "max_mnt_namespaces",
            Self::Net => "max_net_namespaces",
            Self::Ipc => "max_ipc_namespaces",
            Self::User => "max_user_namespaces",
            Self::Pid => "max_pid_namespaces",
            Self::Uts => "max_uts_namespaces",
            Self::Cgroup => "max_cgroup_namespaces",
            Self::Time => "max_time_namespaces",
        }
    }

    /// The inode of the first namespace of the kind, where it is the same on every
    /// machine that runs Linux; `PROC_*_INIT_INO`.
    #[must_use]
    pub const fn first_inode(self) -> Option<u64> {
        match self {
            Self::Ipc => Some(0xefff_ffff),
            Self::Uts => Some(0xefff_fffe),
            Self::User => Some(0xefff_fffd),
            Self::Pid => Some(0xefff_fffc),
            Self::Cgroup => Some(0xefff_fffb),
            Self::Time => Some(0xefff_fffa),
            // KERNEL(6.18): fixed as well, and counted up at boot before.
            Self::Mnt | Self::Net => None,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no kind of namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKind(String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown namespace kind '{}' (there are", self.0)?;
        Kind::ALL.iter().try_for_each(|kind| write!(f, " {kind}"))?;
        f.write_str(")")
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes the names of /proc/PID/ns, and `mount` for `mnt` and `network` for
    /// `net`, which nsenter and the OCI specification use.
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        match name {
            "mount" => Ok(Self::Mnt),
            "network" => Ok(Self::Net),
            _ => Self::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(|| UnknownKind(name.to_owned())),
        }
    }
}

/// A set of kinds.
///
/// ```
/// use warren_namespaces::{Kind, NamespaceSet};
///
/// let set: NamespaceSet = [Kind::Net, Kind::User].into_iter().collect();
/// assert_eq!(set.to_string(), "net,user");
/// assert!(set.contains(Kind::Net) && !set.contains(Kind::Pid));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NamespaceSet(u8);

impl NamespaceSet {
    /// No kind.
    pub const EMPTY: Self = Self(0);
    /// All eight.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The set with `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// The set without `kind`.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// The kinds that are in both.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no kind is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in it, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }

    /// The `CLONE_NEW*` bits of all kinds in it.
    #[must_use]
    pub fn clone_flags(self) -> u64 {
        self.iter().fold(0, |flags, kind| flags | kind.clone_flag())
    }
}

impl FromIterator<Kind> for NamespaceSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for NamespaceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, kind) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(kind.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for NamespaceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clone_flags_are_the_kernels() {
        let all = 0x7e02_0080;
        assert_eq!(NamespaceSet::ALL.clone_flags(), all);
        assert_eq!(NamespaceSet::EMPTY.clone_flags(), 0);
    }

    #[test]
    fn every_name_parses_back_to_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("network".parse(), Ok(Kind::Net));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "nte".parse::<Kind>().expect_err("nte is no kind");
        assert_eq!(
            error.to_string(),
            "unknown namespace kind 'nte' \
             (there are mnt net ipc user pid uts cgroup time)"
        );
    }
}
