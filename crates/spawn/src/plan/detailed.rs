//! Mounts of which every property is said, and device files.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use warren_mounts::{Node, Target};
use warren_namespaces::{Kind, ProcRoot, mountinfo};
use warren_sys::Errno;

use super::Planner;
use super::mounts::{node, target};
use super::program::c_string;
use crate::error::Error;
use crate::spec::{
    DetailedMount, Device, FlagChange, Mount, MountIds, Mounted, Namespace,
    PropagationKind, Root, Spec, Terminal, Tree,
};
use crate::step::{Changes, MapLines, NewFilesystem, ShiftWithin, Source, Step};

impl Planner<'_> {
    pub(super) fn detailed(
        &mut self,
        mount: &DetailedMount,
        target: Target,
    ) -> Result<(), Error> {
        match &mount.what {
            Mounted::Tree {
                source,
                recursive,
                ids,
            } => {
                let node = node(source)?;
                let changes = changes(mount, *recursive);
                let (source, changes) =
                    self.detailed_source(source, changes, ids.as_ref())?;
                self.push(Step::MountTree {
                    source,
                    target,
                    node: Some(node),
                    changes,
                });
            }
            Mounted::Within {
                path,
                recursive,
                ids,
            } => {
                let place = self::target(path)?;
                let ids = ids.as_ref();
                let ids = ids.map(|ids| self.ids_within(ids, &place)).transpose()?;
                // What it is shows when it is there.
                self.push(Step::MountTree {
                    source: Source::Within { place, ids },
                    target,
                    node: None,
                    changes: changes(mount, *recursive),
                });
            }
            Mounted::Filesystem { .. } => {
                let new = self.new_filesystem(mount)?;
                let new = Box::new(new);
                self.push(Step::MountFilesystem { new, target });
            }
            Mounted::Cgroup => self.cgroups(mount, target)?,
        }
        Ok(())
    }

    /// A tree at the root of a root that anything may be done with becomes the root.
    pub(super) fn root_as_told(&mut self, mount: &DetailedMount) -> Result<(), Error> {
        let Mounted::Tree {
            source,
            recursive,
            ids,
        } = &mount.what
        else {
            target(&mount.target)?;
            return Ok(());
        };
        if node(source)? != Node::Folder {
            return Err(Error::spec(format!("the root {source}")).errno(Errno::NOTDIR));
        }
        let changes = changes(mount, *recursive);
        let (source, changes) = self.detailed_source(source, changes, ids.as_ref())?;
        let place = self.spec.root_place.as_ref();
        let place = place.map(|path| c_string(path.as_os_str())).transpose()?;
        self.push_cover(Step::RootDetailed {
            source,
            changes,
            place,
            stays: self.spec.callers_mounts,
        });
        Ok(())
    }

    /// Where the child finds a tree, and how it changes it: not at all where the parent has
    /// to, as in [`Self::source`] and for ids of its own.
    fn detailed_source(
        &mut self,
        tree: &Tree,
        changes: Changes,
        ids: Option<&MountIds>,
    ) -> Result<(Source, Changes), Error> {
        let is_whole = matches!(tree, Tree::Path(path) if path.as_os_str() == "/");
        let is_open = matches!(tree, Tree::Open(_));
        let covered = is_whole && self.first_cover.is_some();
        if !(ids.is_some() || covered || is_open || self.parent_clones()) {
            let Tree::Path(path) = tree else {
                return Err(Error::spec("a tree is at a path"));
            };
            return Ok((Source::Path(c_string(path.as_os_str())?), changes));
        }
        let number = self.trees;
        self.trees += 1;
        let of_container = ids.filter(|ids| ids.uids.is_empty());
        let own = ids.filter(|ids| !ids.uids.is_empty());
        let own = own.map(|ids| {
            Box::new(MapLines::Known {
                uids: ids.uids.clone(),
                gids: ids.gids.clone(),
            })
        });
        if of_container.is_some() && !self.has_other_users() {
            return Err(ids_without_map());
        }
        // The container's map can be used only when it has been written.
        if let Some(ids) = of_container.filter(|_| self.is_new(Kind::User)) {
            let step = Step::ShiftIds {
                tree: number,
                name: tree.clone(),
                recursive: ids.recursive,
            };
            self.push(step);
        }
        let shifts_below = ids.is_some_and(|ids| ids.recursive);
        self.push(Step::CloneDetailed {
            tree: tree.clone(),
            changes: Changes {
                shifts_below,
                ..changes
            },
            ids: own,
        });
        let joined = of_container.filter(|_| !self.is_new(Kind::User));
        if let (Some(ids), Some(namespace)) = (joined, self.place_of_users()) {
            self.push(Step::ShiftIdsTo {
                tree: number,
                path: PathBuf::from(tree.to_string()),
                namespace,
                name: "the user namespace that is joined".to_owned(),
                recursive: ids.recursive,
            });
        }
        Ok((Source::Tree(number, tree.clone()), Changes::default()))
    }

    /// The owners of what the parent cannot see change when the child has cloned it: by the
    /// child itself, or by the parent where the child is in a user namespace.
    fn ids_within(
        &mut self,
        ids: &MountIds,
        place: &Target,
    ) -> Result<ShiftWithin, Error> {
        let by_parent = self.has_other_users();
        if ids.uids.is_empty() && !by_parent {
            return Err(ids_without_map());
        }
        let ids = ShiftWithin {
            map: self.own_map(ids),
            recursive: ids.recursive,
            by_parent,
        };
        if by_parent {
            let place = place.clone();
            self.push(Step::ShiftWithin { place, ids });
        }
        Ok(ids)
    }

    /// The number of a map of the mount's own; none where it is the container's.
    fn own_map(&mut self, ids: &MountIds) -> Option<usize> {
        if ids.uids.is_empty() {
            return None;
        }
        let number = self.trees;
        self.trees += 1;
        self.push(Step::MakeMap(Box::new(MapLines::Known {
            uids: ids.uids.clone(),
            gids: ids.gids.clone(),
        })));
        Some(number)
    }

    fn new_filesystem(&self, mount: &DetailedMount) -> Result<NewFilesystem, Error> {
        let Mounted::Filesystem {
            kind,
            source,
            super_flags,
            data,
            copy_up,
        } = &mount.what
        else {
            return Err(Error::spec("a filesystem is mounted"));
        };
        let mut data = data.clone();
        let labelled = !matches!(kind.as_str(), "proc" | "sysfs" | "mqueue" | "cgroup2");
        if let Some(label) = self.spec.mount_label.as_ref().filter(|_| labelled) {
            if !data.is_empty() {
                data.push(",");
            }
            data.push(format!("context=\"{label}\""));
        }
        let has_mode = words(&data).any(|word| word.starts_with(b"mode="));
        let takes_mode = kind == "tmpfs" && !has_mode;
        let changes = Changes {
            own: FlagChange::default(),
            ..changes(mount, true)
        };
        // One page is what mount(2) takes.
        const LONGEST: usize = 4000;
        let in_steps = data.len() > LONGEST
            || *copy_up
            || !changes.below.is_empty()
            || !changes.propagation.is_empty();
        let mut options = Vec::new();
        if in_steps {
            for word in words(&data) {
                options.push(option(word)?);
            }
            options.extend(super_options(*super_flags));
            if options.is_empty() {
                options.push((CString::default(), None));
            }
        }
        Ok(NewFilesystem {
            kind: c_string(kind.as_ref())?,
            source: c_string(source)?,
            flags: super_flags | mount_flags(mount.flags.set),
            attributes: mount.flags.set,
            data: c_string(&data)?,
            options,
            takes_mode,
            copy_up: *copy_up,
            is_of_kernel: matches!(kind.as_str(), "proc" | "sysfs"),
            changes: Changes {
                recursive: false,
                ..changes
            },
        })
    }

    /// The masks and seals that lie directly in a procfs which is mounted as it is told:
    /// they can be made at once.
    pub(super) fn proc_paths(&self) -> Option<ProcPaths> {
        let mounts = &self.spec.mounts;
        let is_proc = |mount: &Mount| match mount {
            Mount::Detailed(mount) => matches!(
                &mount.what,
                Mounted::Filesystem { kind, .. } if kind == "proc"
            ),
            _ => false,
        };
        let proc = mounts.iter().rposition(is_proc)?;
        let target = mounts[proc].target();
        let mut paths = ProcPaths {
            target: self::target(target).ok()?,
            places: Vec::new(),
            masked: Vec::new(),
            read_only: Vec::new(),
        };
        for (place, mount) in mounts.iter().enumerate().skip(proc + 1) {
            let Ok(name) = mount.target().strip_prefix(target) else {
                continue;
            };
            let list = match mount {
                Mount::Mask { .. } if self.spec.readable_masks => &mut paths.masked,
                Mount::ReadOnly { .. } => &mut paths.read_only,
                // What is mounted there may be none of the kernel's.
                _ => return None,
            };
            if is_plain(name) {
                list.push(c_string(name.as_os_str()).ok()?);
                paths.places.push(place);
            }
        }
        (!paths.places.is_empty()).then_some(paths)
    }

    /// What the caller's root shows of the kernel, the last mount first, if the new root may
    /// come to lie on it.
    pub(super) fn shows_of_kernel(&self) -> Result<Option<Vec<CString>>, Error> {
        if !self.spec.without_pivot {
            return Ok(None);
        }
        let proc = ProcRoot::open().map_err(|error| Error::spec(error.to_string()))?;
        let mounts = mountinfo::own(&proc);
        let mounts = mounts.map_err(|error| Error::spec(error.to_string()))?;
        let shows = mounts.iter().rev();
        let shows = shows.filter(|one| matches!(&*one.filesystem, "proc" | "sysfs"));
        let paths = shows.map(|one| c_string(one.mount_point.as_os_str()));
        paths.collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn device_files(&mut self, target: Target) {
        let step = Step::DeviceFiles {
            target,
            bind: self.has_other_users(),
            console: self.has_console(),
        };
        self.push(step);
    }

    pub(super) fn device(&mut self, device: &Device, target: Target) {
        let device = device.clone();
        self.push(Step::Device { device, target });
    }

    /// Whether the terminal is shown as the console: in a /dev that was made as it was told.
    pub(super) fn has_console(&self) -> bool {
        let is_dev = |mount: &Mount| matches!(mount, Mount::DeviceFiles { .. });
        self.spec.terminal != Terminal::Inherit && self.spec.mounts.iter().any(is_dev)
    }

    /// Whether there is a filesystem of message queues in a user namespace, to be owned by
    /// its root: with the process the ipc namespace would be made by the caller.
    pub(super) fn owns_queues(&self) -> bool {
        let is_of_queues = |mount: &Mount| match mount {
            Mount::Detailed(mount) => matches!(
                &mount.what,
                Mounted::Filesystem { kind, .. } if kind == "mqueue"
            ),
            _ => false,
        };
        self.is_new(Kind::User)
            && self.is_new(Kind::Ipc)
            && self.spec.mounts.iter().any(is_of_queues)
    }

    /// Whether the process is in another user namespace than its caller.
    fn has_other_users(&self) -> bool {
        *self.spec.namespaces.get(Kind::User) != Namespace::Inherit
    }

    /// Before anything is mounted: what becomes of the mounts that the host has.
    pub(super) fn spreading(&mut self) {
        let spec = self.spec;
        let shared = spec
            .root_propagation
            .is_some_and(|one| one.kind == PropagationKind::Shared);
        // The mounts of a new user namespace cannot spread to the host, and those of the
        // host not to a root that is private from its making.
        let cut_off = self.has_other_users() && spec.root != Root::Inherit;
        if !self.is_new(Kind::Mnt) || (cut_off && !shared) {
            return;
        }
        self.push(match (shared, spec.follows_host_mounts) {
            (true, _) => Step::PrivateRoot,
            (false, true) => Step::FollowMounts,
            (false, false) => Step::PrivateMounts,
        });
    }
}

