//! What a program changed in an overlay: [listed](Layer::list), [applied](Layer::apply) to
//! the folder below it, or [saved](Layer::save) somewhere else.
//!
//! A [`Layer`] is an overlay's upper folder, in which overlayfs(5) keeps what was written,
//! and the folders below it. All of it was written by a program that may be hostile, and
//! may be written while it is read: so each name is looked up by itself below a
//! descriptor, no symlink is followed, no other filesystem entered, and nothing that is
//! opened is taken for what it was a moment before.

mod apply;
mod attributes;
mod beneath;
mod change;
mod content;
mod layer;
mod list;
mod outcome;
mod owners;
mod remove;
#[cfg(test)]
mod tests;
mod write;

pub use attributes::Node;
pub use change::{Change, Kind, What};
pub use layer::Layer;
pub use list::Listing;
pub use outcome::{LeftOut, Outcome, Problem};
pub use owners::Owners;
