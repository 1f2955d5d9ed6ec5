//! What a run sees of the host, and where on the host that is.

use std::path::{Path, PathBuf};

use warren_spawn::{Access, DetailedMount, FlagChange, Mount, Mounted, Root, Spec, Tree};

/// What is at a path of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A file or folder of the host, or its absence.
    Host {
        /// Where it is on the host.
        path: PathBuf,
        /// Whether it can be written.
        access: Access,
    },
    /// The same under a layer that takes all changes and vanishes.
    Layered(PathBuf),
    /// What the run alone has, and what vanishes with it.
    Private,
    /// What the kernel or the run makes there: /proc, /dev.
    Kernel,
    /// Something that is hidden.
    Masked,
    /// Nothing: the root is empty there.
    Nothing,
}

/// What a run sees, place by place.
#[derive(Clone, Debug)]
pub struct View {
    /// Each on those before it.
    places: Vec<(PathBuf, Place)>,
}

#[derive(Clone, Debug)]
enum Place {
    Host(PathBuf, Access),
    Layered(PathBuf),
    Private,
    Kernel,
    Masked,
    Nothing,
}

impl View {
    /// What the process of a Spec sees.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let root = match &spec.root {
            Root::Empty | Root::Scratch => Place::Nothing,
            Root::Tree { path, access } => Place::Host(path.clone(), *access),
            Root::Overlay { path } => Place::Layered(path.clone()),
            _ => Place::Host("/".into(), Access::ReadWrite),
        };
        let mut places = vec![(PathBuf::from("/"), root)];
        places.extend(spec.mounts.iter().filter_map(|mount| {
            let place = place(mount)?;
            Some((mount.target().clone(), place))
        }));
        Self { places }
    }

    /// What `run` shows without options.
    #[must_use]
    pub fn of_default() -> Self {
        Self::of(&Spec {
            root: Root::Empty,
            mounts: warren_spawn::system::mounts(),
            ..Spec::default()
        })
    }

    /// What is at `path`, which has no symlinks in it.
    #[must_use]
    pub fn at(&self, path: &Path) -> Seen {
        let found = self
            .places
            .iter()
            .rev()
            .find(|(target, _)| path.starts_with(target));
        let Some((target, place)) = found else {
            return Seen::Nothing;
        };
        let below = |source: &Path| match path.strip_prefix(target) {
            Ok(rest) if rest.as_os_str().is_empty() => source.to_owned(),
            Ok(rest) => source.join(rest),
            Err(_) => source.to_owned(),
        };
        match place {
            Place::Host(source, access) => Seen::Host {
                path: below(source),
                access: *access,
            },
            Place::Layered(source) => Seen::Layered(below(source)),
            Place::Private => Seen::Private,
            Place::Kernel => Seen::Kernel,
            Place::Masked => Seen::Masked,
            Place::Nothing => Seen::Nothing,
        }
    }

    /// Whether `path` is where something was mounted or made: it cannot be renamed or
    /// removed.
    #[must_use]
    pub fn is_mount_point(&self, path: &Path) -> bool {
        self.places.iter().any(|(target, _)| target == path)
    }
}

fn place(mount: &Mount) -> Option<Place> {
    Some(match mount {
        Mount::Bind {
            source: Tree::Path(source),
            access,
            ..
        } => Place::Host(source.clone(), *access),
        Mount::Overlay { lower, .. } => Place::Layered(lower.last()?.clone()),
        Mount::Detailed(mount) => detailed(mount),
        Mount::Proc { .. }
        | Mount::Dev { .. }
        | Mount::Mqueue { .. }
        | Mount::Sys { .. } => Place::Kernel,
        Mount::Mask { .. } => Place::Masked,
        // What lies there stays.
        Mount::Symlink { .. }
        | Mount::Mode { .. }
        | Mount::Forbid { .. }
        | Mount::DeviceFiles { .. }
        | Mount::ReadOnly { .. } => return None,
        Mount::Device(_) => Place::Kernel,
        // What an open descriptor shows has no path that could be given.
        Mount::Bind { .. }
        | Mount::File { .. }
        | Mount::Tmpfs { .. }
        | Mount::Folder { .. }
        | Mount::Programs { .. } => Place::Private,
    })
}

fn detailed(mount: &DetailedMount) -> Place {
    match &mount.what {
        Mounted::Tree {
            source: Tree::Path(source),
            ..
        } => {
            let set = mount.flags.set | mount.flags_below.set;
            let access = match set & FlagChange::READ_ONLY {
                0 => Access::ReadWrite,
                _ => Access::ReadOnly,
            };
            Place::Host(source.clone(), access)
        }
        Mounted::Filesystem { kind, .. } if kind == "tmpfs" => Place::Private,
        Mounted::Filesystem { .. } | Mounted::Cgroup => Place::Kernel,
        Mounted::Tree { .. } | Mounted::Within { .. } => Place::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str, access: Access) -> Mount {
        Mount::bind(source, target, access)
    }

    #[test]
    fn a_later_place_lies_on_an_earlier_one() {
        let spec = Spec {
            root: Root::Empty,
            mounts: vec![
                bind("/etc", "/etc", Access::ReadOnly),
                Mount::Folder {
                    target: "/home".into(),
                    mode: 0o755,
                },
                bind("/data/x", "/home/u/x", Access::ReadWrite),
                Mount::Mask {
                    target: "/etc/shadow".into(),
                },
            ],
            ..Spec::default()
        };
        let view = View::of(&spec);
        let at = |path: &str| view.at(Path::new(path));
        let host = |path: &str, access| Seen::Host {
            path: path.into(),
            access,
        };
        assert_eq!(at("/etc/passwd"), host("/etc/passwd", Access::ReadOnly));
        assert_eq!(at("/etc/shadow"), Seen::Masked);
        assert_eq!(at("/home/u"), Seen::Private);
        assert_eq!(at("/home/u/x"), host("/data/x", Access::ReadWrite));
        assert_eq!(at("/home/u/x/y"), host("/data/x/y", Access::ReadWrite));
        assert_eq!(at("/srv"), Seen::Nothing);
        assert!(view.is_mount_point(Path::new("/home/u/x")));
    }

    #[test]
    fn the_default_shows_the_system_and_hides_its_secrets() {
        let view = View::of_default();
        let at = |path: &str| view.at(Path::new(path));
        assert!(matches!(at("/usr/bin/env"), Seen::Host { .. }));
        assert_eq!(at("/etc/shadow"), Seen::Masked);
        assert_eq!(at("/home/u"), Seen::Private);
        assert_eq!(at("/proc/self"), Seen::Kernel);
        assert_eq!(at("/data"), Seen::Nothing);
    }
}
