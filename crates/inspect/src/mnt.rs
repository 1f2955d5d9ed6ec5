//! Mounts: mount_namespaces(7).

use serde::{Deserialize, Serialize};
use warren_namespaces::mountinfo::{self, MountInfo};

use crate::difference::{Fact, Facts};

/// The mounts of a mount namespace that lie below the root of a process in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// In the kernel's order: of two at one place the later is on top.
    pub mounts: Vec<Mount>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it is on.
    pub parent: u64,
    /// Where.
    pub mount_point: String,
    /// Type of the filesystem.
    pub filesystem: String,
    /// What it was mounted from; says little for most types.
    pub source: String,
    /// What of the filesystem is mounted; `/` for the whole.
    pub root: String,
    /// Options of the mount: `rw,nosuid`.
    pub options: String,
    /// Options of the filesystem.
    pub super_options: String,
}

impl Mounts {
    /// From the text of a mountinfo file.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mounts = mountinfo::parse(text).into_iter().map(Mount::from);
        Self {
            mounts: mounts.collect(),
        }
    }
}

impl From<MountInfo> for Mount {
    fn from(mount: MountInfo) -> Self {
        Self {
            id: mount.id,
            parent: mount.parent,
            mount_point: mount.mount_point.to_string_lossy().into_owned(),
            filesystem: mount.filesystem,
            source: mount.source.to_string_lossy().into_owned(),
            root: mount.root.to_string_lossy().into_owned(),
            options: mount.options,
            super_options: mount.super_options,
        }
    }
}

impl Facts for Mounts {
    /// The numbers differ in every copy of a namespace and say nothing.
    fn facts(&self) -> Vec<Fact> {
        let fact = |mount: &Mount| {
            let Mount {
                filesystem,
                source,
                root,
                options,
                super_options,
                ..
            } = mount;
            let of = match root.as_str() {
                "/" => String::new(),
                root => format!("[{root}]"),
            };
            let value = format!("{filesystem} {source}{of} {options} {super_options}");
            Fact::new("mount", &mount.mount_point, value)
        };
        self.mounts.iter().map(fact).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"20 1 0:5 / / rw - ext4 /dev/vda rw\n\
        21 20 0:6 / /proc rw,nosuid shared:1 - proc proc rw\n\
        22 21 0:7 /a\\012b /proc/x\\033[2Jy ro - tmpfs none ro\n";

    #[test]
    fn a_hostile_name_is_read_as_it_is() {
        let mounts = Mounts::parse(TEXT).mounts;
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[2].mount_point, "/proc/x\x1b[2Jy");
        assert_eq!(mounts[2].root, "/a\nb");
    }

    #[test]
    fn copies_of_a_namespace_have_the_same_facts() {
        let text = String::from_utf8_lossy(TEXT).replace("20 ", "70 ");
        let copy = Mounts::parse(text.as_bytes());
        assert_eq!(copy.facts(), Mounts::parse(TEXT).facts());
    }
}
