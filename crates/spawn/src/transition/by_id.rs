//! A namespace by the number that the kernel gave it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags};
use warren_namespaces::{Kind, ProcRoot};
use warren_sys::{Errno, NamespaceHandle};

/// Opens it.
///
/// KERNEL(6.19): a handle needs nothing but the number. Before, it must have the kind and
/// the inode as well, so that the namespace is looked for among those of all processes.
pub fn open(proc: &ProcRoot, kind: Kind, id: u64) -> Result<OwnedFd, Errno> {
    let handle = NamespaceHandle {
        id,
        kind: 0,
        inode: 0,
    };
    warren_sys::open_namespace_handle(handle)
        .or_else(|errno| of_a_process(proc, kind, id).ok_or(errno))
}

fn of_a_process(proc: &ProcRoot, kind: Kind, id: u64) -> Option<OwnedFd> {
    let folder = rustix::fs::openat(
        proc,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let mut entries = Dir::new(folder.ok()?).ok()?;
    std::iter::from_fn(|| entries.read())
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_str().ok()?;
            name.parse::<u32>().ok()?;
            let path = format!("{name}/ns/{kind}");
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::openat(proc, path, flags, Mode::empty()).ok()
        })
        .find(|namespace| warren_sys::namespace_id(namespace.as_fd()) == Ok(id))
}
