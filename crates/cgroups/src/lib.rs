//! Control groups, as cgroups(7) has them: which hierarchies this machine mounts,
//! where a process is in them, what is left to the caller, and joining them.
//!
//! v1, v2 and both at once ("hybrid") are one [`Hierarchies`] value, so callers do
//! not branch on them. Paths come from the kernel's own mountinfo, are opened by
//! descriptor and are checked to be of a cgroup filesystem.

mod delegation;
mod error;
mod hierarchies;
mod join;
mod membership;
mod usage;

pub use delegation::{Delegation, systemd_runs};
pub use error::Error;
pub use hierarchies::{Hierarchies, Hierarchy, Layout};
pub use join::{Cgroup, is_in_none};
pub use membership::{Membership, of_process};
pub use usage::{Amount, Cpu, Io, Limit, Quota, Usage, oom_kills, usage};
