//! config.json of the OCI runtime specification 1.3, and what it has to do with a
//! [`Spec`](warren_spawn::Spec).

pub mod config;
mod error;
mod locate;

pub use config::Config;
pub use error::Error;
