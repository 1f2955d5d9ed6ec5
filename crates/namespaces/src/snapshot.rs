//! All namespaces that can be seen from here, and who keeps each alive.

use std::collections::HashMap;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::scan::Scan;
use crate::{
    Error, Kind, Label, NamespaceIds, NamespaceSet, NsHandle, NsId, ProcRoot, Scope,
};

/// The processes and namespaces of the machine, at about one moment.
///
/// Processes come and go while it is taken. One that has died before it was read is
/// left out; what could not be read for another reason is in
/// [`unreadable`](Self::unreadable), so a picture with holes says that it has them.
///
/// ```
/// use warren_namespaces::{Kind, Snapshot};
///
/// let snapshot = Snapshot::take()?;
/// let own = snapshot.process(std::process::id()).expect("this process is there");
/// let net = own.namespaces.get(Kind::Net).expect("every process has one");
/// let net = snapshot.namespace(net).expect("found by the same look");
/// println!("{} processes share {}", net.processes, net.id.inode);
/// # Ok::<(), warren_namespaces::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Every namespace found, by kind and then by inode.
    pub namespaces: Vec<Namespace>,
    /// Every process that could be read, by pid.
    pub processes: Vec<Process>,
    /// What could not be read, and why.
    pub unreadable: Vec<Unreadable>,
    /// Which processes /proc shows at all.
    pub view: View,
    /// What the others are compared with.
    pub reference: Option<Reference>,
    /// How much was looked at.
    pub scope: Scope,
    /// Whether the kernel gave its own list, listns(2), so that no namespace is missing
    /// that the caller may see. Before Linux 6.19 it has none, and a namespace that only
    /// a descriptor in flight between two sockets keeps is not found. What nothing but a
    /// mount of another filesystem keeps (mqueue, proc) is on no list.
    pub kernel_list: bool,
    pub(crate) index: HashMap<NsId, usize>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// Its kind.
    pub kind: Kind,
    /// Its identity.
    pub id: NsId,
    /// Its number, which no other ever had since the machine was started: Linux 6.18,
    /// and `None` before.
    pub unique_id: Option<u64>,
    /// What opens it again as long as it exists: Linux 6.18, and `None` before.
    pub handle: Option<NsHandle>,
    /// The user namespace whose capabilities rule over it; for a user namespace, its
    /// parent. `None` for the first user namespace, and where it is out of sight.
    pub owner: Option<NsId>,
    /// The parent of a pid or user namespace; `None` as for `owner`.
    pub parent: Option<NsId>,
    /// Who made a user namespace, as the caller's user namespace sees it; for other
    /// kinds see [`Snapshot::maker`].
    pub owner_uid: Option<u32>,
    /// How many processes are in it.
    pub processes: usize,
    /// The lowest pid of those.
    pub pid: Option<u32>,
    /// What keeps it alive, as far as it was found. Of the processes in it only the
    /// one with the lowest pid is named. Empty where the kernel's own list is all that
    /// tells of it.
    pub held_by: Vec<Holder>,
}

/// What keeps a namespace alive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A process that is in it.
    Process {
        /// The process.
        pid: u32,
    },
    /// A thread that is in it while the first thread of its process is in another.
    Thread {
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
    },
    /// A process whose next children will be in it, while it is not itself:
    /// `pid_for_children`, `time_for_children`.
    NextChildren {
        /// The process.
        pid: u32,
        /// The thread; `pid` for the first.
        tid: u32,
    },
    /// An open descriptor.
    Descriptor {
        /// The process.
        pid: u32,
        /// Its number there.
        fd: u32,
    },
    /// A socket of a process that is itself in another network namespace. Of several
    /// descriptors of one socket the first is named.
    Socket {
        /// The process.
        pid: u32,
        /// The descriptor's number there.
        fd: u32,
    },
    /// A bind mount, whether something is mounted over it or not.
    Mount {
        /// Where, as the processes of that mount namespace see it.
        path: PathBuf,
        /// In which mount namespace; `None` for the caller's own.
        namespace: Option<NsId>,
    },
    /// A namespace that it owns, or is the parent of.
    Child {
        /// The kind of that.
        kind: Kind,
        /// That namespace.
        id: NsId,
    },
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its pid, as the caller's /proc counts.
    pub pid: u32,
    /// The pid of its parent; 0 for none that is in sight.
    pub parent: u32,
    /// Its effective user id, as the caller's user namespace sees it.
    pub uid: u32,
    /// Its name, at most 15 bytes, which it can set itself.
    pub comm: String,
    /// Its command line; known only for the lowest pid of those with the same
    /// namespaces, and empty where there is none (kernel threads).
    pub command: Option<String>,
    /// What its cgroup is called: container, unit or path; known as `command` is.
    pub label: Option<Label>,
    /// Whether it has ended and its parent has not yet asked how.
    pub zombie: bool,
    /// Its namespaces.
    pub namespaces: NamespaceIds,
}

