//! Memory that a process and its forked children see together.

use std::ops::Deref;
use std::ptr::NonNull;

use crate::{Result, check};

/// A value on pages that stay shared across fork: mmap(2) with `MAP_SHARED |
/// MAP_ANONYMOUS`.
///
/// The kernel gives the pages filled with zeros, so `T` is limited to types for which
/// that is a value ([`Zeroed`]).
#[derive(Debug)]
pub struct SharedPage<T: Zeroed> {
    at: NonNull<T>,
}

/// Types of which every instance made of zero bytes is valid, and which several
/// processes may use at once: atomics and structs of them.
///
/// # Safety
/// Both must hold; nothing in the type may need dropping.
pub unsafe trait Zeroed: Sync {}

// SAFETY: the pointer leads to memory that is `Sync` by the bound on `T`, and is
// unmapped only when the value is dropped.
unsafe impl<T: Zeroed> Send for SharedPage<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroed> Sync for SharedPage<T> {}

impl<T: Zeroed> SharedPage<T> {
    /// Maps it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice
        // touches no memory in use.
        let at = unsafe {
            libc::syscall(
                libc::SYS_mmap,
                std::ptr::null_mut::<T>(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let at = check(at)? as *mut T;
        // mmap never returns page zero without MAP_FIXED.
        NonNull::new(at)
            .map(|at| Self { at })
            .ok_or(crate::Errno::NOMEM)
    }
}

impl<T: Zeroed> Deref for SharedPage<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped, page-aligned, zero-filled at first, which `Zeroed` makes a
        // value; alive as long as `self`.
        unsafe { self.at.as_ref() }
    }
}

impl<T: Zeroed> Drop for SharedPage<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no borrow of it is left.
        unsafe { libc::munmap(self.at.as_ptr().cast(), size_of::<T>()) };
    }
}
