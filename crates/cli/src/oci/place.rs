//! Where the state of containers is kept, if nobody says.

use std::path::PathBuf;

use warren_oci::runtime;

use super::options::Options;

/// The folder of the store.
pub fn store(options: &Options) -> PathBuf {
    if let Some(root) = options.value("root") {
        return root.into();
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    match own {
        Some(folder) if !runtime::is_root_of_machine() => {
            PathBuf::from(folder).join("warren/oci")
        }
        _ => PathBuf::from("/run/warren/oci"),
    }
}
