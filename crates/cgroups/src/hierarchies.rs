//! Which cgroup hierarchies are mounted, and so which layout this machine has.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, FsWord, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use warren_namespaces::ProcRoot;
use warren_namespaces::mountinfo::{self, MountInfo};

use crate::{Error, Membership};

/// linux/magic.h.
const CGROUP_SUPER_MAGIC: FsWord = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;
/// linux/stat.h, since Linux 6.8.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

/// How the hierarchies are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// No cgroup filesystem is mounted.
    None,
    /// v1 only: one tree for each controller.
    V1,
    /// Controllers on v1 and the v2 tree next to them.
    Hybrid,
    /// One tree for everything.
    V2,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
            Self::V2 => "v2",
        })
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// v1: its controllers, or `name=systemd`; empty for v2.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Which of its cgroups is there: `/`, unless a container manager bound a part.
    pub root: PathBuf,
    opened: Opened,
}

/// Where a hierarchy is mounted, opened and checked once for all copies of it.
#[derive(Clone, Default)]
struct Opened(Arc<OnceLock<OwnedFd>>);

/// It says nothing of the hierarchy.
impl PartialEq for Opened {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Opened {}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() {
            "open"
        } else {
            "closed"
        })
    }
}

impl Hierarchy {
    /// One with these controllers, of which the cgroup `root` is at `mount_point`.
    #[must_use]
    pub fn new(controllers: Vec<String>, mount_point: PathBuf, root: PathBuf) -> Self {
        Self {
            controllers,
            mount_point,
            root,
            opened: Opened::default(),
        }
    }

    /// Whether it is the v2 one.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether the line of /proc/PID/cgroup speaks of this hierarchy.
    pub(crate) fn matches(&self, membership: &Membership) -> bool {
        match membership.controllers.as_slice() {
            [] => self.is_v2(),
            controllers => controllers
                .iter()
                .all(|controller| self.controllers.contains(controller)),
        }
    }

    /// The path of a cgroup below the mount point, without a leading slash; `None`
    /// where the cgroup lies outside of what is mounted, or of the caller's cgroup
    /// namespace (a path with `..`).
    pub(crate) fn below<'a>(&self, cgroup: &'a Path) -> Option<&'a Path> {
        let below = cgroup.strip_prefix(&self.root).ok()?;
        let plain = |part| matches!(part, std::path::Component::Normal(_));
        below.components().all(plain).then_some(below)
    }

    /// Where `below` is, for people to read.
    #[must_use]
    pub fn path(&self, below: &Path) -> PathBuf {
        // Joining an empty path would add a slash.
        self.mount_point.join(below).components().collect()
    }

    /// The mount point, open, where a cgroup filesystem is. It and its copies open it once,
    /// and hold it as long as one of them is there.
    pub(crate) fn open(&self) -> Result<BorrowedFd<'_>, Error> {
        if let Some(fd) = self.opened.0.get() {
            return Ok(fd.as_fd());
        }
        let fd = self.open_anew()?;
        Ok(self.opened.0.get_or_init(|| fd).as_fd())
    }

    /// The same hierarchy, of which nothing is open.
    pub(crate) fn closed(&self) -> Self {
        Self {
            opened: Opened::default(),
            ..self.clone()
        }
    }

    fn open_anew(&self) -> Result<OwnedFd, Error> {
        let wrap = |errno| Error::new("open", self.mount_point.to_string_lossy(), errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(&self.mount_point, flags, Mode::empty()).map_err(wrap)?;
        let expected = if self.is_v2() {
            CGROUP2_SUPER_MAGIC
        } else {
            CGROUP_SUPER_MAGIC
        };
        let found = rustix::fs::fstatfs(&fd).map_err(wrap)?.f_type;
        if found == expected {
            Ok(fd)
        } else {
            Err(wrap(Errno::XDEV))
        }
    }
}

/// All hierarchies that are mounted in the caller's mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// v2 last; each once, where it was mounted first and can be seen.
    pub list: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Finds them in the caller's mountinfo.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn detect(proc: &ProcRoot) -> Result<Self, Error> {
        Ok(Self::from_mounts(&mountinfo::own(proc)?))
    }

    /// The same for who makes groups: where cgroup2 is mounted at its usual place, it is taken
    /// for all that there is, as other runtimes do, and what mountinfo says of each mount of the
    /// machine is not read.
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub fn detect_for_groups(proc: &ProcRoot) -> Result<Self, Error> {
        match unified() {
            Some(v2) => Ok(Self { list: vec![v2] }),
            None => Self::detect(proc),
        }
    }

    /// Finds them in a list of mounts.
    #[must_use]
    pub fn from_mounts(mounts: &[MountInfo]) -> Self {
        let mut list: Vec<Hierarchy> = Vec::new();
        for hierarchy in mountinfo::visible(mounts).filter_map(hierarchy) {
            let known = |other: &Hierarchy| other.controllers == hierarchy.controllers;
            if !list.iter().any(known) {
                list.push(hierarchy);
            }
        }
        list.sort_by_key(Hierarchy::is_v2);
        Self { list }
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let v1 = self.list.iter().any(|hierarchy| !hierarchy.is_v2());
        match (v1, self.v2().is_some()) {
            (false, false) => Layout::None,
            (true, false) => Layout::V1,
            (true, true) => Layout::Hybrid,
            (false, true) => Layout::V2,
        }
    }

    /// The v2 hierarchy.
    #[must_use]
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.list.iter().find(|hierarchy| hierarchy.is_v2())
    }
}

