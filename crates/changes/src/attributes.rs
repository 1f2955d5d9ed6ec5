//! What there is to know of a file, be it a folder, a symlink or another node.

use std::fmt;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, Timespec};
use rustix::io::Errno;
use rustix::path::Arg;

/// What kind of file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
    /// A device file.
    Device,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        })
    }
}

/// One file's.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    pub node: Node,
    /// The permissions and the three bits above them.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub modified: Timespec,
    device: (u32, u32),
    is_character: bool,
}

impl Attributes {
    /// Those of what `name` is in `folder`, without following it; `None` where nothing is.
    ///
    /// # Errors
    /// `EXDEV` where another filesystem is mounted there, else as statx(2).
    pub fn of(folder: BorrowedFd<'_>, name: impl Arg) -> Result<Option<Self>, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => {
                Err(Errno::XDEV)
            }
            Ok(stat) => Ok(Some(Self::from_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Those of what is open.
    ///
    /// # Errors
    /// As statx(2).
    pub fn of_open(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let flags = AtFlags::EMPTY_PATH;
        let stat = rustix::fs::statx(file, c"", flags, StatxFlags::BASIC_STATS)?;
        Ok(Self::from_stat(&stat))
    }

    fn from_stat(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let kind = FileType::from_raw_mode(mode);
        Self {
            node: match kind {
                FileType::RegularFile => Node::File,
                FileType::Directory => Node::Folder,
                FileType::Symlink => Node::Symlink,
                FileType::Fifo => Node::Fifo,
                FileType::Socket => Node::Socket,
                FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
                    Node::Device
                }
            },
            mode: mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            modified: Timespec {
                tv_sec: stat.stx_mtime.tv_sec,
                tv_nsec: i64::from(stat.stx_mtime.tv_nsec),
            },
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            is_character: kind == FileType::CharacterDevice,
        }
    }

    /// Whether overlayfs says by it that there is nothing of that name.
    pub fn is_whiteout(&self) -> bool {
        self.is_character && self.device == (0, 0)
    }

    /// Whether both are the same device.
    pub fn is_same_device(&self, other: &Self) -> bool {
        (self.device, self.is_character) == (other.device, other.is_character)
    }
}
