//! Profile and caller to Spec.

use std::path::{Path, PathBuf};

use warren_confine::landlock::{Landlock, Ports};
use warren_confine::seccomp::table::Call;
use warren_confine::seccomp::{self, policy};
use warren_confine::{CapabilitySet, Resource, Rlimit};
use warren_namespaces::Kind;
use warren_spawn::{Access, IdMapping, Mount, Namespace, Spec, Upper, system};

use crate::caller::Caller;
use crate::error::Error;
use crate::profile::{
    Files, Limits, Map, Mode, Network, Process, Profile, Requirement, Root, Syscalls,
};
use crate::text::optional;

impl Profile {
    /// `spec` with what this profile says, which must include nothing any more.
    ///
    /// Whether its paths are there is looked at only for those that may be absent.
    ///
    /// # Errors
    /// A text that stands for nothing with this caller, or paths of which each would
    /// cover the other.
    pub fn apply(&self, spec: Spec, caller: &Caller) -> Result<Spec, Error> {
        self.check()?;
        let mut spec = spec;
        self.files.apply(&mut spec, caller)?;
        self.process.apply(&mut spec, caller)?;
        self.network.apply(&mut spec);
        let added = self.capabilities.add;
        let known = spec.capabilities.unwrap_or(CapabilitySet::EMPTY);
        spec.capabilities = Some(added.iter().chain(known.iter()).collect());
        if let Some(profile) = self.syscalls.profile()? {
            spec.syscalls = Some(profile);
        }
        self.limits.apply(&mut spec);
        if let Some(landlock) = self.landlock()? {
            spec.landlock = Some(landlock);
        }
        Ok(spec)
    }

    /// What is asked of Landlock: ports and a requirement turn it on.
    fn landlock(&self) -> Result<Option<Landlock>, Error> {
        let required = self.require.contains(&Requirement::Landlock);
        let ports = self.network.ports();
        match self.landlock {
            Some(false) if required || ports.is_some() => Err(Error::new(
                "it is turned off, and a list of ports or require = [\"landlock\"] needs it",
            )
            .key("landlock")),
            None if !required && ports.is_none() => Ok(None),
            Some(false) => Ok(None),
            _ => Ok(Some(Landlock { required, ports })),
        }
    }
}

/// One entry of the lists of [`Files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The list: `files.read`.
    pub key: &'static str,
    /// As the profile has it.
    pub text: String,
    /// What it stands for.
    pub path: PathBuf,
}

impl Files {
    fn apply(&self, spec: &mut Spec, caller: &Caller) -> Result<(), Error> {
        if let Some(root) = self.root {
            spec.root = root.root();
            spec.mounts = root.mounts();
        }
        let shown = self.shown(caller)?;
        spec.mounts.extend(shown.iter().map(Shown::mount));
        spec.mounts.extend(uncovered(&shown));
        for pattern in &self.hide {
            spec.hide
                .push(caller.expand_pattern(pattern, "files.hide")?);
        }
        Ok(())
    }

    /// What is shown with this caller, without what may be absent and is; the shorter
    /// paths first, since a longer one goes on it.
    ///
    /// # Errors
    /// See [`Profile::apply`].
    pub fn shown(&self, caller: &Caller) -> Result<Vec<Shown>, Error> {
        let mut all: Vec<Shown> = Vec::new();
        for (key, list) in self.lists() {
            for text in list {
                let (path, is_optional) = optional(text);
                // The components anew: `//` and a slash at the end are no difference.
                let path: PathBuf =
                    Path::new(&caller.expand(path, key)?).components().collect();
                if is_optional && path.metadata().is_err() {
                    continue;
                }
                if let Some(other) = all.iter().find(|other| other.path == path) {
                    return Err(twice(key, other));
                }
                let text = text.clone();
                all.push(Shown { key, text, path });
            }
        }
        if let Some(shown) = all.iter().find(|shown| shown.path == Path::new("/")) {
            return Err(Error::new("it would cover everything with /")
                .key(shown.key)
                .hint("in the folder /, $PROJECT is /: cd to a project's folder")
                .hint("files.root = \"host\" shows the host's whole tree, read-only"));
        }
        all.sort_by_key(|shown| shown.path.components().count());
        Ok(all)
    }
}

