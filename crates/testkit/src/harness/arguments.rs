//! `warren-tests [--tier user|root|machine|newer] [--list] [PART OF A NAME]...`

use std::ffi::OsString;
use std::io;

use super::Tier;

/// What the test binary was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub tier: Tier,
    pub action: Action,
    filters: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Run,
    List,
    /// Run one test in this process.
    One(String),
}

/// The hidden flag of the re-execution.
pub(super) const ONE: &str = "--one";

impl Arguments {
    pub(super) fn parse(words: &[OsString]) -> io::Result<Self> {
        let mut parsed = Self {
            tier: Tier::User,
            action: Action::Run,
            filters: Vec::new(),
        };
        let mut words = words.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            match &*word {
                "--tier" => parsed.tier = tier(words.next().as_deref())?,
                "--list" => parsed.action = Action::List,
                ONE => {
                    parsed.action = Action::One(words.next().unwrap_or_default().into());
                }
                flag if flag.starts_with('-') => return Err(usage(flag)),
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        Ok(parsed)
    }

    /// Whether a test of this name was asked for: all are, where no name is given.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|part| matches(name, part))
    }
}

/// A part with `::` begins where a module's name does: `ls::` is not `kernels::`.
fn matches(name: &str, part: &str) -> bool {
    if part.contains("::") {
        format!("::{name}").contains(&format!("::{part}"))
    } else {
        name.contains(part)
    }
}

fn tier(word: Option<&str>) -> io::Result<Tier> {
    match word {
        Some("user") => Ok(Tier::User),
        Some("root") => Ok(Tier::Root),
        Some("machine") => Ok(Tier::Machine),
        Some("newer") => Ok(Tier::Newer),
        other => Err(usage(&format!("--tier {}", other.unwrap_or_default()))),
    }
}

fn usage(word: &str) -> io::Error {
    io::Error::other(format!(
        "unknown argument {word}\n\
         usage: warren-tests [--tier user|root|machine|newer] [--list] [PART OF A NAME]..."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> io::Result<Arguments> {
        Arguments::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn without_arguments_the_user_tier_runs_whole() {
        let parsed = parse(&[]).expect("no arguments are fine");
        assert_eq!((parsed.tier, &parsed.action), (Tier::User, &Action::Run));
        assert!(parsed.wants("run::anything"));
    }

    #[test]
    fn a_part_of_a_name_chooses() {
        let parsed = parse(&["--tier", "root", "exit"]).expect("known flags");
        assert!(parsed.wants("run::exit_code") && !parsed.wants("run::signal"));
        assert_eq!(parsed.tier, Tier::Root);
    }

    #[test]
    fn a_part_with_a_path_begins_at_a_module() {
        assert!(
            matches("ls::a_test", "ls::") && matches("run::roots::a_test", "roots::a")
        );
        assert!(!matches("run::older_kernels::a_test", "ls::"));
    }

    #[test]
    fn an_unknown_tier_or_flag_is_refused() {
        assert!(parse(&["--tier", "vm"]).is_err());
        assert!(parse(&["--skip"]).is_err());
    }
}
