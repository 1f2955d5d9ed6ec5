//! The nearest command line of util-linux: unshare(1), with setpriv(1), prlimit(1) and
//! env(1) where they help.

use std::ffi::OsString;
use std::path::Path;

use warren_confine::CapabilitySet;
use warren_namespaces::Kind;
use warren_spawn::{
    Access, Host, IdMapping, Mount, Namespace, Root, Seccomp, Spec, Terminal,
};

use super::script::{Script, prlimit};
use super::{Printed, ids_inside, names_ports};

/// The line for `spec`, as `host` would run it.
pub fn render(spec: &Spec, host: &Host) -> Printed {
    let mut script = Script::default();
    if let Some(mask) = spec.umask {
        script.before(format!("umask {mask:04o}"));
    }
    script.word(["unshare"]);
    namespaces(spec, &mut script);
    ids(spec, host, &mut script);
    root(spec, &mut script);
    let words: Vec<OsString> = vec!["--".into()];
    script.word(words);
    inside(spec, &mut script);
    lost(spec, &mut script);
    script.word(spec.argv.iter().cloned());
    script.printed()
}

fn is_new(spec: &Spec, kind: Kind) -> bool {
    *spec.namespaces.get(kind) == Namespace::New
}

fn namespaces(spec: &Spec, script: &mut Script) {
    for (kind, option) in [
        (Kind::User, "--user"),
        (Kind::Mnt, "--mount"),
        (Kind::Net, "--net"),
        (Kind::Ipc, "--ipc"),
        (Kind::Uts, "--uts"),
        (Kind::Cgroup, "--cgroup"),
        (Kind::Time, "--time"),
    ] {
        if is_new(spec, kind) {
            script.word([option]);
        }
    }
    if is_new(spec, Kind::Pid) {
        script.word(["--pid", "--fork"]);
        if spec.parent_death_signal.is_some() {
            script.word(["--kill-child"]);
        }
    }
    for kind in spec.namespaces.joined().iter() {
        script.weaker(&format!(
            "the {kind} namespace is not entered: nsenter(1) does that, before"
        ));
    }
}

fn ids(spec: &Spec, host: &Host, script: &mut Script) {
    if !is_new(spec, Kind::User) {
        return;
    }
    let (uid, gid) = ids_inside(spec);
    script.word(["--map-user".to_owned(), uid.to_string()]);
    script.word(["--map-group".to_owned(), gid.to_string()]);
    match &spec.id_map {
        IdMapping::Explicit { uids, .. } if uids.iter().any(|line| line.count > 1) => {
            let begins_with_own =
                uids.first().is_some_and(|line| line.outside == host.uid);
            if begins_with_own {
                script.word(["--map-auto"]);
            } else if host.uid == 0 {
                script.weaker(
                    "who runs it as root is root outside too: newuidmap(1), which \
                    unshare calls for a range, gives out those of /etc/subuid alone",
                );
            } else {
                script.note("one id alone is mapped, the caller's");
            }
        }
        _ => {}
    }
}

fn root(spec: &Spec, script: &mut Script) {
    match &spec.root {
        Root::Tree { path, access } if path != Path::new("/") => {
            script.word(["--root".into(), OsString::from(path)]);
            if *access == Access::ReadOnly {
                script.weaker("the root can be written");
            }
            script.note(
                "the root is changed by chroot(2): the host's mounts stay below it",
            );
        }
        Root::Inherit => {}
        Root::Tree { .. } => script.weaker("the host's files can be written"),
        _ => script.weaker("the host's whole tree is the root, and can be written"),
    }
    let mounts_proc = |mount: &Mount| matches!(mount, Mount::Proc { .. });
    if is_new(spec, Kind::Pid) && spec.mounts.iter().any(mounts_proc) {
        script.word(["--mount-proc"]);
    }
    if let Some(cwd) = spec.cwd.as_ref().filter(|_| shows_other_root(spec)) {
        script.word(["--wd".into(), OsString::from(cwd)]);
    } else if let Some(cwd) = &spec.cwd {
        script.note(format!("the working folder would be {}", cwd.display()));
    }
    for mount in &spec.mounts {
        if !mounts_proc(mount) {
            script.note(format!("left out: {}", words(mount)));
        }
    }
}

