//! What of the files a process may use, and how: what its Spec mounts, as rules.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use warren_confine::landlock::Files;

use crate::spec::{Access, DetailedMount, Mount, Mounted, Root, Spec, Tree, Upper};

/// A place of the root, and what the process may do there and below, as far as the files'
/// owners and modes allow, and until the next place below it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where, as the process sees it.
    pub target: PathBuf,
    /// What may be done.
    pub reach: Reach,
    /// Whether it is anything but a folder.
    pub is_file: bool,
    /// The place of the host that is shown, if it is one.
    pub source: Option<PathBuf>,
}

/// What may be done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: it is hidden.
    Nothing,
    /// Folders can be listed: the top of an empty root.
    List,
    /// Files can be read and executed.
    Read,
    /// Everything.
    Write,
    /// A socket can be connected to.
    Connect,
    /// Processes can be looked at, and told something through their files.
    Processes,
    /// Devices can be used, none made.
    Devices,
}

impl Reach {
    fn without_writing(self) -> Self {
        match self {
            Self::Write | Self::Processes => Self::Read,
            other => other,
        }
    }

    /// The same for Landlock.
    #[must_use]
    pub fn rights(self) -> Files {
        let read = Files::READ | Files::LIST;
        let write = Files::WRITE | Files::TRUNCATE;
        match self {
            Self::Nothing => Files::empty(),
            Self::List => Files::LIST,
            Self::Read => read | Files::EXECUTE,
            Self::Write => Files::all(),
            Self::Connect => Files::READ | Files::WRITE | Files::RESOLVE_UNIX,
            Self::Processes => read | write,
            Self::Devices => read | write | Files::IOCTL_DEVICE,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::List => "list",
            Self::Read => "read, execute",
            Self::Write => "read, write, execute",
            Self::Connect => "connect",
            Self::Processes => "read, write",
            Self::Devices => "use devices",
        })
    }
}

impl Shown {
    fn folder(target: impl Into<PathBuf>, reach: Reach) -> Self {
        Self {
            target: target.into(),
            reach,
            is_file: false,
            source: None,
        }
    }

    fn of_host(target: impl Into<PathBuf>, reach: Reach, source: &Path) -> Self {
        Self {
            source: Some(source.to_owned()),
            ..Self::folder(target, reach)
        }
    }

    fn file(target: impl Into<PathBuf>, reach: Reach) -> Self {
        Self {
            is_file: true,
            ..Self::folder(target, reach)
        }
    }

    fn forbid_write(&mut self) {
        if self.reach == Reach::Write {
            self.reach = Reach::Read;
        }
    }

    /// What Landlock can say of it.
    #[must_use]
    pub fn rights(&self) -> Files {
        match self.is_file {
            true => self.reach.rights() & Files::OF_A_FILE,
            false => self.reach.rights(),
        }
    }
}

impl Spec {
    /// What of the files the process may use, in the order of the mounts: what a later one
    /// covers is left out. Sources of mounts are looked at.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let mut all = vec![self.shown_as_root()];
        for mount in &self.mounts {
            if covers(mount) {
                all.retain(|shown| !shown.target.starts_with(mount.target()));
            }
            self.show(mount, &mut all);
        }
        all
    }

    fn shown_as_root(&self) -> Shown {
        match &self.root {
            Root::Empty => Shown::folder("/", Reach::List),
            Root::Tree { path, access } => Shown::of_host("/", reach(*access), path),
            Root::Overlay { .. } | Root::Scratch | Root::Inherit | Root::Visit => {
                Shown::folder("/", Reach::Write)
            }
        }
    }

    fn show(&self, mount: &Mount, all: &mut Vec<Shown>) {
        let target = mount.target();
        let shown = match mount {
            Mount::Bind {
                source,
                access,
                devices,
                ..
            } => bound(source, target, *access, *devices),
            Mount::Overlay {
                upper: Upper::None, ..
            } => Shown::folder(target, Reach::Read),
            Mount::Tmpfs { .. } | Mount::Overlay { .. } | Mount::Mqueue { .. } => {
                Shown::folder(target, Reach::Write)
            }
            Mount::File {
                mounted: Some(access),
                ..
            } => Shown::file(target, reach(*access)),
            // Made where nothing else can be read.
            Mount::File { mounted: None, .. } if lies_in_empty_root(target, all) => {
                Shown::file(target, Reach::Read)
            }
            Mount::Forbid { what, .. } => {
                if what.write {
                    all.iter_mut()
                        .filter(|shown| shown.target == *target)
                        .for_each(Shown::forbid_write);
                }
                return;
            }
            Mount::ReadOnly { .. } => return make_read_only(target, all),
            Mount::Sys { .. } => Shown::folder(target, Reach::Write),
            Mount::Programs { .. } => Shown::folder(target, Reach::Read),
            Mount::Proc { .. } => Shown::folder(target, Reach::Processes),
            Mount::Mask { .. } => Shown::folder(target, Reach::Nothing),
            Mount::Dev { .. } => {
                all.push(Shown::folder(target, Reach::Devices));
                Shown::folder(target.join("shm"), Reach::Write)
            }
            Mount::Detailed(mount) => detailed(mount),
            Mount::Device(_) => Shown::file(target, Reach::Devices),
            // One that the sealing of an empty root spares.
            Mount::Folder { .. } if self.is_own_folder(target) => {
                Shown::folder(target, Reach::Write)
            }
            // As what they lie in.
            Mount::Folder { .. }
            | Mount::Symlink { .. }
            | Mount::Mode { .. }
            | Mount::DeviceFiles { .. }
            | Mount::File { .. } => return,
        };
        all.push(shown);
    }

    fn is_own_folder(&self, target: &Path) -> bool {
        self.root == Root::Empty && target.parent() == Some(Path::new("/"))
    }
}

