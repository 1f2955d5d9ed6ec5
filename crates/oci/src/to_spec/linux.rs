//! `linux`: namespaces, ids, system calls, and what is left over.

use warren_confine::CapabilitySet;
use warren_confine::seccomp::Newer;
use warren_confine::seccomp::oci;
use warren_namespaces::{IdMap, Kind};
use warren_spawn::{
    CacheClass, IdMapping, Interface, Join, Listener, Namespace, PropagationKind, Seccomp,
};

use super::Reader;
use crate::config::{self, Linux};
use crate::error::Error;
use crate::kinds;

impl Reader<'_> {
    pub(super) fn namespaces(&mut self) -> Result<(), Error> {
        let none = Linux::default();
        let linux = self.config.linux.as_ref().unwrap_or(&none);
        for (index, namespace) in linux.namespaces.iter().enumerate() {
            let path = |key: &str| format!("linux.namespaces[{index}]{key}");
            let Some(kind) = kinds::kind(&namespace.r#type) else {
                let message = format!("unknown namespace {:?}", namespace.r#type);
                return Err(Error::new(path(".type"), message));
            };
            if *self.spec.namespaces.get(kind) != Namespace::Inherit {
                let message = format!("{} is there twice", namespace.r#type);
                return Err(Error::new(path(".type"), message));
            }
            let what = match namespace.path.as_str() {
                "" => Namespace::New,
                file if file.starts_with('/') => Namespace::Join(Join::Path(file.into())),
                file => {
                    let message = format!("expected an absolute path, found {file:?}");
                    return Err(Error::new(path(".path"), message));
                }
            };
            self.spec.namespaces.set(kind, what);
        }
        let is_new = |kind| *self.spec.namespaces.get(kind) == Namespace::New;
        if !is_new(Kind::Mnt) {
            return Err(Error::new(
                "linux.namespaces",
                "a root of its own needs a new mount namespace",
            ));
        }
        self.spec.loopback = is_new(Kind::Net);
        self.id_map(linux)
    }

    fn id_map(&mut self, linux: &Linux) -> Result<(), Error> {
        let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
        if *self.spec.namespaces.get(Kind::User) != Namespace::New {
            return Ok(());
        }
        if uids.is_empty() || gids.is_empty() {
            let missing = if uids.is_empty() {
                "linux.uidMappings"
            } else {
                "linux.gidMappings"
            };
            let message = "is missing: a new user namespace needs it";
            return Err(Error::new(missing, message));
        }
        self.spec.id_map = IdMapping::Explicit {
            uids: id_maps(uids, "linux.uidMappings")?,
            gids: id_maps(gids, "linux.gidMappings")?,
        };
        Ok(())
    }

    pub(super) fn linux(&mut self) -> Result<(), Error> {
        let none = Linux::default();
        let linux = self.config.linux.as_ref().unwrap_or(&none);
        self.seccomp(linux)?;
        self.check_names(linux)?;
        let settings = linux.sysctl.iter();
        let settings = settings.map(|(name, value)| (name.clone(), value.clone()));
        self.spec.sysctl = settings.collect();
        self.resources(linux)?;
        self.rest_of_linux(linux)
    }

    /// Names that have a property of their own.
    fn check_names(&self, linux: &Linux) -> Result<(), Error> {
        let conflict = |setting: &str, property: &str| {
            let message = format!("is what {property} is for");
            Err(Error::new(format!("linux.sysctl.{setting}"), message))
        };
        if linux.sysctl.contains_key("kernel.hostname") {
            return conflict("kernel.hostname", "hostname");
        }
        let domain = linux.sysctl.get("kernel.domainname");
        let own = &self.config.domainname;
        if domain.is_some_and(|name| !own.is_empty() && name != own) {
            return conflict("kernel.domainname", "domainname");
        }
        Ok(())
    }

    fn seccomp(&mut self, linux: &Linux) -> Result<(), Error> {
        let Some(seccomp) = &linux.seccomp else {
            return Ok(());
        };
        let path = "linux.seccomp";
        let capabilities = self.spec.all_capabilities();
        let capabilities = capabilities.map_or(CapabilitySet::ALL, |sets| sets.bounding);
        if *seccomp == oci::Seccomp::sandbox(capabilities) {
            self.spec.seccomp = Seccomp::Sandbox;
        } else {
            let profile = seccomp.profile(Newer::AboveProfile);
            let profile = profile.map_err(|error| Error::new(path, error))?;
            self.spec.syscalls = Some(profile);
        }
        let flags = seccomp
            .load_flags()
            .map_err(|error| Error::new("linux.seccomp.flags", error))?;
        self.spec.syscalls_flags = flags.bits();
        self.listener(seccomp)
    }

    /// Who started the container says what it is called, so that state is not known here:
    /// only the socket and what the profile's author wants to be told.
    fn listener(&mut self, seccomp: &oci::Seccomp) -> Result<(), Error> {
        let (path, metadata) = (&seccomp.listener_path, &seccomp.listener_metadata);
        if path.is_empty() {
            if !metadata.is_empty() {
                let message = "needs a linux.seccomp.listenerPath";
                return Err(Error::new("linux.seccomp.listenerMetadata", message));
            }
            return Ok(());
        }
        if !path.starts_with('/') {
            let message = format!("expected an absolute path, found {path:?}");
            return Err(Error::new("linux.seccomp.listenerPath", message));
        }
        self.spec.listener = Some(Listener {
            socket: path.into(),
            message: listener_message(metadata, None),
        });
        Ok(())
    }

    fn rest_of_linux(&mut self, linux: &Linux) -> Result<(), Error> {
        if !linux.mount_label.is_empty() {
            if !warren_confine::labels::selinux_is_enabled() {
                let message = "SELinux is not enabled on this host";
                return Err(Error::new("linux.mountLabel", message));
            }
            self.spec.mount_label = Some(linux.mount_label.clone());
        }
        if let Some(personality) = &linux.personality {
            self.spec.personality = Some(self::personality(personality)?);
        }
        self.time_offsets(linux)?;
        if let Some(policy) = &linux.memory_policy {
            self.spec.memory_policy = Some(super::priority::memory_policy(policy)?);
        }
        if let Some(rdt) = &linux.intel_rdt {
            self.spec.cache_class = Some(cache_class(rdt)?);
        }
        self.interfaces(linux)
    }

    pub(super) fn root_propagation(&mut self) -> Result<(), Error> {
        let linux = self.config.linux.as_ref();
        let word = linux.map_or("", |linux| linux.rootfs_propagation.as_str());
        self.spec.root_propagation = match super::options::propagation(word) {
            _ if word.is_empty() => None,
            Some(propagation) => Some(propagation),
            None => {
                let message = format!("unknown propagation {word:?}");
                return Err(Error::new("linux.rootfsPropagation", message));
            }
        };
        // What the host mounts later is seen, unless that is forbidden.
        self.spec.follows_host_mounts = !matches!(
            self.spec.root_propagation.map(|one| one.kind),
            Some(PropagationKind::Private | PropagationKind::Unbindable)
        );
        Ok(())
    }

    fn time_offsets(&mut self, linux: &Linux) -> Result<(), Error> {
        for (clock, offset) in &linux.time_offsets {
            let path = format!("linux.timeOffsets.{clock}");
            if *self.spec.namespaces.get(Kind::Time) != Namespace::New {
                return Err(Error::new(path, "needs a new time namespace"));
            }
            let value = Some((offset.secs, offset.nanosecs));
            if offset.nanosecs > 999_999_999 {
                let message = format!("{} are more than a second", offset.nanosecs);
                return Err(Error::new(format!("{path}.nanosecs"), message));
            }
            match clock.as_str() {
                "monotonic" => self.spec.time_offsets.monotonic = value,
                "boottime" => self.spec.time_offsets.boottime = value,
                _ => return Err(Error::new(path, "there is no such clock")),
            }
        }
        Ok(())
    }

    fn interfaces(&mut self, linux: &Linux) -> Result<(), Error> {
        for (outside, device) in &linux.net_devices {
            let path = format!("linux.netDevices.{outside}");
            if *self.spec.namespaces.get(Kind::Net) == Namespace::Inherit {
                return Err(Error::new(path, "needs a network namespace"));
            }
            let inside = match device.name.as_str() {
                "" => outside,
                name => name,
            };
            for name in [outside, inside] {
                if !is_interface(name) {
                    let message = format!("no interface can be called {name:?}");
                    return Err(Error::new(path, message));
                }
            }
            let is_there = |one: &Interface| one.inside == *inside;
            if self.spec.interfaces.iter().any(is_there) {
                let message = format!("two interfaces would be called {inside:?}");
                return Err(Error::new(path, message));
            }
            self.spec.interfaces.push(Interface {
                outside: outside.clone(),
                inside: inside.to_owned(),
            });
        }
        Ok(())
    }
}

/// As the kernel checks a name.
fn is_interface(name: &str) -> bool {
    const LONGEST: usize = 15;
    let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    !matches!(name, "" | "." | "..") && name.len() <= LONGEST && name.bytes().all(is_good)
}

fn personality(personality: &config::Personality) -> Result<u32, Error> {
    const PER_LINUX32: u32 = 8;
    if let Some(flag) = personality.flags.first() {
        let message = format!("unknown flag {flag:?}: none is defined");
        return Err(Error::new("linux.personality.flags[0]", message));
    }
    match personality.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(PER_LINUX32),
        other => Err(Error::new(
            "linux.personality.domain",
            format!("unknown domain {other:?}"),
        )),
    }
}

