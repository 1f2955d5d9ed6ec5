//! One change.

use std::path::PathBuf;

use crate::attributes::{Attributes, Node};

/// What has become of one name.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where, relative to the overlay; empty for the overlay's own folder.
    pub path: PathBuf,
    /// Whether it is new, other than it was, or gone.
    pub kind: Kind,
    /// What differs, where it is other than it was.
    pub what: What,
    /// How it is now; if it is gone, how it was.
    pub(crate) attributes: Attributes,
    /// What it was before, if it was there.
    pub(crate) before: Option<Node>,
}

impl Change {
    /// What kind of file it is; if it is gone, what it was.
    #[must_use]
    pub fn node(&self) -> Node {
        self.attributes.node
    }

    /// The permissions, with set-id and sticky bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.attributes.mode
    }

    /// Its size in bytes, for a file.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        (self.node() == Node::File).then_some(self.attributes.size)
    }
}

/// How a name differs from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It was not there.
    Added,
    /// It was there, and is not the same.
    Modified,
    /// It is no longer there, nor what was below it.
    Deleted,
}

/// What differs of something that was there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct What {
    /// It is another kind of file.
    pub node: bool,
    /// Other bytes; of a symlink, another target.
    pub content: bool,
    /// Other permissions.
    pub mode: bool,
    /// Another owner or group.
    pub owner: bool,
}

impl What {
    /// Whether anything does.
    #[must_use]
    pub fn is_any(self) -> bool {
        self != Self::default()
    }
}
