//! `mounts`, `linux.maskedPaths`, `linux.readonlyPaths` and `linux.devices`.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use warren_namespaces::mountinfo;
use warren_namespaces::{Kind, ProcRoot};
use warren_spawn::{
    Access, Forbidden, Mount, Namespace, ProcMasks, Root, Tree, Upper, system,
};

use super::options::{Options, Recursion};
use super::{Reader, plain};
use crate::config::{self, Device, Linux};
use crate::error::Error;

/// The devices that every container has, and that [`Mount::Dev`] makes.
const DEFAULT_DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
];

/// Paths that are still to be masked or made read-only.
struct Paths {
    masked: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn mounts(&mut self) -> Result<(), Error> {
        let none = Linux::default();
        let linux = self.config.linux.as_ref().unwrap_or(&none);
        let mut paths = Paths {
            masked: absolute(&linux.masked_paths, "linux.maskedPaths")?,
            read_only: absolute(&linux.readonly_paths, "linux.readonlyPaths")?,
        };
        let mut destinations = Vec::new();
        // A filesystem that others are mounted in becomes read-only after them.
        let mut late = Vec::new();
        for (index, mount) in self.config.mounts.iter().enumerate() {
            let target = destination(mount, index)?;
            let before = self.spec.mounts.len();
            self.mount(index, mount, &target, &mut paths, &mut late)?;
            if self.spec.mounts.len() > before {
                destinations.push(target);
            }
        }
        self.devices(linux)?;
        self.spec.mounts.append(&mut late);
        self.make_places(&destinations);
        let masked = paths.masked.into_iter();
        let masked = masked.map(|target| Mount::Mask { target });
        let read_only = paths.read_only.into_iter();
        let read_only = read_only.map(|target| Mount::ReadOnly { target });
        self.spec.mounts.extend(read_only.chain(masked));
        Ok(())
    }

    fn mount(
        &mut self,
        index: usize,
        mount: &config::Mount,
        target: &Path,
        paths: &mut Paths,
        late: &mut Vec<Mount>,
    ) -> Result<(), Error> {
        let mut options = Options::read(mount, index)?;
        self.lost_options(index, &options);
        let is_bind = options.bind.is_some();
        let made = match options.bind {
            Some(recursion) => self.bind(index, mount, target, &options, recursion)?,
            None => match self.filesystem(index, mount, target, &mut options, paths)? {
                Some(made) => made,
                None => return Ok(()),
            },
        };
        self.lost_data(index, &options);
        self.spec.mounts.push(made);
        self.forbid(target, &options, !is_bind, late);
        Ok(())
    }

