//! Landlock: a second wall behind mounts and namespaces. landlock(7)
//!
//! ```text
//! Landlock  what is wanted
//! Abi       what the kernel has
//! Handled   what of the one can be had from the other
//! Ruleset   the same in the kernel, for the child
//! ```
//!
//! Rules only allow: what is handled and allowed by no rule is refused, on every path, by
//! whatever descriptor or mount it is reached, and no capability lifts that. While files
//! are handled, the process can change no mounts either. What Landlock cannot say is
//! "less than what lies above": a read-only place in a writable folder.

mod abi;
mod rights;
mod ruleset;
mod wanted;

pub use abi::{Abi, Missing};
pub use rights::{Files, Scopes, Tcp};
pub use ruleset::{Handled, Ruleset};
pub use wanted::{Lack, Landlock, Ports, TooOld};
