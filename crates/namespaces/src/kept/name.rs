//! The names that kept namespaces may have.

use std::fmt;

/// A word that cannot be the name of kept namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName(String, &'static str);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no name: {}", self.0.escape_debug(), self.1)
    }
}

impl std::error::Error for BadName {}

/// Whether kept namespaces may be called so: a file name that no command takes for an
/// option, a process or a namespace.
///
/// # Errors
/// [`BadName`] says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), BadName> {
    const LONGEST: usize = 64;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte);
    let rules = [
        (name.is_empty(), "it is empty"),
        (name.len() > LONGEST, "it has more than 64 bytes"),
        (
            !name.bytes().all(plain),
            "letters, digits and . _ - + @ can be in one",
        ),
        (
            name.starts_with(['.', '-']),
            "it begins with a dot or a dash",
        ),
        (
            name.bytes().all(|byte| byte.is_ascii_digit()),
            "a number is a process or a namespace",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(BadName(name.to_owned(), rule)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_file_name() {
        for name in ["web", "a", "web-1.test", "user@10", "4a", "_x"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "", ".", "..", ".x", "-x", "a/b", "../x", "a b", "a\n", "net:[1]", "12", "ä",
            "a\0",
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_64_bytes() {
        assert_eq!(check_name(&"x".repeat(64)), Ok(()));
        let error = check_name(&"x".repeat(65)).expect_err("too long");
        assert!(error.to_string().ends_with("more than 64 bytes"));
    }
}
