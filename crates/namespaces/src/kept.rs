//! Kept namespaces: sets of them that have a name and outlive their processes.
//!
//! A store is a folder with a folder per name. In that, `KIND` is a bind mount of the
//! namespace, where the kernel lets one be made, and `record` says which kinds are kept
//! and which process holds those that have no mount: a pid namespace is dead without a
//! process, and who may not mount has nothing but a process. The record is written last
//! and by rename, so a folder without one was left half-made.

mod folder;
mod holder;
mod making;
mod name;
mod netns;
mod pin;
mod record;
mod removing;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::{Error, Kind, NamespaceSet, NsFd, ProcRoot};

pub use holder::HolderId;
pub use making::{By, Claim};
pub use name::{BadName, check_name};
use record::Record;

/// What this module's errors say was done.
const FIND: &str = "find";

/// The name of the file that says what is kept.
const RECORD: &str = "record";

/// A folder of kept namespaces, of root or of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

/// One set of kept namespaces, as its folder describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is called.
    pub name: String,
    /// Where it is in its store.
    pub folder: PathBuf,
    /// The kinds that are kept.
    pub kinds: NamespaceSet,
    /// The kinds of those that a process holds, and no mount.
    pub held: NamespaceSet,
    /// The process that holds some of them, if they need one.
    pub holder: Option<HolderId>,
    /// Whether all of it is there.
    pub condition: Condition,
}

/// Whether kept namespaces are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// They are.
    Whole,
    /// Who made them ended in the midst of it, or has not ended yet.
    Unfinished,
    /// These kinds are gone: their holder was killed, or somebody unmounted them.
    Lost(NamespaceSet),
    /// What its folder says cannot be understood, for this reason.
    Unreadable(String),
}

/// Kept namespaces, open: they stay as long as the descriptors do.
#[derive(Debug)]
pub struct Pins {
    /// The namespaces, at most one of each kind, in the order of [`Kind::ALL`].
    pub namespaces: Vec<NsFd>,
    /// The process that holds some of them, and its pidfd.
    pub holder: Option<(u32, OwnedFd)>,
}

impl Store {
    /// The store in this folder, which may not be there yet.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that is kept in it, by name.
    ///
    /// # Errors
    /// Where the store cannot be read, or is of somebody whom the caller need not trust.
    pub fn list(&self, proc: &ProcRoot) -> Result<Vec<Kept>, Error> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let failed = |error: &std::io::Error| {
            let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
            Error::new("read", self.folder.display().to_string(), errno)
        };
        let entries = std::fs::read_dir(&self.folder).map_err(|error| failed(&error))?;
        let mut all = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failed(&error))?.file_name();
            // What else lies there is not a name that `keep` gives.
            if let Some(name) = name.to_str().filter(|name| check_name(name).is_ok()) {
                all.push(self.read(proc, name));
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// What is kept as `name`, if anything is.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn find(&self, proc: &ProcRoot, name: &str) -> Result<Option<Kept>, Error> {
        let there = check_name(name).is_ok()
            && self.exists()?
            && self.folder.join(name).symlink_metadata().is_ok();
        Ok(there.then(|| self.read(proc, name)))
    }

    /// Whether the store is there.
    fn exists(&self) -> Result<bool, Error> {
        if self.folder.symlink_metadata().is_err() {
            return Ok(false);
        }
        folder::check(&self.folder, folder::Sticky::Refused).map(|()| true)
    }

    /// Reads the folder of one name.
    fn read(&self, proc: &ProcRoot, name: &str) -> Kept {
        let folder = self.folder.join(name);
        let mut kept = Kept {
            name: name.to_owned(),
            kinds: mount_points(&folder),
            held: NamespaceSet::EMPTY,
            holder: None,
            condition: Condition::Unfinished,
            folder,
        };
        match Record::read(&kept.folder.join(RECORD)) {
            Ok(None) => {}
            Ok(Some(record)) => {
                let pinned = kept.kinds;
                kept.kinds = record.kinds;
                kept.held = record
                    .kinds
                    .iter()
                    .filter(|kind| !pinned.contains(*kind))
                    .collect();
                kept.holder = record.holder;
                kept.condition = match lost(proc, &kept) {
                    Ok(NamespaceSet::EMPTY) => Condition::Whole,
                    Ok(lost) => Condition::Lost(lost),
                    Err(error) => Condition::Unreadable(error.to_string()),
                };
            }
            Err(error) => kept.condition = Condition::Unreadable(error.to_string()),
        }
        kept
    }
}

