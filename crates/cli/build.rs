//! Has a release build put what a run executes together: see `cargo xtask order`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=start.ld");
    let is = |name, value| std::env::var(name).is_ok_and(|is| is == value);
    // In a debug build everything is elsewhere, and is to be linked quickly.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        let folder = env!("CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-bins=-T{folder}/start.ld");
    }
}
