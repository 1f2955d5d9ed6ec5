//! Mounts of which every property is said, and devices.

use std::path::Path;

use warren_spawn::{
    DetailedMount, Device, DeviceKind, FlagChange, Mount, MountIds, Mounted, Tree,
};

use super::Writer;
use super::linux::mapping;
use crate::config;
use crate::to_spec::options::{FLAGS, SUPER_FLAGS};

impl Writer<'_> {
    pub(super) fn detailed(&mut self, mount: &DetailedMount, target: String) {
        let mut made = config::Mount {
            destination: target,
            ..config::Mount::default()
        };
        match &mount.what {
            Mounted::Tree {
                source: Tree::Path(source),
                recursive,
                ids,
            } => {
                made.r#type = "bind".to_owned();
                made.source = self.path("mounts", source);
                let word = if *recursive { "rbind" } else { "bind" };
                made.options.push(word.to_owned());
                if let Some(ids) = ids {
                    other_ids(ids, &mut made);
                }
            }
            Mounted::Tree { .. } => {
                let target = &made.destination;
                let what = format!("a descriptor has no path: {target} is left out");
                return self.losses.note("mounts", what);
            }
            Mounted::Within {
                path,
                recursive,
                ids,
            } => {
                let inside = self.path("mounts", path);
                let root = self.config.root.as_ref();
                let root = root.map_or("", |root| root.path.as_str());
                made.r#type = "bind".to_owned();
                made.source = format!("{root}{inside}");
                let word = if *recursive { "rbind" } else { "bind" };
                made.options.push(word.to_owned());
                if let Some(ids) = ids {
                    other_ids(ids, &mut made);
                }
            }
            Mounted::Filesystem {
                kind,
                source,
                super_flags,
                data,
                copy_up,
            } => {
                made.r#type.clone_from(kind);
                made.source = self.text("mounts", source);
                let set = SUPER_FLAGS
                    .iter()
                    .filter(|(_, bit, _)| super_flags & bit != 0);
                made.options
                    .extend(set.map(|(word, ..)| (*word).to_owned()));
                if *copy_up {
                    made.options.push("tmpcopyup".to_owned());
                }
                let data = self.text("mounts", data);
                let words = data.split(',').filter(|word| !word.is_empty());
                made.options.extend(words.map(str::to_owned));
            }
            Mounted::Cgroup => {
                made.r#type = "cgroup".to_owned();
                made.source = "cgroup".to_owned();
            }
        }
        flags(mount.flags, "", &mut made.options);
        flags(mount.flags_below, "r", &mut made.options);
        for one in &mount.propagation {
            let r = if one.recursive { "r" } else { "" };
            made.options.push(format!("{r}{}", one.kind.name()));
        }
        self.config.mounts.push(made);
    }

    pub(super) fn device(&mut self, device: &Device, path: String) {
        let kind = match device.kind {
            DeviceKind::Character => "c",
            DeviceKind::Block => "b",
            DeviceKind::Pipe => "p",
        };
        let owner = |id: u32| (id != 0).then_some(id);
        self.linux.devices.push(config::Device {
            r#type: kind.to_owned(),
            path,
            major: device.major.into(),
            minor: device.minor.into(),
            file_mode: Some(device.mode),
            uid: owner(device.uid),
            gid: owner(device.gid),
        });
    }

    /// Whether a folder is there only for the working folder to exist, which runtimes make.
    pub(super) fn is_for_cwd(&self, mount: &Mount) -> bool {
        let mut mounts = self.spec.mounts.iter();
        let has_root = mounts.any(|mount| {
            matches!(mount, Mount::Detailed(_)) && mount.target() == Path::new("/")
        });
        has_root && self.spec.cwd.as_ref() == Some(mount.target())
    }
}

fn other_ids(ids: &MountIds, made: &mut config::Mount) {
    let word = if ids.recursive { "ridmap" } else { "idmap" };
    made.options.push(word.to_owned());
    made.uid_mappings = ids.uids.iter().map(mapping).collect();
    made.gid_mappings = ids.gids.iter().map(mapping).collect();
}

/// The words of a change: those of single bits, and one for when times are written.
fn flags(change: FlagChange, r: &str, options: &mut Vec<String>) {
    for (word, set, clear) in FLAGS {
        let is_single = (set | clear) & FlagChange::ATIME == 0;
        let is_set = set != 0 && change.set & set == set;
        let is_cleared = clear != 0 && change.clear & clear == clear;
        if is_single && (is_set || set == 0 && is_cleared && change.set & clear == 0) {
            options.push(format!("{r}{word}"));
        }
    }
    if (change.set | change.clear) & FlagChange::ATIME != 0 {
        let word = match change.set & FlagChange::ATIME {
            FlagChange::NO_ATIME => "noatime",
            FlagChange::STRICT_ATIME => "strictatime",
            _ => "relatime",
        };
        options.push(format!("{r}{word}"));
    }
}