/// The kinds for which a folder has a file to mount on.
fn mount_points(folder: &Path) -> NamespaceSet {
    Kind::ALL
        .into_iter()
        .filter(|kind| folder.join(kind.name()).symlink_metadata().is_ok())
        .collect()
}

/// The kinds that are not to be had any more.
fn lost(proc: &ProcRoot, kept: &Kept) -> Result<NamespaceSet, Error> {
    let holder_lives = match &kept.holder {
        Some(holder) => holder.open(proc)?.is_some(),
        None => false,
    };
    Ok(kept
        .kinds
        .iter()
        .filter(|kind| match (kept.held.contains(*kind), kind) {
            (true, _) => !holder_lives,
            (false, Kind::Pid) if kept.holder.is_some() && !holder_lives => true,
            (false, _) => pinned(kept, *kind).is_err(),
        })
        .collect())
}

/// Opens the namespace that is mounted for `kind`.
fn pinned(kept: &Kept, kind: Kind) -> Result<NsFd, Errno> {
    let namespace = NsFd::open(&kept.folder.join(kind.name()))?;
    if namespace.kind() == kind {
        Ok(namespace)
    } else {
        Err(Errno::INVAL)
    }
}

impl Kept {
    /// Opens all its namespaces.
    ///
    /// # Errors
    /// Where one of them is gone, or was never made.
    pub fn open(&self, proc: &ProcRoot) -> Result<Pins, Error> {
        let refused = |errno, words: String| {
            let hint =
                format!("`warren rm {}` clears away what is left of it", self.name);
            Error::words("use the kept namespaces", &self.name, errno, words).hint(hint)
        };
        match &self.condition {
            Condition::Whole => {}
            Condition::Unfinished => {
                return Err(refused(Errno::NOENT, "they were never finished".to_owned()));
            }
            Condition::Lost(kinds) => {
                let words = format!("of {kinds} nothing is left: {}", self.why_lost());
                return Err(refused(Errno::NOENT, words));
            }
            Condition::Unreadable(why) => return Err(refused(Errno::INVAL, why.clone())),
        }
        let holder = match &self.holder {
            Some(holder) => holder.open(proc)?.map(|pidfd| (holder.pid, pidfd)),
            None => None,
        };
        let open = |kind| {
            self.open_one(kind, holder.as_ref()).map_err(|errno| {
                Error::new("open the kept namespace", self.file(kind), errno)
            })
        };
        let namespaces = self.kinds.iter().map(open).collect::<Result<_, _>>()?;
        if let Some((_, pidfd)) = &holder {
            // What was opened was the very holder's.
            warren_sys::is_alive(pidfd.as_fd()).map_err(|errno| {
                Error::new(FIND, format!("the holder of {}", self.name), errno)
            })?;
        }
        Ok(Pins { namespaces, holder })
    }

    fn open_one(
        &self,
        kind: Kind,
        holder: Option<&(u32, OwnedFd)>,
    ) -> Result<NsFd, Errno> {
        if !self.held.contains(kind) {
            return pinned(self, kind);
        }
        let (pid, _) = holder.ok_or(Errno::SRCH)?;
        NsFd::open(Path::new(&format!("/proc/{pid}/ns/{kind}")))
    }

    fn file(&self, kind: Kind) -> String {
        self.folder.join(kind.name()).display().to_string()
    }

    fn why_lost(&self) -> &'static str {
        match self.holder {
            Some(_) => "the process that held them has ended",
            None => "somebody unmounted them",
        }
    }
}
