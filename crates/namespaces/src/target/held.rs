//! A namespace as a target: opened through what keeps it alive.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{FIND, Found, Target};
use crate::process::{Folder, nsfs_device};
use crate::{Error, Holder, Kind, Namespace, NsFd, ProcRoot, Snapshot};

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

/// Opens a namespace of the snapshot through whatever holder leads to it still.
fn open(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    namespace: &Namespace,
) -> Result<NsFd, Errno> {
    let mut worst = Errno::NOENT;
    for holder in &namespace.held_by {
        let opened = through(proc, snapshot, namespace, holder).and_then(|fd| {
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

fn through(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    namespace: &Namespace,
    holder: &Holder,
) -> Result<NsFd, Errno> {
    let kind = namespace.kind;
    let process = |pid: u32| Folder::open(proc.as_fd(), pid);
    let thread =
        |pid: u32, tid: u32| Folder::open(process(pid)?.list(c"task")?.fd.as_fd(), tid);
    let of = |folder: Folder, for_children| {
        let fd = folder.open_namespace(kind, for_children)?;
        Ok(NsFd::known(fd, kind))
    };
    match holder {
        Holder::Process { pid } => of(process(*pid)?, false),
        Holder::Thread { pid, tid } => of(thread(*pid, *tid)?, false),
        Holder::NextChildren { pid, tid } => of(thread(*pid, *tid)?, true),
        Holder::Descriptor { pid, fd } => {
            reopen(proc, &process(*pid)?.list(c"fd")?.handle(*fd)?)
        }
        Holder::Mount { path } => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            reopen(proc, &rustix::fs::open(path, flags, Mode::empty())?)
        }
        Holder::Child { id, .. } => {
            let child = snapshot.namespace(*id).ok_or(Errno::NOENT)?;
            let child = open(proc, snapshot, child)?;
            // A pid namespace has both, and only one of them is meant.
            match child.parent() {
                Ok(parent) if parent.id()? == namespace.id => Ok(parent),
                _ => child.owner(),
            }
        }
    }
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
