//! A folder, and what is found below it without ever leaving it.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, Mode, OFlags, RawDir, ResolveFlags, StatxAttributes, StatxFlags,
};
use rustix::io::Errno;

/// A folder by descriptor; paths are relative to it.
#[derive(Debug)]
pub struct Tree(OwnedFd);

/// A folder that names are looked up in.
pub const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
/// A folder that is listed.
pub const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// A file that is read: one that has become a fifo blocks nobody.
pub const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Tree {
    pub fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    /// Opens what is at `path`, an empty one being the folder itself.
    ///
    /// # Errors
    /// `ELOOP` where a symlink is, `EXDEV` where another filesystem is mounted,
    /// `ENAMETOOLONG` beyond 4095 bytes, else as openat2(2).
    pub fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let limits = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let from_here = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match rustix::fs::openat2(&self.0, from_here, flags, Mode::empty(), limits) {
            // A filter of system calls may refuse it.
            Err(Errno::NOSYS) => self.walk(path, flags),
            result => result,
        }
    }

    /// The same, name by name.
    fn walk(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut here = self.open_here(c".", PLACE)?;
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let Component::Normal(name) = name else {
                return Err(Errno::XDEV);
            };
            let flags = if names.peek().is_some() { PLACE } else { flags };
            here = open_at(here.as_fd(), name, flags)?;
        }
        if path.as_os_str().is_empty() {
            return self.open_here(c".", flags);
        }
        Ok(here)
    }

    fn open_here(&self, name: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, Mode::empty())
    }

    /// The folder that `path` lies in, and its name there. The tree itself has none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parent<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::BUSY)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open(parent, PLACE)?, name))
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a name of `folder`, never what it leads to.
///
/// # Errors
/// As openat(2); `EXDEV` where another filesystem is mounted there.
pub fn open_at(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let stat = rustix::fs::statx(&file, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Errno::XDEV);
    }
    Ok(file)
}

/// The names in a folder that is open for reading, in their order.
///
/// # Errors
/// As getdents64(2).
pub fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut space = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(folder, &mut space);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A name as part of a path.
pub fn os_str(name: &CString) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}
