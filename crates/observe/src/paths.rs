//! Paths as the program sees them.
//!
//! A path in a program's memory is relative to folders of that process and leads
//! through symlinks of its root. Here it becomes the place where the file is in that
//! root. It is looked up by the observer, a moment before the program's own call, through
//! descriptors of the program's root: nothing of it can lead out.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use warren_namespaces::ProcRoot;
use warren_sys::{Errno, Result};

/// Where a path of a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The working folder.
    Here,
    /// An open folder.
    Descriptor(i32),
}

/// A path that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place, without symlinks on the way.
    pub path: PathBuf,
    /// Whether something is there.
    pub exists: bool,
    /// The symlinks that led there.
    pub through: Vec<PathBuf>,
}

/// Folders whose content a run cannot change and whose paths come again and again.
const STEADY: [&str; 6] = ["/usr/", "/lib", "/bin/", "/sbin/", "/etc/", "/opt/"];

/// Where every path means what the process makes of it.
const OF_THE_KERNEL: [&str; 2] = ["/proc", "/dev"];

/// Looks up the paths of one run.
#[derive(Debug)]
pub struct Paths {
    proc: ProcRoot,
    root: Option<OwnedFd>,
    known: HashMap<(PathBuf, bool), Found>,
    /// Whether a process may have another root than the rest.
    several_roots: bool,
}

impl Paths {
    /// For a run that has not begun.
    #[must_use]
    pub fn new(proc: ProcRoot) -> Self {
        Self {
            proc,
            root: None,
            known: HashMap::new(),
            several_roots: false,
        }
    }

    /// Takes the root of a process as that of the run.
    ///
    /// # Errors
    /// Whatever openat(2) answers.
    pub fn take_root(&mut self, tid: i32) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::openat(&self.proc, format!("{tid}/root"), flags, Mode::empty())?;
        self.root = Some(root);
        Ok(())
    }

    /// Takes note that a process has changed its root, or the mounts in it.
    pub fn roots_differ(&mut self) {
        self.several_roots = true;
        self.known.clear();
    }

    /// A file of the process's folder in /proc.
    ///
    /// # Errors
    /// As [`ProcRoot::read`].
    pub fn of_process(
        &self,
        tid: i32,
        file: &str,
    ) -> std::result::Result<Vec<u8>, warren_namespaces::Error> {
        self.proc.read(&format!("{tid}/{file}"))
    }

    /// Where a link of a process's folder leads to: `cwd`, `exe`, `fd/3`.
    ///
    /// # Errors
    /// `ENOENT` for a descriptor that is not open.
    pub fn link(&self, tid: i32, name: &str) -> Result<PathBuf> {
        read_link(&self.proc, &format!("{tid}/{name}"))
    }

    /// The file of a descriptor, unless it has no path: a pipe, a socket.
    #[must_use]
    pub fn descriptor(&self, tid: i32, fd: i32) -> Option<Found> {
        let path = self.link(tid, &format!("fd/{fd}")).ok()?;
        path.is_absolute().then(|| Found {
            path: without_deleted(path),
            exists: true,
            through: Vec::new(),
        })
    }

    /// Where `path` leads. `None` where it starts in a folder that is none.
    pub fn find(
        &mut self,
        tid: i32,
        from: From,
        path: &[u8],
        follow: bool,
    ) -> Option<Found> {
        let path = self.absolute(tid, from, Path::new(OsStr::from_bytes(path)))?;
        let is_of_kernel = OF_THE_KERNEL.iter().any(|folder| path.starts_with(folder));
        if is_of_kernel || self.root.is_none() {
            return Some(Found {
                path: lexical(&path),
                exists: true,
                through: Vec::new(),
            });
        }
        let text = path.as_os_str().as_bytes();
        let steady = STEADY
            .iter()
            .any(|start| text.starts_with(start.as_bytes()));
        if !steady || self.several_roots {
            return Some(self.look_up(&path, follow));
        }
        let key = (path, follow);
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        let found = self.look_up(&key.0, follow);
        self.known.insert(key, found.clone());
        Some(found)
    }

    /// The path from the root of the run on, as it is written.
    fn absolute(&self, tid: i32, from: From, path: &Path) -> Option<PathBuf> {
        let base = match from {
            _ if path.is_absolute() && self.several_roots => {
                let root = self.link(tid, "root").ok()?;
                return Some(root.join(path.strip_prefix("/").ok()?));
            }
            _ if path.is_absolute() => return Some(path.to_owned()),
            From::Here => self.link(tid, "cwd").ok()?,
            From::Descriptor(fd) => self.link(tid, &format!("fd/{fd}")).ok()?,
        };
        base.is_absolute().then(|| base.join(path))
    }

    fn look_up(&self, path: &Path, follow: bool) -> Found {
        let plain = lexical(path);
        let (path, exists) = self.place(path, follow);
        let through = match path == plain {
            true => Vec::new(),
            false => self.links_on_the_way(&plain, follow),
        };
        Found {
            path,
            exists,
            through,
        }
    }

    /// The place of a path, whether or not something is there.
    fn place(&self, path: &Path, follow: bool) -> (PathBuf, bool) {
        if let Ok(place) = self.place_of_existing(path, follow) {
            return (place, true);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return (lexical(path), false);
        };
        // A folder that cannot be looked into is taken as it is written.
        let (parent, _) = self.place(parent, true);
        (parent.join(name), false)
    }

    fn place_of_existing(&self, path: &Path, follow: bool) -> Result<PathBuf> {
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?;
        let own = format!("self/fd/{}", file.as_fd().as_raw_fd());
        read_link(&self.proc, &own)
    }

    /// The symlinks among the folders of a path, and among those that they lead to.
    fn links_on_the_way(&self, path: &Path, follow: bool) -> Vec<PathBuf> {
        /// As many as the kernel follows: `MAXSYMLINKS`.
        const MOST: usize = 40;
        let mut found = Vec::new();
        let mut left: Vec<OsString> = names(path).rev().collect();
        let mut at = PathBuf::from("/");
        while let Some(name) = left.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let target = match left.is_empty() && !follow {
                true => Err(Errno::INVAL),
                false => self.read_link_inside(&next),
            };
            match target {
                Ok(target) if found.len() < MOST => {
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(names(&target).rev());
                    found.push(next);
                }
                _ => at = next,
            }
        }
        found
    }

    fn read_link_inside(&self, path: &Path) -> Result<PathBuf> {
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let link = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?;
        read_link(&link, "")
    }
}

