//! Reading what a user's option names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The text in `path`, which may be a pipe of the shell's, unless it has more than `most`
/// bytes; else why not, in words.
pub fn read(path: &Path, most: u64) -> Result<String, String> {
    text(path, most).map_err(|error| warren_namespaces::io_error_text(&error))
}

fn text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    match text.len() as u64 > most {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}
