//! Copying a folder into a filesystem that will cover it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid};
use warren_sys::{Errno, Result};

/// How deep folders may lie in each other: each level has its buffers on the stack.
const DEEPEST: u32 = 40;

/// Copies all that is in the folder `from` into the folder `to`: files, folders, symlinks,
/// devices, with their owners and modes.
///
/// Nothing is followed: `from` may be a hostile tree.
pub fn folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    below(from, to, 0)
}

fn below(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<()> {
    if depth == DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    let mut space = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(from, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            one(from, to, name, depth)?;
        }
    }
    Ok(())
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode)?;
            let (inner, copy) = (open_folder(from, name)?, open_folder(to, name)?);
            below(inner.as_fd(), copy.as_fd(), depth + 1)?;
        }
        FileType::RegularFile => file(from, to, name, mode)?,
        FileType::Symlink => symlink(from, to, name)?,
        // A socket that nobody listens on is of no use.
        FileType::Socket | FileType::Unknown => return Ok(()),
        other => rustix::fs::mknodat(to, name, other, mode, stat.st_rdev)?,
    }
    own(to, name, &stat, mode)
}

fn open_folder(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
    let flags = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let copy = rustix::fs::openat(to, name, flags, mode)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = match rustix::io::read(&source, &mut buffer) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => continue,
            result => result?,
        };
        super::tree::write_all(&copy, &buffer[..length])?;
    }
}

fn symlink(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut text = [0; 4097];
    let (space, _) = text.split_at_mut(4096);
    rustix::fs::readlinkat_raw(from, name, &mut *space)?;
    let content = CStr::from_bytes_until_nul(&text).map_err(|_| Errno::NAMETOOLONG)?;
    rustix::fs::symlinkat(content, to, name)
}

/// Gives the copy the owner of what it was made from, and the mode again, of which a
/// change of owner takes bits.
fn own(to: BorrowedFd<'_>, name: &CStr, stat: &Stat, mode: Mode) -> Result<()> {
    if stat.st_uid == 0 && stat.st_gid == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(to, name, Some(uid), Some(gid), flags)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Ok(()),
        _ => rustix::fs::chmodat(to, name, mode, AtFlags::empty()),
    }
}
