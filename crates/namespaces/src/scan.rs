//! The walk over /proc that fills a [`Snapshot`].
//!
//! Everything is read through one checked descriptor of /proc and one of each
//! process's folder, so a pid that is reused meanwhile cannot mix two processes. A
//! namespace is asked for its owner and parent once, when it is first met, while the
//! folder through which it was met is open.

mod graph;
mod kernel;
mod mounts;
mod sockets;

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::mountinfo::{self, MountInfo};
use crate::process::{Folder, Links, Numbered, Stat, Target, nsfs_device};
use crate::{
    Error, Holder, Kind, MountScope, NamespaceIds, NamespaceSet, NsId, Part, ProcRoot,
    Process, Reference, Scope, Snapshot, Unreadable, View,
};
use graph::Graph;
use mounts::{Mounted, Mounts};
use sockets::{Owner, Sockets};

/// The kinds of which threads of one process can have different ones: setns(2) and
/// unshare(2) refuse `CLONE_NEWUSER` to a process with threads, and a pid namespace
/// is entered by children only.
const OF_THREADS: NamespaceSet = NamespaceSet::ALL.without(Kind::User).without(Kind::Pid);

/// The kinds that have a `*_for_children` link.
const OF_CHILDREN: [Kind; 2] = [Kind::Pid, Kind::Time];

pub(crate) struct Scan<'p> {
    proc: &'p ProcRoot,
    scope: Scope,
    /// Those that are read of every process.
    kinds: NamespaceSet,
    own_folder: String,
    /// The caller's own mount and pid namespace.
    own: NamespaceIds,
    graph: Graph,
    sets: HashSet<NamespaceIds>,
    processes: Vec<Process>,
    sockets: Sockets,
    mounts: Mounts,
    kernel_list: bool,
    unreadable: Vec<Unreadable>,
}

/// The two `*_for_children` namespaces, 0 where it is the own one.
type ForChildren = [u64; 2];

impl<'p> Scan<'p> {
    /// Everything that the scope asks for.
    pub fn run(proc: &'p ProcRoot, scope: Scope) -> Result<Snapshot, Error> {
        let mut scan = Self::new(proc, scope)?;
        let hidden = scan.own_mounts();
        for pid in list_processes(proc)? {
            scan.process(pid);
        }
        scan.take_kernel_list();
        scan.take_other_mounts();
        Ok(scan.finish(hidden))
    }

    /// One process, and the owners and parents of its namespaces; with `members`, how
    /// many others are in each, and the process of them with the lowest pid.
    pub fn run_for_process(
        proc: &'p ProcRoot,
        pid: u32,
        members: bool,
    ) -> Result<Snapshot, Error> {
        let scope = Scope {
            relations: true,
            ids: true,
            commands: true,
            labels: true,
            ..Scope::MEMBERS
        };
        let mut scan = Self::new(proc, scope)?;
        scan.try_process(pid).map_err(|errno| {
            Error::new("read the namespaces of process", pid.to_string(), errno)
        })?;
        if members {
            for other in list_processes(proc)? {
                if other != pid
                    && let Err(errno) = scan.member(other)
                {
                    scan.cannot(Part::Process { pid: other }, errno);
                }
            }
        }
        Ok(scan.finish(false))
    }

    /// Counts a process in those of its namespaces that are known, as cheaply as can be;
    /// reads the rest of it where it is the first of one.
    fn member(&mut self, pid: u32) -> Result<(), Errno> {
        let links = Links::open(self.proc, pid)?;
        let folder = || Folder::open(self.proc.as_fd(), pid);
        let namespaces = match links.namespaces(self.graph.device, self.kinds) {
            Err(errno) => return Err(folder()?.reason(errno)),
            namespaces => namespaces?,
        };
        let mut is_first = false;
        for (_, id) in namespaces.iter() {
            let Some(namespace) = self.graph.get_mut(id.inode) else {
                continue;
            };
            namespace.processes += 1;
            if namespace.pid.is_none_or(|lowest| pid < lowest) {
                namespace.pid = Some(pid);
                namespace.held_by = vec![Holder::Process { pid }];
                is_first = true;
            }
        }
        if is_first {
            let folder = folder()?;
            // Its number may have come to another meanwhile.
            if folder.namespaces(self.graph.device, self.kinds)? != namespaces {
                return Err(Errno::SRCH);
            }
            let (stat, uid) = (folder.stat()?, folder.uid()?);
            // The process asked for may have the same, and its command is read as well.
            self.sets.remove(&namespaces);
            self.add_details(pid, uid, stat, &folder, namespaces);
        }
        Ok(())
    }

