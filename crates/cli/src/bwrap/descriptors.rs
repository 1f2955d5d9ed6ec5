//! The descriptors that bwrap was started with: those that an option names are its own
//! business, all others the command's.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, RawDir};
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
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty());
    let Ok(folder) = folder else {
        return Vec::new();
    };
    // std's would take 32 KiB for what is mostly some ten names.
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut all = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_str().ok();
        all.extend(name.and_then(|name| name.parse::<RawFd>().ok()));
    }
    all.retain(|number| *number > 2 && warren_sys::is_inherited(*number));
    all
}
