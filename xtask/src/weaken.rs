//! `cargo xtask weaken`: builds of which one defence is switched off, and the tests that
//! must notice.
//!
//! A test of an attack that passes shows little: the attack may be none. So each defence
//! (list.rs) is taken out of a copy of the sources, the binary is built from it, and the
//! tests that attack it are run on that: they must fail, and say what the attack has done.
//! Nothing of this is in the product itself.

mod copy;
mod list;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::command::{build, is_root, repository};
use copy::Copy;
use list::WEAKENINGS;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only those whose name contains this; may be given more than once
    name: Vec<String>,
    /// Tell their names, and run none
    #[arg(long)]
    list: bool,
    /// Run these tests and build none
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
}

/// A defence that is switched off.
struct Weakening {
    name: &'static str,
    /// What it stood against: `2019-5736` is a CVE, other words are what they are.
    attacks: &'static [&'static str],
    changes: &'static [Change],
    noticed_by: &'static [Notice],
}

/// Text of a file, which is in it once, and what is there in its stead.
struct Change {
    file: &'static str,
    old: &'static str,
    new: &'static str,
}

/// A test that fails then.
struct Notice {
    /// Which tier it runs in: `root` or `user`.
    tier: &'static str,
    /// With its modules.
    test: &'static str,
    /// Part of what it says, so that it fails for no other reason.
    says: &'static str,
}

/// Switches off one after the other; true if each was noticed.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let is_meant = |one: &&Weakening| {
        let mut names = arguments.name.iter();
        arguments.name.is_empty() || names.any(|name| one.name.contains(&**name))
    };
    let chosen: Vec<&Weakening> = WEAKENINGS.iter().filter(is_meant).collect();
    if chosen.is_empty() {
        return Err("no weakening has such a name".into());
    }
    if arguments.list {
        for one in chosen {
            println!("{one}");
        }
        return Ok(true);
    }
    if !is_root()? {
        return Err("the tests of attacks need user 0: run it as root".into());
    }
    let tests = match &arguments.tests {
        Some(tests) => tests.clone(),
        None => build("warren-tests", &["--bin", "warren-tests"])?,
    };
    weaken(&chosen, &tests)
}

fn weaken(chosen: &[&Weakening], tests: &Path) -> Result<bool> {
    let mut copy = Copy::of(&repository())?;
    let ordinary = copy.build()?;
    hold(chosen, tests, &ordinary)?;
    let mut missed = 0;
    for one in chosen {
        let begin = Instant::now();
        let outcome = one.outcome(&mut copy, tests);
        copy.restore()?;
        let seconds = begin.elapsed().as_secs();
        match outcome {
            Ok(()) => println!("noticed  {one} ({seconds} s)"),
            Err(why) => {
                missed += 1;
                println!("MISSED   {one} ({seconds} s): {why}");
            }
        }
    }
    println!("{} noticed, {missed} missed", chosen.len() - missed);
    Ok(missed == 0)
}

/// All tests pass on the build that is not weakened.
fn hold(chosen: &[&Weakening], tests: &Path, ordinary: &Path) -> Result<()> {
    let notices = chosen.iter().flat_map(|one| one.noticed_by);
    let all: BTreeSet<_> = notices.map(|one| (one.tier, one.test)).collect();
    println!("{} tests on the ordinary build", all.len());
    for (tier, test) in all {
        let (passed, said) = attack(tests, ordinary, tier, test)?;
        if !passed {
            return Err(format!("{test} fails on the ordinary build:\n{said}").into());
        }
    }
    Ok(())
}

impl Weakening {
    fn outcome(&self, copy: &mut Copy, tests: &Path) -> Result<()> {
        for change in self.changes {
            copy.change(change)?;
        }
        let weakened = copy.build()?;
        for notice in self.noticed_by {
            let (passed, said) = attack(tests, &weakened, notice.tier, notice.test)?;
            if passed {
                return Err(format!("{} passes", notice.test).into());
            }
            if !said.contains(notice.says) {
                let (test, says) = (notice.test, notice.says);
                let why = format!("{test} does not say {says:?}, but:\n{said}");
                return Err(why.into());
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Weakening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.attacks.join(", "))
    }
}

/// Runs one test: whether it passed, and what it said.
fn attack(tests: &Path, warren: &Path, tier: &str, test: &str) -> Result<(bool, String)> {
    let mut command = Command::new(tests);
    command.args(["--tier", tier, test]);
    // A build without optimisation, beside whatever else runs.
    command
        .env("WARREN_BIN", warren)
        .env("WARREN_TEST_PATIENCE", "4");
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("1 passed, 0 failed") && !said.contains("0 passed, 1 failed") {
        return Err(format!("{test} names no single test: {said}").into());
    }
    // One that has only left something has passed: it may be of others, who use the machine.
    let ends = ["  exit status: ", "  signal: ", "  took more than "];
    let is_end = |line: &str| ends.iter().any(|end| line.starts_with(end));
    let passed = !said.lines().any(is_end);
    Ok((passed, said.into_owned()))
}

/// Where the tests of a module are.
#[cfg(test)]
fn file_of(test: &str) -> Option<(PathBuf, &str)> {
    let (module, name) = test.rsplit_once("::")?;
    let path = format!("tests/src/{}.rs", module.replace("::", "/"));
    Some((repository().join(path), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: impl AsRef<Path>) -> String {
        let file = repository().join(file);
        std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    #[test]
    fn what_is_switched_off_is_there_once() {
        for one in WEAKENINGS {
            for change in one.changes {
                let count = text(change.file).matches(change.old).count();
                assert_eq!(count, 1, "{}, in {}: {}", one.name, change.file, change.old);
                assert_ne!(change.old, change.new, "{}", one.name);
            }
        }
    }

    #[test]
    fn each_is_noticed_by_a_test_that_is_there() {
        for one in WEAKENINGS {
            assert!(!one.noticed_by.is_empty(), "{}", one.name);
            for notice in one.noticed_by {
                let (file, name) = file_of(notice.test).expect("a module and a name");
                let function = format!("fn {name}()");
                assert!(text(file).contains(&function), "{}: {name}", one.name);
            }
        }
    }

    #[test]
    fn each_has_its_row_in_the_documentation() {
        let table = text("docs/runtime.md");
        let mut names = BTreeSet::new();
        for one in WEAKENINGS {
            assert!(names.insert(one.name), "{} is there twice", one.name);
            assert!(table.contains(&format!("`{}`", one.name)), "{}", one.name);
        }
    }
}
