//! What a profile says, as one file has it.

use std::collections::BTreeMap;

use serde::Serialize;
use warren_confine::CapabilitySet;

use crate::value::{Endpoint, Limit};

/// What a command may have. What a profile does not say stays as it is without it.
///
/// Paths are text: absolute, or with `~` or a variable in front; `$$` is a dollar sign
/// ([`literal`](crate::literal)), and a `?` before one leaves it out where it is not
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Of this format.
    pub version: Version,
    /// What it is for, in one line.
    pub about: Option<String>,
    /// Profiles that this one goes on top of: names, or paths with a slash in them that
    /// are relative to this file's folder.
    pub include: Vec<String>,
    /// What must be held, or the command is not started.
    pub require: Vec<Requirement>,
    /// Whether Landlock guards the same rules once more.
    pub landlock: Option<bool>,
    /// Files and folders.
    pub files: Files,
    /// The process that the command becomes.
    pub process: Process,
    /// The network.
    pub network: Network,
    /// System calls.
    pub syscalls: Syscalls,
    /// Capabilities over the new namespaces.
    pub capabilities: Capabilities,
    /// Resource limits.
    pub limits: Limits,
}

/// The version of the format: there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "u32")]
pub struct Version;

impl Version {
    /// Its number.
    pub const NUMBER: u32 = 1;
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        Version::NUMBER
    }
}

/// What can be required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// That the kernel has Landlock, and all of it that the profile uses.
    Landlock,
}

impl Requirement {
    pub(crate) const ALL: [Self; 1] = [Self::Landlock];

    /// As a profile has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
        }
    }
}

/// What the command sees of the host's files. Of two entries the one with the longer
/// path lies on the other, whatever their lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// What is there before the lists.
    pub root: Option<Root>,
    /// Shown read-only, each at its own path.
    pub read: Vec<String>,
    /// Shown writable.
    pub write: Vec<String>,
    /// Folders that can be changed, where the changes vanish with the command.
    pub overlay: Vec<String>,
    /// Empty folders in memory.
    pub tmpfs: Vec<String>,
    /// Glob patterns of files whose content is not shown; `!` makes an exception from
    /// those before it.
    pub hide: Vec<String>,
}

/// What the root has before the lists of [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// Folders of its own (/home, /root, /run, /srv, /tmp, /var), /proc and /dev.
    Empty,
    /// Those, and the programs of the host: /usr, /bin, /sbin, /lib*.
    Programs,
    /// Those, /opt, and /etc without its secrets: as without a profile.
    System,
    /// The host's whole tree, read-only.
    Host,
}

impl Root {
    pub(crate) const ALL: [Self; 4] =
        [Self::Empty, Self::Programs, Self::System, Self::Host];

    /// As a profile has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Programs => "programs",
            Self::System => "system",
            Self::Host => "host",
        }
    }
}

/// The process that the command becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// The working folder.
    pub workdir: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Which ids there are inside.
    pub map: Option<Map>,
    /// Whether the environment begins without any variable.
    pub clear_env: Option<bool>,
    /// Variables of the caller that are passed; `LC_*` for all that begin so.
    pub pass: Vec<String>,
    /// Variables and their values, in which `~` and variables of paths are replaced.
    pub set: BTreeMap<String, String>,
}

/// Which ids there are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Map {
    /// As many as can be had; see [`IdMapping::Auto`](warren_spawn::IdMapping::Auto).
    Auto,
    /// The caller's alone. For root it is what makes its files writable.
    Single,
}

impl Map {
    pub(crate) const ALL: [Self; 2] = [Self::Auto, Self::Single];

    /// As a profile has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Single => "single",
        }
    }
}

/// The network. With either list no port can be used that is in none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Which network there is.
    pub mode: Option<Mode>,
    /// Where TCP may connect to. The port alone is held, by Landlock.
    pub connect: Option<Vec<Endpoint>>,
    /// Ports that TCP may bind; 0 is one that the kernel chooses.
    pub bind: Option<Vec<u16>>,
}

/// Which network there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// An interface lo of its own.
    None,
    /// The host's.
    Host,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::None, Self::Host];

    /// As a profile has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

/// System calls that are refused besides those that always are: either lists, or a
/// policy (docs/seccomp.md has the language).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Syscalls {
    /// What happens to the calls of no list: `allow`, `deny`, `deny ENOSYS`, `log`, ...
    pub default: Option<String>,
    /// Names and groups (`@file`) that are allowed.
    pub allow: Vec<String>,
    /// Names and groups that answer `EPERM`; they count before those that are allowed.
    pub deny: Vec<String>,
    /// A policy.
    pub policy: Option<String>,
    /// A file with a policy, relative to this file's folder.
    pub file: Option<String>,
}

/// Capabilities over the new namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Those that the command has.
    pub add: CapabilitySet,
}

/// Resource limits: getrlimit(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Processor time of each process, in seconds.
    pub cpu_time: Option<Limit>,
    /// Size of a file that is written, in bytes.
    pub file_size: Option<Limit>,
    /// Open descriptors of each process.
    pub open_files: Option<Limit>,
    /// Processes and threads of the user in this run.
    pub processes: Option<Limit>,
    /// Memory that each process may map, in bytes.
    pub address_space: Option<Limit>,
}
