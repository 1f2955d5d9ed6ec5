//! Programs of the system that do a part of a launch.

use std::io::Read;
use std::process::{ChildStderr, Command, Stdio};

/// Runs one to its end, without the caller's environment and output.
///
/// # Errors
/// What it says, or how it ended.
pub fn run(helper: &mut Command) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut helper = helper
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(said)?;
    let words = helper.stderr.take().map(words).unwrap_or_default();
    let status = helper.wait().map_err(said)?;
    match status.success() {
        true => Ok(()),
        // One that was killed says nothing.
        false if words.is_empty() => Err(status.to_string()),
        false => Err(words),
    }
}

/// What it says, as far as it can be read.
fn words(mut stream: ChildStderr) -> String {
    let mut bytes = Vec::new();
    // Not by Command::output, which panics where a read fails.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