    fn new(proc: &'p ProcRoot, scope: Scope) -> Result<Self, Error> {
        let own_folder = proc.own_folder()?;
        let device = nsfs_device(proc)?;
        let own = own_folder.parse().map_err(|_| Errno::INVAL);
        let own = own.and_then(|pid| Folder::open(proc.as_fd(), pid));
        let kinds = NamespaceSet::EMPTY.with(Kind::Mnt).with(Kind::Pid);
        let own = own.and_then(|folder| folder.namespaces(device, kinds));
        let wrap = |errno| Error::new("read", "/proc/self/ns", errno);
        Ok(Self {
            proc,
            scope,
            kinds: match scope.mounts {
                // What is mounted in it is looked at, whoever asks for it.
                MountScope::All => scope.kinds.with(Kind::Mnt),
                _ => scope.kinds,
            },
            own_folder,
            own: own.map_err(wrap)?,
            graph: Graph::new(device, scope),
            sets: HashSet::new(),
            processes: Vec::new(),
            sockets: Sockets::default(),
            mounts: Mounts::default(),
            kernel_list: false,
            unreadable: Vec::new(),
        })
    }

    fn process(&mut self, pid: u32) {
        if let Err(errno) = self.try_process(pid) {
            self.cannot(Part::Process { pid }, errno);
        }
    }

    fn try_process(&mut self, pid: u32) -> Result<(), Errno> {
        let folder = Folder::open(self.proc.as_fd(), pid)?;
        let (device, kinds) = (self.graph.device, self.kinds);
        let (stat, namespaces) = folder.stat_and_namespaces(device, kinds)?;
        let uid = folder.uid()?;
        let threads = if stat.zombie || stat.kernel {
            0
        } else {
            stat.threads
        };
        self.add_process(pid, uid, stat, &folder, namespaces);
        self.mounts_seen_by(&folder, &namespaces);
        if threads > 0 {
            let next = self.next_children(pid, pid, &folder, &namespaces, [0; 2]);
            self.descriptors(pid, &folder, &namespaces);
            if threads > 1 && self.scope.threads {
                self.threads(pid, &folder, &namespaces, next);
            }
        }
        Ok(())
    }

    fn add_process(
        &mut self,
        pid: u32,
        uid: u32,
        stat: Stat,
        folder: &Folder,
        namespaces: NamespaceIds,
    ) {
        for (kind, id) in namespaces.iter() {
            let open = || folder.open_namespace(kind, false);
            let namespace = self.graph.meet(kind, id.inode, open);
            namespace.processes += 1;
            if namespace.pid.is_none() {
                namespace.pid = Some(pid);
                namespace.held_by.push(Holder::Process { pid });
            }
        }
        self.add_details(pid, uid, stat, folder, namespaces);
    }

    fn add_details(
        &mut self,
        pid: u32,
        uid: u32,
        stat: Stat,
        folder: &Folder,
        namespaces: NamespaceIds,
    ) {
        let mut process = Process::new(pid, namespaces);
        if self.sets.insert(namespaces) {
            // A process that dies here keeps its name at least.
            process.command = self
                .scope
                .commands
                .then(|| folder.command_line().unwrap_or_default());
            if self.scope.labels {
                process.label = folder.label().unwrap_or_default();
            }
        }
        process.parent = stat.parent;
        process.uid = uid;
        process.comm = stat.comm;
        process.zombie = stat.zombie;
        self.processes.push(process);
    }

