//! `linux`: namespaces, ids, system calls, and what is left over.

use warren_confine::CapabilitySet;
use warren_confine::seccomp::Newer;
use warren_confine::seccomp::oci;
use warren_namespaces::{IdMap, Kind};
use warren_spawn::{IdMapping, Join, Namespace, Seccomp};

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
        let settings = linux.sysctl.iter();
        let settings = settings.map(|(name, value)| (name.clone(), value.clone()));
        self.spec.sysctl = settings.collect();
        self.resources(linux);
        self.rest_of_linux(linux)
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
        if !seccomp.flags.is_empty() {
            seccomp
                .load_flags()
                .map_err(|error| Error::new("linux.seccomp.flags", error))?;
            self.losses
                .note("linux.seccomp.flags", "the filter is loaded without");
        }
        if !seccomp.listener_path.is_empty() {
            self.losses.weaker(
                "linux.seccomp.listenerPath",
                "nobody answers for system calls",
            );
        }
        if !self.spec.no_new_privs {
            self.spec.no_new_privs = true;
            self.losses.note(
                "process.noNewPrivileges",
                "it is set all the same, since the filter needs it",
            );
        }
        Ok(())
    }

    fn rest_of_linux(&mut self, linux: &Linux) -> Result<(), Error> {
        let losses = &mut self.losses;
        if !linux.mount_label.is_empty() {
            losses.weaker("linux.mountLabel", "no label of SELinux is set");
        }
        if linux.personality.is_some() {
            losses.note("linux.personality", "the caller's is kept");
        }
        for clock in linux.time_offsets.keys() {
            let path = format!("linux.timeOffsets.{clock}");
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                return Err(Error::new(path, "there is no such clock"));
            }
            losses.note(path, "the clock is the host's");
        }
        if linux.memory_policy.is_some() {
            losses.note("linux.memoryPolicy", "the caller's is kept");
        }
        if linux.intel_rdt.is_some() {
            losses.note("linux.intelRdt", "the caller's class is kept");
        }
        for name in linux.net_devices.keys() {
            let path = format!("linux.netDevices.{name}");
            losses.note(path, "the interface is not moved");
        }
        match linux.rootfs_propagation.as_str() {
            // Private is what every root is here: cut off in both directions.
            "" | "private" | "rprivate" | "unbindable" | "runbindable" => {}
            "slave" | "rslave" | "shared" | "rshared" => losses.note(
                "linux.rootfsPropagation",
                "the mounts are private: none reaches or leaves the container",
            ),
            word => {
                let message = format!("unknown propagation {word:?}");
                return Err(Error::new("linux.rootfsPropagation", message));
            }
        }
        Ok(())
    }
}

fn id_maps(mappings: &[config::IdMapping], path: &str) -> Result<Vec<IdMap>, Error> {
    let one = |(index, mapping): (usize, &config::IdMapping)| {
        IdMap::new(mapping.container_id, mapping.host_id, mapping.size)
            .map_err(|error| Error::new(format!("{path}[{index}]"), error))
    };
    mappings.iter().enumerate().map(one).collect()
}
