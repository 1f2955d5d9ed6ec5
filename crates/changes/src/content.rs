//! What is in files and symlinks, and what is attached to them.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, XattrFlags};
use rustix::io::Errno;

/// How much is read at a time.
const BLOCK: usize = 64 * 1024;
/// How much sendfile(2) takes at a time.
const MOST_SENT: u64 = 1 << 30;

/// Whether both files have the same bytes, `size` each.
///
/// # Errors
/// As pread(2).
pub fn is_same(a: BorrowedFd<'_>, b: BorrowedFd<'_>, size: u64) -> Result<bool, Errno> {
    let mut buffers = [vec![0; BLOCK], vec![0; BLOCK]];
    let mut at = 0;
    while at < size {
        let [of_a, of_b] = &mut buffers;
        let (in_a, in_b) = (read(a, of_a, at)?, read(b, of_b, at)?);
        if in_a == 0 || of_a[..in_a] != of_b[..in_b] {
            return Ok(false);
        }
        at += in_a as u64;
    }
    Ok(true)
}

/// Fills the buffer, unless the file ends.
fn read(file: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        let offset = at + filled as u64;
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *rest, offset))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Copies a file into an empty one, holes as holes: a program can make a file of any
/// size that takes no room.
///
/// # Errors
/// As sendfile(2): `ENOSPC`, `EDQUOT`, `EFBIG`.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    let mut at = 0;
    while at < size {
        at = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(at) => at,
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(at))?.min(size);
        rustix::fs::seek(to, SeekFrom::Start(at))?;
        while at < end {
            let count = (end - at).min(MOST_SENT) as usize;
            let mut offset = at;
            let sent = rustix::io::retry_on_intr(|| {
                rustix::fs::sendfile(to, from, Some(&mut offset), count)
            })?;
            if sent == 0 {
                // It has become shorter meanwhile.
                return rustix::fs::ftruncate(to, at);
            }
            at += sent as u64;
        }
    }
    rustix::fs::ftruncate(to, size)
}

/// The value of an attribute that says one byte, `y`.
pub fn says_yes(file: BorrowedFd<'_>, name: &CStr) -> bool {
    let mut value = [0; 2];
    matches!(rustix::fs::fgetxattr(file, name, &mut value), Ok(1)) && value[0] == b'y'
}

/// Gives `to` what a user has attached to `from`: attributes of the class `user`, but
/// overlayfs' own. Others could be of power (file capabilities) or have ids in them. Where
/// the filesystem has none, none are kept.
///
/// # Errors
/// As fsetxattr(2), but `EOPNOTSUPP`.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    for name in user_attributes(from)? {
        let mut value = vec![0; 64 * 1024];
        let length = match rustix::fs::fgetxattr(from, &name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        };
        match rustix::fs::fsetxattr(to, &name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn user_attributes(file: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut none: [u8; 0] = [];
    let length = match rustix::fs::flistxattr(file, &mut none) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut text = vec![0; 64 * 1024];
    let length = rustix::fs::flistxattr(file, &mut text[..])?;
    let names = text[..length].split(|byte| *byte == 0);
    let of_user = names
        .filter(|name| name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
    Ok(of_user.filter_map(|name| CString::new(name).ok()).collect())
}
