//! Makes the README and all of docs/ part of the test binary, which runs where they are
//! not.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let root = variable("CARGO_MANIFEST_DIR").join("..").canonicalize()?;
    let mut text = String::from("&[\n");
    for path in documents(&root)? {
        let name = path.strip_prefix(&root).unwrap_or(&path);
        text.push_str(&format!("({name:?}, include_str!({path:?})),\n"));
    }
    text.push_str("]\n");
    fs::write(variable("OUT_DIR").join("documents.rs"), text)?;
    for watched in ["README.md", "docs"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    Ok(())
}

fn documents(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        found.push(entry?.path());
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.sort();
    Ok(found)
}
