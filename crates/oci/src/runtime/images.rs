//! The folder with the images of a checkpoint.
//!
//! It may have come from somewhere else, in an archive, so it is looked through before criu
//! reads it: nothing in it may lead out. Nothing of it becomes part of our own state.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use warren_sys::Errno;

use super::error::Error;

/// What the first process had as its standard streams, as every runtime notes it.
const DESCRIPTORS: &str = "descriptors.json";
/// A link to the images that these continue: criu(8), `--prev-images-dir`.
const PARENT: &str = "parent";
/// Where criu brings pages from when they are touched: criu(8), `lazy-pages`. It connects to
/// that, and to nothing else that is a socket.
const LAZY_PAGES: &str = "lazy-pages.socket";
/// How many images may continue each other.
const DEPTH: usize = 64;
/// The largest [`DESCRIPTORS`], in bytes.
const MOST: u64 = 64 << 10;

/// The folder with images, and that for criu's log and whatever else it needs.
#[derive(Debug)]
pub(super) struct Images {
    path: PathBuf,
    pub folder: OwnedFd,
    work_path: PathBuf,
    pub work: OwnedFd,
}

impl Images {
    /// To be filled: made where it is missing.
    pub fn make(images: &Path, work: Option<&Path>) -> Result<Self, Error> {
        make_folder(images)?;
        if let Some(work) = work {
            make_folder(work)?;
        }
        Self::open(images, work)
    }

    /// To be read.
    pub fn find(images: &Path, work: Option<&Path>) -> Result<Self, Error> {
        if let Some(work) = work {
            make_folder(work)?;
        }
        Self::open(images, work)
    }

    /// The same, by the mounts that the caller sees now.
    pub fn again(&self) -> Result<Self, Error> {
        Self::open(&self.path, Some(&self.work_path))
    }

    fn open(images: &Path, work: Option<&Path>) -> Result<Self, Error> {
        let work = work.unwrap_or(images);
        let all = Self {
            folder: open_folder(CWD, images).map_err(|errno| failed(images, errno))?,
            work: open_folder(CWD, work).map_err(|errno| failed(work, errno))?,
            path: images.to_owned(),
            work_path: work.to_owned(),
        };
        all.check()?;
        Ok(all)
    }

    /// Where criu writes its log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.work_path.join(name)
    }

    /// There are files in it, and a link at most to a folder of the same kind.
    fn check(&self) -> Result<(), Error> {
        let mut path = self.path.clone();
        let mut parent = check_files(&self.folder, &path)?;
        for _ in 0..DEPTH {
            let Some(link) = parent else { return Ok(()) };
            path.push(link);
            let folder = open_folder(CWD, &path).map_err(|errno| failed(&path, errno))?;
            parent = check_files(&folder, &path)?;
        }
        Err(Error::new(format!(
            "{}: more than {DEPTH} images continue each other",
            self.path.display()
        )))
    }

    /// Looks at images that others are to continue, given relative to these.
    pub fn check_parent(&self, parent: &Path) -> Result<(), Error> {
        if parent.is_absolute() {
            return Err(Error::new("--parent-path must be relative"));
        }
        let path = self.path.join(parent);
        let folder = open_folder(CWD, &path).map_err(|errno| {
            Error::errno(
                format!("invalid --parent-path: open {}", path.display()),
                errno,
            )
        })?;
        check_files(&folder, &path).map(drop)
    }

    pub fn write_descriptors(&self, streams: &[String]) -> Result<(), Error> {
        let path = self.path.join(DESCRIPTORS);
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::TRUNC
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&self.folder, DESCRIPTORS, flags, mode)
            .map_err(|errno| Error::errno(format!("write {}", path.display()), errno))?;
        // Strings: nothing that JSON cannot say.
        let text = serde_json::to_string(streams).unwrap_or_default();
        std::io::Write::write_all(&mut File::from(file), text.as_bytes())
            .map_err(|error| Error::io(format!("write {}", path.display()), &error))
    }

    pub fn descriptors(&self) -> Result<Vec<String>, Error> {
        let path = self.path.join(DESCRIPTORS);
        let doing = || format!("open {}", path.display());
        let file = open_file(self.folder.as_fd(), DESCRIPTORS);
        let file = file.map_err(|errno| Error::errno(doing(), errno))?;
        let mut text = String::new();
        let read = file.take(MOST).read_to_string(&mut text);
        read.map_err(|error| Error::io(doing(), &error))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::new(format!("read {}: {error}", path.display())))
    }
}

/// The begin of a log, if it is one.
pub(super) fn read_log(path: &Path, most: u64) -> Option<String> {
    let file = open_file(CWD, path.to_str()?).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where its [`PARENT`] leads, if there is one.
fn check_files(folder: &OwnedFd, path: &Path) -> Result<Option<PathBuf>, Error> {
    let read = |errno| failed(path, errno);
    let mut parent = None;
    for entry in Dir::read_from(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let own = name.to_bytes();
        if own == b"." || own == b".." {
            continue;
        }
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let kind = FileType::from_raw_mode(stat.map_err(read)?.st_mode);
        match kind {
            FileType::Symlink if own == PARENT.as_bytes() => {
                let link = rustix::fs::readlinkat(folder, name, Vec::new());
                let link = link.map_err(read)?.to_string_lossy().into_owned();
                parent = Some(PathBuf::from(link));
            }
            // Others keep folders of theirs beside the images.
            FileType::RegularFile | FileType::Directory => {}
            FileType::Socket if own == LAZY_PAGES.as_bytes() => {}
            _ => {
                let file = path.join(name.to_string_lossy().as_ref());
                let message = format!("{}: images are plain files", file.display());
                return Err(Error::new(message)
                    .hint("a link in a folder of images could lead anywhere"));
            }
        }
    }
    match &parent {
        Some(link) if link.is_absolute() => Err(Error::new(format!(
            "{}: leads to {}, and must be relative",
            path.join(PARENT).display(),
            link.display()
        ))),
        _ => Ok(parent),
    }
}

/// Its files are for nobody else; but root of a user namespace looks there for what is not.
fn make_folder(path: &Path) -> Result<(), Error> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o711)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::errno(format!("make {}", path.display()), errno)),
    }
}

fn open_folder(dir: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, path, flags, Mode::empty())
}

/// A plain file and nothing else, without waiting for whoever might be behind it.
fn open_file(dir: impl AsFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    match kind {
        FileType::RegularFile => Ok(file.into()),
        _ => Err(Errno::INVAL),
    }
}

fn failed(path: &Path, errno: Errno) -> Error {
    Error::errno(format!("open {}", path.display()), errno)
}