/// Whether a Spec mounts nothing over the caller's root: only that at its place, and what is
/// in it.
pub(super) fn is_in_place(spec: &Spec) -> bool {
    let is_root = |mount: &Mount| {
        matches!(mount, Mount::Detailed(_)) && mount.target().as_os_str() == "/"
    };
    let needs_layers =
        |mount: &Mount| matches!(mount, Mount::Overlay { .. } | Mount::File { .. });
    spec.root == Root::Scratch
        && spec.root_place.is_some()
        && spec.mounts.first().is_some_and(is_root)
        && !spec.mounts.iter().any(needs_layers)
        && spec.disk.is_none()
        && *spec.namespaces.get(Kind::User) == Namespace::Inherit
        && *spec.namespaces.get(Kind::Mnt) == Namespace::Inherit
}

/// What of a list of mounts is done at once in a procfs.
pub(super) struct ProcPaths {
    target: Target,
    /// Their places in the list.
    places: Vec<usize>,
    masked: Vec<CString>,
    read_only: Vec<CString>,
}

impl ProcPaths {
    pub(super) fn takes(&self, place: usize) -> bool {
        self.places.contains(&place)
    }

    pub(super) fn begins(&self, place: usize) -> bool {
        self.places.first() == Some(&place)
    }

    pub(super) fn step(&self) -> Step {
        Step::ProcPaths {
            target: self.target.clone(),
            masked: self.masked.clone(),
            read_only: self.read_only.clone(),
        }
    }
}

