//! `process`, `hostname` and `domainname`.

use std::ffi::OsString;

use warren_confine::{CapabilitySet, Rlimit};
use warren_namespaces::IdMap;
use warren_spawn::{CapabilitySets, IdMapping, Role, Seccomp, Spec, Terminal};

use super::Writer;
use crate::config::{self, Capabilities, ConsoleSize, Process, User};

impl Writer<'_> {
    pub(super) fn process(&mut self) {
        let spec = self.spec;
        let args = spec.argv.iter();
        let args = args.map(|word| self.text("process.args", word)).collect();
        let mut process = Process {
            args,
            cwd: "/".to_owned(),
            no_new_privileges: spec.no_new_privs,
            oom_score_adj: spec.oom_score_adj,
            rlimits: spec.rlimits.iter().map(rlimit).collect(),
            capabilities: Some(capabilities(spec)),
            ..Process::default()
        };
        if let Some(cwd) = &spec.cwd {
            process.cwd = self.path("process.cwd", cwd);
        }
        for (key, value) in &spec.env {
            let mut word = OsString::from(key);
            word.push("=");
            word.push(value);
            process.env.push(self.text("process.env", &word));
        }
        if let Some(user) = &spec.user {
            process.user = User {
                uid: user.uid,
                gid: user.gid,
                additional_gids: user.groups.clone().unwrap_or_default(),
                ..User::default()
            };
        }
        if let (None, IdMapping::Explicit { uids, gids }) = (&spec.user, &spec.id_map) {
            let first = |map: &[IdMap]| map.first().map_or(0, |line| line.inside);
            (process.user.uid, process.user.gid) = (first(uids), first(gids));
        }
        process.user.umask = spec.umask;
        if let Terminal::New { rows, columns } = spec.terminal {
            process.terminal = true;
            process.console_size = Some(ConsoleSize {
                height: rows,
                width: columns,
            });
        }
        self.config.process = Some(process);
    }

    pub(super) fn names(&mut self) {
        if let Some(name) = &self.spec.hostname {
            self.config.hostname = self.text("hostname", name);
        }
        if let Some(name) = &self.spec.domainname {
            self.config.domainname = self.text("domainname", name);
        }
    }

    /// What of a Spec has no place in a config.json.
    pub(super) fn rest(&mut self) {
        let spec = self.spec;
        let notes = [
            (
                spec.capabilities.is_none() && spec.capability_sets.is_none(),
                "process.capabilities",
                "the caller's cannot be kept; there are none",
            ),
            (
                spec.has_init(),
                "process",
                "the program is pid 1 itself, without an init that reaps",
            ),
            (
                spec.parent_death_signal.is_some(),
                "process",
                "the container does not end with who started it",
            ),
            (
                spec.program.is_some(),
                "process.args",
                "the program's file is looked for by its name",
            ),
            (
                spec.cwd_open.is_some() || !spec.cwd_else.is_empty(),
                "process.cwd",
                "there is one, and it is a path",
            ),
            (spec.tell_cwd, "process.env", "PWD is not set"),
            (
                spec.arg0.is_some(),
                "process.args",
                "the program is told its own name",
            ),
            (
                !spec.keep_fds.is_empty(),
                "process",
                "descriptors are passed by the runtime's --preserve-fds",
            ),
            (
                !spec.cgroups.is_empty(),
                "linux.cgroupsPath",
                "the control group is the runtime's choice",
            ),
            (
                spec.await_before_exec.is_some() || spec.await_maps.is_some(),
                "process",
                "nothing is waited for; a runtime has create and start",
            ),
            (
                !spec.init_keeps.is_empty() || !spec.lock_files.is_empty(),
                "process",
                "there is no init that would hold descriptors and locks",
            ),
            (
                !spec.chroot.is_empty(),
                "root",
                "no folder of it is entered by chroot",
            ),
            (spec.role != Role::Program, "process", "it has no program"),
            (
                spec.landlock.is_some(),
                "linux",
                "no Landlock is behind the mounts",
            ),
        ];
        for (_, path, what) in notes.into_iter().filter(|(lost, _, _)| *lost) {
            self.losses.note(path, what);
        }
        let weaker = [
            (
                // The sandbox's filter refuses them too.
                spec.no_nested_user_namespaces
                    && (spec.seccomp != Seccomp::Sandbox || spec.syscalls.is_some()),
                "linux.sysctl",
                "user namespaces below the container's are not forbidden by a limit",
            ),
            (
                !spec.hide.is_empty(),
                "linux.maskedPaths",
                "patterns of what is hidden are not known there",
            ),
            (
                spec.landlock
                    .as_ref()
                    .is_some_and(|one| one.ports.is_some()),
                "linux",
                "all TCP ports can be used: no Landlock is known there",
            ),
            (
                spec.without_user_namespaces,
                "linux.namespaces",
                "that no user namespace can be made is not checked",
            ),
            (
                spec.last_user_namespace.is_some() || spec.inner_user_namespace.is_some(),
                "linux.namespaces",
                "no second user namespace is entered",
            ),
            (
                spec.exact_targets,
                "mounts",
                "a symlink as the destination is followed",
            ),
        ];
        for (_, path, what) in weaker.into_iter().filter(|(lost, _, _)| *lost) {
            self.losses.weaker(path, what);
        }
    }
}

fn capabilities(spec: &Spec) -> Capabilities {
    let sets = spec.all_capabilities();
    let CapabilitySets {
        bounding,
        effective,
        permitted,
        inheritable,
        ambient,
    } = sets.unwrap_or_default();
    Capabilities {
        bounding: names(bounding),
        effective: names(effective),
        permitted: names(permitted),
        inheritable: names(inheritable),
        ambient: names(ambient),
    }
}

fn names(set: CapabilitySet) -> Vec<String> {
    let name = |capability: warren_confine::Capability| capability.to_string();
    set.iter()
        .map(name)
        .map(|name| name.to_ascii_uppercase())
        .collect()
}

fn rlimit(limit: &Rlimit) -> config::Rlimit {
    let name = limit.resource.name().to_ascii_uppercase();
    config::Rlimit {
        r#type: format!("RLIMIT_{name}"),
        soft: limit.soft.unwrap_or(u64::MAX),
        hard: limit.hard.unwrap_or(u64::MAX),
    }
}
