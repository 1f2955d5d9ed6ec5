//! `warren profile check`.

use std::path::Path;

use rustix::process::{Resource as Limited, getrlimit};
use serde::Serialize;
use warren_confine::Resource;
use warren_confine::landlock::Landlock;
use warren_profile::{Loaded, Map, Origin, Profile};
use warren_spawn::{Host, Plan};

use crate::failure::{self, Failure};
use crate::{json, run, terminal};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Checked {
    version: u32,
    files: Vec<String>,
    ok: bool,
    problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// A run fails.
    Error,
    /// A run does less than is written.
    Warning,
}

#[derive(Debug, Serialize)]
struct Problem {
    level: Level,
    key: Option<String>,
    text: String,
    hints: Vec<String>,
}

impl Problem {
    fn warning(key: &str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            key: Some(key.to_owned()),
            text: text.into(),
            hints: vec![hint.into()],
        }
    }

    fn error(failure: &Failure) -> Self {
        Self {
            level: Level::Error,
            key: None,
            text: failure.to_string(),
            hints: failure.hints().to_vec(),
        }
    }
}

pub fn run(words: &[String], as_json: bool) -> Result<u8, Failure> {
    let checked = match super::load(words) {
        Ok(loaded) => checked(&loaded, words)?,
        Err(failure) => Checked {
            version: VERSION,
            files: Vec::new(),
            ok: false,
            problems: vec![Problem::error(&failure)],
        },
    };
    let text = match as_json {
        true => json::text(&checked)?,
        false => text(&checked, words),
    };
    failure::print(&text)?;
    Ok(u8::from(!checked.ok))
}

fn checked(loaded: &Loaded, words: &[String]) -> Result<Checked, Failure> {
    let host = Host::probe();
    let mut problems = absent_paths(&loaded.profile)?;
    let is_absent = !problems.is_empty();
    problems.extend(self_written(loaded)?);
    problems.extend(limits(&loaded.profile, &host));
    problems.extend(network(&loaded.profile));
    problems.extend(landlock(&loaded.profile, &host));
    problems.extend(starting(&loaded.profile));
    let planned = run::spec_with_profiles(words, &host)
        .and_then(|spec| Ok(Plan::new(&spec, &host).map(drop)?));
    match planned {
        // Said already, and not the profile's fault on another machine.
        Err(_) if is_absent => {}
        Err(failure) => problems.push(Problem::error(&failure)),
        Ok(()) => {}
    }
    Ok(Checked {
        version: VERSION,
        files: loaded.origins.iter().map(Origin::to_string).collect(),
        ok: problems
            .iter()
            .all(|problem| problem.level == Level::Warning),
        problems,
    })
}

/// Paths that a run would miss.
fn absent_paths(profile: &Profile) -> Result<Vec<Problem>, Failure> {
    // What it says of a text without value, the plan says too.
    let shown = profile.files.shown(&super::caller()?).unwrap_or_default();
    let absent = shown
        .into_iter()
        .filter(|shown| shown.key != "files.tmpfs" && shown.path.metadata().is_err());
    let absent = absent.map(|shown| {
        let path = shown.path.display();
        Problem::warning(
            shown.key,
            format!("{path} is not there, and a run fails"),
            format!("\"?{}\" leaves it out where it is not there", shown.text),
        )
    });
    Ok(absent.collect())
}

/// Files of the profile that its own command could change.
fn self_written(loaded: &Loaded) -> Result<Vec<Problem>, Failure> {
    let shown = loaded
        .profile
        .files
        .shown(&super::caller()?)
        .unwrap_or_default();
    let is_written = |path: &Path| {
        // What lies on the longest path decides.
        let around = shown
            .iter()
            .rev()
            .find(|shown| path.starts_with(&shown.path));
        around.is_some_and(|shown| shown.key == "files.write")
    };
    let mut problems = Vec::new();
    for origin in &loaded.origins {
        let Origin::File(file) = origin else { continue };
        let Ok(file) = file.canonicalize() else {
            continue;
        };
        if is_written(&file) {
            problems.push(Problem::warning(
                "files.write",
                format!("the command can change {} itself", file.display()),
                "it would then decide what the next run may have: keep the profile elsewhere",
            ));
        }
    }
    Ok(problems)
}

