//! `cargo xtask test`: the four tiers.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{build, cargo, is_root};
use crate::tally::{self, Tally};
use crate::{Result, faults, vm};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only this tier: 1 unit and documentation tests, 2 end to end as an ordinary user,
    /// 3 end to end as root, and every fault, 4 both of them in the virtual machine
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    tier: Option<u8>,
}

/// Runs the tiers; true if all passed. The last line is the sum of all.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let tiers = arguments
        .tier
        .map_or_else(|| vec![1, 2, 3, 4], |tier| vec![tier]);
    let mut results = Vec::new();
    for tier in tiers {
        println!("== tier {tier}: {}", name(tier));
        results.push((tier, run_tier(tier)));
    }
    Ok(summary(&results))
}

fn name(tier: u8) -> &'static str {
    match tier {
        1 => "unit and documentation tests",
        2 => "end to end, ordinary user",
        3 => "end to end, root; faults",
        _ => "end to end in the virtual machine",
    }
}

fn run_tier(tier: u8) -> Result<Tally> {
    match tier {
        1 => tally::run(cargo().args(["test", "--workspace"])),
        2 => end_to_end("user", &Binaries::build()?),
        3 if !is_root()? => Err("tier 3 needs user 0: run it as root".into()),
        3 => as_root(),
        _ => vm::test(),
    }
}

/// The end-to-end tests as root, and a run's every system call failing.
fn as_root() -> Result<Tally> {
    let binaries = Binaries::build()?;
    let mut sum = end_to_end("root", &binaries)?;
    println!("== tier 3: faults");
    sum += faults::test(&binaries.warren)?;
    Ok(sum)
}

/// The end-to-end tests on this machine.
fn end_to_end(tier: &str, binaries: &Binaries) -> Result<Tally> {
    let mut tests = Command::new(&binaries.tests);
    tests
        .args(["--tier", tier])
        .env("WARREN_BIN", &binaries.warren);
    tally::run(&mut tests)
}

/// What the end-to-end tests need, both static.
pub struct Binaries {
    /// As users get it: the release profile.
    pub warren: PathBuf,
    pub tests: PathBuf,
}

impl Binaries {
    pub fn build() -> Result<Self> {
        Ok(Self {
            warren: build("warren-cli", &["--release", "--bin", "warren"])?,
            tests: build("warren-tests", &["--bin", "warren-tests"])?,
        })
    }
}

/// Says each tier's result and, last, the sum; true if all is good.
fn summary(results: &[(u8, Result<Tally>)]) -> bool {
    let mut sum = Tally::default();
    let mut good = true;
    println!();
    for (tier, result) in results {
        match result {
            Ok(tally) => {
                println!("tier {tier} ({}): {tally}", name(*tier));
                good &= tally.is_good();
                sum += *tally;
            }
            Err(failure) => {
                println!("tier {tier} ({}): did not run: {failure}", name(*tier));
                good = false;
                sum.failed += 1;
            }
        }
    }
    println!("{sum}");
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::repository;

    #[test]
    fn a_tier_that_did_not_run_is_a_failure() {
        let good = Tally {
            passed: 3,
            failed: 0,
        };
        assert!(summary(&[(1, Ok(good))]));
        assert!(!summary(&[(1, Ok(good)), (3, Err("not root".into()))]));
        assert!(!summary(&[(1, Ok(good)), (2, Ok(Tally::default()))]));
    }

    #[test]
    fn the_readme_shows_the_last_lines() {
        let readme = std::fs::read_to_string(repository().join("README.md"));
        let readme = readme.expect("read README.md");
        for tier in 1..=4 {
            let line = format!("\ntier {tier} ({}): ... passed, 0 failed\n", name(tier));
            assert!(readme.contains(&line), "README.md lacks {line}");
        }
    }
}
