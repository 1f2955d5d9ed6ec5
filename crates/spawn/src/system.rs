//! The root that shows the host's system and nothing else of it.

use std::ffi::{CStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use warren_namespaces::ProcRoot;
use warren_namespaces::mountinfo::{self, MountInfo};
use warren_sys::Errno;

use crate::child;
use crate::error::Error;
use crate::spec::{Access, Mount, ProcMasks, Upper};

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

/// Whether it is one of the folders that hold the system.
pub(crate) fn is_system_folder(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path == Path::new(folder))
}

/// /proc and /dev.
#[must_use]
pub fn kernel() -> [Mount; 2] {
    [
        Mount::Proc {
            target: "/proc".into(),
            masks: ProcMasks::All,
        },
        Mount::Dev {
            target: "/dev".into(),
        },
    ]
}

/// Names in a procfs: what [`Mount::Proc`] masks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// What is covered.
    pub covered: Vec<&'static str>,
    /// What is read-only.
    pub read_only: Vec<&'static str>,
}

/// What `masks` means; `hosts_root` says that somebody inside may be the host's root
/// ([`Spec::may_be_hosts_root`](crate::Spec::may_be_hosts_root)).
#[must_use]
pub fn masked(masks: ProcMasks, hosts_root: bool) -> Masked {
    let names = |names: &[&'static CStr]| -> Vec<&'static str> {
        names.iter().filter_map(|name| name.to_str().ok()).collect()
    };
    let mut masked = Masked::default();
    if masks == ProcMasks::All {
        masked.covered.extend(names(&child::FILES));
        masked.covered.extend(names(&child::FOLDERS));
        if hosts_root {
            masked.covered.extend(names(&child::ROOTS_FILES));
        }
    }
    if masks != ProcMasks::None {
        masked.read_only.extend(names(&child::SETTINGS));
        if hosts_root {
            masked.read_only.extend(names(&child::ROOTS_SETTINGS));
        }
    }
    masked
}

/// Masks for the secrets of /etc that this host has, and its ssh keys.
#[must_use]
pub fn secrets() -> Vec<Mount> {
    let fixed = SECRETS
        .into_iter()
        .map(PathBuf::from)
        .filter(|path| is_there(path));
    fixed
        .chain(ssh_host_keys())
        .map(|target| Mount::Mask { target })
        .collect()
}

/// Whether a file may be there: one that cannot be looked at is.
fn is_there(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if is_absence(&error))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn ssh_host_keys() -> Vec<PathBuf> {
    let folder = Path::new("/etc/ssh");
    let entries = match list(folder) {
        Ok(entries) => entries,
        Err(Errno::NOENT | Errno::NOTDIR) => return Vec::new(),
        // Whatever is in it.
        Err(_) => return vec![folder.to_owned()],
    };
    let is_key = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ssh_host_") && name.ends_with("_key")
    };
    entries
        .into_iter()
        .map(|(path, _)| path)
        .filter(is_key)
        .collect()
}

/// What is in a folder, sorted: the order of a folder is not one, and a plan's text must
/// not change. The standard library's way would panic where the close fails.
pub(crate) fn list(folder: &Path) -> Result<Vec<(PathBuf, FileType)>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = Dir::new(rustix::fs::open(folder, flags, Mode::empty())?)?;
    let mut found = Vec::new();
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Not every filesystem says.
            FileType::Unknown => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let stat = rustix::fs::statat(dir.fd()?, name, flags)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        let name = OsString::from_vec(name.to_bytes().to_vec());
        found.push((folder.join(name), kind));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// How one folder of the host's root appears, if it is there. One that cannot be looked
/// at is bound: the plan looks again and has the words.
fn shown(path: &str) -> Option<Mount> {
    let target = PathBuf::from(path);
    let bound = read_only(target.clone());
    match target.symlink_metadata().map(|data| data.file_type()) {
        Ok(kind) if kind.is_symlink() => match std::fs::read_link(&target) {
            Ok(content) => Some(Mount::Symlink { content, target }),
            Err(_) => Some(bound),
        },
        Ok(kind) => kind.is_dir().then_some(bound),
        Err(error) => (!is_absence(&error)).then_some(bound),
    }
}

/// The mounts that make an empty root the host's whole tree, each folder of it under an
/// overlay: it can be written as far as the files' owners allow, and the host never sees
/// a change. Then /proc, /dev and an empty /tmp.
///
/// One overlay could not do: it would not show what is mounted in the tree, and a user
/// namespace may not take a tree apart from the mounts in it.
///
/// # Errors
/// Where the mounts of the host, or the folders that have mounts in them, cannot be read.
pub fn host_overlay(proc: &ProcRoot) -> Result<Vec<Mount>, Error> {
    let host = mountinfo::own(proc).map_err(|error| Error::spec(error.to_string()))?;
    let mut mounts = Vec::new();
    overlay_below(Path::new("/"), &host, &mut mounts)?;
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

fn overlay_below(
    dir: &Path,
    host: &[MountInfo],
    mounts: &mut Vec<Mount>,
) -> Result<(), Error> {
    let unreadable =
        |error| Error::spec(format!("list the folder {}", dir.display())).errno(error);
    for (path, kind) in list(dir).map_err(unreadable)? {
        if REPLACED.iter().any(|name| path == Path::new(name)) {
            continue;
        }
        match kind {
            FileType::Directory => overlay_folder(path, host, mounts)?,
            FileType::Symlink => mounts.push(match std::fs::read_link(&path) {
                Ok(content) => Mount::Symlink {
                    content,
                    target: path,
                },
                Err(_) => read_only(path),
            }),
            _ => mounts.push(read_only(path)),
        }
    }
    Ok(())
}

fn overlay_folder(
    path: PathBuf,
    host: &[MountInfo],
    mounts: &mut Vec<Mount>,
) -> Result<(), Error> {
    let on_top = host.iter().rfind(|mount| mount.mount_point == path);
    if on_top.is_some_and(|mount| mount.unbindable) {
        mounts.push(Mount::Folder {
            target: path,
            mode: 0o755,
        });
        return Ok(());
    }
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
            lower: vec![path.clone()],
            upper: Upper::Memory,
            target: path,
        }),
        (true, true) if on_top.is_none() => {
            mounts.push(Mount::Folder {
                target: path.clone(),
                mode: 0o755,
            });
            overlay_below(&path, host, mounts)?;
        }
        _ => mounts.push(read_only(path)),
    }
    Ok(())
}

fn read_only(path: PathBuf) -> Mount {
    Mount::bind(path.clone(), path, Access::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_in_order_with_kinds_and_its_absence_is_an_error() {
        let folder =
            std::env::temp_dir().join(format!("warren-list-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a new folder");
        std::fs::create_dir(folder.join("b")).expect("a new folder");
        std::fs::write(folder.join("c"), "").expect("a new file");
        std::os::unix::fs::symlink("c", folder.join("a")).expect("a new symlink");
        let found = list(&folder);
        std::fs::remove_dir_all(&folder).expect("our own folder");
        let expected = [
            (folder.join("a"), FileType::Symlink),
            (folder.join("b"), FileType::Directory),
            (folder.join("c"), FileType::RegularFile),
        ];
        assert_eq!(found.expect("the folder"), expected);
        assert_eq!(list(&folder).expect_err("it is gone"), Errno::NOENT);
    }

    #[test]
    fn what_is_not_a_folder_or_symlink_of_the_system_is_not_shown() {
        assert_eq!(shown("/nonexistent"), None);
        assert_eq!(shown("/etc/passwd"), None);
        assert_eq!(shown("/etc"), Some(read_only("/etc".into())));
    }
}