fn cache_class(rdt: &config::IntelRdt) -> Result<CacheClass, Error> {
    let name = &rdt.clos_id;
    if matches!(name.as_str(), "." | "..") || name.contains(['/', '\n', '\0']) {
        let message = format!("expected the name of a class, found {name:?}");
        return Err(Error::new("linux.intelRdt.closID", message));
    }
    let mut schemata = Vec::new();
    schemata.extend(rdt.schemata.iter().cloned());
    for (key, prefix, line) in [
        ("l3CacheSchema", "L3", &rdt.l3_cache_schema),
        ("memBwSchema", "MB:", &rdt.mem_bw_schema),
    ] {
        if !line.is_empty() && !line.starts_with(prefix) {
            let message = format!("expected a line that begins with {prefix}");
            return Err(Error::new(format!("linux.intelRdt.{key}"), message));
        }
        schemata.extend((!line.is_empty()).then(|| line.clone()));
    }
    if let Some(index) = schemata.iter().position(|line| line.contains('\0')) {
        let path = format!("linux.intelRdt.schemata[{index}]");
        return Err(Error::new(path, "a line has no NUL byte"));
    }
    Ok(CacheClass {
        name: name.clone(),
        schemata,
        monitor: rdt.enable_monitoring.then(String::new),
    })
}

