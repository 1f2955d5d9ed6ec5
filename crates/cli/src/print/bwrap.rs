//! A command line of bubblewrap 0.8, with options of newer ones where nothing else says it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use warren_namespaces::Kind;
use warren_spawn::{
    Access, Content, DetailedMount, Forbidden, Host, IdMapping, Join, Mount, Mounted,
    Namespace, ProcMasks, Root, Spec, Terminal, Tree, Upper, system,
};

use super::script::{Script, base64, filters, prlimit, quoted};
use super::{Printed, ids_inside, names_ports, on_host, simpler};

/// The line for `spec`, as `host` would run it.
pub fn render(spec: &Spec, host: &Host) -> Printed {
    let mut line = Line {
        spec,
        host,
        script: Script::default(),
        fd: HIGHEST_FD,
    };
    line.program();
    line.namespaces();
    line.ids();
    line.process();
    line.root();
    for mount in &spec.mounts {
        line.mount(mount);
    }
    line.seal();
    line.capabilities();
    line.filters();
    line.rest();
    line.script.word(
        std::iter::once("--")
            .map(OsString::from)
            .chain(spec.argv.iter().cloned()),
    );
    line.script.printed()
}

/// A shell of POSIX knows descriptors of one digit; the filters take those from here down.
const HIGHEST_FD: u8 = 9;

struct Line<'a> {
    spec: &'a Spec,
    host: &'a Host,
    script: Script,
    /// The next descriptor that is opened.
    fd: u8,
}

