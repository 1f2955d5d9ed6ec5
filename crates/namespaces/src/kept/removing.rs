//! Letting kept namespaces go, whole or half-made.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use super::folder::{self, Lock, shown};
use super::record::Record;
use super::{RECORD, Store, netns, pin};
use crate::{Error, Kind, ProcRoot};

const REMOVE: &str = "remove";

impl Store {
    /// Lets the namespaces of a name go: those that no process is in end, as does every
    /// process of a kept pid namespace.
    ///
    /// # Errors
    /// `ENOENT` where nothing has the name; else what could not be undone, and doing it
    /// again goes on from there.
    pub fn remove(&self, proc: &ProcRoot, name: &str) -> Result<(), Error> {
        let nothing = || {
            Error::words(REMOVE, name, Errno::NOENT, "nothing of that name is kept")
                .hint("`warren keep` lists what is")
        };
        super::check_name(name).map_err(|_| nothing())?;
        let _lock = Lock::of_existing(&self.folder)?.ok_or_else(nothing)?;
        let folder = self.folder.join(name);
        if !self.exists()? || folder.symlink_metadata().is_err() {
            // Who was killed before it made the name's folder may have made the others.
            remove_store_if_empty(self);
            return Err(nothing());
        }
        end_holder(proc, &folder)?;
        remove_folder(self, name)?;
        remove_store_if_empty(self);
        Ok(())
    }
}

/// Kills the process that a record names, if it is still that one, and waits until it
/// is gone.
fn end_holder(proc: &ProcRoot, folder: &Path) -> Result<(), Error> {
    // Without a record, whoever made the holder is gone, and it died with that.
    let Some(holder) = Record::holder_of(&folder.join(RECORD))? else {
        return Ok(());
    };
    let Some(pidfd) = holder.open(proc)? else {
        return Ok(());
    };
    let failed = |errno| Error::new("end the holder", holder.pid.to_string(), errno);
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => await_end(&pidfd).map_err(failed),
        Err(errno) => Err(failed(errno)),
    }
}

/// The init of a pid namespace ends only after all that is in it.
fn await_end(pidfd: &OwnedFd) -> Result<(), Errno> {
    let most = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    let mut wait = [PollFd::new(pidfd, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut wait, Some(&most)))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

/// Removes the folder of a name. The record goes last, so that who is interrupted can be
/// followed by somebody who knows as much.
pub fn remove_folder(store: &Store, name: &str) -> Result<(), Error> {
    let folder = store.folder.join(name);
    let net = folder.join(Kind::Net.name());
    if net.symlink_metadata().is_ok() {
        netns::remove(&net, name)?;
    }
    for kind in Kind::ALL {
        pin::unpin(&folder.join(kind.name()))?;
    }
    let record = folder.join(RECORD);
    for file in [folder::temporary(&record), record] {
        match rustix::fs::unlink(&file) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::new(REMOVE, shown(&file), errno)),
        }
    }
    match rustix::fs::rmdir(&folder) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::new(REMOVE, shown(&folder), errno)),
    }
}

/// Removes a store in which no name is left, and the folder around it if that is empty.
pub fn remove_store_if_empty(store: &Store) {
    let is_name = |name: &std::ffi::OsStr| !name.as_encoded_bytes().starts_with(b".");
    let mut names = std::fs::read_dir(&store.folder).into_iter().flatten();
    if names.any(|entry| entry.is_ok_and(|entry| is_name(&entry.file_name()))) {
        return;
    }
    drop(names);
    netns::forget(&store.folder);
    // EINVAL where it is no mount; EBUSY where somebody looks at it.
    while rustix::mount::unmount(&store.folder, UnmountFlags::NOFOLLOW).is_ok() {}
    folder::remove_empty(&store.folder);
}
