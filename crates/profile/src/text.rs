//! Texts that stand for paths, patterns and variables: checked when they are read and
//! expanded when they are used.

use std::ffi::OsString;
use std::path::Path;

/// The variables that a path may begin with.
pub const VARIABLES: [&str; 13] = [
    "HOME",
    "PROJECT",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "GOCACHE",
    "CCACHE_DIR",
    "PIP_CACHE_DIR",
    "NPM_CONFIG_CACHE",
];

/// The text that stands for exactly this absolute path; `None` where it is not UTF-8,
/// which a profile cannot say.
#[must_use]
pub fn literal(path: &Path) -> Option<String> {
    Some(path.to_str()?.replace('$', "$$"))
}

/// A text with its variables replaced by what `value` says of them.
///
/// # Errors
/// What is wrong with it, or the variable that has no value.
pub(crate) fn expand(
    text: &str,
    value: &dyn Fn(&str) -> Option<OsString>,
) -> Result<OsString, String> {
    let of = |name: &str| value(name).ok_or_else(|| format!("${name} has no value here"));
    let (mut expanded, mut rest) = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (of("HOME")?, rest),
        Some(_) => return Err("~ stands for the caller's home alone".to_owned()),
        None => (OsString::new(), text),
    };
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push("$");
            rest = after;
            continue;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        if !VARIABLES.contains(&name) {
            return Err(format!(
                "unknown variable ${name}; there are ${}, and $$ for a dollar sign",
                VARIABLES.join(" $")
            ));
        }
        expanded.push(of(name)?);
        rest = after;
    }
    expanded.push(rest);
    Ok(expanded)
}

/// With the same value for every variable: what is known when a file is read.
fn expand_blindly(text: &str, value: &str) -> Result<String, String> {
    let expanded = expand(text, &|_| Some(value.into()))?;
    Ok(expanded.to_string_lossy().into_owned())
}

/// A path without the `?` that makes it optional, and whether there was one.
pub(crate) fn optional(text: &str) -> (&str, bool) {
    match text.strip_prefix('?') {
        Some(path) => (path, true),
        None => (text, false),
    }
}

/// What is wrong with a path of a list.
pub(crate) fn check_path(text: &str) -> Result<(), String> {
    let path = expand_blindly(optional(text).0, "/x")?;
    if path.contains('\0') {
        return Err("a path cannot have a NUL in it".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!(
            "the path '{text}' is not absolute: it begins with /, ~ or a variable such as \
             $PROJECT"
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("the path '{text}' has .. in it"));
    }
    Ok(())
}

pub(crate) fn check_pattern(text: &str) -> Result<(), String> {
    let pattern = text.strip_prefix('!').unwrap_or(text);
    if pattern.is_empty() {
        return Err("a pattern is empty".to_owned());
    }
    expand_blindly(pattern, "/x").map(drop)
}

pub(crate) fn check_value(text: &str) -> Result<(), String> {
    match expand_blindly(text, "")?.contains('\0') {
        true => Err("a value cannot have a NUL in it".to_owned()),
        false => Ok(()),
    }
}

/// What is wrong with the name of a variable.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("'{name}' is no name of a variable")),
        false => Ok(()),
    }
}
