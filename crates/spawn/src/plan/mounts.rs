//! The root of a plan and what is mounted in it.

use std::path::Path;

use warren_mounts::{Node, Target};
use warren_namespaces::Kind;

use super::Planner;
use super::program::{c_string, own_text};
use crate::error::Error;
use crate::spec::{Access, IdMapping, Mount, Root};
use crate::step::{Source, Step};

impl Planner<'_> {
    pub(super) fn mounts(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        let mounts_proc = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Proc { .. }));
        if spec.no_nested_user_namespaces && !(mounts_proc && self.is_new(Kind::Pid)) {
            self.push(Step::LimitUserNamespaces);
        }
        // The mounts of a new user namespace cannot spread to the host, and those of the
        // host not to a root that is private from its making.
        let cut_off = self.is_new(Kind::User) && spec.root != Root::Inherit;
        if self.is_new(Kind::Mnt) && !cut_off {
            self.push(Step::PrivateMounts);
        }
        if spec.root == Root::Visit {
            self.push(Step::CopyMounts { private: true });
        }
        let overlays = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Overlay { .. }));
        if overlays || matches!(spec.root, Root::Overlay { .. }) {
            self.push(Step::Layers);
        }
        match &spec.root {
            Root::Inherit if spec.mounts.is_empty() => {}
            Root::Inherit => self.push(Step::RootHere),
            Root::Empty => self.push(Step::RootEmpty),
            Root::Visit => self.push(Step::RootVisit),
            Root::Tree { path, access } => {
                folder(path)?;
                let source = self.source(path, *access, *access == Access::ReadWrite)?;
                self.push(Step::RootTree {
                    source,
                    access: *access,
                });
            }
            Root::Overlay { path } => {
                folder(path)?;
                let source = self.source(path, Access::ReadOnly, true)?;
                self.push(Step::RootOverlay { source });
            }
        }
        spec.mounts.iter().try_for_each(|mount| self.mount(mount))?;
        if matches!(spec.root, Root::Empty | Root::Visit) && !overlays {
            self.push(Step::SealRoot);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> Result<(), Error> {
        let target = target(mount.target())?;
        match mount {
            Mount::Bind { source, access, .. } => {
                let node = node(source)?;
                let source = self.source(source, *access, false)?;
                self.push(Step::Bind {
                    source,
                    target,
                    node,
                    access: *access,
                });
            }
            Mount::Tmpfs { mode, size, .. } => {
                let mode = own_text(&format!("{mode:o}"));
                let size = size.map(|bytes| own_text(&bytes.to_string()));
                self.push(Step::Tmpfs { target, mode, size });
            }
            Mount::Overlay { source, .. } => {
                folder(source)?;
                let source = self.source(source, Access::ReadOnly, true)?;
                self.push(Step::Overlay { source, target });
            }
            Mount::Folder { mode, .. } => {
                let own = self.spec.root == Root::Empty && target.parents().is_empty();
                self.push(Step::Folder {
                    target,
                    mode: *mode,
                    own,
                });
            }
            Mount::Symlink { content, .. } => {
                let content = c_string(content.as_os_str())?;
                self.push(Step::Symlink { content, target });
            }
            Mount::Proc { masked, .. } => self.proc(target, *masked),
            Mount::Dev { .. } => self.dev(target),
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
            Mount::Mask { .. } => self.push(Step::Mask { target }),
        }
        Ok(())
    }

    /// A procfs shows the processes of the pid namespace of who mounts it; without one
    /// of its own, the container may not mount it and sees the host's.
    fn proc(&mut self, target: Target, masked: bool) {
        if self.spec.root == Root::Visit {
            return self.push(Step::ProcOfJoined { target });
        }
        if !self.is_new(Kind::Pid) {
            let source = Source::Path(c"/proc".to_owned());
            let (node, access) = (Node::Folder, Access::ReadWrite);
            self.push(Step::Bind {
                source,
                target,
                node,
                access,
            });
            return;
        }
        self.push(Step::Proc { target });
        if self.spec.no_nested_user_namespaces {
            self.push(Step::LimitUserNamespaces);
        }
        if masked {
            let all = !self.is_new(Kind::User);
            self.push(Step::ProcMasks { all });
        }
    }

    fn dev(&mut self, target: Target) {
        self.push(Step::DevFolder { target });
        self.push(Step::Devices);
        self.push(Step::DevLinks);
        self.push(Step::DevPts);
    }

    /// Where the child finds a tree of the host. In a user namespace with other ids than
    /// the caller's it may lack the right to reach the tree: then the parent clones it.
    /// Not the root, which everybody reaches, and of which the child's own copy has no
    /// mount namespaces left in it. `own` asks that the container own the files.
    fn source(
        &mut self,
        path: &Path,
        access: Access,
        own: bool,
    ) -> Result<Source, Error> {
        if self.spec.root == Root::Visit {
            self.kept += 1;
            return Ok(Source::Kept(self.kept - 1, c_string(path.as_os_str())?));
        }
        // In a container of another tool the caller may be root of its user namespace and
        // not own its mounts; but then its ids are the container's, or it could not map.
        let parent_clones = self.host.is_privileged()
            && self.host.has_all_ids
            && self.is_new(Kind::User)
            && self.spec.id_map != IdMapping::Unmapped;
        if !parent_clones || (path.as_os_str() == "/" && !own) {
            return Ok(Source::Path(c_string(path.as_os_str())?));
        }
        let (tree, path) = (self.trees, path.to_owned());
        self.trees += 1;
        // Not every filesystem that is mounted in a tree can show other ids.
        let recursive = !own;
        self.push(Step::CloneTree {
            path: path.clone(),
            access,
            recursive,
        });
        if own {
            self.push(Step::ShiftIds {
                tree,
                path: path.clone(),
            });
        }
        Ok(Source::Tree(tree, path))
    }
}

/// What kind of mount point a file of the host needs.
pub(super) fn node(source: &Path) -> Result<Node, Error> {
    Ok(if look(source)?.is_dir() {
        Node::Folder
    } else {
        Node::File
    })
}

fn folder(path: &Path) -> Result<(), Error> {
    if path.as_os_str() == "/" {
        return Ok(());
    }
    if look(path)?.is_dir() {
        return Ok(());
    }
    Err(Error::spec(format!("the root {}", path.display()))
        .errno(warren_sys::Errno::NOTDIR))
}

fn look(path: &Path) -> Result<std::fs::Metadata, Error> {
    if !path.is_absolute() {
        let path = path.display();
        return Err(Error::spec(format!(
            "a path of the host must begin with /: {path}"
        )));
    }
    std::fs::metadata(path).map_err(|error| {
        let errno = warren_sys::Errno::from_io_error(&error);
        Error::spec(format!("look at {}", path.display()))
            .errno(errno.unwrap_or(warren_sys::Errno::IO))
    })
}

pub(super) fn target(path: &Path) -> Result<Target, Error> {
    Target::new(path)
        .map_err(|error| Error::spec(format!("mount at {}: {error}", path.display())))
}
