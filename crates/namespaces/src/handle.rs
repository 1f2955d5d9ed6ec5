//! An open namespace: a descriptor that remembers what it is.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Kind, NsHandle};

/// What tells a namespace from every other that exists now: the device and inode of
/// its nsfs file. The inode may come back after the namespace is gone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NsId {
    /// Device of the nsfs instance; one for the whole machine.
    pub device: u64,
    /// Inode, the number in `net:[4026531840]`.
    pub inode: u64,
}

/// An open namespace of a known kind. It stays alive as long as the descriptor.
#[derive(Debug)]
pub struct NsFd {
    fd: OwnedFd,
    kind: Kind,
}

impl NsFd {
    /// Takes over a descriptor and asks the kernel what it is.
    ///
    /// # Errors
    /// `ENOTTY` where it is no namespace; `EINVAL` for a kind this library does not
    /// know.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Errno> {
        let flag = warren_sys::namespace_kind(fd.as_fd())?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.clone_flag() == flag)
            .ok_or(Errno::INVAL)?;
        Ok(Self { fd, kind })
    }

    /// Takes over a descriptor that is known to be a namespace of the kind.
    pub(crate) fn known(fd: OwnedFd, kind: Kind) -> Self {
        Self { fd, kind }
    }

    /// Opens a namespace file: /proc/PID/ns/KIND, or a bind mount of one such as
    /// /run/netns/NAME.
    ///
    /// # Errors
    /// `EACCES` where the process may not be examined (ptrace(2), "read" access);
    /// `ENOTTY` where the file is no namespace.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Self::from_fd(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its identity.
    ///
    /// # Errors
    /// Whatever fstat(2) answers.
    pub fn id(&self) -> Result<NsId, Errno> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(NsId {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }

    /// The user namespace that owns it.
    ///
    /// # Errors
    /// `EPERM` where that lies outside of the caller's own user namespace.
    pub fn owner(&self) -> Result<Self, Errno> {
        let fd = warren_sys::namespace_user(self.fd.as_fd())?;
        Ok(Self {
            fd,
            kind: Kind::User,
        })
    }

    /// The parent of a pid or user namespace.
    ///
    /// # Errors
    /// `EPERM` where it is out of sight, `EINVAL` for other kinds.
    pub fn parent(&self) -> Result<Self, Errno> {
        let fd = warren_sys::namespace_parent(self.fd.as_fd())?;
        Ok(Self {
            fd,
            kind: self.kind,
        })
    }

    /// The user that made a user namespace, as the caller's user namespace sees it.
    ///
    /// # Errors
    /// `EINVAL` for other kinds.
    pub fn owner_uid(&self) -> Result<u32, Errno> {
        warren_sys::namespace_owner_uid(self.fd.as_fd())
    }

    /// Its number, which no other namespace ever had or will have until the machine is
    /// started again: `NS_GET_ID`, Linux 6.18.
    ///
    /// # Errors
    /// `ENOTTY` on an older kernel.
    pub fn unique_id(&self) -> Result<u64, Errno> {
        warren_sys::namespace_id(self.fd.as_fd())
    }

    /// Its file handle, by which it can be opened again without this descriptor.
    ///
    /// # Errors
    /// `EOPNOTSUPP` before Linux 6.18.
    pub fn handle(&self) -> Result<NsHandle, Errno> {
        let handle = warren_sys::namespace_handle(self.fd.as_fd())?;
        Ok(NsHandle {
            kind: self.kind,
            inode: handle.inode,
            id: handle.id,
        })
    }

    /// Whether a pid namespace has an init, without which nothing can be started in it;
    /// `None` where the kernel does not tell (before Linux 6.11).
    #[must_use]
    pub fn has_init(&self) -> Option<bool> {
        match warren_sys::pid_from_namespace(self.fd.as_fd(), 1) {
            Ok(_) => Some(true),
            Err(Errno::SRCH) => Some(false),
            Err(_) => None,
        }
    }

    /// Another descriptor of the same namespace.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn try_clone(&self) -> Result<Self, Errno> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)?;
        Ok(Self {
            fd,
            kind: self.kind,
        })
    }

    /// Gives the descriptor back.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for NsFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for NsFd {
    /// As readlink(2) shows it in /proc/PID/ns: `net:[4026531840]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Ok(id) => write!(f, "{}:[{}]", self.kind, id.inode),
            Err(_) => write!(f, "{}:[?]", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_this_process_knows_its_kind_and_owner() {
        for kind in Kind::ALL {
            let path = Path::new("/proc/self/ns").join(kind.name());
            let ns = NsFd::open(&path).expect("own namespaces can be opened");
            assert_eq!(ns.kind(), kind);
            let link = std::fs::read_link(&path).expect("a link");
            assert_eq!(ns.to_string(), link.to_string_lossy());
        }
    }

    #[test]
    fn a_file_that_is_no_namespace_is_enotty() {
        let error = NsFd::open(Path::new("/dev/null")).expect_err("no namespace");
        assert_eq!(error, Errno::NOTTY);
    }
}
