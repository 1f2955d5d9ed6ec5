//! Which property of a JSON text an error of its parser is about.
//!
//! The parser tells a line and a column only. A second look at the text, as far as the
//! parser came, gives the path; it happens in errors alone, so that reading pays nothing
//! for it.

use serde_json::error::Category;

use crate::error::Error;

/// The error in our words, with its path.
pub fn explain(text: &str, error: &serde_json::Error) -> Error {
    let end = offset(text, error.line(), error.column());
    // What cannot follow was taken already.
    let end = end - usize::from(error.is_syntax() && end > 0);
    let path = path_at(&text.as_bytes()[..end]);
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = full.strip_suffix(&place).unwrap_or(&full);
    match error.classify() {
        Category::Data => Error::new(path, in_words(message)),
        _ => {
            let (line, column) = (error.line(), error.column());
            Error::new(path, format!("line {line} column {column}: {message}"))
        }
    }
}

/// The parser's message, with JSON's names for types instead of Rust's.
fn in_words(message: &str) -> String {
    let Some(rest) = message.strip_prefix("invalid type: ") else {
        let out_of_range = message.strip_prefix("invalid value: ");
        return match out_of_range.and_then(|rest| rest.split_once(", expected ")) {
            Some((found, expected)) => format!("{found} is out of range ({expected})"),
            None => message.to_owned(),
        };
    };
    let Some((found, expected)) = rest.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "i32" | "i64" | "u16" | "u32" | "u64" => "an integer",
        "a sequence" => "an array",
        // Of linux.seccomp, whose structs are derived.
        word if word.starts_with("struct ") => "an object",
        "a map" => "an object",
        word => word,
    };
    let found = match found {
        "map" => "an object",
        "sequence" => "an array",
        word => word,
    };
    format!("expected {expected}, found {found}")
}

/// Where a line and a column, in bytes from 1 on, are in the text.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    (start + column).min(text.len())
}

/// The path of the value that the parser was at, or had just read, at the end.
fn path_at(bytes: &[u8]) -> String {
    let mut walk = Walk::default();
    let mut at = 0;
    while at < bytes.len() {
        at += walk.step(&bytes[at..]);
    }
    walk.path()
}

/// Objects and arrays that are open.
#[derive(Default)]
struct Walk {
    open: Vec<Level>,
}

enum Level {
    /// The last key, and whether its value has begun to be expected.
    Object(String, bool),
    /// The index.
    Array(usize),
}

impl Walk {
    /// Takes one token; gives its length.
    fn step(&mut self, rest: &[u8]) -> usize {
        match rest[0] {
            b'{' => self.open.push(Level::Object(String::new(), false)),
            b'[' => self.open.push(Level::Array(0)),
            b'}' | b']' => {
                self.open.pop();
            }
            b',' => match self.open.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key, value)) => {
                    key.clear();
                    *value = false;
                }
                None => {}
            },
            b':' => {
                if let Some(Level::Object(_, value)) = self.open.last_mut() {
                    *value = true;
                }
            }
            b'"' => return self.string(rest),
            _ => {}
        }
        1
    }

    /// A string: a key where no value is expected.
    fn string(&mut self, rest: &[u8]) -> usize {
        let mut length = 1;
        while length < rest.len() && rest[length] != b'"' {
            length += if rest[length] == b'\\' { 2 } else { 1 };
        }
        let length = (length + 1).min(rest.len());
        if let Some(Level::Object(key, false)) = self.open.last_mut() {
            let text = String::from_utf8_lossy(&rest[..length]);
            *key = text.trim_matches('"').to_owned();
        }
        length
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.open {
            match level {
                Level::Object(key, _) if key.is_empty() => {}
                Level::Object(key, _) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                Level::Array(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}
