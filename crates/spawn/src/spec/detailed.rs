//! Mounts of which every property is said.
//!
//! The other variants of [`Mount`](super::Mount) decide what is safe; these do as they are
//! told, as mount(8) and container runtimes are told.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use warren_namespaces::IdMap;

use super::Tree;

/// One mount, with all that can be said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailedMount {
    /// What is mounted.
    pub what: Mounted,
    /// Where it appears.
    pub target: PathBuf,
    /// What changes of the mount itself.
    #[serde(default)]
    pub flags: FlagChange,
    /// What changes of it and of all that is mounted in it.
    #[serde(default)]
    pub flags_below: FlagChange,
    /// How mounts in it spread, one change after the other.
    #[serde(default)]
    pub propagation: Vec<Propagation>,
}

/// What a [`DetailedMount`] mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mounted {
    /// A file or folder of the host.
    Tree {
        /// What it is on the host.
        source: Tree,
        /// Whether with all that is mounted in it.
        recursive: bool,
        /// Other owners for its files.
        ids: Option<MountIds>,
    },
    /// A file or folder of the container's root, with what was mounted there before.
    Within {
        /// Where it is, in that root.
        path: PathBuf,
        /// Whether with all that is mounted in it.
        recursive: bool,
        /// Other owners for its files.
        ids: Option<MountIds>,
    },
    /// A filesystem.
    Filesystem {
        /// Its kind, as in /proc/filesystems.
        kind: String,
        /// The device, or what is shown in its place.
        source: OsString,
        /// `MS_*` bits of mount(2) of the filesystem itself: `MS_SYNCHRONOUS`, ...
        super_flags: u64,
        /// Its own options, between commas.
        data: OsString,
        /// Whether the files that it covers are copied into it.
        copy_up: bool,
    },
    /// The control groups of the process, of each hierarchy that the host has mounted.
    Cgroup,
}

/// Whose files are shown as whose: an idmapped mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountIds {
    /// The user ids: inside as on the disk, outside as they appear on the host.
    pub uids: Vec<IdMap>,
    /// The group ids. Both are empty for the maps of the new user namespace.
    pub gids: Vec<IdMap>,
    /// Whether also in all that is mounted in it.
    pub recursive: bool,
}

/// Bits of mount_setattr(2), `MOUNT_ATTR_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlagChange {
    /// Those that are set.
    pub set: u32,
    /// Those that are cleared before.
    pub clear: u32,
}

impl FlagChange {
    /// Nothing can be written.
    pub const READ_ONLY: u32 = warren_sys::MOUNT_ATTR_RDONLY;
    /// Set-user-id bits and file capabilities mean nothing.
    pub const NO_SUID: u32 = warren_sys::MOUNT_ATTR_NOSUID;
    /// Device files cannot be opened.
    pub const NO_DEVICES: u32 = warren_sys::MOUNT_ATTR_NODEV;
    /// Nothing can be executed.
    pub const NO_EXEC: u32 = warren_sys::MOUNT_ATTR_NOEXEC;
    /// The two bits that say when times of access are written.
    pub const ATIME: u32 = warren_sys::MOUNT_ATTR__ATIME;
    /// Never.
    pub const NO_ATIME: u32 = warren_sys::MOUNT_ATTR_NOATIME;
    /// Always.
    pub const STRICT_ATIME: u32 = warren_sys::MOUNT_ATTR_STRICTATIME;
    /// Those of folders never.
    pub const NO_DIR_ATIME: u32 = warren_sys::MOUNT_ATTR_NODIRATIME;
    /// Symlinks are not followed.
    pub const NO_SYMFOLLOW: u32 = warren_sys::MOUNT_ATTR_NOSYMFOLLOW;

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Sets what `other` sets and clears what it clears: the later word counts.
    pub fn then(&mut self, other: Self) {
        self.set = self.set & !other.clear | other.set;
        self.clear = self.clear & !other.set | other.clear;
    }
}

/// How mounts spread between a mount and others: mount_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propagation {
    /// How.
    pub kind: PropagationKind,
    /// Whether also of all mounts in it.
    pub recursive: bool,
}

/// The four kinds of propagation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropagationKind {
    /// To and from its peers.
    Shared,
    /// From its peers alone.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl PropagationKind {
    /// The bit of mount(2) and mount_setattr(2).
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::Unbindable => 1 << 17,
            Self::Private => 1 << 18,
            Self::Slave => 1 << 19,
            Self::Shared => 1 << 20,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Slave => "slave",
            Self::Private => "private",
            Self::Unbindable => "unbindable",
        }
    }
}

/// A device file that is made, or that of the host bound where none can be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Where it appears.
    pub target: PathBuf,
    /// What it is.
    pub kind: DeviceKind,
    /// Its driver.
    pub major: u32,
    /// Its number with that.
    pub minor: u32,
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The kinds of files that mknod(2) makes for a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Pipe,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_changes_counts() {
        let mut flags = FlagChange { set: 1, clear: 2 };
        flags.then(FlagChange { set: 2, clear: 1 });
        assert_eq!(flags, FlagChange { set: 2, clear: 1 });
        flags.then(FlagChange {
            set: 0x20,
            clear: 0x70,
        });
        flags.then(FlagChange {
            set: 0x10,
            clear: 0x70,
        });
        assert_eq!(flags.set, 2 | 0x10);
    }
}
