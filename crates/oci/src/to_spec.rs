//! config.json to a Spec.
//!
//! What a Spec cannot say is listed with its path; who asked decides whether the rest
//! is worth running. A property that contradicts the specification is an error.

mod capabilities;
mod home;
mod linux;
mod mounts;
pub(crate) mod options;
mod own_forms;
pub(crate) mod priority;
mod process;
mod resources;

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub use linux::listener_message;
pub use priority::affinity;
pub use resources::limits;

use rustix::fs::{Mode, OFlags, RawDir};
use warren_spawn::{Root, Spec};

use crate::config::Config;
use crate::error::Error;
use crate::unsupported::{Losses, Unsupported};

/// What `config`, of the bundle in the folder `bundle`, asks for, and what of it a Spec
/// cannot say.
///
/// It looks at the host's files where the answer depends on them: whether the root is an
/// empty folder, and where its user lives. Hooks are not looked at: they are no part of how
/// the process is isolated.
///
/// # Errors
/// [`Error`] where a property contradicts the specification.
pub fn to_spec(
    config: &Config,
    bundle: &Path,
) -> Result<(Spec, Vec<Unsupported>), Error> {
    check_version(&config.oci_version)?;
    let mut reader = Reader {
        config,
        bundle,
        spec: Spec::default(),
        losses: Losses::default(),
        opened_root: None,
    };
    reader.open_root();
    reader.namespaces()?;
    reader.process()?;
    reader.home();
    reader.root()?;
    reader.names()?;
    reader.mounts()?;
    reader.linux()?;
    Ok((reader.spec, reader.losses.into_vec()))
}

fn check_version(version: &str) -> Result<(), Error> {
    if version.is_empty() || version.starts_with("1.") {
        return Ok(());
    }
    let message = format!("expected a version 1, found {version:?}");
    Err(Error::new("ociVersion", message))
}

struct Reader<'a> {
    config: &'a Config,
    bundle: &'a Path,
    spec: Spec,
    losses: Losses,
    /// The folder that is the root, open, if it is one.
    opened_root: Option<OwnedFd>,
}

impl Reader<'_> {
    fn open_root(&mut self) {
        let Some(root) = &self.config.root else {
            return;
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(self.of_bundle(&root.path), flags, Mode::empty());
        self.opened_root = opened.ok();
    }

    fn root(&mut self) -> Result<(), Error> {
        let root = self.config.root.as_ref();
        let Some(root) = root.filter(|root| !root.path.is_empty()) else {
            return Err(Error::new("root.path", "is missing"));
        };
        let path = self.of_bundle(&root.path);
        self.root_propagation()?;
        // Nothing of an empty one is seen but what is mounted: that needs no folder of the
        // host to mount on, and leaves none in it.
        if root.readonly && self.opened_root.as_ref().is_some_and(is_empty) {
            self.spec.root = Root::Empty;
        } else {
            self.root_tree(path);
        }
        Ok(())
    }

    /// A path of the host, which may be relative to the bundle.
    fn of_bundle(&self, path: &str) -> PathBuf {
        plain(&self.bundle.join(path))
    }
}

/// Without `.`, and without a look at the filesystem: `..` may be behind a symlink.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn is_empty(folder: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            _ => return false,
        }
    }
    true
}
