//! What becomes of a process once it is set up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::{Access, Open};

/// What becomes of a process once it is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It executes [`Spec::argv`](crate::Spec::argv).
    #[default]
    Program,
    /// It stays as it is, asleep, and by that keeps its namespaces: with a new pid
    /// namespace it is its init, and reaps. `SIGTERM` ends it. It dies with who launched
    /// it until [`Child::stay`](crate::Child::stay).
    Holder {
        /// Whether processes of its user may examine it, ptrace(2): they must, to open
        /// its namespaces, where nothing else leads there.
        examinable: bool,
    },
    /// It changes a mount of the mnt namespace that it joins, and ends.
    Grafter(Graft),
}

/// A change to the mounts of a namespace that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graft {
    /// Where, in the root that the process has then: neither a symlink there nor one that
    /// leads out of the root is followed.
    pub target: PathBuf,
    /// What is done there.
    pub change: Change,
}

/// What is done to a mount point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A tree of the caller's mount namespace is mounted.
    Mount {
        /// Where it is there.
        source: PathBuf,
        /// Whether it can be written.
        access: Access,
        /// Whether with all that is mounted in it.
        recursive: bool,
        /// The user namespace through whose map its ids are shown; as they are if `None`.
        ids: Option<Open>,
        /// Whether the mount point is made if it is missing.
        make: bool,
    },
    /// What is mounted exactly there, and is not in use, is unmounted.
    Unmount,
}
