//! Whole outputs kept as files under tests/golden.

use std::fs;

use crate::stage::staged;

/// Expects `text` to be what `tests/golden/NAME.txt` holds. With `UPDATE_GOLDEN=1` the
/// harness writes the file anew instead.
///
/// # Panics
/// Where they differ, showing both.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = staged("golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        if let Err(error) = fs::write(&path, text) {
            panic!("write {}: {error}", path.display());
        }
        return;
    }
    let kept = match fs::read_to_string(&path) {
        Ok(kept) => kept,
        Err(error) => panic!(
            "read golden file {name}.txt: {error}; UPDATE_GOLDEN=1 writes it:\n{text}"
        ),
    };
    assert!(
        kept == text,
        "{name}.txt differs\n{}",
        differing_lines(&kept, text)
    );
}

/// The lines that stand in only one of two texts.
fn differing_lines(kept: &str, new: &str) -> String {
    let kept: Vec<&str> = kept.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let mut text = String::new();
    for line in kept.iter().filter(|line| !new.contains(line)) {
        text.push_str(&format!("- {line}\n"));
    }
    for line in new.iter().filter(|line| !kept.contains(line)) {
        text.push_str(&format!("+ {line}\n"));
    }
    text
}

/// `text` with each of `replacements` (what this machine or run says, what to say
/// instead) made, in their order.
pub fn normalised(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_lines_of_each_side() {
        assert_eq!(differing_lines("a\nb\n", "a\nc\n"), "- b\n+ c\n");
    }

    #[test]
    fn replacements_are_made_in_order() {
        assert_eq!(
            normalised("/tmp/x/y", &[("/tmp/x", "DIR"), ("DIR/y", "FILE")]),
            "FILE"
        );
    }
}
