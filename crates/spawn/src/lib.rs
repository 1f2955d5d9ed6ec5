//! [`Spec`] to [`Plan`] to [`Child`]: a process in namespaces of its own.
//!
//! A [`Spec`] says what is wanted. [`Plan::new`] turns it into an ordered list of
//! small [`Step`]s, which print themselves; [`Plan::launch`] opens what the steps
//! need, clones, and lets each side walk its part. [`Command`] is the same in the shape
//! of [`std::process::Command`].
//!
//! Between clone and exec the child allocates nothing, locks nothing, formats nothing
//! and unwinds nothing, so the crate can be used in a program with threads.

mod child;
mod command;
mod error;
pub mod gate;
mod hide;
mod holder;
mod host;
mod ids;
mod init;
mod launch;
mod plan;
mod process;
mod reasons;
mod report;
mod role;
mod shown;
mod spec;
mod step;
pub mod system;
pub mod transition;

pub use command::{Command, Stdio};
pub use error::{Error, ErrorKind};
pub use host::{Host, Ranges};
pub use launch::{Callback, Held, Observer};
pub use plan::{Layer, Plan};
pub use process::{Child, Event, GroupEnd, Output, TerminalEnd};
pub use report::Timing;
pub use role::{Change, Graft, Role};
pub use shown::{Reach, Shown};
pub use spec::{
    Access, Affinity, CacheClass, CapabilitySets, Content, DetailedMount, Device,
    DeviceKind, FlagChange, Folder, Forbidden, Hook, Hop, IdMapping, InnerUserNamespace,
    Interface, IoClass, IoPriority, Join, Labels, Listener, MemoryPolicy, Mount,
    MountIds, Mounted, Namespace, Namespaces, Open, Policy, ProcMasks, Processors,
    Propagation, PropagationKind, RawFilter, Root, Scheduler, Seccomp, Spec, Terminal,
    TimeOffsets, Tree, Upper, User,
};
pub use step::{HookProgram, Place, Side, Step};
pub use warren_cgroups as cgroups;
pub use warren_mounts::{Node, Target};
pub use warren_sys::Usage;

/// Where programs are looked for in a root that may not be the caller's.
pub const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
