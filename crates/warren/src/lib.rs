//! Linux namespaces, end to end: see them, make them, enter them, and run anything
//! isolated inside them.
//!
//! [`Command`] is [`std::process::Command`] with isolation. It needs no root and can be
//! used from any thread.
//!
//! ```
//! use warren::{Access, Command};
//!
//! // Sees the host's system read-only, nothing else of it, and no network.
//! let output = Command::sandbox("sh")
//!     .args(["-c", "id -u; hostname; ls /home | wc -l"])
//!     .hostname("burrow")
//!     .output()?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"0\nburrow\n0\n");
//!
//! // One folder of the host on top of it.
//! let dir = std::env::current_dir()?;
//! let status = Command::sandbox("test")
//!     .args(["-d", "/srv/project"])
//!     .bind(dir, "/srv/project", Access::ReadOnly)
//!     .status()?;
//! assert!(status.success());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A launch that fails says which step, on what, and why:
//!
//! ```
//! use warren::{Command, ErrorKind};
//!
//! let error = Command::sandbox("no-such-program").spawn().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::NotFound);
//! assert_eq!(error.to_string(), "execute no-such-program: No such file or directory");
//! ```
//!
//! What is wanted is a [`Spec`]; how it is done is a [`Plan`], which prints itself; what
//! runs is a [`Child`]. [`namespaces`] lists what exists, and [`cgroups`] where processes
//! are accounted.

#![forbid(unsafe_code)]

pub use warren_cgroups as cgroups;
pub use warren_confine as confine;
pub use warren_confine::{Capability, CapabilitySet, Rlimit};
pub use warren_namespaces as namespaces;
pub use warren_namespaces::{IdMap, Kind, NamespaceSet, NsFd};
pub use warren_spawn::{
    Access, Child, Command, Error, ErrorKind, Event, Host, IdMapping, Join, Mount,
    Namespace, Namespaces, Output, Place, Plan, Ranges, Reach, Root, Seccomp, Shown,
    Side, Spec, Stdio, Step, Terminal, TerminalEnd, Timing, Usage, User, system,
};
