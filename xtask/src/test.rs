//! `cargo xtask test`: the four tiers.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::command::{build, cargo, is_root};
use crate::tally::{self, Tally};
use crate::{Failure, Result, faults, vm};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only this tier: 1 unit and documentation tests, 2 end to end as an ordinary user,
    /// 3 end to end as root, and every fault, 4 both of them in the virtual machine
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    tier: Option<u8>,
}

/// Runs the tiers; true if all passed. The last line is the sum of all.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let results = match arguments.tier {
        Some(tier) => {
            println!("== tier {tier}: {}", name(tier));
            vec![(tier, run_tier(tier))]
        }
        None => run_all()?,
    };
    Ok(summary(&results))
}

/// Runs all tiers. The virtual machine, which leaves half of this one idle, runs beside what
/// measures no time; its lines begin with `vm| `.
fn run_all() -> Result<Vec<(u8, Result<Tally>)>> {
    let binaries = Binaries::build()?;
    println!("== tier 4: {}, beside the next two", name(4));
    let (tier_1, faults, tier_4) = thread::scope(|scope| {
        let machine =
            scope.spawn(|| vm::test(&binaries).map_err(|failure| failure.to_string()));
        println!("== tier 1: {}", name(1));
        let tier_1 = run_tier(1);
        println!("== tier 3: faults");
        let faults = faults_as_root(&binaries);
        println!("== tier 4 goes on alone");
        let tier_4 = machine.join().map_err(|_| "its thread panicked".to_owned());
        (tier_1, faults, tier_4.flatten().map_err(Failure::from))
    });
    println!("== tier 2: {}", name(2));
    let tier_2 = end_to_end("user", &binaries);
    println!("== tier 3: {}", name(3));
    let tier_3 = faults.and_then(|faults| Ok(faults + end_to_end("root", &binaries)?));
    Ok(vec![(1, tier_1), (2, tier_2), (3, tier_3), (4, tier_4)])
}

fn name(tier: u8) -> &'static str {
    match tier {
        1 => "unit and documentation tests",
        2 => "end to end, ordinary user",
        3 => "faults; end to end, root",
        _ => "end to end in the virtual machine",
    }
}

fn run_tier(tier: u8) -> Result<Tally> {
    match tier {
        1 => tally::run(cargo().args(["test", "--workspace"])),
        2 => end_to_end("user", &Binaries::build()?),
        3 => {
            let binaries = Binaries::build()?;
            let faults = faults_as_root(&binaries)?;
            Ok(faults + end_to_end("root", &binaries)?)
        }
        _ => vm::test(&Binaries::build()?),
    }
}

/// A run's every system call failing.
fn faults_as_root(binaries: &Binaries) -> Result<Tally> {
    if !is_root()? {
        return Err("tier 3 needs user 0: run it as root".into());
    }
    faults::test(&binaries.warren)
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
