//! A filesystem on a disk for what vanishes with the process.
//!
//! Its file has no name, its loop device clears itself, and its mount is attached nowhere
//! before the child does that: nothing is left however the launch or the run ends.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use warren_mounts::{Attributes, Filesystem};
use warren_sys::Errno;

use super::helper;
use crate::error::Error;
use crate::host;
use crate::plan::own_text;

/// Bytes of a block.
const BLOCK: u64 = 4096;
/// What the tables of a filesystem take at most, beside a share of its size.
const TABLES: u64 = 24 << 20;
/// That share: one inode of 256 bytes for each 16 KiB, and bitmaps, are less.
const TABLES_SHARE: u64 = 32;
/// The program that makes filesystems.
const MAKER: &str = "mke2fs";
/// Nobody reads it after a loss of power, and it stays as large as it is.
const FEATURES: &str = "^has_journal,^resize_inode";

/// A detached mount of a new filesystem in `folder` with `size` bytes for files, and room for
/// `folders` beside them. Anybody may write in its root: nobody reaches that but the child.
pub fn make(folder: &Path, size: u64, folders: u64) -> Result<OwnedFd, Error> {
    let size = size.checked_next_multiple_of(BLOCK);
    let size = size.and_then(|size| size.checked_add(folders * BLOCK));
    let whole = size.and_then(|size| size.checked_add(size / TABLES_SHARE + TABLES));
    let (Some(size), Some(whole)) = (size, whole) else {
        return Err(Error::step("make a disk", Errno::FBIG));
    };
    let file = file(folder, whole).map_err(|errno| {
        Error::step(format!("make a file in {}", folder.display()), errno)
    })?;
    make_filesystem(&file)?;
    let (device, number) =
        warren_sys::attach_loop_device(file.as_fd()).map_err(|errno| {
            Error::step("make a loop device", errno)
                .hint("loop devices need /dev/loop-control, and the kernel's module loop")
        })?;
    let mount = mount(number)
        .map_err(|errno| Error::step(format!("mount /dev/loop{number}"), errno))?;
    // The mount keeps it from here on.
    drop(device);
    leave(&mount, size)
        .map_err(|errno| Error::step("set the size of the disk", errno))?;
    Ok(mount)
}

/// Sparse: it takes what is written to it.
fn file(folder: &Path, bytes: u64) -> Result<File, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::ftruncate(&file, bytes)?;
    Ok(file.into())
}

fn make_filesystem(file: &File) -> Result<(), Error> {
    let failed =
        |why: &str| Error::of_caller(format!("make a filesystem by {MAKER}: {why}"));
    let Some(maker) = host::helper(MAKER) else {
        return Err(failed("it is not installed")
            .hint("install it (Debian: e2fsprogs), or let it be in memory"));
    };
    let file = file
        .try_clone()
        .map_err(|error| failed(&error.to_string()))?;
    let mut maker = Command::new(maker);
    maker
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", FEATURES])
        .args([
            "-b",
            &BLOCK.to_string(),
            "-E",
            "lazy_itable_init=1,nodiscard",
        ])
        .arg("/proc/self/fd/0")
        .stdin(file);
    helper::run(&mut maker).map_err(|why| failed(&why))
}

/// What is removed is given back to the folder's disk, and tables are written when needed.
fn mount(number: u32) -> Result<OwnedFd, Errno> {
    let ext4 = Filesystem::open(c"ext4")?;
    ext4.set(c"source", &own_text(&format!("/dev/loop{number}")))?;
    for option in [c"discard", c"noinit_itable"] {
        ext4.flag(option)?;
    }
    let mount = ext4.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)?;
    let root = rustix::fs::openat(
        &mount,
        c".",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::fs::fchmod(root, Mode::from_raw_mode(0o1777))?;
    Ok(mount)
}

/// Takes what the tables did not need, so that `size` bytes are left.
fn leave(mount: &OwnedFd, size: u64) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let rest = rustix::fs::openat(mount, c"rest", flags, Mode::empty())?;
    let free = rustix::fs::fstatvfs(&rest)?.f_bavail * BLOCK;
    let rest_size = free
        .checked_sub(size.next_multiple_of(BLOCK))
        .ok_or(Errno::NOSPC)?;
    match rest_size {
        0 => Ok(()),
        bytes => rustix::fs::fallocate(&rest, FallocateFlags::empty(), 0, bytes),
    }
}
