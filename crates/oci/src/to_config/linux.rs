//! `linux`: namespaces, ids and system calls.

use warren_confine::CapabilitySet;
use warren_confine::seccomp::{Action, LoadFlags, Newer, Profile, oci};
use warren_namespaces::{IdMap, Kind};
use warren_spawn::{IdMapping, Join, Namespace, Seccomp};

use super::Writer;
use crate::config;
use crate::kinds;

impl Writer<'_> {
    pub(super) fn linux(&mut self) {
        for kind in Kind::ALL {
            self.namespace(kind);
        }
        self.id_map();
        let settings = self.spec.sysctl.iter().cloned();
        self.linux.sysctl = settings.collect();
        self.seccomp();
        if let Some(one) = self.spec.root_propagation {
            let r = if one.recursive { "r" } else { "" };
            self.linux.rootfs_propagation = format!("{r}{}", one.kind.name());
        }
        for one in &self.spec.interfaces {
            let name = match one.inside == one.outside {
                true => String::new(),
                false => one.inside.clone(),
            };
            let device = config::NetDevice { name };
            self.linux.net_devices.insert(one.outside.clone(), device);
        }
    }

    fn namespace(&mut self, kind: Kind) {
        let path = match self.spec.namespaces.get(kind) {
            Namespace::Inherit => return,
            // Of version 1.1; runtimes of before refuse it.
            Namespace::New if kind == Kind::Time && self.spec.time_offsets.is_empty() => {
                return self.losses.note(
                    "linux.namespaces",
                    "a time namespace is left out: without offsets nothing tells it from \
                     the host's, and older runtimes refuse it",
                );
            }
            Namespace::New => String::new(),
            Namespace::Join(Join::Path(path)) => self.path("linux.namespaces", path),
            Namespace::Join(Join::Process(pid)) => {
                format!("/proc/{pid}/ns/{}", kind.name())
            }
            Namespace::Join(Join::Fd(_) | Join::Open(_) | Join::Pidfd(_)) => {
                return self.losses.weaker(
                    "linux.namespaces",
                    format!("the {kind} namespace is a descriptor; it is left out"),
                );
            }
        };
        self.linux.namespaces.push(config::Namespace {
            r#type: kinds::name(kind).to_owned(),
            path,
        });
    }

    fn id_map(&mut self) {
        if *self.spec.namespaces.get(Kind::User) != Namespace::New {
            return;
        }
        match &self.spec.id_map {
            IdMapping::Explicit { uids, gids } => {
                self.linux.uid_mappings = uids.iter().map(mapping).collect();
                self.linux.gid_mappings = gids.iter().map(mapping).collect();
            }
            _ => self
                .losses
                .note("linux.uidMappings", "the ids are not known before a run"),
        }
    }

    fn seccomp(&mut self) {
        let spec = self.spec;
        if !spec.filters.is_empty() {
            self.losses.weaker(
                "linux.seccomp",
                "programs of classic BPF have no place in it",
            );
        }
        if let Some(profile) = &spec.syscalls {
            if spec.seccomp == Seccomp::Sandbox {
                self.losses.weaker(
                    "linux.seccomp",
                    "there is one filter: the profile alone, without what is refused always",
                );
            }
            return self.profile(profile);
        }
        if spec.seccomp == Seccomp::Sandbox {
            let capabilities = spec.all_capabilities();
            let allowed = capabilities.map_or(CapabilitySet::ALL, |sets| sets.bounding);
            self.linux.seccomp = Some(oci::Seccomp::sandbox(allowed));
        }
    }

    fn profile(&mut self, profile: &Profile) {
        match oci::Seccomp::from_profile(profile) {
            Ok(mut seccomp) => {
                let flags = LoadFlags::from_bits_retain(self.spec.syscalls_flags);
                let words = oci::Seccomp::flag_words(flags);
                seccomp.flags = Some(words.map(str::to_owned).collect());
                if let Some(listener) = &self.spec.listener {
                    let path = listener.socket.as_os_str();
                    seccomp.listener_path = self.text("linux.seccomp", path);
                }
                self.linux.seccomp = Some(seccomp);
            }
            Err(why) => {
                return self
                    .losses
                    .weaker("linux.seccomp", format!("no filter is set: {why}"));
            }
        }
        let lets_pass = matches!(profile.default, Action::Allow | Action::Log);
        if profile.newer == Newer::AboveKnown && lets_pass {
            self.losses.weaker(
                "linux.seccomp",
                "system calls that are newer than the profile pass",
            );
        }
    }
}

pub(super) fn mapping(line: &IdMap) -> config::IdMapping {
    config::IdMapping {
        container_id: line.inside,
        host_id: line.outside,
        size: line.count,
    }
}
