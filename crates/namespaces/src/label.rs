//! What the processes of a cgroup are called: container, pod, systemd unit.
//!
//! A cgroup's path is text that engines and systemd make by rules of their own, and that
//! nobody else promises anything about. Names are taken from the outside in, since those
//! further in may be of the contained program's choice.

use std::fmt;

/// What the path of a process's cgroup says of it.
///
/// ```
/// use warren_namespaces::Label;
///
/// let label = Label::of_path("/user.slice/user-1000.slice/session-3.scope");
/// assert_eq!(label.unit.as_deref(), Some("session-3.scope"));
/// assert_eq!(label.user, Some(1000));
/// assert_eq!(label.to_string(), "session-3.scope");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The path, as the caller's cgroup namespace sees it.
    pub path: String,
    /// The containers that it lies in, the outermost first. Only that one is named by an
    /// engine of this system for certain.
    pub containers: Vec<Container>,
    /// The pod that the outermost container belongs to, as Kubernetes (a uid with
    /// hyphens) or podman (an id) calls it.
    pub pod: Option<String>,
    /// The systemd unit: the innermost outside of any container, `cron.service`. With
    /// `user` it is often one of the user's own manager.
    pub unit: Option<String>,
    /// The user whose slice it lies in.
    pub user: Option<u32>,
}

/// A container, as its engine calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Who runs it.
    pub engine: Engine,
    /// Its id, mostly 64 hexadecimal digits; for those that have none, its name.
    pub id: String,
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman, and what else is built on libpod.
    Podman,
    /// containerd: through its Kubernetes interface, or nerdctl.
    Containerd,
    /// CRI-O.
    Crio,
    /// LXC, LXD, Incus, or libvirt's LXC.
    Lxc,
    /// systemd-nspawn and what else is registered with systemd-machined.
    Machine,
    /// One that names its containers as several do.
    Unknown,
}

impl Engine {
    /// Its name: `docker` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Unknown => "container",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Container {
    /// The id as engines shorten it, to 12 digits; a name stays whole.
    #[must_use]
    pub fn short_id(&self) -> &str {
        match self.id.get(..12) {
            Some(short) if is_id(&self.id) => short,
            _ => &self.id,
        }
    }
}

impl fmt::Display for Container {
    /// `docker 0123456789ab`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine, self.short_id())
    }
}

impl fmt::Display for Label {
    /// The most telling name that there is: the container, else the unit, else the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.container(), &self.unit) {
            (Some(container), _) => container.fmt(f),
            (None, Some(unit)) => f.write_str(unit),
            (None, None) => f.write_str(&self.path),
        }
    }
}

impl Label {
    /// The outermost container.
    #[must_use]
    pub fn container(&self) -> Option<&Container> {
        self.containers.first()
    }

    /// Reads the text of /proc/PID/cgroup (cgroups(7)), of one hierarchy or many: what
    /// the most telling of its paths says. `None` where it has none.
    #[must_use]
    pub fn of_cgroups(text: &str) -> Option<Self> {
        let mut lines: Vec<(u8, &str)> = text.lines().filter_map(line).collect();
        lines.sort_by_key(|(rank, _)| *rank);
        let labels = lines.into_iter().map(|(_, path)| Self::of_path(path));
        // The first of those that say most.
        labels.reduce(|best, label| {
            if label.weight() > best.weight() {
                label
            } else {
                best
            }
        })
    }

    /// Reads the path of a cgroup.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut label = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        for (at, name) in names.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |before| names[before]);
            let outside = label.containers.is_empty();
            if outside {
                label.user = user(name).or(label.user);
                if is_unit(name) {
                    label.unit = Some((*name).to_owned());
                }
            }
            if outside || label.containers.len() == 1 {
                label.pod = label.pod.or_else(|| pod(name, before, &names[at + 1..]));
            }
            label.containers.extend(container(name, before, &names));
        }
        label
    }

    fn weight(&self) -> u8 {
        match self {
            Self { containers, .. } if !containers.is_empty() => 3,
            Self { unit: Some(_), .. } => 2,
            Self { path, .. } if path != "/" => 1,
            _ => 0,
        }
    }
}

