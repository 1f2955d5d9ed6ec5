//! The binary, kept from being written by what it starts.
//!
//! Up to its program, a process of a container is Warren, and an image can see to it that it
//! is afterwards too (`#!/proc/self/exe`). Whoever is root on the host inside could open
//! /proc/PID/exe, wait until nobody executes the file any more, and write it
//! (CVE-2019-5736). Here the file is executed once more from a mount of its own, which is
//! read-only, has no path and ends with the last process that came from it: what is opened
//! through /proc lies on that mount. Nothing is copied.

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::{Access, AtFlags, CWD};
use warren_mounts::Attributes;
use warren_sys::CStringArray;

const ITSELF: &std::ffi::CStr = c"/proc/self/exe";

/// Executes this program once more so that it cannot be written through /proc, unless it
/// cannot be anyway. Returns where nothing was needed, or nothing can be done.
pub fn shield(arguments: Vec<CString>, environment: Vec<CString>) {
    // On such a mount, or to others than its owner, it is not writable.
    if rustix::fs::accessat(CWD, ITSELF, Access::WRITE_OK, AtFlags::EACCESS).is_err() {
        return;
    }
    let Ok(file) = warren_mounts::clone_tree(CWD, ITSELF, false) else {
        return;
    };
    if warren_mounts::add_attributes(file.as_fd(), c"", Attributes::READ_ONLY).is_err() {
        return;
    }
    let arguments = CStringArray::new(arguments);
    let environment = CStringArray::new(environment);
    let _ = warren_sys::execveat(file.as_fd(), &arguments, &environment);
}
