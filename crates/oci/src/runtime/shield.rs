//! The binary, kept from being written by what it starts.
//!
//! Up to its program, a process of a container is Warren, and an image can see to it that it
//! is afterwards too (`#!/proc/self/exe`). Whoever is root on the host inside could open
//! /proc/PID/exe, wait until nobody executes the file any more, and write it
//! (CVE-2019-5736). Here this process comes to execute the file by way of a mount of its own,
//! which is read-only, has no path and ends with the last process that came from it: what is
//! opened through /proc lies on that mount. Nothing of the file is copied.
//!
//! What is mapped is exchanged in place. Only where that cannot be done, as by a kernel that
//! cannot checkpoint, the file is executed once more, which takes several times as long.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use warren_mounts::Attributes;
use warren_sys::{CStringArray, Result};

const ITSELF: &CStr = c"/proc/self/exe";

/// Sees to it that this program cannot be written through /proc, unless it cannot be anyway.
/// Executes it once more with what `words` gives, its arguments and its environment, where
/// nothing less will do. Returns where nothing more is needed, or nothing can be done.
///
/// What it gives is best dropped when the program runs: the kernel waits then, some 70 us on
/// an idle machine and milliseconds on a busy one (RCU, for the mount that is detached once
/// more). It is closed at an exec, and so the program gets nothing of it.
pub fn shield(words: impl FnOnce() -> (Vec<CString>, Vec<CString>)) -> Option<OwnedFd> {
    // On such a mount, or to others than its owner, it is not writable.
    if rustix::fs::accessat(CWD, ITSELF, Access::WRITE_OK, AtFlags::EACCESS).is_err() {
        return None;
    }
    let file = warren_mounts::clone_tree(CWD, ITSELF, false).ok()?;
    let read_only = Attributes::READ_ONLY;
    warren_mounts::add_attributes(file.as_fd(), c"", read_only).ok()?;
    if exchange(file.as_fd()).is_ok() {
        return Some(file);
    }
    let (arguments, environment) = words();
    let arguments = CStringArray::new(arguments);
    let environment = CStringArray::new(environment);
    let _ = warren_sys::execveat(file.as_fd(), &arguments, &environment);
    None
}

/// Goes on with the file as it is on this mount.
fn exchange(mounted: BorrowedFd<'_>) -> Result<()> {
    // The descriptor of a mount is one to look up from, and not to read.
    let path = format!("/proc/self/fd/{}", mounted.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    warren_sys::exchange_image(file.as_fd())
}
