//! What is wrong with a config.json.

use std::fmt;

/// A property that cannot be what it is.
///
/// ```
/// use warren_oci::Config;
///
/// let text = r#"{"linux": {"resources": {"memory": {"limit": "1G"}}}}"#;
/// let error = Config::parse(text).expect_err("a limit is a number");
/// assert_eq!(error.path(), "linux.resources.memory.limit");
/// assert_eq!(
///     error.to_string(),
///     "linux.resources.memory.limit: expected an integer, found string \"1G\"",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    path: String,
    message: String,
}

impl Error {
    pub(crate) fn new(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            message: message.to_string(),
        }
    }

    /// Which property: `mounts[2].options[0]`; empty for the whole file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.as_str() {
            "" => "config.json",
            path => path,
        };
        write!(f, "{path}: {}", self.message)
    }
}

impl std::error::Error for Error {}
