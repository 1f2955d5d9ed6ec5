//! Control groups, as cgroups(7) has them: which hierarchies this machine mounts,
//! where a process is in them, what is left to the caller, joining them, and groups with
//! limits: [`Limits`] and a [`Placement`] on a [`Ground`] come to a [`Blueprint`], which makes
//! a [`Cgroup`].
//!
//! v1, v2 and both at once ("hybrid") are one [`Hierarchies`] value, so callers do
//! not branch on them. Paths come from the kernel's own mountinfo, are opened by
//! descriptor and are checked to be of a cgroup filesystem.

mod block;
mod blueprint;
mod convert;
mod delegation;
mod devices;
mod error;
mod file;
mod freeze;
mod ground;
mod group;
mod guard;
mod hierarchies;
mod join;
mod left_over;
pub mod limits;
mod membership;
mod place;
mod pressure;
mod setting;
mod stat;
mod systemd;
mod usage;

pub use block::{Disk, disk_of};
pub use blueprint::Blueprint;
pub use convert::{blkio_to_weight, shares_to_weight, weight_to_blkio, weight_to_shares};
pub use delegation::{Delegation, systemd_runs};
pub use error::Error;
pub use freeze::Frozen;
pub use ground::{Closed, Ground, Parent};
pub use group::{Cgroup, Record};
pub use hierarchies::{Hierarchies, Hierarchy, Layout};
pub use join::{Entrance, is_in_none};
pub use left_over::{LeftOver, left_over};
pub use limits::Limits;
pub use membership::{Membership, of_process};
pub use place::{Place, Placement};
pub use pressure::{Pressure, Stall, Stalls};
pub use setting::{Action, Refused, Setting, Settings, Why};
pub use stat::Stat;
pub use usage::{Amount, Cpu, Io, Limit, Quota, Usage, oom_kills, usage};
