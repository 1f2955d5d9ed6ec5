//! Resolving a path inside a root.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::attach::make;
use crate::{Errno, Node, Result};

/// Opens `path` with `root` as the root folder: absolute symlinks and `..` stay
/// inside, magic links (/proc/self/fd/N) are refused. openat2(2) with
/// `RESOLVE_IN_ROOT`, Linux 5.6; a walk over the components where that is missing.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EACCES` as openat(2); `ELOOP` for too many symlinks.
pub fn open_in_root(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let limits = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: a rename somewhere raced a `..`; the kernel asks to try again.
    for _ in 0..128 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), limits) {
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => return walk(root, path, flags),
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The components that one walk may be deep, and the symlinks that it may follow: as
/// many as the kernel follows.
const DEPTH: usize = 40;
const LONGEST: usize = 4096;

/// The same without openat2(2): each component is opened by itself and never followed,
/// and `..` goes back to the descriptor that the walk came from, so that no rename can
/// lead it above the root.
///
/// Not inlined: its buffers would be part of every caller's stack, whose pages are taken
/// one by one.
#[inline(never)]
fn walk(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let mut trail = Trail::new();
    let mut rest = Rest::new(path.to_bytes())?;
    let mut links = 0;
    while let Some(name) = rest.next()? {
        match name.to_bytes() {
            b"." => continue,
            b".." => {
                trail.pop();
                continue;
            }
            _ => {}
        }
        let here = trail.last().unwrap_or(root);
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(here, name.as_c_str(), look, Mode::empty())?;
        let follow = !(rest.is_empty() && flags.contains(OFlags::NOFOLLOW));
        if follow && is_symlink(&next)? {
            links += 1;
            if links > DEPTH {
                return Err(Errno::LOOP);
            }
            let absolute = rest.prepend_link(next.as_fd())?;
            if absolute {
                trail.clear();
            }
            continue;
        }
        trail.push(next)?;
    }
    reopen(trail.last().unwrap_or(root), flags)
}

/// Opens `path` as [`open_in_root`] does, and makes what of the way is missing, folders with
/// `mode`: also where a symlink leads that leads nowhere. In the end there is a `node`, if it
/// was not there.
///
/// # Errors
/// As mkdirat(2) and mknodat(2); `ELOOP` for too many symlinks.
#[inline(never)]
pub fn make_in_root(
    root: BorrowedFd<'_>,
    path: &CStr,
    node: Node,
    mode: Mode,
) -> Result<OwnedFd> {
    let mut trail = Trail::new();
    let mut rest = Rest::new(path.to_bytes())?;
    let mut links = 0;
    while let Some(name) = rest.next()? {
        match name.to_bytes() {
            b"." => continue,
            b".." => {
                trail.pop();
                continue;
            }
            _ => {}
        }
        let here = trail.last().unwrap_or(root);
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(here, name.as_c_str(), look, Mode::empty());
        let next = match open() {
            Err(Errno::NOENT) => {
                let made = match rest.is_empty() {
                    true => make(here, name.as_c_str(), node),
                    false => rustix::fs::mkdirat(here, name.as_c_str(), mode),
                };
                match made {
                    Ok(()) | Err(Errno::EXIST) => open()?,
                    Err(errno) => return Err(errno),
                }
            }
            found => found?,
        };
        if is_symlink(&next)? {
            links += 1;
            if links > DEPTH {
                return Err(Errno::LOOP);
            }
            if rest.prepend_link(next.as_fd())? {
                trail.clear();
            }
            continue;
        }
        trail.push(next)?;
    }
    reopen(trail.last().unwrap_or(root), OFlags::PATH)
}

/// Gives a descriptor of the same file with the wanted flags. By name there is no way
/// that could not be raced, so only path descriptors are promised without openat2(2).
fn reopen(found: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
    if !flags.contains(OFlags::PATH) {
        return Err(Errno::NOSYS);
    }
    if flags.contains(OFlags::DIRECTORY) {
        let stat = rustix::fs::fstat(found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
    }
    rustix::io::fcntl_dupfd_cloexec(found, 3)
}

fn is_symlink(file: &OwnedFd) -> Result<bool> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// The folders that the walk came through.
struct Trail {
    folders: [Option<OwnedFd>; DEPTH],
    length: usize,
}

impl Trail {
    fn new() -> Self {
        Self {
            folders: [const { None }; DEPTH],
            length: 0,
        }
    }

    fn push(&mut self, folder: OwnedFd) -> Result<()> {
        let slot = self
            .folders
            .get_mut(self.length)
            .ok_or(Errno::NAMETOOLONG)?;
        *slot = Some(folder);
        self.length += 1;
        Ok(())
    }

    /// Goes up one folder; at the root it stays there, as `/..` does.
    fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
        self.folders[self.length] = None;
    }

    fn clear(&mut self) {
        while self.length > 0 {
            self.pop();
        }
    }

    fn last(&self) -> Option<BorrowedFd<'_>> {
        let last = self.length.checked_sub(1)?;
        self.folders[last].as_ref().map(OwnedFd::as_fd)
    }
}

/// What is left of the path, in a buffer on the stack.
struct Rest {
    bytes: [u8; LONGEST],
    start: usize,
    end: usize,
}

/// One component, with its NUL.
struct Name {
    bytes: [u8; 256],
    length: usize,
}

impl Name {
    fn to_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).unwrap_or(c".")
    }
}

impl Rest {
    fn new(path: &[u8]) -> Result<Self> {
        let mut rest = Self {
            bytes: [0; LONGEST],
            start: 0,
            end: path.len(),
        };
        rest.bytes
            .get_mut(..path.len())
            .ok_or(Errno::NAMETOOLONG)?
            .copy_from_slice(path);
        Ok(rest)
    }

