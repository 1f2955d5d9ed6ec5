//! What Warren's end-to-end tests stand on.
//!
//! - [`harness`]: runs each test in a fresh re-execution of the test binary, since
//!   libtest's second thread makes `unshare(CLONE_NEWUSER)` fail with `EINVAL`;
//! - [`machine`]: a look at the machine before and after, so that a test which leaves
//!   a mount, link, cgroup, file or process behind fails;
//! - [`warren`], [`run`] and [`Output`]: run a command in a fixed environment and say
//!   everything about it where an expectation does not hold;
//! - [`golden`]: whole outputs kept as files;
//! - [`without_call`]: a command on a kernel that lacks one system call;
//! - [`bpf`]: what a seccomp filter says of a call;
//! - [`Tmux`]: a command in a real terminal.
//!
//! Helpers panic where an expectation fails: a panic is how a test fails.

pub mod bpf;
mod command;
pub mod console;
mod golden;
pub mod harness;
pub mod machine;
mod missing_call;
mod processes;
mod stage;
mod terminal;

pub use command::{Output, Running, eventually, patience, program, run, warren};
pub use golden::{golden, normalised};
pub use harness::{Test, Tier, Tiers};
pub use missing_call::without_call;
pub use stage::{ORDINARY_USER, ordinary_user, scratch, staged};
pub use terminal::Tmux;
