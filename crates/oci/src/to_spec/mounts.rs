//! `root`, `mounts`, `linux.maskedPaths`, `linux.readonlyPaths` and `linux.devices`.
//!
//! A mount becomes one that does exactly what it says, but where it is what
//! [`to_config`](crate::to_config) writes: then it is what that was made of.

use std::path::{Component, Path, PathBuf};

use warren_namespaces::Kind;
use warren_spawn::{
    DetailedMount, Device, DeviceKind, FlagChange, Forbidden, Mount, MountIds, Mounted,
    Namespace, ProcMasks, Root, Tree, system,
};

use super::linux::id_maps;
use super::options::{Options, Recursion};
use super::own_forms::{self, Own};
use super::process::check_id;
use super::{Reader, plain};
use crate::config::{self, Linux};
use crate::error::Error;

/// Paths that are still to be masked or made read-only.
pub(super) struct Paths {
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
        // A filesystem that others are mounted in becomes read-only after them.
        let mut late = Vec::new();
        let mut has_dev = false;
        let mut parts_of_dev = 0;
        for (index, mount) in self.config.mounts.iter().enumerate() {
            if parts_of_dev > 0 {
                parts_of_dev -= 1;
                continue;
            }
            let target = self.destination(mount, index)?;
            match own_forms::find(&self.config.mounts[index..], &target) {
                Some(Own::Dev { parts }) => {
                    (has_dev, parts_of_dev) = (true, parts);
                    self.spec.mounts.push(Mount::Dev { target });
                }
                Some(Own::Proc) => {
                    let masks = self.proc_masks(&target, &mut paths);
                    self.spec.mounts.push(Mount::Proc { target, masks });
                }
                Some(Own::Mount(mount, seals)) => {
                    self.spec.mounts.push(mount);
                    late.extend(seals.then(|| sealed(target)));
                }
                None => {
                    check_proc(mount, index, &target)?;
                    let made = self.mount(index, mount, target, &mut late)?;
                    has_dev |= is_bound_dev(&made);
                    self.spec.mounts.push(Mount::Detailed(Box::new(made)));
                }
            }
        }
        self.devices(linux, has_dev)?;
        self.working_folder();
        self.spec.mounts.append(&mut late);
        let read_only = paths.read_only.into_iter();
        let read_only = read_only.map(|target| Mount::ReadOnly { target });
        let masked = paths.masked.into_iter();
        let masked = masked.map(|target| Mount::Mask { target });
        self.spec.mounts.extend(read_only.chain(masked));
        self.spec.readable_masks = true;
        self.root_at_last();
        Ok(())
    }

    /// The root as it is, with its devices and set-user-id bits: the first of the mounts.
    pub(super) fn root_tree(&mut self, path: PathBuf) {
        self.spec.root = Root::Scratch;
        let mut propagation = Vec::new();
        // What is mounted in it is not to appear on the host.
        if let Some(one) = self.spec.root_propagation
            && one.kind == warren_spawn::PropagationKind::Shared
        {
            propagation.push(warren_spawn::Propagation {
                kind: warren_spawn::PropagationKind::Private,
                recursive: false,
            });
        }
        let root = DetailedMount {
            what: Mounted::Tree {
                source: Tree::Path(path),
                recursive: true,
                ids: None,
            },
            target: "/".into(),
            flags: FlagChange::default(),
            flags_below: FlagChange::default(),
            propagation,
        };
        self.spec.mounts.push(Mount::Detailed(Box::new(root)));
    }

    fn root_at_last(&mut self) {
        let read_only = self.config.root.as_ref().is_some_and(|root| root.readonly);
        if read_only && self.spec.root == Root::Scratch {
            self.spec.mounts.push(sealed("/".into()));
        }
    }

    fn mount(
        &mut self,
        index: usize,
        mount: &config::Mount,
        target: PathBuf,
        late: &mut Vec<Mount>,
    ) -> Result<DetailedMount, Error> {
        let mut options = Options::read(mount, index)?;
        let what = match (options.bind, mount.r#type.as_str()) {
            (Some(recursion), _) => self.tree(index, mount, &options, recursion)?,
            (None, "cgroup") => Mounted::Cgroup,
            (None, "") => {
                let path = format!("mounts[{index}].type");
                let message = "is missing, and the options do not say bind";
                return Err(Error::new(path, message));
            }
            (None, kind) => {
                self.filesystem(index, mount, kind, &target, &mut options, late)?
            }
        };
        if options.copy_up && mount.r#type != "tmpfs" {
            let path = format!("mounts[{index}].options");
            return Err(Error::new(path, "tmpcopyup is of a tmpfs alone"));
        }
        Ok(DetailedMount {
            what,
            target,
            flags: options.flags,
            flags_below: options.flags_below,
            propagation: options.propagation,
        })
    }

    fn tree(
        &mut self,
        index: usize,
        mount: &config::Mount,
        options: &Options<'_>,
        recursion: Recursion,
    ) -> Result<Mounted, Error> {
        let wrong = |key: &str, message: String| {
            Error::new(format!("mounts[{index}].{key}"), message)
        };
        if mount.source.is_empty() {
            return Err(wrong("source", "is missing: a bind needs it".to_owned()));
        }
        for (place, word) in &options.data {
            let path = format!("mounts[{index}].options[{place}]");
            let what = format!("{word:?} means nothing to a bind");
            self.losses.note(path, what);
        }
        let source = self.of_bundle(&mount.source);
        let recursive = recursion == Recursion::Whole;
        let ids = self.ids(index, mount, options)?;
        Ok(match self.brought(&source) {
            Some(path) => Mounted::Within {
                path,
                recursive,
                ids,
            },
            None => Mounted::Tree {
                source: Tree::Path(source),
                recursive,
                ids,
            },
        })
    }

    /// Where a mount goes: absolute, or below the root. What begins with the root's own path
    /// on the host is meant inside too, as runc has it.
    fn destination(&self, mount: &config::Mount, index: usize) -> Result<PathBuf, Error> {
        let wrong = |message: &str| {
            let message = format!("{message}, found {:?}", mount.destination);
            Error::new(format!("mounts[{index}].destination"), message)
        };
        if mount.destination.is_empty() || mount.destination.contains('\0') {
            return Err(wrong("expected a path"));
        }
        let path = crate::lexical(&Path::new("/").join(&mount.destination));
        let path = match self.in_root(&path) {
            Some(inside) => Path::new("/").join(inside),
            None => path,
        };
        if path == Path::new("/") {
            return Err(wrong("expected a path below the root"));
        }
        Ok(path)
    }

    /// A path of the host as one of the root, without the slash in front.
    fn in_root(&self, path: &Path) -> Option<PathBuf> {
        let root = self.config.root.as_ref()?;
        let inside = path.strip_prefix(self.of_bundle(&root.path)).ok()?;
        Some(inside.to_owned())
    }

    /// The source of a bind as a path of the root, where an earlier mount brings it: on the
    /// host there is nothing of that.
    fn brought(&self, source: &Path) -> Option<PathBuf> {
        let path = Path::new("/").join(self.in_root(source)?);
        let is_way = !path.components().any(|part| part == Component::ParentDir);
        let mut earlier = self.spec.mounts.iter().map(Mount::target);
        let is_brought =
            earlier.any(|target| *target != Path::new("/") && path.starts_with(target));
        (is_way && is_brought).then_some(path)
    }

    fn ids(
        &self,
        index: usize,
        mount: &config::Mount,
        options: &Options<'_>,
    ) -> Result<Option<MountIds>, Error> {
        let Some(recursive) = options.id_mapped else {
            return Ok(None);
        };
        let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
        let path = |key: &str| format!("mounts[{index}].{key}");
        if uids.is_empty() != gids.is_empty() {
            let (missing, other) = match uids.is_empty() {
                true => ("uidMappings", "gidMappings"),
                false => ("gidMappings", "uidMappings"),
            };
            let message = format!("is missing, where {other} is there");
            return Err(Error::new(path(missing), message));
        }
        let has_users = *self.spec.namespaces.get(Kind::User) != Namespace::Inherit;
        if uids.is_empty() && !has_users {
            let message = "is missing: without a user namespace idmap needs it";
            return Err(Error::new(path("uidMappings"), message));
        }
        Ok(Some(MountIds {
            uids: id_maps(uids, &path("uidMappings"))?,
            gids: id_maps(gids, &path("gidMappings"))?,
            recursive,
        }))
    }

    fn filesystem(
        &mut self,
        index: usize,
        mount: &config::Mount,
        kind: &str,
        target: &Path,
        options: &mut Options<'_>,
        late: &mut Vec<Mount>,
    ) -> Result<Mounted, Error> {
        if options.id_mapped.is_some() {
            let path = format!("mounts[{index}].options");
            return Err(Error::new(path, "only a bind can be shown under other ids"));
        }
        if kind.contains('\0') || mount.source.contains('\0') {
            let path = format!("mounts[{index}].type");
            return Err(Error::new(path, "a name has no NUL byte"));
        }
        let seals = kind == "tmpfs" || target == Path::new("/dev");
        if seals && options.flags.set & FlagChange::READ_ONLY != 0 {
            options.flags.set &= !FlagChange::READ_ONLY;
            late.push(sealed(target.to_owned()));
        }
        // What is not cleared by a word is not there at all in a new mount.
        options.flags.clear = 0;
        Ok(Mounted::Filesystem {
            kind: kind.to_owned(),
            source: mount.source.clone().into(),
            super_flags: options.super_flags,
            data: options.data().into(),
            copy_up: options.copy_up,
        })
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

    /// Those that are asked for, and then the usual ones, of which those that are there
    /// stay as they are.
    fn devices(&mut self, linux: &Linux, has_dev: bool) -> Result<(), Error> {
        for (index, device) in linux.devices.iter().enumerate() {
            let device = self::device(index, device)?;
            let is_usual = USUAL_DEVICES
                .iter()
                .any(|path| device.target == Path::new(path));
            if !(has_dev && is_usual) {
                self.spec.mounts.push(Mount::Device(device));
            }
        }
        if !has_dev {
            let target = "/dev".into();
            self.spec.mounts.push(Mount::DeviceFiles { target });
        }
        Ok(())
    }

    /// Runtimes make it where it is missing.
    fn working_folder(&mut self) {
        let Some(cwd) = self.spec.cwd.clone() else {
            return;
        };
        let is_plain = !cwd.components().any(|part| part == Component::ParentDir);
        if self.spec.root == Root::Scratch && is_plain && cwd != Path::new("/") {
            self.spec.mounts.push(Mount::Folder {
                target: cwd,
                mode: 0o755,
            });
        }
    }
}

