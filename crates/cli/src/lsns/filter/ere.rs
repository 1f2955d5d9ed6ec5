//! POSIX extended regular expressions, regex(7), in terms of regex-lite.
//!
//! The two differ in what a backslash means in brackets, in where an operator may
//! stand, in `*?` and `(?`, and in the escapes; so an expression is read here and
//! written anew. For a test whether it matches, which of several matches is found does
//! not matter. Character classes are of ASCII, as they are there.

use std::iter::Peekable;
use std::str::Chars;

use regex_lite::{Regex, RegexBuilder};

/// The longest expression, and the highest bound of an interval.
const LONGEST: usize = 256;
const BOUND: u32 = 1024;

/// Compiles an expression; an error says what is wrong, as regerror(3) does.
pub fn compile(text: &str) -> Result<Regex, String> {
    if text.len() > LONGEST {
        return Err(format!("regular expression of more than {LONGEST} bytes"));
    }
    let mut translation = Translation {
        rest: text.chars().peekable(),
        written: String::new(),
        open: 0,
    };
    translation.whole()?;
    RegexBuilder::new(&translation.written)
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| "Regular expression too big".to_owned())
}

struct Translation<'t> {
    rest: Peekable<Chars<'t>>,
    written: String,
    /// How many parentheses are open.
    open: usize,
}

