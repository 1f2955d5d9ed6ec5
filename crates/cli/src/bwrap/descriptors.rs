//! The descriptors that bwrap was started with: those that an option names are its own
//! business, all others the command's.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// The descriptors that options have named.
#[derive(Debug, Default)]
pub struct Descriptors {
    taken: BTreeMap<RawFd, OwnedFd>,
}

impl Descriptors {
    /// The descriptor that was started with as `number`. A standard stream stays the
    /// command's: this is a copy of it.
    pub fn take(&mut self, number: RawFd) -> Result<BorrowedFd<'_>, Errno> {
        let taken: &OwnedFd = match self.taken.entry(number) {
            Entry::Occupied(taken) => taken.into_mut(),
            Entry::Vacant(place) => place.insert(if number > 2 {
                warren_sys::take_inherited(number)?
            } else {
                warren_sys::duplicate(number)?
            }),
        };
        Ok(taken.as_fd())
    }

    /// Takes it and gives its number, which for a copy is another.
    pub fn number(&mut self, number: RawFd) -> Result<RawFd, Errno> {
        Ok(self.take(number)?.as_raw_fd())
    }

    /// Takes all that can be read from it, and closes it.
    pub fn read(&mut self, number: RawFd) -> Result<Vec<u8>, Errno> {
        self.take(number)?;
        let taken = self.taken.remove(&number).ok_or(Errno::BADF)?;
        let mut data = Vec::new();
        std::fs::File::from(taken)
            .read_to_end(&mut data)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(data)
    }

    /// Takes it for good.
    pub fn keep(&mut self, number: RawFd) -> Result<OwnedFd, Errno> {
        self.take(number)?;
        self.taken.remove(&number).ok_or(Errno::BADF)
    }

    /// Closes all of them, and those that are the command's.
    pub fn close_all(self, of_command: &[RawFd]) {
        drop(self.taken);
        for number in of_command {
            // One that is not there any more needs no closing.
            drop(warren_sys::take_inherited(*number));
        }
    }
}

/// Those above 2 that no option has named.
pub fn inherited() -> Vec<RawFd> {
    let Ok(folder) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && warren_sys::is_inherited(*number))
        .collect()
}
