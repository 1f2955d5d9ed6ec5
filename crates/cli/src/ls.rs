//! `warren ls`: which namespaces there are, and which processes are in them.

pub mod complete;
mod groups;
mod json;
mod namespaces;
mod tree;

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{Kind, MountScope, NamespaceSet, ProcRoot, Scope, Snapshot};

use crate::failure::{Failure, print};
use crate::overview::Overview;
use crate::terminal;
use crate::words::Users;

/// Lists the namespaces of this machine and the processes in them.
///
/// Processes that have the same namespaces form one line, the host's first: a container
/// is one line, which --tree opens. NAMESPACES are those that the processes have to
/// themselves; what they have in common with an earlier line is named with its PID.
/// What keeps namespaces alive in which no process is has a line too. The last line
/// says whether everything could be read.
#[derive(Debug, Parser)]
#[command(name = "warren ls", bin_name = "warren ls")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Print every namespace on a line, the host's own too
    #[arg(long)]
    all: bool,

    /// Print each namespace with all that keeps it alive; the host's own with --all
    #[arg(long)]
    held_by: bool,

    /// Print JSON, as docs/json.md describes it
    #[arg(long, conflicts_with_all = ["tree", "all", "held_by"])]
    json: bool,

    /// Print what stands in what by user and pid namespaces, with ids and processes
    #[arg(long, conflicts_with_all = ["all", "held_by"])]
    tree: bool,

    /// Look only at the first thread of each process and at the mounts here: not at
    /// descriptors, sockets, owners, nor what a container is called
    #[arg(long, conflicts_with_all = ["tree", "held_by", "json"])]
    fast: bool,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let kinds = kinds(&arguments.kinds);
    let snapshot = snapshot_of(if arguments.fast { fast() } else { Scope::ALL })?;
    let width = terminal::width();
    let text = if arguments.json {
        json::render(&snapshot, kinds)?
    } else {
        readable(&arguments, &snapshot, kinds, width)
            + &complete::footer(&snapshot, arguments.fast, width)
    };
    print(&text)?;
    Ok(0)
}

fn readable(
    arguments: &Arguments,
    snapshot: &Snapshot,
    kinds: NamespaceSet,
    width: Option<usize>,
) -> String {
    let users = Users::read();
    if arguments.all || arguments.held_by {
        let rows = namespaces::Rows {
            hosts_too: arguments.all,
            every_holder: arguments.held_by,
        };
        return namespaces::render(snapshot, kinds, &users, rows, width);
    }
    let overview = Overview::new(snapshot, kinds, &users);
    if arguments.tree {
        tree::render(snapshot, &overview, width)
    } else {
        groups::render(&overview, kinds, width)
    }
}

/// All kinds if none is named.
pub fn kinds(named: &[Kind]) -> NamespaceSet {
    match named {
        [] => NamespaceSet::ALL,
        kinds => kinds.iter().copied().collect(),
    }
}

/// The namespaces of this machine, now.
pub fn snapshot() -> Result<Snapshot, Failure> {
    snapshot_of(Scope::ALL)
}

/// What every process shows at once: the cheapest look that names who is where.
fn fast() -> Scope {
    let mut scope = Scope::MEMBERS;
    scope.mounts = MountScope::Own;
    scope.commands = true;
    scope
}

fn snapshot_of(scope: Scope) -> Result<Snapshot, Failure> {
    let take = || Snapshot::take_with(&ProcRoot::open()?, scope);
    take().map_err(|error: warren_namespaces::Error| {
        let is_root = error.object() == "/proc";
        let failure = Failure::new(error);
        if is_root {
            return failure.hint("mount procfs there: mount -t proc proc /proc");
        }
        failure
    })
}
