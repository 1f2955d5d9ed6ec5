//! A refusal, in words and as data.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The system call.
    pub call: String,
    /// What was to be done, in words: `open /a to read`, `connect 192.0.2.1:443`.
    pub action: String,
    /// The file as the program saw it, if it was one.
    pub path: Option<PathBuf>,
    /// Why it was refused, in words.
    pub reason: &'static str,
    /// The number of the errno that the program got.
    pub errno: i32,
    /// What would let it pass.
    pub cure: Cure,
}

/// What would let a call pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cure {
    /// These words of the command line of `run`.
    Options(Vec<String>),
    /// These words, where root of the machine gives them.
    RootsOptions(Vec<String>),
    /// Nothing that `run` offers.
    None,
}

impl Cure {
    /// What is needed together with another.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Options(one), Self::Options(other)) => {
                Self::Options(one.into_iter().chain(other).collect())
            }
            (
                Self::Options(one) | Self::RootsOptions(one),
                Self::Options(other) | Self::RootsOptions(other),
            ) => Self::RootsOptions(one.into_iter().chain(other).collect()),
        }
    }

    /// An option and its values.
    pub fn options<const N: usize>(words: [&str; N]) -> Self {
        Self::Options(words.map(str::to_owned).to_vec())
    }

    /// Shows a file or folder of the host, `writable` or not.
    pub fn bind(source: &Path, target: &Path, writable: bool) -> Self {
        let option = if writable { "--bind" } else { "--ro-bind" };
        let words = [Path::new(option), source, target];
        Self::Options(
            words
                .map(|word| word.to_string_lossy().into_owned())
                .to_vec(),
        )
    }
}

impl Refusal {
    /// Whether both stand for one thing that the user would change.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let same_file = self.path.is_some() && self.path == other.path;
        let cured = !matches!(self.cure, Cure::None);
        self.cure == other.cure && ((same_file && cured) || self.action == other.action)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.action, self.reason, self.cure)
    }
}

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(words) => write_words(f, words),
            Self::RootsOptions(words) => {
                write_words(f, words)?;
                f.write_str(", as root")
            }
            Self::None => f.write_str("no option allows it"),
        }
    }
}

/// Words as a shell takes them.
fn write_words(f: &mut fmt::Formatter<'_>, words: &[String]) -> fmt::Result {
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            f.write_str(" ")?;
        }
        let plain = |c: char| {
            c.is_ascii_alphanumeric() || !c.is_ascii() || "/._-+=:,@%".contains(c)
        };
        match !word.is_empty() && word.chars().all(plain) {
            true => f.write_str(word)?,
            false => write!(f, "'{}'", word.replace('\'', "'\\''"))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_words_of_a_shell() {
        let path = Path::new("/a b/it's");
        let cure = Cure::bind(path, path, false);
        assert_eq!(cure.to_string(), r"--ro-bind '/a b/it'\''s' '/a b/it'\''s'");
        assert_eq!(Cure::options(["--share", "net"]).to_string(), "--share net");
    }
}
