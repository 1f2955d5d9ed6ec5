//! What is asked of the terminal, and what may be shown on it.

use rustix::stdio::{stderr, stdout};
use rustix::termios::{isatty, tcgetwinsize};

/// The columns of standard output, if it is a terminal; nothing is cut for a pipe or
/// a file.
pub fn width() -> Option<usize> {
    if !isatty(stdout()) {
        return None;
    }
    let size = tcgetwinsize(stdout()).ok()?;
    // A terminal that does not know its size says 0.
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Whether somebody reads standard error at a terminal.
pub fn errors_are_seen() -> bool {
    isatty(stderr())
}

/// Whether colours are welcome: a terminal, and no NO_COLOR (no-color.org).
pub fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    isatty(stdout()) && !refused
}

/// Text of somebody else's making, such as a command line, with everything escaped
/// that a terminal would obey or hide.
pub fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || is_invisible(char) {
            plain.extend(char.escape_default());
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Characters that reorder or hide what is around them.
pub fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first `width` characters; the last of them is `…` where some are lost.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain((width > 0).then_some('…')).collect()
}

/// Puts words into lines of at most `width` characters where they fit, `gap` apart.
pub fn wrap(words: &[String], gap: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let length = word.chars().count() + gap.len();
        match lines.last_mut() {
            Some(line) if line.chars().count() + length <= width => {
                line.push_str(gap);
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_talk_to_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\nc\u{202e}d é"),
            "a\\u{1b}[2Jb\\nc\\u{202e}d é"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_with_a_mark() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("ab", 0), "");
    }

    #[test]
    fn words_are_wrapped_and_long_ones_stand_alone() {
        let words = ["aa", "bb", "cccccc", "d"].map(str::to_owned);
        assert_eq!(wrap(&words, " ", 5), ["aa bb", "cccccc", "d"]);
        assert_eq!(wrap(&[], " ", 5), Vec::<String>::new());
    }
}