    /// The filesystem of a type, if a Spec has it and it is not part of another.
    fn filesystem(
        &mut self,
        index: usize,
        mount: &config::Mount,
        target: &Path,
        options: &mut Options<'_>,
        paths: &mut Paths,
    ) -> Result<Option<Mount>, Error> {
        let is_of_dev = |name: &str| target == Path::new("/dev").join(name);
        let place = target.to_owned();
        Ok(Some(match mount.r#type.as_str() {
            "proc" => Mount::Proc {
                masks: self.proc_masks(target, paths),
                target: place,
            },
            "sysfs" => Mount::Sys { target: place },
            "mqueue" => Mount::Mqueue { target: place },
            "tmpfs" if target == Path::new("/dev") => {
                options.value("mode");
                Mount::Dev { target: place }
            }
            // It is one of the parts of `Mount::Dev`.
            "devpts" if is_of_dev("pts") && self.has_dev() => {
                options.data.retain(|(_, key, value)| {
                    !matches!(
                        (*key, *value),
                        ("newinstance", None)
                            | ("ptmxmode", Some("666" | "0666"))
                            | ("mode", Some("620" | "0620"))
                    )
                });
                self.lost_data(index, options);
                return Ok(None);
            }
            "tmpfs" => {
                let mode = self.tmpfs_mode(index, target, options)?;
                let size = size(index, options)?;
                let is_plain = size.is_none() && !options.no_execute;
                if is_of_dev("shm") && mode == 0o1777 && is_plain && self.has_dev() {
                    return Ok(None);
                }
                Mount::Tmpfs {
                    target: place,
                    mode,
                    size,
                }
            }
            "overlay" => overlay(index, place, options)?,
            "" => {
                let path = format!("mounts[{index}].type");
                let message = "is missing, and the options do not say bind";
                return Err(Error::new(path, message));
            }
            kind => {
                let path = format!("mounts[{index}].type");
                self.losses.note(path, format!("no {kind} is mounted"));
                return Ok(None);
            }
        }))
    }

    fn lost_options(&mut self, index: usize, options: &Options<'_>) {
        for (place, what, weakens) in &options.lost {
            let path = format!("mounts[{index}].options[{place}]");
            if *weakens {
                self.losses.weaker(path, *what);
            } else {
                self.losses.note(path, *what);
            }
        }
        if options.id_mapped {
            self.losses.weaker(
                format!("mounts[{index}]"),
                "the files keep the owners that they have",
            );
        }
    }

    fn has_dev(&self) -> bool {
        let mut mounts = self.spec.mounts.iter();
        mounts.any(|mount| matches!(mount, Mount::Dev { .. }))
    }

    fn lost_data(&mut self, index: usize, options: &Options<'_>) {
        for (place, key, _) in &options.data {
            let path = format!("mounts[{index}].options[{place}]");
            self.losses.note(path, format!("{key} is not set"));
        }
    }

    fn bind(
        &mut self,
        index: usize,
        mount: &config::Mount,
        target: &Path,
        options: &Options<'_>,
        recursion: Recursion,
    ) -> Result<Mount, Error> {
        if mount.source.is_empty() {
            let path = format!("mounts[{index}].source");
            return Err(Error::new(path, "is missing: a bind needs it"));
        }
        let source = self.of_bundle(&mount.source);
        if recursion == Recursion::Alone && has_mounts_below(&source) {
            self.losses.weaker(
                format!("mounts[{index}].options"),
                "what is mounted in the source would be seen too",
            );
        }
        Ok(Mount::Bind {
            source: Tree::Path(source),
            target: target.to_owned(),
            access: if options.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            devices: !options.no_devices,
        })
    }

    /// What the mount forbids beyond what every mount does.
    fn forbid(
        &mut self,
        target: &Path,
        options: &Options<'_>,
        write: bool,
        late: &mut Vec<Mount>,
    ) {
        // A procfs, a sysfs and message queues forbid execution by themselves.
        let never_executes = matches!(
            self.spec.mounts.last(),
            Some(Mount::Proc { .. } | Mount::Sys { .. } | Mount::Mqueue { .. })
        );
        let push = |mounts: &mut Vec<Mount>, what| {
            let target = target.to_owned();
            mounts.push(Mount::Forbid { target, what });
        };
        if options.no_execute && !never_executes {
            let what = Forbidden {
                execute: true,
                ..Forbidden::default()
            };
            push(&mut self.spec.mounts, what);
        }
        if write && options.read_only {
            let what = Forbidden {
                write: true,
                ..Forbidden::default()
            };
            push(late, what);
        }
    }

    /// Which of the procfs' own masks the lists have; those are taken off them.
    fn proc_masks(&self, target: &Path, paths: &mut Paths) -> ProcMasks {
        for masks in [ProcMasks::All, ProcMasks::Settings] {
            let wanted = system::masked(masks, self.spec.may_be_hosts_root());
            let join = |names: &[&str]| -> Vec<PathBuf> {
                names.iter().map(|name| target.join(name)).collect()
            };
            let (covered, read_only) = (join(&wanted.covered), join(&wanted.read_only));
            let has = |list: &[PathBuf], all: &[PathBuf]| {
                all.iter().all(|path| list.contains(path))
            };
            if has(&paths.masked, &covered) && has(&paths.read_only, &read_only) {
                paths.masked.retain(|path| !covered.contains(path));
                paths.read_only.retain(|path| !read_only.contains(path));
                return masks;
            }
        }
        ProcMasks::None
    }

    /// The mode that is asked for, or that of the folder which it covers.
    fn tmpfs_mode(
        &self,
        index: usize,
        target: &Path,
        options: &mut Options<'_>,
    ) -> Result<u32, Error> {
        const USUAL: u32 = 0o755;
        let Some((place, text)) = options.value("mode") else {
            let covered = self.in_root(target);
            let covered = covered.and_then(|path| path.symlink_metadata().ok());
            let mode = covered.map(|file| file.permissions().mode() & 0o7777);
            return Ok(mode.unwrap_or(USUAL));
        };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(mode),
            _ => Err(Error::new(
                format!("mounts[{index}].options[{place}]"),
                format!("expected an octal mode, found {text:?}"),
            )),
        }
    }

    /// Where a path of the container is in the tree that is its root, symlinks aside.
    fn in_root(&self, path: &Path) -> Option<PathBuf> {
        match &self.spec.root {
            Root::Tree { path: root, .. } => {
                Some(root.join(path.strip_prefix("/").unwrap_or(path)))
            }
            _ => None,
        }
    }

    /// A root that cannot be written from the start has no room for mount points that
    /// are missing; and one that can is not to be shown under other ids, as a Spec does
    /// with its own, since who made it for a user namespace gave it their owners.
    fn make_places(&mut self, destinations: &[PathBuf]) {
        let Root::Tree { path, access } = &self.spec.root else {
            return;
        };
        let is_missing = |(number, target): (usize, &PathBuf)| {
            let earlier = &destinations[..number];
            !earlier.iter().any(|outer| target.starts_with(outer))
                && self
                    .in_root(target)
                    .is_some_and(|place| place.symlink_metadata().is_err())
        };
        let is_sealed = *access == Access::ReadOnly;
        let is_shifted = *self.spec.namespaces.get(Kind::User) == Namespace::New;
        if is_sealed && !destinations.iter().enumerate().any(is_missing)
            || !is_sealed && !is_shifted
        {
            return;
        }
        let root = Mount::bind(path.clone(), "/", Access::ReadWrite);
        self.spec.root = Root::Scratch;
        self.spec.mounts.insert(0, root);
        if is_sealed {
            self.spec.mounts.push(Mount::Forbid {
                target: "/".into(),
                what: Forbidden {
                    write: true,
                    ..Forbidden::default()
                },
            });
        }
    }

    /// Device files of the host are shown, where they are those that are asked for: a
    /// user namespace may make none.
    fn devices(&mut self, linux: &Linux) -> Result<(), Error> {
        for (index, device) in linux.devices.iter().enumerate() {
            let path = format!("linux.devices[{index}]");
            if !matches!(device.r#type.as_str(), "c" | "u" | "b" | "p") {
                let message = format!("unknown type {:?}", device.r#type);
                return Err(Error::new(format!("{path}.type"), message));
            }
            if !device.path.starts_with('/') {
                let message =
                    format!("expected an absolute path, found {:?}", device.path);
                return Err(Error::new(format!("{path}.path"), message));
            }
            if DEFAULT_DEVICES.contains(&device.path.as_str()) && self.has_dev() {
                continue;
            }
            if is_on_host(device) {
                self.spec.mounts.push(Mount::Bind {
                    source: Tree::Path(device.path.clone().into()),
                    target: device.path.clone().into(),
                    access: Access::ReadWrite,
                    devices: true,
                });
            } else {
                self.losses
                    .note(path, "the host has no such device at this path");
            }
        }
        Ok(())
    }
}

