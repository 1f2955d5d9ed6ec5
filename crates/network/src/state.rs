//! /run/warren/net: the networks that were made, and one change at a time.
//!
//! Nothing of a running container is there: that is in the kernel, which forgets with it.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::network::{Name, Network};

/// Where networks are kept.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// The right to change networks, until dropped. The folder goes with the last thing in it.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    _held: OwnedFd,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not while something is in it. Who waits for it finds that it is another folder.
        let _ = rustix::fs::rmdir(&self.folder);
        if let Some(parent) = self.folder.parent() {
            let _ = rustix::fs::rmdir(parent);
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            folder: "/run/warren/net".into(),
        }
    }
}

impl Store {
    /// Waits for the right to change networks.
    ///
    /// # Errors
    /// Where the folder cannot be made, or is not root's alone.
    pub fn lock(&self) -> Result<Lock> {
        let failed = |errno| Error::new(format!("lock {}", self.folder.display()), errno);
        // Whose last change it was has removed the folder, perhaps just now.
        for _ in 0..1000 {
            self.make_folder()?;
            match lock(&self.folder) {
                Ok(Some(held)) => {
                    let folder = self.folder.clone();
                    return Ok(Lock {
                        folder,
                        _held: held,
                    });
                }
                Ok(None) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(failed(Errno::AGAIN))
    }

    fn make_folder(&self) -> Result<()> {
        let parent = self.folder.parent().unwrap_or(&self.folder);
        for (folder, mode) in [(parent, 0o755), (&*self.folder, 0o700)] {
            let shown = folder.display();
            match rustix::fs::mkdir(folder, Mode::from_raw_mode(mode)) {
                // The parent may be gone again.
                Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
                Err(errno) => return Err(Error::new(format!("make {shown}"), errno)),
            }
            let Ok(found) = folder.symlink_metadata() else {
                continue;
            };
            if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 {
                return Err(Error::new(format!("use the folder {shown}"), Errno::PERM)
                    .hint("it is not root's alone"));
            }
        }
        Ok(())
    }

    /// The networks that were made, by name; not the built-in one.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(self.failed("list", &self.folder, &error)),
        };
        let mut list = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".network"));
            if let Some(Ok(name)) = name.map(str::parse::<Name>)
                && let Some(network) = self.find(&name)?
            {
                list.push(network);
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// The network of a name.
    ///
    /// # Errors
    /// Where its record cannot be read.
    pub fn find(&self, name: &Name) -> Result<Option<Network>> {
        let path = self.path(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", &path, &error)),
        };
        let network: Network = serde_json::from_str(&text)
            .map_err(|error| Error::words(format!("read {}: {error}", path.display())))?;
        if network.version != 1 {
            return Err(Error::words(format!(
                "read {}: its version is {}, and this warren knows 1",
                path.display(),
                network.version
            )));
        }
        Ok(Some(network))
    }

    /// Keeps a network; the `Lock` says that nobody else does.
    ///
    /// # Errors
    /// What the filesystem says.
    pub fn keep(&self, name: &Name, network: &Network, _lock: &Lock) -> Result<()> {
        let text = serde_json::to_string(network).map_err(|error| {
            Error::words(format!("write the record of the network {name}: {error}"))
        })?;
        write(&self.path(name), &text)
    }

    /// Forgets a network.
    ///
    /// # Errors
    /// `ENOENT` where there is none of that name.
    pub fn forget(&self, name: &Name, _lock: &Lock) -> Result<()> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| self.failed("remove", &path, &error))
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.network"))
    }

    /// The record of what was changed in a network namespace, by its number.
    pub(crate) fn settings(&self, namespace: u64) -> PathBuf {
        self.folder.join(format!("{namespace}.settings"))
    }

    #[expect(clippy::unused_self, reason = "one form for all errors of the store")]
    fn failed(&self, what: &str, path: &Path, error: &io::Error) -> Error {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        Error::new(format!("{what} {}", path.display()), errno)
    }
}

fn lock(folder: &Path) -> std::result::Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(folder, flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))?;
    let held = rustix::fs::fstat(&fd)?;
    let same = folder
        .symlink_metadata()
        .is_ok_and(|now| (now.dev(), now.ino()) == (held.st_dev, held.st_ino));
    Ok(same.then_some(fd))
}

/// Writes a whole file or nothing.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let result = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    result.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Error::new(format!("write {}", path.display()), errno)
    })
}
