//! The mounts that [`to_config`](crate::to_config) writes, read as what they were made of.
//!
//! Only what is word for word as it writes it: there is no other way to tell.

use std::path::{Path, PathBuf};

use warren_spawn::{Access, Mount, Tree, Upper};

use crate::config;

/// What a mount of ours was.
pub(super) enum Own {
    /// A small /dev, and how many of the next mounts belong to it.
    Dev { parts: usize },
    /// A procfs, whose masks are in the lists.
    Proc,
    /// One mount, and whether it becomes read-only in the end.
    Mount(Mount, bool),
}

/// Looks whether the first of `mounts` is of ours.
pub(super) fn find(mounts: &[config::Mount], target: &Path) -> Option<Own> {
    let (mount, rest) = mounts.split_first()?;
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return None;
    }
    let place = target.to_owned();
    let options: Vec<&str> = mount.options.iter().map(String::as_str).collect();
    let is_source = mount.source == mount.r#type;
    let made = match (mount.r#type.as_str(), &options[..]) {
        ("bind", options) => return bind(mount, options, place),
        ("proc", ["nosuid", "noexec", "nodev"]) if is_source => return Some(Own::Proc),
        ("sysfs", ["nosuid", "noexec", "nodev"]) if is_source => {
            Mount::Sys { target: place }
        }
        ("mqueue", ["nosuid", "noexec", "nodev"]) if is_source => {
            Mount::Mqueue { target: place }
        }
        ("tmpfs", ["nosuid", "strictatime", "mode=755"])
            if is_source && target == Path::new("/dev") =>
        {
            return is_followed_by_parts(rest).then_some(Own::Dev { parts: 2 });
        }
        ("tmpfs", ["nosuid", "nodev", rest @ ..]) if is_source => {
            return tmpfs(rest, place);
        }
        ("overlay", ["nosuid", "nodev", "userxattr", rest @ ..]) if is_source => {
            return overlay(rest, place);
        }
        _ => return None,
    };
    Some(Own::Mount(made, false))
}

fn is_followed_by_parts(rest: &[config::Mount]) -> bool {
    let is = |mount: &config::Mount, target: &str, kind: &str, options: &[&str]| {
        mount.destination == target && mount.r#type == kind && mount.options == *options
    };
    const PTS: [&str; 5] = [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    const SHM: [&str; 3] = ["nosuid", "nodev", "mode=1777"];
    matches!(rest, [pts, shm, ..]
        if is(pts, "/dev/pts", "devpts", &PTS) && is(shm, "/dev/shm", "tmpfs", &SHM))
}

fn bind(mount: &config::Mount, options: &[&str], target: PathBuf) -> Option<Own> {
    let (access, devices) = match options {
        ["rbind", "rprivate", "nosuid", "nodev", access] => (access, false),
        ["rbind", "rprivate", "nosuid", access] => (access, true),
        _ => return None,
    };
    let access = match *access {
        "ro" => Access::ReadOnly,
        "rw" => Access::ReadWrite,
        _ => return None,
    };
    if !mount.source.starts_with('/') {
        return None;
    }
    let mount = Mount::Bind {
        source: Tree::Path(super::plain(Path::new(&mount.source))),
        target,
        access,
        devices,
    };
    Some(Own::Mount(mount, false))
}

fn tmpfs(options: &[&str], target: PathBuf) -> Option<Own> {
    let (mode, rest) = options.split_first()?;
    let mode = u32::from_str_radix(mode.strip_prefix("mode=")?, 8).ok()?;
    let (size, rest) = match rest {
        [size, rest @ ..] if size.starts_with("size=") => {
            (Some(size.strip_prefix("size=")?.parse().ok()?), rest)
        }
        rest => (None, rest),
    };
    let seals = match rest {
        [] => false,
        ["ro"] => true,
        _ => return None,
    };
    let mount = Mount::Tmpfs { target, mode, size };
    (mode <= 0o7777).then_some(Own::Mount(mount, seals))
}

fn overlay(options: &[&str], target: PathBuf) -> Option<Own> {
    let value = |word: &&str, key: &str| word.strip_prefix(key).map(str::to_owned);
    let (lower, upper) = match options {
        [lower] => (lower, Upper::None),
        [lower, upper, work] => (
            lower,
            Upper::Folder {
                upper: unescaped(&value(upper, "upperdir=")?).into(),
                work: unescaped(&value(work, "workdir=")?).into(),
            },
        ),
        _ => return None,
    };
    // The topmost is the first there, and the last here.
    let mut lower = split_layers(&value(lower, "lowerdir=")?);
    lower.reverse();
    let mount = Mount::Overlay {
        lower,
        upper,
        target,
    };
    Some(Own::Mount(mount, false))
}

/// At each colon without a backslash before it.
fn split_layers(text: &str) -> Vec<PathBuf> {
    let mut layers = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = layers.len() - 1;
        match character {
            ':' => layers.push(String::new()),
            '\\' => layers[last].extend(characters.next()),
            other => layers[last].push(other),
        }
    }
    layers.into_iter().map(PathBuf::from).collect()
}

fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}
