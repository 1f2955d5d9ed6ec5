//! The root that shows the host's system and nothing else of it.

use std::path::{Path, PathBuf};

use crate::spec::{Access, Mount};

/// Folders that hold the system: programs, libraries, settings.
const SYSTEM: [&str; 9] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/etc",
];

/// Folders that a program expects to be there and to be its own.
const OWN: [(&str, u32); 5] = [
    ("/home", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/tmp", 0o1777),
];

/// What a program expects below /var, as the system's own set-up would make it.
const VAR: [(&str, u32); 5] = [
    ("/var", 0o755),
    ("/var/cache", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
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
    let own = OWN.into_iter().chain(VAR);
    mounts.extend(own.map(|(target, mode)| Mount::Folder {
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
