//! What a container has of the host, which criu does not write down: the sources of bind
//! mounts, namespaces that were joined.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use warren_cgroups::Hierarchy;
use warren_mounts::{Change, open_in_root};
use warren_namespaces::Kind;
use warren_namespaces::mountinfo::MountInfo;
use warren_spawn::{self as spawn, FlagChange, Spec};
use warren_sys::Errno;

use super::container::Container;
use super::error::Error;
use super::notify;
pub(super) use super::notify::INSIDE;
use crate::config::{Config, Linux, Mount};
use crate::{kinds, lexical};

/// What a masked file is covered by.
pub(super) const NULL: &str = "/dev/null";
/// Where v1 has its hierarchies in a container.
const CGROUP: &str = "cgroup";
/// Device files that are bound where none can be made.
const DEVICES: [&str; 6] = [
    NULL,
    "/dev/random",
    "/dev/full",
    "/dev/tty",
    "/dev/zero",
    "/dev/urandom",
];

/// Refuses what criu would bring back as something else.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    for (index, mount) in config.mounts.iter().enumerate() {
        let asks = |name: &str| mount.options.iter().any(|option| option == name);
        if asks("idmap") || asks("ridmap") || !mount.uid_mappings.is_empty() {
            let message = "criu cannot restore a mount with its own map of ids";
            return Err(Error::new(format!("mounts[{index}]: {message}")));
        }
    }
    for one in linux(config).map_or(&[][..], |linux| &linux.namespaces) {
        let can = ["network", "pid", "ipc", "uts"].contains(&one.r#type.as_str());
        if !one.path.is_empty() && !can {
            let kind = &one.r#type;
            let message = format!("criu cannot restore into a joined {kind} namespace");
            return Err(Error::new(format!("linux.namespaces: {message}")));
        }
    }
    Ok(())
}

fn linux(config: &Config) -> Option<&Linux> {
    config.linux.as_ref()
}

/// Namespaces of others that the first process is a member of, by the name under which they
/// are known again. The names are those of runc.
pub(super) fn namespaces(config: &Config) -> Vec<(Kind, &'static str)> {
    let names = [(Kind::Net, "extRootNetNS"), (Kind::Pid, "extRootPidNS")];
    let is_joined = |(kind, _): &(Kind, &str)| joined(config, *kind).is_some();
    names.into_iter().filter(is_joined).collect()
}

