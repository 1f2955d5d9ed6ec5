//! `warren enter`: a command in the namespaces of a process.

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{Kind, NamespaceSet, ProcRoot, namespaces_of};
use warren_spawn::{Host, Join, Namespace, Namespaces, Plan, Spec, User};

use crate::failure::{self, Failure};
use crate::{supervise, unshare};

/// Run a command in the namespaces of a process
///
/// Those that differ from the caller's are entered. In another user namespace the command
/// is its root, if it has one.
#[derive(Debug, Parser)]
#[command(
    name = "warren enter",
    bin_name = "warren enter",
    override_usage = "warren enter [OPTIONS] PID [--] [CMD [ARGS]...]"
)]
struct Arguments {
    /// Enter these kinds only
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// The process whose namespaces are entered
    #[arg(value_name = "PID")]
    target: u32,
    /// The command and its arguments; the shell, if none is given
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let plan = Plan::new(&spec(&arguments, &proc)?, &Host::probe())?;
    if arguments.plan {
        failure::print(&plan.to_string())?;
        return Ok(0);
    }
    supervise::run(plan, false)
}

fn spec(arguments: &Arguments, proc: &ProcRoot) -> Result<Spec, Failure> {
    let kinds = different_kinds(arguments, proc)?;
    if kinds.is_empty() {
        return Err(Failure::new(format!(
            "enter process {}: its namespaces are the caller's",
            arguments.target
        ))
        .hint("`warren ls` shows which processes live in others"));
    }
    let mut namespaces = Namespaces::default();
    for kind in kinds.iter() {
        namespaces.set(kind, Namespace::Join(Join::Process(arguments.target)));
    }
    Ok(Spec {
        namespaces,
        env: std::env::vars_os().collect(),
        argv: unshare::command(&arguments.command),
        user: if kinds.contains(Kind::User) {
            root_of(arguments.target, proc)
        } else {
            None
        },
        parent_death_signal: Some(supervise::KILL),
        ..Spec::default()
    })
}

/// The kinds in which the target lives elsewhere.
fn different_kinds(
    arguments: &Arguments,
    proc: &ProcRoot,
) -> Result<NamespaceSet, Failure> {
    let target = arguments.target;
    let of = |pid: u32| {
        namespaces_of(proc, pid)
            .map_err(|error| Failure::new(format!("enter process {pid}: {error}")))
    };
    let theirs = of(target).map_err(|failure| {
        failure
            .hint("a process of another user, or with capabilities that the caller lacks, takes root")
            .hint("`warren ls` shows the processes and their namespaces")
    })?;
    let ours = of(std::process::id())?;
    let wanted =
        |kind: &Kind| arguments.kinds.is_empty() || arguments.kinds.contains(kind);
    Ok(theirs
        .different_from(&ours)
        .map(|(kind, _)| kind)
        .filter(wanted)
        .collect())
}

/// Root of the target's user namespace, if an id is mapped to it. Its groups can be given
/// up where the map was written with privilege.
pub(crate) fn root_of(target: u32, proc: &ProcRoot) -> Option<User> {
    let text = |name: &str| {
        let bytes = proc.read(&format!("{target}/{name}")).ok()?;
        String::from_utf8(bytes).ok()
    };
    let has_root = |name| {
        let map = warren_namespaces::IdMap::parse_file(&text(name)?).ok()?;
        map.iter().any(|line| line.inside == 0).then_some(())
    };
    has_root("uid_map").and(has_root("gid_map"))?;
    let may_set_groups = text("setgroups")?.trim() == "allow";
    Some(User {
        uid: 0,
        gid: 0,
        groups: may_set_groups.then(Vec::new),
    })
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
