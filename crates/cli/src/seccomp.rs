//! A profile of system calls, from a file: the JSON of container runtimes or a policy.

use std::path::Path;

use warren_confine::CapabilitySet;
use warren_confine::seccomp::oci::{Target, Template};
use warren_confine::seccomp::{Architecture, Newer, Profile, policy};
use warren_namespaces::limits::KernelVersion;

use crate::failure::Failure;
use crate::text_file;

/// The largest file that is read, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// The profile in `path`, for a program with `capabilities`.
pub fn profile(path: &Path, capabilities: CapabilitySet) -> Result<Profile, Failure> {
    let doing = |error: &dyn std::fmt::Display| {
        Failure::new(format!("read the profile {}: {error}", path.display()))
    };
    let text = text_file::read(path, MAX_LENGTH).map_err(|error| doing(&error))?;
    if !text.trim_start().starts_with('{') {
        return policy::parse(&text).map_err(|error| {
            doing(&error)
                .hint("docs/seccomp.md describes the language; JSON begins with {")
        });
    }
    let kernel = KernelVersion::running();
    let target = Target {
        capabilities,
        architecture: Architecture::NATIVE,
        kernel: (kernel.major, kernel.minor),
    };
    let json = Template::parse(&text).and_then(|template| template.render(&target));
    let json = json.map_err(|error| doing(&error))?;
    let has_flags = json.flags.as_ref().is_some_and(|flags| !flags.is_empty());
    if !json.listener_path.is_empty() || has_flags {
        return Err(doing(
            &"it has flags or a listenerPath, which need a supervisor",
        ));
    }
    json.profile(Newer::AboveProfile)
        .map_err(|error| doing(&error))
}
