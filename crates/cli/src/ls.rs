//! `warren ls`: which namespaces there are, and which processes are in them.

mod json;
mod table;
mod tree;

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{
    Holder, Kind, Namespace, NamespaceSet, Part, Process, Snapshot, Unreadable, View,
};

use crate::failure::{Failure, print};
use crate::terminal;

/// Lists the namespaces of this machine and the processes in them.
///
/// Processes that have the same namespaces form one line; the first line is the host
/// itself. A namespace that no process is in has a line that says what keeps it
/// alive. The last line says whether everything could be read.
#[derive(Debug, Parser)]
#[command(name = "warren ls", bin_name = "warren ls")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Print JSON, as docs/json.md describes it
    #[arg(long, conflicts_with = "tree")]
    json: bool,

    /// Print each user namespace with the namespaces it owns; for `pid` alone, each
    /// pid namespace with its children
    #[arg(long)]
    tree: bool,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let kinds = match arguments.kinds.as_slice() {
        [] => NamespaceSet::ALL,
        kinds => kinds.iter().copied().collect(),
    };
    let snapshot = Snapshot::take().map_err(no_snapshot)?;
    let width = terminal::width();
    let text = if arguments.json {
        json::render(&snapshot, kinds)?
    } else if arguments.tree {
        tree::render(&snapshot, kinds, width) + &footer(&snapshot, width)
    } else {
        table::render(&snapshot, kinds, width) + &footer(&snapshot, width)
    };
    print(&text)?;
    Ok(0)
}

fn no_snapshot(error: warren_namespaces::Error) -> Failure {
    let is_root = error.object() == "/proc";
    let failure = Failure::new(error);
    if is_root {
        return failure.hint("mount procfs there: mount -t proc proc /proc");
    }
    failure
}

/// `1 process`, `2 processes`.
fn count(number: usize, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {more}"),
    }
}

/// The command line of a process; its name in brackets, as ps(1) does it, where it
/// has none.
fn command(process: &Process) -> String {
    match process.command.as_deref() {
        Some(command) if !command.is_empty() => terminal::printable(command),
        _ => format!("[{}]", terminal::printable(&process.comm)),
    }
}

/// `net:4026531840`.
fn label(namespace: &Namespace) -> String {
    format!("{}:{}", namespace.kind, namespace.id.inode)
}

/// Why a namespace without a running process is still there.
fn kept_by(snapshot: &Snapshot, namespace: &Namespace) -> String {
    let Some(first) = namespace.held_by.first() else {
        return "kept by something that is out of sight".to_owned();
    };
    let name = |pid: u32| match snapshot.process(pid) {
        Some(process) => format!("{pid} ({})", terminal::printable(&process.comm)),
        None => pid.to_string(),
    };
    let mut text = match first {
        Holder::Process { pid } => format!("kept by the ended process {}", name(*pid)),
        Holder::Thread { pid, tid } => format!("kept by thread {tid} of {}", name(*pid)),
        Holder::NextChildren { pid, .. } => {
            format!("for the next child of {}", name(*pid))
        }
        Holder::Descriptor { pid, fd } => {
            format!("kept by descriptor {fd} of {}", name(*pid))
        }
        Holder::Socket { pid, fd } => {
            format!("kept by socket {fd} of {}", name(*pid))
        }
        Holder::Mount { path, namespace } => {
            let path = terminal::printable(&path.to_string_lossy());
            match namespace {
                None => format!("kept by the mount {path}"),
                Some(id) => format!("kept by the mount {path} in mnt:{}", id.inode),
            }
        }
        Holder::Child { kind, id } => {
            format!("kept by what it owns, {kind}:{}", id.inode)
        }
        _ => "kept by something new".to_owned(),
    };
    if namespace.held_by.len() > 1 {
        text.push_str(&format!(" and {} more", namespace.held_by.len() - 1));
    }
    text
}

/// Who asks, which decides what would make the picture whole.
#[derive(Clone, Copy)]
enum Asker {
    User,
    RootOfNamespace,
    Root,
}

/// The last line, or lines where the terminal is narrow.
fn footer(snapshot: &Snapshot, width: Option<usize>) -> String {
    let text = completeness(snapshot);
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    terminal::wrap(&words, " ", width.unwrap_or(usize::MAX)).join("\n") + "\n"
}

/// How much of the machine this is.
fn completeness(snapshot: &Snapshot) -> String {
    let own = snapshot.process(std::process::id());
    let asker = match own {
        Some(own) if own.uid != 0 => Asker::User,
        Some(own) if !own.is_in_first(Kind::User) => Asker::RootOfNamespace,
        _ => Asker::Root,
    };
    completeness_for(snapshot, asker)
}

fn completeness_for(snapshot: &Snapshot, asker: Asker) -> String {
    let read = count(snapshot.processes.len(), "process", "processes");
    let mut text = format!("{read} read");
    match snapshot.view {
        View::Whole => {}
        View::PidNamespace => text.push_str(" of this pid namespace; others are unseen"),
        View::OwnUser => text.push_str(", your own; /proc hides those of others"),
    }
    if snapshot.unreadable.is_empty() {
        text.push_str("; nothing was unreadable");
    } else {
        let what = unreadable(&snapshot.unreadable);
        let why = match asker {
            Asker::User => "run as root",
            Asker::RootOfNamespace => "run as root outside of this user namespace",
            Asker::Root => "this shell lacks capabilities, or a security module refuses",
        };
        text.push_str(&format!("; {what} not readable: {why}"));
    }
    text
}

/// `3 processes (pid 1, 7, 9) and 1 other thing`.
fn unreadable(list: &[Unreadable]) -> String {
    let pids: Vec<String> = list
        .iter()
        .filter_map(|unreadable| match unreadable.part {
            Part::Process { pid } => Some(pid.to_string()),
            _ => None,
        })
        .collect();
    let others = list.len() - pids.len();
    let mut parts = Vec::new();
    if !pids.is_empty() {
        let mut text = count(pids.len(), "process", "processes");
        if pids.len() <= 3 {
            text.push_str(&format!(" (pid {})", pids.join(", ")));
        }
        parts.push(text);
    }
    if others > 0 {
        let what = "thread, descriptor table or owner";
        let more = "threads, descriptor tables or owners";
        parts.push(count(others, what, more));
    }
    parts.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(part: Part) -> Unreadable {
        let namespaces = warren_namespaces::NsFd::open(std::path::Path::new("/dev/null"));
        Unreadable {
            part,
            errno: namespaces.expect_err("no namespace"),
        }
    }

    #[test]
    fn a_few_unreadable_processes_are_named_and_many_are_counted() {
        let process = |pid| hole(Part::Process { pid });
        assert_eq!(unreadable(&[process(1)]), "1 process (pid 1)");
        let many: Vec<Unreadable> = (1..=4).map(process).collect();
        assert_eq!(unreadable(&many), "4 processes");
        let mixed = [process(7), hole(Part::Mounts)];
        assert_eq!(
            unreadable(&mixed),
            "1 process (pid 7) and 1 thread, descriptor table or owner"
        );
    }
}
