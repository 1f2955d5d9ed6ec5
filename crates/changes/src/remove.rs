//! Deleting what a program deleted.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::beneath::{FOLDER, Tree, names, os_str};
use crate::outcome::Problem;

impl Tree {
    /// Removes what is at `path`, and all below it. What is gone already needs nothing.
    ///
    /// # Errors
    /// What stays, if anything does; as much as can be is removed all the same.
    pub fn remove(&self, path: &Path) -> Result<(), Problem> {
        match self.unlink(path, AtFlags::empty()) {
            Err(Errno::ISDIR) => self.remove_folder(path),
            result => result.map_err(|errno| Problem::new("delete", path, errno)),
        }
    }

    fn unlink(&self, path: &Path, flags: AtFlags) -> Result<(), Errno> {
        let removed = self
            .parent(path)
            .and_then(|(folder, name)| rustix::fs::unlinkat(folder, name, flags));
        match removed {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            result => result,
        }
    }

    /// A list, not a recursion: an earlier run may have nested folders deep.
    fn remove_folder(&self, top: &Path) -> Result<(), Problem> {
        let mut folders = vec![top.to_owned()];
        let mut first = None;
        let mut next = 0;
        while let Some(folder) = folders.get(next).cloned() {
            next += 1;
            if let Err(problem) = self.empty(&folder, &mut folders) {
                first.get_or_insert(problem);
            }
        }
        for folder in folders.iter().rev() {
            if let Err(errno) = self.unlink(folder, AtFlags::REMOVEDIR) {
                first.get_or_insert(Problem::new("delete", folder, errno));
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Removes all that a folder has but folders, and notes those.
    fn empty(&self, folder: &Path, folders: &mut Vec<PathBuf>) -> Result<(), Problem> {
        let failed = |errno| Problem::new("delete", folder, errno);
        let open = self.open(folder, FOLDER).map_err(failed)?;
        let mut first = None;
        for name in names(open.as_fd()).map_err(failed)? {
            match rustix::fs::unlinkat(&open, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => folders.push(folder.join(os_str(&name))),
                Err(errno) => {
                    let path = folder.join(os_str(&name));
                    first.get_or_insert(Problem::new("delete", &path, errno));
                }
            }
        }
        first.map_or(Ok(()), Err)
    }
}
