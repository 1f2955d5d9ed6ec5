//! `root`.

use std::path::{Path, PathBuf};

use warren_spawn::{Access, Mount, Mounted, Root, Tree};

use super::mounts::bind;
use super::{EMPTY_ROOT, Writer};
use crate::config;

impl Writer<'_> {
    pub(super) fn root(&mut self) {
        match &self.spec.root {
            Root::Tree { path, access } => self.tree_as_root(path, *access),
            Root::Overlay { path } => {
                self.losses.note(
                    "root",
                    "changes are refused: a root in memory cannot be asked for",
                );
                self.tree_as_root(path, Access::ReadOnly);
            }
            Root::Empty => self.empty_root(true),
            Root::Scratch => self.scratch(),
            Root::Inherit | Root::Visit => {
                let what = "a root of its own is needed: it is the host's, read-only";
                self.losses.note("root", what);
                self.tree_as_root(Path::new("/"), Access::ReadOnly);
            }
        }
    }

    fn empty_root(&mut self, readonly: bool) {
        self.config.root = Some(config::Root {
            path: EMPTY_ROOT.to_owned(),
            readonly,
        });
    }

    fn tree_as_root(&mut self, path: &Path, access: Access) {
        if path == Path::new("/") {
            self.host(access);
            return;
        }
        self.config.root = Some(config::Root {
            path: self.path("root.path", path),
            readonly: access == Access::ReadOnly,
        });
    }

    /// A root that the first mount may replace.
    fn scratch(&mut self) {
        match self.spec.mounts.first() {
            Some(Mount::Bind {
                source: Tree::Path(path),
                target,
                access,
                ..
            }) if target == Path::new("/") => self.tree_as_root(path, *access),
            Some(Mount::Detailed(mount)) if mount.target == Path::new("/") => {
                match &mount.what {
                    Mounted::Tree {
                        source: Tree::Path(path),
                        ..
                    } => self.tree_as_root(path, Access::ReadWrite),
                    _ => self.empty_root(false),
                }
            }
            _ => {
                self.losses.note(
                    "root",
                    "what is written directly in it stays in the bundle's folder",
                );
                self.empty_root(false);
            }
        }
    }

    /// No runtime takes `/` as a root: what is in it is bound into an empty one.
    fn host(&mut self, access: Access) {
        self.empty_root(true);
        for path in entries("/".as_ref()) {
            let is_covered = |mount: &Mount| *mount.target() == path;
            // A symlink is shown as what it leads to, if that is there.
            let Ok(source) = path.canonicalize() else {
                continue;
            };
            if self.spec.mounts.iter().any(is_covered) {
                continue;
            }
            let source = self.path("mounts", &source);
            let target = self.path("mounts", &path);
            let mount = bind(source, target, access, false);
            self.config.mounts.push(mount);
        }
        if access == Access::ReadWrite {
            self.losses
                .note("root", "new files directly in / are refused");
        }
    }
}

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}
