//! The rules of Landlock, on what the program's own user finds in its root.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use warren_confine::landlock::{Files, Handled, Ruleset, Tcp};
use warren_mounts::open_in_root;
use warren_sys::{Errno, Result};

use super::{Child, borrowed};
use crate::step::Place;

impl Child<'_> {
    pub(super) fn make_ruleset(&mut self, handled: Handled) -> Result<()> {
        self.fds.ruleset = Some(Ruleset::new(handled)?);
        Ok(())
    }

    pub(super) fn allow(&self, place: &Place, rights: Files) -> Result<()> {
        let path = match place {
            Place::Path(path) => path,
            Place::Open(open) => {
                return self.ruleset()?.allow(borrowed(&open.fd), rights);
            }
        };
        match self.open_place(path) {
            Ok(place) => self.ruleset()?.allow(place.as_fd(), rights),
            // Neither can the program, whose user this is by now: no rule is less.
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// The root was entered: it is `/`.
    fn open_place(&self, path: &CStr) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if path == c"/" {
            return rustix::fs::open(path, flags, Mode::empty());
        }
        if let Some(root) = &self.fds.root {
            return open_in_root(root.as_fd(), path, flags);
        }
        let root = rustix::fs::open(c"/", flags | OFlags::DIRECTORY, Mode::empty())?;
        open_in_root(root.as_fd(), path, flags)
    }

    /// What the standard streams are can be opened once more, as they are open:
    /// /dev/stdout may lead to a file that the caller has in no root of the program's.
    pub(super) fn allow_streams(&self, handled: Files) -> Result<()> {
        for (number, given) in self.with.stdio.iter().enumerate() {
            let number = number as i32;
            self.allow_stream(given.unwrap_or(borrowed(&number)), handled)?;
        }
        Ok(())
    }

    fn allow_stream(&self, stream: BorrowedFd<'_>, handled: Files) -> Result<()> {
        let kind = match rustix::fs::fstat(stream) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode),
            // A stream that is closed.
            Err(Errno::BADF) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        // Pipes and sockets have no path; a rule on a folder would open what is in it.
        if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
            return Ok(());
        }
        let access = rustix::fs::fcntl_getfl(stream)? & OFlags::ACCMODE;
        let mut rights = Files::IOCTL_DEVICE;
        if access != OFlags::WRONLY {
            rights |= Files::READ;
        }
        if access != OFlags::RDONLY {
            rights |= Files::WRITE | Files::TRUNCATE;
        }
        match self.ruleset()?.allow(stream, rights & handled) {
            // A file without a path: memfd_create(2).
            Err(Errno::BADFD) => Ok(()),
            result => result,
        }
    }

    pub(super) fn allow_port(&self, port: u16, rights: Tcp) -> Result<()> {
        self.ruleset()?.allow_port(port, rights)
    }

    pub(super) fn restrict_self(&mut self) -> Result<()> {
        self.ruleset()?.restrict_self()?;
        self.fds.ruleset = None;
        Ok(())
    }

    fn ruleset(&self) -> Result<&Ruleset> {
        self.fds.ruleset.as_ref().ok_or(Errno::BADF)
    }
}