/// Whether what the Spec calls by a path can be there.
fn shows_other_root(spec: &Spec) -> bool {
    matches!(spec.root, Root::Tree { .. } | Root::Inherit)
}

fn words(mount: &Mount) -> String {
    let target = mount.target().display();
    match mount {
        Mount::Bind { source, access, .. } => {
            let access = match access {
                Access::ReadOnly => ", read-only",
                Access::ReadWrite => "",
            };
            format!("{source} at {target}{access}")
        }
        Mount::Mask { .. } => format!("{target} masked"),
        Mount::ReadOnly { .. } => format!("{target} read-only"),
        Mount::Symlink { content, .. } => {
            format!("a symlink {target} to {}", content.display())
        }
        Mount::Tmpfs { .. } => format!("a tmpfs at {target}"),
        Mount::Folder { .. } => format!("a folder {target}"),
        Mount::Overlay { .. } => format!("an overlay at {target}"),
        Mount::Dev { .. } => format!("a small {target}"),
        Mount::Forbid { .. } => format!("what {target} forbids"),
        Mount::Detailed(mount) => match super::simpler(mount) {
            Some(mount) => words(&mount),
            None => format!("what is mounted at {target}"),
        },
        _ => format!("{target}"),
    }
}

/// What is done by programs of the new root, which must be there.
fn inside(spec: &Spec, script: &mut Script) {
    if !spec.rlimits.is_empty() {
        script.word(prlimit(&spec.rlimits));
    }
    let mut setpriv: Vec<OsString> = vec!["setpriv".into()];
    if spec.no_new_privs {
        setpriv.push("--no-new-privs".into());
    }
    if let Some(sets) = spec.all_capabilities() {
        let list = |set: CapabilitySet| -> OsString {
            let names = set.iter().map(|one| one.to_string());
            let names = names.map(|name| name.trim_start_matches("cap_").to_owned());
            let all = std::iter::once("-all".to_owned());
            let list: Vec<_> = all.chain(names.map(|name| format!("+{name}"))).collect();
            list.join(",").into()
        };
        setpriv.extend(["--bounding-set".into(), list(sets.bounding)]);
        setpriv.extend(["--inh-caps".into(), list(sets.inheritable)]);
    }
    if setpriv.len() > 1 {
        script.word(setpriv);
    }
    let mut env: Vec<OsString> = vec!["env".into(), "-i".into()];
    for (key, value) in &spec.env {
        let mut word = key.clone();
        word.push("=");
        word.push(value);
        env.push(word);
    }
    script.word(env);
}

fn lost(spec: &Spec, script: &mut Script) {
    let has_filter = spec.seccomp != Seccomp::Off
        || spec.syscalls.is_some()
        || !spec.filters.is_empty();
    let has_ports = names_ports(spec);
    script.notes([
        (has_filter, "less isolated: no system call is refused"),
        (has_ports, "less isolated: all TCP ports can be used"),
        (
            spec.landlock.is_some() && !has_ports,
            "less isolated: no Landlock",
        ),
        (
            true,
            "less isolated: every open descriptor and the caller's terminal are passed on",
        ),
        (
            spec.no_nested_user_namespaces,
            "less isolated: user namespaces can be made inside",
        ),
        (spec.hostname.is_some(), "the host name is the caller's: hostname(1) sets it"),
        (spec.domainname.is_some(), "the domain name is the caller's"),
        (spec.loopback, "lo is down: `ip link set lo up` inside brings it up"),
        (spec.has_init(), "the program is pid 1: nothing reaps"),
        (!spec.sysctl.is_empty(), "settings of namespaces are not changed: sysctl(8)"),
        (spec.oom_score_adj.is_some(), "oom_score_adj is the caller's: choom(1)"),
        (
            spec.terminal != Terminal::Inherit,
            "no terminal of its own: script(1) makes one",
        ),
        (!spec.cgroups.is_empty(), "the caller's control group is kept"),
    ]);
}