/// The devices that every container has.
const USUAL_DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
];

fn sealed(target: PathBuf) -> Mount {
    Mount::Forbid {
        target,
        what: Forbidden {
            write: true,
            ..Forbidden::default()
        },
    }
}

/// Devices of the host's own /dev are not ours to make.
fn is_bound_dev(mount: &DetailedMount) -> bool {
    matches!(mount.what, Mounted::Tree { .. }) && mount.target == Path::new("/dev")
}

fn device(index: usize, device: &config::Device) -> Result<Device, Error> {
    let wrong = |key: &str, message: String| {
        Error::new(format!("linux.devices[{index}].{key}"), message)
    };
    let kind = match device.r#type.as_str() {
        "c" | "u" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        "p" => DeviceKind::Pipe,
        other => return Err(wrong("type", format!("unknown type {other:?}"))),
    };
    let path = &device.path;
    let found = crate::lexical(Path::new(path));
    if !path.starts_with('/') || path.contains('\0') || found == Path::new("/") {
        let message = format!("expected an absolute path, found {path:?}");
        return Err(wrong("path", message));
    }
    let number = |key: &str, value: i64| {
        let wrong = || wrong(key, format!("{value} is no number of a device"));
        match kind {
            DeviceKind::Pipe => Ok(0),
            _ => u32::try_from(value).map_err(|_| wrong()),
        }
    };
    for (key, id) in [("uid", device.uid), ("gid", device.gid)] {
        check_id(&format!("linux.devices[{index}].{key}"), id.unwrap_or(0))?;
    }
    Ok(Device {
        target: found,
        kind,
        major: number("major", device.major)?,
        minor: number("minor", device.minor)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

/// Refuses what is no procfs on /proc: labels and masks would be written to somebody else's
/// files (CVE-2019-16884).
fn check_proc(mount: &config::Mount, index: usize, target: &Path) -> Result<(), Error> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    let is_procfs = || {
        rustix::fs::statfs(&*mount.source).is_ok_and(|at| at.f_type == PROC_SUPER_MAGIC)
    };
    let is_bind = mount
        .options
        .iter()
        .any(|one| one == "bind" || one == "rbind");
    let is_own = !is_bind && mount.r#type == "proc";
    if target != Path::new("/proc") || is_own || is_bind && is_procfs() {
        return Ok(());
    }
    let message = "only a procfs is mounted on /proc";
    Err(Error::new(format!("mounts[{index}]"), message))
}

fn absolute(paths: &[String], name: &str) -> Result<Vec<PathBuf>, Error> {
    let one = |(index, path): (usize, &String)| {
        // One that is not absolute is meant from the root, where runc is by then.
        let found = plain(&Path::new("/").join(path));
        let is_way = !found.components().any(|part| part == Component::ParentDir);
        let is_text = !path.contains('\0');
        if found == Path::new("/") || !is_way || !is_text {
            let message = format!("expected a path below the root, found {path:?}");
            return Err(Error::new(format!("{name}[{index}]"), message));
        }
        Ok(found)
    };
    let all: Result<Vec<PathBuf>, Error> = paths.iter().enumerate().map(one).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.map(|mut all| {
        // Twice would be one mount over the other.
        all.retain(|path| seen.insert(path.clone()));
        all
    })
}
