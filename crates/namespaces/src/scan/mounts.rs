//! Bind mounts of namespaces, in every mount namespace.
//!
//! A mount namespace with processes is read through one of them, from /proc/PID/mountinfo.
//! One without, and one of whose mounts that process sees a part (it may have called
//! chroot(2)), is read by listmount(2), which needs the namespace open once.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Kind;
use crate::mountinfo::{self, MountInfo};
use crate::process::parse_link;

/// Which mount namespaces have been read, and how much of each.
#[derive(Default)]
pub(super) struct Mounts {
    /// How many mounts were seen, by the namespace's inode.
    seen: HashMap<u64, usize>,
}

/// A namespace that is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    pub kind: Kind,
    pub inode: u64,
    pub path: PathBuf,
}

impl Mounted {
    pub fn of_mount(mount: &MountInfo) -> Option<Self> {
        let of_nsfs = mount.filesystem == "nsfs";
        let root = mount.root.as_os_str().as_bytes();
        mounted(root, &mount.mount_point).filter(|_| of_nsfs)
    }
}

impl Mounts {
    pub fn is_new(&self, namespace: u64) -> bool {
        !self.seen.contains_key(&namespace)
    }

    pub fn note(&mut self, namespace: u64, mounts: usize) {
        self.seen.insert(namespace, mounts);
    }

    pub fn seen(&self, namespace: u64) -> Option<usize> {
        self.seen.get(&namespace).copied()
    }
}

/// The namespaces that are mounted, and how many mounts there are in all.
pub(super) fn of_mountinfo(text: &[u8]) -> (Vec<Mounted>, usize) {
    let mut count = 0;
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
        count += 1;
        if is_of_nsfs(line) {
            found.extend(mountinfo::parse(line).iter().filter_map(Mounted::of_mount));
        }
    }
    (found, count)
}

/// `... - nsfs SOURCE OPTIONS`: most lines need not be read.
fn is_of_nsfs(line: &[u8]) -> bool {
    line.rsplit(|byte| *byte == b' ').nth(2) == Some(b"nsfs")
}

fn mounted(root: &[u8], path: &Path) -> Option<Mounted> {
    let (kind, inode) = parse_link(root)?;
    let path = path.to_owned();
    Some(Mounted { kind, inode, path })
}

/// A handle of what is mounted at a path below `root`, without waiting for anything: a
/// folder on the way may be of a filesystem that a contained program serves.
///
/// What is in the way of a mount point is always in the kernel's cache, since the mount
/// keeps it there.
pub(super) fn handle(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve =
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    let open = || rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
    // EAGAIN also means that somebody renamed something at this moment.
    let mut answers = std::iter::repeat_with(open).take(3);
    answers
        .find(|answer| !matches!(answer, Err(Errno::AGAIN)))
        .unwrap_or(Err(Errno::AGAIN))
}

/// The namespaces that are mounted in the mount namespace with this number, if it has
/// more than the `seen` mounts.
pub(super) fn of_namespace(id: u64, seen: usize) -> Result<Vec<Mounted>, Errno> {
    let mounts = list(id)?;
    if mounts.len() <= seen {
        return Ok(Vec::new());
    }
    let mut buffer = vec![0; WORDS];
    let mut found = Vec::new();
    for mount in mounts {
        match describe(id, mount, &mut buffer) {
            Ok(mounted) => found.extend(mounted),
            // Unmounted meanwhile.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

fn list(id: u64) -> Result<Vec<u64>, Errno> {
    const STEP: usize = 512;
    let mut mounts: Vec<u64> = Vec::new();
    loop {
        let after = mounts.last().copied().unwrap_or(0);
        let start = mounts.len();
        mounts.resize(start + STEP, 0);
        let count = warren_sys::list_mounts(id, after, &mut mounts[start..])?;
        mounts.truncate(start + count);
        if count < STEP {
            return Ok(mounts);
        }
    }
}

/// More than two paths of any depth that programs make.
const WORDS: usize = 1 << 16;

fn describe(id: u64, mount: u64, buffer: &mut [u8]) -> Result<Option<Mounted>, Errno> {
    let words = warren_sys::describe_mount(id, mount, buffer)?;
    if words.filesystem != Some(c"nsfs") {
        return Ok(None);
    }
    let point = Path::new(OsStr::from_bytes(bytes(words.mount_point)));
    Ok(mounted(bytes(words.root), point))
}

fn bytes(text: Option<&CStr>) -> &[u8] {
    text.map(CStr::to_bytes).unwrap_or_default()
}