fn ids_without_map() -> Error {
    Error::spec("ids of a mount need a map of its own or a user namespace")
}

/// Whether it is one name, and none of a symlink of the kernel's.
fn is_plain(name: &Path) -> bool {
    const LINKS: [&str; 4] = ["self", "thread-self", "mounts", "net"];
    let mut parts = name.components();
    let is_one =
        matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    is_one && !LINKS.iter().any(|link| name == Path::new(link))
}

fn changes(mount: &DetailedMount, recursive: bool) -> Changes {
    Changes {
        recursive,
        shifts_below: false,
        own: mount.flags,
        below: mount.flags_below,
        propagation: mount.propagation.clone(),
    }
}

/// At each comma that is not between quotes, as a context of SELinux may have.
fn words(data: &OsStr) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let split = data.as_bytes().split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    split.filter(|word| !word.is_empty())
}

fn option(word: &[u8]) -> Result<(CString, Option<CString>), Error> {
    let text = |bytes: &[u8]| c_string(OsStr::from_bytes(bytes));
    match word.iter().position(|byte| *byte == b'=') {
        Some(place) => {
            let value = &word[place + 1..];
            // mount(2) takes the quotes off.
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            let value = value.strip_suffix(b"\"").unwrap_or(value);
            Ok((text(&word[..place])?, Some(text(value)?)))
        }
        None => Ok((text(word)?, None)),
    }
}