/// The namespaces with which others are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The process that has them: 1; or, where that cannot be read, 2 (the kernel's
    /// own threads), or the caller.
    pub pid: u32,
    /// Its namespaces.
    pub namespaces: NamespaceIds,
}

/// Which processes /proc shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All of the machine.
    Whole,
    /// Those of the caller's pid namespace, which is not the first.
    PidNamespace,
    /// Those of the caller's own user: /proc is mounted with `hidepid`.
    OwnUser,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What.
    pub part: Part,
    /// Why: mostly `EACCES`, since the caller may not examine the process.
    pub errno: Errno,
}

/// What can be unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The namespaces of a process, and with them its descriptors and threads.
    Process {
        /// The process.
        pid: u32,
    },
    /// The namespaces of one thread.
    Thread {
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
    },
    /// The list of threads of a process.
    Threads {
        /// The process.
        pid: u32,
    },
    /// The open descriptors of a process.
    Descriptors {
        /// The process.
        pid: u32,
    },
    /// The owner and the parent of a namespace.
    Relations {
        /// Its kind.
        kind: Kind,
        /// Which.
        id: NsId,
    },
    /// The network namespace of a socket, and of every other socket of that namespace.
    Socket {
        /// The process.
        pid: u32,
        /// The descriptor's number there.
        fd: u32,
    },
    /// The caller's mounts.
    Mounts,
    /// The mounts of another mount namespace.
    MountsOf {
        /// Which.
        id: NsId,
    },
    /// The kernel's own list of namespaces, or one of those on it.
    KernelList,
}

/// Processes that have the same namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The one with the lowest pid.
    pub first: &'a Process,
    /// How many.
    pub processes: usize,
}

impl Namespace {
    /// A namespace of which no more is known yet.
    #[must_use]
    pub fn new(kind: Kind, id: NsId) -> Self {
        Self {
            kind,
            id,
            unique_id: None,
            handle: None,
            owner: None,
            parent: None,
            owner_uid: None,
            processes: 0,
            pid: None,
            held_by: Vec::new(),
        }
    }
}

impl Process {
    /// A process of which no more is known yet.
    #[must_use]
    pub fn new(pid: u32, namespaces: NamespaceIds) -> Self {
        Self {
            pid,
            parent: 0,
            uid: 0,
            comm: String::new(),
            command: None,
            label: None,
            zombie: false,
            namespaces,
        }
    }

    /// Whether it is known to be in the first namespace of the kind, the one that the
    /// machine started with.
    #[must_use]
    pub fn is_in_first(&self, kind: Kind) -> bool {
        let inode = self.namespaces.get(kind).map(|id| id.inode);
        inode.is_some() && inode == kind.first_inode()
    }
}

impl Snapshot {
    /// Looks at every process, thread, descriptor and socket that /proc shows and that
    /// may be read, at the mounts of every mount namespace, and at the kernel's own list
    /// where it has one.
    ///
    /// # Errors
    /// Where /proc itself cannot be used. A single process never fails the whole.
    pub fn take() -> Result<Self, Error> {
        Self::take_from(&ProcRoot::open()?)
    }

