//! /proc, opened once and checked to be procfs.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A descriptor of the root of a procfs, through which every file below is opened.
///
/// A path that starts with /proc can be led elsewhere by whoever may mount there
/// (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881); a path below this descriptor that
/// crosses no symlink and no mount cannot.
#[derive(Debug)]
pub struct ProcRoot(OwnedFd);

/// Why /proc cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProcfs {
    /// It cannot be opened.
    Open(Errno),
    /// Another filesystem, or not the root of a procfs, is there.
    Other,
}

impl fmt::Display for NotProcfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(errno) => write!(f, "open /proc: {errno}"),
            Self::Other => f.write_str("/proc is not the root of a procfs"),
        }
    }
}

impl std::error::Error for NotProcfs {}

impl ProcRoot {
    /// Opens /proc and checks it.
    ///
    /// # Errors
    /// [`NotProcfs`].
    pub fn open() -> Result<Self, NotProcfs> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd =
            rustix::fs::open("/proc", flags, Mode::empty()).map_err(NotProcfs::Open)?;
        Self::from_fd(fd)
    }

    /// Checks a descriptor and takes it over.
    ///
    /// # Errors
    /// [`NotProcfs::Other`] where it is not the root of a procfs.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, NotProcfs> {
        /// The inode of the root folder of every procfs: `PROC_ROOT_INO`.
        const PROC_ROOT_INO: u64 = 1;
        let filesystem = rustix::fs::fstatfs(&fd).map_err(NotProcfs::Open)?;
        let stat = rustix::fs::fstat(&fd).map_err(NotProcfs::Open)?;
        let procfs = filesystem.f_type == rustix::fs::PROC_SUPER_MAGIC
            && stat.st_ino == PROC_ROOT_INO;
        if procfs {
            Ok(Self(fd))
        } else {
            Err(NotProcfs::Other)
        }
    }
}

impl AsFd for ProcRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_procfs_and_its_folders_are_not_its_root() {
        let root = ProcRoot::open().expect("this machine has /proc");
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let sys =
            rustix::fs::openat(&root, "sys", flags, Mode::empty()).expect("/proc/sys");
        assert_eq!(
            ProcRoot::from_fd(sys).expect_err("not a root"),
            NotProcfs::Other
        );
        let tmp = rustix::fs::open("/tmp", flags, Mode::empty()).expect("/tmp");
        assert_eq!(
            ProcRoot::from_fd(tmp).expect_err("no procfs"),
            NotProcfs::Other
        );
    }
}