const MS_SYNCHRONOUS: u64 = 1 << 4;
const MS_MANDLOCK: u64 = 1 << 6;
const MS_DIRSYNC: u64 = 1 << 7;
const MS_LAZYTIME: u64 = 1 << 25;

/// The words of fsconfig(2) for flags of a filesystem.
fn super_options(flags: u64) -> impl Iterator<Item = (CString, Option<CString>)> {
    const WORDS: [(u64, &CStr); 4] = [
        (MS_SYNCHRONOUS, c"sync"),
        (MS_MANDLOCK, c"mand"),
        (MS_DIRSYNC, c"dirsync"),
        (MS_LAZYTIME, c"lazytime"),
    ];
    let given = WORDS.into_iter().filter(move |(bit, _)| flags & bit != 0);
    given.map(|(_, word)| (word.to_owned(), None))
}

/// `MOUNT_ATTR_*` as `MS_*`.
fn mount_flags(attributes: u32) -> u64 {
    const SAME: [(u32, u64); 8] = [
        (warren_sys::MOUNT_ATTR_RDONLY, 1),
        (warren_sys::MOUNT_ATTR_NOSUID, 1 << 1),
        (warren_sys::MOUNT_ATTR_NODEV, 1 << 2),
        (warren_sys::MOUNT_ATTR_NOEXEC, 1 << 3),
        (warren_sys::MOUNT_ATTR_NOSYMFOLLOW, 1 << 8),
        (warren_sys::MOUNT_ATTR_NOATIME, 1 << 10),
        (warren_sys::MOUNT_ATTR_NODIRATIME, 1 << 11),
        (warren_sys::MOUNT_ATTR_STRICTATIME, 1 << 24),
    ];
    let given = SAME.into_iter().filter(|(bit, _)| attributes & bit != 0);
    given.fold(0, |all, (_, flag)| all | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(data: &str) -> Vec<String> {
        let words = words(OsStr::new(data));
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    #[test]
    fn a_comma_between_quotes_does_not_end_an_option() {
        assert_eq!(
            split("size=1k,,context=\"a:b:c1,c2\",huge"),
            ["size=1k", "context=\"a:b:c1,c2\"", "huge"]
        );
        let (key, value) = option(b"context=\"a,b\"").expect("an option");
        assert_eq!((&*key, value.as_deref()), (c"context", Some(c"a,b")));
    }

    #[test]
    fn attributes_have_the_numbers_of_mount() {
        let all = warren_sys::MOUNT_ATTR_RDONLY | warren_sys::MOUNT_ATTR_NOATIME;
        assert_eq!(mount_flags(all), 1 | 1024);
        let words: Vec<_> = super_options(MS_SYNCHRONOUS | MS_LAZYTIME).collect();
        assert_eq!(words.len(), 2);
    }
}
