//! Words that several commands say about processes and namespaces.

use std::collections::HashMap;

use warren_namespaces::accounts::{self, Accounts};
use warren_namespaces::{Holder, Kind, Namespace, NamespaceSet, NsId, Process, Snapshot};

use crate::terminal::printable;

/// More children than this are counted by kind, not named.
const CHILDREN: usize = 4;

/// `1 process`, `2 processes`.
pub fn count(number: usize, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {more}"),
    }
}

/// `1 process`, `2 processes`.
pub fn processes(number: usize) -> String {
    count(number, "process", "processes")
}

/// The command line of a process; its name in brackets, as ps(1) does it, where it
/// has none.
pub fn command(process: &Process) -> String {
    match process.command.as_deref() {
        Some(command) if !command.is_empty() => printable(command),
        _ => format!("[{}]", printable(&process.comm)),
    }
}

/// `net:4026531840`.
pub fn id(kind: Kind, id: NsId) -> String {
    format!("{kind}:{}", id.inode)
}

/// `mnt net pid`, or `all but user time` where that is shorter.
pub fn kinds(set: NamespaceSet) -> Vec<String> {
    let others: NamespaceSet = Kind::ALL
        .into_iter()
        .filter(|kind| !set.contains(*kind))
        .collect();
    let names = |set: NamespaceSet| set.iter().map(|kind| kind.name().to_owned());
    match others.iter().count() {
        0 => vec!["all eight".to_owned()],
        1 | 2 => std::iter::once("all but".to_owned())
            .chain(names(others))
            .collect(),
        _ => names(set).collect(),
    }
}

/// The names of the users of this machine.
#[derive(Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// Reads passwd(5). A machine without one has numbers only.
    pub fn read() -> Self {
        let text = Accounts::read().unwrap_or_default().passwd;
        let mut names = HashMap::new();
        for user in accounts::users(&text) {
            // The first line of an id counts, as in getpwuid(3).
            names.entry(user.uid).or_insert(user.name);
        }
        Self(names)
    }

    /// The name of a user, or the number.
    pub fn name(&self, uid: u32) -> String {
        match self.0.get(&uid) {
            Some(name) => printable(name),
            None => uid.to_string(),
        }
    }
}

/// What keeps a namespace alive, one phrase for each holder; `unknown` where none
/// was found.
pub fn holders(snapshot: &Snapshot, namespace: &Namespace) -> Vec<String> {
    let mut phrases = Vec::new();
    let mut children = Vec::new();
    for holder in &namespace.held_by {
        match holder {
            Holder::Child { kind, id } => children.push((*kind, *id)),
            Holder::Process { .. } if namespace.processes > 1 => {
                let others = namespace.processes - 1;
                phrases.push(format!(
                    "{} and {others} more",
                    self::holder(snapshot, holder)
                ));
            }
            holder => phrases.push(self::holder(snapshot, holder)),
        }
    }
    phrases.extend(child_phrases(&children));
    if phrases.is_empty() {
        phrases.push("unknown".to_owned());
    }
    phrases
}

/// A few children by name, many by number.
fn child_phrases(children: &[(Kind, NsId)]) -> Vec<String> {
    if children.len() <= CHILDREN {
        let name = |(kind, id): &(Kind, NsId)| format!("child {}", self::id(*kind, *id));
        return children.iter().map(name).collect();
    }
    let of = |kind: Kind| children.iter().filter(|(of, _)| *of == kind).count();
    let numbers = Kind::ALL.into_iter().map(|kind| (kind, of(kind)));
    numbers
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| match number {
            1 => format!("1 {kind} child"),
            _ => format!("{number} {kind} children"),
        })
        .collect()
}

/// One holder: `fd 4242:7 (dockerd)`, `mount /run/netns/blue`.
pub fn holder(snapshot: &Snapshot, holder: &Holder) -> String {
    let named = |pid: u32| match snapshot.process(pid) {
        Some(process) => format!(" ({})", printable(&process.comm)),
        None => String::new(),
    };
    match *holder {
        Holder::Process { pid } => {
            let ended = snapshot.process(pid).is_some_and(|process| process.zombie);
            let state = if ended { "ended process" } else { "process" };
            format!("{state} {pid}{}", named(pid))
        }
        Holder::Thread { pid, tid } => format!("thread {tid} of {pid}{}", named(pid)),
        Holder::NextChildren { pid, tid } if pid == tid => {
            format!("next children of {pid}{}", named(pid))
        }
        Holder::NextChildren { pid, tid } => {
            format!("next children of thread {tid} of {pid}{}", named(pid))
        }
        Holder::Descriptor { pid, fd } => format!("fd {pid}:{fd}{}", named(pid)),
        Holder::Socket { pid, fd } => format!("socket {pid}:{fd}{}", named(pid)),
        Holder::Mount {
            ref path,
            namespace,
        } => {
            let path = printable(&path.to_string_lossy());
            match namespace {
                Some(id) => format!("mount {path} in mnt:{}", id.inode),
                None => format!("mount {path}"),
            }
        }
        Holder::Child { kind, id } => format!("child {}", self::id(kind, id)),
        _ => "something new".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_kinds_are_said_by_those_that_are_missing() {
        let without = |kinds: &[Kind]| {
            let set = kinds
                .iter()
                .fold(NamespaceSet::ALL, |set, kind| set.without(*kind));
            super::kinds(set).join(" ")
        };
        assert_eq!(without(&[]), "all eight");
        assert_eq!(without(&[Kind::User, Kind::Time]), "all but user time");
        let three = without(&[Kind::User, Kind::Time, Kind::Net]);
        assert_eq!(three, "mnt ipc pid uts cgroup");
    }

    #[test]
    fn many_children_are_counted_by_kind() {
        let child = |kind, inode| (kind, NsId { device: 4, inode });
        let few = [child(Kind::Net, 7), child(Kind::User, 8)];
        assert_eq!(child_phrases(&few), ["child net:7", "child user:8"]);
        let many: Vec<_> = (0..9).map(|inode| child(Kind::Mnt, inode)).collect();
        let many = [many, vec![child(Kind::Pid, 30)]].concat();
        assert_eq!(child_phrases(&many), ["9 mnt children", "1 pid child"]);
    }
}
