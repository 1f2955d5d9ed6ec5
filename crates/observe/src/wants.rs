//! What a call wants of a file.

use std::path::PathBuf;

bitflags::bitflags! {
    /// What a call wants of the file that it names.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Wants: u16 {
        /// To know whether it is there, and its owner, mode and times.
        const LOOK = 1;
        /// To read its content.
        const READ = 1 << 1;
        /// To change its content, mode, owner, times or attributes.
        const WRITE = 1 << 2;
        /// To execute it.
        const EXECUTE = 1 << 3;
        /// To have its name in its folder, where it was not before.
        const CREATE = 1 << 4;
        /// To take its name out of its folder.
        const REMOVE = 1 << 5;
        /// To know the names in it.
        const LIST = 1 << 6;
        /// To go through it: it is a symlink on the way to another.
        const PASS = 1 << 7;
        /// To talk to who listens at it.
        const CONNECT = 1 << 8;

        /// What changes a file or its folder.
        const CHANGES = Self::WRITE.bits() | Self::CREATE.bits() | Self::REMOVE.bits();
    }
}

impl Wants {
    /// In words, as they follow a path: `to read and write`.
    #[must_use]
    pub fn words(self) -> &'static str {
        if self.contains(Self::LIST) {
            "to list"
        } else if self.contains(Self::READ | Self::WRITE) {
            "to read and write"
        } else if self.contains(Self::CREATE) {
            "to create"
        } else if self.contains(Self::REMOVE) {
            "to remove"
        } else if self.contains(Self::WRITE) {
            "to write"
        } else if self.contains(Self::EXECUTE) {
            "to execute"
        } else if self.contains(Self::CONNECT) {
            "to connect"
        } else if self.contains(Self::READ) {
            "to read"
        } else {
            "to look at"
        }
    }
}

/// A file that a call names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Where it is for the program, without symlinks on the way.
    pub path: PathBuf,
    /// Whether it was there before the call.
    pub existed: bool,
    /// What is wanted of it.
    pub wants: Wants,
}
