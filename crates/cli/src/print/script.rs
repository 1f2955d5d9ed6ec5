//! A command for a POSIX shell, with comments.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use warren_confine::{CapabilitySet, Filter, Rlimit};
use warren_spawn::{Seccomp, Spec};

use super::Printed;

/// What becomes one.
#[derive(Default)]
pub struct Script {
    notes: Vec<String>,
    /// Lines before the command.
    before: Vec<String>,
    /// The command, by groups of words that belong together.
    groups: Vec<Vec<OsString>>,
}

impl Script {
    /// Adds an option and its values, or a word.
    pub fn word(&mut self, words: impl IntoIterator<Item: Into<OsString>>) {
        self.groups
            .push(words.into_iter().map(Into::into).collect());
    }

    /// Notes something that the command does not say.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The same, where the program is less isolated for it.
    pub fn weaker(&mut self, note: &str) {
        self.notes.push(format!("less isolated: {note}"));
    }

    /// Notes each of those that are lost.
    pub fn notes<const N: usize>(&mut self, all: [(bool, &str); N]) {
        let lost = all.into_iter().filter(|(lost, _)| *lost);
        self.notes.extend(lost.map(|(_, note)| note.to_owned()));
    }

    /// Adds a line before the command.
    pub fn before(&mut self, line: impl Into<String>) {
        self.before.push(line.into());
    }

    /// The text: comments, lines, and the command with a group of words a line.
    pub fn printed(self) -> Printed {
        let mut text = String::new();
        for note in &self.notes {
            text.push_str(&format!("# {}\n", note.replace('\n', " ")));
        }
        for line in &self.before {
            text.push_str(&format!("{line}\n"));
        }
        let groups = self.groups.iter().map(|words| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            words.join(" ")
        });
        text.push_str(&groups.collect::<Vec<_>>().join(" \\\n  "));
        text.push('\n');
        Printed {
            text,
            notes: Vec::new(),
        }
    }
}

/// A word for a POSIX shell.
pub fn quoted(word: &OsStr) -> String {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let bytes = word.as_bytes();
    match word.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', "'\\''")),
        // A shell of POSIX has no escapes in words. Line feeds at the end are lost.
        None => {
            let octal = bytes.iter().map(|byte| format!("\\{byte:03o}"));
            format!("\"$(printf '{}')\"", octal.collect::<String>())
        }
    }
}

/// The command that sets resource limits before the next word is executed.
pub fn prlimit(limits: &[Rlimit]) -> Vec<OsString> {
    let value = |value: Option<u64>| match value {
        Some(value) => value.to_string(),
        None => "unlimited".to_owned(),
    };
    let one = |limit: &Rlimit| {
        let (soft, hard) = (value(limit.soft), value(limit.hard));
        format!("--{}={soft}:{hard}", limit.resource).into()
    };
    let limits = limits.iter().map(one);
    std::iter::once("prlimit".into()).chain(limits).collect()
}

/// The compiled filters of a Spec, in the order in which they are loaded.
pub fn filters(spec: &Spec) -> Vec<Vec<u8>> {
    let mut filters = Vec::new();
    if spec.seccomp == Seccomp::Sandbox {
        let capabilities = spec.all_capabilities();
        let allowed = capabilities.map_or(CapabilitySet::ALL, |sets| sets.bounding);
        filters.push(bytes(&Filter::sandbox(allowed)));
    }
    // The plan was made, so it can be compiled.
    let profile = spec.syscalls.as_ref().map(|profile| profile.compile());
    filters.extend(profile.into_iter().flatten().map(|filter| bytes(&filter)));
    filters.extend(spec.filters.iter().map(|filter| filter.0.clone()));
    filters
}

fn bytes(filter: &Filter) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in filter.instructions() {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jump_true, instruction.jump_false]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    bytes
}

/// RFC 4648, in lines.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const BYTES_OF_A_LINE: usize = 57;
    let mut text = String::new();
    for (number, line) in bytes.chunks(BYTES_OF_A_LINE).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        for three in line.chunks(3) {
            let byte = |index| u32::from(three.get(index).copied().unwrap_or(0));
            let all = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let six = all >> (18 - 6 * place) & 63;
                text.push(match place <= three.len() {
                    true => char::from(ALPHABET[six as usize]),
                    false => '=',
                });
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_see_more_in_it() {
        let quoted = |word: &[u8]| quoted(OsStr::from_bytes(word));
        assert_eq!(quoted(b"--bind"), "--bind");
        assert_eq!(quoted(b""), "''");
        assert_eq!(quoted(b"a b"), "'a b'");
        assert_eq!(quoted(b"it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(b"~"), "'~'");
        assert_eq!(quoted(b"a\nb"), "'a\nb'");
        assert_eq!(quoted(b"\xff'"), "\"$(printf '\\377\\047')\"");
    }

    #[test]
    fn base64_is_as_the_rfc_has_it() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xef\x00", "/+8A"),
        ] {
            assert_eq!(base64(bytes), text);
        }
        assert_eq!(base64(&[0; 58]).lines().count(), 2);
    }
}
