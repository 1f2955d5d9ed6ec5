//! Making kept namespaces: a claim on a name, undone unless it is finished.

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::folder::{self, Lock, shown};
use super::record::Record;
use super::{HolderId, RECORD, Store, check_name, netns, pin, removing};
use crate::{Error, Kind, NamespaceSet, NsFd, ProcRoot};

const KEEP: &str = "keep";

/// What keeps the namespaces of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A bind mount each, which takes privilege over the mount namespace.
    Mounts,
    /// One process that lives in all of them.
    Holder,
}

/// A name that is being given. What was made for it goes with the value, unless
/// [`finish`](Self::finish) takes that.
#[derive(Debug)]
pub struct Claim<'a> {
    store: &'a Store,
    proc: &'a ProcRoot,
    name: &'a str,
    by: By,
    finished: bool,
    // Dropped last: nobody else changes the store meanwhile.
    _lock: Lock,
}

impl Store {
    /// Whether `name` can be given: what `keep` would refuse, without making anything.
    ///
    /// # Errors
    /// `EEXIST` where it is taken, here or, for a net namespace that is to be mounted, by
    /// `ip netns`; `EINVAL` for a word that is no name.
    pub fn check_free(
        &self,
        name: &str,
        kinds: NamespaceSet,
        by: By,
    ) -> Result<(), Error> {
        check_name(name)
            .map_err(|error| Error::words(KEEP, name, Errno::INVAL, error.to_string()))?;
        if folder::is_there(&self.folder.join(name))? {
            let words = "namespaces of that name are kept already";
            return Err(Error::words(KEEP, name, Errno::EXIST, words)
                .hint(format!("`warren rm {name}` lets them go")));
        }
        if by == By::Mounts && kinds.contains(Kind::Net) {
            netns::check_free(name)?;
        }
        Ok(())
    }

    /// Takes a name, and with it the right to change the store.
    ///
    /// # Errors
    /// As [`check_free`](Self::check_free), and where the store cannot be made.
    pub fn claim<'a>(
        &'a self,
        proc: &'a ProcRoot,
        name: &'a str,
        kinds: NamespaceSet,
        by: By,
    ) -> Result<Claim<'a>, Error> {
        let lock = Lock::take(&self.folder)?;
        let claim = Claim {
            store: self,
            proc,
            name,
            by,
            finished: true,
            _lock: lock,
        };
        folder::make(&self.folder, Mode::from_raw_mode(0o700))?;
        claim.make(kinds)
    }
}

impl Claim<'_> {
    fn make(mut self, kinds: NamespaceSet) -> Result<Self, Error> {
        let made = self.make_folder(kinds);
        if made.is_err() {
            removing::remove_store_if_empty(self.store);
        }
        made?;
        self.finished = false;
        Ok(self)
    }

    fn make_folder(&self, kinds: NamespaceSet) -> Result<(), Error> {
        self.store.check_free(self.name, kinds, self.by)?;
        if self.by == By::Mounts {
            // Private as well. A copied tree with a mount namespace in it could not be
            // mounted anywhere in a younger one (ELOOP): the copies must leave it out.
            let unbindable = MountPropagationFlags::UNBINDABLE;
            pin::own_mount(self.proc, &self.store.folder, unbindable)?;
        }
        let folder = self.store.folder.join(self.name);
        rustix::fs::mkdir(&folder, Mode::from_raw_mode(0o700))
            .map_err(|errno| Error::new("make", shown(&folder), errno))
    }

    /// Keeps a namespace by a mount. A net namespace gets its name for `ip netns` too.
    ///
    /// # Errors
    /// `EINVAL` for a mount namespace that is the caller's or older.
    pub fn pin(&self, namespace: &NsFd) -> Result<(), Error> {
        let kind = namespace.kind();
        let folder = self.store.folder.join(self.name);
        pin::pin(namespace, &folder.join(kind.name()))?;
        if kind == Kind::Net {
            netns::add(self.proc, &self.store.folder, self.name, namespace)?;
        }
        Ok(())
    }

    /// Writes down what is kept: with that it is, for whoever looks.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn record(
        &self,
        kinds: NamespaceSet,
        holder: Option<HolderId>,
    ) -> Result<(), Error> {
        let record = Record { kinds, holder };
        let path = self.store.folder.join(self.name).join(RECORD);
        folder::write_whole(&path, &record.text())
    }

    /// Leaves everything as it is.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // What cannot be undone can be by `warren rm`.
        let _ = removing::remove_folder(self.store, self.name);
        removing::remove_store_if_empty(self.store);
    }
}
