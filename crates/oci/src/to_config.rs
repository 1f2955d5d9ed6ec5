//! A Spec to config.json.
//!
//! What is written runs on today's and on older runtimes: it claims the version
//! [`WRITTEN_VERSION`] and keeps to what that has.

mod detailed;
mod linux;
mod mounts;
mod priority;
mod process;
mod resources;
mod root;

use std::ffi::OsStr;
use std::path::Path;

use warren_spawn::Spec;

use crate::config::{Config, Linux};
use crate::unsupported::{Losses, Unsupported};

/// The oldest version that has all that is written.
pub const WRITTEN_VERSION: &str = "1.0.2";

/// The root that a bundle needs where the Spec's is empty: an empty folder, in which a
/// runtime makes mount points.
pub const EMPTY_ROOT: &str = "rootfs";

/// The config.json that asks for the same as `spec`, and what of it none can say.
///
/// It looks at the host's files where the answer depends on them: what lies in `/`, and
/// where a symlink leads. Ids that are chosen at launch
/// ([`IdMapping::Auto`](warren_spawn::IdMapping::Auto)) must have been chosen before.
#[must_use]
pub fn to_config(spec: &Spec) -> (Config, Vec<Unsupported>) {
    let mut writer = Writer {
        spec,
        config: Config {
            oci_version: WRITTEN_VERSION.to_owned(),
            ..Config::default()
        },
        linux: Linux::default(),
        losses: Losses::default(),
    };
    writer.process();
    writer.names();
    writer.root();
    writer.mounts();
    writer.linux();
    writer.priorities();
    writer.resources();
    writer.rest();
    let Writer {
        mut config,
        linux,
        losses,
        ..
    } = writer;
    config.linux = Some(linux);
    (config, losses.into_vec())
}

struct Writer<'a> {
    spec: &'a Spec,
    config: Config,
    linux: Linux,
    losses: Losses,
}

impl Writer<'_> {
    /// JSON has no bytes that are no text.
    fn text(&mut self, what: &str, text: &OsStr) -> String {
        match text.to_str() {
            Some(text) => text.to_owned(),
            None => {
                let lossy = text.to_string_lossy().into_owned();
                self.losses
                    .note(what, format!("{lossy:?} had bytes that are no text"));
                lossy
            }
        }
    }

    fn path(&mut self, what: &str, path: &Path) -> String {
        self.text(what, path.as_os_str())
    }
}