/// The one of v2, open, if it is at the place where a machine has it that has no other.
fn unified() -> Option<Hierarchy> {
    let mount_point = PathBuf::from("/sys/fs/cgroup");
    let mut v2 = Hierarchy::new(Vec::new(), mount_point, PathBuf::new());
    let root = v2.open().ok()?;
    let mask = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let mount = rustix::fs::statx(root, c"", AtFlags::EMPTY_PATH, mask).ok()?;
    if mount.stx_mask & STATX_MNT_ID_UNIQUE == 0 {
        return None;
    }
    let mut buffer = [0; 4096];
    let own_namespace = 0;
    let words =
        warren_sys::describe_mount(own_namespace, mount.stx_mnt_id, &mut buffer).ok()?;
    v2.root = OsStr::from_bytes(words.root?.to_bytes()).into();
    Some(v2)
}

fn hierarchy(mount: &MountInfo) -> Option<Hierarchy> {
    let controllers = match mount.filesystem.as_str() {
        "cgroup2" => Vec::new(),
        "cgroup" => v1_controllers(&mount.super_options),
        _ => return None,
    };
    // A v1 tree without a name or controller cannot be told from others.
    let nameless = mount.filesystem == "cgroup" && controllers.is_empty();
    let new = |controllers| {
        Hierarchy::new(controllers, mount.mount_point.clone(), mount.root.clone())
    };
    (!nameless).then(|| new(controllers))
}

/// The words of the options of a v1 hierarchy that are not its flags.
fn v1_controllers(options: &str) -> Vec<String> {
    const FLAGS: [&str; 7] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
        "seclabel",
    ];
    options
        .split(',')
        .filter(|word| !FLAGS.contains(word) && !word.starts_with("release_agent="))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(lines: &[&str]) -> Hierarchies {
        Hierarchies::from_mounts(&mountinfo::parse(lines.join("\n").as_bytes()))
    }

    #[test]
    fn groups_are_made_in_what_mountinfo_tells_of() {
        let proc = ProcRoot::open().expect("/proc");
        let all = Hierarchies::detect(&proc).expect("mountinfo");
        let quick = Hierarchies::detect_for_groups(&proc).expect("mountinfo");
        match all.layout() {
            // Perhaps with another beside it.
            Layout::V2 => assert_eq!(quick, all),
            Layout::Hybrid if quick != all => {
                assert_eq!(quick.list.as_slice(), [all.v2().expect("hybrid").clone()]);
            }
            _ => assert_eq!(quick, all),
        }
    }

    const TMPFS: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755";
    const CPU: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup \
                       rw,xattr,release_agent=/lib/agent,cpu,cpuacct";
    const SYSTEMD: &str =
        "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const V2: &str = "28 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn the_layout_follows_from_the_mounts() {
        assert_eq!(detect(&[TMPFS]).layout(), Layout::None);
        assert_eq!(detect(&[TMPFS, CPU, SYSTEMD]).layout(), Layout::V1);
        assert_eq!(detect(&[TMPFS, UNIFIED, CPU]).layout(), Layout::Hybrid);
        assert_eq!(detect(&[V2]).layout(), Layout::V2);
    }

    #[test]
    fn controllers_are_told_from_flags() {
        let found = detect(&[TMPFS, UNIFIED, CPU, SYSTEMD]);
        let controllers: Vec<&[String]> = found
            .list
            .iter()
            .map(|hierarchy| hierarchy.controllers.as_slice())
            .collect();
        assert_eq!(
            controllers,
            [
                &["cpu".to_owned(), "cpuacct".to_owned()][..],
                &["name=systemd".to_owned()][..],
                &[][..]
            ]
        );
    }

    #[test]
    fn a_hierarchy_that_is_mounted_twice_is_one() {
        let again = "50 1 0:26 /a /mnt rw - cgroup2 cgroup2 rw";
        let found = detect(&[V2, again]);
        assert_eq!(found.list.len(), 1);
        assert_eq!(found.list[0].mount_point, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_cgroup_outside_of_what_is_mounted_has_no_path() {
        let bound = "28 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let found = detect(&[bound]);
        let v2 = found.v2().expect("v2");
        assert_eq!(v2.below(Path::new("/docker/abc/x")), Some(Path::new("x")));
        assert_eq!(v2.path(Path::new("x")), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(v2.path(Path::new("")).as_os_str(), "/sys/fs/cgroup");
        assert_eq!(v2.below(Path::new("/docker/abcd")), None);
        assert_eq!(v2.below(Path::new("/docker/abc/../x")), None);
        assert_eq!(v2.below(Path::new("/../x")), None);
    }
}
