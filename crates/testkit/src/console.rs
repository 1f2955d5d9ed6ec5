//! The examples of a document: what it says is typed, and what it says comes of it.
//!
//! They stand in fences marked `console`: lines that begin with `$ ` are commands, the
//! lines after each are its output. `...` in a line stands for any text, and alone in a
//! line for any lines.

/// A command of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example<'a> {
    /// Its line in the document, from 1 on.
    pub line: usize,
    /// What is typed after the `$ `.
    pub command: &'a str,
    /// The lines up to the next command or the fence's end.
    pub output: Vec<&'a str>,
}

/// A fenced block of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence<'a> {
    /// What stands after the three backticks.
    pub kind: &'a str,
    /// Each line with its number, from 1 on.
    pub lines: Vec<(usize, &'a str)>,
}

/// All fenced blocks.
///
/// # Panics
/// Where one is never closed.
pub fn fences(document: &str) -> Vec<Fence<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Fence<'_>> = None;
    for (number, line) in (1..).zip(document.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(kind), None) => {
                let (kind, lines) = (kind.trim(), Vec::new());
                open = Some(Fence { kind, lines });
            }
            (None, Some(fence)) => fence.lines.push((number, line)),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed: {open:?}");
    found
}

/// The commands of all `console` fences, in their order.
///
/// # Panics
/// Where such a fence does not begin with a command.
pub fn examples(document: &str) -> Vec<Example<'_>> {
    let mut found: Vec<Example<'_>> = Vec::new();
    let consoles = fences(document)
        .into_iter()
        .filter(|fence| fence.kind == "console");
    for fence in consoles {
        let first = found.len();
        for (line, text) in fence.lines {
            if let Some(command) = text.strip_prefix("$ ") {
                let output = Vec::new();
                found.push(Example {
                    line,
                    command,
                    output,
                });
            } else if let Some(example) = found.get_mut(first..).and_then(<[_]>::last_mut)
            {
                example.output.push(text);
            } else {
                panic!("line {line} is output of no command: {text}");
            }
        }
    }
    found
}

const ANYTHING: &str = "...";

/// Whether `lines` are what `pattern` says.
pub fn matches(pattern: &[&str], lines: &[&str]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((&ANYTHING, rest)) => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines.split_first().is_some_and(|(line, others)| {
            matches_line(first, line) && matches(rest, others)
        }),
    }
}

fn matches_line(pattern: &str, line: &str) -> bool {
    let Some((before, after)) = pattern.split_once(ANYTHING) else {
        return pattern == line;
    };
    let Some(rest) = line.strip_prefix(before) else {
        return false;
    };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| matches_line(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "words\n```console\n$ one\nout\n\n$ two\n```\n\
                            ```sh\nthree\n```\n```console\n$ four\n```\n";

    #[test]
    fn commands_have_the_lines_up_to_the_next() {
        let example = |line, command, output| Example {
            line,
            command,
            output,
        };
        assert_eq!(
            examples(DOCUMENT),
            [
                example(3, "one", vec!["out", ""]),
                example(6, "two", vec![]),
                example(12, "four", vec![]),
            ]
        );
    }

    #[test]
    fn fences_have_their_kind_and_lines() {
        let kinds: Vec<_> = fences(DOCUMENT).iter().map(|fence| fence.kind).collect();
        assert_eq!(kinds, ["console", "sh", "console"]);
        assert_eq!(fences(DOCUMENT)[1].lines, [(9, "three")]);
    }

    #[test]
    #[should_panic(expected = "line 2 is output of no command")]
    fn output_without_a_command_is_a_mistake() {
        examples("```console\nout\n```\n");
    }

    #[test]
    #[should_panic(expected = "not closed")]
    fn an_open_fence_is_a_mistake() {
        fences("```sh\nx\n");
    }

    #[test]
    fn three_points_in_a_line_are_any_text() {
        for (pattern, line, same) in [
            ("a...c", "abbc", true),
            ("a...c", "ac", true),
            ("a...c", "abd", false),
            ("...x...", "axb", true),
            ("a...b...b", "abb", true),
            ("a...b...b", "ab", false),
            ("é...", "éü", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(matches(&[pattern], &[line]), same, "{pattern} {line}");
        }
    }

    #[test]
    fn three_points_alone_are_any_lines() {
        assert!(matches(&["a", "...", "d"], &["a", "b", "c", "d"]));
        assert!(matches(&["a", "...", "d"], &["a", "d"]));
        assert!(matches(&["..."], &[]));
        assert!(!matches(&["a", "...", "d"], &["a", "d", "e"]));
        assert!(!matches(&[], &["a"]) && !matches(&["a"], &[]));
    }
}
