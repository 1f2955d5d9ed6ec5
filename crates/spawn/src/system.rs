//! The root that shows the host's system and nothing else of it.

use std::path::{Path, PathBuf};

use warren_namespaces::ProcRoot;
use warren_namespaces::mountinfo::{self, MountInfo};

use crate::spec::{Access, Mount};

/// Folders that hold the system: programs, libraries, settings.
const SYSTEM: [&str; 9] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/etc",
];

/// Folders that a program expects to be there and to be its own.
const OWN: [(&str, u32); 6] = [
    ("/home", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
];

/// Files of /etc that are secrets wherever they exist. Those of other names are guarded
/// by their modes.
const SECRETS: [&str; 10] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/krb5.keytab",
    "/etc/NetworkManager/system-connections",
];

/// The mounts that make an empty root ([`Root::Empty`](crate::Root::Empty)) a system:
/// the host's /usr, /etc and their like, read-only, secrets masked; /home, /root, /run,
/// /srv, /tmp and /var empty and writable; then /proc and /dev.
///
/// It looks at the host's `/` to tell folders from symlinks (`/bin -> usr/bin`).
#[must_use]
pub fn mounts() -> Vec<Mount> {
    let mut mounts: Vec<Mount> = SYSTEM.into_iter().filter_map(shown).collect();
    mounts.extend(OWN.into_iter().map(|(target, mode)| Mount::Folder {
        target: target.into(),
        mode,
    }));
    mounts.extend(kernel());
    mounts.extend(secrets());
    mounts
}

/// /proc and /dev.
#[must_use]
pub fn kernel() -> [Mount; 2] {
    [
        Mount::Proc {
            target: "/proc".into(),
            masked: true,
        },
        Mount::Dev {
            target: "/dev".into(),
        },
    ]
}

/// Masks for the secrets of /etc that this host has, and its ssh keys.
#[must_use]
pub fn secrets() -> Vec<Mount> {
    let fixed = SECRETS
        .into_iter()
        .map(PathBuf::from)
        .filter(|path| path.exists());
    fixed
        .chain(ssh_host_keys())
        .map(|target| Mount::Mask { target })
        .collect()
}

fn ssh_host_keys() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/etc/ssh") else {
        return Vec::new();
    };
    let is_key = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ssh_host_") && name.ends_with("_key")
    };
    let mut keys: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_key)
        .collect();
    // The order of a folder is not one; a plan's text must not change.
    keys.sort();
    keys
}

/// How one folder of the host's root appears, if it is there.
fn shown(path: &str) -> Option<Mount> {
    let target = PathBuf::from(path);
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        let content = std::fs::read_link(Path::new(path)).ok()?;
        return Some(Mount::Symlink { content, target });
    }
    let source = target.clone();
    kind.is_dir().then_some(Mount::Bind {
        source,
        target,
        access: Access::ReadOnly,
    })
}

/// The mounts that make an empty root the host's whole tree, each folder of it under an
/// overlay: it can be written as far as the files' owners allow, and the host never sees
/// a change. Then /proc, /dev and an empty /tmp.
///
/// One overlay could not do: it would not show what is mounted in the tree, and a user
/// namespace may not take a tree apart from the mounts in it.
///
/// # Errors
/// Where the mounts of the host cannot be read.
pub fn host_overlay(proc: &ProcRoot) -> Result<Vec<Mount>, warren_namespaces::Error> {
    let host = mountinfo::own(proc)?;
    let mut mounts = Vec::new();
    overlay_below(Path::new("/"), &host, &mut mounts);
    mounts.extend(kernel());
    mounts.push(Mount::Tmpfs {
        target: "/tmp".into(),
        mode: 0o1777,
        size: None,
    });
    mounts.extend(secrets());
    Ok(mounts)
}

/// Filesystems that can be a layer and can show their files under other ids.
const LAYERS: [&str; 6] = ["ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs"];

/// What the container's root has in their stead.
const REPLACED: [&str; 3] = ["/proc", "/dev", "/tmp"];

fn overlay_below(dir: &Path, host: &[MountInfo], mounts: &mut Vec<Mount>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let replaced = REPLACED.iter().any(|name| path == Path::new(name));
        match entry.file_type() {
            Ok(_) if replaced => {}
            Ok(kind) if kind.is_dir() => overlay_folder(path, host, mounts),
            Ok(kind) if kind.is_symlink() => {
                if let Ok(content) = std::fs::read_link(&path) {
                    mounts.push(Mount::Symlink {
                        content,
                        target: path,
                    });
                }
            }
            Ok(_) => mounts.push(read_only(path)),
            Err(_) => {}
        }
    }
}

fn overlay_folder(path: PathBuf, host: &[MountInfo], mounts: &mut Vec<Mount>) {
    let on_top = host.iter().rfind(|mount| mount.mount_point == path);
    let has_mounts = host
        .iter()
        .any(|mount| mount.mount_point != path && mount.mount_point.starts_with(&path));
    // What it lies on: the mount with the longest path above it.
    let around = host
        .iter()
        .filter(|mount| path.starts_with(&mount.mount_point))
        .max_by_key(|mount| mount.mount_point.as_os_str().len());
    let can_be_layer =
        around.is_some_and(|mount| LAYERS.contains(&mount.filesystem.as_str()));
    match (can_be_layer, has_mounts) {
        (true, false) => mounts.push(Mount::Overlay {
            source: path.clone(),
            target: path,
        }),
        (true, true) if on_top.is_none() => {
            mounts.push(Mount::Folder {
                target: path.clone(),
                mode: 0o755,
            });
            overlay_below(&path, host, mounts);
        }
        _ => mounts.push(read_only(path)),
    }
}

fn read_only(path: PathBuf) -> Mount {
    Mount::Bind {
        source: path.clone(),
        target: path,
        access: Access::ReadOnly,
    }
}
