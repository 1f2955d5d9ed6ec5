//! A policy as text: docs/seccomp.md describes the language.
//!
//! ```text
//! default deny ENOSYS
//! deny ioctl if arg1 == 0x5412      # TIOCSTI
//! allow @ordinary
//! deny EPERM @mount @module
//! ```

use std::fmt;

use super::action::Action;
use super::architecture::Architecture;
use super::condition::{Comparison, Condition};
use super::profile::{Newer, Order, Profile, Rule};
use super::table::Call;

/// `@group name...`, a line each; the last is of groups.
const GROUPS: &str = include_str!("groups.txt");

/// The names of the errors, from 1 on.
const ERRNOS: &str = include_str!("errnos.txt");

/// The longest policy, in bytes. A group's name stands for a hundred others.
pub const MAX_LENGTH: usize = 64 << 10;

/// Arguments that the kernel takes as 32-bit numbers: of these, the lower half is
/// compared.
const NARROW: &[(&str, &[u8])] = &[
    ("clone", &[0]),
    ("fcntl", &[1]),
    ("fcntl64", &[1]),
    ("ioctl", &[1]),
    ("keyctl", &[0]),
    ("personality", &[0]),
    ("prctl", &[0]),
    ("setns", &[1]),
    ("socket", &[0, 1, 2]),
    ("socketpair", &[0, 1, 2]),
];

/// A text that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for PolicyError {}

/// The profile that a policy says.
///
/// # Errors
/// The first line that is wrong, and why.
pub fn parse(text: &str) -> Result<Profile, PolicyError> {
    let at = |line| move |what| PolicyError { line, what };
    if text.len() > MAX_LENGTH {
        return Err(at(1)(format!("a policy has at most {MAX_LENGTH} bytes")));
    }
    let mut policy = Policy::default();
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        policy.line(line).map_err(at(place + 1))?;
    }
    policy.finish().map_err(at(text.lines().count().max(1)))
}

/// The calls of a group, by its name with the `@`.
#[must_use]
pub fn group(name: &str) -> Option<Vec<&'static str>> {
    let mut members = None;
    for line in GROUPS.lines() {
        let mut words = line.split(' ');
        if words.next() == Some(name) {
            members = Some(words);
        }
    }
    let flat = members?.flat_map(|member| match member.starts_with('@') {
        // Only the last line has groups, and those have none.
        true => group(member).unwrap_or_default(),
        false => vec![member],
    });
    Some(flat.collect())
}

/// The names of all groups.
pub fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.lines().filter_map(|line| line.split(' ').next())
}

#[derive(Default)]
struct Policy {
    default: Option<Action>,
    foreign: Option<Action>,
    newer: Option<Newer>,
    architectures: Option<Vec<Architecture>>,
    rules: Vec<Rule>,
}

/// The words of a line, from left to right.
type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

