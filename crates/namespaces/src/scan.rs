//! The walk over /proc that fills a [`Snapshot`].
//!
//! Everything is read through one checked descriptor of /proc and one of each
//! process's folder, so a pid that is reused meanwhile cannot mix two processes. A
//! namespace is asked for its owner and parent once, when it is first met, while the
//! folder through which it was met is open.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::mountinfo::{self, MountInfo};
use crate::process::{Folder, Numbered, Stat, nsfs_device, parse_link};
use crate::{
    Error, Holder, Kind, Namespace, NamespaceIds, NsFd, NsId, Part, ProcRoot, Process,
    Reference, Snapshot, Unreadable, View,
};

/// The kinds of which threads of one process can have different ones: setns(2) and
/// unshare(2) refuse `CLONE_NEWUSER` to a process with threads, and a pid namespace
/// is entered by children only.
const OF_THREADS: [Kind; 6] = [
    Kind::Mnt,
    Kind::Net,
    Kind::Ipc,
    Kind::Uts,
    Kind::Cgroup,
    Kind::Time,
];

/// The kinds that have a `*_for_children` link.
const OF_CHILDREN: [Kind; 2] = [Kind::Pid, Kind::Time];

pub(crate) struct Scan<'p> {
    proc: &'p ProcRoot,
    own_folder: String,
    device: u64,
    /// By inode; the number is the place in `namespaces`.
    index: HashMap<u64, usize>,
    namespaces: Vec<Namespace>,
    /// For each, why it has not told its owner and parent yet.
    unrelated: Vec<Option<Errno>>,
    sets: HashSet<NamespaceIds>,
    processes: Vec<Process>,
    unreadable: Vec<Unreadable>,
}

/// The two `*_for_children` namespaces, 0 where it is the own one.
type ForChildren = [u64; 2];

impl<'p> Scan<'p> {
    pub fn run(proc: &'p ProcRoot) -> Result<Snapshot, Error> {
        let mut scan = Self {
            proc,
            own_folder: proc.own_folder()?,
            device: nsfs_device(proc)?,
            index: HashMap::new(),
            namespaces: Vec::new(),
            unrelated: Vec::new(),
            sets: HashSet::new(),
            processes: Vec::new(),
            unreadable: Vec::new(),
        };
        for pid in list_processes(proc)? {
            scan.process(pid);
        }
        let hidden = scan.mounts();
        scan.note_unrelated();
        scan.note_children();
        Ok(scan.finish(hidden))
    }

    fn process(&mut self, pid: u32) {
        if let Err(errno) = self.try_process(pid) {
            self.cannot(Part::Process { pid }, errno);
        }
    }

    fn try_process(&mut self, pid: u32) -> Result<(), Errno> {
        let folder = Folder::open(self.proc.as_fd(), pid)?;
        let (stat, namespaces) = folder.stat_and_namespaces(self.device)?;
        let uid = folder.uid()?;
        let threads = stat.threads;
        let zombie = stat.zombie;
        self.add_process(pid, uid, stat, &folder, namespaces);
        if !zombie {
            let next = self.next_children(pid, pid, &folder, &namespaces, [0; 2]);
            self.descriptors(pid, &folder);
            if threads > 1 {
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
            let at = self.meet(kind, id.inode, || folder.open_namespace(kind, false));
            let namespace = &mut self.namespaces[at];
            namespace.processes += 1;
            if namespace.pid.is_none() {
                namespace.pid = Some(pid);
                namespace.held_by.push(Holder::Process { pid });
            }
        }
        let first_of_set = self.sets.insert(namespaces);
        // A process that dies here keeps its name at least.
        let command = first_of_set.then(|| folder.command_line().unwrap_or_default());
        self.processes.push(Process {
            pid,
            parent: stat.parent,
            uid,
            comm: stat.comm,
            command,
            zombie: stat.zombie,
            namespaces,
        });
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
        for (slot, kind) in OF_CHILDREN.into_iter().enumerate() {
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
                let at = self.meet(kind, inode, || folder.open_namespace(kind, true));
                let holder = Holder::NextChildren { pid, tid };
                self.namespaces[at].held_by.push(holder);
            }
        }
        next
    }

