//! The project's chores, as `cargo xtask NAME`.

fn main() {}