    /// Notes where the next children of a thread will be, unless that is where it is
    /// itself, or where `leader`'s children will be.
    fn next_children(
        &mut self,
        pid: u32,
        tid: u32,
        folder: &Folder,
        namespaces: &NamespaceIds,
        leader: ForChildren,
    ) -> ForChildren {
        let mut next = [0; 2];
        if !self.scope.for_children {
            return next;
        }
        for (slot, kind) in OF_CHILDREN.into_iter().enumerate() {
            if !self.kinds.contains(kind) {
                continue;
            }
            // Missing after unshare(2) until the first child is there, and for a
            // thread that has ended.
            let Ok(Some(inode)) = folder.for_children(kind) else {
                continue;
            };
            if namespaces.get(kind).is_some_and(|own| own.inode == inode) {
                continue;
            }
            next[slot] = inode;
            if inode != leader[slot] {
                let open = || folder.open_namespace(kind, true);
                let holder = Holder::NextChildren { pid, tid };
                self.graph.meet(kind, inode, open).held_by.push(holder);
            }
        }
        next
    }

    fn descriptors(&mut self, pid: u32, folder: &Folder, own: &NamespaceIds) {
        if !self.scope.descriptors {
            return;
        }
        let list = match folder.list(c"fd") {
            Ok(list) => list,
            Err(errno) => return self.cannot(Part::Descriptors { pid }, errno),
        };
        let mut owner = Some(Owner::new(pid, &list)).filter(|_| self.asks_sockets());
        for &fd in &list.numbers {
            // An error means that it has been closed.
            match list.link(fd) {
                Ok(Target::Namespace(kind, inode)) if self.kinds.contains(kind) => {
                    let holder = Holder::Descriptor { pid, fd };
                    let handle = || list.handle(fd).map_err(|errno| folder.reason(errno));
                    self.meet_handle(kind, inode, holder, handle);
                }
                Ok(Target::Socket(inode)) => {
                    if let Some(asked) = &mut owner
                        && !self.socket(asked, pid, (fd, inode), own)
                    {
                        owner = None;
                    }
                }
                _ => {}
            }
        }
    }

    fn asks_sockets(&self) -> bool {
        self.scope.sockets && self.scope.kinds.contains(Kind::Net)
    }

    /// Notes a socket of another network namespace than its process's; false where this
    /// process's sockets cannot be asked at all.
    fn socket(
        &mut self,
        owner: &mut Owner<'_>,
        pid: u32,
        (fd, inode): (u32, u64),
        own: &NamespaceIds,
    ) -> bool {
        let own = own.get(Kind::Net).map(|id| id.inode);
        match self.sockets.namespace(owner, (fd, inode), &mut self.graph) {
            Ok(Some(net)) if Some(net) != own => {
                let holder = Holder::Socket { pid, fd };
                let open = || Err(Errno::NOENT);
                let namespace = self.graph.meet(Kind::Net, net, open);
                namespace.held_by.push(holder);
                true
            }
            Ok(_) => true,
            // Closed meanwhile.
            Err(Errno::BADF) => true,
            Err(errno) => {
                self.cannot(Part::Socket { pid, fd }, errno);
                owner.has_been_copied()
            }
        }
    }

    fn threads(
        &mut self,
        pid: u32,
        folder: &Folder,
        leader: &NamespaceIds,
        next: ForChildren,
    ) {
        let list = match folder.list(c"task") {
            Ok(list) => list,
            Err(errno) => return self.cannot(Part::Threads { pid }, errno),
        };
        for &tid in list.numbers.iter().filter(|tid| **tid != pid) {
            if let Err(errno) = self.thread(pid, tid, &list, leader, next) {
                self.cannot(Part::Thread { pid, tid }, errno);
            }
        }
    }

    fn thread(
        &mut self,
        pid: u32,
        tid: u32,
        list: &Numbered,
        leader: &NamespaceIds,
        next: ForChildren,
    ) -> Result<(), Errno> {
        let folder = Folder::open(list.fd.as_fd(), tid)?;
        let kinds = self.kinds.both(OF_THREADS);
        let namespaces = folder
            .namespaces(self.graph.device, kinds)
            .map_err(|errno| folder.reason(errno))?;
        for (kind, id) in namespaces.different_from(leader) {
            let open = || folder.open_namespace(kind, false);
            let holder = Holder::Thread { pid, tid };
            self.graph.meet(kind, id.inode, open).held_by.push(holder);
        }
        self.mounts_seen_by(&folder, &namespaces);
        // Its pid namespace, which was not asked for, is the leader's.
        self.next_children(pid, tid, &folder, leader, next);
        Ok(())
    }

