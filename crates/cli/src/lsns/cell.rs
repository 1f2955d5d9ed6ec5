//! What stands in a column of a line.

use std::collections::HashMap;

use warren_namespaces::accounts;
use warren_namespaces::{
    Holder, Kind, Label, Namespace, NetnsNumbers, NsFd, ProcRoot, Process, Snapshot,
};

use super::column::Column;
use super::row::Row;

/// Gives the cells; asks the system for what only some columns show, once each.
pub struct Cells<'s> {
    snapshot: &'s Snapshot,
    proc: &'s ProcRoot,
    /// Name of each user, once passwd(5) was read.
    users: Option<HashMap<u32, String>>,
    /// Command line of each process.
    commands: HashMap<u32, Vec<u8>>,
    numbers: Option<NetnsNumbers>,
    /// Number of each network namespace, by inode.
    netns: HashMap<u64, Option<String>>,
}

impl<'s> Cells<'s> {
    pub fn new(snapshot: &'s Snapshot, proc: &'s ProcRoot) -> Self {
        Self {
            snapshot,
            proc,
            users: None,
            commands: HashMap::new(),
            numbers: None,
            netns: HashMap::new(),
        }
    }

    /// The bytes in a cell, those of several mount points with line feeds between them;
    /// `None` where nothing is known or applies.
    pub fn cell(&mut self, row: &Row<'_>, column: Column) -> Option<Vec<u8>> {
        let namespace = row.namespace;
        let inode = |id: Option<warren_namespaces::NsId>| id.map_or(0, |id| id.inode);
        let text = match column {
            Column::Ns => namespace.id.inode.to_string(),
            Column::Type => namespace.kind.name().to_owned(),
            Column::Path => path(row)?,
            Column::Nprocs => row.processes.to_string(),
            Column::Pid => row.process?.pid.to_string(),
            Column::Ppid => row.process?.parent.to_string(),
            Column::Command => return Some(self.command(row.process?)),
            Column::Uid => self.uid(row)?.to_string(),
            Column::User => {
                let uid = self.uid(row)?;
                self.user(uid)
            }
            Column::Netnsid => self.netnsid(namespace)?,
            Column::Nsfs => return mounts(namespace),
            Column::Pns => inode(namespace.parent).to_string(),
            Column::Ons => inode(namespace.owner).to_string(),
            Column::Heldby => return held_by(namespace),
            Column::Nsid => namespace.unique_id?.to_string(),
            Column::Handle => namespace.handle?.to_string(),
            Column::Label => self.label(row.process?)?.to_string(),
        };
        Some(text.into_bytes())
    }

    /// The command line with blanks between the arguments, else the name: a kernel
    /// thread has no more, and neither has a process that has ended meanwhile.
    fn command(&mut self, process: &Process) -> Vec<u8> {
        let read = || {
            let line = self.proc.read(&format!("{}/cmdline", process.pid));
            let mut line = line.unwrap_or_default();
            // Each argument ends with one; a process may have written over its own.
            if line.last() == Some(&0) {
                line.pop();
            }
            if line.is_empty() {
                return process.comm.clone().into_bytes();
            }
            let blank = |byte| if byte == 0 { b' ' } else { byte };
            line.into_iter().map(blank).collect()
        };
        self.commands
            .entry(process.pid)
            .or_insert_with(read)
            .clone()
    }

    /// What the cgroup of the process is called: it can differ among those that share a
    /// namespace.
    fn label(&self, process: &Process) -> Option<Label> {
        let text = self.proc.read(&format!("{}/cgroup", process.pid)).ok()?;
        Label::of_cgroups(&String::from_utf8_lossy(&text))
    }

    /// Whose the process is; without one, who made the namespace.
    fn uid(&self, row: &Row<'_>) -> Option<u32> {
        let process = row.process.map(|process| process.uid);
        process.or_else(|| self.snapshot.maker(row.namespace))
    }

