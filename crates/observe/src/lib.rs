//! Watches a contained program: what it uses, and what it is refused.
//!
//! ```text
//! Tracer   every call of a run, from the program's first instruction on
//! Observed what they named, and how they ended
//! ```
//!
//! Watching gives nothing to the program: it runs as confined as it would unwatched, only
//! slower.

mod address;
mod audit;
mod decode;
mod event;
mod learn;
mod memory;
mod names;
mod needs;
mod observed;
mod paths;
mod shape;
mod tracer;
mod view;
mod wants;

pub use address::Address;
pub use audit::{Auditor, Cure, Host, Refusal};
pub use event::{Contact, Event, Name, Protocol};
pub use learn::{Learner, Machine, Needs, Note, covers, outermost};
pub use observed::{Failure, Observed};
pub use tracer::Tracer;
pub use view::{Seen, View};
pub use wants::{Use, Wants};