    fn is_empty(&self) -> bool {
        self.bytes[self.start..self.end]
            .iter()
            .all(|byte| *byte == b'/')
    }

    /// Takes the next component off the front.
    fn next(&mut self) -> Result<Option<Name>> {
        while self.start < self.end && self.bytes[self.start] == b'/' {
            self.start += 1;
        }
        if self.start == self.end {
            return Ok(None);
        }
        let rest = &self.bytes[self.start..self.end];
        let length = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let mut name = Name {
            bytes: [0; 256],
            length,
        };
        // The last byte stays NUL.
        name.bytes[..255]
            .get_mut(..length)
            .ok_or(Errno::NAMETOOLONG)?
            .copy_from_slice(&rest[..length]);
        self.start += length;
        Ok(Some(name))
    }

    /// Puts the text of the symlink `link` in front; says whether it is absolute.
    fn prepend_link(&mut self, link: BorrowedFd<'_>) -> Result<bool> {
        let mut text = [0_u8; LONGEST];
        let length = rustix::fs::readlinkat_raw(link, c"", &mut text)?;
        let rest = self.end - self.start;
        if length + rest >= LONGEST {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.copy_within(self.start..self.end, length);
        self.bytes[..length].copy_from_slice(&text[..length]);
        // `rest` begins with the slash that ended the link's name, or is empty.
        (self.start, self.end) = (0, length + rest);
        Ok(text[0] == b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    /// A folder that goes away with the value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("warren-resolve-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).expect("a new folder");
            Self(path)
        }

        fn open(&self) -> OwnedFd {
            rustix::fs::open(&self.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .expect("the folder")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    type Open = fn(BorrowedFd<'_>, &CStr, OFlags) -> Result<OwnedFd>;

    /// By openat2 and by the walk: every case must agree.
    const BOTH: [Open; 2] = [open_in_root, |root, path, flags| {
        walk(root, path, flags | OFlags::CLOEXEC)
    }];

    fn inode(file: &OwnedFd) -> u64 {
        rustix::fs::fstat(file).expect("fstat").st_ino
    }

    fn inode_of(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(path).expect("the file").ino()
    }

    #[test]
    fn symlinks_and_dotdot_stay_inside_the_root() {
        let scratch = Scratch::new("stay");
        let root = scratch.open();
        let inside = scratch.0.join("etc");
        std::fs::create_dir(&inside).expect("etc");
        std::fs::write(inside.join("passwd"), "").expect("passwd");
        symlink("/etc", scratch.0.join("absolute")).expect("symlink");
        symlink("../../../../etc", scratch.0.join("above")).expect("symlink");
        let want = inode_of(&inside.join("passwd"));
        for open in BOTH {
            for path in [
                c"etc/passwd",
                c"absolute/passwd",
                c"above/passwd",
                c"/../etc/./passwd",
            ] {
                let found = open(root.as_fd(), path, OFlags::PATH).expect("found inside");
                assert_eq!(inode(&found), want, "{path:?}");
            }
        }
    }

    #[test]
    fn a_chain_of_symlinks_ends_in_eloop() {
        let scratch = Scratch::new("loop");
        let root = scratch.open();
        symlink("b", scratch.0.join("a")).expect("symlink");
        symlink("a", scratch.0.join("b")).expect("symlink");
        for open in BOTH {
            let error = open(root.as_fd(), c"a", OFlags::PATH).expect_err("a loop");
            assert_eq!(error, Errno::LOOP);
        }
    }

    #[test]
    fn nofollow_opens_the_link_itself() {
        let scratch = Scratch::new("nofollow");
        let root = scratch.open();
        symlink("/nowhere", scratch.0.join("link")).expect("symlink");
        let want = inode_of(&scratch.0.join("link"));
        for open in BOTH {
            let flags = OFlags::PATH | OFlags::NOFOLLOW;
            let link = open(root.as_fd(), c"link", flags).expect("the link");
            assert_eq!(inode(&link), want);
            let error = open(root.as_fd(), c"link", OFlags::PATH).expect_err("dangling");
            assert_eq!(error, Errno::NOENT);
        }
    }

    #[test]
    fn what_is_missing_is_made_where_links_lead_and_never_outside() {
        let scratch = Scratch::new("make");
        let root = scratch.open();
        std::fs::create_dir(scratch.0.join("etc")).expect("etc");
        symlink("/tmp/a/hosts", scratch.0.join("etc/hosts")).expect("symlink");
        symlink("../../../../new", scratch.0.join("etc/above")).expect("symlink");
        symlink("loop", scratch.0.join("loop")).expect("symlink");
        let mode = Mode::from_raw_mode(0o755);
        let made = make_in_root(root.as_fd(), c"etc/hosts", Node::File, mode);
        let want = inode_of(&scratch.0.join("tmp/a/hosts"));
        assert_eq!(inode(&made.expect("it is made")), want);
        let made = make_in_root(root.as_fd(), c"etc/above/x", Node::Folder, mode);
        let want = inode_of(&scratch.0.join("new/x"));
        assert_eq!(inode(&made.expect("it is made")), want);
        let error = make_in_root(root.as_fd(), c"loop", Node::Folder, mode);
        assert_eq!(error.expect_err("a loop"), Errno::LOOP);
    }

    #[test]
    fn a_file_is_no_folder() {
        let scratch = Scratch::new("file");
        let root = scratch.open();
        std::fs::write(scratch.0.join("file"), "").expect("file");
        for open in BOTH {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let error = open(root.as_fd(), c"file", flags).expect_err("a file");
            assert_eq!(error, Errno::NOTDIR);
            let error = open(root.as_fd(), c"file/x", OFlags::PATH).expect_err("a file");
            assert_eq!(error, Errno::NOTDIR);
        }
    }
}