/// The file of a namespace that is joined.
pub(super) fn joined(config: &Config, kind: Kind) -> Option<&Path> {
    let mut all = linux(config)?.namespaces.iter();
    let one = all.find(|one| kinds::kind(&one.r#type) == Some(kind))?;
    Some(Path::new(&one.path)).filter(|path| *path != Path::new(""))
}

/// Those that criu leaves empty, as flags of clone(2): what is in a network namespace is the
/// engine's, which brings it again.
pub(super) fn empty(config: &Config) -> u64 {
    match joined(config, Kind::Net) {
        Some(_) => 0,
        None => Kind::Net.clone_flag(),
    }
}

pub(super) fn is_bind(mount: &Mount) -> bool {
    let binds = |option: &String| option == "bind" || option == "rbind";
    mount.r#type == "bind" || mount.options.iter().any(binds)
}

/// Mounts of the host's as they are written down: the place of each, and its name.
pub(super) fn written(
    config: &Config,
    root: BorrowedFd<'_>,
    mounts: &[MountInfo],
) -> Vec<(String, String)> {
    let binds = config.mounts.iter().filter(|mount| is_bind(mount));
    let binds = binds.map(|mount| {
        let name = destination(mount);
        let place = resolved(root, &name).unwrap_or_else(|| name.clone());
        (place, name)
    });
    // A folder is covered by a filesystem of its own, which is written down.
    let masked = linux(config).map_or(&[][..], |linux| &linux.masked_paths);
    let is_file = |path: &&String| {
        let mut there = mounts
            .iter()
            .filter(|one| one.mount_point == Path::new(path));
        there.any(|mount| mount.root != Path::new("/"))
    };
    let masked = masked.iter().filter(is_file);
    let masked = masked.map(|path| (path.clone(), NULL.to_owned()));
    let groups = mounts.iter().filter(|mount| mount.filesystem == CGROUP);
    let groups = groups.map(|mount| mount.mount_point.to_string_lossy().into_owned());
    // What is no mount there is passed over by criu.
    let same = groups
        .chain(devices(config))
        .chain([INSIDE.to_owned()])
        .map(|path| (path.clone(), path));
    binds.chain(masked).chain(same).collect()
}

/// A file that is on no mount of the container, as criu names it, and its path behind that:
/// criu(8), `--external`.
pub(super) fn file(mount: u64, inode: u64, path: &str) -> String {
    format!("file[{mount:x}:{inode:x}] {path}")
}

/// criu's name of a file, and its path, if it is named so.
pub(super) fn split_file(name: &str) -> Option<(&str, &str)> {
    name.starts_with("file[").then(|| name.split_once(' '))?
}

/// Something of the host's that is mounted in a container again.
#[derive(Debug)]
pub(super) struct Source {
    /// As it was written down.
    pub name: String,
    /// Where it is in the container.
    pub place: String,
    /// What is mounted, on the host.
    pub path: PathBuf,
    /// `MOUNT_ATTR_*` that the mount has.
    pub flags: FlagChange,
    /// Those that it and all that is mounted in it have.
    pub flags_below: FlagChange,
    /// Whether it is in every container that has this config.json.
    pub is_sure: bool,
}

impl Source {
    /// A file or folder that cannot be written, and a device of which the owner and the mode
    /// cannot.
    fn read_only(place: String, path: impl Into<PathBuf>) -> Self {
        let flags = FlagChange {
            set: FlagChange::READ_ONLY,
            clear: 0,
        };
        Self {
            name: place.clone(),
            place,
            path: path.into(),
            flags,
            flags_below: FlagChange::default(),
            is_sure: false,
        }
    }
}

/// The same as they are brought back.
pub(super) fn brought_back(
    container: &Container,
    config: &Config,
    spec: &Spec,
) -> Result<Vec<Source>, Error> {
    let mut all = Vec::new();
    for mount in &config.mounts {
        let name = destination(mount);
        let (flags, flags_below) = flags(spec, &name);
        if is_bind(mount) {
            let path = container.bundle().join(&mount.source);
            all.push(Source {
                // criu looks for its folder among the mounts, by name. What is not there it
                // says itself.
                path: std::fs::canonicalize(&path).unwrap_or(path),
                place: name.clone(),
                name,
                flags,
                flags_below,
                is_sure: true,
            });
        } else if mount.r#type == CGROUP {
            let group = container.record.cgroup.as_ref();
            let group = group.map_or(Path::new(""), |group| &group.path);
            let v1 = container.hierarchies()?.list.iter();
            let v1 = v1.filter(|one| !one.is_v2());
            all.extend(v1.filter_map(|one| of_hierarchy(one, group, &name, flags)));
        }
    }
    let notify = container.folder.path.join(notify::FOLDER);
    all.push(Source::read_only(INSIDE.to_owned(), notify));
    let masked = linux(config).map_or(&[][..], |linux| &linux.masked_paths);
    let masked = masked.iter().cloned();
    all.extend(masked.map(|path| Source {
        name: NULL.to_owned(),
        ..Source::read_only(path, NULL)
    }));
    all.extend(devices(config).map(|path| Source::read_only(path.clone(), path)));
    Ok(all)
}

/// The container's own group in a hierarchy of v1.
fn of_hierarchy(
    hierarchy: &Hierarchy,
    group: &Path,
    place: &str,
    flags: FlagChange,
) -> Option<Source> {
    let name = hierarchy.mount_point.file_name()?.to_str()?;
    let place = format!("{place}/{name}");
    Some(Source {
        name: place.clone(),
        place,
        path: hierarchy.path(group.strip_prefix("/").unwrap_or(group)),
        flags,
        flags_below: FlagChange::default(),
        is_sure: false,
    })
}

/// What the mount at a place has, and with it all that is mounted in it.
fn flags(spec: &Spec, place: &str) -> (FlagChange, FlagChange) {
    let detailed = spec.mounts.iter().filter_map(|mount| match mount {
        spawn::Mount::Detailed(mount) => Some(mount),
        _ => None,
    });
    let mut there = detailed.filter(|mount| mount.target == Path::new(place));
    let found = there.next().map(|mount| (mount.flags, mount.flags_below));
    found.unwrap_or_default()
}

/// Gives mounts the flags that they had, in the namespace where they are: criu forgets those
/// of a second mount of the same filesystem.
pub(super) fn set_flags(sources: &[Source]) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty());
    let root = root.map_err(|errno| Error::errno("open the container's root", errno))?;
    for source in sources {
        match set_flags_of(source, root.as_fd()) {
            // There is nothing there, or nothing is mounted on it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) if !source.is_sure => {}
            result => result.map_err(|errno| {
                Error::errno(
                    format!("set the flags of the mount {}", source.place),
                    errno,
                )
            })?,
        }
    }
    Ok(())
}

fn set_flags_of(source: &Source, root: BorrowedFd<'_>) -> Result<(), Errno> {
    let path = CString::new(source.place.as_str()).map_err(|_| Errno::INVAL)?;
    let mount = open_in_root(root, &path, OFlags::PATH)?;
    for (flags, below) in [(source.flags_below, true), (source.flags, false)] {
        if flags != FlagChange::default() {
            let change = Change {
                set: flags.set,
                clear: flags.clear,
                propagation: 0,
            };
            warren_mounts::change(mount.as_fd(), change, below)?;
        }
    }
    Ok(())
}

/// The usual ones, and those that are asked for.
fn devices(config: &Config) -> impl Iterator<Item = String> {
    let asked = linux(config).map_or(&[][..], |linux| &linux.devices);
    let asked = asked.iter().map(|device| device.path.clone());
    DEVICES.into_iter().map(str::to_owned).chain(asked)
}

/// Where a mount is asked for.
pub(super) fn destination(mount: &Mount) -> String {
    let path = lexical(&Path::new("/").join(&mount.destination));
    path.display().to_string()
}

/// Where it is, when symlinks of the container have led there.
fn resolved(root: BorrowedFd<'_>, path: &str) -> Option<String> {
    let opened = open_in_root(root, &CString::new(path).ok()?, OFlags::PATH).ok()?;
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let link = rustix::fs::readlink(link, Vec::new()).ok()?;
    link.into_string().ok()
}
