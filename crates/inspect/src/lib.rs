//! What is inside namespaces: mounts, network links and ports, ids, IPC objects, clocks
//! and cgroups, as plain data that serialises and compares.
//!
//! There are two ways to look. [`from_inside`] moves the calling process into the
//! namespaces and asks the kernel there; it is for a process made for the purpose, since
//! nothing leads back. [`from_outside`] reads what /proc shows of a process to anybody.
//! [`Inside::or`] fills the holes of one with the other. What neither way shows is
//! listed, with its reason, in [`Inside::missing`].
//!
//! Everything read here was written by somebody who may be hostile: a name can hold any
//! byte but NUL and slash. Nothing is escaped; who prints it must.

mod cgroup;
mod difference;
mod enter;
mod inside;
mod ipc;
mod mnt;
mod net;
mod owners;
mod pid;
mod time;
mod user;
mod uts;

pub use cgroup::{Cgroup, Membership};
pub use difference::{Difference, Fact, differences};
pub use enter::{Request, from_inside, from_outside};
pub use inside::{Inside, Missing};
pub use ipc::{Ipc, Messages, Semaphores, Setting, SharedMemory};
pub use mnt::{Mount, Mounts};
pub use net::{Interface, Net, Peer, Port, Route, open_ports};
pub use owners::name_owners;
pub use pid::{Member, Pids};
pub use time::Clocks;
pub use user::{IdOutside, Most, User};
pub use uts::Uts;
pub use warren_cgroups::{Amount, Cpu, Io, Limit, Quota, Usage};

/// Text that may hold any byte, with U+FFFD for what is no UTF-8.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
