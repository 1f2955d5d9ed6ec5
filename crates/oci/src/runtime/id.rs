//! Names of containers.

use super::error::Error;

/// The longest name of a file, without what this crate puts in front of it.
const LONGEST: usize = 240;

/// Whether a container can be called so: it becomes the name of a folder.
///
/// # Errors
/// In words.
pub fn check(id: &str) -> Result<(), Error> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    let is_name = !id.is_empty() && id.bytes().all(is_fine) && !id.starts_with('.');
    if is_name && id.len() <= LONGEST {
        return Ok(());
    }
    let hint =
        "it has 1 to 240 letters, digits and _ + - . and does not begin with a dot";
    Err(Error::new(format!("invalid container ID format: {id:?}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere() {
        for id in ["a", "web-1", "A.b_c+d", "0"] {
            assert!(check(id).is_ok(), "{id}");
        }
        let long = "x".repeat(241);
        for id in [
            "", ".", "..", "../x", "a/b", "a b", "a\0", ".new.a", "ä", &long,
        ] {
            assert!(check(id).is_err(), "{id}");
        }
    }
}
