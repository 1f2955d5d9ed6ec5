//! A copy of the sources, which may be changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::Change;
use crate::Result;
use crate::command::{cargo, output};

/// What git tracks of a work tree, as it is there, in target/weakened, and a target folder
/// beside it that stays from one chore to the next.
pub struct Copy {
    sources: PathBuf,
    target: PathBuf,
    /// What was changed, and its text before.
    changed: Vec<(PathBuf, String)>,
}

impl Copy {
    /// Brings the copy up to date. A file that is the same keeps its time, or all would be
    /// built anew.
    pub fn of(repository: &Path) -> Result<Self> {
        let scratch = repository.join("target/weakened");
        let sources = scratch.join("sources");
        let mut git = std::process::Command::new("git");
        git.args(["ls-files", "-z"]).current_dir(repository);
        let listed = output(&mut git)?;
        let listed = listed.split_terminator('\0').map(PathBuf::from);
        let files: Vec<PathBuf> = listed
            .filter(|file| repository.join(file).is_file())
            .collect();
        remove_others(&sources, &sources, &files)?;
        for file in &files {
            let text = fs::read(repository.join(file))?;
            let copy = sources.join(file);
            if fs::read(&copy).is_ok_and(|there| there == text) {
                continue;
            }
            if let Some(folder) = copy.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(copy, text)?;
        }
        Ok(Self {
            sources,
            target: scratch.join("target"),
            changed: Vec::new(),
        })
    }

    /// Switches one thing off.
    pub fn change(&mut self, change: &Change) -> Result<()> {
        let file = self.sources.join(change.file);
        let text = fs::read_to_string(&file)?;
        if text.matches(change.old).count() != 1 {
            return Err(format!("{} has changed", change.file).into());
        }
        fs::write(&file, text.replace(change.old, change.new))?;
        self.changed.push((file, text));
        Ok(())
    }

    /// Takes back all changes, the last one first.
    pub fn restore(&mut self) -> Result<()> {
        while let Some((file, text)) = self.changed.pop() {
            fs::write(file, text)?;
        }
        Ok(())
    }

    /// Builds the binary, quickly rather than quick.
    pub fn build(&self) -> Result<PathBuf> {
        let mut cargo = cargo();
        cargo.current_dir(&self.sources);
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "warren-cli",
            "--bin",
            "warren",
        ]);
        cargo.arg("--target-dir").arg(&self.target);
        cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "none");
        cargo.env("CARGO_INCREMENTAL", "1");
        // Warnings are of what is not used any more.
        let built = cargo.output()?;
        if !built.status.success() {
            return Err(String::from_utf8_lossy(&built.stderr).into());
        }
        let built = fs::read_dir(&self.target)?.flatten();
        let built = built.map(|folder| folder.path().join("debug/warren"));
        let built = built.filter(|path| path.is_file());
        built.max().ok_or_else(|| "cargo built no binary".into())
    }
}

/// Removes from the copy what is not among `files`.
fn remove_others(folder: &Path, sources: &Path, files: &[PathBuf]) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, sources, files)?;
        } else if !files.iter().any(|file| sources.join(file) == path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
