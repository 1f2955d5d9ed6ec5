//! A unit of systemd's system manager.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use warren_confine::seccomp::oci;
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::Kind;
use warren_spawn::{
    Access, DetailedMount, IdMapping, Mount, Namespace, ProcMasks, Root, Seccomp, Spec,
    Terminal, Tree, Upper,
};

use super::{Printed, limits, names_ports};

/// The unit for `spec`.
pub fn render(spec: &Spec) -> Printed {
    let mut unit = Unit {
        spec,
        lines: Vec::new(),
        notes: Vec::new(),
    };
    unit.program();
    unit.namespaces();
    unit.root();
    for mount in &spec.mounts {
        unit.mount(mount);
    }
    unit.capabilities();
    unit.system_calls();
    unit.rest();
    unit.printed()
}

struct Unit<'a> {
    spec: &'a Spec,
    lines: Vec<String>,
    notes: Vec<String>,
}

impl Unit<'_> {
    fn set(&mut self, key: &str, value: impl AsRef<str>) {
        self.lines.push(format!("{key}={}", value.as_ref()));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn weaker(&mut self, note: &str) {
        self.note(format!("less isolated: {note}"));
    }

    fn is_new(&self, kind: Kind) -> bool {
        *self.spec.namespaces.get(kind) == Namespace::New
    }

    fn program(&mut self) {
        let spec = self.spec;
        self.set("Type", "exec");
        // $ is a variable's in a command line alone.
        let words = spec
            .argv
            .iter()
            .map(|word| escaped(word).replace('$', "$$"));
        let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
        self.set("ExecStart", words.join(" "));
        for (key, value) in &spec.env {
            let (key, value) = (escaped(key), escaped(value));
            self.set("Environment", format!("\"{key}={value}\""));
        }
        if let Some(cwd) = &spec.cwd {
            self.set("WorkingDirectory", escaped(cwd.as_os_str()));
        }
        if let Some(user) = spec.user.as_ref().filter(|_| !self.is_new(Kind::User)) {
            self.set("User", user.uid.to_string());
            self.set("Group", user.gid.to_string());
            let groups = user.groups.iter().flatten().map(u32::to_string);
            let groups: Vec<_> = groups.collect();
            if !groups.is_empty() {
                self.set("SupplementaryGroups", groups.join(" "));
            }
        }
        if let Some(mask) = spec.umask {
            self.set("UMask", format!("{mask:04o}"));
        }
        if let Some(score) = spec.oom_score_adj {
            self.set("OOMScoreAdjust", score.to_string());
        }
        for limit in &spec.rlimits {
            let value = |value: Option<u64>| match value {
                Some(value) => value.to_string(),
                None => "infinity".to_owned(),
            };
            let name = limit.resource.name().to_ascii_uppercase();
            let (soft, hard) = (value(limit.soft), value(limit.hard));
            self.set(&format!("Limit{name}"), format!("{soft}:{hard}"));
        }
        self.limits();
        if spec.terminal != Terminal::Inherit {
            self.note("no terminal of its own: `systemd-run --pty` makes one");
        }
    }

    fn limits(&mut self) {
        let (lines, missing) = limits::of_systemd(&self.spec.limits);
        for (key, value) in lines {
            self.set(key, value);
        }
        for name in missing {
            self.weaker(&format!("no limit {name}"));
        }
    }

    fn namespaces(&mut self) {
        self.set("PrivateMounts", "yes");
        for (kind, key) in [
            (Kind::Net, "PrivateNetwork"),
            (Kind::Ipc, "PrivateIPC"),
            (Kind::User, "PrivateUsers"),
            (Kind::Uts, "ProtectHostname"),
            (Kind::Cgroup, "ProtectControlGroups"),
        ] {
            match self.spec.namespaces.get(kind) {
                Namespace::New => self.set(key, "yes"),
                Namespace::Inherit => {}
                Namespace::Join(join) => self.join(kind, &join.to_string()),
            }
        }
        if self.is_new(Kind::Pid) {
            self.weaker("all processes are seen (PrivatePIDs= comes with systemd 257)");
            self.set("ProtectProc", "invisible");
        }
        if *self.spec.namespaces.get(Kind::Time) != Namespace::Inherit {
            self.note("no time namespace");
        }
        if self.is_new(Kind::User) && self.spec.id_map != IdMapping::Single {
            self.note("PrivateUsers= maps root and the unit's user, each to itself");
        }
        if self.spec.hostname.is_some() {
            self.note("the host name is the host's, and cannot be changed");
        }
        if self.spec.domainname.is_some() {
            self.note("the domain name is the host's");
        }
    }

    fn join(&mut self, kind: Kind, path: &str) {
        match kind {
            Kind::Net => self.set("NetworkNamespacePath", path),
            Kind::Ipc => self.set("IPCNamespacePath", path),
            _ => self.weaker(&format!("the {kind} namespace {path} is not entered")),
        }
    }

    fn root(&mut self) {
        match &self.spec.root {
            Root::Empty => self.set("TemporaryFileSystem", "/:ro"),
            Root::Scratch => self.set("TemporaryFileSystem", "/"),
            Root::Tree { path, access } => {
                if path != Path::new("/") {
                    self.set("RootDirectory", escaped(path.as_os_str()));
                }
                if *access == Access::ReadOnly {
                    self.set("ReadOnlyPaths", "/");
                }
            }
            Root::Overlay { path } => {
                self.set("RootDirectory", escaped(path.as_os_str()));
                self.set("ReadOnlyPaths", "/");
                self.note("changes are refused: none are kept in memory");
            }
            Root::Inherit | Root::Visit => {}
        }
    }

    fn mount(&mut self, mount: &Mount) {
        let target = escaped(mount.target().as_os_str());
        match mount {
            Mount::Bind {
                source: Tree::Path(source),
                access,
                ..
            } => {
                let key = match access {
                    Access::ReadOnly => "BindReadOnlyPaths",
                    Access::ReadWrite => "BindPaths",
                };
                let source = colons(&escaped(source.as_os_str()));
                self.set(key, format!("{source}:{}:rbind", colons(&target)));
            }
            Mount::Bind { .. } => self.lost(&target, "is a descriptor, and left out"),
            Mount::Tmpfs { mode, size, .. } => {
                let size = size
                    .map(|bytes| format!(",size={bytes}"))
                    .unwrap_or_default();
                let target = colons(&target);
                self.set(
                    "TemporaryFileSystem",
                    format!("{target}:mode={mode:04o}{size}"),
                );
            }
            Mount::Folder { mode, .. } => {
                let target = colons(&target);
                self.set("TemporaryFileSystem", format!("{target}:mode={mode:04o}"));
            }
            // The service manager mounts both where the root is another.
            Mount::Proc { masks, .. } => {
                if *masks != ProcMasks::None {
                    self.set("ProtectKernelTunables", "yes");
                }
                if *masks == ProcMasks::All {
                    self.set("ProtectKernelLogs", "yes");
                }
            }
            Mount::Dev { .. } => self.set("PrivateDevices", "yes"),
            Mount::Mask { .. } => self.set("InaccessiblePaths", format!("-{target}")),
            Mount::ReadOnly { .. } => self.set("ReadOnlyPaths", format!("-{target}")),
            Mount::Forbid { what, .. } => {
                if what.write {
                    self.set("ReadOnlyPaths", &target);
                }
                if what.execute {
                    self.set("NoExecPaths", &target);
                }
            }
            // What leads to a folder that is shown is shown as that.
            Mount::Symlink { .. } => match super::on_host(self.spec, &leads_to(mount)) {
                Some(source) if source.exists() => {
                    let source = colons(&escaped(source.as_os_str()));
                    let target = colons(&target);
                    self.set("BindReadOnlyPaths", format!("{source}:{target}:rbind"));
                }
                _ => self.lost(&target, "is a symlink, and left out"),
            },
            Mount::Overlay {
                lower,
                upper: Upper::None,
                ..
            } if lower.len() == 1 => {
                let source = colons(&escaped(lower[0].as_os_str()));
                let target = colons(&target);
                self.set("BindReadOnlyPaths", format!("{source}:{target}:rbind"));
            }
            Mount::Overlay { .. } => self.lost(&target, "is an overlay, and left out"),
            Mount::Sys { .. } | Mount::Mqueue { .. } => {
                self.lost(&target, "is what the service manager mounts there");
            }
            Mount::File { .. } | Mount::Programs { .. } => {
                self.lost(&target, "is left out");
            }
            Mount::Mode { .. } => self.lost(&target, "keeps its mode"),
            Mount::Detailed(mount) => self.detailed(mount, &target),
            Mount::DeviceFiles { .. } => self.set("PrivateDevices", "yes"),
            Mount::Device(_) => self.lost(&target, "is a device, and left out"),
        }
    }

    fn detailed(&mut self, mount: &DetailedMount, target: &str) {
        match super::simpler(mount) {
            Some(mount) => self.mount(&mount),
            None => self.lost(target, "is a filesystem, and left out"),
        }
    }

    fn lost(&mut self, target: &str, what: &str) {
        self.note(format!("{target} {what}"));
    }

    fn capabilities(&mut self) {
        let Some(sets) = self.spec.all_capabilities() else {
            return;
        };
        let names = |set: CapabilitySet| {
            let name = |one: Capability| one.to_string().to_ascii_uppercase();
            set.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        self.set("CapabilityBoundingSet", names(sets.bounding));
        self.set("AmbientCapabilities", names(sets.ambient));
    }

    fn system_calls(&mut self) {
        let spec = self.spec;
        if spec.no_new_privs {
            self.set("NoNewPrivileges", "yes");
        }
        if spec.syscalls.is_some() || !spec.filters.is_empty() {
            self.weaker("the profile of system calls is left out");
        }
        if spec.seccomp != Seccomp::Sandbox {
            return;
        }
        self.set("SystemCallArchitectures", "native");
        let sets = spec.all_capabilities();
        let allowed = sets.map_or(CapabilitySet::ALL, |sets| sets.bounding);
        let mut refused: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for rule in oci::Seccomp::sandbox(allowed).syscalls {
            if let (Some(errno), true) = (rule.errno_ret, rule.args.is_empty()) {
                refused.entry(errno).or_default().extend(rule.names);
            }
        }
        refused
            .entry(ENOSYS)
            .or_default()
            .extend(ABSENT.map(str::to_owned));
        for (errno, mut names) in refused {
            names.retain(|name| !NEWER.contains(&name.as_str()));
            let errno = if errno == ENOSYS { "ENOSYS" } else { "EPERM" };
            let names = names.iter().map(|name| format!("{name}:{errno}"));
            let names: Vec<_> = names.collect();
            self.set("SystemCallFilter", format!("~{}", names.join(" ")));
        }
        // The rules on arguments.
        let may_make_others = allowed.contains(Capability::SYS_ADMIN);
        self.set(
            "RestrictNamespaces",
            if may_make_others { "~user" } else { "yes" },
        );
        self.set("RestrictAddressFamilies", "~AF_VSOCK AF_ALG");
        self.set("LockPersonality", "yes");
        self.weaker("system calls that are newer than systemd's list pass");
    }

    fn rest(&mut self) {
        let spec = self.spec;
        let has_ports = names_ports(spec);
        let notes = [
            (
                has_ports,
                "less isolated: all TCP ports can be used: no Landlock",
            ),
            (
                spec.landlock.is_some() && !has_ports,
                "no Landlock behind the mounts",
            ),
            (
                !spec.sysctl.is_empty(),
                "settings of namespaces are not changed",
            ),
            (spec.loopback, "PrivateNetwork= brings lo up"),
            (
                spec.has_init(),
                "the service manager reaps; there is no init of its own",
            ),
            (
                spec.parent_death_signal.is_some(),
                "the unit does not end with who started it",
            ),
            (
                !spec.keep_fds.is_empty(),
                "descriptors are passed by sockets units",
            ),
        ];
        let notes = notes.into_iter().filter(|(lost, _)| *lost);
        self.notes.extend(notes.map(|(_, note)| note.to_owned()));
    }

    fn printed(self) -> Printed {
        let name = self.spec.argv.first().map(|word| escaped(word));
        let name = name.unwrap_or_default();
        let mut text = String::new();
        for note in &self.notes {
            text.push_str(&format!("# {}\n", note.replace('\n', " ")));
        }
        text.push_str(&format!(
            "[Unit]\nDescription={name}, contained\n\n[Service]\n"
        ));
        for line in &self.lines {
            text.push_str(&format!("{line}\n"));
        }
        Printed {
            text,
            notes: Vec::new(),
        }
    }
}

const ENOSYS: u32 = 38;

/// Calls that the sandbox answers as an older kernel would, by the names that systemd
/// knows.
const ABSENT: [&str; 4] = [
    "clone3",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
];

/// Refused calls that systemd 252 does not know; it ignores them with a warning.
const NEWER: [&str; 1] = ["open_tree_attr"];

fn leads_to(link: &Mount) -> std::path::PathBuf {
    match link {
        Mount::Symlink { content, target } => {
            let folder = target.parent().unwrap_or(Path::new("/"));
            folder.join(content)
        }
        other => other.target().clone(),
    }
}

/// A word for the value of a setting: % is a specifier's.
fn escaped(word: &OsStr) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for chunk in word.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '%' => text.push_str("%%"),
                '"' | '\\' => text.extend(['\\', character]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                control if control.is_control() && control.is_ascii() => {
                    text.push_str(&format!("\\x{:02x}", u32::from(control)));
                }
                plain => text.push(plain),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A path in a pair that a colon divides. One with a space is a word only if quoted.
fn colons(path: &str) -> String {
    path.replace(':', "\\:").replace(' ', "\\x20")
}
