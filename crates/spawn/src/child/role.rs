//! The ends of a plan that executes nothing.

use std::os::fd::{AsFd, AsRawFd};

use rustix::process::DumpableBehavior;
use warren_mounts::{Node, Target, attach_exactly, detach_exactly};
use warren_sys::{Errno, Result};

use super::{Child, close_all_but};
use crate::holder;

impl Child<'_> {
    pub(super) fn graft(&self, target: &Target, node: Node, make: bool) -> Result<()> {
        let tree = self.with.trees.first().ok_or(Errno::BADF)?;
        attach_exactly(tree.as_fd(), self.root()?, target, node, make)
    }

    pub(super) fn unmount(&self, target: &Target) -> Result<()> {
        detach_exactly(self.root()?, target)
    }

    /// Returns to nobody: that all descriptors are closed tells the parent that the
    /// holder is there.
    pub(super) fn hold(&self) -> Result<()> {
        // It fails for who leads a session already.
        let _ = rustix::process::setsid();
        rustix::process::chdir(c"/")?;
        // A block of ids is taken as long as somebody has its socket.
        match self.with.reservation {
            Some(kept) => close_all_but(&[kept.as_raw_fd()]),
            None => close_all_but(&[]),
        }
        holder::run(self.with.report)
    }
}

/// Root of a container may trace whom it sees in its user namespace. The arguments can be
/// read by all, the environment by who has CAP_SYS_PTRACE.
pub(super) fn hide() -> Result<()> {
    // SAFETY: nothing in a child that walks its plan looks at them.
    unsafe { warren_sys::arguments::replace_arguments(c"warren-init") };
    // SAFETY: as above; the program's own environment is a copy.
    unsafe { warren_sys::arguments::wipe_environment() };
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// The memory of a holder is a copy of the launching process's; who can enter its
/// namespaces must not find the caller's arguments and environment there.
pub(super) fn hide_holder(examinable: bool) -> Result<()> {
    // SAFETY: nothing in a child that walks its plan looks at either.
    unsafe { warren_sys::arguments::replace_arguments(c"warren-keep") };
    // SAFETY: as above.
    unsafe { warren_sys::arguments::wipe_environment() };
    rustix::thread::set_name(c"warren-keep")?;
    rustix::process::set_dumpable_behavior(if examinable {
        // A change of ids or a joined user namespace has taken it away.
        DumpableBehavior::Dumpable
    } else {
        DumpableBehavior::NotDumpable
    })
}