/// Limits that cannot be set, or hold nobody.
fn limits(profile: &Profile, host: &Host) -> Vec<Problem> {
    let key = |resource| match resource {
        Resource::Cpu => ("limits.cpu-time", Limited::Cpu),
        Resource::Fsize => ("limits.file-size", Limited::Fsize),
        Resource::Nofile => ("limits.open-files", Limited::Nofile),
        Resource::Nproc => ("limits.processes", Limited::Nproc),
        _ => ("limits.address-space", Limited::As),
    };
    let mut problems = Vec::new();
    for limit in profile.limits.rlimits() {
        let (key, resource) = key(limit.resource);
        let Some(hard) = getrlimit(resource).maximum else {
            continue;
        };
        if limit.hard.is_none_or(|value| value > hard) {
            problems.push(Problem::warning(
                key,
                format!("the caller's own hard limit is {hard}, and a run fails"),
                "only root can give more than it has",
            ));
        }
    }
    let is_root = host.uid == 0 && profile.process.map == Some(Map::Single);
    if profile.limits.processes.is_some() && is_root {
        problems.push(Problem::warning(
            "limits.processes",
            "the kernel does not limit the processes of uid 0",
            "process.map = \"auto\" gives the command ids of its own",
        ));
    }
    problems
}

/// Hosts, which no engine tells apart.
fn network(profile: &Profile) -> Vec<Problem> {
    let targets = profile.network.connect.iter().flatten();
    let hosts: Vec<String> = targets
        .filter(|target| target.host.is_some())
        .map(ToString::to_string)
        .collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    vec![Problem::warning(
        "network.connect",
        format!(
            "of {} the port is held, and the host is not",
            hosts.join(", ")
        ),
        "Landlock knows ports alone",
    )]
}

/// A second wall that this kernel has not, or not all of. Where it is required the plan
/// has the words.
fn landlock(profile: &Profile, host: &Host) -> Option<Problem> {
    let is_wanted = profile.landlock == Some(true) && profile.require.is_empty();
    let wanted = Landlock {
        required: true,
        ports: None,
    };
    let lack = wanted.check(host.landlock()).err().filter(|_| is_wanted)?;
    let text = format!("{lack}; the mounts hold alone");
    Some(Problem::warning("landlock", text, lack.way_out()))
}

/// A filter that refuses the call by which the command is started.
fn starting(profile: &Profile) -> Option<Problem> {
    let filter = profile.syscalls.profile().ok().flatten()?;
    let of_start = filter.rules.iter().find(|rule| {
        rule.conditions.is_empty() && rule.names.iter().any(|name| name == "execve")
    });
    let action = of_start.map_or(filter.default, |rule| rule.action);
    match action {
        warren_confine::Action::Allow | warren_confine::Action::Log => None,
        _ => Some(Problem {
            level: Level::Error,
            key: Some("syscalls".to_owned()),
            text: "execve is refused, by which the command is started".to_owned(),
            hints: vec!["allow @process".to_owned()],
        }),
    }
}

fn text(checked: &Checked, words: &[String]) -> String {
    let mut text = String::new();
    for problem in &checked.problems {
        let level = match problem.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let key = problem.key.as_ref().map(|key| format!("{key}: "));
        let key = key.unwrap_or_default();
        text.push_str(&format!("{level}: {key}{}\n", problem.text));
        for hint in &problem.hints {
            text.push_str(&format!("hint: {hint}\n"));
        }
    }
    if checked.ok {
        text.push_str(&format!("{}: good\n", words.join(" ")));
    }
    let lines = text.lines().map(terminal::printable);
    lines.map(|line| line + "\n").collect()
}
