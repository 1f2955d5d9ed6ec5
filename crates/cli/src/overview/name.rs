//! What a group is called, and what keeps a namespace without processes.

use std::path::Path;
use std::sync::OnceLock;

use warren_namespaces::{Holder, Label, Namespace, ProcRoot, Process, Snapshot, View};

use crate::terminal::printable;
use crate::words;

/// The group that the others are compared with.
pub fn of_host(snapshot: &Snapshot) -> String {
    let pid = snapshot.reference.map_or(0, |reference| reference.pid);
    match (snapshot.view, pid) {
        (View::PidNamespace, 1) => "pid 1",
        (_, 1 | 2) => "host",
        _ => "this shell",
    }
    .to_owned()
}

/// A group by its first process: its container, its service, or the process's own
/// name. Text of somebody else's making: not for a terminal.
pub fn of_process(process: &Process) -> String {
    let label = process.label.as_ref();
    let container = label.and_then(Label::container).map(ToString::to_string);
    let service = label.and_then(|label| label.unit.clone());
    // A scope says who started a process, and not what it is.
    let service = service.filter(|unit| {
        unit.ends_with(".service") && !is_manager(unit) && own_unit() != Some(unit)
    });
    container
        .or(service)
        .unwrap_or_else(|| process.comm.clone())
}

/// The unit in which this process runs itself: what was started beside it there has no
/// name by that.
fn own_unit() -> Option<&'static str> {
    static OWN: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let proc = ProcRoot::open().ok()?;
        let path = format!("{}/cgroup", proc.own_folder().ok()?);
        let text = proc.read(&path).ok()?;
        Label::of_cgroups(&String::from_utf8_lossy(&text))?.unit
    };
    OWN.get_or_init(read).as_deref()
}

/// A user's own systemd, below which all that this user's session started can be.
fn is_manager(unit: &str) -> bool {
    unit.starts_with("user@")
}

/// What keeps namespaces that no running process is in.
#[derive(Debug)]
pub struct Keeper {
    /// Short: `netns blue`, `thread of 70`.
    pub name: String,
    /// The phrase for what keeps it.
    pub how: String,
    /// Whether others of the same name belong to it; not where it is named after
    /// nothing but its kind.
    pub is_shared: bool,
}

/// The keeper of a namespace without processes.
pub fn keeper(snapshot: &Snapshot, namespace: &Namespace) -> Keeper {
    // A mount has a name that somebody gave it; what is owned tells the least.
    let rank = |holder: &&Holder| match holder {
        Holder::Mount { .. } => 0,
        Holder::Child { .. } => 2,
        _ => 1,
    };
    let first = namespace.held_by.iter().min_by_key(rank);
    let alone = format!("{} namespace", namespace.kind);
    let name = match first {
        Some(Holder::Mount { path, .. }) => {
            of_mount(path).unwrap_or_else(|| alone.clone())
        }
        Some(Holder::Thread { pid, .. }) => format!("thread of {pid}"),
        Some(Holder::Descriptor { pid, .. }) => format!("fd of {pid}"),
        Some(Holder::NextChildren { pid, .. }) => format!("next children of {pid}"),
        Some(Holder::Process { pid }) => format!("ended {pid}"),
        Some(Holder::Socket { pid, .. }) => format!("socket of {pid}"),
        Some(_) | None => alone.clone(),
    };
    let how = match first {
        Some(Holder::Child { .. }) => words::holders(snapshot, namespace).join(", "),
        Some(holder) => words::holder(snapshot, holder),
        None => "unknown".to_owned(),
    };
    Keeper {
        is_shared: name != alone,
        name,
        how,
    }
}

/// `netns blue` for /run/netns/blue, `kept web` for .../warren/kept/web/net.
fn of_mount(path: &Path) -> Option<String> {
    let text = |path: &Path| Some(printable(&path.file_name()?.to_string_lossy()));
    let folder = path.parent()?;
    if folder.ends_with("run/netns") {
        return Some(format!("netns {}", text(path)?));
    }
    if folder.parent()?.ends_with("warren/kept") {
        return Some(format!("kept {}", text(folder)?));
    }
    None
}
