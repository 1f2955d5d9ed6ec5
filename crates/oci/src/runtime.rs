//! Containers: what is kept of them on disk, and what is done with them.
//!
//! A [`Store`] is a folder with one folder for each [`Container`]. There is no daemon: each
//! command reads what is there, asks the kernel for the rest, and ends. What is on disk never
//! changes once it is written, so nothing can be read half: how a container is doing is told
//! by its process, its gate and its control group alone.

mod checkpoint;
mod clock;
mod console;
mod container;
mod create;
mod criu;
mod delete;
mod error;
mod exec;
mod features;
mod follow;
mod grant;
mod group;
mod handover;
mod hooks;
mod id;
mod images;
mod init;
mod list;
mod notify;
mod outside;
mod pause;
mod ps;
mod record;
mod restore;
mod shield;
mod signal;
mod stage;
mod start;
mod stats;
mod status;
mod store;
mod surface;
mod template;
mod update;
mod who;

pub use checkpoint::{Checkpoint, CriuOptions};
pub use clock::now;
pub use console::send_descriptor;
pub use container::Container;
pub use create::{Create, Created};
pub use criu::{CgroupMode, PageServer};
pub use error::{Error, Kind};
pub use exec::{Exec, Executed};
pub use features::features;
pub use group::Group;
pub use handover::Handover;
pub use id::check as check_id;
pub use list::Summary;
pub use notify::Notification;
pub use record::Record;
pub use restore::Restore;
pub use shield::shield;
pub use start::NOT_STARTED;
pub use stats::Event;
pub use status::Status;
pub use store::Store;
pub use template::{TEMPLATE, rootless_template};
pub use who::is_root_of_machine;