fn is_on_host(device: &Device) -> bool {
    let Ok(file) = std::fs::symlink_metadata(&device.path) else {
        return false;
    };
    let number = file.rdev();
    let same_number = i64::from(rustix::fs::major(number)) == device.major
        && i64::from(rustix::fs::minor(number)) == device.minor;
    match device.r#type.as_str() {
        "b" => file.file_type().is_block_device() && same_number,
        "p" => false,
        _ => file.file_type().is_char_device() && same_number,
    }
}

/// Where a mount goes: absolute, or below the root.
fn destination(mount: &config::Mount, index: usize) -> Result<PathBuf, Error> {
    let wrong = |message: &str| {
        let message = format!("{message}, found {:?}", mount.destination);
        Error::new(format!("mounts[{index}].destination"), message)
    };
    let path = plain(&Path::new("/").join(&mount.destination));
    if mount.destination.is_empty() || mount.destination.contains('\0') {
        return Err(wrong("expected a path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(wrong("expected a path without .."));
    }
    if path == Path::new("/") {
        return Err(wrong("expected a path below the root"));
    }
    Ok(path)
}

fn absolute(paths: &[String], name: &str) -> Result<Vec<PathBuf>, Error> {
    let one = |(index, path): (usize, &String)| {
        let found = plain(Path::new(path));
        let is_way = !found.components().any(|part| part == Component::ParentDir);
        if !path.starts_with('/') || found == Path::new("/") || !is_way {
            let message = format!("expected an absolute path, found {path:?}");
            return Err(Error::new(format!("{name}[{index}]"), message));
        }
        Ok(found)
    };
    paths.iter().enumerate().map(one).collect()
}

/// `size=`, in bytes, or with `k`, `m` or `g`; not in percent.
fn size(index: usize, options: &mut Options<'_>) -> Result<Option<u64>, Error> {
    let Some((place, text)) = options.value("size") else {
        return Ok(None);
    };
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let bytes = digits.parse::<u64>().ok();
    match bytes.and_then(|bytes| bytes.checked_mul(1 << shift)) {
        // 0 is the kernel's word for no limit.
        Some(0) => Ok(None),
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Error::new(
            format!("mounts[{index}].options[{place}]"),
            format!("expected a size in bytes, found {text:?}"),
        )),
    }
}

fn overlay(
    index: usize,
    target: PathBuf,
    options: &mut Options<'_>,
) -> Result<Mount, Error> {
    let path = format!("mounts[{index}].options");
    let Some((_, lower)) = options.value("lowerdir") else {
        return Err(Error::new(path, "an overlay needs lowerdir="));
    };
    let upper = options.value("upperdir");
    let work = options.value("workdir");
    options.data.retain(|(_, key, _)| *key != "userxattr");
    // The topmost is the first there, and the last here.
    let mut lower: Vec<PathBuf> = split_layers(lower);
    lower.reverse();
    let upper = match (upper, work) {
        (Some((_, upper)), Some((_, work))) => Upper::Folder {
            upper: unescaped(upper).into(),
            work: unescaped(work).into(),
        },
        (None, None) => Upper::None,
        _ => return Err(Error::new(path, "upperdir= and workdir= need each other")),
    };
    Ok(Mount::Overlay {
        lower,
        upper,
        target,
    })
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

/// Whether something is mounted in a tree, as far as this process sees.
fn has_mounts_below(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else {
        return false;
    };
    let mounts = ProcRoot::open().ok().map(|proc| mountinfo::own(&proc));
    // Where that cannot be told, something may be.
    let Some(Ok(mounts)) = mounts else {
        return true;
    };
    mounts
        .iter()
        .any(|mount| mount.mount_point != real && mount.mount_point.starts_with(&real))
}
