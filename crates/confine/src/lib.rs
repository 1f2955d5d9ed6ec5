//! What a process may still do once it is inside: capabilities, a seccomp filter,
//! Landlock, resource limits and no_new_privs.
//!
//! Everything is parsed, checked and compiled by the parent. What is left for the
//! child between `clone` and `exec` ([`caps::drop_bounding`], [`caps::set`],
//! [`caps::raise_ambient`], [`caps::set_no_new_privs`], [`Filter::load`],
//! [`landlock::Ruleset`], [`Rlimit::apply`]) only makes system calls: it allocates nothing, locks nothing
//! and cannot panic.

pub mod caps;
pub mod labels;
pub mod landlock;
mod policy;
mod rlimit;
pub mod seccomp;

pub use caps::{Capability, CapabilitySet, UnknownCapability};
pub use rlimit::{Resource, Rlimit, RlimitError};
pub use seccomp::{Action, Condition, Filter, Rules, Verdict};
