//! The memory that /proc/PID/cmdline shows to everybody, and that behind it which
//! /proc/PID/environ shows to some.

use std::ffi::{CStr, c_char};
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where the argument strings of this process begin, if they are known.
static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// How many bytes they take, NULs included.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Where the environment that this process was started with begins, if it is known.
static ENVIRONMENT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// How many bytes it takes.
static ENVIRONMENT_LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Notes where the strings of the arguments and of the environment lie: the kernel puts
/// them behind each other.
///
/// # Safety
/// All must be what the C library passed to `main`.
pub unsafe fn remember(
    count: i32,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: `main` gets `count` pointers.
    if let Some((start, length)) = unsafe { span(arguments, count) } {
        START.store(start, Ordering::Relaxed);
        LENGTH.store(length, Ordering::Relaxed);
    }
    let mut count = 0;
    let mut next = environment;
    // SAFETY: a null pointer ends the environment, and none before it was null.
    while !unsafe { *next }.is_null() {
        count += 1;
        // SAFETY: as above.
        next = unsafe { next.add(1) };
    }
    // SAFETY: that many were counted.
    if let Some((start, length)) = unsafe { span(environment, count) } {
        ENVIRONMENT.store(start, Ordering::Relaxed);
        ENVIRONMENT_LENGTH.store(length, Ordering::Relaxed);
    }
}

/// Where the first of some strings begins that lie behind each other, and how many bytes
/// they take; `None` where there are none.
///
/// # Safety
/// At `strings` there are `count` pointers to C strings that live as long as the process.
unsafe fn span(strings: *const *const c_char, count: usize) -> Option<(*mut u8, usize)> {
    let last = count.checked_sub(1)?;
    // SAFETY: there is at least one.
    let first = unsafe { *strings };
    // SAFETY: it is the last of them.
    let last = unsafe { strings.add(last) };
    // SAFETY: as above.
    let last = unsafe { *last };
    // SAFETY: each points to a C string that lives as long as the process.
    let length = unsafe { CStr::from_ptr(last) }.count_bytes() + 1;
    let whole = (last as usize)
        .wrapping_sub(first as usize)
        .wrapping_add(length);
    Some((first.cast_mut().cast(), whole))
}

/// The path by which this program was executed, as execve(2) was given it: `AT_EXECFN`,
/// getauxval(3).
#[must_use]
pub fn executed() -> Option<&'static [u8]> {
    // SAFETY: getauxval has no precondition.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
    if path == 0 {
        return None;
    }
    let path: *const c_char = std::ptr::with_exposed_provenance(path);
    // SAFETY: the kernel has put a C string there, at the top of the first stack, where it
    // stays as long as the process.
    Some(unsafe { CStr::from_ptr(path) }.to_bytes())
}

/// Where both lie, if they were [remembered](remember).
pub(crate) fn places() -> Option<(Range<u64>, Range<u64>)> {
    let start = START.load(Ordering::Relaxed) as u64;
    let end = start + LENGTH.load(Ordering::Relaxed) as u64;
    let environment = match ENVIRONMENT.load(Ordering::Relaxed) as u64 {
        0 => end..end,
        own => own..own + ENVIRONMENT_LENGTH.load(Ordering::Relaxed) as u64,
    };
    (start != 0).then_some((start..end, environment))
}

/// Looks in /proc/self/stat for where the argument strings lie, for a program that did
/// not begin with [`remember`]. Once found, they stay where they are.
pub fn find() {
    if !START.load(Ordering::Relaxed).is_null() {
        return;
    }
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    let Some((start, end)) = range(&stat, ARG_START) else {
        return;
    };
    LENGTH.store(end - start, Ordering::Relaxed);
    START.store(
        std::ptr::with_exposed_provenance_mut(start),
        Ordering::Relaxed,
    );
}

/// Looks in /proc/self/stat for where the environment lies, likewise.
pub fn find_environment() {
    if !ENVIRONMENT.load(Ordering::Relaxed).is_null() {
        return;
    }
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    let Some((start, end)) = range(&stat, ENV_START) else {
        return;
    };
    ENVIRONMENT_LENGTH.store(end - start, Ordering::Relaxed);
    ENVIRONMENT.store(
        std::ptr::with_exposed_provenance_mut(start),
        Ordering::Relaxed,
    );
}

/// The fields `arg_start` and `env_start` of proc_pid_stat(5); the ends follow.
const ARG_START: usize = 48;
const ENV_START: usize = 50;

/// The number in the field `first` and the next one, if they tell of a range.
fn range(stat: &str, first: usize) -> Option<(usize, usize)> {
    // The name, in parentheses, may have blanks; the third field follows it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(first - 3);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then_some((start, end))
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
    // SAFETY: start and length are of memory that the kernel gave the process for its
    // arguments, which it may write; nobody reads it meanwhile, as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
    bytes.fill(0);
    // The last byte stays NUL: else the kernel goes on reading beyond.
    let title = title.to_bytes();
    let shown = title.len().min(length.saturating_sub(1));
    bytes[..shown].copy_from_slice(&title[..shown]);
}

/// Overwrites the environment that the process was started with, which /proc/PID/environ
/// shows to whoever may examine it; does nothing where it is not known where that is.
///
/// # Safety
/// Nothing in this process may look at its environment any more: in practice, a forked
/// child that only walks its plan.
pub unsafe fn wipe_environment() {
    let start = ENVIRONMENT.load(Ordering::Relaxed);
    if start.is_null() {
        return;
    }
    let length = ENVIRONMENT_LENGTH.load(Ordering::Relaxed);
    // SAFETY: start and length are of memory that the kernel gave the process for its
    // environment, which it may write; nobody reads it meanwhile, as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
    bytes.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_lie_where_the_kernel_says() {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
        for (field, file) in [(ARG_START, "cmdline"), (ENV_START, "environ")] {
            let (start, end) = range(&stat, field).expect("a process sees its own");
            let shown = std::fs::read(format!("/proc/self/{file}")).expect("/proc");
            assert_eq!(end - start, shown.len(), "{file}");
        }
    }

    #[test]
    fn a_stat_that_hides_the_range_gives_none() {
        let hidden = format!("1 (a) b) S{}", " 0".repeat(50));
        assert_eq!(range(&hidden, ARG_START), None);
        assert_eq!(range("1 (short) S 0", ENV_START), None);
    }
}