/// Whether what was there before cannot be seen any more.
fn covers(mount: &Mount) -> bool {
    !matches!(
        mount,
        Mount::Folder { .. }
            | Mount::Symlink { .. }
            | Mount::Mode { .. }
            | Mount::Forbid { .. }
            | Mount::ReadOnly { .. }
            | Mount::DeviceFiles { .. }
            | Mount::File { mounted: None, .. }
    )
}

fn detailed(mount: &DetailedMount) -> Shown {
    let set = mount.flags.set | mount.flags_below.set;
    let access = match set & warren_sys::MOUNT_ATTR_RDONLY {
        0 => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    match &mount.what {
        Mounted::Tree { source, .. } => {
            let devices = set & warren_sys::MOUNT_ATTR_NODEV == 0;
            bound(source, &mount.target, access, devices)
        }
        Mounted::Within { .. } => Shown::folder(&mount.target, reach(access)),
        Mounted::Filesystem { kind, .. } if kind == "proc" => {
            Shown::folder(&mount.target, Reach::Processes)
        }
        Mounted::Filesystem { .. } | Mounted::Cgroup => {
            Shown::folder(&mount.target, reach(access))
        }
    }
}

/// All places below it. What is no place by itself stays one with what it lies in, which
/// says more than is allowed there: it may not exist, and then no rule could name it.
fn make_read_only(target: &Path, all: &mut [Shown]) {
    for shown in all
        .iter_mut()
        .filter(|shown| shown.target.starts_with(target))
    {
        shown.reach = shown.reach.without_writing();
    }
}

/// Of a source that cannot be looked at, the plan tells.
fn bound(source: &Tree, target: &Path, access: Access, devices: bool) -> Shown {
    let kind = kind_of(source);
    let reach = match (kind, access) {
        (Some(FileType::Socket), _) => Reach::Connect,
        // Devices are written to whether their mount is or not.
        (_, Access::ReadOnly) if devices => Reach::Devices,
        (_, access) => reach(access),
    };
    Shown {
        target: target.to_owned(),
        reach,
        is_file: kind.is_some_and(|kind| kind != FileType::Directory),
        source: match source {
            Tree::Path(path) => Some(path.clone()),
            Tree::Open(_) => None,
        },
    }
}

fn kind_of(source: &Tree) -> Option<FileType> {
    let stat = match source {
        Tree::Path(path) => rustix::fs::stat(path).ok()?,
        Tree::Open(open) => {
            let file = warren_sys::duplicate(open.fd).ok()?;
            rustix::fs::fstat(&file).ok()?
        }
    };
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn lies_in_empty_root(target: &Path, all: &[Shown]) -> bool {
    let above = all.iter().filter(|shown| target.starts_with(&shown.target));
    let nearest = above.max_by_key(|shown| shown.target.components().count());
    nearest.is_some_and(|shown| shown.reach == Reach::List)
}

fn reach(access: Access) -> Reach {
    match access {
        Access::ReadOnly => Reach::Read,
        Access::ReadWrite => Reach::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Content, Forbidden};
    use crate::system;

    fn spec(root: Root, mounts: Vec<Mount>) -> Spec {
        Spec {
            root,
            mounts,
            ..Spec::new("true")
        }
    }

    fn bind(source: &str, target: &str, access: Access) -> Mount {
        Mount::bind(source, target, access)
    }

    fn folder(target: &str) -> Mount {
        Mount::Folder {
            target: target.into(),
            mode: 0o755,
        }
    }

    /// Each place with its reach.
    fn told(spec: &Spec) -> Vec<(String, Reach)> {
        let shown = spec.shown().into_iter();
        shown
            .map(|shown| (shown.target.display().to_string(), shown.reach))
            .collect()
    }

    fn is(spec: &Spec, expected: &[(&str, Reach)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(target, reach)| ((*target).to_owned(), *reach))
            .collect();
        assert_eq!(told(spec), expected);
    }

    #[test]
    fn each_mount_is_a_rule() {
        let mut mounts = vec![
            bind("/usr", "/usr", Access::ReadOnly),
            bind("/var/tmp", "/srv/x", Access::ReadWrite),
            folder("/home"),
        ];
        mounts.extend(system::kernel());
        is(
            &spec(Root::Empty, mounts),
            &[
                ("/", Reach::List),
                ("/usr", Reach::Read),
                ("/srv/x", Reach::Write),
                ("/home", Reach::Write),
                ("/proc", Reach::Processes),
                ("/dev", Reach::Devices),
                ("/dev/shm", Reach::Write),
            ],
        );
    }

    #[test]
    fn what_is_made_read_only_is_so_with_what_lies_in_it() {
        let mounts = vec![
            bind("/var/tmp", "/a", Access::ReadWrite),
            bind("/var/tmp", "/b/c", Access::ReadWrite),
            Mount::ReadOnly {
                target: "/b".into(),
            },
        ];
        is(
            &spec(Root::Empty, mounts),
            &[
                ("/", Reach::List),
                ("/a", Reach::Write),
                ("/b/c", Reach::Read),
            ],
        );
    }

    #[test]
    fn what_is_covered_is_no_rule() {
        let tmpfs = |target: &str| Mount::Tmpfs {
            target: target.into(),
            mode: 0o755,
            size: None,
        };
        let mounts = vec![
            bind("/usr", "/a/b", Access::ReadWrite),
            tmpfs("/ab"),
            bind("/etc", "/a", Access::ReadOnly),
        ];
        is(
            &spec(Root::Empty, mounts),
            &[
                ("/", Reach::List),
                ("/ab", Reach::Write),
                ("/a", Reach::Read),
            ],
        );
    }

    #[test]
    fn a_folder_that_is_sealed_or_in_a_tree_is_as_what_it_lies_in() {
        let deep = spec(Root::Empty, vec![folder("/a/b")]);
        is(&deep, &[("/", Reach::List)]);
        let root = Root::Tree {
            path: "/".into(),
            access: Access::ReadOnly,
        };
        is(&spec(root, vec![folder("/a")]), &[("/", Reach::Read)]);
    }

    #[test]
    fn what_is_forbidden_later_is_no_right() {
        let forbid = |target: &str| Mount::Forbid {
            target: target.into(),
            what: Forbidden {
                write: true,
                ..Forbidden::default()
            },
        };
        let mounts = vec![
            bind("/usr", "/a", Access::ReadWrite),
            bind("/usr", "/b", Access::ReadWrite),
            forbid("/a"),
            forbid("/"),
        ];
        let expected = [
            ("/", Reach::Read),
            ("/a", Reach::Read),
            ("/b", Reach::Write),
        ];
        is(&spec(Root::Scratch, mounts), &expected);
    }

    #[test]
    fn a_file_with_a_content_is_a_rule_where_it_is_mounted_or_alone() {
        let file = |target: &str, mounted| Mount::File {
            content: Content::Bytes(Vec::new()),
            target: target.into(),
            mode: 0o644,
            mounted,
        };
        let mounts = vec![
            folder("/srv"),
            file("/srv/in", None),
            file("/srv/on", Some(Access::ReadOnly)),
            file("/alone", None),
        ];
        let expected = [
            ("/", Reach::List),
            ("/srv", Reach::Write),
            ("/srv/on", Reach::Read),
            ("/alone", Reach::Read),
        ];
        is(&spec(Root::Empty, mounts), &expected);
    }

    #[test]
    fn an_overlay_without_an_upper_layer_can_be_read() {
        let overlay = |upper| Mount::Overlay {
            lower: vec!["/usr".into()],
            upper,
            target: "/a".into(),
        };
        let read = spec(Root::Empty, vec![overlay(Upper::None)]);
        is(&read, &[("/", Reach::List), ("/a", Reach::Read)]);
        let write = spec(Root::Empty, vec![overlay(Upper::Memory)]);
        is(&write, &[("/", Reach::List), ("/a", Reach::Write)]);
    }

    #[test]
    fn a_bind_at_the_root_is_the_root() {
        let mounts = vec![
            bind("/usr", "/x", Access::ReadWrite),
            bind("/", "/", Access::ReadOnly),
        ];
        is(&spec(Root::Scratch, mounts), &[("/", Reach::Read)]);
    }

    #[test]
    fn a_mask_takes_the_rules_below_it_away() {
        let mask = Mount::Mask {
            target: "/etc/ssl".into(),
        };
        let mounts = vec![bind("/usr", "/etc/ssl/certs", Access::ReadOnly), mask];
        is(
            &spec(Root::Empty, mounts),
            &[("/", Reach::List), ("/etc/ssl", Reach::Nothing)],
        );
    }

    #[test]
    fn a_file_has_no_rights_of_a_folder() {
        let mounts = vec![bind("/dev/null", "/x", Access::ReadWrite)];
        let shown = spec(Root::Empty, mounts).shown();
        assert!(shown[1].is_file);
        assert_eq!(shown[1].rights(), Files::OF_A_FILE);
    }

    #[test]
    fn nothing_but_write_makes_files() {
        for reach in [
            Reach::Nothing,
            Reach::List,
            Reach::Read,
            Reach::Connect,
            Reach::Processes,
            Reach::Devices,
        ] {
            let made = Files::MAKE_FILE | Files::MAKE_SYMLINK | Files::REMOVE_FILE;
            assert!(!reach.rights().intersects(made), "{reach}");
        }
        assert!(
            !Reach::Read
                .rights()
                .intersects(Files::WRITE | Files::TRUNCATE)
        );
    }
}
