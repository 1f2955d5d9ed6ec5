//! Groups that a Warren made which was killed before it could remove them.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::group::make::PREFIX;
use crate::group::remove::children;
use crate::group::{Cgroup, Tier, has_process, hold};
use crate::systemd::Scope;
use crate::{Error, Hierarchies, Hierarchy};

/// How deep groups are looked for: slices, services and scopes nest less.
const DEEPEST: usize = 16;

/// A group that nobody owns any more. Held until it is dropped, so that nobody else removes
/// it meanwhile.
#[derive(Debug)]
pub struct LeftOver(Cgroup);

impl LeftOver {
    /// Its folder, for people to read.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.paths().into_iter().next().unwrap_or_default()
    }

    fn is_scope(&self) -> bool {
        self.0.scope.is_some()
    }

    fn let_go(&self) {
        for tier in self.0.tiers.iter().filter(|_| self.is_scope()) {
            // Whoever waits for it gets it.
            let _ = rustix::fs::flock(&tier.folder, FlockOperation::Unlock);
        }
    }

    fn is_still(&self) -> bool {
        !self.is_scope() || self.0.tiers.iter().all(|tier| is_abandoned(&tier.folder))
    }

    /// Removes it and all below it; has systemd stop a scope.
    ///
    /// # Errors
    /// `EACCES` where it belongs to another user.
    pub fn remove(&self) -> Result<(), Error> {
        self.0.remove()
    }
}

/// All groups whose names Warren gave, in which no process is, and which nobody holds, in
/// every hierarchy as far as it is mounted.
///
/// # Errors
/// Where the caller's own mounts cannot be read. What cannot be looked into is passed over.
pub fn left_over() -> Result<Vec<LeftOver>, Error> {
    let proc = ProcRoot::open()?;
    let hierarchies = Hierarchies::detect(&proc)?;
    let mut found = Vec::new();
    for hierarchy in &hierarchies.list {
        let root = hierarchy.open()?;
        if let Ok(root) = open(root, OsStr::new(".")) {
            search(hierarchy, &root, Path::new(""), &mut found);
        }
    }
    if found.iter().any(LeftOver::is_scope) {
        // systemd makes one a moment before its process is in, and its maker holds it.
        found.iter().for_each(|left| left.let_go());
        std::thread::sleep(MOMENT);
        found.retain(LeftOver::is_still);
    }
    Ok(found)
}

/// How long a scope may be empty at its begin.
const MOMENT: Duration = Duration::from_millis(300);

fn search(hierarchy: &Hierarchy, folder: &OwnedFd, at: &Path, found: &mut Vec<LeftOver>) {
    if at.iter().count() > DEEPEST {
        return;
    }
    for name in children(folder).unwrap_or_default() {
        let name = OsStr::from_bytes(name.to_bytes());
        // One that was removed meanwhile is nobody's concern.
        let Ok(child) = open(folder, name) else {
            continue;
        };
        let below = at.join(name);
        let scope = name.to_str().filter(|name| name.ends_with(SCOPE));
        if is_own_name(name) && is_abandoned(&child) {
            found.push(LeftOver(Cgroup {
                tiers: vec![Tier {
                    made: scope.is_none(),
                    ..Tier::found(hierarchy.clone(), below, child)
                }],
                scope: scope.map(Scope::named),
                refused: Vec::new(),
            }));
        } else {
            search(hierarchy, &child, &below, found);
        }
    }
}

/// How the name of a scope ends.
const SCOPE: &str = ".scope";

/// `warren-` and sixteen digits, be it of a scope: what else begins so may be somebody
/// else's.
/// Whether it is a name of which the group is removed when nobody holds it.
pub(crate) fn is_own_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let name = name.strip_suffix(SCOPE.as_bytes()).unwrap_or(name);
    let digits = name.strip_prefix(PREFIX.as_bytes());
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit)
    })
}

fn is_abandoned(folder: &OwnedFd) -> bool {
    matches!(has_process(folder), Ok(false)) && matches!(hold(folder), Ok(true))
}

fn open(folder: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_warren_gives_are_its_own() {
        assert!(is_own_name(OsStr::new("warren-0123456789abcdef")));
        assert!(is_own_name(OsStr::new("warren-0123456789abcdef.scope")));
        for name in [
            "warren-1",
            "warren-0123456789abcdeg",
            "warren",
            "x-0123456789abcdef",
        ] {
            assert!(!is_own_name(OsStr::new(name)), "{name}");
        }
    }
}
