//! The closing lines of test runners, and their sum.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::ops::{Add, AddAssign};
use std::process::{Command, Stdio};

use crate::Result;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
}

impl Tally {
    /// Reads `N passed, N failed`, or cargo's `test result: ok. N passed; N failed; ...`.
    pub fn of_line(line: &str) -> Option<Self> {
        let counts = match line.strip_prefix("test result: ") {
            Some(result) => result.split_once(". ")?.1,
            None => line,
        };
        let (passed, rest) = counts.split_once(" passed")?;
        let rest = rest.strip_prefix([',', ';'])?.trim_start();
        let (failed, _) = rest.split_once(" failed")?;
        Some(Self {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }

    /// Something passed and nothing failed.
    pub fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a test runner, passing its output on, and adds up its closing lines. A runner that
/// fails without having counted a failure counts as one.
pub fn run(command: &mut Command) -> Result<Tally> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start {name}: {error}"))?;
    let mut sum = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            writeln!(std::io::stdout(), "{line}")?;
            sum += Tally::of_line(&line).unwrap_or_default();
        }
    }
    let status = child.wait()?;
    if !status.success() && sum.failed == 0 {
        println!("{name}: {status}");
        sum.failed = 1;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_closing_lines_are_read() {
        let tally = Some(Tally {
            passed: 12,
            failed: 3,
        });
        assert_eq!(Tally::of_line("12 passed, 3 failed"), tally);
        let cargo = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!(Tally::of_line(cargo), tally);
    }

    #[test]
    fn other_lines_are_not() {
        for line in ["", "ok run::passed, failed", "no tests passed", "3 passed"] {
            assert_eq!(Tally::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn nothing_run_is_not_good() {
        assert!(!Tally::default().is_good());
        assert!(
            Tally {
                passed: 1,
                failed: 0
            }
            .is_good()
        );
        assert!(
            !Tally {
                passed: 9,
                failed: 1
            }
            .is_good()
        );
    }
}
