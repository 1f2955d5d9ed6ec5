//! Linux namespaces as values: kinds, identity, handles and id maps.
//!
//! Nothing here changes the calling process. The crate names what the kernel has
//! ([`Kind`], [`NamespaceSet`]), opens it ([`NsFd`]), reads it from /proc
//! ([`ProcRoot`]), finds all that there are and who keeps them ([`Snapshot`]), works out
//! id maps ([`IdMap`]), and keeps namespaces by name ([`kept`], which alone mounts).
//! `warren-spawn` builds processes from these values.

pub mod accounts;
mod cpu_time;
mod error;
mod handle;
mod id_map;
pub mod kept;
mod kind;
mod label;
pub mod limits;
pub mod mountinfo;
#[doc(hidden)]
pub mod netlink;
mod netns_numbers;
mod ns_handle;
mod proc_root;
mod process;
mod rights;
mod route;
mod scan;
mod scope;
mod snapshot;
mod target;

pub use cpu_time::cpu_time_of_tree;
pub use error::{Error, errno_text, io_error_text};
pub use handle::{NsFd, NsId};
pub use id_map::{IdMap, IdMapError};
pub use kind::{Kind, NamespaceSet, UnknownKind};
pub use label::{Container, Engine, Label};
pub use netns_numbers::NetnsNumbers;
pub use ns_handle::{NoHandle, NsHandle};
pub use proc_root::{NotProcfs, ProcRoot};
pub use process::{NamespaceIds, namespaces_of, open_namespace, open_namespaces};
pub use rights::{Obstacle, Rights};
pub use route::{Stop, route};
pub use scope::{MountScope, Scope};
pub use snapshot::{
    Group, Holder, Namespace, Part, Process, Reference, Snapshot, Unreadable, View,
};
pub use target::{Found, Search, Target, UnknownTarget};
