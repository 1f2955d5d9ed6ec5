//! Mount and path operations relative to a descriptor, by the new mount API.
//!
//! Nothing here takes a path of the whole machine and acts on it twice: a tree is
//! cloned or made *detached* ([`clone_tree`], [`Filesystem`]), given its attributes
//! while nobody can see it, and then attached below a descriptor ([`attach`]). A path
//! inside a container's root is resolved by the kernel with that root as its limit
//! ([`open_in_root`]), so that a symlink there cannot lead out.
//!
//! Every function can be called between `clone` and `exec`: nothing allocates, locks
//! or formats. What needs allocation is prepared before ([`Target::new`]).
//!
//! Needs Linux 5.2 (open_tree(2), move_mount(2), fsopen(2)); openat2(2) of Linux 5.6
//! has a fallback here, mount_setattr(2) needs 5.12.

mod attach;
mod detached;
mod resolve;
mod target;

pub use attach::{
    Node, attach, attach_at, attach_exactly, attach_over, bind_here, detach_exactly,
    ensure, ensure_exactly, ensure_parent, mount_here,
};
pub use detached::{
    Attributes, Change, Filesystem, add_attributes, change, clone_tree, make_all_private,
    make_all_slaves, make_private_from, make_root_private, set_attributes, shift_ids,
};
pub use resolve::{make_in_root, open_in_root};
pub use target::{Target, TargetError};
pub use warren_sys::{Errno, Result};
