//! The root of a plan and what is mounted in it.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use warren_mounts::{Attributes, Node, Target};
use warren_namespaces::Kind;
use warren_sys::Errno;

use super::program::{c_string, own_text};
use super::sysctl;
use super::{MOST_KEPT, Planner};
use crate::error::Error;
use crate::spec::{
    Access, Forbidden, IdMapping, Mount, Open, ProcMasks, Root, Tree, Upper,
};
use crate::step::{Layering, LayeringUpper, Source, Step};

impl Planner<'_> {
    pub(super) fn mounts(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        let mounts_proc = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Proc { .. }));
        if !(mounts_proc && self.is_new(Kind::Pid)) {
            self.settings()?;
        }
        self.spreading();
        if spec.root == Root::Visit {
            self.push(Step::CopyMounts { private: true });
        }
        let is_overlay = |mount: &&Mount| matches!(mount, Mount::Overlay { .. });
        let overlays = spec.mounts.iter().any(|mount| is_overlay(&mount));
        let in_memory = |mount: &Mount| matches!(mount, Mount::File { mounted, .. } if mounted.is_some());
        if overlays
            || matches!(spec.root, Root::Overlay { .. })
            || spec.mounts.iter().any(in_memory)
            || spec.disk.is_some()
        {
            let (size, disk) = (self.disk(), self.make_disk()?);
            self.push_cover(Step::Layers { size, disk });
        }
        let is_sealed = matches!(spec.root, Root::Empty | Root::Visit) && !overlays;
        self.root(is_sealed)?;
        let paths = self.proc_paths();
        for (place, mount) in spec.mounts.iter().enumerate() {
            if let Some(paths) = &paths
                && paths.takes(place)
            {
                paths.begins(place).then(|| self.push(paths.step()));
                continue;
            }
            self.mount(mount)?;
        }
        for path in crate::hide::hidden(spec)? {
            let target = target(&path)?;
            self.push(Step::Mask {
                target,
                readable: false,
            });
        }
        if is_sealed {
            self.push(Step::SealRoot);
        }
        Ok(())
    }

    fn root(&mut self, is_sealed: bool) -> Result<(), Error> {
        let spec = self.spec;
        match &spec.root {
            Root::Inherit if spec.mounts.is_empty() => {}
            Root::Inherit => self.push(Step::RootHere),
            // What is made the root by the first mount needs none below it.
            Root::Scratch if spec.mounts.first().is_some_and(becomes_root) => {}
            Root::Empty | Root::Scratch if spec.disk.is_some() && !is_sealed => {
                self.push_cover(Step::RootShared { mode: 0o755 });
            }
            Root::Empty | Root::Scratch => self.push_cover(Step::RootEmpty {
                mode: own_text("755"),
                size: None,
            }),
            Root::Visit => self.push(Step::RootVisit),
            Root::Tree { path, access } => {
                folder(path)?;
                let tree = path.clone().into();
                let own = *access == Access::ReadWrite;
                let source = self.source(&tree, *access, false, own)?;
                self.push_cover(Step::RootTree {
                    source,
                    access: *access,
                    devices: false,
                });
            }
            Root::Overlay { path } => {
                let layering =
                    self.layering(std::slice::from_ref(path), &Upper::Memory)?;
                self.push_cover(Step::RootOverlay(layering));
            }
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> Result<(), Error> {
        if mount.target().as_os_str() == "/" {
            return self.at_root(mount);
        }
        let target = self.target(mount)?;
        match mount {
            Mount::Bind {
                source,
                access,
                devices,
                ..
            } => {
                let node = node(source)?;
                let source = self.source(source, *access, *devices, false)?;
                self.push(Step::Bind {
                    source,
                    target,
                    node,
                    access: *access,
                    devices: *devices,
                });
            }
            Mount::Tmpfs { mode, .. } if self.shares_disk(mount) => {
                let mode = *mode;
                self.push(Step::FolderInMemory { target, mode });
            }
            Mount::Tmpfs { mode, size, .. } => {
                let mode = own_text(&format!("{mode:o}"));
                let size = size.map(|bytes| own_text(&bytes.to_string()));
                self.push(Step::Tmpfs { target, mode, size });
            }
            Mount::Overlay { lower, upper, .. } => {
                let layering = self.layering(lower, upper)?;
                self.push(Step::Overlay { layering, target });
            }
            Mount::Mqueue { .. } => self.push(Step::Mqueue { target }),
            Mount::File {
                content,
                mode,
                mounted,
                ..
            } => self.push(Step::File {
                content: content.clone(),
                target,
                mode: *mode,
                mounted: *mounted,
            }),
            Mount::Mode { mode, .. } => self.push(Step::Mode {
                target,
                mode: *mode,
            }),
            Mount::Forbid { what, .. } => self.push(Step::Forbid {
                target: Some(target),
                attributes: attributes(*what),
            }),
            Mount::Folder { mode, .. } => {
                let own = self.spec.root == Root::Empty && target.parents().is_empty();
                let shared = own && self.spec.disk.is_some();
                self.push(Step::Folder {
                    target,
                    mode: *mode,
                    own,
                    shared,
                });
            }
            Mount::Symlink { content, .. } => {
                let content = c_string(content.as_os_str())?;
                self.push(Step::Symlink { content, target });
            }
            Mount::Proc { masks, .. } => self.proc(target, *masks)?,
            Mount::Sys { .. } => self.sys(target),
            Mount::ReadOnly { .. } => self.push(Step::ReadOnly { target }),
            Mount::Dev { .. } => self.dev(target)?,
            Mount::Programs {
                content, folders, ..
            } => {
                let folders = folders.iter().map(|path| c_string(path.as_os_str()));
                let folders = folders.collect::<Result<_, _>>()?;
                let content = c_string(content.as_os_str())?;
                self.push(Step::Programs {
                    target,
                    content,
                    folders,
                });
            }
            Mount::Mask { .. } => self.push(Step::Mask {
                target,
                readable: self.spec.readable_masks,
            }),
            Mount::Detailed(mount) => self.detailed(mount, target)?,
            Mount::Device(device) => self.device(device, target),
            Mount::DeviceFiles { .. } => self.device_files(target),
        }
        Ok(())
    }

    /// Has what vanishes lie on a disk, and says which of the trees it is.
    fn make_disk(&mut self) -> Result<Option<usize>, Error> {
        let (Some(path), Some(size)) = (&self.spec.disk_in, self.spec.disk) else {
            return Ok(None);
        };
        folder(path)?;
        if !self.host.is_privileged() || !self.host.has_all_ids {
            let what = format!("have a disk in {}", path.display());
            return Err(Error::spec(what).errno(Errno::PERM).hint(
                "a filesystem on a loop device is made by root alone; in memory, \
                 anybody has one",
            ));
        }
        self.push(Step::MakeDisk {
            folder: path.clone(),
            size,
            folders: self.folders_of_layers(),
        });
        self.trees += 1;
        Ok(Some(self.trees - 1))
    }

    /// How many folders at most are made in the filesystem of the layers for the mounts
    /// there: for an overlay one, in it one for each tree below, the upper one, and the one
    /// to work in with two of the kernel's.
    fn folders_of_layers(&self) -> u64 {
        let of = |lowers: usize| 5 + lowers as u64;
        let of_mount = |mount: &Mount| match mount {
            Mount::Overlay { lower, .. } => of(lower.len()),
            _ => 1,
        };
        of(1) + self.spec.mounts.iter().map(of_mount).sum::<u64>()
    }

    /// The limit on what vanishes.
    fn disk(&self) -> Option<CString> {
        self.spec.disk.map(|bytes| own_text(&bytes.to_string()))
    }

    /// Whether a mount takes its room from what all share.
    fn shares_disk(&self, mount: &Mount) -> bool {
        let is_one = matches!(mount, Mount::Tmpfs { size: None, .. });
        is_one && self.spec.disk.is_some() && mount.target().as_os_str() != "/"
    }

    /// What is mounted at a root that anything may be done with becomes the root.
    fn at_root(&mut self, mount: &Mount) -> Result<(), Error> {
        match mount {
            // Hooks may write to it.
            Mount::Forbid { .. } if self.spec.await_before_root => {}
            Mount::Forbid { what, .. } => self.push(Step::Forbid {
                target: None,
                attributes: attributes(*what),
            }),
            _ if self.spec.root != Root::Scratch => {
                target(mount.target())?;
            }
            Mount::Detailed(mount) => self.root_as_told(mount)?,
            Mount::Bind {
                source,
                access,
                devices,
                ..
            } => {
                if node(source)? != Node::Folder {
                    return Err(
                        Error::spec(format!("the root {source}")).errno(Errno::NOTDIR)
                    );
                }
                let source = self.source(source, *access, *devices, false)?;
                self.push_cover(Step::RootTree {
                    source,
                    access: *access,
                    devices: *devices,
                });
            }
            Mount::Tmpfs {
                mode, size: None, ..
            } if self.spec.disk.is_some() => {
                self.push_cover(Step::RootShared { mode: *mode });
            }
            Mount::Tmpfs { mode, size, .. } => self.push_cover(Step::RootEmpty {
                mode: own_text(&format!("{mode:o}")),
                size: size.map(|bytes| own_text(&bytes.to_string())),
            }),
            Mount::Overlay { lower, upper, .. } => {
                let layering = self.layering(lower, upper)?;
                self.push_cover(Step::RootOverlay(layering));
            }
            // It is there.
            Mount::Folder { .. } => {}
            _ => {
                target(mount.target())?;
            }
        }
        Ok(())
    }

    /// What is forbidden of a root that hooks had before.
    pub(super) fn forbid_entered(&mut self) {
        if !self.spec.await_before_root {
            return;
        }
        for mount in &self.spec.mounts {
            if let Mount::Forbid { target, what } = mount
                && target.as_os_str() == "/"
            {
                self.push(Step::Forbid {
                    target: None,
                    attributes: attributes(*what),
                });
            }
        }
    }

    fn target(&self, mount: &Mount) -> Result<Target, Error> {
        let mut target = target(mount.target())?;
        if let Some(mode) = mount.own_mode() {
            target = target.with_parents_mode(parents_mode(mode));
        }
        // A link of the tree there would have what is masked be elsewhere.
        let is_kernels = matches!(mount, Mount::Proc { .. } | Mount::Sys { .. });
        Ok(if self.spec.exact_targets || is_kernels {
            target.exactly()
        } else {
            target
        })
    }

    fn layering(&mut self, lower: &[PathBuf], upper: &Upper) -> Result<Layering, Error> {
        if lower.is_empty() {
            return Err(Error::spec("an overlay needs a folder below"));
        }
        let mut lowers = Vec::new();
        for (number, path) in lower.iter().enumerate() {
            folder(path)?;
            let tree = path.clone().into();
            let source = self.source(&tree, Access::ReadOnly, false, true)?;
            lowers.push((source, own_text(&number.to_string())));
        }
        let names: Vec<_> = (0..lower.len()).rev().map(|n| n.to_string()).collect();
        let upper = match upper {
            Upper::Memory => LayeringUpper::Memory,
            Upper::None => LayeringUpper::None,
            Upper::Folder { upper, work } => {
                folder(upper)?;
                folder(work)?;
                LayeringUpper::Folder {
                    upper: c_string(upper.as_os_str())?,
                    work: c_string(work.as_os_str())?,
                }
            }
        };
        Ok(Layering {
            lowers,
            lowerdir: own_text(&names.join(":")),
            upper,
        })
    }

    /// A procfs shows the processes of the pid namespace of who mounts it; without one
    /// of its own, the container may not mount it and sees the host's.
    fn proc(&mut self, target: Target, masks: ProcMasks) -> Result<(), Error> {
        if self.spec.root == Root::Visit {
            self.push(Step::ProcOfJoined { target });
            return Ok(());
        }
        if !self.is_new(Kind::Pid) && !self.spec.born_in_other_pid_namespace {
            if masks == ProcMasks::Settings {
                self.push(Step::ProcOfHost { target });
                return self.proc_masks(masks);
            }
            self.hosts(c"/proc", target);
            return Ok(());
        }
        self.push(Step::Proc { target });
        self.settings()?;
        self.proc_masks(masks)
    }

    fn proc_masks(&mut self, masks: ProcMasks) -> Result<(), Error> {
        if masks != ProcMasks::None {
            let all = self.may_be_hosts_root()?;
            let cover = masks == ProcMasks::All;
            let readable = self.spec.readable_masks;
            self.push(Step::ProcMasks {
                cover,
                all,
                readable,
            });
        }
        Ok(())
    }

    /// A sysfs shows the interfaces of the network namespace of who mounts it; without
    /// one of its own, a user namespace may not mount it and sees the host's.
    fn sys(&mut self, target: Target) {
        if self.is_new(Kind::User) && !self.is_new(Kind::Net) {
            return self.hosts(c"/sys", target);
        }
        self.push(Step::Sys { target });
    }

    fn hosts(&mut self, path: &CStr, target: Target) {
        self.push(Step::Bind {
            source: Source::Path(path.to_owned()),
            target,
            node: Node::Folder,
            access: Access::ReadWrite,
            devices: false,
        });
    }

    /// What is written to /proc/sys: through the new procfs before parts of it are
    /// read-only, if there is one, since the host's may be.
    fn settings(&mut self) -> Result<(), Error> {
        for (name, value) in &self.spec.sysctl {
            let path = sysctl::path(name, &self.spec.namespaces)?;
            let value = c_string(value.as_ref())?;
            self.push(Step::Sysctl { path, value });
        }
        if self.spec.no_nested_user_namespaces {
            self.push(Step::LimitUserNamespaces);
        }
        Ok(())
    }

    fn dev(&mut self, target: Target) -> Result<(), Error> {
        let size = self.disk();
        self.push(Step::DevFolder { target, size });
        let sealed = self.may_be_hosts_root()?;
        self.push(Step::Devices { sealed });
        self.push(Step::DevLinks);
        let execute = self.spec.executable_dev;
        self.push(Step::DevPts { execute });
        Ok(())
    }

    /// Where the child finds a tree of the host. In a user namespace with other ids than
    /// the caller's it may lack the right to reach the tree: then the parent clones it.
    /// Not the root, which everybody reaches, and of which the child's own copy has no
    /// mount namespaces left in it. `own` asks that the container own the files.
    fn source(
        &mut self,
        tree: &Tree,
        access: Access,
        devices: bool,
        own: bool,
    ) -> Result<Source, Error> {
        let here = match tree {
            Tree::Path(path) => Source::Path(c_string(path.as_os_str())?),
            Tree::Open(open) => Source::Open(open.clone()),
        };
        if self.spec.root == Root::Visit {
            self.kept += 1;
            let name = own_text(&tree.to_string());
            return Ok(Source::Kept(self.kept - 1, name));
        }
        let is_whole = matches!(tree, Tree::Path(path) if path.as_os_str() == "/");
        if !self.parent_clones() || (is_whole && !own) {
            return match self.first_cover {
                Some(first) if is_whole => self.kept_whole(first, access, devices),
                _ => Ok(here),
            };
        }
        let number = self.trees;
        self.trees += 1;
        // Not every filesystem that is mounted in a tree can show other ids.
        let recursive = !own;
        self.push(Step::CloneTree {
            tree: tree.clone(),
            access,
            devices,
            recursive,
        });
        if own {
            self.push(Step::ShiftIds {
                tree: number,
                name: tree.clone(),
                recursive: true,
            });
        }
        Ok(Source::Tree(number, tree.clone()))
    }

    /// Whether the child may lack the right to reach trees. In a container of another tool
    /// the caller may be root of its user namespace and not own its mounts; but then its ids
    /// are the container's, or it could not map.
    pub(super) fn parent_clones(&self) -> bool {
        self.host.is_privileged()
            && self.host.has_all_ids
            && self.is_new(Kind::User)
            && !matches!(
                self.spec.id_map,
                IdMapping::Unmapped | IdMapping::Own { .. }
            )
    }

    /// The host's whole tree, cloned before the first thing was mounted over its root: the
    /// clone would have that on its own root as well.
    fn kept_whole(
        &mut self,
        first: usize,
        access: Access,
        devices: bool,
    ) -> Result<Source, Error> {
        let tree = self.kept;
        if tree >= MOST_KEPT {
            return Err(Error::spec(format!(
                "the whole tree of the host can be shown at most {MOST_KEPT} times"
            )));
        }
        self.kept += 1;
        let path = c"/".to_owned();
        let step = Step::KeepTree {
            tree,
            path: path.clone(),
            access,
            devices,
        };
        self.steps.insert(first, step);
        Ok(Source::Kept(tree, path))
    }

    /// Pushes a step that mounts something over the root of the child.
    pub(super) fn push_cover(&mut self, step: Step) {
        self.first_cover.get_or_insert(self.steps.len());
        self.push(step);
    }
}

impl Mount {
    /// The mode that it gives what it makes.
    fn own_mode(&self) -> Option<u32> {
        match self {
            Self::Tmpfs { mode, .. }
            | Self::Folder { mode, .. }
            | Self::File { mode, .. } => Some(*mode),
            _ => None,
        }
    }
}

/// Who may not enter what is made may not enter the folders made on the way to it.
fn parents_mode(mode: u32) -> u32 {
    let class = |bits: u32, all: u32| if mode & bits == 0 { 0 } else { all };
    0o700 | class(0o070, 0o050) | class(0o007, 0o005)
}

fn attributes(what: Forbidden) -> Attributes {
    [
        (what.write, Attributes::READ_ONLY),
        (what.devices, Attributes::NO_DEVICES),
        (what.set_id, Attributes::NO_SUID),
        (what.execute, Attributes::NO_EXEC),
    ]
    .into_iter()
    .filter(|(forbidden, _)| *forbidden)
    .fold(Attributes::empty(), |all, (_, one)| all | one)
}

fn becomes_root(mount: &Mount) -> bool {
    let makes = matches!(
        mount,
        Mount::Bind { .. }
            | Mount::Tmpfs { .. }
            | Mount::Overlay { .. }
            | Mount::Detailed(_)
    );
    makes && mount.target().as_os_str() == "/"
}

/// What kind of mount point a file of the host needs.
pub(super) fn node(source: &Tree) -> Result<Node, Error> {
    let is_folder = match source {
        Tree::Path(path) => look(path)?.is_dir(),
        Tree::Open(open) => open_is_folder(open)?,
    };
    Ok(if is_folder { Node::Folder } else { Node::File })
}

fn open_is_folder(open: &Open) -> Result<bool, Error> {
    let failed = |errno| Error::spec(format!("look at {}", open.name)).errno(errno);
    let file = warren_sys::duplicate(open.fd).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn folder(path: &Path) -> Result<(), Error> {
    if path.as_os_str() == "/" {
        return Ok(());
    }
    if look(path)?.is_dir() {
        return Ok(());
    }
    Err(Error::spec(format!("the root {}", path.display())).errno(Errno::NOTDIR))
}

fn look(path: &Path) -> Result<std::fs::Metadata, Error> {
    if !path.is_absolute() {
        let path = path.display();
        return Err(Error::spec(format!(
            "a path of the host must begin with /: {path}"
        )));
    }
    std::fs::metadata(path).map_err(|error| {
        let errno = Errno::from_io_error(&error);
        Error::spec(format!("look at {}", path.display()))
            .errno(errno.unwrap_or(Errno::IO))
    })
}

pub(super) fn target(path: &Path) -> Result<Target, Error> {
    Target::new(path)
        .map_err(|error| Error::spec(format!("mount at {}: {error}", path.display())))
}
