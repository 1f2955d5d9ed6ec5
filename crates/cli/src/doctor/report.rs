//! The report as text.

use super::{Section, State};
use crate::terminal;

/// A terminal with fewer columns gets everything but the names on lines of their own.
const NARROW: usize = 64;
const GAP: usize = 2;
/// The length of the longest state.
const STATE: usize = "missing".len();

/// The whole report; `width` is the terminal's.
pub fn render(
    sections: &[Section],
    uid: u32,
    width: Option<usize>,
    colour: bool,
) -> String {
    let checks = sections.iter().flat_map(|section| &section.checks);
    let name = checks.map(|check| check.name.len()).max().unwrap_or(0);
    let page = Page {
        name,
        width,
        colour,
    };
    let mut text = String::new();
    for section in sections {
        text.push_str(&format!("{}\n", section.name));
        for check in &section.checks {
            page.line(&mut text, check.state, &check.name, &check.found);
            if let Some(fix) = &check.fix {
                page.more(&mut text, "why: ", check.why);
                page.more(&mut text, "fix: ", fix);
            }
        }
        text.push('\n');
    }
    text.push_str(&verdict(sections, uid));
    text
}

fn verdict(sections: &[Section], uid: u32) -> String {
    let number = |state| {
        let checks = sections.iter().flat_map(|section| &section.checks);
        checks.filter(|check| check.state == state).count()
    };
    let missing = number(State::Missing);
    match (number(State::Fails), missing) {
        (0, 0) => {
            format!("warren run works here for uid {uid}, and nothing is missing\n")
        }
        (0, 1) => format!("warren run works here for uid {uid}; one thing is missing\n"),
        (0, _) => {
            format!("warren run works here for uid {uid}; {missing} things are missing\n")
        }
        (fails, _) => format!(
            "warren run cannot work here for uid {uid}; see the lines above with `fails` ({fails})\n"
        ),
    }
}

/// Where things stand on a line.
struct Page {
    /// The width of the names.
    name: usize,
    width: Option<usize>,
    colour: bool,
}

impl Page {
    fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    /// The column at which what was found begins.
    fn indent(&self) -> usize {
        if self.is_narrow() {
            2 * GAP
        } else {
            GAP + STATE + GAP + self.name + GAP
        }
    }

    fn line(&self, text: &mut String, state: State, name: &str, found: &str) {
        let word = match state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Fails => "fails",
        };
        let state = self.painted(state, &format!("{word:STATE$}"));
        let lines = self.wrapped(found);
        if self.is_narrow() {
            text.push_str(&format!("  {state}  {name}\n"));
            self.below(text, &lines);
        } else {
            let width = self.name;
            let first = lines.first().map_or("", String::as_str);
            text.push_str(&format!("  {state}  {name:width$}  {first}\n"));
            self.below(text, lines.get(1..).unwrap_or_default());
        }
    }

    fn more(&self, text: &mut String, label: &str, words: &str) {
        let lines = self.wrapped(&format!("{label}{words}"));
        self.below(text, &lines);
    }

    fn below(&self, text: &mut String, lines: &[String]) {
        let indent = self.indent();
        for line in lines {
            text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    /// Words of the machine (paths, labels) are made printable on the way.
    fn wrapped(&self, text: &str) -> Vec<String> {
        let text = terminal::printable(text);
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let width = self.width.unwrap_or(usize::MAX);
        terminal::wrap(&words, " ", width.saturating_sub(self.indent()))
    }

    fn painted(&self, state: State, word: &str) -> String {
        let code = match state {
            State::Ok => 32,
            State::Missing => 33,
            State::Fails => 31,
        };
        if self.colour {
            format!("\x1b[{code}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    fn sections() -> Vec<Section> {
        vec![Section {
            name: "kernel",
            checks: vec![
                Check::ok("version", "Linux 6.18", "it matters"),
                Check::ok("openat2", "not there", "paths are walked by hand")
                    .but(State::Missing, "it came with Linux 5.6"),
            ],
        }]
    }

    #[test]
    fn what_is_wrong_has_its_reason_and_fix_below() {
        let expected = "kernel\n  \
            ok       version  Linux 6.18\n  \
            missing  openat2  not there\n                    \
            why: paths are walked by hand\n                    \
            fix: it came with Linux 5.6\n\n\
            warren run works here for uid 7; one thing is missing\n";
        assert_eq!(render(&sections(), 7, None, false), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [30, 40, 64, 80] {
            let text = render(&sections(), 7, Some(width), false);
            let body = text.lines().rev().skip(2);
            for line in body {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn colour_is_only_where_it_is_asked_for() {
        assert!(render(&sections(), 7, None, true).contains("\x1b[33mmissing\x1b[0m"));
        assert!(!render(&sections(), 7, None, false).contains('\x1b'));
    }

    #[test]
    fn one_failing_check_decides() {
        let mut sections = sections();
        sections[0].checks[1].state = State::Fails;
        let text = verdict(&sections, 7);
        assert!(text.starts_with("warren run cannot work here"), "{text}");
    }
}
