//! How every `--json` is written.

use serde::Serialize;

use crate::failure::Failure;

/// Indented JSON with a line feed at its end.
pub fn text(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
    Ok(text + "\n")
}