    fn user(&mut self, uid: u32) -> String {
        let users = self.users.get_or_insert_with(read_users);
        users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// The number by which the caller's network namespace knows this one.
    fn netnsid(&mut self, namespace: &Namespace) -> Option<String> {
        if namespace.kind != Kind::Net {
            return None;
        }
        let inode = namespace.id.inode;
        if let Some(known) = self.netns.get(&inode) {
            return known.clone();
        }
        let number = self.ask_netnsid(namespace);
        self.netns.insert(inode, number.clone());
        number
    }

    fn ask_netnsid(&mut self, namespace: &Namespace) -> Option<String> {
        let fd = open(self.proc, namespace)?;
        if self.numbers.is_none() {
            self.numbers = Some(NetnsNumbers::open().ok()?);
        }
        let number = self.numbers.as_ref()?.of(&fd).ok()?;
        Some(number.map_or_else(|| "unassigned".to_owned(), |number| number.to_string()))
    }
}

fn read_users() -> HashMap<u32, String> {
    let text = std::fs::read("/etc/passwd").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut users = HashMap::new();
    for user in accounts::users(&text) {
        users.entry(user.uid).or_insert(user.name);
    }
    users
}

/// Opens a namespace by one of those who keep it, and makes sure that it is still this.
fn open(proc: &ProcRoot, namespace: &Namespace) -> Option<NsFd> {
    let of_process =
        |pid| warren_namespaces::open_namespace(proc, pid, namespace.kind).ok();
    let of_holder = |holder: &Holder| match holder {
        Holder::Mount {
            path,
            namespace: None,
        } => NsFd::open(path).ok(),
        _ => None,
    };
    let by_handle = namespace.handle.and_then(|handle| handle.open().ok());
    let fd = by_handle.or_else(|| namespace.pid.and_then(of_process));
    let fd = fd.or_else(|| namespace.held_by.iter().find_map(of_holder))?;
    (fd.id() == Ok(namespace.id)).then_some(fd)
}

/// A file of /proc that leads to the namespace, where somebody is in it.
fn path(row: &Row<'_>) -> Option<String> {
    let kind = row.namespace.kind;
    if let Some(process) = row.process {
        return Some(format!("/proc/{}/ns/{kind}", process.pid));
    }
    row.namespace
        .held_by
        .iter()
        .find_map(|holder| match holder {
            Holder::Thread { pid, tid } => {
                Some(format!("/proc/{pid}/task/{tid}/ns/{kind}"))
            }
            Holder::NextChildren { pid, tid } => {
                Some(format!("/proc/{pid}/task/{tid}/ns/{kind}_for_children"))
            }
            _ => None,
        })
}

/// Where it is mounted in the caller's mount namespace.
fn mounts(namespace: &Namespace) -> Option<Vec<u8>> {
    let holders = namespace.held_by.iter();
    let mounts = holders.filter_map(|holder| match holder {
        Holder::Mount {
            path,
            namespace: None,
        } => Some(path.as_os_str().as_encoded_bytes()),
        _ => None,
    });
    let lines = mounts.collect::<Vec<_>>().join(&b'\n');
    (!lines.is_empty()).then_some(lines)
}

/// Who keeps it. What it owns is only named where nobody else does: that is much, and
/// of a namespace with processes it says nothing.
fn held_by(namespace: &Namespace) -> Option<Vec<u8>> {
    let is_child = |holder: &&Holder| matches!(holder, Holder::Child { .. });
    let (children, others): (Vec<&Holder>, Vec<&Holder>) =
        namespace.held_by.iter().partition(is_child);
    let named = if others.is_empty() { children } else { others };
    let lines = named
        .into_iter()
        .map(holder)
        .collect::<Vec<_>>()
        .join(&b'\n');
    (!lines.is_empty()).then_some(lines)
}

/// `thread:12/13`: the words of `warren ls --json`.
fn holder(holder: &Holder) -> Vec<u8> {
    match holder {
        Holder::Process { pid } => format!("process:{pid}").into_bytes(),
        Holder::Thread { pid, tid } => format!("thread:{pid}/{tid}").into_bytes(),
        Holder::NextChildren { pid, tid } => {
            format!("next-children:{pid}/{tid}").into_bytes()
        }
        Holder::Descriptor { pid, fd } => format!("descriptor:{pid}/{fd}").into_bytes(),
        Holder::Socket { pid, fd } => format!("socket:{pid}/{fd}").into_bytes(),
        Holder::Mount { path, namespace } => {
            let of = namespace.map_or(String::new(), |id| format!("mnt:{}:", id.inode));
            let path = path.as_os_str().as_encoded_bytes();
            [b"mount:", of.as_bytes(), path].concat()
        }
        Holder::Child { kind, id } => format!("child:{kind}:{}", id.inode).into_bytes(),
        _ => b"unknown".to_vec(),
    }
}
