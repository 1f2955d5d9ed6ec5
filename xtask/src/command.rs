//! Programs that a chore calls: found, run, and named where they fail.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;

/// The repository, wherever the chore was called from.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The cargo that runs this chore, in the repository.
pub fn cargo() -> Command {
    let mut cargo =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository());
    cargo
}

/// Runs a command to its end; a failure names it.
pub fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|error| format!("start {name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}").into())
    }
}

/// Standard output of a command that must succeed.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("start {name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Refuses, with the line that installs them, when programs are missing.
pub fn require(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !is_in_path(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "programs are missing: apt-get install {}",
        missing.join(" ")
    )
    .into())
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Where Debian keeps mkfs and debootstrap, though not in a user's PATH.
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}

/// Builds one binary and says where it is.
pub fn build<S: AsRef<OsStr>>(package: &str, arguments: &[S]) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args([
        "build",
        "--message-format=json-render-diagnostics",
        "--package",
        package,
    ]);
    let messages = output(cargo.args(arguments))?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.ok_or_else(|| format!("cargo built no binary of {package}").into())
}

/// The user that runs this chore is root.
pub fn is_root() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0"))
}
