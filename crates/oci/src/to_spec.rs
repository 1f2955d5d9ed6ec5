//! config.json to a Spec.
//!
//! What a Spec cannot say is listed with its path; who asked decides whether the rest
//! is worth running. A property that contradicts the specification is an error.

mod capabilities;
mod linux;
mod mounts;
mod options;
mod process;
mod resources;

use std::path::{Path, PathBuf};

use warren_spawn::{Access, Root, Spec};

use crate::config::Config;
use crate::error::Error;
use crate::unsupported::{Losses, Unsupported};

/// What `config`, of the bundle in the folder `bundle`, asks for, and what of it a Spec
/// cannot say.
///
/// It looks at the host's files where the answer depends on them: whether the root is an
/// empty folder, and which device files there are.
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
    };
    reader.namespaces()?;
    reader.process()?;
    reader.root()?;
    reader.names()?;
    reader.mounts()?;
    reader.linux()?;
    reader.hooks();
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
}

impl Reader<'_> {
    fn root(&mut self) -> Result<(), Error> {
        let root = self.config.root.as_ref();
        let Some(root) = root.filter(|root| !root.path.is_empty()) else {
            return Err(Error::new("root.path", "is missing"));
        };
        let path = self.of_bundle(&root.path);
        self.spec.root = match root.readonly {
            // Nothing of it is seen but what is mounted: that needs no folder of the host
            // to mount on, and leaves none in it.
            true if is_empty_folder(&path) => Root::Empty,
            true => Root::Tree {
                path,
                access: Access::ReadOnly,
            },
            false => Root::Tree {
                path,
                access: Access::ReadWrite,
            },
        };
        Ok(())
    }

    /// A path of the host, which may be relative to the bundle.
    fn of_bundle(&self, path: &str) -> PathBuf {
        plain(&self.bundle.join(path))
    }

    fn hooks(&mut self) {
        let Some(hooks) = &self.config.hooks else {
            return;
        };
        let kinds = [
            ("prestart", &hooks.prestart),
            ("createRuntime", &hooks.create_runtime),
            ("createContainer", &hooks.create_container),
            ("startContainer", &hooks.start_container),
            ("poststart", &hooks.poststart),
            ("poststop", &hooks.poststop),
        ];
        for (name, hooks) in kinds {
            if !hooks.is_empty() {
                // What it does cannot be known: it may put up a firewall.
                self.losses
                    .weaker(format!("hooks.{name}"), "no hook is run");
            }
        }
    }
}

/// Without `.`, and without a look at the filesystem: `..` may be behind a symlink.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn is_empty_folder(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}
