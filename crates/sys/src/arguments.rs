//! The memory that /proc/PID/cmdline shows to everybody.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where the argument strings of this process begin, if they are known.
static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// How many bytes they take, NULs included.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Notes where the argument strings lie: the kernel puts them behind each other.
///
/// # Safety
/// Both must be what the C library passed to `main`.
pub unsafe fn remember(count: i32, arguments: *const *const c_char) {
    let Some(last) = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_sub(1))
    else {
        return;
    };
    // SAFETY: `main` gets `count` pointers, and there is at least one.
    let first = unsafe { *arguments };
    // SAFETY: as above.
    let last = unsafe { arguments.add(last) };
    // SAFETY: as above.
    let last = unsafe { *last };
    // SAFETY: each points to a C string that lives as long as the process.
    let length = unsafe { CStr::from_ptr(last) }.count_bytes() + 1;
    let whole = (last as usize)
        .wrapping_sub(first as usize)
        .wrapping_add(length);
    START.store(first.cast_mut().cast(), Ordering::Relaxed);
    LENGTH.store(whole, Ordering::Relaxed);
}

/// Replaces the arguments that ps(1) shows of this process by `title`, cut to their
/// length; does nothing where it is not known where they are.
///
/// # Safety
/// Nothing in this process may look at its arguments any more: in practice, a forked
/// child that only walks its plan.
pub unsafe fn replace_arguments(title: &CStr) {
    let start = START.load(Ordering::Relaxed);
    if start.is_null() {
        return;
    }
    let length = LENGTH.load(Ordering::Relaxed);
    // SAFETY: `remember` got the start and the length of memory that the kernel gave the
    // process to write; the caller promises that nobody reads it as something else.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
    bytes.fill(0);
    // The last byte stays NUL: else the kernel goes on reading beyond.
    let title = title.to_bytes();
    let shown = title.len().min(length.saturating_sub(1));
    bytes[..shown].copy_from_slice(&title[..shown]);
}
