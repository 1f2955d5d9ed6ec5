//! Which lines there are, in which order, and which hangs below which.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use warren_namespaces::{Namespace, NamespaceSet, NsId, Process, Snapshot};

use super::options::{Options, Tree, What};

/// One line: a namespace, or a process in it.
#[derive(Clone, Debug)]
pub struct Row<'s> {
    pub namespace: &'s Namespace,
    /// The process that the line tells of; of a namespace, the one with the lowest pid.
    pub process: Option<&'s Process>,
    /// How many processes are in the namespace.
    pub processes: usize,
    /// The place of the line that this one hangs below, which is before it.
    pub parent: Option<usize>,
}

/// The lines for what was asked, each after the one that it hangs below. `shown` picks
/// among them; what hangs below a line that is not shown stands alone.
///
/// `None` where there is no namespace of the number asked for.
pub fn rows<'s>(
    snapshot: &'s Snapshot,
    options: &Options,
    shown: impl FnMut(&Row<'s>) -> bool,
) -> Option<Vec<Row<'s>>> {
    let rows = match options.what {
        What::Processes(inode) => {
            let namespace = numbered(snapshot, options.kinds, inode)?;
            processes(snapshot, namespace, options.tree)
        }
        _ => namespaces(snapshot, options),
    };
    Some(picked(rows, shown))
}

fn numbered(snapshot: &Snapshot, kinds: NamespaceSet, inode: u64) -> Option<&Namespace> {
    snapshot
        .namespaces
        .iter()
        .find(|one| one.id.inode == inode && kinds.contains(one.kind))
}

/// The processes of one namespace by pid, parents first. One without processes has a
/// line of its own, which shows who keeps it.
fn processes<'s>(
    snapshot: &'s Snapshot,
    namespace: &'s Namespace,
    tree: Tree,
) -> Vec<Row<'s>> {
    let row = |process, parent| Row {
        namespace,
        process,
        processes: namespace.processes,
        parent,
    };
    let is_in =
        |process: &Process| process.namespaces.get(namespace.kind) == Some(namespace.id);
    let members = snapshot.processes.iter().filter(|process| is_in(process));
    let mut rows = Vec::new();
    let mut places: HashMap<u32, usize> = HashMap::new();
    for member in members {
        // A parent may have a higher pid, after these have begun anew.
        let up = |process: &'s Process| {
            (tree == Tree::Process)
                .then(|| snapshot.process(process.parent))
                .flatten()
                .filter(|parent| is_in(parent))
        };
        let has_place = |process: &Process| places.contains_key(&process.pid);
        for process in chain(member, up, |process| process.pid, has_place) {
            let parent = up(process).and_then(|parent| places.get(&parent.pid).copied());
            places.insert(process.pid, rows.len());
            rows.push(row(Some(process), parent));
        }
    }
    if rows.is_empty() {
        rows.push(row(None, None));
    }
    rows
}

/// `last` and what is above it, the topmost first, as far as it has no place yet.
fn chain<T: Copy, K: Hash + Eq>(
    last: T,
    up: impl Fn(T) -> Option<T>,
    key: impl Fn(T) -> K,
    has_place: impl Fn(T) -> bool,
) -> Vec<T> {
    // Pids that are given anew while /proc is read could make a ring of parents.
    let mut seen = HashSet::new();
    let above = std::iter::successors(Some(last), |one| up(*one));
    let mut chain: Vec<T> = above
        .take_while(|one| !has_place(*one) && seen.insert(key(*one)))
        .collect();
    chain.reverse();
    chain
}

fn namespaces<'s>(snapshot: &'s Snapshot, options: &Options) -> Vec<Row<'s>> {
    let asked = asked(snapshot, options);
    match options.tree {
        Tree::None => asked
            .into_iter()
            .map(|one| plain(snapshot, options, one))
            .collect(),
        Tree::Process => by_process(snapshot, options, asked),
        Tree::Owner | Tree::Parent => by_relation(snapshot, options, asked),
    }
}

/// A line of a namespace without a line above. Where its kind was not asked for, it only
/// stands above another, and processes were not counted.
fn plain<'s>(
    snapshot: &'s Snapshot,
    options: &Options,
    namespace: &'s Namespace,
) -> Row<'s> {
    let counted = options.kinds.contains(namespace.kind);
    let pid = namespace.pid.filter(|_| counted);
    Row {
        namespace,
        process: pid.and_then(|pid| snapshot.process(pid)),
        processes: if counted { namespace.processes } else { 0 },
        parent: None,
    }
}

