//! The folder with one folder for each container.
//!
//! A container is made in a folder `.new.ID`, which gets its name when all is there. So a
//! crash leaves a folder that is complete or one of which the name says that it is not; who
//! makes it holds a lock on it meanwhile, which ends with the process.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use warren_namespaces::ProcRoot;
use warren_sys::Errno;

use super::container::Container;
use super::error::Error;
use super::id;
use super::notify;
use super::record::{Record, VERSION};

/// What the name of a folder begins with until it is complete.
const NEW: &str = ".new.";
/// How often the folder of all is made anew.
const TRIES: u32 = 10;
/// The name of the record.
pub(super) const RECORD: &str = "state.json";
/// A link that says which process is the container's.
pub(super) const INIT: &str = "init";
/// The socket at which the process waits for its start.
pub(super) const GATE: &str = "start";

/// Where the containers of one user, or of one engine, are.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A folder of the store, open.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its path, of which the last part changes once.
    pub path: PathBuf,
    pub fd: OwnedFd,
    /// Whether it is still being made, or was given up.
    pub is_new: bool,
}

impl Store {
    /// The store in this folder, which need not be there.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Removes its folder if nothing is in it, and then the one around it likewise.
    pub fn tidy(&self) {
        if rustix::fs::rmdir(&self.folder).is_ok()
            && let Some(around) = self.folder.parent()
        {
            // Others may have something in it.
            let _ = rustix::fs::rmdir(around);
        }
    }

    /// Whether its folder is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.folder.is_dir()
    }

    /// Finds a container.
    ///
    /// # Errors
    /// [`Kind::NoContainer`](super::Kind::NoContainer) where there is none.
    pub fn open(&self, id: &str) -> Result<Container, Error> {
        id::check(id)?;
        // In this order, or one that is completed in between would be missed.
        let folder = match self.folder(&format!("{NEW}{id}"), true)? {
            Some(folder) => Some(folder),
            None => self.folder(id, false)?,
        };
        let folder = folder.ok_or_else(|| Error::no_container(id))?;
        Container::read(folder, open_proc()?)?.ok_or_else(|| Error::no_container(id))
    }

    /// All that are there; of which the record cannot be read is left out.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Container>, Error> {
        let mut containers = Vec::new();
        for name in self.names()? {
            if let Ok(container) = self.open(&name) {
                containers.push(container);
            }
        }
        Ok(containers)
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(|error| self.failed("read", &error))?,
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .map(|name| name.strip_prefix(NEW).map_or(name.clone(), str::to_owned))
            .filter(|name| id::check(name).is_ok())
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Whether a container can get this name.
    pub(super) fn check_free(&self, id: &str) -> Result<(), Error> {
        id::check(id)?;
        match self.has(id) && !self.clear(id, false)? {
            true => Err(exists(id)),
            false => Ok(()),
        }
    }

    /// Makes and locks the folder of a new container.
    ///
    /// # Errors
    /// Where there is one that is not complete; a complete one is found when the new one
    /// [gets its name](Self::complete).
    pub(super) fn make(&self, id: &str) -> Result<Folder, Error> {
        let name = format!("{NEW}{id}");
        let path = self.folder.join(&name);
        let mut made = self.make_folder(&path)?;
        if !made && self.clear(&name, true)? {
            made = self.make_folder(&path)?;
        }
        if !made {
            return Err(exists(id));
        }
        let folder = self.folder(&name, true)?.ok_or_else(|| exists(id))?;
        // Whoever removes what was given up may have been faster: what is made in a folder
        // that is gone fails.
        lock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| exists(id))?;
        match folder.is_at(&folder.path) {
            true => Ok(folder),
            false => Err(exists(id)),
        }
    }

    /// Makes a folder in the store's, and that one where it is missing: whoever removes the
    /// last container, or could make none, may [remove](Self::tidy) it at any time. Whether
    /// it was not there.
    fn make_folder(&self, path: &Path) -> Result<bool, Error> {
        let mut parents = fs::DirBuilder::new();
        parents.recursive(true).mode(0o711);
        let mut made = Err(Errno::NOENT);
        for _ in 0..TRIES {
            made = rustix::fs::mkdir(path, Mode::from_raw_mode(0o700));
            if made != Err(Errno::NOENT) {
                break;
            }
            match parents.create(&self.folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self.failed("make", &error));
                }
                _ => {}
            }
        }
        match made {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::errno(format!("make {}", path.display()), errno)),
        }
    }

    /// Where a container is while it is being made.
    pub(super) fn new_folder(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{NEW}{id}"))
    }

    /// Gives a complete folder its name.
    pub(super) fn complete(&self, id: &str, folder: &mut Folder) -> Result<(), Error> {
        let path = self.folder.join(id);
        let flags = RenameFlags::NOREPLACE;
        let cwd = rustix::fs::CWD;
        let renamed = rustix::fs::renameat_with(cwd, &folder.path, cwd, &path, flags);
        match renamed {
            Err(Errno::EXIST) => return Err(exists(id)),
            // Some filesystems have no such rename; one onto a folder that has something in
            // it fails there too.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::rename(&folder.path, &path).map_err(|_| exists(id))?;
            }
            renamed => renamed.map_err(|errno| {
                Error::errno(format!("name the folder {}", path.display()), errno)
            })?,
        }
        folder.path = path;
        folder.is_new = false;
        Ok(())
    }

    /// Removes a folder that nobody holds and that is no container's: one that was given
    /// up, or of which the removal was. Whether it is gone.
    fn clear(&self, name: &str, is_new: bool) -> Result<bool, Error> {
        let Some(folder) = self.folder(name, is_new)? else {
            return Ok(true);
        };
        if lock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        // Somebody else has removed it, and at its path is another's by now, perhaps.
        if !folder.is_at(&folder.path) {
            return Ok(false);
        }
        let proc = open_proc()?;
        let Some(container) = Container::read(folder, proc)? else {
            // Without a record nothing was made yet, or nothing is left.
            return Ok(fs::remove_dir_all(self.folder.join(name)).is_ok());
        };
        if !is_new {
            return Ok(false);
        }
        container.remove_by_force().map(|()| true)
    }

    /// Removes what is left of a container of which the creation or the removal was given
    /// up.
    pub(super) fn clear_rest(&self, id: &str) -> Result<(), Error> {
        self.clear(&format!("{NEW}{id}"), true)?;
        self.clear(id, false).map(drop)
    }

    fn has(&self, id: &str) -> bool {
        rustix::fs::access(self.folder.join(id), rustix::fs::Access::EXISTS).is_ok()
    }

    fn folder(&self, name: &str, is_new: bool) -> Result<Option<Folder>, Error> {
        let path = self.folder.join(name);
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Folder { path, fd, is_new })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::errno(format!("open {}", path.display()), errno)),
        }
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        Error::io(format!("{what} {}", self.folder.display()), error)
    }
}