/// The names of a path, `..` among them.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn read_link(folder: impl AsFd, name: &str) -> Result<PathBuf> {
    let link = rustix::fs::readlinkat(folder, name, Vec::new())?;
    Ok(OsString::from_vec(link.into_bytes()).into())
}

/// The path without what the kernel puts after that of a removed file.
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => OsStr::from_bytes(path).into(),
        None => path,
    }
}

/// An absolute path without `.` and `..`, by its text alone.
#[must_use]
pub fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for name in names(path) {
        if name == ".." {
            plain.pop();
        } else {
            plain.push(name);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn own() -> i32 {
        std::process::id() as i32
    }

    fn paths() -> Paths {
        let mut paths = Paths::new(ProcRoot::open().expect("this machine has /proc"));
        paths.take_root(own()).expect("the own root");
        paths
    }

    #[test]
    fn dots_go_by_the_text() {
        assert_eq!(
            lexical(Path::new("/a/./b/../c//d/")),
            PathBuf::from("/a/c/d")
        );
        assert_eq!(lexical(Path::new("/../..")), PathBuf::from("/"));
    }

    #[test]
    fn a_path_is_followed_and_its_links_are_told() {
        let folder =
            std::env::temp_dir().join(format!("warren-observe-{}", std::process::id()));
        fs::create_dir_all(folder.join("real/deep")).expect("new folders");
        fs::write(folder.join("real/deep/file"), "").expect("a new file");
        symlink("real", folder.join("one")).expect("a new symlink");
        symlink(folder.join("one/deep"), folder.join("two")).expect("a new symlink");
        let find = |name: &str, follow| {
            let path = folder.join(name);
            let path = path.as_os_str().as_bytes();
            paths()
                .find(own(), From::Here, path, follow)
                .expect("a path")
        };
        let followed = find("two/file", true);
        let kept = find("two", false);
        let missing = find("two/none/x", true);
        fs::remove_dir_all(&folder).expect("our own folder");
        assert_eq!(followed.path, folder.join("real/deep/file"));
        assert!(followed.exists);
        assert_eq!(followed.through, [folder.join("two"), folder.join("one")]);
        let alone = Found {
            path: folder.join("two"),
            exists: true,
            through: Vec::new(),
        };
        assert_eq!(kept, alone);
        assert_eq!(missing.path, folder.join("real/deep/none/x"));
        assert!(!missing.exists);
    }

    #[test]
    fn a_descriptor_is_where_its_file_is() {
        let file = fs::File::open("/etc/passwd").expect("it is there");
        let found = paths().descriptor(own(), file.as_raw_fd()).expect("a file");
        assert_eq!(found.path, PathBuf::from("/etc/passwd"));
        let (pipe, _other) = std::io::pipe().expect("a new pipe");
        assert_eq!(paths().descriptor(own(), pipe.as_raw_fd()), None);
        assert_eq!(paths().descriptor(own(), 1 << 20), None);
    }
}
