//! config.json as the OCI runtime specification 1.3 has it: config.md and
//! config-linux.md, every property.
//!
//! Properties that are not there, and those that are `null`, as Go writes an empty list,
//! have the default of their type; a default is not written. Properties that the
//! specification does not have are ignored, as it demands. Words with a fixed set of
//! values are strings here: who acts on one refuses those that it does not know.

mod hooks;
mod linux;
mod mount;
pub(crate) mod object;
mod process;
mod resources;

use std::collections::BTreeMap;

pub use hooks::{Hook, Hooks};
pub use linux::{
    Device, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use mount::{IdMapping, Mount, Root};
use object::object;
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids,
    Rdma, Resources, Throttle, WeightDevice,
};

use crate::error::Error;
use crate::locate;

/// The version of the specification that [`Config`] is written for.
pub const VERSION: &str = "1.3.0";

object! {
    /// The whole file.
    pub struct Config {
        always {
            /// The version of the specification that it follows.
            oci_version: String = "ociVersion",
        }
        sometimes {
            /// What is run; without it, nothing can be started.
            process: Option<Process> = "process",
            /// Where the container's root lies.
            root: Option<Root> = "root",
            /// The name of a uts namespace.
            hostname: String = "hostname",
            /// The NIS domain name of a uts namespace.
            domainname: String = "domainname",
            /// What is mounted in the root, in this order.
            mounts: Vec<Mount> = "mounts",
            /// Programs that are run at fixed moments of a container's life.
            hooks: Option<Hooks> = "hooks",
            /// Words for others.
            annotations: BTreeMap<String, String> = "annotations",
            /// What only Linux has.
            linux: Option<Linux> = "linux",
        }
    }
}

/// Reads the text of a process.json, which is a config.json's `process` alone.
///
/// # Errors
/// As [`Config::parse`].
pub fn process(text: &str) -> Result<Process, Error> {
    serde_json::from_str(text).map_err(|error| locate::explain(text, &error))
}

/// Reads the text of `linux.resources` alone.
///
/// # Errors
/// As [`Config::parse`].
pub fn resources(text: &str) -> Result<Resources, Error> {
    serde_json::from_str(text).map_err(|error| locate::explain(text, &error))
}

impl Config {
    /// Reads the text of a config.json.
    ///
    /// # Errors
    /// [`Error`] with the path of what is wrong: `linux.resources.memory.limit: expected
    /// an integer, found the string "1G"`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| locate::explain(text, &error))
    }

    /// The text of a config.json, indented, with a line feed at its end.
    #[must_use]
    pub fn text(&self) -> String {
        // Strings, numbers, lists and maps of strings: nothing that JSON cannot say.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
