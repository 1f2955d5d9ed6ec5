//! From an upper folder to the changes that it means.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::attributes::{Attributes, Node};
use crate::beneath::{self, FILE, FOLDER, PLACE, names, os_str};
use crate::change::{Change, Kind, What};
use crate::content;
use crate::layer::Layer;
use crate::outcome::Problem;

/// The changes of a layer.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// By path, a folder before what is in it.
    pub changes: Vec<Change>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

impl Layer {
    /// What was changed: the upper folder, compared with the folders below as they are now.
    /// What was written but is as before is no change.
    #[must_use]
    pub fn list(&self) -> Listing {
        let mut walk = Walk {
            layer: self,
            listing: Listing::default(),
            folders: Vec::new(),
        };
        walk.begin();
        // A list, not a recursion: a program can nest folders as deep as it likes.
        while let Some(folder) = walk.folders.pop() {
            if let Err(problem) = walk.folder(&folder) {
                walk.listing.problems.push(problem);
            }
        }
        walk.listing.finished(&self.covered)
    }
}

impl Listing {
    /// In order, and without the folders made on the way to mount points.
    fn finished(mut self, covered: &[PathBuf]) -> Self {
        self.changes.sort_by(|a, b| a.path.cmp(&b.path));
        let mut kept: Vec<Change> = Vec::new();
        for change in self.changes.into_iter().rev() {
            let leads_to_mount = || covered.iter().any(|to| to.starts_with(&change.path));
            let is_in_use = || {
                kept.last()
                    .is_some_and(|next| next.path.starts_with(&change.path))
            };
            let made = change.kind == Kind::Added && change.node() == Node::Folder;
            if !(made && leads_to_mount() && !is_in_use()) {
                kept.push(change);
            }
        }
        kept.reverse();
        self.changes = kept;
        self
    }
}

/// A folder of the upper one.
struct Folder {
    path: PathBuf,
    /// The lower ones that had a folder there, by number.
    below: Vec<usize>,
    /// Whether what they have shows through.
    merged: bool,
}

struct Walk<'a> {
    layer: &'a Layer,
    listing: Listing,
    folders: Vec<Folder>,
}

/// What a name meant below.
struct Before {
    attributes: Attributes,
    /// The lower ones that have a folder of that name.
    folders: Vec<usize>,
    /// The first one that has the name.
    first: usize,
}

