//! What is to become of the calling process: the values that a front end fills.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use warren_namespaces::{IdMap, Kind, NamespaceSet};

/// What becomes of the calling process before it executes a program.
///
/// The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transition {
    /// What it enters.
    pub enter: Enter,
    /// What it makes new.
    pub create: Create,
    /// What becomes its root, by chroot(2).
    pub root: Option<Place>,
    /// Where it goes.
    pub cwd: Option<Place>,
    /// Leaves the program to a child and waits for it; else the caller becomes it.
    pub fork: Option<Fork>,
    /// Its user id.
    pub uid: Option<Identity>,
    /// Its group id; supplementary groups are given up with it.
    pub gid: Option<Identity>,
    /// They are not, which may be forbidden.
    pub keep_groups: bool,
    /// Hands its capabilities on to the program, whoever that runs as.
    pub keep_capabilities: bool,
    /// The program's environment.
    pub env: Environment,
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// What the program is told to be called, if not `argv[0]`.
    pub called: Option<OsString>,
}

/// Namespaces and more of what exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enter {
    /// The process that is meant by `OfTarget` everywhere.
    pub target: Option<Target>,
    /// Which of its namespaces are entered.
    pub kinds: Vec<Kind>,
    /// Namespaces that are found otherwise.
    pub others: Vec<(Kind, Source)>,
    /// The cgroups of the target, on every hierarchy.
    pub cgroups: bool,
    /// The security context that the program gets: the target's, where SELinux is on.
    pub context: bool,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its number.
    pub pid: u32,
    /// The inode of its pidfd, which no other process ever has (Linux 6.9).
    pub pidfd_inode: Option<u64>,
}

/// Where a namespace is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A namespace file.
    Path(PathBuf),
    /// The number that the kernel gave it: `NS_GET_ID` (Linux 6.18).
    Id(u64),
    /// That of a socket, which the target has as this descriptor.
    Socket(RawFd),
    /// The user namespace that owns the first of those to be entered; if there is none,
    /// that of the target's, or the caller's, user namespace.
    Owner,
}

/// New namespaces, and what is made in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Create {
    /// Their kinds.
    pub kinds: Vec<Kind>,
    /// Files that they are bound to, so that they outlive their processes.
    pub pins: Vec<Pin>,
    /// Who makes them, and so owns a new user namespace: user and group id.
    pub owner: Option<(u32, u32)>,
    /// uid_map.
    pub uids: Option<Map>,
    /// gid_map.
    pub gids: Option<Map>,
    /// What /proc/self/setgroups gets, before gid_map.
    pub setgroups: Option<SetGroups>,
    /// Offsets of a new time namespace, in seconds.
    pub offsets: Vec<(Clock, i64)>,
    /// How mounts of a new mount namespace propagate.
    pub propagation: Option<Propagation>,
    /// Where a procfs is mounted.
    pub proc: Option<PathBuf>,
    /// Where a binfmt_misc is mounted.
    pub binfmt: Option<PathBuf>,
    /// What is registered in it.
    pub interpreter: Option<OsString>,
}

impl Create {
    /// The kinds as a set.
    #[must_use]
    pub fn set(&self) -> NamespaceSet {
        self.kinds.iter().copied().collect()
    }
}

/// A file to which a new namespace is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which namespace.
    pub kind: Kind,
    /// The file, which must exist.
    pub path: PathBuf,
}

/// The lines of an id map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Map {
    /// The caller's own id, seen inside as this one; needs no privilege.
    Own(u32),
    /// These, written by root, or for others by newuidmap(1) and newgidmap(1).
    Lines(Vec<IdMap>),
}

/// Whether setgroups(2) may be called in a new user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetGroups {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// A clock that a time namespace shifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// `CLOCK_MONOTONIC`.
    Monotonic,
    /// `CLOCK_BOOTTIME`.
    Boottime,
}

/// How mounts spread to and from other mount namespaces: mount_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From them.
    Slave,
    /// To and from them.
    Shared,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The target's own.
    OfTarget,
    /// At this path before anything changes.
    Before(PathBuf),
    /// At this path after the namespaces, and for a working directory the root, changed.
    After(PathBuf),
}

/// A user or group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// This one.
    Known(u32),
    /// The target's, as the namespace that is entered sees it.
    OfTarget,
}

/// The program's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// These variables.
    Given(Vec<(OsString, OsString)>),
    /// The target's.
    OfTarget,
}

impl Default for Environment {
    fn default() -> Self {
        Self::Given(Vec::new())
    }
}

/// How the caller waits for the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fork {
    /// Sent to the program when the caller dies.
    pub death_signal: Option<i32>,
    /// What the caller's signals mean meanwhile.
    pub relay: Relay,
    /// A reaping init between the caller and the program.
    pub init: bool,
}

/// What signals to a waiting caller mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relay {
    /// INT and TERM wait until the program has ended; others mean what they mean.
    #[default]
    Hold,
    /// INT and TERM are the program's; others mean what they mean.
    Forward,
    /// All are the program's, and when it stops, the caller stops as well.
    All,
}
