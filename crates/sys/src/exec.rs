//! execve(2) from strings prepared beforehand, and _exit(2).

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Errno, check};

/// A null-terminated array of C strings, as execve(2) takes it.
///
/// It is built, with allocation, before a process is forked, and only read after.
#[derive(Debug)]
pub struct CStringArray {
    strings: Vec<CString>,
    /// Points into `strings`, whose heap buffers never move; ends with null.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead into buffers that this value owns and never changes.
unsafe impl Send for CStringArray {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for CStringArray {}

impl CStringArray {
    /// Takes the strings over.
    #[must_use]
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain(std::iter::once(std::ptr::null()))
            .collect();
        Self { strings, pointers }
    }

    /// The strings, in order.
    #[must_use]
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the process by the program at `path`: execve(2).
///
/// Returns only if that failed, with the reason.
#[must_use]
pub fn execve(
    path: &CStr,
    arguments: &CStringArray,
    environment: &CStringArray,
) -> Errno {
    // SAFETY: both arrays are null-terminated and live, by construction of
    // CStringArray; `path` is a C string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execve,
            path.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    check(result).err().unwrap_or(Errno::INVAL)
}

/// Replaces the process by the program that is open as `file`: execveat(2) with
/// `AT_EMPTY_PATH`, Linux 3.19.
///
/// Returns only if that failed, with the reason: `ENOENT` where its loader is not there,
/// or where it is a script, which cannot be read once `file` is closed at exec.
#[must_use]
pub fn execveat(
    file: BorrowedFd<'_>,
    arguments: &CStringArray,
    environment: &CStringArray,
) -> Errno {
    // SAFETY: as in execve(); the path is an empty C string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(result).err().unwrap_or(Errno::INVAL)
}

/// Ends the process at once: no destructor, no `atexit` function, no flush. _exit(2).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(code) }
}