impl Line<'_> {
    fn option(&mut self, words: impl IntoIterator<Item: Into<OsString>>) {
        self.script.word(words);
    }

    fn is_new(&self, kind: Kind) -> bool {
        *self.spec.namespaces.get(kind) == Namespace::New
    }

    fn program(&mut self) {
        if let Some(mask) = self.spec.umask {
            self.script.before(format!("umask {mask:04o}"));
        }
        let mut words = match self.spec.rlimits.as_slice() {
            [] => Vec::new(),
            limits => prlimit(limits),
        };
        words.push("bwrap".into());
        self.option(words);
    }

    fn namespaces(&mut self) {
        for (kind, option) in [
            (Kind::User, "--unshare-user"),
            (Kind::Ipc, "--unshare-ipc"),
            (Kind::Pid, "--unshare-pid"),
            (Kind::Net, "--unshare-net"),
            (Kind::Uts, "--unshare-uts"),
            (Kind::Cgroup, "--unshare-cgroup"),
        ] {
            match self.spec.namespaces.get(kind) {
                Namespace::Inherit => {}
                Namespace::New => self.option([option]),
                Namespace::Join(join) => self.join(kind, join),
            }
        }
        if *self.spec.namespaces.get(Kind::Time) != Namespace::Inherit {
            self.script
                .note("no time namespace: bwrap has no option for it");
        }
        if !self.is_new(Kind::User) && !self.host.is_privileged() {
            self.script
                .note("without privilege bwrap makes a user namespace all the same");
        }
        if self.is_new(Kind::Net) && !self.spec.loopback {
            self.script.note("bwrap brings lo up");
        }
        let spec = self.spec;
        let is_last = spec.inner_user_namespace.is_some_and(|inner| inner.last);
        if spec.no_nested_user_namespaces || is_last {
            self.option(["--disable-userns"]);
        } else if spec.without_user_namespaces {
            self.option(["--assert-userns-disabled"]);
        }
    }

    /// bwrap takes descriptors, which the shell opens.
    fn join(&mut self, kind: Kind, join: &Join) {
        let option = match kind {
            Kind::User => "--userns",
            Kind::Pid => "--pidns",
            _ => {
                let what = format!(
                    "the {kind} namespace is not entered, and stays the caller's"
                );
                return self.script.weaker(&what);
            }
        };
        let fd = match join {
            Join::Fd(fd) => fd.to_string(),
            Join::Open(open) => open.fd.to_string(),
            Join::Path(path) => self.opened(path),
            Join::Pidfd(process) => {
                self.opened(&PathBuf::from(format!("/proc/self/fd/{}", process.fd)))
            }
            Join::Process(pid) => {
                self.opened(&PathBuf::from(format!("/proc/{pid}/ns/{kind}")))
            }
        };
        self.option([option.to_owned(), fd]);
    }

    /// The number under which the shell opens a file.
    fn opened(&mut self, path: &Path) -> String {
        let fd = self.fd;
        self.fd = fd.saturating_sub(1);
        self.script
            .before(format!("exec {fd}<{}", quoted(path.as_os_str())));
        fd.to_string()
    }

    fn ids(&mut self) {
        let spec = self.spec;
        if !self.is_new(Kind::User) {
            if spec.user.is_some() {
                self.script
                    .note("who the program is: bwrap keeps the caller's ids");
            }
            return;
        }
        let (uid, gid) = ids_inside(spec);
        self.option(["--uid".to_owned(), uid.to_string()]);
        self.option(["--gid".to_owned(), gid.to_string()]);
        if !is_callers_id(&spec.id_map, self.host.uid) {
            let what = if self.host.uid == 0 {
                "bwrap maps one id, the caller's: who runs it as root is root outside too"
            } else {
                "bwrap maps one id, the caller's, and not the ranges of /etc/subuid"
            };
            match self.host.uid {
                0 => self.script.weaker(what),
                _ => self.script.note(what),
            }
        }
        let mut groups = spec.user.iter().filter_map(|user| user.groups.as_ref());
        if groups.any(|groups| !groups.is_empty()) {
            self.script.note("supplementary groups cannot be set");
        }
    }

    fn process(&mut self) {
        let spec = self.spec;
        if let Some(name) = &spec.hostname {
            self.option(["--hostname".into(), name.clone()]);
        }
        // Without, bwrap tries the caller's, HOME and / in turn, which is what is asked for.
        if let Some(cwd) = spec.cwd.as_ref().filter(|_| spec.cwd_else.is_empty()) {
            self.option(["--chdir".into(), OsString::from(cwd)]);
        }
        if let Some(name) = &spec.arg0 {
            self.option(["--argv0".into(), name.clone()]);
            self.newer("--argv0", "0.9");
        }
        self.option(["--clearenv"]);
        for (key, value) in &spec.env {
            self.option(["--setenv".into(), key.clone(), value.clone()]);
        }
        if spec.parent_death_signal.is_some() {
            self.option(["--die-with-parent"]);
        }
        if spec.leave_caller || spec.new_session {
            self.option(["--new-session"]);
        }
        if self.is_new(Kind::Pid) && spec.no_init {
            self.option(["--as-pid-1"]);
        }
        for fd in &spec.init_keeps {
            self.option(["--sync-fd".to_owned(), fd.to_string()]);
        }
        for path in &spec.lock_files {
            self.option(["--lock-file".into(), OsString::from(path)]);
        }
        if let Some(open) = &spec.await_before_exec {
            self.option(["--block-fd".to_owned(), open.fd.to_string()]);
        }
    }

    fn root(&mut self) {
        match &self.spec.root {
            Root::Empty | Root::Scratch => {}
            Root::Tree { path, access } => {
                self.bind(path.into(), "/".into(), *access, false);
            }
            Root::Overlay { path } => {
                self.option(["--overlay-src".into(), OsString::from(path)]);
                self.option(["--tmp-overlay", "/"]);
                self.newer("--tmp-overlay", "0.11");
            }
            Root::Inherit | Root::Visit => {
                self.option(["--dev-bind", "/", "/"]);
            }
        }
    }

    /// A root that was empty becomes read-only when all is in it.
    fn seal(&mut self) {
        if self.spec.root == Root::Empty {
            self.option(["--remount-ro", "/"]);
        }
    }

    fn newer(&mut self, option: &str, version: &str) {
        self.script
            .note(format!("{option} needs bubblewrap {version}"));
    }

    fn bind(
        &mut self,
        source: OsString,
        target: OsString,
        access: Access,
        devices: bool,
    ) {
        let option = match (devices, access) {
            (true, _) => "--dev-bind",
            (false, Access::ReadWrite) => "--bind",
            (false, Access::ReadOnly) => "--ro-bind",
        };
        self.option([option.into(), source, target.clone()]);
        if devices && access == Access::ReadOnly {
            self.option(["--remount-ro".into(), target]);
        }
    }

    fn with_mode(&mut self, option: &str, mode: u32, usual: u32, words: &[OsString]) {
        if mode != usual {
            self.option(["--perms".to_owned(), format!("{mode:04o}")]);
        }
        let words = words.iter().cloned();
        self.option(std::iter::once(OsString::from(option)).chain(words));
    }

    fn mount(&mut self, mount: &Mount) {
        let place = OsString::from(mount.target());
        match mount {
            // bwrap shows its terminal there by itself.
            Mount::Bind { target, .. } if self.is_console(target) => {}
            Mount::Bind {
                source: Tree::Path(source),
                access,
                devices,
                ..
            } => self.bind(source.into(), place, *access, *devices),
            Mount::Bind {
                source: Tree::Open(open),
                access,
                ..
            } => {
                let option = match access {
                    Access::ReadOnly => "--ro-bind-fd",
                    Access::ReadWrite => "--bind-fd",
                };
                self.option([option.into(), open.fd.to_string().into(), place]);
                self.newer(option, "0.10");
            }
            Mount::Tmpfs { mode, size, .. } => {
                if let Some(size) = size {
                    self.option(["--size".to_owned(), size.to_string()]);
                }
                self.with_mode("--tmpfs", *mode, 0o755, &[place]);
            }
            Mount::Overlay { lower, upper, .. } => self.overlay(lower, upper, place),
            Mount::Mqueue { .. } => self.option(["--mqueue".into(), place]),
            Mount::File {
                content: Content::Open(open),
                mode,
                mounted,
                ..
            } => {
                let (option, usual) = match mounted {
                    None => ("--file", 0o666),
                    Some(Access::ReadWrite) => ("--bind-data", 0o600),
                    Some(Access::ReadOnly) => ("--ro-bind-data", 0o600),
                };
                self.with_mode(
                    option,
                    *mode,
                    usual,
                    &[open.fd.to_string().into(), place],
                );
            }
            Mount::File { .. } => self.lost(mount, "the file is left out"),
            Mount::Mode { mode, .. } => {
                self.option(["--chmod".into(), format!("{mode:04o}").into(), place]);
            }
            Mount::Forbid { what, .. } => self.forbid(place, *what),
            Mount::Folder { mode, .. } => {
                let is_own = self.spec.root == Root::Empty
                    && mount.target().parent() == Some(Path::new("/"));
                let option = if is_own { "--tmpfs" } else { "--dir" };
                self.with_mode(option, *mode, 0o755, &[place]);
            }
            Mount::Symlink { content, .. } => {
                self.option(["--symlink".into(), OsString::from(content), place]);
            }
            Mount::Proc { masks, .. } => self.proc(mount.target(), *masks),
            Mount::Dev { .. } => self.option(["--dev".into(), place]),
            Mount::Mask { .. } => self.mask(mount),
            Mount::ReadOnly { .. } => match on_host(self.spec, mount.target()) {
                Some(source) if source.exists() => {
                    self.option(["--ro-bind".into(), source.into(), place]);
                }
                Some(_) => {}
                None => self.lost(mount, "it can be written"),
            },
            Mount::Sys { .. } => {
                self.option(["--ro-bind".into(), "/sys".into(), place]);
                self.script
                    .weaker("/sys is the host's: bwrap mounts no sysfs");
            }
            Mount::Programs { .. } => self.lost(mount, "the links are left out"),
            Mount::Detailed(detailed) if self.is_dev(detailed) => {
                self.option(["--dev".into(), place]);
            }
            Mount::Detailed(detailed) => match simpler(detailed) {
                // What bwrap's --dev has already.
                Some(_) | None if self.is_part_of_dev(detailed) => {}
                Some(mount) => self.mount(&mount),
                None => self.lost(mount, "the filesystem is left out"),
            },
            Mount::DeviceFiles { .. } => {}
            Mount::Device(_) => self.lost(mount, "the device is left out"),
        }
    }

    /// A tmpfs in which devices are made.
    fn is_dev(&self, mount: &DetailedMount) -> bool {
        let mut mounts = self.spec.mounts.iter();
        let has_devices = mounts.any(|other| {
            matches!(other, Mount::DeviceFiles { target } if *target == mount.target)
        });
        has_devices && matches!(mount.what, Mounted::Filesystem { .. })
    }

    fn is_part_of_dev(&self, mount: &DetailedMount) -> bool {
        let name = match &mount.what {
            Mounted::Filesystem { kind, .. } if kind == "devpts" => "pts",
            Mounted::Filesystem { kind, .. } if kind == "tmpfs" => "shm",
            _ => return false,
        };
        let mut mounts = self.spec.mounts.iter();
        mounts.any(|other| match other {
            Mount::DeviceFiles { target } => target.join(name) == mount.target,
            _ => false,
        })
    }

    fn is_console(&self, target: &Path) -> bool {
        let mut mounts = self.spec.mounts.iter();
        mounts.any(|mount| {
            matches!(mount, Mount::Dev { target: dev } if dev.join("console") == target)
        })
    }

    fn lost(&mut self, mount: &Mount, what: &str) {
        let place = mount.target().display();
        self.script.note(format!("{place}: {what}"));
    }

    fn overlay(&mut self, lower: &[PathBuf], upper: &Upper, place: OsString) {
        // Of one folder and nothing over it, there is nothing to lay.
        if let ([one], Upper::None) = (lower, upper) {
            return self.bind(one.into(), place, Access::ReadOnly, false);
        }
        for path in lower {
            self.option(["--overlay-src".into(), OsString::from(path)]);
        }
        match upper {
            Upper::Memory => self.option(["--tmp-overlay".into(), place]),
            Upper::None => self.option(["--ro-overlay".into(), place]),
            Upper::Folder { upper, work } => {
                let (upper, work) = (OsString::from(upper), OsString::from(work));
                self.option(["--overlay".into(), upper, work, place]);
            }
        }
        self.newer("--overlay-src", "0.11");
    }

    fn forbid(&mut self, place: OsString, what: Forbidden) {
        if what.write {
            self.option(["--remount-ro".into(), place.clone()]);
        }
        if what.execute {
            let place = place.display();
            self.script
                .weaker(&format!("programs at {place} can be executed"));
        }
    }

    /// bwrap makes settings read-only by itself; what tells of the host is covered here,
    /// as far as this kernel has it.
    fn proc(&mut self, target: &Path, masks: ProcMasks) {
        self.option(["--proc".into(), OsString::from(target)]);
        if masks != ProcMasks::All || !self.is_new(Kind::Pid) {
            return;
        }
        for name in system::masked(masks, self.spec.may_be_hosts_root()).covered {
            let host = Path::new("/proc").join(name);
            self.cover(&host, target.join(name));
        }
    }

    /// Hides what is at `place`, if it is there: it looks like `seen`.
    fn cover(&mut self, seen: &Path, place: PathBuf) {
        let place = OsString::from(place);
        match seen.metadata() {
            Ok(file) if file.is_dir() => {
                self.with_mode("--tmpfs", 0o000, 0o755, std::slice::from_ref(&place));
                self.option(["--remount-ro".into(), place]);
            }
            Ok(_) => self.option(["--ro-bind".into(), "/dev/null".into(), place]),
            // One that cannot be looked at may be there.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                self.option(["--ro-bind".into(), "/dev/null".into(), place]);
            }
            Err(_) => {}
        }
    }

    fn mask(&mut self, mount: &Mount) {
        match on_host(self.spec, mount.target()) {
            Some(seen) => self.cover(&seen, mount.target().clone()),
            None => self.lost(mount, "it is not masked, since it is none of the host's"),
        }
    }

    fn capabilities(&mut self) {
        let Some(sets) = self.spec.all_capabilities() else {
            return;
        };
        if sets.one().is_none() {
            self.script
                .note("one set of capabilities for all: the permitted ones");
        }
        self.option(["--cap-drop", "ALL"]);
        for capability in sets.permitted.iter() {
            let name = capability.to_string().to_ascii_uppercase();
            self.option(["--cap-add".to_owned(), name]);
        }
    }

    /// The programs are in the script, since no shell has a word for them; each is read
    /// from a file that has no name any more.
    fn filters(&mut self) {
        for filter in filters(self.spec) {
            let fd = self.fd;
            self.fd = fd.saturating_sub(1);
            let text = base64(&filter);
            self.script.before(format!(
                "filter=$(mktemp) && base64 -d >\"$filter\" <<'END'\n{text}\nEND\n\
                 exec {fd}<\"$filter\"; rm \"$filter\""
            ));
            self.option(["--add-seccomp-fd".to_owned(), fd.to_string()]);
        }
    }

    fn rest(&mut self) {
        let spec = self.spec;
        let has_ports = names_ports(spec);
        self.script.notes([
            (!spec.no_new_privs, "no_new_privs is set: bwrap always does"),
            (
                spec.terminal != Terminal::Inherit,
                "no terminal of its own: script(1) makes one",
            ),
            (
                has_ports,
                "less isolated: all TCP ports can be used: bwrap has no Landlock",
            ),
            (
                spec.landlock.is_some() && !has_ports,
                "no Landlock behind the mounts",
            ),
            (
                !spec.sysctl.is_empty(),
                "settings of namespaces (sysctl) are not changed",
            ),
            (spec.domainname.is_some(), "the domain name is the host's"),
            (
                spec.oom_score_adj.is_some(),
                "the caller's oom_score_adj is kept",
            ),
            (
                !spec.cgroups.is_empty(),
                "the caller's control group is kept",
            ),
            (
                !spec.keep_fds.is_empty(),
                "bwrap passes every open descriptor on, not those alone that were named",
            ),
        ]);
    }
}

/// Whether the map is of the caller's own id alone.
fn is_callers_id(map: &IdMapping, own: u32) -> bool {
    match map {
        IdMapping::Explicit { uids, .. } => {
            matches!(uids.as_slice(), [line] if line.count == 1 && line.outside == own)
        }
        _ => true,
    }
}
