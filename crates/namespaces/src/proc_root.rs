//! /proc, opened once and checked to be procfs.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Error;

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
            Self::Open(errno) => write!(f, "open /proc: {}", crate::errno_text(*errno)),
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

    /// Opens a file below, given relative to /proc, for reading: through no symlink,
    /// and only if it is procfs's own.
    ///
    /// Container managers bind parts of procfs onto itself (a read-only /proc/sys), so
    /// where a mount is on the way it is crossed and the result is checked instead.
    ///
    /// # Errors
    /// `EXDEV` where another filesystem covers it, else whatever openat2(2) answers.
    pub fn open_file(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let below = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open =
            |limits| rustix::fs::openat2(&self.0, path, flags, Mode::empty(), limits);
        let fd = match open(below | ResolveFlags::NO_XDEV) {
            // It is on the mount that was checked when that was opened.
            Ok(fd) => return Ok(fd),
            Err(Errno::XDEV) => open(below)?,
            // A seccomp filter may refuse it; what is opened is checked all the same.
            Err(Errno::NOSYS) => rustix::fs::openat(&self.0, path, flags, Mode::empty())?,
            Err(errno) => return Err(errno),
        };
        if rustix::fs::fstatfs(&fd)?.f_type != rustix::fs::PROC_SUPER_MAGIC {
            return Err(Errno::XDEV);
        }
        Ok(fd)
    }

    /// The content of a file below, given relative to /proc.
    ///
    /// # Errors
    /// As [`Self::open_file`] and read(2) do, with the whole path.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.open_file(path)
            .and_then(|fd| read_to_end(fd.as_fd()))
            .map_err(|errno| Error::new("read", format!("/proc/{path}"), errno))
    }

    /// The same of a file that the kernel writes in one piece, such as `PID/stat`: one read
    /// has all of it, if it is shorter than a page.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_piece(&self, path: &str) -> Result<Vec<u8>, Error> {
        const MOST: usize = 4096;
        let read = |fd: OwnedFd| {
            let mut piece = Vec::with_capacity(MOST);
            rustix::io::retry_on_intr(|| {
                rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut piece))
            })?;
            Ok(piece)
        };
        self.open_file(path)
            .and_then(read)
            .map_err(|errno| Error::new("read", format!("/proc/{path}"), errno))
    }

    /// The name of the caller's own folder below: its pid, as this procfs counts.
    ///
    /// # Errors
    /// `ENOENT` where the procfs is of a pid namespace that does not see the caller.
    pub fn own_folder(&self) -> Result<String, Error> {
        let link = rustix::fs::readlinkat(&self.0, "self", Vec::new())
            .map_err(|errno| Error::new("read", "/proc/self", errno))?;
        Ok(link.to_string_lossy().into_owned())
    }

    /// The number in a file below /proc/sys, given relative to there; `None` where
    /// this kernel has no such sysctl.
    ///
    /// # Errors
    /// As [`Self::read`]; `EINVAL` where the file holds no number.
    pub fn sysctl(&self, path: &str) -> Result<Option<i64>, Error> {
        let path = format!("sys/{path}");
        let text = match self.read(&path) {
            Err(error) if error.errno() == Errno::NOENT => return Ok(None),
            result => result?,
        };
        let number = String::from_utf8_lossy(&text).trim().parse();
        let invalid = |_| Error::new("read", format!("/proc/{path}"), Errno::INVAL);
        number.map(Some).map_err(invalid)
    }
}

/// Reads a procfs file to its end.
pub(crate) fn read_to_end(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::with_capacity(4096);
    loop {
        content.reserve(4096);
        match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
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

    #[test]
    fn a_file_below_is_read_and_a_symlink_is_not_followed() {
        let root = ProcRoot::open().expect("this machine has /proc");
        let version = root.read("version").expect("/proc/version");
        assert!(version.starts_with(b"Linux version"));
        let error = root.read("self/status").expect_err("self is a symlink");
        assert_eq!(error.errno(), Errno::LOOP);
        assert!(error.to_string().starts_with("read /proc/self/status: "));
        let own = format!("{}/stat", root.own_folder().expect("/proc/self"));
        let piece = root.read_piece(&own).expect("/proc/PID/stat");
        assert_eq!(piece.last(), Some(&b'\n'));
    }

    #[test]
    fn a_sysctl_is_a_number_or_missing() {
        let root = ProcRoot::open().expect("this machine has /proc");
        assert!(root.sysctl("kernel/pid_max").expect("a number") > Some(0));
        assert_eq!(root.sysctl("kernel/no_such_thing"), Ok(None));
        let error = root
            .sysctl("kernel/ostype")
            .expect_err("Linux is no number");
        assert_eq!(error.errno(), Errno::INVAL);
    }
}
