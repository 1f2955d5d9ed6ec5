//! A folder of binaries that every user can run: the target folder may lie where only
//! its owner can look.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::{cargo, output, repository, succeed};

/// The ordinary user as whom a chore run by root does its work; nobody's id.
pub const USER: u32 = 61_234;

/// How the names of these folders begin, and of those of the end-to-end tests.
const PREFIXES: [&str; 4] = [
    "warren-bench.",
    "warren-faults.",
    "warren-order.",
    "warren-tests.",
];

/// Whether a file of the temporary folder is called like a stage, or like that of a test.
pub fn is_stage(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A new folder below the temporary one, removed with all in it at the end.
pub struct Stage(PathBuf);

impl Stage {
    /// Makes the folder.
    pub fn new(chore: &str) -> Result<Self> {
        let name = format!("warren-{chore}.{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let stage = Self(path);
        fs::set_permissions(&stage.0, fs::Permissions::from_mode(0o755))?;
        Ok(stage)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Copies a binary into it, as `name`.
    pub fn copy(&self, binary: &Path, name: &str) -> Result<PathBuf> {
        let to = self.0.join(name);
        fs::copy(binary, &to)
            .map_err(|error| format!("copy {}: {error}", binary.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        Ok(to)
    }

    /// Compiles benches/`name`.c into the target folder and copies it here.
    pub fn compile(&self, name: &str) -> Result<PathBuf> {
        let built = target_folder()?.join(name);
        let source = repository().join("benches").join(name).with_extension("c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"]);
        succeed(gcc.arg(&built).arg(source))?;
        self.copy(&built, name)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: remove {}: {error}", self.0.display());
        }
    }
}

fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata["target_directory"]
        .as_str()
        .ok_or("cargo metadata names no target folder")?;
    Ok(folder.into())
}
