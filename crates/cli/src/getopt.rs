//! Options as getopt_long(3) of glibc reads them, for the personalities: clusters of
//! short ones, arguments that are optional and then attached, unique prefixes of long
//! ones, and the same complaints word for word.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An option that a personality knows. `key` tells the caller which was met: options
/// that mean the same share it.
#[derive(Clone, Copy, Debug)]
pub struct Known<K> {
    pub key: K,
    pub short: Option<u8>,
    /// Without the dashes.
    pub long: Option<&'static str>,
    pub argument: Argument,
}

/// Whether an option has an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    None,
    /// Only as `-oARG` and `--option=ARG`.
    Optional,
    Required,
}

/// Whether options may follow what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// They may: all operands are collected.
    Any,
    /// They end at the first operand, which begins another command line (`+`).
    OptionsFirst,
}

/// An option that was met, and its argument.
pub type Met<K> = (K, Option<OsString>);

/// Walks a command line. Ask for [`next`](Iterator::next) until it has no more, then
/// for the [`operands`](Self::operands).
pub struct Getopt<'a, K> {
    known: &'a [Known<K>],
    order: Order,
    rest: &'a [OsString],
    /// What is left of a cluster of short options.
    cluster: &'a [u8],
    operands: Vec<OsString>,
}

impl<'a, K: Copy + PartialEq> Getopt<'a, K> {
    /// Over `arguments`, whose first is the program's name.
    pub fn new(known: &'a [Known<K>], order: Order, arguments: &'a [OsString]) -> Self {
        Self {
            known,
            order,
            rest: arguments.get(1..).unwrap_or_default(),
            cluster: &[],
            operands: Vec::new(),
        }
    }

    /// What is no option; complete once the iterator is at its end.
    pub fn operands(self) -> Vec<OsString> {
        self.operands
    }

    fn next_argument(&mut self) -> Option<&'a OsString> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn end(&mut self) {
        self.operands.extend_from_slice(self.rest);
        self.rest = &[];
    }

    fn short(&mut self, letter: u8, attached: &'a [u8]) -> Result<Met<K>, String> {
        self.cluster = attached;
        // No letter of a table is a colon or a dash, as in getopt's own rules.
        let Some(option) = self.known.iter().find(|known| known.short == Some(letter))
        else {
            let letter = OsStr::from_bytes(&[letter]).display().to_string();
            return Err(format!("invalid option -- '{letter}'"));
        };
        if option.argument == Argument::None {
            return Ok((option.key, None));
        }
        self.cluster = &[];
        let argument = match option.argument {
            _ if !attached.is_empty() => Some(OsString::from_vec(attached.to_vec())),
            Argument::Required => {
                Some(self.next_argument().cloned().ok_or_else(|| {
                    format!("option requires an argument -- '{}'", char::from(letter))
                })?)
            }
            _ => None,
        };
        Ok((option.key, argument))
    }

    /// `text` is what follows the dashes.
    fn long(&mut self, text: &'a [u8]) -> Result<Met<K>, String> {
        let (name, attached) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let option = self.by_prefix(name, text)?;
        let long = option.long.unwrap_or_default();
        let argument = match (option.argument, attached) {
            (Argument::None, Some(_)) => {
                return Err(format!("option '--{long}' doesn't allow an argument"));
            }
            (_, Some(attached)) => Some(OsString::from_vec(attached.to_vec())),
            (Argument::Required, None) => Some(
                self.next_argument()
                    .cloned()
                    .ok_or_else(|| format!("option '--{long}' requires an argument"))?,
            ),
            (_, None) => None,
        };
        Ok((option.key, argument))
    }

    /// The option with this name, or the only one whose name begins so.
    fn by_prefix(&self, name: &[u8], text: &[u8]) -> Result<&'a Known<K>, String> {
        let named = |known: &&Known<K>| {
            known
                .long
                .is_some_and(|long| long.as_bytes().starts_with(name))
        };
        let candidates: Vec<&Known<K>> = self.known.iter().filter(named).collect();
        let exact = |known: &&&Known<K>| known.long.map(str::as_bytes) == Some(name);
        if let Some(exact) = candidates.iter().find(exact) {
            return Ok(exact);
        }
        let shown = OsStr::from_bytes(text).display();
        match candidates.as_slice() {
            [] => Err(format!("unrecognized option '--{shown}'")),
            [first, others @ ..]
                if others.iter().all(|other| {
                    other.key == first.key && other.argument == first.argument
                }) =>
            {
                Ok(first)
            }
            _ => {
                let mut message =
                    format!("option '--{shown}' is ambiguous; possibilities:");
                for long in candidates.iter().filter_map(|known| known.long) {
                    message.push_str(&format!(" '--{long}'"));
                }
                Err(message)
            }
        }
    }
}