    /// Notes the namespaces that are mounted in the caller's mount namespace; whether
    /// /proc hides the processes of other users is seen on the way.
    fn own_mounts(&mut self) -> bool {
        let mounts = match mountinfo::own(self.proc) {
            Ok(mounts) => mounts,
            Err(error) => {
                self.cannot(Part::Mounts, error.errno());
                return false;
            }
        };
        if self.scope.mounts != MountScope::None {
            if let Some(own) = self.own.get(Kind::Mnt) {
                self.mounts.note(own.inode, mounts.len());
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open("/", flags, Mode::empty());
            for mounted in mounts.iter().filter_map(Mounted::of_mount) {
                self.mounted(mounted, None, root.as_ref().map_err(|errno| *errno));
            }
        }
        hides_other_users(&mounts)
    }

    /// The same for the mount namespace of a process or thread, where it is new.
    fn mounts_seen_by(&mut self, folder: &Folder, namespaces: &NamespaceIds) {
        if self.scope.mounts != MountScope::All {
            return;
        }
        let Some(id) = namespaces.get(Kind::Mnt) else {
            return;
        };
        if !self.mounts.is_new(id.inode) {
            return;
        }
        // One that has died or moved meanwhile leaves it to the next.
        let Ok(text) = folder.mountinfo() else {
            return;
        };
        let (mounted, count) = mounts::of_mountinfo(&text);
        if folder.mount_namespace() != Ok(Some(id.inode)) {
            return;
        }
        self.mounts.note(id.inode, count);
        if mounted.is_empty() {
            return;
        }
        let root = folder.root();
        for mounted in mounted {
            self.mounted(mounted, Some(id), root.as_ref().map_err(|errno| *errno));
        }
    }

    fn mounted(
        &mut self,
        mounted: Mounted,
        namespace: Option<NsId>,
        root: Result<&OwnedFd, Errno>,
    ) {
        let Mounted { kind, inode, path } = mounted;
        if !self.kinds.contains(kind) {
            return;
        }
        let place = path.clone();
        let holder = Holder::Mount { path, namespace };
        self.meet_handle(kind, inode, holder, || mounts::handle(root?, &place));
    }

    /// Meets a namespace by a link that may lead to a device by the time it is opened,
    /// which an open could set off: what it leads to is checked first.
    fn meet_handle(
        &mut self,
        kind: Kind,
        inode: u64,
        holder: Holder,
        handle: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) {
        let (proc, device, own_folder) = (self.proc, self.graph.device, &self.own_folder);
        let open = || {
            let handle = handle()?;
            if rustix::fs::fstat(&handle)?.st_dev != device {
                return Err(Errno::NOENT);
            }
            open_link(proc, &format!("{own_folder}/fd/{}", handle.as_raw_fd()))
        };
        self.graph.meet(kind, inode, open).held_by.push(holder);
    }

    /// Notes what cannot be read, except for what has just ended.
    fn cannot(&mut self, part: Part, errno: Errno) {
        if !matches!(errno, Errno::SRCH | Errno::NOENT) {
            self.unreadable.push(Unreadable { part, errno });
        }
    }

    fn finish(mut self, hidden: bool) -> Snapshot {
        for Unreadable { part, errno } in self.graph.untold().collect::<Vec<_>>() {
            self.cannot(part, errno);
        }
        self.graph.note_children();
        let mut namespaces = self.graph.namespaces;
        let kinds = if self.scope.relations {
            self.scope.kinds.with(Kind::User)
        } else {
            self.scope.kinds
        };
        namespaces.retain(|namespace| kinds.contains(namespace.kind));
        let mut snapshot = Snapshot::of_parts(namespaces, self.processes, self.scope);
        snapshot.unreadable = self.unreadable;
        snapshot.kernel_list = self.kernel_list;
        snapshot.view = view(&self.own, hidden);
        let own = self.own_folder.parse().ok();
        let own = own.and_then(|pid| snapshot.process(pid));
        snapshot.reference = reference(&snapshot, own);
        snapshot
    }
}

/// Opens what a link below /proc leads to, which is known to be a namespace.
fn open_link(proc: &ProcRoot, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, path, flags, Mode::empty())
}

