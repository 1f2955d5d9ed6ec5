//! config.json of the OCI runtime specification 1.3, and what it has to do with a
//! [`Spec`](warren_spawn::Spec).

use std::path::{Component, Path, PathBuf};

pub mod config;
mod error;
mod kinds;
mod locate;
pub mod runtime;
mod to_config;
mod to_spec;
mod unsupported;

pub use config::{Config, process};
pub use error::Error;
pub use to_config::{EMPTY_ROOT, WRITTEN_VERSION, to_config};
pub use to_spec::{affinity, limits, listener_message, to_spec};
pub use unsupported::Unsupported;

/// A path without `.` and `..`, as every runtime reads a destination: before a symlink is
/// looked at.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