impl Walk<'_> {
    /// The overlay's own folder, which has the mode of the one below and an owner of its
    /// own.
    fn begin(&mut self) {
        let path = PathBuf::new();
        let layer = self.layer;
        let top = layer.lowers.first();
        let now = Attributes::of_open(layer.upper.as_fd());
        let before = top.map(|top| Attributes::of_open(top.as_fd()));
        match (now, before) {
            (Ok(now), Some(Ok(before))) => {
                let mode = permissions(&now) != permissions(&before);
                let what = What {
                    mode,
                    ..What::default()
                };
                if what.is_any() {
                    self.note(&path, Kind::Modified, what, now, Some(before.node));
                }
            }
            (Err(errno), _) | (_, Some(Err(errno))) => {
                self.listing
                    .problems
                    .push(Problem::new("look at", &path, errno));
            }
            (Ok(_), None) => {}
        }
        self.folders.push(Folder {
            path,
            below: (0..layer.lowers.len()).collect(),
            merged: true,
        });
    }

    fn note(
        &mut self,
        path: &Path,
        kind: Kind,
        what: What,
        attributes: Attributes,
        before: Option<Node>,
    ) {
        self.listing.changes.push(Change {
            path: path.to_owned(),
            kind,
            what,
            attributes,
            before,
        });
    }

    fn folder(&mut self, folder: &Folder) -> Result<(), Problem> {
        let path = &folder.path;
        let failed = |errno| Problem::new("list", path, errno);
        let upper = self.layer.open(path, FOLDER).map_err(failed)?;
        let merged = folder.merged && !is_opaque(&upper);
        let present = names(upper.as_fd()).map_err(failed)?;
        if merged && present.is_empty() {
            // The caller may have no right to what is below, and needs none.
            return Ok(());
        }
        let below = self.open_below(folder).map_err(failed)?;
        for name in &present {
            let path = path.join(os_str(name));
            if self.layer.covered.contains(&path) {
                continue;
            }
            if let Err(problem) = self.entry(&upper, &below, &path, merged) {
                self.listing.problems.push(problem);
            }
        }
        if !merged {
            self.hidden(path, &below, &present)?;
        }
        Ok(())
    }

    /// The folders below that had this path. One that is gone since has nothing.
    fn open_below(&self, folder: &Folder) -> Result<Vec<(usize, OwnedFd)>, Errno> {
        let mut open = Vec::new();
        for number in &folder.below {
            match self.layer.lowers[*number].open(&folder.path, PLACE) {
                Ok(place) => open.push((*number, place)),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(open)
    }

    fn entry(
        &mut self,
        upper: &OwnedFd,
        below: &[(usize, OwnedFd)],
        path: &Path,
        merged: bool,
    ) -> Result<(), Problem> {
        let failed = |errno| Problem::new("look at", path, errno);
        let name = path.file_name().unwrap_or_default();
        let Some(now) = Attributes::of(upper.as_fd(), name).map_err(failed)? else {
            return Ok(());
        };
        let before = look_up(below, name).map_err(failed)?;
        if now.is_whiteout() {
            if let Some(before) = before {
                let what = What::default();
                let node = before.attributes.node;
                self.note(path, Kind::Deleted, what, before.attributes, Some(node));
            }
            return Ok(());
        }
        let was = before.as_ref().map(|before| before.attributes.node);
        if merged && now.node == Node::Folder && was.is_some_and(|was| was != now.node) {
            self.refuse_conflict(path)?;
        }
        match &before {
            None => self.note(path, Kind::Added, What::default(), now, None),
            Some(before) => {
                let what = self.compare(below, path, &now, before);
                if what.is_any() {
                    self.note(path, Kind::Modified, what, now, was);
                }
            }
        }
        if now.node == Node::Folder {
            self.folders.push(Folder {
                path: path.to_owned(),
                merged: merged && was == Some(Node::Folder),
                below: before.map_or_else(Vec::new, |before| before.folders),
            });
        }
        Ok(())
    }

    /// A folder that the program made where something else was hides that (it is opaque).
    /// One that hides nothing stood over a folder, which the host has replaced since.
    fn refuse_conflict(&self, path: &Path) -> Result<(), Problem> {
        let failed = |errno| Problem::new("look at", path, errno);
        let folder = self.layer.open(path, FOLDER).map_err(failed)?;
        if is_opaque(&folder) {
            return Ok(());
        }
        Err(failed(Errno::NOTDIR)
            .with_reason("the host has replaced the folder meanwhile"))
    }

    fn compare(
        &self,
        below: &[(usize, OwnedFd)],
        path: &Path,
        now: &Attributes,
        before: &Before,
    ) -> What {
        let was = &before.attributes;
        if now.node != was.node {
            return What {
                node: true,
                ..What::default()
            };
        }
        let content = match now.node {
            Node::File => {
                now.size != was.size || !self.has_same_bytes(below, path, before)
            }
            Node::Symlink => !self.says_same(below, path, before),
            Node::Device => !now.is_same_device(was),
            Node::Folder | Node::Fifo | Node::Socket => false,
        };
        What {
            node: false,
            content,
            mode: now.node != Node::Symlink && permissions(now) != permissions(was),
            owner: self.layer.owners.differ(now, was),
        }
    }

    /// What cannot be read is taken for other.
    fn has_same_bytes(
        &self,
        below: &[(usize, OwnedFd)],
        path: &Path,
        before: &Before,
    ) -> bool {
        let same = || {
            let name = path.file_name().unwrap_or_default();
            let now = self.layer.open_file(path).ok()?;
            let was = open_before(below, name, before)?;
            let size = before.attributes.size;
            content::is_same(now.as_fd(), was.as_fd(), size).ok()
        };
        same() == Some(true)
    }

    fn says_same(
        &self,
        below: &[(usize, OwnedFd)],
        path: &Path,
        before: &Before,
    ) -> bool {
        let text = |folder: &OwnedFd, name: &OsStr| {
            rustix::fs::readlinkat(folder, name, Vec::new()).ok()
        };
        let same = || {
            let (folder, name) = self.layer.upper.parent(path).ok()?;
            let (_, place) = below.iter().find(|(number, _)| *number == before.first)?;
            Some(text(&folder, name)? == text(place, name)?)
        };
        same() == Some(true)
    }

    /// What was there and neither shows through nor was made anew.
    fn hidden(
        &mut self,
        path: &Path,
        below: &[(usize, OwnedFd)],
        present: &[CString],
    ) -> Result<(), Problem> {
        let failed = |errno| Problem::new("list", path, errno);
        let mut gone = BTreeSet::new();
        for (number, _) in below {
            let lower = &self.layer.lowers[*number];
            let folder = lower.open(path, FOLDER).map_err(failed)?;
            gone.extend(names(folder.as_fd()).map_err(failed)?);
        }
        for name in gone {
            if present.binary_search(&name).is_ok() {
                continue;
            }
            let path = path.join(os_str(&name));
            let failed = |errno| Problem::new("look at", &path, errno);
            if let Some(before) = look_up(below, os_str(&name)).map_err(failed)? {
                let node = before.attributes.node;
                let what = What::default();
                self.note(&path, Kind::Deleted, what, before.attributes, Some(node));
            }
        }
        Ok(())
    }
}

/// What a name means in folders that lie one over the other, the uppermost first.
fn look_up(below: &[(usize, OwnedFd)], name: &OsStr) -> Result<Option<Before>, Errno> {
    let mut found: Option<Before> = None;
    for (number, folder) in below {
        let Some(attributes) = Attributes::of(folder.as_fd(), name)? else {
            continue;
        };
        let is_folder = attributes.node == Node::Folder;
        if attributes.is_whiteout() || (found.is_some() && !is_folder) {
            break;
        }
        let before = found.get_or_insert(Before {
            attributes,
            folders: Vec::new(),
            first: *number,
        });
        if !is_folder {
            break;
        }
        before.folders.push(*number);
        // It matters only to those further down.
        if below.len() > 1 && is_opaque(&beneath::open_at(folder.as_fd(), name, FOLDER)?)
        {
            break;
        }
    }
    Ok(found)
}

fn open_before(
    below: &[(usize, OwnedFd)],
    name: &OsStr,
    before: &Before,
) -> Option<OwnedFd> {
    let (_, folder) = below.iter().find(|(number, _)| *number == before.first)?;
    let file = beneath::open_at(folder.as_fd(), name, FILE).ok()?;
    let attributes = Attributes::of_open(file.as_fd()).ok()?;
    (attributes.node == Node::File).then_some(file)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    content::says_yes(folder.as_fd(), c"user.overlay.opaque")
}

/// The mode without what is not compared: a folder takes its set-group-id bit from the
/// one that it is in.
fn permissions(file: &Attributes) -> u32 {
    match file.node {
        Node::Folder => file.mode & 0o1777,
        _ => file.mode,
    }
}