fn twice(key: &str, other: &Shown) -> Error {
    let what = format!("{} is in {} too", other.path.display(), other.key);
    Error::new(what)
        .key(key)
        .hint("$PROJECT is the current folder: cd to a project's folder, not the home")
}

impl Shown {
    fn mount(&self) -> Mount {
        let target = self.path.clone();
        let bind = |access| Mount::bind(target.clone(), target.clone(), access);
        match self.key {
            "files.read" => bind(Access::ReadOnly),
            "files.write" => bind(Access::ReadWrite),
            "files.overlay" => Mount::Overlay {
                lower: vec![target.clone()],
                upper: Upper::Memory,
                target,
            },
            _ => Mount::Tmpfs {
                target,
                mode: 0o755,
                size: None,
            },
        }
    }
}

/// Masks for the secrets of /etc that an entry would bring back; one that is itself an
/// entry is shown.
fn uncovered(all: &[Shown]) -> Vec<Mount> {
    let is_brought_back = |mask: &Mount| {
        let secret = mask.target();
        let is_named = all.iter().any(|shown| shown.path == *secret);
        !is_named && all.iter().any(|shown| secret.starts_with(&shown.path))
    };
    system::secrets()
        .into_iter()
        .filter(is_brought_back)
        .collect()
}

/// Folders of the host that have settings, not programs.
const SETTINGS: [&str; 2] = ["/etc", "/opt"];

impl Root {
    fn root(self) -> warren_spawn::Root {
        match self {
            Self::Host => warren_spawn::Root::Tree {
                path: "/".into(),
                access: Access::ReadOnly,
            },
            Self::Empty | Self::Programs | Self::System => warren_spawn::Root::Empty,
        }
    }

    /// What it has.
    fn mounts(self) -> Vec<Mount> {
        let mut mounts = match self {
            Self::Host => {
                let tmp = Mount::Tmpfs {
                    target: "/tmp".into(),
                    mode: 0o1777,
                    size: None,
                };
                let secrets = system::secrets();
                return system::kernel()
                    .into_iter()
                    .chain([tmp])
                    .chain(secrets)
                    .collect();
            }
            _ => system::mounts(),
        };
        let is_of_host = |mount: &Mount| {
            matches!(
                mount,
                Mount::Bind { .. } | Mount::Symlink { .. } | Mount::Mask { .. }
            )
        };
        let is_settings = |mount: &Mount| {
            SETTINGS
                .iter()
                .any(|folder| mount.target().starts_with(folder))
        };
        match self {
            Self::Empty => mounts.retain(|mount| !is_of_host(mount)),
            Self::Programs => mounts.retain(|mount| !is_settings(mount)),
            Self::System | Self::Host => {}
        }
        mounts
    }
}

impl Process {
    fn apply(&self, spec: &mut Spec, caller: &Caller) -> Result<(), Error> {
        if let Some(workdir) = &self.workdir {
            spec.cwd = Some(caller.expand(workdir, "process.workdir")?.into());
        }
        if let Some(hostname) = &self.hostname {
            spec.hostname = Some(hostname.into());
        }
        match self.map {
            Some(Map::Auto) => spec.id_map = IdMapping::Auto,
            Some(Map::Single) => spec.id_map = IdMapping::Single,
            None => {}
        }
        if self.clear_env == Some(true) {
            spec.env.clear();
        }
        let passed = self
            .pass
            .iter()
            .flat_map(|name| caller.passed(name))
            .cloned();
        let mut variables: Vec<_> = passed.collect();
        for (name, value) in &self.set {
            variables.push((name.into(), caller.expand(value, "process.set")?));
        }
        for (name, value) in variables {
            spec.env.retain(|(known, _)| *known != name);
            spec.env.push((name, value));
        }
        Ok(())
    }
}