    fn descriptors(&mut self, pid: u32, folder: &Folder) {
        let list = match folder.list(c"fd") {
            Ok(list) => list,
            Err(errno) => return self.cannot(Part::Descriptors { pid }, errno),
        };
        for &fd in &list.numbers {
            // An error means that it has been closed.
            let Ok(Some((kind, inode))) = list.namespace(fd) else {
                continue;
            };
            let at = self.meet_handle(kind, inode, || list.handle(fd));
            let holder = Holder::Descriptor { pid, fd };
            self.namespaces[at].held_by.push(holder);
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
        let namespaces = match folder.some_namespaces(self.device, &OF_THREADS) {
            // As for processes: it may just have ended.
            Err(Errno::ACCESS) => return folder.stat().and(Err(Errno::ACCESS)),
            result => result?,
        };
        for (kind, id) in namespaces.different_from(leader) {
            let at = self.meet(kind, id.inode, || folder.open_namespace(kind, false));
            let holder = Holder::Thread { pid, tid };
            self.namespaces[at].held_by.push(holder);
        }
        // Its pid namespace, which was not asked for, is the leader's.
        self.next_children(pid, tid, &folder, leader, next);
        Ok(())
    }

    /// Notes the namespaces that are mounted somewhere; whether /proc hides the
    /// processes of other users is seen on the way.
    fn mounts(&mut self) -> bool {
        let mounts = match mountinfo::own(self.proc) {
            Ok(mounts) => mounts,
            Err(error) => {
                self.cannot(Part::Mounts, error.errno());
                return false;
            }
        };
        for mount in mounts.iter().filter(|mount| mount.filesystem == "nsfs") {
            let root = mount.root.as_os_str().as_encoded_bytes();
            let Some((kind, inode)) = parse_link(root) else {
                continue;
            };
            let at = self.meet_handle(kind, inode, || handle_of(&mount.mount_point));
            self.namespaces[at].held_by.push(Holder::Mount {
                path: mount.mount_point.clone(),
            });
        }
        hides_other_users(&mounts)
    }

    /// The place of a namespace that was seen, which is made where it is new; one
    /// that has not told its owner yet is opened and asked.
    fn meet(
        &mut self,
        kind: Kind,
        inode: u64,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> usize {
        let at = self.place(kind, inode);
        if self.unrelated[at].is_some() {
            match open() {
                Ok(fd) => self.relate(at, fd),
                Err(errno) => self.unrelated[at] = Some(errno),
            }
        }
        at
    }

    /// The same for a link that may lead to a device by the time it is opened, which
    /// an open could set off: what it leads to is checked first.
    fn meet_handle(
        &mut self,
        kind: Kind,
        inode: u64,
        handle: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> usize {
        let (proc, device) = (self.proc, self.device);
        let own_folder = self.own_folder.clone();
        self.meet(kind, inode, || {
            let handle = handle()?;
            if rustix::fs::fstat(&handle)?.st_dev != device {
                return Err(Errno::NOENT);
            }
            let path = format!("{own_folder}/fd/{}", handle.as_raw_fd());
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::openat(proc, path, flags, Mode::empty())
        })
    }

    fn place(&mut self, kind: Kind, inode: u64) -> usize {
        if let Some(at) = self.index.get(&inode) {
            return *at;
        }
        let at = self.namespaces.len();
        self.index.insert(inode, at);
        self.unrelated.push(Some(Errno::NOENT));
        self.namespaces.push(Namespace {
            kind,
            id: NsId {
                device: self.device,
                inode,
            },
            owner: None,
            parent: None,
            owner_uid: None,
            processes: 0,
            pid: None,
            held_by: Vec::new(),
        });
        at
    }

    /// Asks a namespace for its owner and parent, and those for theirs, up to one
    /// that is known or out of sight.
    fn relate(&mut self, at: usize, fd: OwnedFd) {
        let mut open = vec![(at, NsFd::known(fd, self.namespaces[at].kind))];
        while let Some((at, fd)) = open.pop() {
            match self.relations(at, &fd) {
                Ok(relatives) => {
                    self.unrelated[at] = None;
                    open.extend(relatives);
                }
                Err(errno) => self.unrelated[at] = Some(errno),
            }
        }
    }

    /// Fills in one namespace; gives those of its relatives that are new.
    fn relations(&mut self, at: usize, fd: &NsFd) -> Result<Vec<(usize, NsFd)>, Errno> {
        // The process may have moved since its link was read.
        if fd.id()? != self.namespaces[at].id {
            return Err(Errno::NOENT);
        }
        let mut new = Vec::new();
        let owner = self.relative(fd.owner(), &mut new)?;
        self.namespaces[at].owner = owner;
        match fd.kind() {
            Kind::User => {
                // The owner of a user namespace is its parent.
                self.namespaces[at].parent = owner;
                self.namespaces[at].owner_uid = Some(fd.owner_uid()?);
            }
            Kind::Pid => {
                let parent = self.relative(fd.parent(), &mut new)?;
                self.namespaces[at].parent = parent;
            }
            _ => {}
        }
        Ok(new)
    }

    /// The identity of an owner or parent, `None` where it is out of sight.
    fn relative(
        &mut self,
        answer: Result<NsFd, Errno>,
        new: &mut Vec<(usize, NsFd)>,
    ) -> Result<Option<NsId>, Errno> {
        let fd = match answer {
            Err(Errno::PERM) => return Ok(None),
            answer => answer?,
        };
        let id = fd.id()?;
        let at = self.place(fd.kind(), id.inode);
        if self.unrelated[at].is_some() {
            new.push((at, fd));
        }
        Ok(Some(id))
    }

    /// Notes what cannot be read, except for what has just ended.
    fn cannot(&mut self, part: Part, errno: Errno) {
        if !matches!(errno, Errno::SRCH | Errno::NOENT) {
            self.unreadable.push(Unreadable { part, errno });
        }
    }

    fn note_unrelated(&mut self) {
        for at in 0..self.namespaces.len() {
            let Namespace { kind, id, .. } = self.namespaces[at];
            if let Some(errno) = self.unrelated[at] {
                self.cannot(Part::Relations { kind, id }, errno);
            }
        }
    }

    fn note_children(&mut self) {
        for at in 0..self.namespaces.len() {
            let Namespace {
                kind,
                id,
                owner,
                parent,
                ..
            } = self.namespaces[at];
            let parent = parent.filter(|parent| owner != Some(*parent));
            for relative in owner.into_iter().chain(parent) {
                if let Some(at) = self.index.get(&relative.inode) {
                    let holder = Holder::Child { kind, id };
                    self.namespaces[*at].held_by.push(holder);
                }
            }
        }
    }

    fn finish(mut self, hidden: bool) -> Snapshot {
        self.processes.sort_by_key(|process| process.pid);
        self.namespaces
            .sort_by_key(|namespace| (namespace.kind, namespace.id));
        let places = self.namespaces.iter().enumerate();
        let index = places.map(|(at, namespace)| (namespace.id, at)).collect();
        let mut snapshot = Snapshot {
            namespaces: self.namespaces,
            processes: self.processes,
            unreadable: self.unreadable,
            view: View::Whole,
            reference: None,
            index,
        };
        let own = self.own_folder.parse().ok();
        let own = own.and_then(|pid| snapshot.process(pid));
        let view = view(own, hidden);
        let reference = reference(&snapshot, own);
        snapshot.view = view;
        snapshot.reference = reference;
        snapshot
    }
}

pub(crate) fn list_processes(proc: &ProcRoot) -> Result<Vec<u32>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, ".", flags, Mode::empty())
        .and_then(Numbered::read)
        .map(|list| list.numbers)
        .map_err(|errno| Error::new("list", "/proc", errno))
}

fn handle_of(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
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

fn view(own: Option<&Process>, hidden: bool) -> View {
    match own {
        Some(own) if !own.is_in_first(Kind::Pid) => View::PidNamespace,
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
