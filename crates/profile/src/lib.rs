//! Profiles: files that say what a command may have.
//!
//! ```text
//! text -> Profile     one file, as it is written
//! Library             finds files by name, reads them and what they include
//! Profile + Caller -> Spec
//! ```
//!
//! A profile only makes a [`Spec`](warren_spawn::Spec): whether its paths are there is
//! the plan's business. The environment, the home and the current folder are handed
//! down as a [`Caller`].

mod apply;
mod caller;
mod check;
mod error;
mod file;
mod library;
mod merge;
mod parse;
mod print;
mod profile;
mod shipped;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use apply::Shown;
pub use caller::Caller;
pub use error::Error;
pub use library::{Entry, Library, Loaded, Origin};
pub use parse::MAX_LENGTH;
pub use profile::{
    Capabilities, Files, Limits, Map, Mode, Network, Process, Profile, Requirement, Root,
    Syscalls, Version,
};
pub use text::{VARIABLES, literal};
pub use value::{Endpoint, Limit};
