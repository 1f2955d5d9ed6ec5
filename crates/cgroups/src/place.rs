//! Where a control group is to be made, and by whom.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a group is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Wherever the caller may make one: where systemd owns the tree of v2, in a
    /// [scope](Self::Scope), else [below](Self::Below) the caller's own group.
    #[default]
    Auto,
    /// Below this group, as paths are from the root of each hierarchy; below the caller's
    /// own if `None`. It gets a name that nobody else has, and that tells who lost it.
    Below(Option<PathBuf>),
    /// Exactly at this path below the root of each hierarchy as it is mounted.
    Path(PathBuf),
    /// In a transient scope that systemd makes. v2 only.
    Scope {
        /// The slice that it is in; systemd's choice if `None`.
        slice: Option<String>,
        /// Its name, with `.scope`; one that nobody else has if `None`.
        name: Option<String>,
    },
}

/// How a group is made for a process and all that it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// Where.
    pub place: Place,
    /// Goes on without a limit that cannot be had; what was left out is told.
    pub best_effort: bool,
    /// Makes it in every hierarchy, not only where a limit needs it, as container runtimes
    /// do: its processes can then be listed, frozen and counted whatever is limited.
    pub everywhere: bool,
    /// Hands the v2 group to who owns the new user namespace: groups can be made below it
    /// from inside.
    pub delegate: bool,
    /// Leaves it when the program has ended.
    pub keep: bool,
}
