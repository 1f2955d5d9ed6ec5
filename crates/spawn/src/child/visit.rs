//! A root of the process's own that shows what is in the one it has entered.
//!
//! The entered root belongs to others: nothing may be made in it, it may be read-only,
//! and it may have no folder to mount on. So an empty filesystem becomes the root, and
//! each entry of the entered one is bound into it under its own name.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::process::{Pid, WaitOptions};
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach, attach_at, clone_tree,
};
use warren_sys::{Errno, Result, exit_now};

use super::Child;
use super::enter::own_root;
use super::tree::tmpfs;

impl Child<'_> {
    pub(super) fn root_visit(&mut self) -> Result<()> {
        let entered = own_root()?;
        let root = tmpfs(c"755", None)?;
        // Attached first: before Linux 6.15 nothing can be mounted in what is not.
        self.stage(root)?;
        let root = self.root()?;
        each_name(entered.as_fd(), |name| show(entered.as_fd(), name, root))
    }

    /// A procfs shows the pid namespace of who mounts it, and setns(2) moves only
    /// children into one: so a child mounts it.
    pub(super) fn proc_of_joined(&mut self, target: &Target) -> Result<()> {
        // SAFETY: the child keeps the rules of this module and ends.
        let child = unsafe { warren_sys::fork() }?;
        let Some(child) = Pid::from_raw(child) else {
            let errno = self.mount_plain_proc(target).err();
            exit_now(errno.map_or(0, Errno::raw_os_error));
        };
        loop {
            match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(None) => return Err(Errno::CHILD),
                Ok(Some((_, status))) => {
                    return match status.exit_status() {
                        Some(0) => Ok(()),
                        Some(errno) => Err(Errno::from_raw_os_error(errno)),
                        None => Err(Errno::INTR),
                    };
                }
            }
        }
    }

    fn mount_plain_proc(&self, target: &Target) -> Result<()> {
        let attributes =
            Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
        let proc = Filesystem::open(c"proc")?.mount(attributes)?;
        attach(proc.as_fd(), self.root()?, target, Node::Folder)
    }

    /// Fills a folder with links that are called as the files of other folders are.
    pub(super) fn programs(
        &self,
        target: &Target,
        content: &CStr,
        folders: &[CString],
    ) -> Result<()> {
        let root = self.root()?;
        let place = warren_mounts::ensure(root, target, Node::Folder)?;
        for folder in folders {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            match warren_mounts::open_in_root(root, folder, flags) {
                Ok(folder) => each_name(folder.as_fd(), |name| {
                    match rustix::fs::symlinkat(content, &place, name) {
                        // The same name in two folders is one program.
                        Err(Errno::EXIST) => Ok(()),
                        result => result,
                    }
                })?,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// Does something for each name in a folder.
#[inline(never)]
fn each_name(
    folder: BorrowedFd<'_>,
    mut act: impl FnMut(&CStr) -> Result<()>,
) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let list = rustix::fs::openat(folder, c".", flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&list, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            act(name)?;
        }
    }
    Ok(())
}

/// Shows one entry of a root in another, with all that is mounted in it.
fn show(entered: BorrowedFd<'_>, name: &CStr, root: BorrowedFd<'_>) -> Result<()> {
    // Opened once and not followed: who owns the root may exchange it at any time.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = match rustix::fs::openat(entered, name, flags, Mode::empty()) {
        // It is gone.
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    };
    let stat = rustix::fs::fstat(&entry)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => return copy_link(&entry, name, root),
        FileType::Directory => {
            rustix::fs::mkdirat(root, name, Mode::from_raw_mode(0o755))?;
        }
        _ => {
            let mode = Mode::from_raw_mode(0o444);
            rustix::fs::mknodat(root, name, FileType::RegularFile, mode, 0)?;
        }
    }
    match clone_tree(entry.as_fd(), c"", true) {
        Ok(tree) => attach_at(tree.as_fd(), root, name),
        // Unbindable, or hidden in part: its place stays empty.
        Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[inline(never)]
fn copy_link(link: &OwnedFd, name: &CStr, root: BorrowedFd<'_>) -> Result<()> {
    // One byte more than a link can have, which stays the NUL at its end.
    let mut buffer = [0; 4097];
    let (space, _) = buffer.split_at_mut(4096);
    rustix::fs::readlinkat_raw(link, c"", space)?;
    let content = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
    rustix::fs::symlinkat(content, root, name)
}