/// What is sent to who answers system calls: a containerProcessState of the
/// specification, cut where the number of the process goes. `state` is that of the
/// container, with its own cut.
#[must_use]
pub fn listener_message(metadata: &str, state: Option<[String; 2]>) -> Vec<String> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let version = text(config::VERSION);
    let metadata = match metadata {
        "" => String::new(),
        metadata => format!(",\"metadata\":{}", text(metadata)),
    };
    let before = format!("{{\"ociVersion\":{version},\"fds\":[\"seccompFd\"],\"pid\":");
    let [head, tail] = state.unwrap_or_else(|| {
        let head = format!(
            "{{\"ociVersion\":{version},\"id\":\"\",\"status\":\"creating\",\"pid\":"
        );
        [head, ",\"bundle\":\"\"}".to_owned()]
    });
    vec![
        before,
        format!("{metadata},\"state\":{head}"),
        format!("{tail}}}"),
    ]
}

pub(super) fn id_maps(
    mappings: &[config::IdMapping],
    path: &str,
) -> Result<Vec<IdMap>, Error> {
    let one = |(index, mapping): (usize, &config::IdMapping)| {
        IdMap::new(mapping.container_id, mapping.host_id, mapping.size)
            .map_err(|error| Error::new(format!("{path}[{index}]"), error))
    };
    mappings.iter().enumerate().map(one).collect()
}
