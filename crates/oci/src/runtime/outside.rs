//! What a container has of the host, which criu does not write down: the sources of bind
//! mounts, namespaces that were joined.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use warren_cgroups::Hierarchies;
use warren_mounts::open_in_root;
use warren_namespaces::Kind;
use warren_namespaces::mountinfo::MountInfo;

use super::container::Container;
use super::error::Error;
pub(super) use super::notify::INSIDE;
use crate::config::{Config, Linux, Mount};
use crate::{kinds, lexical};

/// What a masked file is covered by.
const NULL: &str = "/dev/null";
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
        let mut there = mounts.iter().filter(|one| one.mount_point == Path::new(path));
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

/// A file that is on no mount of the container, as criu names it: criu(8), `--external`.
pub(super) fn file(mount: u64, inode: u64) -> String {
    format!("file[{mount:x}:{inode:x}]")
}

/// Whether it is named so.
pub(super) fn is_file(name: &str) -> bool {
    name.starts_with("file[")
}

/// The same as they are brought back: the name of each, and what is mounted.
pub(super) fn brought_back(
    container: &Container,
    config: &Config,
) -> Result<Vec<(String, String)>, Error> {
    let mut all = Vec::new();
    for mount in &config.mounts {
        if is_bind(mount) {
            let source = container.bundle().join(&mount.source);
            all.push((destination(mount), source.display().to_string()));
        } else if mount.r#type == CGROUP {
            let hierarchies = container.hierarchies()?;
            all.extend(groups(container, hierarchies, &destination(mount)));
        }
    }
    all.extend(devices(config).map(|path| (path.clone(), path)));
    Ok(all)
}

/// The container's own group in each hierarchy of v1.
fn groups(
    container: &Container,
    hierarchies: &Hierarchies,
    place: &str,
) -> Vec<(String, String)> {
    let group = container.record.cgroup.as_ref().map(|group| &group.path);
    let group = group.map_or(Path::new(""), PathBuf::as_path);
    let group = group.strip_prefix("/").unwrap_or(group);
    let v1 = hierarchies.list.iter().filter(|one| !one.is_v2());
    v1.filter_map(|hierarchy| {
        let name = hierarchy.mount_point.file_name()?.to_str()?;
        let source = hierarchy.path(group).display().to_string();
        Some((format!("{place}/{name}"), source))
    })
    .collect()
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