/// `NUMBER:CONTROLLERS:PATH`: the path, and after which others it comes. systemd keeps
/// its units in a hierarchy of its own, or in that of version 2.
fn line(line: &str) -> Option<(u8, &str)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers) = (fields.next()?, fields.next()?);
    let path = fields.next().filter(|path| path.starts_with('/'))?;
    let rank = match (number, controllers) {
        (_, "name=systemd") => 0,
        ("0", "") => 1,
        _ => 2,
    };
    // What the kernel adds for a cgroup that was removed under its last processes.
    Some((rank, path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// The container that a name of a path stands for, after the name `before`.
fn container(name: &str, before: &str, all: &[&str]) -> Option<Container> {
    let found = |engine, id: &str| {
        let id = id.to_owned();
        Some(Container { engine, id })
    };
    let (stem, is_scope) = match name.strip_suffix(".scope") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    for (prefix, engine) in PREFIXES {
        match stem.strip_prefix(prefix) {
            Some(id) if is_id(id) => return found(*engine, id),
            _ => {}
        }
    }
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return found(Engine::Lxc, name);
    }
    if let Some(machine) = stem.strip_prefix("machine-").filter(|_| is_scope) {
        return machine_of(&unescaped(machine));
    }
    let service = name.strip_suffix(".service");
    if let Some(name) = service.and_then(|name| name.strip_prefix("systemd-nspawn@")) {
        return found(Engine::Machine, &unescaped(name));
    }
    match before {
        "lxc" => found(Engine::Lxc, name),
        "docker" if is_id(name) => found(Engine::Docker, name),
        // Below it are pods too, which have a container further in.
        "libpod_parent" if is_id(name) && !all.iter().any(|name| is_libpod(name)) => {
            found(Engine::Podman, name)
        }
        "libpod_parent" => None,
        _ if name.len() == ID && is_id(name) => found(Engine::Unknown, name),
        _ => None,
    }
}

/// What the engines write before an id, with `.scope` behind it under systemd.
const PREFIXES: &[(&str, Engine)] = &[
    ("docker-", Engine::Docker),
    ("libpod-payload-", Engine::Podman),
    ("libpod-", Engine::Podman),
    ("cri-containerd-", Engine::Containerd),
    ("nerdctl-", Engine::Containerd),
    ("crio-", Engine::Crio),
];

fn is_libpod(name: &str) -> bool {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    stem.strip_prefix("libpod-").is_some_and(is_id)
}

/// The name of a scope of systemd-machined. libvirt puts its driver and a number first;
/// a virtual machine shares no namespace.
fn machine_of(name: &str) -> Option<Container> {
    let (engine, name) = match name.split_once('-') {
        Some(("qemu", _)) => return None,
        Some(("lxc", rest)) => (
            Engine::Lxc,
            rest.split_once('-').map_or(rest, |(_, name)| name),
        ),
        _ => (Engine::Machine, name),
    };
    Some(Container {
        engine,
        id: name.to_owned(),
    })
}

/// The pod that a name of a path stands for, after the name `before` and with `after`
/// below.
fn pod(name: &str, before: &str, after: &[&str]) -> Option<String> {
    let slice = name.strip_suffix(".slice");
    if let Some((_, id)) = slice.and_then(|name| name.split_once("-libpod_pod_")) {
        return Some(id.to_owned());
    }
    if before == "libpod_parent" && is_id(name) && after.iter().any(|n| is_libpod(n)) {
        return Some(name.to_owned());
    }
    // systemd takes a hyphen in the name of a slice for a level.
    let uid = match slice.filter(|name| name.contains("kubepods")) {
        Some(name) => name.rsplit_once("-pod")?.1.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    let is_uid = |text: &str| {
        text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    };
    is_uid(&uid).then_some(uid)
}

/// How many digits a whole id has.
const ID: usize = 64;

/// Hexadecimal and at least as long as engines shorten it.
fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (12..=ID).contains(&text.len()) && text.bytes().all(is_digit)
}

/// A unit that has processes: a slice has none of its own.
fn is_unit(name: &str) -> bool {
    const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    SUFFIXES
        .iter()
        .any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// `user-1000.slice`, `user@1000.service`.
fn user(name: &str) -> Option<u32> {
    let slice = name.strip_prefix("user-").map(|n| n.strip_suffix(".slice"));
    let service = name
        .strip_prefix("user@")
        .map(|n| n.strip_suffix(".service"));
    slice.or(service)??.parse().ok()
}

/// Undoes systemd's `\x2d`; see systemd-escape(1).
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        let code = rest
            .get(at + 2..at + 4)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let Some(code) = code else {
            break;
        };
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(code);
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
