//! `warren doctor`: what this machine allows, why it matters, what to do.

mod cgroup;
mod facts;
mod ids;
mod isolation;
mod kernel;
mod report;
mod tools;
mod trial;

use std::ffi::OsString;

use clap::Parser;
use serde::Serialize;

use crate::failure::{Failure, print};
use crate::{json, terminal};
use facts::Facts;

/// Says what this machine allows the calling user, and what to do about the rest.
///
/// `ok` is as it should be. `missing` costs a feature, which the lines below it name.
/// `fails` keeps `warren run` from working at all. The exit code is 0 if nothing
/// fails, else 1.
#[derive(Debug, Parser)]
#[command(name = "warren doctor", bin_name = "warren doctor")]
struct Arguments {
    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Missing,
    Fails,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    state: State,
    found: String,
    why: &'static str,
    fix: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>, why: &'static str) -> Self {
        Self {
            name: name.into(),
            state: State::Ok,
            found: found.into(),
            why,
            fix: None,
        }
    }

    /// The same with another outcome, and what the user or administrator can do.
    fn but(mut self, state: State, fix: impl Into<String>) -> Self {
        self.state = state;
        self.fix = Some(fix.into());
        self
    }
}

/// Checks that belong together.
#[derive(Debug, Serialize)]
struct Section {
    name: &'static str,
    checks: Vec<Check>,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let facts = Facts::gather()?;
    let mut sections = vec![
        kernel::section(&facts),
        ids::section(&facts)?,
        cgroup::section(&facts)?,
        tools::section(&facts),
    ];
    // Last, since it moves this process into namespaces of its own.
    sections.insert(1, isolation::section(&facts, &trial::run()));
    let works = !sections
        .iter()
        .flat_map(|section| &section.checks)
        .any(|check| check.state == State::Fails);
    print(&if arguments.json {
        json::text(&Report {
            version: VERSION,
            run_works: works,
            uid: facts.uid,
            sections,
        })?
    } else {
        report::render(&sections, facts.uid, terminal::width(), terminal::colour())
    })?;
    Ok(u8::from(!works))
}

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    version: u32,
    run_works: bool,
    uid: u32,
    sections: Vec<Section>,
}
