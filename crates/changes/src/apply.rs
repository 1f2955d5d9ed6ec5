//! Making the changes of a layer somewhere else: in the folder below it, or in a new one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::attributes::{Attributes, Node};
use crate::beneath::{self, Tree};
use crate::change::{Change, Kind};
use crate::content;
use crate::layer::{Layer, change_mode};
use crate::outcome::{Outcome, Problem};
use crate::owners::Owners;
use crate::write::{self, Metadata, Writer};

/// The bits by which a file runs as its owner or group.
const SET_ID: u32 = 0o6000;

impl Layer {
    /// Makes `changes`, which [`list`](Self::list) has found, in the uppermost folder below.
    /// Each is made in whole or not at all: a file is written under another name and takes
    /// its own when it is complete and, if that name has a file already, is on the disk.
    /// What does not work is noted, and the rest goes on. Set-id bits, devices and sockets
    /// are left out.
    #[must_use]
    pub fn apply(&self, changes: &[Change]) -> Outcome {
        let Some(lower) = self.lowers.first() else {
            return Outcome::default();
        };
        let mut applying = Applying::new(self, lower, &self.owners, false);
        applying.all(changes);
        if applying.outcome.done > 0 {
            applying.sync();
        }
        applying.outcome
    }

    /// Makes what is new or other in `changes` in an empty folder, as the caller's own.
    #[must_use]
    pub fn save(&self, changes: &[Change], into: OwnedFd) -> Outcome {
        let tree = Tree::new(into);
        let mut applying = Applying::new(self, &tree, &Owners::Caller, true);
        let kept = changes.iter().filter(|change| change.kind != Kind::Deleted);
        applying.all(kept);
        applying.outcome
    }
}

struct Applying<'a> {
    layer: &'a Layer,
    to: &'a Tree,
    owners: &'a Owners,
    writer: Writer<'a>,
    outcome: Outcome,
    /// Whether the tree has nothing but what is made here.
    fresh: bool,
}

impl<'a> Applying<'a> {
    fn new(layer: &'a Layer, to: &'a Tree, owners: &'a Owners, fresh: bool) -> Self {
        Self {
            layer,
            to,
            owners,
            writer: Writer::new(to, fresh),
            outcome: Outcome::default(),
            fresh,
        }
    }

