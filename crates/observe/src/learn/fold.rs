//! From single files to few rules.
//!
//! A rule for a folder gives all of it. So a folder gets one only where several things
//! directly in it were used, or where it belongs together anyhow; never where it is too
//! wide, whatever was used of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Note;
use super::trees;
use crate::wants::Wants;

/// From how many used things in it on a folder is given.
const MANY: usize = 4;

/// The rules on their way.
#[derive(Debug)]
pub struct Folding {
    home: Option<PathBuf>,
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
    joined: Vec<(PathBuf, PathBuf)>,
    notes: Vec<Note>,
}

impl Folding {
    /// Without a rule.
    pub fn new(home: Option<&Path>) -> Self {
        Self {
            home: home.map(Path::to_owned),
            read: BTreeSet::new(),
            write: BTreeSet::new(),
            joined: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A file or folder that has to be shown.
    pub fn read(&mut self, path: &Path, wants: Wants) {
        match wants.contains(Wants::LIST) && self.is_too_wide(path) {
            true => self.too_wide(path, wants, path),
            false => drop(self.read.insert(self.whole(path))),
        }
    }

    /// A file or folder that has to be shown writable.
    pub fn write(&mut self, path: &Path) {
        match self.is_too_wide(path) {
            true => self.too_wide(path, Wants::WRITE, path),
            false => drop(self.write.insert(self.whole(path))),
        }
    }

    /// A name that came or went in a folder.
    pub fn change_names(&mut self, path: &Path, folder: &Path, wants: Wants) {
        match self.is_too_wide(folder) {
            true => self.too_wide(path, wants, folder),
            false => drop(self.write.insert(self.whole(folder))),
        }
    }

    /// Two folders between which names were moved: they must be below one mount.
    pub fn join(&mut self, one: &Path, other: &Path) {
        self.joined.push((one.to_owned(), other.to_owned()));
    }

    /// What has to be shown, what has to be writable, and what cannot be said.
    pub fn finish(mut self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>, Vec<Note>) {
        let write = std::mem::take(&mut self.write);
        self.write = self.gathered(write);
        for (one, other) in std::mem::take(&mut self.joined) {
            self.put_together(&one, &other);
        }
        self.write = outermost(&self.write);
        let read = std::mem::take(&mut self.read);
        let read = read.into_iter().filter(|path| !covers(&self.write, path));
        let read = outermost(&self.gathered(read.collect()));
        // What is given with its folder needs no note.
        let write = self.write;
        (read, write, self.notes)
    }

    /// Puts folders in the place of the many things that are in them.
    fn gathered(&self, mut rules: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        loop {
            let mut inside: BTreeMap<&Path, usize> = BTreeMap::new();
            for rule in &rules {
                if let Some(folder) = rule.parent() {
                    *inside.entry(folder).or_default() += 1;
                }
            }
            // The deepest first: it may make its own folder one of many.
            let full = inside
                .into_iter()
                .filter(|(folder, number)| *number >= MANY && !self.is_too_wide(folder))
                .map(|(folder, _)| folder)
                .max_by_key(|folder| folder.components().count());
            let Some(full) = full.map(Path::to_owned) else {
                return rules;
            };
            rules.retain(|rule| !rule.starts_with(&full));
            rules.insert(full);
        }
    }

    fn put_together(&mut self, one: &Path, other: &Path) {
        let rule = |path: &Path| self.write.iter().find(|rule| path.starts_with(rule));
        let (Some(first), Some(second)) = (rule(one), rule(other)) else {
            return;
        };
        if first == second {
            return;
        }
        let Some(common) = one.ancestors().find(|folder| other.starts_with(folder))
        else {
            return;
        };
        let common = common.to_owned();
        match self.is_too_wide(&common) {
            true => self.too_wide(other, Wants::CREATE, &common),
            false => drop(self.write.insert(common)),
        }
    }

    fn whole(&self, path: &Path) -> PathBuf {
        trees::whole(path, self.home.as_deref()).unwrap_or_else(|| path.to_owned())
    }

    fn is_too_wide(&self, folder: &Path) -> bool {
        trees::is_too_wide(folder, self.home.as_deref())
    }

    fn too_wide(&mut self, path: &Path, wants: Wants, folder: &Path) {
        self.notes.push(Note::TooWide {
            path: path.to_owned(),
            wants: wants.words(),
            folder: folder.to_owned(),
        });
    }
}

/// The rules that lie in no other.
pub fn outermost(rules: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut kept: BTreeSet<PathBuf> = BTreeSet::new();
    // A folder comes before what is in it.
    for rule in rules {
        if !covers(&kept, rule) {
            kept.insert(rule.clone());
        }
    }
    kept
}

/// Whether a rule gives `path`.
pub fn covers(rules: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.ancestors().any(|ancestor| rules.contains(ancestor))
}
