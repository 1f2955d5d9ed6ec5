//! The root of a run, and what every root gets.

use std::path::PathBuf;

use clap::Args;
use warren_namespaces::ProcRoot;
use warren_spawn::{Access, Mount, Root, system};

use super::files::absolute;
use crate::failure::Failure;

/// What `/` is.
#[derive(Debug, Args)]
pub struct RootOptions {
    /// Show the host's whole tree, read-only; with =overlay it can be written, and all
    /// changes vanish
    #[arg(
        long,
        value_name = "overlay",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "read-only",
        value_parser = ["read-only", "overlay"],
        conflicts_with = "root",
        help_heading = "Root"
    )]
    pub host_root: Option<String>,
    /// Show the tree at DIR as the root, read-only
    #[arg(long, value_name = "DIR", help_heading = "Root")]
    pub root: Option<PathBuf>,
    /// Let the tree of --root be written
    #[arg(
        long,
        requires = "root",
        conflicts_with = "ephemeral",
        help_heading = "Root"
    )]
    pub writable: bool,
    /// Let the tree of --root be written, and throw all changes away
    #[arg(long, requires = "root", help_heading = "Root")]
    pub ephemeral: bool,
}

impl RootOptions {
    /// Whether anything was said of it.
    pub fn is_given(&self) -> bool {
        self.host_root.is_some() || self.root.is_some()
    }

    /// What becomes `/`.
    pub fn root(&self) -> Result<Root, Failure> {
        let whole = PathBuf::from("/");
        Ok(match (self.host_root.as_deref(), &self.root) {
            (Some("overlay"), _) => Root::Empty,
            (Some(_), _) => Root::Tree {
                path: whole,
                access: Access::ReadOnly,
            },
            (None, Some(dir)) if self.ephemeral => Root::Overlay {
                path: absolute(dir)?,
            },
            (None, Some(dir)) => {
                let access = if self.writable {
                    Access::ReadWrite
                } else {
                    Access::ReadOnly
                };
                Root::Tree {
                    path: absolute(dir)?,
                    access,
                }
            }
            (None, None) => Root::Empty,
        })
    }

    /// What every root gets before the user's own mounts.
    pub fn mounts(&self, has_user_namespace: bool) -> Result<Vec<Mount>, Failure> {
        if self.root.is_none() {
            match self.host_root.as_deref() {
                None => return Ok(system::mounts()),
                Some("overlay") => {
                    let proc = ProcRoot::open().map_err(Failure::new)?;
                    return Ok(system::host_overlay(&proc)?);
                }
                Some(_) => {}
            }
        }
        let tmp = Mount::Tmpfs {
            target: "/tmp".into(),
            mode: 0o1777,
            size: None,
        };
        let mut mounts: Vec<_> = system::kernel().into_iter().chain([tmp]).collect();
        // Where the contained root is the host's, modes keep nothing from it.
        if self.host_root.is_some() && !has_user_namespace {
            mounts.extend(system::secrets());
        }
        Ok(mounts)
    }
}
