//! Making files in a tree of the host, one whole file at a time.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::beneath::{PLACE, Tree};

/// Where files are made.
#[derive(Debug)]
pub struct Writer<'a> {
    tree: &'a Tree,
    /// Whether folders on the way are made.
    makes_parents: bool,
    /// The folder of the last file, which is mostly that of the next.
    parent: Option<(PathBuf, OwnedFd)>,
    /// How many names for unfinished files were tried.
    tried: u32,
}

/// What a file gets besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Whose it is, where not the caller's.
    pub owner: Option<(Uid, Gid)>,
    pub mode: u32,
    pub modified: Timespec,
}

impl<'a> Writer<'a> {
    pub fn new(tree: &'a Tree, makes_parents: bool) -> Self {
        Self {
            tree,
            makes_parents,
            parent: None,
            tried: 0,
        }
    }

    /// Makes what `make` makes under a name of its own and, when it is finished, gives it
    /// its name, in place of what has that. A folder is not replaced: `EISDIR`.
    pub fn replace(
        &mut self,
        path: &Path,
        make: impl FnOnce(BorrowedFd<'_>, &str) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let name = path.file_name().ok_or(Errno::BUSY)?;
        let unfinished = self.unfinished_name(path)?;
        let folder = self.folder_of(path)?;
        let made = make(folder, &unfinished)
            .and_then(|()| rustix::fs::renameat(folder, &unfinished, folder, name));
        if made.is_err() {
            // It is ours, and of no use.
            let _ = rustix::fs::unlinkat(folder, &unfinished, AtFlags::empty());
        }
        made
    }

    /// A name that nothing has yet. Whoever may write to the folder could take it before
    /// us, and then ours is not made.
    fn unfinished_name(&mut self, path: &Path) -> Result<String, Errno> {
        let process = rustix::process::getpid().as_raw_nonzero();
        loop {
            let name = format!(".warren-{process}-{}", self.tried);
            self.tried = self.tried.wrapping_add(1);
            let folder = self.folder_of(path)?;
            if crate::attributes::Attributes::of(folder, name.as_str())?.is_none() {
                return Ok(name);
            }
        }
    }

    /// Makes a folder that can be written until [`Self::finish_folder`]; one may be there.
    pub fn folder(&mut self, path: &Path) -> Result<(), Errno> {
        let name = path.file_name().ok_or(Errno::BUSY)?;
        match rustix::fs::mkdirat(self.folder_of(path)?, name, Mode::RWXU) {
            // It may be something else, which the files in it will tell.
            Err(Errno::EXIST) => self.tree.open(path, PLACE).map(drop),
            result => result,
        }
    }

    fn folder_of(&mut self, path: &Path) -> Result<BorrowedFd<'_>, Errno> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.parent.as_ref().is_none_or(|(of, _)| of != parent) {
            self.parent = None;
            let open = match self.tree.open(parent, PLACE) {
                Err(Errno::NOENT) if self.makes_parents => self.make_way(parent)?,
                result => result?,
            };
            self.parent = Some((parent.to_owned(), open));
        }
        let open = self.parent.as_ref().map(|(_, open)| open.as_fd());
        open.ok_or(Errno::BADF)
    }

    fn make_way(&self, parent: &Path) -> Result<OwnedFd, Errno> {
        let mut way: Vec<&Path> = parent.ancestors().collect();
        way.reverse();
        for path in way {
            let Some(name) = path.file_name() else {
                continue;
            };
            let (folder, _) = self.tree.parent(path)?;
            match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.tree.open(parent, PLACE)
    }
}

/// Makes a file that nobody else can open until it is finished.
pub fn create(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::EXCL
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Gives an open file its owner, then its mode, which a change of owner may take bits
/// from, and its time.
pub fn finish(file: BorrowedFd<'_>, metadata: &Metadata) -> Result<(), Errno> {
    if let Some((uid, gid)) = metadata.owner {
        rustix::fs::fchown(file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(metadata.mode))?;
    rustix::fs::futimens(file, &times(metadata.modified))
}

/// The same for what cannot be opened: a symlink, which has no mode, or a fifo.
pub fn finish_node(
    folder: BorrowedFd<'_>,
    name: impl AsRef<OsStr>,
    metadata: &Metadata,
) -> Result<(), Errno> {
    let name = name.as_ref();
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    if let Some((uid, gid)) = metadata.owner {
        rustix::fs::chownat(folder, name, Some(uid), Some(gid), nofollow)?;
    }
    rustix::fs::utimensat(folder, name, &times(metadata.modified), nofollow)
}

fn times(modified: Timespec) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        last_modification: modified,
    }
}
