//! What a network namespace is connected to: links, addresses, NAT, published ports.
//!
//! Netlink and nftables messages are sent directly; no program is started.

mod allow;
mod connect;
mod error;
pub mod files;
mod gc;
mod interface;
mod lease;
mod making;
mod names;
mod network;
mod nft;
mod publish;
mod route;
mod settings;
mod socket;
mod state;
mod subnet;
mod table;
pub mod user;
mod wire;

pub use allow::{Allow, AllowError, Pinned, is_name};
pub use connect::{Connection, Member, connect, join};
pub use error::{Error, Result};
pub use gc::{Removed, collect};
pub use interface::{loopback_up, move_interface, take_interface_back};
pub use lease::{Reservation, Wanted};
pub use making::{Design, Occupant, create, occupants, remove};
pub use names::{Names, RESOLVER, Resolver};
pub use network::{Driver, Name, Network, NetworkError, Rate, RateError};
pub use publish::{Protocol, Publish, PublishError, port};
pub use state::Store;
pub use subnet::{Subnet, SubnetError};