    /// Folders get their modes last, the innermost first: one may forbid to write.
    fn all<'c>(&mut self, changes: impl IntoIterator<Item = &'c Change>) {
        let mut folders = Vec::new();
        for change in changes {
            match self.one(change) {
                Ok(false) => {}
                Ok(true) if change.is_present_folder() => folders.push(change),
                Ok(true) => self.outcome.done += 1,
                Err(problem) => self.outcome.problems.push(problem),
            }
        }
        for change in folders.into_iter().rev() {
            match self.finish_folder(change) {
                Ok(()) => self.outcome.done += 1,
                Err(errno) => {
                    let problem = Problem::new("change the mode of", &change.path, errno);
                    self.outcome.problems.push(problem);
                }
            }
        }
    }

    /// Whether it was made, and not left out.
    fn one(&mut self, change: &Change) -> Result<bool, Problem> {
        let path = &change.path;
        let written = |errno| Problem::new("write", path, errno);
        if change.kind == Kind::Deleted {
            return self.to.remove(path).map(|()| true);
        }
        if change.is_of_metadata_only() && !self.fresh {
            let changed = |errno| Problem::new("change the mode of", path, errno);
            self.change_metadata(change).map_err(changed)?;
            return Ok(true);
        }
        match change.node() {
            Node::Device => {
                self.outcome.leave_out(path, "a device file");
                return Ok(false);
            }
            Node::Socket => {
                self.outcome.leave_out(path, "a socket");
                return Ok(false);
            }
            Node::Folder => self.folder(change)?,
            Node::File => self.file(change)?,
            Node::Symlink => {
                let text = self.link_text(path).map_err(written)?;
                let metadata = self.metadata(change).map_err(written)?;
                self.replace(change, |folder, name| {
                    rustix::fs::symlinkat(&text, folder, name)?;
                    write::finish_node(folder, name, &metadata)
                })?;
            }
            Node::Fifo => {
                let metadata = self.metadata(change).map_err(written)?;
                let proc = &self.layer.proc;
                self.replace(change, |folder, name| {
                    let mode = Mode::RUSR | Mode::WUSR;
                    rustix::fs::mknodat(folder, name, FileType::Fifo, mode, 0)?;
                    write::finish_node(folder, name, &metadata)?;
                    let fifo = beneath::open_at(folder, name.as_ref(), OFlags::PATH)?;
                    change_mode(proc, fifo.as_fd(), metadata.mode)
                })?;
            }
        }
        Ok(true)
    }

    fn link_text(&self, path: &Path) -> Result<std::ffi::CString, Errno> {
        let (folder, name) = self.layer.upper.parent(path)?;
        rustix::fs::readlinkat(folder, name, Vec::new())
    }

    fn metadata(&self, change: &Change) -> Result<Metadata, Errno> {
        Ok(Metadata {
            owner: self.owners.of(&change.attributes)?,
            mode: change.mode() & 0o777,
            modified: change.attributes.modified,
        })
    }

    /// In place: the file keeps its other names and what else is attached to it.
    fn change_metadata(&mut self, change: &Change) -> Result<(), Errno> {
        let file = self.to.open(&change.path, OFlags::PATH)?;
        let was = Attributes::of_open(file.as_fd())?;
        if was.node != change.node() {
            return Err(Errno::STALE);
        }
        let metadata = self.metadata(change)?;
        if let Some((uid, gid)) = metadata.owner {
            let flags = AtFlags::EMPTY_PATH;
            rustix::fs::chownat(&file, c"", Some(uid), Some(gid), flags)?;
        }
        self.note_set_id(change);
        change_mode(&self.layer.proc, file.as_fd(), metadata.mode)
    }

    fn note_set_id(&mut self, change: &Change) {
        if change.mode() & SET_ID != 0 {
            self.outcome.leave_out(&change.path, "its set-id bits");
        }
    }

    fn file(&mut self, change: &Change) -> Result<(), Problem> {
        let path = &change.path;
        let written = |errno| Problem::new("write", path, errno);
        let from = self.layer.open_file(path)?;
        let size = Attributes::of_open(from.as_fd()).map_err(written)?.size;
        let metadata = self.metadata(change).map_err(written)?;
        // The old file must not go before the new one is sure to stay.
        let sync = change.before.is_some() && !self.fresh;
        self.replace(change, |folder, name| {
            let to = write::create(folder, name)?;
            content::copy(from.as_fd(), to.as_fd(), size)?;
            content::copy_attributes(from.as_fd(), to.as_fd())?;
            write::finish(to.as_fd(), &metadata)?;
            if sync {
                rustix::fs::fsync(&to)?;
            }
            Ok(())
        })?;
        self.note_set_id(change);
        Ok(())
    }

    /// Makes something else than a folder, also where a folder was.
    fn replace(
        &mut self,
        change: &Change,
        make: impl Fn(std::os::fd::BorrowedFd<'_>, &str) -> Result<(), Errno>,
    ) -> Result<(), Problem> {
        let path = &change.path;
        let was_folder = change.before == Some(Node::Folder) && !self.fresh;
        let written = |errno| Problem::new("write", path, errno);
        match self.writer.replace(path, &make) {
            // It can be made, so that nothing is lost by making room.
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) if was_folder => {
                self.to.remove(path)?;
                self.writer.replace(path, &make).map_err(written)
            }
            result => result.map_err(written),
        }
    }

    fn folder(&mut self, change: &Change) -> Result<(), Problem> {
        let path = &change.path;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let made = |errno| Problem::new("make the folder", path, errno);
        let was_other = change.before.is_some_and(|was| was != Node::Folder);
        if was_other && !self.fresh {
            self.to.remove(path)?;
        }
        self.writer.folder(path).map_err(made)?;
        if change.before == Some(Node::Folder) && !self.fresh {
            self.open_up(change).map_err(made)?;
        }
        Ok(())
    }

    /// Lets the owner of a folder write to it, if in the layer he can or could.
    fn open_up(&self, change: &Change) -> Result<(), Errno> {
        if !change.what.mode {
            return Ok(());
        }
        let folder = self
            .to
            .open(&change.path, OFlags::PATH | OFlags::DIRECTORY)?;
        let now = Attributes::of_open(folder.as_fd())?;
        change_mode(&self.layer.proc, folder.as_fd(), now.mode | 0o700)
    }

    fn finish_folder(&self, change: &Change) -> Result<(), Errno> {
        let folder = self
            .to
            .open(&change.path, OFlags::PATH | OFlags::DIRECTORY)?;
        let is_top = change.path.as_os_str().is_empty();
        // The overlay's own folder has an owner of the run's making.
        if let Some((uid, gid)) = self.owners.of(&change.attributes)?
            && !is_top
        {
            let flags = AtFlags::EMPTY_PATH;
            rustix::fs::chownat(&folder, c"", Some(uid), Some(gid), flags)?;
        }
        // That bit is the host's to give: it comes from the folder above.
        let set_gid = Attributes::of_open(folder.as_fd())?.mode & 0o2000;
        let mode = change.mode() & 0o1777 | set_gid;
        change_mode(&self.layer.proc, folder.as_fd(), mode)
    }

    /// Has all of it on the disk before it is said to be done.
    fn sync(&mut self) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let synced = self
            .to
            .open(Path::new(""), flags)
            .and_then(|folder| rustix::fs::syncfs(&folder));
        match synced {
            // A folder that may not be read cannot be synced either.
            Ok(()) | Err(Errno::ACCESS) => {}
            Err(errno) => {
                let problem = Problem::new("write to the disk", Path::new(""), errno);
                self.outcome.problems.push(problem);
            }
        }
    }
}

impl Change {
    fn is_of_metadata_only(&self) -> bool {
        let same = !self.what.node && !self.what.content;
        let has_mode = matches!(self.node(), Node::File | Node::Fifo);
        self.kind == Kind::Modified && same && has_mode
    }

    fn is_present_folder(&self) -> bool {
        self.kind != Kind::Deleted && self.node() == Node::Folder
    }
}
