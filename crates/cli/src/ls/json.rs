//! `--json`: the types whose fields docs/json.md describes.

use std::collections::BTreeMap;

use serde::Serialize;
use warren_namespaces::{
    Holder, Kind, Label, Namespace, NamespaceSet, Part, Process, Snapshot, Unreadable,
    View,
};

use crate::failure::Failure;
use crate::overview;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct List {
    version: u32,
    view: &'static str,
    processes: usize,
    reference: Option<u32>,
    kernel_list: bool,
    namespaces: Vec<Item>,
    members: Vec<Member>,
    unreadable: Vec<Hole>,
}

#[derive(Serialize)]
struct Member {
    pid: u32,
    parent: u32,
    uid: u32,
    comm: String,
    command: Option<String>,
    label: Option<Name>,
    zombie: bool,
    namespaces: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Item {
    kind: Kind,
    inode: u64,
    device: u64,
    unique_id: Option<u64>,
    handle: Option<String>,
    owner: Option<u64>,
    parent: Option<u64>,
    owner_uid: Option<u32>,
    maker: Option<u32>,
    processes: usize,
    pid: Option<u32>,
    command: Option<String>,
    name: Option<String>,
    label: Option<Name>,
    held_by: Vec<By>,
}

#[derive(Serialize)]
struct Name {
    path: String,
    engine: Option<&'static str>,
    container: Option<String>,
    pod: Option<String>,
    unit: Option<String>,
    user: Option<u32>,
}

#[derive(Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
enum By {
    Process {
        pid: u32,
    },
    Thread {
        pid: u32,
        tid: u32,
    },
    NextChildren {
        pid: u32,
        tid: u32,
    },
    Descriptor {
        pid: u32,
        fd: u32,
    },
    Socket {
        pid: u32,
        fd: u32,
    },
    Mount {
        path: String,
        namespace: Option<u64>,
    },
    Child {
        kind: Kind,
        inode: u64,
    },
    Other,
}

#[derive(Serialize)]
struct Hole {
    #[serde(flatten)]
    part: Missing,
    errno: i32,
    reason: String,
}

#[derive(Serialize)]
#[serde(tag = "part", rename_all = "kebab-case")]
enum Missing {
    Process { pid: u32 },
    Thread { pid: u32, tid: u32 },
    Threads { pid: u32 },
    Descriptors { pid: u32 },
    Relations { kind: Kind, inode: u64 },
    Socket { pid: u32, fd: u32 },
    Mounts,
    MountsOf { inode: u64 },
    KernelList,
    Other,
}

/// The text, with a line feed at its end.
pub fn render(snapshot: &Snapshot, kinds: NamespaceSet) -> Result<String, Failure> {
    let namespaces = snapshot.namespaces.iter();
    let list = List {
        version: VERSION,
        view: match snapshot.view {
            View::Whole => "whole",
            View::PidNamespace => "pid-namespace",
            View::OwnUser => "own-user",
        },
        processes: snapshot.processes.len(),
        reference: snapshot.reference.map(|reference| reference.pid),
        kernel_list: snapshot.kernel_list,
        namespaces: namespaces
            .filter(|namespace| kinds.contains(namespace.kind))
            .map(|namespace| item(snapshot, namespace))
            .collect(),
        members: snapshot
            .processes
            .iter()
            .map(|process| member(process, kinds))
            .collect(),
        unreadable: snapshot.unreadable.iter().map(hole).collect(),
    };
    crate::json::text(&list)
}

fn item(snapshot: &Snapshot, namespace: &Namespace) -> Item {
    let process = namespace.pid.and_then(|pid| snapshot.process(pid));
    Item {
        kind: namespace.kind,
        inode: namespace.id.inode,
        device: namespace.id.device,
        unique_id: namespace.unique_id,
        handle: namespace.handle.map(|handle| handle.to_string()),
        owner: namespace.owner.map(|id| id.inode),
        parent: namespace.parent.map(|id| id.inode),
        owner_uid: namespace.owner_uid,
        maker: snapshot.maker(namespace),
        processes: namespace.processes,
        pid: namespace.pid,
        command: process.map(|process| match process.command.as_deref() {
            Some(command) if !command.is_empty() => command.to_owned(),
            _ => process.comm.clone(),
        }),
        name: process.map(overview::name_of),
        label: process.and_then(|process| process.label.as_ref()).map(name),
        held_by: namespace.held_by.iter().map(by).collect(),
    }
}

fn name(label: &Label) -> Name {
    let container = label.container();
    Name {
        path: label.path.clone(),
        engine: container.map(|container| container.engine.name()),
        container: container.map(|container| container.id.clone()),
        pod: label.pod.clone(),
        unit: label.unit.clone(),
        user: label.user,
    }
}

fn member(process: &Process, kinds: NamespaceSet) -> Member {
    let namespaces = process.namespaces.iter();
    Member {
        pid: process.pid,
        parent: process.parent,
        uid: process.uid,
        comm: process.comm.clone(),
        command: process.command.clone(),
        label: process.label.as_ref().map(name),
        zombie: process.zombie,
        namespaces: namespaces
            .filter(|(kind, _)| kinds.contains(*kind))
            .map(|(kind, id)| (kind.name(), id.inode))
            .collect(),
    }
}

fn by(holder: &Holder) -> By {
    match *holder {
        Holder::Process { pid } => By::Process { pid },
        Holder::Thread { pid, tid } => By::Thread { pid, tid },
        Holder::NextChildren { pid, tid } => By::NextChildren { pid, tid },
        Holder::Descriptor { pid, fd } => By::Descriptor { pid, fd },
        Holder::Socket { pid, fd } => By::Socket { pid, fd },
        Holder::Mount {
            ref path,
            namespace,
        } => By::Mount {
            path: path.to_string_lossy().into_owned(),
            namespace: namespace.map(|id| id.inode),
        },
        Holder::Child { kind, id } => By::Child {
            kind,
            inode: id.inode,
        },
        _ => By::Other,
    }
}

fn hole(unreadable: &Unreadable) -> Hole {
    let part = match unreadable.part {
        Part::Process { pid } => Missing::Process { pid },
        Part::Thread { pid, tid } => Missing::Thread { pid, tid },
        Part::Threads { pid } => Missing::Threads { pid },
        Part::Descriptors { pid } => Missing::Descriptors { pid },
        Part::Relations { kind, id } => Missing::Relations {
            kind,
            inode: id.inode,
        },
        Part::Socket { pid, fd } => Missing::Socket { pid, fd },
        Part::Mounts => Missing::Mounts,
        Part::MountsOf { id } => Missing::MountsOf { inode: id.inode },
        Part::KernelList => Missing::KernelList,
        _ => Missing::Other,
    };
    Hole {
        part,
        errno: unreadable.errno.raw_os_error(),
        reason: unreadable.errno.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    #[test]
    fn every_field_of_a_snapshot_is_there() {
        let text = render(&Sample::labelled().snapshot(), NamespaceSet::ALL);
        golden::is_as_kept("ls.json", &text.expect("JSON"));
    }
}
