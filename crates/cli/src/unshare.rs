//! `warren unshare`: a command in new namespaces of the kinds named, and nothing else.

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_spawn::{Host, IdMapping, Mount, Namespaces, Plan, Spec};

use crate::failure::{self, Failure};
use crate::supervise;

/// Run a command in new namespaces of the kinds named, with everything else as it is
///
/// In a new pid namespace the command is pid 2: pid 1 is an init that reaps orphans and
/// passes signals on.
#[derive(Debug, Parser)]
#[command(
    name = "warren unshare",
    bin_name = "warren unshare",
    override_usage = "warren unshare [OPTIONS] [--] [CMD [ARGS]...]"
)]
struct Arguments {
    /// Mount points
    #[arg(short, long, help_heading = "Kinds")]
    mount: bool,
    /// Host name
    #[arg(short, long, help_heading = "Kinds")]
    uts: bool,
    /// System V IPC and message queues
    #[arg(short, long, help_heading = "Kinds")]
    ipc: bool,
    /// Network devices, addresses and ports
    #[arg(short, long, help_heading = "Kinds")]
    net: bool,
    /// Process ids
    #[arg(short, long, help_heading = "Kinds")]
    pid: bool,
    /// User and group ids, capabilities
    #[arg(short = 'U', long, help_heading = "Kinds")]
    user: bool,
    /// The root of the cgroup tree
    #[arg(short = 'C', long, help_heading = "Kinds")]
    cgroup: bool,
    /// Offsets of the clocks
    #[arg(short = 'T', long, help_heading = "Kinds")]
    time: bool,
    /// All eight
    #[arg(short, long, help_heading = "Kinds")]
    all: bool,

    /// Be root in a new user namespace (implies --user)
    #[arg(short = 'r', long, conflicts_with_all = ["map_current_user", "map"])]
    map_root_user: bool,
    /// Be oneself in a new user namespace (implies --user)
    #[arg(short = 'c', long, conflicts_with = "map")]
    map_current_user: bool,
    /// Ids inside: auto, or INSIDE:OUTSIDE:COUNT for users and groups alike (implies
    /// --user)
    #[arg(long, value_name = "MAP")]
    map: Vec<String>,
    /// Mount a procfs of the new pid namespace at /proc (implies --mount)
    #[arg(long)]
    mount_proc: bool,
    /// Run CMD as pid 1 itself, without the reaping init
    #[arg(long)]
    no_init: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// The command and its arguments; the shell, if none is given
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let host = Host::probe();
    let plan = Plan::new(&spec(&arguments, &host)?, &host)?;
    if arguments.plan {
        failure::print(&plan.to_string())?;
        return Ok(0);
    }
    supervise::run(plan, false)
}

fn spec(arguments: &Arguments, host: &Host) -> Result<Spec, Failure> {
    let kinds = kinds(arguments);
    if kinds.is_empty() {
        return Err(Failure::usage("no kind of namespace is named")
            .hint("name some, or --all: warren unshare --user --net -- CMD"));
    }
    let proc = Mount::Proc {
        target: "/proc".into(),
        masked: false,
    };
    Ok(Spec {
        namespaces: Namespaces::new_of(kinds),
        id_map: id_map(arguments, kinds, host)?,
        mounts: if arguments.mount_proc {
            vec![proc]
        } else {
            Vec::new()
        },
        env: std::env::vars_os().collect(),
        argv: command(&arguments.command),
        parent_death_signal: Some(supervise::KILL),
        no_init: arguments.no_init,
        ..Spec::default()
    })
}

fn kinds(arguments: &Arguments) -> NamespaceSet {
    let maps = arguments.map_root_user || arguments.map_current_user;
    let named = [
        (Kind::Mnt, arguments.mount || arguments.mount_proc),
        (Kind::Net, arguments.net),
        (Kind::Ipc, arguments.ipc),
        (
            Kind::User,
            arguments.user || maps || !arguments.map.is_empty(),
        ),
        (Kind::Pid, arguments.pid),
        (Kind::Uts, arguments.uts),
        (Kind::Cgroup, arguments.cgroup),
        (Kind::Time, arguments.time),
    ];
    let named = named
        .into_iter()
        .filter(|(_, named)| *named || arguments.all);
    named.map(|(kind, _)| kind).collect()
}

/// Without a word about ids none is mapped, as unshare(1) has it: the command is nobody.
fn id_map(
    arguments: &Arguments,
    kinds: NamespaceSet,
    host: &Host,
) -> Result<IdMapping, Failure> {
    let to = |uid: u32, gid: u32| IdMapping::Explicit {
        uids: vec![IdMap::single(uid, host.uid)],
        gids: vec![IdMap::single(gid, host.gid)],
    };
    if arguments.map_root_user {
        return Ok(to(0, 0));
    }
    if arguments.map_current_user {
        return Ok(to(host.uid, host.gid));
    }
    match arguments.map.as_slice() {
        [] if kinds.contains(Kind::User) => Ok(IdMapping::Unmapped),
        [] => Ok(IdMapping::Auto),
        words => crate::run::id_map(words, true),
    }
}

/// The command, or the user's shell.
pub fn command(words: &[OsString]) -> Vec<OsString> {
    if !words.is_empty() {
        return words.to_vec();
    }
    vec![shell()]
}

/// The user's shell.
pub fn shell() -> OsString {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    shell.unwrap_or_else(|| "/bin/sh".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_map_and_a_procfs_bring_their_namespaces() {
        let parse = |line: &str| {
            kinds(&Arguments::try_parse_from(line.split(' ')).expect("a good line"))
        };
        assert_eq!(parse("unshare -r -n true").to_string(), "net,user");
        assert_eq!(parse("unshare --mount-proc -p true").to_string(), "mnt,pid");
        assert_eq!(parse("unshare -a true"), NamespaceSet::ALL);
    }
}