/// The namespaces that were asked for, by inode.
fn asked<'s>(snapshot: &'s Snapshot, options: &Options) -> Vec<&'s Namespace> {
    let member = match options.what {
        What::OfProcess(pid) => snapshot.process(pid),
        _ => None,
    };
    let is_asked = |namespace: &&Namespace| {
        options.kinds.contains(namespace.kind)
            && match options.what {
                What::All => true,
                What::Persistent => namespace.processes == 0,
                What::OfProcess(_) => member.is_some_and(|process| {
                    process.namespaces.get(namespace.kind) == Some(namespace.id)
                }),
                What::Nothing(_) | What::Processes(_) => false,
            }
    };
    let mut asked: Vec<&Namespace> =
        snapshot.namespaces.iter().filter(is_asked).collect();
    asked.sort_by_key(|namespace| namespace.id.inode);
    asked
}

/// A line hangs below that of its process's parent: the last of those before it.
fn by_process<'s>(
    snapshot: &'s Snapshot,
    options: &Options,
    asked: Vec<&'s Namespace>,
) -> Vec<Row<'s>> {
    let mut rows: Vec<Row<'s>> = Vec::new();
    let mut last: HashMap<u32, usize> = HashMap::new();
    for namespace in asked {
        let mut row = plain(snapshot, options, namespace);
        if let Some(process) = row.process {
            row.parent = last.get(&process.parent).copied();
            last.insert(process.pid, rows.len());
        }
        rows.push(row);
    }
    rows
}

/// A line hangs below that of its namespace's owner or parent, which are there whatever
/// was asked for.
fn by_relation<'s>(
    snapshot: &'s Snapshot,
    options: &Options,
    asked: Vec<&'s Namespace>,
) -> Vec<Row<'s>> {
    let find = |id: Option<NsId>| id.and_then(|id| snapshot.namespace(id));
    let above = |one: &Namespace| match options.tree {
        Tree::Parent => find(one.parent),
        _ => find(one.owner),
    };
    // What has nothing above comes after its other relative at least.
    let before = |one: &'s Namespace| above(one).or_else(|| find(one.owner));
    let mut rows: Vec<Row<'s>> = Vec::new();
    let mut places: HashMap<NsId, usize> = HashMap::new();
    for namespace in with_relatives(snapshot, options, asked) {
        let has_place = |one: &Namespace| places.contains_key(&one.id);
        for one in chain(namespace, before, |one| one.id, has_place) {
            let mut row = plain(snapshot, options, one);
            row.parent = above(one).and_then(|above| places.get(&above.id).copied());
            places.insert(one.id, rows.len());
            rows.push(row);
        }
    }
    rows
}

/// In a list of all, with the owners and parents of what was asked for, and theirs.
fn with_relatives<'s>(
    snapshot: &'s Snapshot,
    options: &Options,
    mut asked: Vec<&'s Namespace>,
) -> Vec<&'s Namespace> {
    if options.what != What::All {
        return asked;
    }
    let mut known: HashSet<NsId> = asked.iter().map(|one| one.id).collect();
    let mut at = 0;
    while let Some(one) = asked.get(at).copied() {
        let relatives = one.owner.into_iter().chain(one.parent);
        for relative in relatives.filter_map(|id| snapshot.namespace(id)) {
            if known.insert(relative.id) {
                asked.push(relative);
            }
        }
        at += 1;
    }
    asked.sort_by_key(|namespace| namespace.id.inode);
    asked
}

/// The lines that are shown, with the places of those above them put right.
fn picked<'s>(
    rows: Vec<Row<'s>>,
    mut shown: impl FnMut(&Row<'s>) -> bool,
) -> Vec<Row<'s>> {
    let mut picked = Vec::with_capacity(rows.len());
    let mut places: Vec<Option<usize>> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let is_shown = shown(&row);
        places.push(is_shown.then_some(picked.len()));
        if is_shown {
            row.parent = row.parent.and_then(|parent| places[parent]);
            picked.push(row);
        }
    }
    picked
}