impl Policy {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace().peekable();
        match words.peek() {
            None => return Ok(()),
            Some(&"default") => once(&mut self.default, &mut words, default_action)?,
            Some(&"foreign") => once(&mut self.foreign, &mut words, default_action)?,
            Some(&"newer") => once(&mut self.newer, &mut words, newer)?,
            Some(&"architectures") => {
                once(&mut self.architectures, &mut words, architectures)?;
            }
            Some(_) => self.rule(&mut words)?,
        }
        match words.next() {
            None => Ok(()),
            Some(word) => Err(format!("nothing is expected at {word:?}")),
        }
    }

    fn rule(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let action = action(words)?;
        let mut names = Vec::new();
        while let Some(word) = words.next_if(|word| *word != "if") {
            add_names(word, &mut names)?;
        }
        if names.is_empty() {
            return Err("no system call is named".to_owned());
        }
        let conditions = match words.next() {
            Some(_) => conditions(words)?,
            None => Vec::new(),
        };
        self.add(&names, action, &conditions)
    }

    /// A rule each for the calls that compare the same halves of their arguments.
    fn add(
        &mut self,
        names: &[&str],
        action: Action,
        written: &[Written],
    ) -> Result<(), String> {
        let first = self.rules.len();
        for name in names {
            let conditions = written.iter().map(|one| one.of_call(name));
            let conditions: Vec<_> = conditions.collect::<Result<_, _>>()?;
            let mut same = self.rules[first..].iter_mut();
            match same.find(|rule| rule.conditions == conditions) {
                Some(rule) => rule.names.push((*name).to_owned()),
                None => self.rules.push(Rule {
                    names: vec![(*name).to_owned()],
                    action,
                    conditions,
                }),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Profile, String> {
        let Some(default) = self.default else {
            return Err("no line says what the default is".to_owned());
        };
        Ok(Profile {
            default,
            foreign: self.foreign.unwrap_or(Action::Kill),
            architectures: self.architectures.unwrap_or_default(),
            newer: self.newer.unwrap_or(Newer::AboveKnown),
            order: Order::First,
            rules: self.rules,
        })
    }
}

/// A line that may be there once: its keyword, and what `parse` makes of the rest.
fn once<T>(
    place: &mut Option<T>,
    words: &mut Words<'_>,
    parse: impl FnOnce(&mut Words<'_>) -> Result<T, String>,
) -> Result<(), String> {
    let keyword = words.next().unwrap_or_default();
    if place.is_some() {
        return Err(format!("a second line says {keyword}"));
    }
    *place = Some(parse(words)?);
    Ok(())
}

fn default_action(words: &mut Words<'_>) -> Result<Action, String> {
    match action(words)? {
        Action::Notify => Err("only rules can notify".to_owned()),
        other => Ok(other),
    }
}

fn newer(words: &mut Words<'_>) -> Result<Newer, String> {
    match words.next() {
        Some("enosys") => Ok(Newer::AboveKnown),
        Some("default") => Ok(Newer::Default),
        other => Err(expected("enosys or default", other)),
    }
}

fn architectures(words: &mut Words<'_>) -> Result<Vec<Architecture>, String> {
    let known = Architecture::ALL.map(Architecture::name).join(", ");
    words
        .by_ref()
        .map(|word| {
            Architecture::from_name(word).ok_or_else(|| {
                format!("unknown architecture {word:?}; known are {known}")
            })
        })
        .collect()
}

fn action(words: &mut Words<'_>) -> Result<Action, String> {
    match words.next() {
        Some("allow") => Ok(Action::Allow),
        Some("log") => Ok(Action::Log),
        Some("notify") => Ok(Action::Notify),
        Some("kill") => Ok(Action::Kill),
        Some("kill-thread") => Ok(Action::KillThread),
        Some("trap") => Ok(Action::Trap),
        Some("trace") => Ok(Action::Trace(match words.next_if(|word| is_number(word)) {
            None => 0,
            Some(word) => word
                .parse()
                .map_err(|_| format!("{word} is no number of up to 65535"))?,
        })),
        Some("deny") => match words.next_if(|word| is_number(word) || is_errno(word)) {
            None => Ok(Action::fail(warren_sys::Errno::PERM)),
            Some(word) => errno(word).map(Action::Fail),
        },
        other => Err(expected(
            "allow, deny, log, notify, kill, kill-thread, trap, trace, default, foreign, \
             newer or architectures",
            other,
        )),
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn is_errno(word: &str) -> bool {
    word.starts_with('E')
}

fn errno(word: &str) -> Result<u16, String> {
    let number = match is_number(word) {
        true => word.parse().ok(),
        false => {
            let same = |name: &str| name == word;
            // The same numbers by their other names.
            let name = match word {
                "EWOULDBLOCK" => Some(11),
                "ENOTSUP" => Some(95),
                _ => ERRNOS.lines().position(same).map(|place| place + 1),
            };
            name.and_then(|number| u16::try_from(number).ok())
        }
    };
    number
        .filter(|number| *number <= Action::MAX_ERRNO)
        .ok_or_else(|| format!("unknown errno {word:?}"))
}

/// A name, a group, or `?name`, which may be one that is not known here.
fn add_names<'a>(word: &'a str, names: &mut Vec<&'a str>) -> Result<(), String> {
    if word.starts_with('@') {
        let known = || groups().collect::<Vec<_>>().join(" ");
        let members = group(word);
        names.extend(
            members.ok_or_else(|| {
                format!("unknown group {word:?}; known are {}", known())
            })?,
        );
        return Ok(());
    }
    let (name, may_be_unknown) = match word.strip_prefix('?') {
        Some(name) => (name, true),
        None => (word, false),
    };
    match Call::find(name) {
        Some(_) => names.push(name),
        None if may_be_unknown => {}
        None => {
            return Err(format!(
                "unknown system call {name:?}; ?{name} is taken where it is not known"
            ));
        }
    }
    Ok(())
}

/// A condition as it is written: whether it is of 64 bits depends on the call.
struct Written {
    argument: u8,
    is_low: bool,
    mask: Option<u64>,
    comparison: Comparison,
    value: i128,
}

impl Written {
    fn of_call(&self, name: &str) -> Result<Condition, String> {
        let narrow = NARROW.iter().find(|(call, _)| *call == name);
        let is_narrow = narrow.is_some_and(|(_, all)| all.contains(&self.argument));
        let all = match self.is_low || is_narrow {
            true => u64::from(u32::MAX),
            false => u64::MAX,
        };
        let mask = self.mask.unwrap_or(all);
        let value = match u64::try_from(self.value) {
            Ok(value) => value,
            Err(_) => self.value as u64 & all,
        };
        if mask & !all != 0 || value & !mask != 0 {
            let argument = self.argument;
            return Err(format!(
                "argument {argument} of {name} has no such bits: the condition would be \
                 about {:#x}, but {mask:#x} & {all:#x} is compared",
                value
            ));
        }
        Ok(Condition {
            argument: self.argument,
            mask,
            comparison: self.comparison,
            value,
        })
    }
}

/// `argN [& MASK] OP VALUE [and ...]`.
fn conditions(words: &mut Words<'_>) -> Result<Vec<Written>, String> {
    let mut all = vec![condition(words)?];
    while words.next_if(|word| *word == "and").is_some() {
        all.push(condition(words)?);
    }
    Ok(all)
}

fn condition(words: &mut Words<'_>) -> Result<Written, String> {
    let word = words.next();
    let (argument, is_low) = word
        .and_then(argument)
        .ok_or_else(|| expected("arg0 to arg5, or arg0:32 for its lower half,", word))?;
    let mask = match words.next_if(|word| *word == "&") {
        None => None,
        Some(_) => {
            let mask = number(words.next())?;
            Some(u64::try_from(mask).map_err(|_| format!("{mask} is no mask"))?)
        }
    };
    let comparison = match words.next() {
        Some("==") => Comparison::Equal,
        Some("!=") => Comparison::NotEqual,
        Some("<") => Comparison::Less,
        Some("<=") => Comparison::LessOrEqual,
        Some(">") => Comparison::Greater,
        Some(">=") => Comparison::GreaterOrEqual,
        other => return Err(expected("==, !=, <, <=, > or >=", other)),
    };
    Ok(Written {
        argument,
        is_low,
        mask,
        comparison,
        value: number(words.next())?,
    })
}

fn argument(word: &str) -> Option<(u8, bool)> {
    let rest = word.strip_prefix("arg")?;
    let (index, is_low) = match rest.strip_suffix(":32") {
        Some(index) => (index, true),
        None => (rest, false),
    };
    match index.as_bytes() {
        [digit @ b'0'..=b'5'] => Some((digit - b'0', is_low)),
        _ => None,
    }
}

/// A number of 64 bits, `0x` before a hexadecimal one; or a negative one.
fn number(word: Option<&str>) -> Result<i128, String> {
    let text = word.unwrap_or_default();
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(i128::from),
        None if text.starts_with('-') => text.parse::<i64>().ok().map(i128::from),
        None => text.parse::<u64>().ok().map(i128::from),
    };
    parsed.ok_or_else(|| expected("a number", word))
}

fn expected(what: &str, found: Option<&str>) -> String {
    match found {
        Some(word) => format!("{what} is expected, not {word:?}"),
        None => format!("{what} is expected at the end"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use warren_testkit::bpf::{Call as Asked, interpret};

    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const KILL: u32 = 0x8000_0000;

    fn answer_on(
        architecture: Architecture,
        policy: &str,
        name: &str,
        args: &[u64],
    ) -> u32 {
        let filter = parse(policy).expect(policy).compile().expect(policy);
        let call = Call::find(name).expect(name);
        let number = call.number(architecture).expect(name);
        let call = Asked::new(architecture.audit(), number, args);
        interpret(filter.instructions(), &call).0
    }

    fn answer(policy: &str, name: &str, args: &[u64]) -> u32 {
        answer_on(Architecture::NATIVE, policy, name, args)
    }

    fn error(policy: &str) -> String {
        parse(policy).expect_err(policy).to_string()
    }

    #[test]
    fn every_call_is_in_one_group() {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for name in groups().filter(|name| *name != "@ordinary") {
            for call in group(name).expect(name) {
                assert!(Call::find(call).is_some(), "{call} of {name}");
                *count.entry(call).or_default() += 1;
            }
        }
        for call in Call::all() {
            assert_eq!(count.get(call.name()), Some(&1), "{}", call.name());
        }
        let ordinary = group("@ordinary").expect("the group of groups");
        assert!(ordinary.contains(&"openat") && !ordinary.contains(&"mount"));
    }

    #[test]
    fn the_first_line_that_holds_counts() {
        let policy = "# comment\ndefault deny\n\nkill ptrace if arg0 == 16 # attach\n\
                      deny ENOSYS ptrace mount\nallow @mount @debug read";
        assert_eq!(answer(policy, "ptrace", &[16]), KILL);
        assert_eq!(answer(policy, "ptrace", &[17]), ENOSYS);
        assert_eq!(answer(policy, "mount", &[]), ENOSYS);
        assert_eq!(answer(policy, "umount2", &[]), ALLOW);
        assert_eq!(answer(policy, "read", &[]), ALLOW);
        assert_eq!(answer(policy, "write", &[]), EPERM);
    }

    #[test]
    fn each_action_has_its_word() {
        for (word, code) in [
            ("allow", ALLOW),
            ("log", 0x7ffc_0000),
            ("notify", 0x7fc0_0000),
            ("kill", KILL),
            ("kill-thread", 0),
            ("trap", 0x0003_0000),
            ("trace", 0x7ff0_0000),
            ("trace 7", 0x7ff0_0007),
            ("deny", EPERM),
            ("deny EACCES", 0x0005_000d),
            ("deny EWOULDBLOCK", 0x0005_000b),
            ("deny 0", 0x0005_0000),
            ("deny 4095", 0x0005_0fff),
        ] {
            let policy = format!("default deny EIO\n{word} read");
            assert_eq!(answer(&policy, "read", &[]), code, "{word}");
        }
    }

    #[test]
    fn conditions_are_of_64_bits_but_where_the_kernel_takes_32() {
        let policy = "default allow\ndeny lseek if arg1 == 5 and arg2 != 1\n\
                      deny ioctl lseek if arg1 == 0x5412\ndeny mmap if arg2 & 6 == 6\n\
                      deny read if arg0:32 == -1\ndeny write if arg0 == -1\n\
                      deny pread64 if arg3 > 0xffffffff";
        let high = 1 << 32;
        assert_eq!(answer(policy, "lseek", &[0, 5, 0]), EPERM);
        assert_eq!(answer(policy, "lseek", &[0, 5, 1]), ALLOW);
        assert_eq!(answer(policy, "lseek", &[0, high | 5, 0]), ALLOW);
        assert_eq!(answer(policy, "lseek", &[0, high | 0x5412, 0]), ALLOW);
        assert_eq!(answer(policy, "ioctl", &[0, high | 0x5412]), EPERM);
        assert_eq!(answer(policy, "mmap", &[0, 0, 7]), EPERM);
        assert_eq!(answer(policy, "mmap", &[0, 0, 5]), ALLOW);
        assert_eq!(answer(policy, "read", &[0xffff_ffff]), EPERM);
        assert_eq!(answer(policy, "write", &[0xffff_ffff]), ALLOW);
        assert_eq!(answer(policy, "write", &[u64::MAX]), EPERM);
        assert_eq!(answer(policy, "pread64", &[0, 0, 0, high]), EPERM);
        assert_eq!(answer(policy, "pread64", &[0, 0, 0, high - 1]), ALLOW);
    }

    #[test]
    fn newer_and_foreign_calls_have_lines_of_their_own() {
        let ask = |policy: &str, architecture, number| {
            let filter = parse(policy).expect(policy).compile().expect(policy);
            let call = Asked::new(architecture, number, &[]);
            interpret(filter.instructions(), &call).0
        };
        let native = Architecture::NATIVE.audit();
        assert_eq!(ask("default allow", native, 470), ENOSYS);
        assert_eq!(ask("default allow", native, 469), ALLOW);
        assert_eq!(ask("default allow\nnewer default", native, 470), ALLOW);
        assert_eq!(ask("default allow", 0x4000_0003, 1), KILL);
        assert_eq!(ask("default allow\nforeign deny", 0x4000_0003, 1), EPERM);
        let both = "default allow\narchitectures i386\ndeny ENOSYS socketcall";
        assert_eq!(ask(both, 0x4000_0003, 1), ALLOW);
        assert_eq!(ask(both, 0x4000_0003, 102), ENOSYS);
    }

    #[test]
    fn what_i386_hides_in_memory_is_never_allowed_by_it_and_always_denied() {
        let ask = |policy: &str, args: &[u64]| {
            answer_on(Architecture::I386, policy, "socketcall", args)
        };
        let policy = "default deny\narchitectures i386\nallow socket if arg0 == 1";
        assert_eq!(ask(policy, &[1, 1]), EPERM);
        let policy = "default allow\narchitectures i386\ndeny socket if arg0 == 40";
        assert_eq!(ask(policy, &[1, 0]), EPERM);
        assert_eq!(ask(policy, &[2, 0]), ALLOW);
        let policy = "default allow\narchitectures i386\ndeny semop";
        let ipc = |operation| answer_on(Architecture::I386, policy, "ipc", &[operation]);
        assert_eq!((ipc(1), ipc(0x1_0001), ipc(2)), (EPERM, EPERM, ALLOW));
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong() {
        for (policy, what) in [
            ("", "line 1: no line says what the default is"),
            (
                "\n\nallow read\n",
                "line 3: no line says what the default is",
            ),
            ("default allow\nfoo", "line 2: allow, deny, log"),
            (
                "default allow\ndefault allow",
                "line 2: a second line says default",
            ),
            ("default notify", "line 1: only rules can notify"),
            (
                "default allow deny",
                "line 1: nothing is expected at \"deny\"",
            ),
            ("default deny EFOO", "line 1: unknown errno \"EFOO\""),
            ("default deny 4096", "line 1: unknown errno \"4096\""),
            ("allow", "line 1: no system call is named"),
            ("allow if arg0 == 1", "line 1: no system call is named"),
            ("allow raed", "line 1: unknown system call \"raed\""),
            (
                "allow @foo",
                "line 1: unknown group \"@foo\"; known are @aio",
            ),
            ("allow ?raed", "line 1: no system call is named"),
            (
                "trace 65536 read",
                "line 1: 65536 is no number of up to 65535",
            ),
            ("allow read if", "line 1: arg0 to arg5"),
            ("allow read if arg6 == 1", "line 1: arg0 to arg5"),
            ("allow read if arg0 = 1", "line 1: ==, !="),
            (
                "allow read if arg0 ==",
                "line 1: a number is expected at the end",
            ),
            ("allow read if arg0 == 0x", "line 1: a number is expected"),
            ("allow read if arg0 & -1 == 1", "line 1: -1 is no mask"),
            ("allow read if arg0 & 1 == 2", "line 1: argument 0 of read"),
            (
                "allow ioctl if arg1 == 0x100000000",
                "line 1: argument 1 of ioctl",
            ),
            (
                "allow read if arg0 == 1 or",
                "line 1: nothing is expected at \"or\"",
            ),
            (
                "architectures pdp11",
                "line 1: unknown architecture \"pdp11\"",
            ),
            ("newer allow", "line 1: enosys or default is expected"),
        ] {
            let error = error(policy);
            assert!(error.starts_with(what), "{policy:?}: {error}");
        }
        let long = "#".repeat(MAX_LENGTH + 1);
        assert!(error(&long).starts_with("line 1: a policy has at most"));
    }

    #[test]
    fn any_text_is_a_policy_or_an_error_and_what_compiles_ends() {
        const WORDS: &[&str] = &[
            "default",
            "allow",
            "deny",
            "EPERM",
            "4",
            "log",
            "kill",
            "@net",
            "@file",
            "read",
            "ioctl",
            "if",
            "and",
            "arg0",
            "arg1:32",
            "&",
            "==",
            "<=",
            ">",
            "-1",
            "0xff",
            "0xffffffffffffffff",
            "\n",
            "\n",
            "\n",
            "#",
            "?x",
            "architectures",
            "i386",
            "x32",
            "newer",
            "foreign",
            "trace",
            "\u{0}",
            "é",
            "@",
            "arg",
            "0x",
        ];
        let mut state: u64 = 0x5eed;
        let mut next = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let mut compiled = 0;
        for _ in 0..20_000 {
            let mut text = match next(2) {
                0 => String::new(),
                _ => "default deny\n".to_owned(),
            };
            for _ in 0..next(30) {
                text.push_str(WORDS[next(WORDS.len())]);
                text.push_str(["", " ", " ", " "][next(4)]);
            }
            let Ok(profile) = parse(&text) else { continue };
            let filter = profile.compile().expect(&text);
            let _ = interpret(filter.instructions(), &Asked::new(0, 0, &[]));
            compiled += 1;
        }
        assert!(compiled > 100, "{compiled} policies");
    }
}
