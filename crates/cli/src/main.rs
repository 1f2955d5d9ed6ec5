//! The binary: an entry point and nothing else, so that the rest can be tested.

#![no_main]

warren_sys::entry_point!(warren_cli::start);
