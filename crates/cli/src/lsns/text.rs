//! What of somebody else's text may be shown, and how wide it is on a terminal.
//!
//! Command lines and mount points are of other people's making. As in the original,
//! what the locale does not call printable is shown as `\xNN`; so are, here,
//! characters that reorder or hide what is beside them, which the original lets
//! through (docs/compatibility.md).

use unicode_width::UnicodeWidthChar;

use crate::terminal;

/// The encoding of the user's terminal and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Ascii,
    Utf8,
}

impl Charset {
    /// What the environment says, the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is
    /// set: locale(7). Whether that locale is installed is not known here.
    pub fn of_environment() -> Self {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        names
            .into_iter()
            .find_map(set)
            .map_or(Self::Ascii, |name| Self::of_locale(&name))
    }

    /// `LANGUAGE[.CHARSET][@MODIFIER]`.
    fn of_locale(name: &str) -> Self {
        let charset = name.split('@').next().and_then(|name| name.split_once('.'));
        match charset {
            Some((_, "UTF-8" | "utf-8" | "UTF8" | "utf8")) => Self::Utf8,
            _ => Self::Ascii,
        }
    }
}

/// The text as a table shows it.
pub fn printable(text: &[u8], charset: Charset) -> String {
    escaped(text, |char, next| match char {
        // Else a text could not be told from an escape.
        '\\' => next != Some(b'x'),
        _ => is_printable(char, charset),
    })
}

/// The text as `--raw` prints it: one word.
pub fn word(text: &[u8]) -> String {
    escaped(text, |char, _| char.is_ascii_graphic() && char != '\\')
}

/// `plain` says of a character, given the byte after it, whether it stays.
fn escaped(text: &[u8], plain: impl Fn(char, Option<u8>) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            at += char.len_utf8();
            if plain(char, text.get(at).copied()) {
                shown.push(char);
            } else {
                escape(char.encode_utf8(&mut [0; 4]).as_bytes(), &mut shown);
            }
        }
        escape(chunk.invalid(), &mut shown);
        at += chunk.invalid().len();
    }
    shown
}

fn escape(bytes: &[u8], shown: &mut String) {
    for byte in bytes {
        shown.push_str(&format!("\\x{byte:02x}"));
    }
}

fn is_printable(char: char, charset: Charset) -> bool {
    match charset {
        Charset::Ascii => matches!(char, ' '..='~'),
        Charset::Utf8 => {
            !char.is_control()
                && !terminal::is_invisible(char)
                // Of no character: the last two of each plane.
                && u32::from(char) & 0xfffe != 0xfffe
        }
    }
}

/// How many columns of a terminal the text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// As much of the text as fits into `columns`; a wide character is not halved.
pub fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, char) in text.char_indices() {
        used += char_width(char);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_the_part_of_the_locale_after_the_dot() {
        for utf8 in ["C.UTF-8", "C.utf8", "en_US.UTF-8", "de_DE.UTF-8@euro"] {
            assert_eq!(Charset::of_locale(utf8), Charset::Utf8, "{utf8}");
        }
        for other in ["C", "POSIX", "de_DE", "ru_RU.KOI8-R", "de_DE@UTF-8", "utf8"] {
            assert_eq!(Charset::of_locale(other), Charset::Ascii, "{other}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let text = "a\nb\x1b[31m\t\x7f é 中 \u{80} \u{2028}".as_bytes();
        assert_eq!(
            printable(text, Charset::Utf8),
            "a\\x0ab\\x1b[31m\\x09\\x7f é 中 \\xc2\\x80 \\xe2\\x80\\xa8"
        );
        assert_eq!(printable("é".as_bytes(), Charset::Ascii), "\\xc3\\xa9");
        assert_eq!(
            printable("\u{202e}x".as_bytes(), Charset::Utf8),
            "\\xe2\\x80\\xaex"
        );
        assert_eq!(
            printable("\u{10ffff}".as_bytes(), Charset::Utf8),
            "\\xf4\\x8f\\xbf\\xbf"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_escaped_one_by_one() {
        assert_eq!(
            printable(b"\xff\xc3a\xed\xa0\x80", Charset::Utf8),
            "\\xff\\xc3a\\xed\\xa0\\x80"
        );
    }

    #[test]
    fn a_backslash_is_escaped_where_it_would_look_like_an_escape() {
        assert_eq!(printable(b"a\\xb \\n \\", Charset::Utf8), "a\\x5cxb \\n \\");
        assert_eq!(printable(b"\xff\\xb", Charset::Utf8), "\\xff\\x5cxb");
    }

    #[test]
    fn a_raw_word_has_no_blank_and_no_backslash() {
        assert_eq!(
            word("a b\\c\"é\t".as_bytes()),
            "a\\x20b\\x5cc\"\\xc3\\xa9\\x09"
        );
        assert_eq!(word(b""), "");
    }

    #[test]
    fn a_wide_character_is_not_halved() {
        assert_eq!(width("a中\u{301}"), 3);
        assert_eq!(cut("a中b", 2), "a");
        assert_eq!(cut("a中b", 3), "a中");
        assert_eq!(cut("abc", 9), "abc");
    }
}
