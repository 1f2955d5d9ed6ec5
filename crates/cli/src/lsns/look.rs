//! How far the system is looked at: each part costs calls, which a list that does not show
//! it need not pay.

use rustix::io::Errno;
use warren_namespaces::{
    MountScope, Namespace, NamespaceSet, Part, ProcRoot, Scope, Snapshot, Unreadable,
};

use super::column::Column;
use super::options::{Options, Tree, What};
use crate::failure::Failure;

/// Looks as far as the columns and the choice need it.
pub fn take(
    proc: &ProcRoot,
    options: &Options,
    shown: &[Column],
) -> Result<Snapshot, Failure> {
    let has = |column| shown.contains(&column);
    let only_links = !has(Column::Nsfs) && !has(Column::Heldby);
    let taken = match options.what {
        What::OfProcess(pid) if options.kinds == NamespaceSet::ALL && only_links => {
            if shown.iter().any(|column| column.needs_members()) {
                Snapshot::of_process_with_members(proc, pid)
            } else {
                Snapshot::of_process(proc, pid)
            }
        }
        What::Processes(inode) => processes(proc, inode, options, shown),
        _ => Snapshot::take_with(proc, scope(options, shown)),
    };
    let snapshot = match (taken, options.what) {
        // Told after an empty list.
        (Err(error), What::OfProcess(_))
            if matches!(error.errno(), Errno::SRCH | Errno::ACCESS) =>
        {
            Ok(Snapshot::of_parts(Vec::new(), Vec::new(), Scope::MEMBERS))
        }
        (taken, _) => taken.map_err(no_snapshot),
    }?;
    relations_are_known(&snapshot, options, shown)?;
    Ok(snapshot)
}

/// Looks at the processes; at all else only where none of them is in the namespace.
fn processes(
    proc: &ProcRoot,
    inode: u64,
    options: &Options,
    shown: &[Column],
) -> Result<Snapshot, warren_namespaces::Error> {
    let snapshot = Snapshot::take_with(proc, scope(options, shown))?;
    let is_meant = |one: &Namespace| one.id.inode == inode && one.processes > 0;
    if snapshot.namespaces.iter().any(is_meant) {
        return Ok(snapshot);
    }
    let mut scope = Scope::ALL;
    scope.kinds = options.kinds;
    Snapshot::take_with(proc, scope)
}

fn scope(options: &Options, shown: &[Column]) -> Scope {
    let has = |column| shown.contains(&column);
    // Who is in a namespace is known from links; what keeps the others, from every trace.
    let everything = matches!(options.what, What::All | What::Persistent);
    let mut scope = if everything {
        Scope::ALL
    } else {
        Scope::MEMBERS
    };
    scope.kinds = options.kinds;
    scope.commands = false;
    // Read for the lines that are shown, as command lines are.
    scope.labels = false;
    scope.ids = has(Column::Nsid) || has(Column::Handle) || has(Column::Netnsid);
    scope.relations = everything
        || has(Column::Pns)
        || has(Column::Ons)
        || matches!(options.tree, Tree::Owner | Tree::Parent);
    if !everything && has(Column::Heldby) {
        scope = Scope::ALL;
        scope.kinds = options.kinds;
    } else if !everything && (has(Column::Nsfs) || has(Column::Netnsid)) {
        scope.mounts = MountScope::Own;
    }
    scope
}

pub fn no_snapshot(error: warren_namespaces::Error) -> Failure {
    let is_root = error.object() == "/proc";
    let failure = Failure::new(error);
    if is_root {
        return failure.hint("mount procfs there: mount -t proc proc /proc");
    }
    failure
}

/// A kernel that cannot tell what a column or tree shows is no reason to show zeros.
fn relations_are_known(
    snapshot: &Snapshot,
    options: &Options,
    shown: &[Column],
) -> Result<(), Failure> {
    let wanted = shown.contains(&Column::Pns)
        || shown.contains(&Column::Ons)
        || matches!(options.tree, Tree::Owner | Tree::Parent);
    if wanted && snapshot.unreadable.iter().any(lacks_relations) {
        let failure = Failure::new("Unsupported ioctl NS_GET_USERNS").code(2);
        return Err(failure.hint("this needs Linux 4.9"));
    }
    Ok(())
}

fn lacks_relations(unreadable: &Unreadable) -> bool {
    matches!(unreadable.part, Part::Relations { .. }) && unreadable.errno == Errno::NOTTY
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn options(line: &str) -> Options {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        match super::super::options::parse(&words) {
            Ok(super::super::options::Asked::List(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_kernel_without_relations_is_code_2_where_they_are_shown() {
        let mut snapshot = Snapshot::of_parts(Vec::new(), Vec::new(), Scope::ALL);
        let namespace = warren_namespaces::NsFd::open("/proc/self/ns/uts".as_ref());
        snapshot.unreadable.push(Unreadable {
            part: Part::Relations {
                kind: warren_namespaces::Kind::Uts,
                id: namespace.and_then(|fd| fd.id()).expect("own namespace"),
            },
            errno: Errno::NOTTY,
        });
        let is_refused = |line: &str| {
            let options = options(line);
            relations_are_known(&snapshot, &options, &options.columns).is_err()
        };
        assert!(is_refused("lsns -o ONS") && is_refused("lsns -T"));
        assert!(!is_refused("lsns"));
    }

    #[test]
    fn a_process_is_looked_at_alone_where_no_column_counts_others() {
        let needs =
            |line: &str| options(line).columns.iter().any(|one| one.needs_members());
        assert!(needs("lsns -p 5") && needs("lsns -p 5 -o NS,NPROCS"));
        assert!(!needs("lsns -p 5 -o NS,TYPE,NETNSID,PNS,ONS,NSID,HANDLE"));
    }

    #[test]
    fn descriptors_are_looked_at_for_a_list_of_all_only() {
        let scope = |line: &str| {
            let options = options(line);
            scope(&options, &options.columns)
        };
        assert!(scope("lsns").descriptors && scope("lsns -P").descriptors);
        assert!(!scope("lsns 5").descriptors && !scope("lsns -p 5 -t net").descriptors);
        assert_eq!(scope("lsns -p 5 -t net").mounts, MountScope::Own);
        assert!(scope("lsns 5 -o HELDBY").descriptors);
    }
}
