//! The folder of a store: whose it is, and one change of it at a time.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, errno_text};

const USE: &str = "use the folder";

/// The right to change a store, until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing it gives the lock up")] OwnedFd);

impl Lock {
    /// Waits for the right to change the store at `folder`, whose parent is made if it is
    /// missing. It is the parent that is locked: the store itself comes and goes.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let parent = folder.parent().unwrap_or(folder);
        let base = parent.parent().unwrap_or(parent);
        check(base, Sticky::Allowed)?;
        // Who removed the last name has removed the parent too, perhaps just now.
        for _ in 0..100 {
            make(parent, Mode::from_raw_mode(0o755))?;
            match lock(parent) {
                Ok(Some(lock)) => return Ok(Self(lock)),
                Ok(None) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::new("lock", shown(parent), errno)),
            }
        }
        Err(Error::new("lock", shown(parent), Errno::AGAIN))
    }

    /// The same for a store whose parent is there; `None` where it is not.
    pub fn of_existing(folder: &Path) -> Result<Option<Self>, Error> {
        let parent = folder.parent().unwrap_or(folder);
        if parent.symlink_metadata().is_err() {
            return Ok(None);
        }
        Self::take(folder).map(Some)
    }
}

fn lock(folder: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(folder, flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))?;
    let still = rustix::fs::fstat(&fd)?;
    let same = folder
        .symlink_metadata()
        .is_ok_and(|now| (now.dev(), now.ino()) == (still.st_dev, still.st_ino));
    Ok(same.then_some(fd))
}

/// Whether a folder that others may write counts as safe if it is sticky, as /tmp is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sticky {
    Allowed,
    Refused,
}

/// Makes a folder, or checks the one that is there.
pub fn make(folder: &Path, mode: Mode) -> Result<(), Error> {
    match rustix::fs::mkdir(folder, mode) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => check(folder, Sticky::Refused),
        Err(errno) => Err(Error::new("make", shown(folder), errno)),
    }
}

/// Checks that nobody but root and the caller decides what is in the folder: else the
/// caller would enter what somebody else likes.
pub fn check(folder: &Path, sticky: Sticky) -> Result<(), Error> {
    let refused = |errno, words: &str| Error::words(USE, shown(folder), errno, words);
    let found = folder.symlink_metadata().map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        refused(errno, &errno_text(errno))
    })?;
    let own = rustix::process::geteuid().as_raw();
    let others_write = found.mode() & 0o022 != 0;
    let is_sticky = sticky == Sticky::Allowed && found.mode() & 0o1000 != 0;
    if !found.is_dir() {
        Err(refused(Errno::NOTDIR, "it is no folder"))
    } else if found.uid() != own && found.uid() != 0 {
        Err(refused(Errno::PERM, "it belongs to another user"))
    } else if others_write && !is_sticky {
        Err(refused(Errno::PERM, "others than its owner can write it"))
    } else {
        Ok(())
    }
}

/// Removes a folder, and its parent, as far as they are empty.
pub fn remove_empty(folder: &Path) {
    let parents = [Some(folder), folder.parent()];
    for folder in parents.into_iter().flatten() {
        match rustix::fs::rmdir(folder) {
            Ok(()) | Err(Errno::NOENT) => {}
            // ENOTEMPTY: others are there.
            Err(_) => return,
        }
    }
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes a file that is there whole or not at all.
pub fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |errno| Error::new("write", shown(path), errno);
    let temporary = temporary(path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let flags = flags | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(0o644);
    let file = rustix::fs::open(&temporary, flags, mode).map_err(failed)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest));
        rest = rest.get(written.map_err(failed)?..).unwrap_or_default();
    }
    rustix::fs::rename(&temporary, path).map_err(failed)
}

/// What a file is called until it is whole.
pub fn temporary(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch(name: &str) -> PathBuf {
        let name = format!("warren-kept-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let path = scratch("others");
        assert_eq!(check(&path, Sticky::Refused), Ok(()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod");
        let error = check(&path, Sticky::Allowed).expect_err("others can write");
        assert_eq!(error.errno(), Errno::PERM);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).expect("chmod");
        assert_eq!(check(&path, Sticky::Allowed), Ok(()));
        assert!(check(&path, Sticky::Refused).is_err());
        fs::remove_dir(path).expect("empty");
    }

    #[test]
    fn a_symlink_is_no_folder() {
        let path = scratch("link");
        symlink("/", path.join("link")).expect("symlink");
        let error = check(&path.join("link"), Sticky::Refused).expect_err("a link");
        assert_eq!(error.errno(), Errno::NOTDIR);
        fs::remove_dir_all(path).expect("ours");
    }

    #[test]
    fn a_lock_makes_the_parent_and_what_is_empty_goes() {
        let path = scratch("lock");
        let store = path.join("warren/kept");
        assert!(Lock::of_existing(&store).expect("nothing wrong").is_none());
        let lock = Lock::take(&store).expect("a lock");
        make(&store, Mode::from_raw_mode(0o700)).expect("the store");
        remove_empty(&store);
        drop(lock);
        assert!(!path.join("warren").exists());
        fs::remove_dir(path).expect("empty");
    }

    #[test]
    fn a_file_is_written_whole() {
        let path = scratch("file");
        write_whole(&path.join("record"), "one\n").expect("written");
        write_whole(&path.join("record"), "two\n").expect("written again");
        let text = fs::read_to_string(path.join("record")).expect("there");
        assert_eq!(text, "two\n");
        assert_eq!(fs::read_dir(&path).expect("a folder").count(), 1);
        fs::remove_dir_all(path).expect("ours");
    }
}
