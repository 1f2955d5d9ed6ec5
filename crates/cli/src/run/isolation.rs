//! Namespaces, ids, capabilities and system calls.

use std::path::PathBuf;

use clap::Args;
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_spawn::{IdMapping, Namespace, Namespaces};

use crate::failure::Failure;

/// What separates the command from the host.
#[derive(Debug, Args)]
pub struct IsolationOptions {
    /// Ids inside: auto, single, or INSIDE:OUTSIDE:COUNT for users and groups alike
    #[arg(
        long,
        value_name = "MAP",
        default_value = "auto",
        help_heading = "Isolation"
    )]
    pub map: Vec<String>,
    /// Stay in the host's namespaces of these kinds (mnt excepted)
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    pub share: Vec<Kind>,
    /// Give a capability over the new namespaces, or ALL
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    pub cap_add: Vec<String>,
    /// Take one of those away again, or ALL
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    pub cap_drop: Vec<String>,

    /// Refuse system calls as FILE says: a policy, or the JSON of container runtimes
    #[arg(long, value_name = "FILE", help_heading = "Isolation")]
    pub seccomp: Option<PathBuf>,
}

impl IsolationOptions {
    /// Which namespaces are new.
    pub fn namespaces(&self) -> Result<Namespaces, Failure> {
        let shared = &self.share;
        if shared.contains(&Kind::Mnt) {
            return Err(Failure::usage(
                "--share mnt: a root of its own needs a mnt namespace",
            )
            .hint("`warren unshare` leaves the mounts alone"));
        }
        let set = shared
            .iter()
            .fold(NamespaceSet::ALL, |set, kind| set.without(*kind));
        Ok(Namespaces::new_of(set))
    }

    /// Leaves those that stay the host's, whatever a profile says.
    pub fn share(&self, namespaces: &mut Namespaces) {
        for kind in &self.share {
            namespaces.set(*kind, Namespace::Inherit);
        }
    }

    /// Which capabilities the command has, where a profile gives `given`.
    pub fn capabilities(&self, given: CapabilitySet) -> Result<CapabilitySet, Failure> {
        let mut set = given;
        for word in &self.cap_add {
            set = named(word)?.iter().fold(set, CapabilitySet::with);
        }
        for word in &self.cap_drop {
            set = named(word)?.iter().fold(set, CapabilitySet::without);
        }
        Ok(set)
    }
}

/// The words of `--map`.
pub fn id_map(words: &[String], has_user_namespace: bool) -> Result<IdMapping, Failure> {
    match words {
        [word] if word == "auto" => Ok(IdMapping::Auto),
        _ if !has_user_namespace => Err(Failure::usage(
            "--map: there is no user namespace with --share user",
        )),
        [word] if word == "single" => Ok(IdMapping::Single),
        lines => {
            let line = |word: &String| {
                word.parse::<IdMap>()
                    .map_err(|error| Failure::usage(format!("--map {word}: {error}")))
            };
            let lines: Vec<_> = lines.iter().map(line).collect::<Result<_, _>>()?;
            Ok(IdMapping::Explicit {
                uids: lines.clone(),
                gids: lines,
            })
        }
    }
}

fn named(word: &str) -> Result<CapabilitySet, Failure> {
    if word.eq_ignore_ascii_case("all") {
        return Ok(CapabilitySet::ALL);
    }
    let capability: Capability = word
        .parse()
        .map_err(|error| Failure::usage(format!("{error}")))?;
    Ok(CapabilitySet::EMPTY.with(capability))
}