impl Folder {
    /// A path below it that is short enough for the address of a socket.
    pub fn short_path(&self, name: &str) -> PathBuf {
        use std::os::fd::AsRawFd;
        let number = self.fd.as_raw_fd();
        Path::new("/proc/self/fd")
            .join(number.to_string())
            .join(name)
    }

    /// Waits until nobody else does anything with the container.
    pub fn lock(&self) -> Result<(), Error> {
        lock(self, FlockOperation::LockExclusive)
            .map_err(|errno| Error::errno(format!("lock {}", self.path.display()), errno))
    }

    pub fn unlock(&self) {
        let _ = lock(self, FlockOperation::Unlock);
    }

    /// Whether somebody does something with it now.
    pub fn is_locked(&self) -> bool {
        match lock(self, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                self.unlock();
                false
            }
            Err(_) => true,
        }
    }

    /// Where it will be when it is complete.
    fn complete_path(&self) -> Option<PathBuf> {
        let name = self.path.file_name()?.to_str()?.strip_prefix(NEW)?;
        Some(self.path.with_file_name(name))
    }

    pub fn has_record(&self) -> bool {
        rustix::fs::statat(&self.fd, RECORD, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The record's text; `None` where there is none.
    pub fn text(&self) -> Result<Option<String>, Error> {
        let doing = || format!("read {}", self.path.join(RECORD).display());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match rustix::fs::openat(&self.fd, RECORD, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file.map_err(|errno| Error::errno(doing(), errno))?,
        };
        let file = fs::File::from(file);
        let text = file
            .metadata()
            .and_then(|found| read_whole(file, found.len()));
        text.map(Some).map_err(|error| Error::io(doing(), &error))
    }

    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let doing = || format!("write {}", self.path.join(name).display());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&self.fd, name, flags, mode);
        let file = file.map_err(|errno| Error::errno(doing(), errno))?;
        let written =
            std::io::Write::write_all(&mut fs::File::from(file), text.as_bytes());
        written.map_err(|error| Error::io(doing(), &error))
    }

    /// Whether `path` leads to it. Who holds its lock can rely on that: without the lock
    /// nobody removes it.
    fn is_at(&self, path: &Path) -> bool {
        let own = rustix::fs::fstat(&self.fd);
        let there = rustix::fs::lstat(path);
        own.is_ok_and(|own| {
            there.is_ok_and(|there| {
                (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
            })
        })
    }

    /// Removes it, the record last: what has no record is no container.
    pub fn remove(&self, record: &Record) -> Result<(), Error> {
        let failed =
            |errno| Error::errno(format!("remove {}", self.path.display()), errno);
        if record.notifies {
            notify::remove(self);
        }
        let gate = record.gated.then_some(GATE);
        for name in [INIT].into_iter().chain(gate).chain([RECORD]) {
            match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        // Who holds the lock finds it where it was; but a new one may have got its name since
        // it was opened, and another of the same name may have been made meanwhile.
        let path = match self.is_new {
            false => Some(self.path.clone()),
            true => std::iter::once(self.path.clone())
                .chain(self.complete_path())
                .find(|path| self.is_at(path)),
        };
        match path.map_or(Ok(()), |path| rustix::fs::rmdir(&path)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// The text of a file that is said to have `length` bytes: in one call, if it has just as
/// many, where the standard library's way takes five.
pub(super) fn read_whole(mut file: fs::File, length: u64) -> std::io::Result<String> {
    let mut text = vec![0; length as usize + 1];
    let read = loop {
        match file.read(&mut text) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    text.truncate(read);
    if read as u64 != length {
        file.read_to_end(&mut text)?;
    }
    String::from_utf8(text).map_err(std::io::Error::other)
}

/// Reads a record; an error where it is of a version that cannot be.
pub(super) fn record(text: &str, path: &Path) -> Result<Record, Error> {
    let doing = || format!("read {}", path.join(RECORD).display());
    let record: Record = serde_json::from_str(text)
        .map_err(|error| Error::new(format!("{}: {error}", doing())))?;
    if record.version != VERSION {
        let version = record.version;
        let message = format!("{}: it has version {version}, not {VERSION}", doing());
        return Err(Error::new(message));
    }
    Ok(record)
}

fn lock(folder: &Folder, how: FlockOperation) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(folder.fd.as_fd(), how))
}

fn exists(id: &str) -> Error {
    Error::new(format!("container with id \"{id}\" exists already"))
        .hint("container with given ID already exists")
}

pub(super) fn open_proc() -> Result<ProcRoot, Error> {
    ProcRoot::open().map_err(Error::new)
}