impl Translation<'_> {
    fn whole(&mut self) -> Result<(), String> {
        // Where the last atom began, if an operator may follow it.
        let mut atom: Option<usize> = None;
        let mut groups: Vec<usize> = Vec::new();
        while let Some(char) = self.rest.next() {
            let start = self.written.len();
            atom = match char {
                '(' => {
                    self.open += 1;
                    groups.push(start);
                    self.written.push_str("(?:");
                    None
                }
                ')' if self.open > 0 => {
                    self.open -= 1;
                    self.written.push(')');
                    groups.pop()
                }
                '|' | '^' => {
                    self.written.push(char);
                    None
                }
                '*' | '+' | '?' | '{' => {
                    let start = atom.ok_or("Invalid preceding regular expression")?;
                    self.repeat(start, char)?;
                    Some(start)
                }
                _ => {
                    self.atom(char)?;
                    Some(start)
                }
            };
        }
        match self.open {
            0 => Ok(()),
            _ => Err("Unmatched ( or \\(".to_owned()),
        }
    }

    fn atom(&mut self, char: char) -> Result<(), String> {
        match char {
            '.' | '$' => self.written.push(char),
            '[' => self.bracket()?,
            '\\' => self.escape()?,
            _ => self.literal(char),
        }
        Ok(())
    }

    /// A character that stands for itself; a backslash before a punctuation mark always
    /// means that.
    fn literal(&mut self, char: char) {
        if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
            self.written.push('\\');
        }
        self.written.push(char);
    }

    /// What GNU adds, or a character that stands for itself.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            None => return Err("Trailing backslash".to_owned()),
            Some('1'..='9') => return Err("Invalid back reference".to_owned()),
            Some(char @ ('w' | 'W' | 's' | 'S' | 'b' | 'B' | '<' | '>')) => {
                self.written.extend(['\\', char]);
            }
            Some('`') => self.written.push_str("\\A"),
            Some('\'') => self.written.push_str("\\z"),
            Some(char) => self.literal(char),
        }
        Ok(())
    }

    /// Makes all from `start` on one atom and repeats it.
    fn repeat(&mut self, start: usize, operator: char) -> Result<(), String> {
        self.written.insert_str(start, "(?:");
        self.written.push(')');
        match operator {
            '{' => {
                let (least, most) = self.interval()?;
                let most = most.map_or(String::new(), |most| most.to_string());
                self.written.push_str(&format!("{{{least},{most}}}"));
            }
            _ => self.written.push(operator),
        }
        Ok(())
    }

    /// `m}`, `m,}`, `m,n}` or `,n}`.
    fn interval(&mut self) -> Result<(u32, Option<u32>), String> {
        let least = self.bound()?;
        let comma = self.rest.next_if_eq(&',').is_some();
        let most = if comma { self.bound()? } else { least };
        match self.rest.next() {
            Some('}') => {}
            Some(_) => return Err("Invalid content of \\{\\}".to_owned()),
            None => return Err("Unmatched \\{".to_owned()),
        }
        match (least, most) {
            (None, None) => Err("Invalid content of \\{\\}".to_owned()),
            (Some(least), Some(most)) if least > most => {
                Err("Invalid content of \\{\\}".to_owned())
            }
            _ => Ok((least.unwrap_or(0), most)),
        }
    }

    fn bound(&mut self) -> Result<Option<u32>, String> {
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if digits.is_empty() {
            return Ok(None);
        }
        let bound = digits.parse().ok().filter(|bound| *bound <= BOUND);
        bound
            .map(Some)
            .ok_or_else(|| format!("an interval of more than {BOUND}"))
    }

    /// A bracket expression, whose opening bracket has been read.
    fn bracket(&mut self) -> Result<(), String> {
        const UNMATCHED: &str = "Unmatched [, [^, [:, [., or [=";
        self.written.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.written.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.next().ok_or(UNMATCHED)? {
                ']' if !first => break,
                '[' if self.rest.next_if_eq(&':').is_some() => self.class()?,
                char => {
                    let from = self.element(char)?;
                    match self.range_end()? {
                        Some(to) if to < from => {
                            return Err("Invalid range end".to_owned());
                        }
                        Some(to) => {
                            self.literal(from);
                            self.written.push('-');
                            self.literal(to);
                        }
                        None => self.literal(from),
                    }
                }
            }
            first = false;
        }
        self.written.push(']');
        Ok(())
    }

    /// The end of a range, if a hyphen that does not end the brackets comes next.
    fn range_end(&mut self) -> Result<Option<char>, String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.next(), None | Some(']')) {
            return Ok(None);
        }
        self.rest.next();
        let end = self.rest.next().unwrap_or_default();
        self.element(end).map(Some)
    }

    /// A character, or `[.c.]` and `[=c=]`, which are the same of one character.
    fn element(&mut self, char: char) -> Result<char, String> {
        let Some(mark) = self
            .rest
            .next_if(|next| char == '[' && ".=".contains(*next))
        else {
            return Ok(char);
        };
        let element = self.rest.next();
        match (element, self.rest.next(), self.rest.next()) {
            (Some(element), Some(end), Some(']')) if end == mark => Ok(element),
            _ => Err("Invalid collation character".to_owned()),
        }
    }

    /// `alpha:]`, of which `[:` has been read.
    fn class(&mut self) -> Result<(), String> {
        const CLASSES: [&str; 12] = [
            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "xdigit",
        ];
        let mut name = String::new();
        while let Some(char) = self.rest.next_if(|char| *char != ':') {
            name.push(char);
        }
        let ended = self.rest.next() == Some(':') && self.rest.next() == Some(']');
        if !ended || !CLASSES.contains(&name.as_str()) {
            return Err("Invalid character class name".to_owned());
        }
        self.written.push_str(&format!("[:{name}:]"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An expression, a text, and whether the one matches the other: as in glibc's
    /// regcomp(3), asked by `[[ TEXT =~ EXPRESSION ]]` of bash.
    const TABLE: &[(&str, &str, bool)] = &[
        ("", "a", true),
        ("a.c", "abc", true),
        ("^b", "abc", false),
        ("c$", "abc", true),
        ("a|", "x", true),
        ("()b", "b", true),
        ("^(ab|cd)+$", "abcdab", true),
        ("^(ab|cd)+$", "abc", false),
        ("^a*?$", "aaa", true),
        ("^a+*$", "", true),
        ("^a{2}$", "aa", true),
        ("^a{2,}$", "a", false),
        ("^a{,2}$", "aaa", false),
        ("^a{1,2}{2}$", "aaaa", true),
        ("a)", "a)", true),
        ("]", "]", true),
        ("[]a]", "]", true),
        ("^[^]a]$", "]", false),
        ("^[a-c-]+$", "a-c", true),
        ("^[a\\n]$", "n", true),
        ("^[a\\n]$", "\\", true),
        ("^[[:alpha:]_]+$", "a_Z", true),
        ("^[^[:digit:]]$", "5", false),
        ("^[[.-.]]$", "-", true),
        ("^[[=a=]]$", "a", true),
        ("^[a&&b]$", "&", true),
        ("^[a~~b]$", "~", true),
        ("^\\.\\*$", ".*", true),
        ("\\d", "5", false),
        ("\\bsleep\\b", "a sleep 5", true),
        ("\\<leep", "sleep", false),
        ("\\w\\s\\w", "a b", true),
        ("a#b c", "a#b c", true),
        ("é+", "éé", true),
        ("<x>", "<x>", true),
    ];

    #[test]
    fn expressions_match_as_in_glibc() {
        for &(expression, text, wanted) in TABLE {
            let regex = compile(expression);
            let regex = regex.unwrap_or_else(|what| panic!("{expression}: {what}"));
            assert_eq!(regex.is_match(text), wanted, "{expression} on {text:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_named_as_by_regerror() {
        for (expression, what) in [
            ("(a", "Unmatched ( or \\("),
            ("*a", "Invalid preceding regular expression"),
            ("a|+", "Invalid preceding regular expression"),
            ("(?i)a", "Invalid preceding regular expression"),
            ("[a", "Unmatched [, [^, [:, [., or [="),
            ("[]", "Unmatched [, [^, [:, [., or [="),
            ("[b-a]", "Invalid range end"),
            ("[[:foo:]]", "Invalid character class name"),
            ("a\\", "Trailing backslash"),
            ("(a)\\1", "Invalid back reference"),
            ("a{2", "Unmatched \\{"),
            ("a{x}", "Invalid content of \\{\\}"),
            ("a{3,2}", "Invalid content of \\{\\}"),
            ("a{1025}", "an interval of more than 1024"),
            ("((a{1000}){1000}){1000}", "Regular expression too big"),
        ] {
            assert_eq!(
                compile(expression).err().as_deref(),
                Some(what),
                "{expression}"
            );
        }
        assert!(compile(&"a".repeat(257)).is_err());
    }
}
