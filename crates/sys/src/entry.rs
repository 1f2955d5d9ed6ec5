//! A start without the standard library's own.

/// Makes `$main`, a `fn() -> u8` that gives the exit code, the entry point of a `#![no_main]` program.
///
/// Before `main` the standard library looks for closed standard streams, ignores
/// `SIGPIPE`, reads /proc/self/maps and sets up a handler with a stack of its own that
/// tells of a stack overflow: 20 system calls, a tenth of what a whole sandbox takes.
/// This keeps the first of these, since a file opened as descriptor 2 would take error
/// messages, and leaves the rest: `SIGPIPE` ends the program as it ends others, and an
/// overflow ends it by `SIGSEGV`.
///
/// Nor is there an end of the C library's own: what it would flush nobody has written to,
/// and each thing that it looks at is a page that was shared with a child and is copied.
///
/// It relies on the C library for [`std::env::args_os`], as the standard library does
/// with glibc.
#[macro_export]
macro_rules! entry_point {
    ($main:path) => {
        /// The C library calls this.
        // SAFETY: no other `main` is linked into a `#![no_main]` program.
        #[unsafe(no_mangle)]
        extern "C" fn main(
            count: i32,
            arguments: *const *const std::ffi::c_char,
            environment: *const *const std::ffi::c_char,
        ) -> i32 {
            // SAFETY: what the C library has passed.
            unsafe { $crate::arguments::remember(count, arguments, environment) };
            $crate::open_standard_streams();
            let code = i32::from($main());
            $crate::exit_now(code)
        }
    };
}
