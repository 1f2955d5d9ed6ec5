//! Rules on system calls, compiled to a classic BPF program: seccomp(2).
//!
//! ```text
//! Profile  what is wanted, by name and for several architectures
//! Rules    what happens to each number of one architecture
//! Filter   the program
//! ```
//!
//! A program's first question is the architecture: a 64-bit process can make calls
//! of another one (`int 0x80` on x86_64), where the numbers mean other things, and
//! not one of those may pass unseen. Then it searches the number by halves, and only
//! then looks at arguments. While it looks at nothing but number and architecture,
//! Linux 5.11 and later remember at load time which numbers are always allowed and
//! skip the program for them.

mod action;
mod architecture;
mod assembler;
mod cache;
mod condition;
mod filter;
pub mod oci;
pub mod policy;
mod profile;
mod rules;
pub mod table;

pub use action::Action;
pub use architecture::Architecture;
pub use cache::Cache;
pub use condition::{Comparison, Condition};
pub use filter::{Filter, LoadFlags, MAX_INSTRUCTIONS, TooLong};
pub use profile::{CompileError, Newer, Order, Profile, Rule};
pub use rules::{Rules, Verdict};

#[cfg(test)]
pub(crate) use rules::tests as rules_tests;
