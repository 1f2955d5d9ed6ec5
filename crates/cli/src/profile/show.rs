//! `warren profile show`.

use serde::Serialize;
use warren_profile::{Loaded, Origin, Profile};
use warren_spawn::{Host, Plan};

use crate::failure::{self, Failure};
use crate::{json, run, terminal};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Shown<'a> {
    version: u32,
    /// Those that are part of Warren by name, the others by path.
    files: Vec<String>,
    profile: &'a Profile,
    plan: Option<Vec<String>>,
    error: Option<String>,
}

pub fn run(words: &[String], as_json: bool) -> Result<u8, Failure> {
    let loaded = super::load(words)?;
    let plan = plan(words);
    let text = match as_json {
        true => json::text(&shown(&loaded, &plan))?,
        false => text(&loaded, &plan),
    };
    failure::print(&text)?;
    Ok(0)
}

/// The steps of a run with it, a line each.
fn plan(words: &[String]) -> Result<Vec<String>, Failure> {
    let host = Host::probe();
    let spec = run::spec_with_profiles(words, &host)?;
    let plan = Plan::new(&spec, &host)?.to_string();
    Ok(plan.lines().map(terminal::printable).collect())
}

fn shown<'a>(loaded: &'a Loaded, plan: &Result<Vec<String>, Failure>) -> Shown<'a> {
    Shown {
        version: VERSION,
        files: loaded.origins.iter().map(Origin::to_string).collect(),
        profile: &loaded.profile,
        plan: plan.as_ref().ok().cloned(),
        error: plan.as_ref().err().map(Failure::to_string),
    }
}

/// A profile again, with everything else in comments.
fn text(loaded: &Loaded, plan: &Result<Vec<String>, Failure>) -> String {
    let files = loaded.origins.iter().map(Origin::to_string);
    let files: Vec<String> = files.map(|file| terminal::printable(&file)).collect();
    let mut text = format!("# {}\n", files.join(", then "));
    for line in loaded.profile.to_string().lines() {
        text.push_str(&terminal::printable(line));
        text.push('\n');
    }
    match plan {
        Ok(steps) => {
            text.push_str("\n# A run of `true` with it, here:\n");
            steps
                .iter()
                .for_each(|step| text.push_str(&format!("# {step}\n")));
        }
        Err(failure) => {
            let why = terminal::printable(&failure.to_string());
            text.push_str(&format!("\n# A run with it is refused here: {why}\n"));
        }
    }
    text
}
