//! Where a group could be made, and what can be limited there: all that the kernel has to
//! be asked before anything is made.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::delegation::{is_writable, open_below, own_memberships, v2_controllers};
use crate::file;
use crate::{Error, Hierarchies, Hierarchy, Layout, Place, systemd_runs};

/// The parents below which a group would be made, one in each hierarchy.
///
/// Plain data: the same ground, placement and limits give the same
/// [`Blueprint`](crate::Blueprint).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// In the order of [`Hierarchies`]: v2 last.
    pub parents: Vec<Parent>,
    /// The user id of the caller.
    pub uid: u32,
    /// Whether the group is to be a scope that systemd makes.
    pub scope: bool,
}

/// A group below which another can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its hierarchy.
    pub hierarchy: Hierarchy,
    /// Its path below the mount point, without a leading slash.
    pub below: PathBuf,
    /// What a group below it can have: v1, the controllers of the hierarchy; v2, those of
    /// the parent (`cgroup.controllers`).
    pub controllers: Vec<String>,
    /// Those that v2 hands down already (`cgroup.subtree_control`).
    pub handed_down: Vec<String>,
    /// Why no group can be made there.
    pub closed: Option<Closed>,
    /// Whether processes are in it, beside which v2 hands no controller down.
    pub occupied: bool,
}

/// Why the caller cannot make a group somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It lies outside of what is mounted, or of the caller's cgroup namespace.
    OutOfSight,
    /// It is not there.
    Missing,
    /// It belongs to somebody else, or is mounted read-only.
    Denied,
}

impl Parent {
    /// Its folder, for people to read.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.hierarchy.path(&self.below)
    }

    /// Whether groups below it have this controller.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

impl Ground {
    /// Looks where a group at `place` would be made.
    ///
    /// # Errors
    /// Where the caller's own mounts or groups cannot be read.
    pub fn probe(place: &Place) -> Result<Self, Error> {
        Ok(Self::probe_open(&ProcRoot::open()?, place, true)?.closed())
    }

    /// The same, and keeps what was opened, so that it need not be opened again for a group
    /// that is made or found here. To be called when the descriptors that a program is to
    /// inherit are known: at a free number there may be one of these then. Which controllers
    /// v2 has is not asked where nothing is to be limited.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub fn probe_open(
        proc: &ProcRoot,
        place: &Place,
        limits: bool,
    ) -> Result<Self, Error> {
        let hierarchies = Hierarchies::detect_for_groups(proc)?;
        let is_named = matches!(place, Place::Path(_) | Place::Below(Some(_)));
        let own = match is_named {
            true => Vec::new(),
            false => own_memberships(proc)?,
        };
        let uid = rustix::process::geteuid().as_raw();
        let scope = match place {
            Place::Scope { .. } => true,
            Place::Auto => systemd_runs() && hierarchies.layout() == Layout::V2,
            _ => false,
        };
        let parents = hierarchies.list.into_iter().map(|hierarchy| {
            let below = match place {
                _ if scope => Some(of_manager(uid)),
                Place::Below(Some(group)) => Some(plain(group)),
                Place::Path(group) => Some(parent_of(&plain(group))),
                _ => own
                    .iter()
                    .find(|own| hierarchy.matches(own))
                    .and_then(|own| hierarchy.below(&own.path))
                    .map(Path::to_owned),
            };
            let may_miss = matches!(place, Place::Path(_));
            look_at(hierarchy, below, may_miss, limits)
        });
        Ok(Self {
            parents: parents.collect(),
            uid,
            scope,
        })
    }

    fn closed(mut self) -> Self {
        for parent in &mut self.parents {
            parent.hierarchy = parent.hierarchy.closed();
        }
        self
    }

    /// The hierarchies of its parents.
    #[must_use]
    pub fn hierarchies(&self) -> Hierarchies {
        let parents = self.parents.iter();
        Hierarchies {
            list: parents.map(|parent| parent.hierarchy.clone()).collect(),
        }
    }

    /// Whether everything is in the one tree of v2.
    #[must_use]
    pub fn is_v2_alone(&self) -> bool {
        matches!(self.parents.as_slice(), [only] if only.hierarchy.is_v2())
    }
}

/// The group that systemd's manager makes others in: the whole tree for root, for others
/// what is delegated to their own manager.
fn of_manager(uid: u32) -> PathBuf {
    if uid == 0 {
        return PathBuf::new();
    }
    format!("user.slice/user-{uid}.slice/user@{uid}.service").into()
}

/// Without leading slash, `.` and `..`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let is_name =
        |part: &std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    path.components().filter(is_name).collect()
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

fn look_at(
    hierarchy: Hierarchy,
    below: Option<PathBuf>,
    may_miss: bool,
    limits: bool,
) -> Parent {
    let is_out_of_sight = below.is_none();
    let mut parent = Parent {
        below: below.unwrap_or_default(),
        // Of v2 the group itself must be asked.
        controllers: hierarchy.controllers.clone(),
        handed_down: Vec::new(),
        closed: None,
        occupied: false,
        hierarchy,
    };
    if is_out_of_sight {
        parent.closed = Some(Closed::OutOfSight);
        return parent;
    }
    // What is missing is made, and will be as the first that is there.
    let mut there = parent.below.clone();
    let hierarchy = parent.hierarchy.clone();
    let folder = loop {
        match open_below(&hierarchy, &there) {
            Ok(folder) => break folder,
            Err(error) if error.errno() == Errno::NOENT && may_miss && there.pop() => {}
            Err(error) => {
                parent.closed = Some(match error.errno() {
                    Errno::NOENT => Closed::Missing,
                    Errno::XDEV => Closed::OutOfSight,
                    _ => Closed::Denied,
                });
                return parent;
            }
        }
    };
    look_into(&mut parent, folder, limits);
    parent
}

fn look_into(parent: &mut Parent, folder: impl AsFd, limits: bool) {
    let folder = folder.as_fd();
    if !is_writable(folder, ".") {
        parent.closed = Some(Closed::Denied);
    }
    if !(limits && parent.hierarchy.is_v2()) {
        return;
    }
    parent.controllers = v2_controllers(folder).unwrap_or_default();
    let words = |name| file::read(folder, name).unwrap_or_default();
    parent.handed_down = words("cgroup.subtree_control")
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    // The root of the tree alone has no such file, and may have processes in it.
    let is_root = file::read(folder, "cgroup.type").is_err();
    parent.occupied = !is_root && !words("cgroup.procs").trim().is_empty();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_lead_upwards() {
        assert_eq!(plain(Path::new("/a/../b/./c")), Path::new("a/b/c"));
        assert_eq!(plain(Path::new("/")), Path::new(""));
    }

    #[test]
    fn every_mounted_hierarchy_is_looked_at() {
        let ground = Ground::probe(&Place::Auto).expect("own groups");
        let proc = ProcRoot::open().expect("/proc");
        let hierarchies = Hierarchies::detect(&proc).expect("mountinfo");
        assert_eq!(ground.parents.len(), hierarchies.list.len());
    }

    #[test]
    fn a_missing_group_is_told_from_a_hidden_one() {
        let place = Place::Below(Some("/no/such/group".into()));
        let ground = Ground::probe(&place).expect("own groups");
        let closed: Vec<_> = ground.parents.iter().map(|it| it.closed).collect();
        assert!(
            closed.iter().all(|it| *it == Some(Closed::Missing)),
            "{closed:?}"
        );
    }
}