pub(crate) fn list_processes(proc: &ProcRoot) -> Result<Vec<u32>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, ".", flags, Mode::empty())
        .and_then(Numbered::read)
        .map(|list| list.numbers)
        .map_err(|errno| Error::new("list", "/proc", errno))
}

/// Whether the caller's /proc keeps the processes of others to itself: `hidepid=2`
/// (`invisible`) or 4 (`ptraceable`), proc(5).
fn hides_other_users(mounts: &[MountInfo]) -> bool {
    const HIDDEN: [&str; 4] = [
        "hidepid=2",
        "hidepid=invisible",
        "hidepid=4",
        "hidepid=ptraceable",
    ];
    let of_proc = |mount: &&MountInfo| mount.mount_point == Path::new("/proc");
    let top = mounts.iter().rev().find(of_proc);
    let hidden =
        top.is_some_and(|mount| HIDDEN.iter().any(|word| mount.has_super_option(word)));
    hidden && !rustix::process::geteuid().is_root()
}

fn view(own: &NamespaceIds, hidden: bool) -> View {
    let pid = own.get(Kind::Pid).map(|id| id.inode);
    match pid {
        Some(_) if pid != Kind::Pid.first_inode() => View::PidNamespace,
        _ if hidden => View::OwnUser,
        _ => View::Whole,
    }
}

/// What the others are compared with: see [`Reference::pid`].
fn reference(snapshot: &Snapshot, own: Option<&Process>) -> Option<Reference> {
    let kernel = |process: &&Process| process.parent == 0;
    let process = snapshot
        .process(1)
        .or_else(|| snapshot.process(2).filter(kernel))
        .or(own)?;
    Some(Reference {
        pid: process.pid,
        namespaces: process.namespaces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NsFd;

    fn own(snapshot: &Snapshot) -> &Process {
        snapshot.process(std::process::id()).expect("the caller")
    }

    #[test]
    fn the_caller_is_found_with_its_namespaces() {
        let snapshot = Snapshot::take().expect("a snapshot");
        for (kind, id) in own(&snapshot).namespaces.iter() {
            let namespace = snapshot.namespace(id).expect("its namespace");
            assert_eq!(namespace.kind, kind);
            assert!(namespace.processes >= 1);
            assert!(namespace.pid <= Some(std::process::id()));
        }
    }

    #[test]
    fn a_namespace_that_only_a_descriptor_names_is_held_by_it_too() {
        use std::os::fd::AsRawFd;
        let held = NsFd::open(Path::new("/proc/self/ns/uts")).expect("own namespace");
        let snapshot = Snapshot::take().expect("a snapshot");
        let id = held.id().expect("fstat");
        let holder = Holder::Descriptor {
            pid: std::process::id(),
            fd: held.as_fd().as_raw_fd() as u32,
        };
        let namespace = snapshot.namespace(id).expect("found");
        assert!(namespace.held_by.contains(&holder));
    }

    #[test]
    fn owners_are_user_namespaces_and_name_their_children() {
        let snapshot = Snapshot::take().expect("a snapshot");
        let uts = own(&snapshot).namespaces.get(Kind::Uts).expect("uts");
        let uts = snapshot.namespace(uts).expect("found");
        let owner = uts.owner.expect("the caller's own user namespace owns it");
        let owner = snapshot.namespace(owner).expect("found");
        assert_eq!(owner.kind, Kind::User);
        let child = Holder::Child {
            kind: Kind::Uts,
            id: uts.id,
        };
        assert!(owner.held_by.contains(&child));
    }

    #[test]
    fn hidepid_is_seen_on_the_mount_that_is_on_top() {
        let line = |options| {
            format!("5 1 0:4 / /proc rw shared:2 - proc proc rw,{options}\n").into_bytes()
        };
        let open = mountinfo::parse(&line("gid=5"));
        assert!(!hides_other_users(&open));
        let covered = [line("hidepid=invisible"), line("gid=5")].concat();
        assert!(!hides_other_users(&mountinfo::parse(&covered)));
    }
}
