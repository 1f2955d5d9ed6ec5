//! Texts that tests expect, kept as files in this crate's golden/.
//!
//! `UPDATE_GOLDEN=1 cargo test -p warren-cli` writes them anew.

use std::path::Path;

/// Expects `text` to be what golden/NAME holds.
#[track_caller]
pub fn is_as_kept(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, text).expect("write the golden file");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "{} differs; UPDATE_GOLDEN=1 writes it:\n{text}",
        file.display()
    );
}