impl Network {
    fn apply(&self, spec: &mut Spec) {
        let (namespace, loopback) = match self.mode {
            Some(Mode::None) => (Namespace::New, true),
            Some(Mode::Host) => (Namespace::Inherit, false),
            None => return,
        };
        spec.namespaces.set(Kind::Net, namespace);
        spec.loopback = loopback;
    }

    /// The ports that may be used, if not all: one list alone leaves none for the other.
    fn ports(&self) -> Option<Ports> {
        let connect = self.connect.iter().flatten().map(|target| target.port);
        let bind = self.bind.iter().flatten().copied();
        (self.connect.is_some() || self.bind.is_some()).then(|| Ports {
            connect: connect.collect(),
            bind: bind.collect(),
        })
    }
}

impl Syscalls {
    /// What the filter is to do, if it is to do anything.
    ///
    /// # Errors
    /// Where lists do not say what happens to the calls of none.
    pub fn profile(&self) -> Result<Option<seccomp::Profile>, Error> {
        let wrong = |what: String| Error::new(what).key("syscalls");
        let text = match (&self.policy, &self.default) {
            (Some(policy), _) => policy.clone(),
            (None, Some(default)) => self.lines(default),
            (None, None) if self.allow.is_empty() && self.deny.is_empty() => {
                return Ok(None);
            }
            (None, None) => {
                let what = "it does not say what happens to the calls of no list";
                return Err(wrong(what.to_owned())
                    .hint("syscalls.default = \"deny ENOSYS\", or \"allow\""));
            }
        };
        let profile = policy::parse(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(profile))
    }

    /// The lists as a policy, in which the first line that names a call counts.
    fn lines(&self, default: &str) -> String {
        let mut text = format!("default {default}\n");
        for (action, list) in [("deny", &self.deny), ("allow", &self.allow)] {
            let is_known = |name: &&String| match name.strip_prefix('?') {
                Some(name) => Call::find(name).is_some(),
                None => true,
            };
            for name in list.iter().filter(is_known) {
                text.push_str(&format!("{action} {name}\n"));
            }
        }
        text
    }
}

impl Limits {
    /// Each limit that is given.
    pub fn rlimits(&self) -> impl Iterator<Item = Rlimit> {
        let all = [
            (Resource::Cpu, self.cpu_time),
            (Resource::Fsize, self.file_size),
            (Resource::Nofile, self.open_files),
            (Resource::Nproc, self.processes),
            (Resource::As, self.address_space),
        ];
        all.into_iter().filter_map(|(resource, limit)| {
            let value = limit?.value();
            Some(Rlimit {
                resource,
                soft: value,
                hard: value,
            })
        })
    }