/// The children of each line, in their order; last, of no line.
pub fn children(rows: &[Row<'_>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); rows.len() + 1];
    for (at, row) in rows.iter().enumerate() {
        children[row.parent.unwrap_or(rows.len())].push(at);
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use warren_namespaces::{Kind, NamespaceIds, Scope};

    const DEVICE: u64 = 4;

    fn id(inode: u64) -> NsId {
        let device = DEVICE;
        NsId { device, inode }
    }

    /// A process with its parent and its namespaces.
    fn process(pid: u32, parent: u32, namespaces: &[(Kind, u64)]) -> Process {
        let mut ids = NamespaceIds::empty(DEVICE);
        for (kind, inode) in namespaces {
            ids.set(*kind, *inode);
        }
        let mut process = Process::new(pid, ids);
        process.parent = parent;
        process
    }

    /// A namespace with its lowest pid, its owner and its parent; 0 for none.
    fn namespace(kind: Kind, inode: u64, pid: u32, owner: u64, parent: u64) -> Namespace {
        let mut namespace = Namespace::new(kind, id(inode));
        namespace.pid = (pid > 0).then_some(pid);
        namespace.processes = usize::from(pid > 0);
        namespace.owner = (owner > 0).then(|| id(owner));
        namespace.parent = (parent > 0).then(|| id(parent));
        namespace
    }

    fn options(line: &str) -> Options {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        match super::super::options::parse(&words) {
            Ok(super::super::options::Asked::List(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Number of namespace or process and place of the line above, of each line.
    fn summary(snapshot: &Snapshot, line: &str) -> Vec<(u64, Option<usize>)> {
        let rows = rows(snapshot, &options(line), |row| row.namespace.id.inode != 99);
        let number = |row: &Row<'_>| match (line.ends_with(" 10"), row.process) {
            (true, Some(process)) => u64::from(process.pid),
            _ => row.namespace.id.inode,
        };
        let rows = rows.unwrap_or_default();
        rows.iter().map(|row| (number(row), row.parent)).collect()
    }

    fn machine() -> Snapshot {
        let first = [(Kind::User, 20), (Kind::Uts, 10)];
        let processes = vec![
            process(1, 0, &first),
            process(3, 9, &first),
            process(5, 1, &[(Kind::User, 22), (Kind::Uts, 30)]),
            process(9, 1, &first),
        ];
        let namespaces = vec![
            namespace(Kind::Uts, 10, 1, 20, 0),
            namespace(Kind::User, 20, 1, 0, 0),
            namespace(Kind::User, 21, 0, 20, 20),
            namespace(Kind::User, 22, 5, 21, 21),
            namespace(Kind::Uts, 30, 5, 22, 0),
        ];
        Snapshot::of_parts(namespaces, processes, Scope::ALL)
    }

    #[test]
    fn a_line_hangs_below_the_last_one_of_the_parent_process() {
        let lines = [
            (10, None),
            (20, None),
            (21, None),
            (22, Some(1)),
            (30, Some(1)),
        ];
        assert_eq!(summary(&machine(), "lsns"), lines);
    }

    #[test]
    fn owners_stand_before_what_they_own() {
        let lines = [
            (20, None),
            (10, Some(0)),
            (21, Some(0)),
            (22, Some(2)),
            (30, Some(3)),
        ];
        assert_eq!(summary(&machine(), "lsns -T"), lines);
        let lines = [
            (20, None),
            (10, None),
            (21, Some(0)),
            (22, Some(2)),
            (30, None),
        ];
        assert_eq!(summary(&machine(), "lsns -Tparent"), lines);
    }

    #[test]
    fn owners_of_what_a_process_has_are_there_too() {
        let lines = [(20, None), (21, Some(0)), (22, Some(1)), (30, Some(2))];
        assert_eq!(summary(&machine(), "lsns -T -p 5 -t uts"), lines);
        assert_eq!(summary(&machine(), "lsns -p 5 -t uts"), [(30, None)]);
    }

    #[test]
    fn processes_stand_below_their_parents_whatever_their_pids() {
        let lines = [(1, None), (9, Some(0)), (3, Some(1))];
        assert_eq!(summary(&machine(), "lsns 10"), lines);
        assert_eq!(
            summary(&machine(), "lsns -l 10"),
            [(1, None), (3, None), (9, None)]
        );
    }

    #[test]
    fn parents_in_a_ring_are_no_endless_tree() {
        let uts = [(Kind::Uts, 10)];
        let processes = vec![process(3, 9, &uts), process(9, 3, &uts)];
        let namespaces = vec![namespace(Kind::Uts, 10, 3, 0, 0)];
        let snapshot = Snapshot::of_parts(namespaces, processes, Scope::ALL);
        assert_eq!(summary(&snapshot, "lsns 10"), [(9, None), (3, Some(0))]);
    }

    #[test]
    fn what_hangs_below_a_line_that_is_not_shown_stands_alone() {
        let namespaces = vec![
            namespace(Kind::User, 99, 0, 0, 0),
            namespace(Kind::User, 100, 0, 99, 99),
            namespace(Kind::User, 101, 0, 100, 100),
        ];
        let snapshot = Snapshot::of_parts(namespaces, Vec::new(), Scope::ALL);
        assert_eq!(summary(&snapshot, "lsns -T"), [(100, None), (101, Some(0))]);
    }
}
