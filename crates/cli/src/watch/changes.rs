//! What is different between two looks.

use std::collections::{HashMap, HashSet};

use warren_namespaces::{Kind, Namespace, NamespaceSet, NsId, Process, Snapshot};

/// Something that happened between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A namespace that the first look found.
    There(&'a Namespace),
    /// A namespace that was not there before.
    Made(&'a Namespace),
    /// A namespace that is not there any more.
    Gone(&'a Namespace),
    /// A process that is now in namespaces that are not the host's.
    Entered(&'a Process),
    /// A process that was, and has ended or moved.
    Left(&'a Process),
}

/// Everything that the first look finds, namespaces and then processes.
pub fn first(now: &Snapshot, kinds: NamespaceSet) -> Vec<Change<'_>> {
    let namespaces = now.namespaces.iter();
    namespaces
        .filter(|namespace| kinds.contains(namespace.kind))
        .map(Change::There)
        .collect()
}

/// What happened between two looks: who left, what is gone, what was made, who
/// entered.
pub fn between<'a>(
    before: &'a Snapshot,
    now: &'a Snapshot,
    kinds: NamespaceSet,
) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    changes.extend(movers(before, now, kinds).map(Change::Left));
    changes.extend(others(before, now, kinds).map(Change::Gone));
    changes.extend(others(now, before, kinds).map(Change::Made));
    changes.extend(movers(now, before, kinds).map(Change::Entered));
    changes
}

/// The namespaces of one look that the other has not.
fn others<'a>(
    of: &'a Snapshot,
    other: &Snapshot,
    kinds: NamespaceSet,
) -> impl Iterator<Item = &'a Namespace> {
    let known: HashSet<(Kind, NsId)> = other.namespaces.iter().map(identity).collect();
    let asked = of.namespaces.iter();
    asked.filter(move |namespace| {
        kinds.contains(namespace.kind) && !known.contains(&identity(namespace))
    })
}

fn identity(namespace: &Namespace) -> (Kind, NsId) {
    (namespace.kind, namespace.id)
}

/// The processes of one look in others than the host's namespaces, unless the other
/// look finds the process in the same ones.
fn movers<'a>(
    of: &'a Snapshot,
    other: &Snapshot,
    kinds: NamespaceSet,
) -> impl Iterator<Item = &'a Process> {
    let running = |process: &&Process| !process.zombie;
    let known: HashMap<u32, Vec<(Kind, NsId)>> = other
        .processes
        .iter()
        .filter(running)
        .map(|process| (process.pid, own(other, process, kinds)))
        .collect();
    of.processes.iter().filter(running).filter(move |process| {
        let own = own(of, process, kinds);
        !own.is_empty() && known.get(&process.pid) != Some(&own)
    })
}

/// The namespaces of a process that are not the host's.
pub fn own(
    snapshot: &Snapshot,
    process: &Process,
    kinds: NamespaceSet,
) -> Vec<(Kind, NsId)> {
    let host = snapshot.reference.map(|reference| reference.namespaces);
    let ids = process.namespaces.iter();
    ids.filter(|(kind, id)| {
        let is_hosts = host.is_some_and(|host| host.get(*kind) == Some(*id));
        kinds.contains(*kind) && !is_hosts
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::sample::Sample;

    fn summary(changes: &[Change<'_>]) -> Vec<String> {
        let one = |change: &Change<'_>| match change {
            Change::There(namespace) => format!("there {}", namespace.id.inode),
            Change::Made(namespace) => format!("made {}", namespace.id.inode),
            Change::Gone(namespace) => format!("gone {}", namespace.id.inode),
            Change::Entered(process) => format!("entered {}", process.pid),
            Change::Left(process) => format!("left {}", process.pid),
        };
        changes.iter().map(one).collect()
    }

    fn with(process: &[(u32, u64)]) -> Snapshot {
        let mut sample = Sample::host();
        for (pid, net) in process {
            sample.process(*pid, "x", &[(Kind::Net, *net)]);
        }
        sample.snapshot()
    }

    #[test]
    fn the_first_look_finds_what_is_there() {
        let changes = summary(&first(&with(&[]), NamespaceSet::ALL)).join(" ");
        assert_eq!(changes.matches("there").count(), 8);
        let net = NamespaceSet::EMPTY.with(Kind::Net);
        assert_eq!(summary(&first(&with(&[]), net)), ["there 2"]);
    }

    #[test]
    fn what_comes_and_goes_is_told_in_order() {
        let (before, now) =
            (with(&[(50, 100), (51, 100)]), with(&[(51, 100), (60, 200)]));
        let changes = between(&before, &now, NamespaceSet::ALL);
        assert_eq!(summary(&changes), ["left 50", "made 200", "entered 60"]);
        let after = with(&[]);
        let changes = between(&now, &after, NamespaceSet::ALL);
        assert_eq!(
            summary(&changes),
            ["left 51", "left 60", "gone 100", "gone 200"]
        );
    }

    #[test]
    fn a_process_that_moves_leaves_and_enters() {
        let (before, now) = (with(&[(50, 100)]), with(&[(50, 200)]));
        let changes = between(&before, &now, NamespaceSet::ALL);
        assert_eq!(
            summary(&changes),
            ["left 50", "gone 100", "made 200", "entered 50"]
        );
        let uts = NamespaceSet::EMPTY.with(Kind::Uts);
        assert!(between(&before, &now, uts).is_empty());
    }
}