    fn apply(&self, spec: &mut Spec) {
        for limit in self.rlimits() {
            spec.rlimits
                .retain(|known| known.resource != limit.resource);
            spec.rlimits.push(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use warren_confine::Action;
    use warren_spawn::Namespaces;

    use super::*;

    fn applied(rest: &str) -> Result<Spec, Error> {
        let profile: Profile = format!("version = 1\n{rest}").parse().expect(rest);
        let environment = vec![("A".into(), "1".into()), ("AB".into(), "2".into())];
        let caller = Caller::new("/srv/p".into(), Some("/h".into()), environment);
        let mut spec = Spec::new("true");
        spec.namespaces = Namespaces::new_of(warren_namespaces::NamespaceSet::ALL);
        profile.apply(spec, &caller)
    }

    fn targets(spec: &Spec) -> Vec<&Path> {
        let targets = spec.mounts.iter().map(|mount| mount.target().as_path());
        targets.collect()
    }

    #[test]
    fn an_empty_profile_changes_nothing_but_that_capabilities_are_none() {
        let mut spec = applied("").expect("a good profile");
        assert_eq!(spec.capabilities.take(), Some(CapabilitySet::EMPTY));
        let mut expected = Spec::new("true");
        expected.namespaces = spec.namespaces.clone();
        assert_eq!(spec, expected);
    }

    #[test]
    fn longer_paths_come_later_whatever_their_lists() {
        let text = "[files]\nread = ['/a/b/c', '~']\nwrite = ['/a', '$PROJECT/x/']\n\
                    tmpfs = ['/a/b//']";
        let spec = applied(text).expect("a good profile");
        let expected = ["/h", "/a", "/a/b", "/a/b/c", "/srv/p/x"].map(Path::new);
        assert_eq!(targets(&spec), expected);
    }

    #[test]
    fn what_may_be_absent_is_left_out() {
        let spec = applied("files.read = ['?/nonexistent', '?/etc/passwd', '/none']");
        let spec = spec.expect("a good profile");
        assert_eq!(targets(&spec), ["/none", "/etc/passwd"].map(Path::new));
    }

    #[test]
    fn one_path_in_two_lists_and_the_whole_tree_are_refused() {
        let wrong = |text: &str| applied(text).expect_err(text).what;
        let twice = "files.tmpfs = ['~']\nfiles.write = ['/h/']";
        assert_eq!(wrong(twice), "/h is in files.tmpfs too");
        assert!(wrong("files.read = ['/']").contains("cover everything"));
        assert!(wrong("files.tmpfs = ['//.']").contains("cover everything"));
    }

    #[test]
    fn an_empty_root_has_nothing_of_the_host_and_programs_no_settings() {
        let empty = applied("files.root = 'empty'").expect("a good profile");
        let is_bind = |mount: &Mount| matches!(mount, Mount::Bind { .. });
        assert!(!empty.mounts.iter().any(is_bind));
        assert!(targets(&empty).contains(&Path::new("/tmp")));
        let programs = applied("files.root = 'programs'").expect("a good profile");
        let targets = targets(&programs);
        assert!(targets.contains(&Path::new("/usr")));
        assert!(!targets.iter().any(|target| target.starts_with("/etc")));
    }

    #[test]
    fn the_network_and_its_ports_are_as_said() {
        let spec = applied("network.mode = 'host'\nnetwork.connect = ['a:443', 80]");
        let spec = spec.expect("a good profile");
        assert_eq!(*spec.namespaces.get(Kind::Net), Namespace::Inherit);
        assert!(!spec.loopback);
        let ports = spec.landlock.and_then(|landlock| landlock.ports);
        let ports = ports.expect("ports");
        assert_eq!((ports.connect, ports.bind), (vec![443, 80], Vec::new()));
        let required = applied("require = ['landlock']").expect("a good profile");
        assert_eq!(
            required.landlock.map(|landlock| landlock.required),
            Some(true)
        );
        applied("landlock = false\nnetwork.bind = []").expect_err("a contradiction");
    }

    #[test]
    fn variables_are_passed_then_set() {
        let text = "[process]\npass = ['A*', 'NONE']\nset = { AB = '~', C = '$$' }";
        let spec = applied(text).expect("a good profile");
        let env: Vec<String> = spec
            .env
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(env, ["A=1", "AB=/h", "C=$"]);
    }

    #[test]
    fn lists_of_calls_deny_before_they_allow() {
        let text = "[syscalls]\ndefault = 'deny ENOSYS'\nallow = ['@file', '?nosuch']\n\
                    deny = ['mkdir', '?nosuch']";
        let spec = applied(text).expect("a good profile");
        let profile = spec.syscalls.expect("a filter");
        assert_eq!(profile.default, Action::Fail(38));
        assert_eq!(profile.rules[0].names, ["mkdir"]);
        assert_eq!(profile.rules[0].action, Action::Fail(1));
        applied("syscalls.allow = ['read']").expect_err("no default");
    }
}
