//! The words of what is done as it is told, property by property.

use std::ffi::CString;
use std::fmt;

use super::text;
use crate::spec::{DeviceKind, FlagChange, Propagation};
use crate::step::{Changes, MapLines, NewFilesystem, Step};

impl Step {
    pub(super) fn fmt_detailed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloneDetailed { tree, changes, ids } => {
                write!(f, "clone the tree {tree}{changes}")?;
                match ids.as_deref() {
                    Some(MapLines::Known { .. }) => f.write_str(", with other owners"),
                    _ => Ok(()),
                }
            }
            Self::MakeMap(_) => f.write_str("make a map of other owners"),
            Self::ShiftWithin { place, .. } => {
                write!(f, "show {place} of the root with other owners")
            }
            Self::RootDetailed {
                source, changes, ..
            } => {
                write!(f, "make {source} the root{changes}")
            }
            Self::MountTree {
                source,
                target,
                changes,
                ..
            } => write!(f, "bind {source} at {target}{changes}"),
            Self::MountFilesystem { new, target } => {
                write!(f, "mount {new} at {target}{}", new.changes)
            }
            Self::Device { device, target } => {
                let (major, minor) = (device.major, device.minor);
                match device.kind {
                    DeviceKind::Character => {
                        write!(f, "make the character device {target}, {major}:{minor}")
                    }
                    DeviceKind::Block => {
                        write!(f, "make the block device {target}, {major}:{minor}")
                    }
                    DeviceKind::Pipe => write!(f, "make the named pipe {target}"),
                }
            }
            Self::ProcPaths {
                target,
                masked,
                read_only,
            } => {
                let list = |names: &[CString]| {
                    let names: Vec<_> = names.iter().map(|name| text(name)).collect();
                    names.join(", ")
                };
                write!(f, "in {target} mask {}", list(masked))?;
                match read_only.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; make read-only {}", list(read_only)),
                }
            }
            Self::Cgroups { tree, target } => {
                let kind = if tree.folders.is_empty() { "v2" } else { "v1" };
                let change = FlagChange {
                    set: tree.attributes,
                    clear: 0,
                };
                write!(f, "mount the control groups at {target}, {kind}")?;
                flags(change, "", f)
            }
            Self::DeviceFiles { target, .. } => {
                let names = crate::child::DEVICE_NAMES;
                write!(
                    f,
                    "make the devices {names} and the usual links in {target}"
                )
            }
            Self::Console => f.write_str("show the terminal as the console"),
            Self::IpcNamespace => f.write_str("make an ipc namespace"),
            Self::RootPropagation(one) => write!(f, "make the root {one}"),
            Self::PrivateRoot => f.write_str("keep mounts on the root from spreading"),
            Self::NewNamespaces(namespaces) => {
                write!(f, "make the namespaces {namespaces}")
            }
            Self::OpenTimeOffsets => f.write_str("open the offsets of clocks"),
            Self::SessionKeyring(name) => {
                write!(f, "join the session keyring {}", text(name))
            }
            Self::OwnStreams { uid } => {
                write!(f, "give the standard streams to the user {uid}")
            }
            Self::TimeNamespace { offsets } => {
                let lines = text(offsets);
                let lines = lines.trim_end().replace('\n', ", ");
                write!(f, "make a time namespace with the offsets {lines}")
            }
            Self::Scheduler(one) => {
                write!(f, "set the scheduling policy {}", one.policy)?;
                write!(f, ", nice {}, priority {}", one.nice, one.priority)
            }
            Self::IoPriority(one) => write!(
                f,
                "set the priority of input and output: {:?} {}",
                one.class, one.priority
            ),
            Self::MemoryPolicy(one) => {
                write!(f, "set the memory policy {:#x} of nodes", one.mode)?;
                bits(&one.nodes, f)
            }
            Self::Affinity(processors) => {
                f.write_str("run on the processors")?;
                bits(processors, f)
            }
            Self::Personality(domain) => {
                write!(f, "set the execution domain {domain:#x}")
            }
            Self::Label { label, .. } => {
                write!(f, "ask for the label {} from the exec on", text(label))
            }
            Self::ConnectListener(path) => write!(f, "connect to {}", path.display()),
            Self::SendListener(listener) => {
                let socket = listener.socket.display();
                write!(f, "send the filter's listener to {socket}")
            }
            Self::MoveInterface { outside, inside } => {
                write!(f, "move the interface {outside} inside, as {inside}")
            }
            Self::JoinCacheClass(class) => {
                write!(f, "put the child in the resctrl class {}", class.name)
            }
            _ => Ok(()),
        }
    }
}

fn bits(words: &[u64], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, word) in words.iter().enumerate() {
        for bit in (0..u64::BITS as usize).filter(|bit| word >> bit & 1 == 1) {
            write!(f, " {}", place * u64::BITS as usize + bit)?;
        }
    }
    Ok(())
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.recursive {
            true => f.write_str(", with all that is mounted in it"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.recursive {
            f.write_str(", with all that is mounted in it")?;
        }
        flags(self.own, "", f)?;
        flags(self.below, "all ", f)?;
        for one in &self.propagation {
            let all = if one.recursive { "all " } else { "" };
            write!(f, ", {all}{}", one.kind.name())?;
        }
        Ok(())
    }
}

/// The attributes of mounts, with the words of mount(8) for them and for their absence.
const FLAGS: [(u32, &str, &str); 6] = [
    (warren_sys::MOUNT_ATTR_RDONLY, "read-only", "writable"),
    (warren_sys::MOUNT_ATTR_NOSUID, "nosuid", "suid"),
    (warren_sys::MOUNT_ATTR_NODEV, "nodev", "dev"),
    (warren_sys::MOUNT_ATTR_NOEXEC, "noexec", "exec"),
    (warren_sys::MOUNT_ATTR_NODIRATIME, "nodiratime", "diratime"),
    (
        warren_sys::MOUNT_ATTR_NOSYMFOLLOW,
        "nosymfollow",
        "symfollow",
    ),
];

fn flags(change: FlagChange, all: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (bit, set, clear) in FLAGS {
        if change.set & bit != 0 {
            write!(f, ", {all}{set}")?;
        } else if change.clear & bit != 0 {
            write!(f, ", {all}{clear}")?;
        }
    }
    if change.clear & warren_sys::MOUNT_ATTR__ATIME == 0 {
        return Ok(());
    }
    let word = match change.set & warren_sys::MOUNT_ATTR__ATIME {
        warren_sys::MOUNT_ATTR_NOATIME => "noatime",
        warren_sys::MOUNT_ATTR_STRICTATIME => "strictatime",
        _ => "relatime",
    };
    write!(f, ", {all}{word}")
}

impl fmt::Display for NewFilesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.kind.as_c_str() == c"overlay" {
            "an"
        } else {
            "a"
        };
        write!(f, "{article} {}", text(&self.kind))?;
        if !self.data.is_empty() {
            write!(f, " ({})", text(&self.data))?;
        }
        let own = FlagChange {
            set: self.attributes,
            clear: 0,
        };
        flags(own, "", f)?;
        match self.copy_up {
            true => f.write_str(", with the files that it covers"),
            false => Ok(()),
        }
    }
}