impl<K: Copy + PartialEq> Iterator for Getopt<'_, K> {
    /// An option, or what getopt says of something that is none.
    type Item = Result<Met<K>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((letter, attached)) = self.cluster.split_first() {
            return Some(self.short(*letter, attached));
        }
        loop {
            let argument = self.next_argument()?;
            match argument.as_bytes() {
                b"--" => self.end(),
                [b'-', b'-', text @ ..] => return Some(self.long(text)),
                [b'-', letter, attached @ ..] => {
                    return Some(self.short(*letter, attached));
                }
                _ => {
                    self.operands.push(argument.clone());
                    if self.order == Order::OptionsFirst {
                        self.end();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known<char>] = &[
        option('n', Some(b'n'), "noheadings", Argument::None),
        option('W', Some(b'W'), "nowrap", Argument::None),
        option('t', Some(b't'), "task", Argument::Required),
        option('T', Some(b'T'), "tree", Argument::Optional),
        option('m', Some(b'm'), "map-user", Argument::Required),
        option('M', None, "map-users", Argument::Required),
        option('K', None, "keep", Argument::None),
        option('K', None, "keep-all", Argument::None),
    ];

    const fn option(
        key: char,
        short: Option<u8>,
        long: &'static str,
        argument: Argument,
    ) -> Known<char> {
        Known {
            key,
            short,
            long: Some(long),
            argument,
        }
    }

    /// All options met and all operands, or the first complaint.
    fn parse(line: &str, order: Order) -> Result<String, String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let mut getopt = Getopt::new(KNOWN, order, &words);
        let mut text = String::new();
        for met in getopt.by_ref() {
            let (key, argument) = met?;
            text.push(key);
            if let Some(argument) = argument {
                text.push_str(&format!("={}", argument.display()));
            }
            text.push(' ');
        }
        let operands = getopt.operands();
        let operands = operands.iter().map(|word| word.display().to_string());
        Ok(text + "| " + &operands.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn operands_are_collected_from_between_the_options() {
        let parsed = parse("x a -n b --tree -- -W", Order::Any);
        assert_eq!(parsed.as_deref(), Ok("n T | a b -W"));
    }

    #[test]
    fn with_options_first_the_first_operand_ends_them() {
        let parsed = parse("x -n a -W --x", Order::OptionsFirst);
        assert_eq!(parsed.as_deref(), Ok("n | a -W --x"));
        let parsed = parse("x -n - -W", Order::OptionsFirst);
        assert_eq!(parsed.as_deref(), Ok("n | - -W"));
    }

    #[test]
    fn arguments_are_attached_or_follow_as_the_option_has_it() {
        let parsed = parse("x -nt5 -t 6 --task=7 --task 8", Order::Any);
        assert_eq!(parsed.as_deref(), Ok("n t=5 t=6 t=7 t=8 | "));
        let parsed = parse("x -Tp -T p --tree=q --tree q", Order::Any);
        assert_eq!(parsed.as_deref(), Ok("T=p T T=q T | p q"));
        assert_eq!(parse("x --tree=", Order::Any).as_deref(), Ok("T= | "));
    }

    #[test]
    fn a_unique_prefix_names_a_long_option() {
        assert_eq!(parse("x --noh", Order::Any).as_deref(), Ok("n | "));
        let exact = parse("x --map-user 1 --map-users 2", Order::Any);
        assert_eq!(exact.as_deref(), Ok("m=1 M=2 | "));
        // Two names of the same option are no two options.
        assert_eq!(parse("x --ke", Order::Any).as_deref(), Ok("K | "));
    }

    #[test]
    fn complaints_are_those_of_glibc() {
        for (line, complaint) in [
            ("x --foo=1", "unrecognized option '--foo=1'"),
            (
                "x --no=1",
                "option '--no=1' is ambiguous; possibilities: '--noheadings' '--nowrap'",
            ),
            ("x -nz", "invalid option -- 'z'"),
            ("x -T -=", "invalid option -- '='"),
            ("x -nt", "option requires an argument -- 't'"),
            ("x --tas", "option '--task' requires an argument"),
            (
                "x --noh=1",
                "option '--noheadings' doesn't allow an argument",
            ),
        ] {
            assert_eq!(parse(line, Order::Any), Err(complaint.to_owned()), "{line}");
        }
    }
}