    /// The same through a procfs that is open already.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_from(proc: &ProcRoot) -> Result<Self, Error> {
        Self::take_with(proc, Scope::ALL)
    }

    /// The same, looking only as far as `scope` says.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_with(proc: &ProcRoot, scope: Scope) -> Result<Self, Error> {
        Scan::run(proc, scope)
    }

    /// Looks at one process: the namespaces of its first thread, with their owners and
    /// parents up to the top, whatever else runs on the machine. What is in them beside
    /// it is not counted, and nothing else is looked at.
    ///
    /// # Errors
    /// `ESRCH` where there is no such process; `EACCES` where the caller may not examine
    /// it (ptrace(2), "read" access); and as [`Self::take`].
    pub fn of_process(proc: &ProcRoot, pid: u32) -> Result<Self, Error> {
        Scan::run_for_process(proc, pid, false)
    }

    /// The same, and how many processes are in each of those namespaces, with the lowest
    /// pid of them. The processes are the one asked for and those with the lowest pids.
    ///
    /// Counting takes some ten calls for each process of the machine, which the kernel has
    /// no shorter way for.
    ///
    /// # Errors
    /// As [`Self::of_process`].
    pub fn of_process_with_members(proc: &ProcRoot, pid: u32) -> Result<Self, Error> {
        Scan::run_for_process(proc, pid, true)
    }

    /// A snapshot of what the caller knows, sorted as [`Self::take`] sorts it, with
    /// nothing unreadable and no reference.
    #[must_use]
    pub fn of_parts(
        mut namespaces: Vec<Namespace>,
        mut processes: Vec<Process>,
        scope: Scope,
    ) -> Self {
        processes.sort_by_key(|process| process.pid);
        namespaces.sort_by_key(|namespace| (namespace.kind, namespace.id));
        let places = namespaces.iter().enumerate();
        let index = places.map(|(at, namespace)| (namespace.id, at)).collect();
        Self {
            namespaces,
            processes,
            unreadable: Vec::new(),
            view: View::Whole,
            reference: None,
            scope,
            kernel_list: false,
            index,
        }
    }

    /// The namespace with this identity.
    #[must_use]
    pub fn namespace(&self, id: NsId) -> Option<&Namespace> {
        self.index.get(&id).and_then(|at| self.namespaces.get(*at))
    }

    /// The user who made a namespace, as far as the kernel knows it: of a user namespace
    /// who made it, of another one who made the user namespace that owns it. As the
    /// caller's user namespace sees the id.
    #[must_use]
    pub fn maker(&self, namespace: &Namespace) -> Option<u32> {
        match namespace.kind {
            Kind::User => namespace.owner_uid,
            _ => self.namespace(namespace.owner?)?.owner_uid,
        }
    }

    /// The process with this pid.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<&Process> {
        let at = self
            .processes
            .binary_search_by_key(&pid, |process| process.pid)
            .ok()?;
        self.processes.get(at)
    }

    /// The processes in groups that have the same namespaces of the given kinds: the
    /// reference's group first, the others by their lowest pid.
    ///
    /// Zombies, whose namespaces are mostly gone, are in no group.
    #[must_use]
    pub fn groups(&self, kinds: NamespaceSet) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut of_set: HashMap<NamespaceIds, usize> = HashMap::new();
        for process in self.processes.iter().filter(|process| !process.zombie) {
            let set = process.namespaces.only(kinds);
            let at = *of_set.entry(set).or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => group.processes += 1,
                None => groups.push(Group {
                    first: process,
                    processes: 1,
                }),
            }
        }
        let host = self.reference.map(|host| host.namespaces.only(kinds));
        groups.sort_by_key(|group| Some(group.first.namespaces.only(kinds)) != host);
        groups
    }

    /// The namespaces of the given kinds that no running process is in.
    pub fn empty(&self, kinds: NamespaceSet) -> impl Iterator<Item = &Namespace> {
        let running = |pid| self.process(pid).is_some_and(|process| !process.zombie);
        self.namespaces.iter().filter(move |namespace| {
            kinds.contains(namespace.kind) && !namespace.pid.is_some_and(running)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: u64 = 4;

    fn process(pid: u32, net: u64, uts: u64) -> Process {
        let mut namespaces = NamespaceIds::empty(DEVICE);
        namespaces.set(Kind::Net, net);
        namespaces.set(Kind::Uts, uts);
        Process::new(pid, namespaces)
    }

    fn snapshot(processes: Vec<Process>, host: usize) -> Snapshot {
        let reference = processes.get(host).map(|process| Reference {
            pid: process.pid,
            namespaces: process.namespaces,
        });
        let mut snapshot = Snapshot::of_parts(Vec::new(), processes, Scope::ALL);
        snapshot.reference = reference;
        snapshot
    }

    fn summary(snapshot: &Snapshot, kinds: NamespaceSet) -> Vec<(u32, usize)> {
        let groups = snapshot.groups(kinds);
        groups
            .iter()
            .map(|group| (group.first.pid, group.processes))
            .collect()
    }

    #[test]
    fn processes_with_the_same_namespaces_are_one_group_and_the_hosts_is_first() {
        let list = vec![
            process(3, 90, 80),
            process(5, 10, 20),
            process(6, 90, 80),
            process(7, 10, 80),
            process(9, 10, 20),
        ];
        let snapshot = snapshot(list, 1);
        assert_eq!(
            summary(&snapshot, NamespaceSet::ALL),
            [(5, 2), (3, 2), (7, 1)]
        );
    }

    #[test]
    fn only_the_kinds_asked_for_tell_groups_apart() {
        let list = vec![process(3, 90, 80), process(5, 10, 20), process(7, 10, 80)];
        let snapshot = snapshot(list, 1);
        let only = |kind| NamespaceSet::EMPTY.with(kind);
        assert_eq!(summary(&snapshot, only(Kind::Net)), [(5, 2), (3, 1)]);
        assert_eq!(summary(&snapshot, only(Kind::Uts)), [(5, 1), (3, 2)]);
        assert_eq!(summary(&snapshot, only(Kind::Mnt)), [(3, 3)]);
    }

    #[test]
    fn a_zombie_is_in_no_group() {
        let mut list = vec![process(3, 10, 20), process(5, 10, 20)];
        list[1].zombie = true;
        assert_eq!(summary(&snapshot(list, 0), NamespaceSet::ALL), [(3, 1)]);
    }
}
