//! What a network namespace is connected to: links, addresses, NAT, published ports.
//!
//! Netlink and nftables messages are sent directly; no program is started.

mod allow;
mod error;
pub mod files;
mod publish;
mod socket;
pub mod user;
mod wire;

pub use error::{Error, Result};
pub use allow::{Allow, AllowError, Pinned, is_name};
pub use publish::{Protocol, Publish, PublishError, port};
