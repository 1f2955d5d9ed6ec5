//! A namespace as a target: opened through what keeps it alive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{FIND, Found, Target};
use crate::process::{Folder, nsfs_device};
use crate::{
    Error, Holder, Kind, Namespace, NsFd, NsHandle, NsId, ProcRoot, Process, Snapshot,
};

/// Finds the namespace with this inode.
pub fn find(proc: &ProcRoot, kind: Option<Kind>, inode: u64) -> Result<Found, Error> {
    let target = Target::Namespace { kind, inode };
    let snapshot = Snapshot::take_from(proc)?;
    let namespace = snapshot
        .namespaces
        .iter()
        .find(|namespace| namespace.id.inode == inode)
        .ok_or_else(|| unseen(&target, &snapshot))?;
    if kind.is_some_and(|kind| kind != namespace.kind) {
        let words = format!("it is of the kind {}", namespace.kind);
        return Err(Error::words(FIND, target.to_string(), Errno::INVAL, words));
    }
    let fd = open(proc, &snapshot, namespace).map_err(|errno| {
        Error::new("open", format!("{}:[{inode}]", namespace.kind), errno)
            .hint("what keeps it alive belongs to another user, or has just ended")
    })?;
    Ok(Found {
        process: None,
        name: fd.to_string(),
        namespaces: vec![fd],
    })
}

fn unseen(target: &Target, snapshot: &Snapshot) -> Error {
    let words = "no such namespace is in sight";
    let error = Error::words(FIND, target.to_string(), Errno::NOENT, words);
    match snapshot.unreadable.len() {
        0 => error.hint("`warren ls` shows those that are"),
        many => error.hint(format!(
            "{many} processes or files could not be read: as root more are in sight"
        )),
    }
}

/// Opens a namespace of the snapshot: by its handle, or through whatever holder leads to
/// it still.
fn open(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    namespace: &Namespace,
) -> Result<NsFd, Errno> {
    if let Some(Ok(fd)) = namespace.handle.map(NsHandle::open) {
        return Ok(fd);
    }
    let way = Way {
        proc,
        snapshot,
        namespace,
    };
    let mut worst = Errno::NOENT;
    for holder in &namespace.held_by {
        let opened = way.through(holder).and_then(|fd| {
            let same = fd.id()? == namespace.id;
            same.then_some(fd).ok_or(Errno::NOENT)
        });
        match opened {
            Ok(fd) => return Ok(fd),
            Err(Errno::ACCESS | Errno::PERM) => worst = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// The ways to one namespace.
struct Way<'a> {
    proc: &'a ProcRoot,
    snapshot: &'a Snapshot,
    namespace: &'a Namespace,
}

impl Way<'_> {
    fn through(&self, holder: &Holder) -> Result<NsFd, Errno> {
        match holder {
            Holder::Process { pid } => self.of(&self.process(*pid)?, false),
            Holder::Thread { pid, tid } => self.of(&self.thread(*pid, *tid)?, false),
            Holder::NextChildren { pid, tid } => self.of(&self.thread(*pid, *tid)?, true),
            Holder::Descriptor { pid, fd } => {
                reopen(self.proc, &self.process(*pid)?.list(c"fd")?.handle(*fd)?)
            }
            Holder::Socket { pid, fd } => of_socket(*pid, *fd),
            Holder::Mount { path, namespace } => {
                reopen(self.proc, &self.mounted(path, *namespace)?)
            }
            Holder::Child { id, .. } => self.relative_of(*id),
        }
    }

    fn process(&self, pid: u32) -> Result<Folder, Errno> {
        Folder::open(self.proc.as_fd(), pid)
    }

    fn thread(&self, pid: u32, tid: u32) -> Result<Folder, Errno> {
        Folder::open(self.process(pid)?.list(c"task")?.fd.as_fd(), tid)
    }

    fn of(&self, folder: &Folder, for_children: bool) -> Result<NsFd, Errno> {
        let kind = self.namespace.kind;
        let fd = folder.open_namespace(kind, for_children)?;
        Ok(NsFd::known(fd, kind))
    }

    /// A handle of what is mounted at a path, in a mount namespace in which a process is.
    fn mounted(&self, path: &Path, namespace: Option<NsId>) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let Some(namespace) = namespace else {
            return rustix::fs::open(path, flags, Mode::empty());
        };
        let inside =
            |process: &&Process| process.namespaces.get(Kind::Mnt) == Some(namespace);
        let process = self.snapshot.processes.iter().find(inside);
        let root = self.process(process.ok_or(Errno::NOENT)?.pid)?.root()?;
        let limits = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(root, path, flags, Mode::empty(), limits)
    }

    /// The owner or the parent of a namespace. A pid namespace has both, and only one of
    /// them is meant.
    fn relative_of(&self, id: NsId) -> Result<NsFd, Errno> {
        let child = self.snapshot.namespace(id).ok_or(Errno::NOENT)?;
        let child = open(self.proc, self.snapshot, child)?;
        match child.parent() {
            Ok(parent) if parent.id()? == self.namespace.id => Ok(parent),
            _ => child.owner(),
        }
    }
}

/// The network namespace of another process's socket: pidfd_getfd(2), Linux 5.6.
fn of_socket(pid: u32, fd: u32) -> Result<NsFd, Errno> {
    let pidfd = super::process::open_pidfd(pid)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    let socket = rustix::process::pidfd_getfd(
        &pidfd,
        fd,
        rustix::process::PidfdGetfdFlags::empty(),
    )?;
    let fd = warren_sys::socket_namespace(socket.as_fd())?;
    Ok(NsFd::known(fd, Kind::Net))
}

/// Opens what a handle leads to, if it is a namespace: to open a device could set
/// something off.
fn reopen(proc: &ProcRoot, handle: &OwnedFd) -> Result<NsFd, Errno> {
    let device = nsfs_device(proc).map_err(|error| error.errno())?;
    if rustix::fs::fstat(handle)?.st_dev != device {
        return Err(Errno::NOENT);
    }
    let own = proc.own_folder().map_err(|error| error.errno())?;
    let path = format!("{own}/fd/{}", handle.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    NsFd::from_fd(rustix::fs::openat(proc, path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_namespaces_are_found_by_their_inodes() {
        let proc = ProcRoot::open().expect("/proc");
        let own = crate::namespaces_of(&proc, std::process::id()).expect("own");
        for (kind, id) in own.iter() {
            let found = find(&proc, None, id.inode).expect("found");
            assert_eq!(found.name, format!("{kind}:[{}]", id.inode));
            assert!(find(&proc, Some(kind), id.inode).is_ok());
        }
    }

    #[test]
    fn another_kind_or_number_is_refused_with_words() {
        let proc = ProcRoot::open().expect("/proc");
        let own = crate::namespaces_of(&proc, std::process::id()).expect("own");
        let inode = own.get(Kind::Net).expect("net").inode;
        let error = find(&proc, Some(Kind::Uts), inode).expect_err("another kind");
        assert_eq!(
            error.to_string(),
            format!("find uts:[{inode}]: it is of the kind net")
        );
        let error = find(&proc, None, 1 << 31).expect_err("nothing");
        assert_eq!(error.errno(), Errno::NOENT);
    }
}
