//! `warren limits`: what a group of processes may use, uses, and waits for.

mod json;
mod text;
pub mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use warren_cgroups::{
    Cgroup, Frozen, Hierarchies, Limits, Pressure, Stat, Usage, of_process,
};
use warren_namespaces::{ProcRoot, Target};
use warren_sys::Errno;

use crate::failure::{Failure, print};
use crate::show::subject::Subject;
use crate::terminal;
pub use json::{cpu_weight, io_weight};

/// Shows and changes what a group of processes may use
///
/// The group is the control group of TARGET: a pid, or the name of a container, a unit or
/// kept namespaces. Limits are shown under their names of cgroup v2, be the group on v1 or v2.
#[derive(Debug, Parser)]
#[command(name = "warren limits", bin_name = "warren limits")]
struct Arguments {
    /// Change a limit: memory.max=1G, cpu.max=0.5, pids.max=max
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// Stop all processes of the group
    #[arg(long, conflicts_with = "thaw")]
    freeze: bool,

    /// Let them go on
    #[arg(long)]
    thaw: bool,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,

    /// Whose group it is
    #[arg(value_name = "TARGET")]
    target: Target,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let wanted = wanted(&arguments.set)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let found = Found::of(&proc, &arguments.target)?;
    if arguments.changes() {
        return change(&found, &arguments, &wanted);
    }
    let view = View::take(&found);
    let text = if arguments.json {
        json::render(&view)?
    } else {
        text::render(&view, terminal::width())
    };
    print(&text)?;
    Ok(0)
}

impl Arguments {
    fn changes(&self) -> bool {
        !self.set.is_empty() || self.freeze || self.thaw
    }
}

fn wanted(assignments: &[String]) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    for text in assignments {
        let (name, value) = words::assignment("--set", text)?;
        words::set(&mut limits, "--set", name, value)?;
    }
    Ok(limits)
}

/// The group of a target, open.
struct Found {
    name: String,
    group: Cgroup,
    usage: Usage,
    is_root: bool,
}

impl Found {
    fn of(proc: &ProcRoot, target: &Target) -> Result<Self, Failure> {
        let subject = Subject::find(proc, target)?;
        let none = || {
            let name = &subject.name;
            Failure::new(format!(
                "find the control group of {name}: no process is there"
            ))
        };
        let process = subject.process.as_ref().ok_or_else(none)?;
        let pid = process.pid;
        let open = || {
            let hierarchies = Hierarchies::detect(proc)?;
            let memberships = of_process(proc, pid)?;
            let usage = warren_cgroups::usage(&hierarchies, &memberships);
            let group = Cgroup::of_process(&hierarchies, proc, pid)?;
            let is_root = warren_cgroups::is_in_none(&hierarchies, proc, pid)?;
            Ok((group, usage, is_root))
        };
        let (group, usage, is_root) = open().map_err(failed)?;
        // Its number may have gone to another meanwhile.
        if !process.lives() {
            return Err(none());
        }
        Ok(Self {
            name: subject.name.clone(),
            group,
            usage,
            is_root,
        })
    }
}

fn change(found: &Found, arguments: &Arguments, wanted: &Limits) -> Result<u8, Failure> {
    if found.is_root {
        return Err(Failure::new(format!(
            "limit {}: it is in no control group but the first, which has no limits",
            found.name
        ))
        .hint("`warren run` and `systemd-run` make groups of their own"));
    }
    if !wanted.is_empty() {
        found.group.set(wanted).map_err(failed)?;
    }
    if arguments.freeze {
        if found.group.shares_freezer().map_err(failed)? {
            return Err(Failure::new(format!(
                "freeze {}: the caller is in the same control group",
                found.name
            )));
        }
        found.group.freeze().map_err(failed)?;
    }
    if arguments.thaw {
        found.group.thaw().map_err(failed)?;
    }
    Ok(0)
}

fn failed(error: warren_cgroups::Error) -> Failure {
    let failure = Failure::new(&error);
    match error.errno() {
        _ if !error.limits().is_empty() => failure,
        Errno::ACCESS | Errno::PERM => {
            failure.hint("control groups are root's, and of whom they are delegated to")
        }
        _ => failure,
    }
}

/// All that is shown.
struct View {
    name: String,
    groups: Vec<PathBuf>,
    frozen: bool,
    limits: Limits,
    stat: Stat,
    /// What the groups above allow too.
    usage: Usage,
    pressure: Pressure,
}

impl View {
    fn take(found: &Found) -> Self {
        Self {
            name: found.name.clone(),
            groups: found.group.paths(),
            frozen: found.group.frozen() == Frozen::Yes,
            limits: found.group.limits(),
            stat: found.group.stat(),
            usage: found.usage.clone(),
            pressure: found.group.pressure(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
