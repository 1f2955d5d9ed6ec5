//! Why a step failed, as far as this system shows, and the way out.
//!
//! A table keyed by step and errno; where several reasons fit, a look at the system
//! tells them apart.

mod detailed;

use warren_namespaces::{
    Kind, NamespaceSet, NsFd, Obstacle, ProcRoot, Rights, limits, limits::UsernsGate,
    mountinfo,
};
use warren_sys::Errno;

use crate::report::Detail;
use crate::spec::Tree;
use crate::step::{MapWriter, Source, Step};
use crate::{Host, Plan};

/// Why limits cannot be had, and the way out.
pub fn no_limits(error: &warren_cgroups::Error, host: &Host) -> Vec<String> {
    use warren_cgroups::Why;
    let mut hints = Vec::new();
    for refused in error.limits() {
        let hint = match &refused.why {
            Why::NotYours(_) if host.uid == 0 => {
                "the group is mounted read-only or handed to nobody here, as in a container"
            }
            Why::NotYours(_) => {
                "be root, or have a group delegated, as `systemd-run --user --scope -p Delegate=yes` does"
            }
            Why::Occupied(_) => {
                "name a group without processes of its own: --cgroup PATH"
            }
            Why::NotHere { .. } => {
                "systemd hands it down with Delegate=yes in the unit user@.service"
            }
            _ => continue,
        };
        if !hints.iter().any(|known| known == hint) {
            hints.push(hint.to_owned());
        }
    }
    if !error.limits().is_empty() {
        hints.push("--limits best-effort goes on without it".to_owned());
    }
    hints
}

/// Why a control group could not be made, filled or limited.
pub fn of_group(error: &warren_cgroups::Error) -> Vec<String> {
    match error.errno() {
        _ if !error.limits().is_empty() => {
            vec!["--limits best-effort goes on without it".to_owned()]
        }
        Errno::BUSY => vec![
            "v2 hands no controller down beside processes: name a group without any, --cgroup PATH"
                .to_owned(),
        ],
        Errno::ACCESS | Errno::PERM | Errno::ROFS => vec![
            "control groups are root's, and of whom they are delegated to".to_owned(),
        ],
        Errno::EXIST => vec!["another has this name: --cgroup names a place for one".to_owned()],
        Errno::NOENT | Errno::CONNREFUSED => vec![
            "no systemd answers there: `loginctl enable-linger` starts a user's, --cgroup does without"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// The hints for a failed step.
pub fn of(step: &Step, errno: Errno, detail: Option<Detail>, plan: &Plan) -> Vec<String> {
    if errno == Errno::NOSYS {
        return vec![missing_call(step)];
    }
    match (step, errno) {
        (_, Errno::MFILE) => {
            vec!["too few descriptors are allowed: raise ulimit -n".to_owned()]
        }
        (Step::Clone { namespaces }, Errno::PERM | Errno::ACCESS) => no_namespace_allowed(*namespaces),
        (Step::Clone { namespaces }, Errno::NOSPC | Errno::USERS) => limit_reached(*namespaces),
        (Step::Clone { namespaces }, Errno::INVAL) => vec![format!(
            "this kernel lacks one of the kinds {namespaces}: see `warren doctor`"
        )],
        (Step::Clone { .. }, Errno::AGAIN) => vec![
            "the user has too many processes (ulimit -u), or the cgroup (pids.max)".to_owned(),
        ],
        (Step::WriteOwnMaps { .. } | Step::WriteMaps { .. }, errno) => map_refused(step, errno),
        (Step::Proc { .. }, Errno::PERM) => proc_covered("share the pid namespace (--share pid)"),
        (Step::RootOverlay { .. } | Step::Overlay { .. }, errno) => overlay_refused(errno),
        (Step::ShiftIds { .. } | Step::ShiftWithin { .. }, Errno::INVAL) => vec![
            "its filesystem has no idmapped mounts, or the kernel is older than Linux 5.12"
                .to_owned(),
        ],
        (Step::ShiftIdsTo { .. }, Errno::INVAL | Errno::PERM) => ids_not_shifted(),
        (Step::CloneTree { .. }, Errno::PERM) => tree_not_cloned(),
        (Step::Graft { .. } | Step::Unmount { .. }, errno) => not_grafted(step, errno),
        (
            Step::Bind { .. }
            | Step::Tmpfs { .. }
            | Step::FolderInMemory { .. }
            | Step::Proc { .. }
            | Step::DevFolder { .. },
            Errno::ROFS | Errno::ACCESS | Errno::NOENT,
        ) => vec![
            "the place must exist there already, since the root cannot be written".to_owned(),
        ],
        (Step::Bind { .. } | Step::RootTree { .. }, Errno::STALE) => {
            vec!["what the descriptor has open is no longer at its path".to_owned()]
        }
        (Step::Bind { .. }, Errno::NOTDIR | Errno::ISDIR) => {
            vec!["a folder goes on a folder, any other file on a file".to_owned()]
        }
        (Step::Bind { .. } | Step::RootTree { .. } | Step::CloneTree { .. }, Errno::NOSPC) => {
            vec!["too many mounts: see /proc/sys/fs/mount-max".to_owned()]
        }
        (
            Step::RootTree {
                source: Source::Tree(..),
                ..
            }
            | Step::Bind {
                source: Source::Tree(..),
                ..
            },
            Errno::LOOP,
        ) => mount_namespace_in_tree(),
        (Step::WorkDir(_), Errno::NOENT) => {
            vec!["inside there is no such folder: bind one, or give --workdir".to_owned()]
        }
        (Step::LimitUserNamespaces, _) => {
            vec!["/proc/sys cannot be written here, as in a container of another tool".to_owned()]
        }
        (Step::RestrictSelf, Errno::TOOBIG) => {
            vec!["16 sets of Landlock's rules lie on this process already".to_owned()]
        }
        (
            Step::LoadSeccomp(_) | Step::LoadProfile { .. } | Step::LoadProfileFirst { .. },
            Errno::INVAL,
        ) => {
            vec!["the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER), or not such a flag".to_owned()]
        }
        (step, errno) if detailed::is_of_them(step) => detailed::hints(step, errno),
        (Step::AwaitObserver, Errno::PERM) => not_watched(),
        (Step::OpenNamespace { .. } | Step::JoinNamespace { .. }, errno) => {
            cannot_join(step, errno, plan)
        }
        (Step::JoinProcess { .. }, Errno::PERM) => vec![
            "it takes CAP_SYS_ADMIN in the user namespaces that own them".to_owned(),
        ],
        (Step::ForkInit { .. }, Errno::NOMEM) if joins(plan, Kind::Pid) => dead_pid_namespace(),
        (Step::ProcOfJoined { .. }, Errno::NOMEM) => dead_pid_namespace(),
        (Step::ProcOfJoined { .. }, Errno::PERM) => proc_covered(WITHOUT_PROC),
        (Step::ChangeRootTo(_) | Step::ChangeRoot(_), Errno::PERM) => vec![
            "another root takes CAP_SYS_CHROOT: be root, or enter a user namespace as well"
                .to_owned(),
        ],
        (Step::ChangeRoot(_), Errno::NOENT) => {
            vec!["the target's root has no such folder".to_owned()]
        }
        (Step::RootVisit, Errno::OVERFLOW) => vec![
            "the caller's ids are not mapped in the user namespace: --user names some that are"
                .to_owned(),
        ],
        (Step::WorkDirTo(_), Errno::XDEV) => vec![
            "it lies outside of the root, where .. would lead on: --workdir names another"
                .to_owned(),
        ],
        (Step::WorkDirTo(_), Errno::NOENT) => {
            vec!["it was removed: --workdir names another".to_owned()]
        }
        (Step::KeepTree { .. } | Step::KeepDevices | Step::CopyMounts { .. }, Errno::PERM) => vec![
            "mounting takes CAP_SYS_ADMIN: be root, or enter the target's user namespace as well"
                .to_owned(),
            "--shell=FILE executes one static program and mounts nothing".to_owned(),
        ],
        (Step::JoinCgroup(_), errno) => cannot_join_cgroup(errno),
        (Step::TakeIds { .. } | Step::SetUser { .. }, Errno::INVAL) => {
            vec!["the user namespace has no such id: --user names others".to_owned()]
        }
        (Step::OpenTerminal { .. }, Errno::NOSPC) => {
            vec!["no more terminals: see /proc/sys/kernel/pty/max".to_owned()]
        }
        (Step::SetRlimit(_), Errno::PERM) => {
            vec!["a hard limit can be raised only with CAP_SYS_RESOURCE on the host".to_owned()]
        }
        (Step::CheckProgram, errno) => match plan.steps().last() {
            Some(step @ Step::Exec(_)) => of(step, errno, detail, plan),
            _ => Vec::new(),
        },
        (Step::Exec(program), errno) => {
            let script = program.name.display().to_string();
            not_executed(&script, errno, detail, plan)
        }
        _ => Vec::new(),
    }
}

/// The first kernel that has what a step calls, where there is no other way.
fn missing_call(step: &Step) -> String {
    let (call, version) = match step {
        Step::PrivateMounts
        | Step::ShiftIds { .. }
        | Step::ShiftWithin { .. }
        | Step::SealRoot => ("mount_setattr", "5.12"),
        Step::RootEmpty { .. }
        | Step::RootShared { .. }
        | Step::Tmpfs { .. }
        | Step::Proc { .. }
        | Step::DevFolder { .. } => ("fsopen and move_mount", "5.2"),
        Step::DevPts { .. }
        | Step::RootOverlay { .. }
        | Step::Overlay { .. }
        | Step::Layers { .. } => ("fsopen and move_mount", "5.2"),
        Step::RootTree { .. } | Step::Bind { .. } | Step::FolderInMemory { .. } => {
            ("open_tree, mount_setattr and move_mount", "5.12")
        }
        Step::CloneTree { .. } => ("open_tree and mount_setattr", "5.12"),
        Step::ShiftIdsTo { .. } => ("mount_setattr", "5.12"),
        Step::Graft { .. } => ("move_mount", "5.2"),
        Step::ProcMasks { .. } => ("mount_setattr", "5.12"),
        Step::Mask { .. } | Step::EnterRoot { .. } => ("move_mount", "5.2"),
        Step::Ruleset(_) | Step::RestrictSelf => ("landlock_create_ruleset", "5.13"),
        Step::LoadSeccomp(_) | Step::LoadProfile { .. } => ("seccomp", "3.17"),
        Step::MountTree { .. }
        | Step::RootDetailed { .. }
        | Step::CloneDetailed { .. } => {
            ("open_tree, mount_setattr and move_mount", "5.12")
        }
        Step::TimeNamespace { .. } => ("time namespaces", "5.6"),
        _ => {
            return "this kernel, or a filter on this process, lacks a system call"
                .to_owned();
        }
    };
    format!("this needs Linux {version} ({call}), or a filter on this process refuses it")
}

/// EPERM of ptrace: who forbids it.
fn not_watched() -> Vec<String> {
    const YAMA: &str = "kernel/yama/ptrace_scope";
    const NOBODY: i64 = 3;
    let scope = ProcRoot::open().ok().map(|proc| proc.sysctl(YAMA));
    vec![match scope {
        Some(Ok(Some(NOBODY))) => {
            "kernel.yama.ptrace_scope is 3: nobody may trace, until the next boot"
                .to_owned()
        }
        _ => "a filter or a security module around this process forbids ptrace(2)"
            .to_owned(),
    }]
}

/// EPERM of clone: which gate is shut.
pub fn no_namespace_allowed(namespaces: NamespaceSet) -> Vec<String> {
    if !namespaces.contains(Kind::User) {
        return vec![format!(
            "new namespaces {namespaces} need CAP_SYS_ADMIN: be root, or make a user \
             namespace as well"
        )];
    }
    let mut hints = closed_gates();
    if hints.is_empty() {
        hints = in_the_way();
    }
    hints
}

/// The sysctls that forbid user namespaces to this caller. A limit that is reached is
/// none of them: it answers `ENOSPC`.
pub fn closed_gates() -> Vec<String> {
    let privileged = crate::Host::probe().is_privileged();
    let Ok(proc) = ProcRoot::open() else {
        return Vec::new();
    };
    let gates = limits::userns_gates(&proc).unwrap_or_default();
    gates
        .into_iter()
        .filter(|gate| gate.gate != UsernsGate::MaxUserNamespaces)
        .filter(|gate| gate.is_closed(privileged))
        .map(|gate| format!("{gate}; as root: {}", gate.gate.fix()))
        .collect()
}

/// What can forbid user namespaces without a sysctl.
fn in_the_way() -> Vec<String> {
    let mut hints = Vec::new();
    let mounts = ProcRoot::open().ok().map(|proc| mountinfo::own(&proc));
    if let Some(Ok(mounts)) = mounts
        && limits::lives_in_chroot(&mounts)
    {
        hints.push(
            "this process lives in a chroot, where user namespaces are refused: start it \
             outside; as root, `warren nsenter --mount=/proc/self/ns/mnt CMD` leaves a chroot"
                .to_owned(),
        );
    }
    let unmapped = std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.trim().is_empty());
    if unmapped {
        hints.push(
            "the caller's user namespace has no uid_map: write one first, as `warren \
             unshare --map-root-user` does"
                .to_owned(),
        );
    }
    let filtered = std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.contains("Seccomp:\t2"));
    if filtered {
        hints.push(
            "this process runs under a seccomp filter, as in a container of another tool: \
             it must allow clone and unshare with CLONE_NEWUSER"
                .to_owned(),
        );
    }
    let profile = ProcRoot::open()
        .ok()
        .as_ref()
        .and_then(limits::own_apparmor_profile);
    if let Some(profile) = profile {
        hints.push(format!(
            "the AppArmor profile {profile} confines this process: user namespaces need \
             its rule `userns,`"
        ));
    }
    if hints.is_empty() {
        hints.push("see `warren doctor` for what this machine allows".to_owned());
    }
    hints
}

/// ENOSPC of clone: which limit, with its value.
pub fn limit_reached(namespaces: NamespaceSet) -> Vec<String> {
    let Ok(proc) = ProcRoot::open() else {
        return Vec::new();
    };
    let limit = |kind: Kind| {
        let most = limits::max_namespaces(&proc, kind).ok().flatten()?;
        Some((kind, most))
    };
    let mut limits: Vec<_> = namespaces.iter().filter_map(limit).collect();
    limits.sort_by_key(|(_, most)| *most);
    let mut hints: Vec<String> = limits
        .into_iter()
        .take(1)
        .map(|(kind, most)| {
            format!(
                "the lowest limit is user.{} = {most}; as root: sysctl user.{}=10000",
                kind.limit(),
                kind.limit()
            )
        })
        .collect();
    hints.push("user and pid namespaces also nest at most 32 deep".to_owned());
    hints
}

fn map_refused(step: &Step, errno: Errno) -> Vec<String> {
    let by_parent = matches!(
        step,
        Step::WriteMaps { maps } if maps.writer == MapWriter::Parent
    );
    match errno {
        Errno::PERM if by_parent => {
            vec!["an id on the right side is not one of this user namespace".to_owned()]
        }
        Errno::PERM | Errno::ACCESS => {
            let mut hints = closed_gates();
            if hints.is_empty() {
                hints.push(
                    "an AppArmor profile or a nested container forbids it".to_owned(),
                );
            }
            hints
        }
        Errno::ROFS => {
            vec!["/proc is read-only here, as in another tool's container".to_owned()]
        }
        Errno::INVAL => {
            vec!["two lines of the map overlap, or there are too many".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// The kernel lets no mount namespace be mounted in a younger one.
fn mount_namespace_in_tree() -> Vec<String> {
    let mounts = ProcRoot::open()
        .ok()
        .and_then(|proc| mountinfo::own(&proc).ok());
    let is_one = |mount: &mountinfo::MountInfo| {
        mount
            .root
            .as_os_str()
            .as_encoded_bytes()
            .starts_with(b"mnt:[")
    };
    let found = mounts.into_iter().flatten().find(is_one);
    let example = found.map(|mount| format!(": {}", mount.mount_point.display()));
    vec![
        format!(
            "a mount namespace is mounted in that tree, or a symlink is in the way{}",
            example.unwrap_or_default()
        ),
        "make its mount unbindable, so that copies leave it out: mount --make-unbindable"
            .to_owned(),
    ]
}

/// The way out of [`proc_covered`] for who mounts a procfs beside the old one.
pub const WITHOUT_PROC: &str =
    "leave --mount-proc away: /proc then goes on to show the pid namespace outside";

/// The kernel shows a new procfs only to who sees all of an old one; `without` says how to
/// do without one.
pub fn proc_covered(without: &str) -> Vec<String> {
    let covers = ProcRoot::open()
        .ok()
        .and_then(|proc| mountinfo::own(&proc).ok())
        .map(|mounts| limits::proc_masks(&mounts))
        .unwrap_or_default();
    let inside = covers.iter().find(|path| path.as_os_str() != "/proc");
    let example = inside.map(|path| format!(" ({})", path.display()));
    vec![
        format!(
            "parts of /proc are covered here{}, as in a container; the kernel then refuses \
             a new one (\"mount too revealing\")",
            example.unwrap_or_default()
        ),
        format!("run the outer container with an unmasked /proc, or {without}"),
    ]
}

fn ids_not_shifted() -> Vec<String> {
    vec![
        "its filesystem, or one mounted in it, has no idmapped mounts, or is mapped already"
            .to_owned(),
        "--ids keep mounts it as it is: files of ids that have no name inside are nobody's \
         there, and only what all may do can be done"
            .to_owned(),
    ]
}

fn tree_not_cloned() -> Vec<String> {
    vec![
        "to clone a tree takes CAP_SYS_ADMIN over the caller's own mount namespace".to_owned(),
        "be root, or do both in a mount namespace of your own: warren unshare -r -m; a tree \
         can also be bound when a command starts: warren run --bind"
            .to_owned(),
    ]
}

/// Why a mount of a namespace in use could not be changed.
fn not_grafted(step: &Step, errno: Errno) -> Vec<String> {
    let mounts = matches!(step, Step::Graft { .. });
    let hint = match errno {
        Errno::NOENT if mounts => "there is nothing to mount on: --mkdir makes it",
        Errno::NOENT => "inside there is no such path",
        Errno::LOOP => "a symlink is there: name what it leads to",
        Errno::NOTDIR | Errno::ISDIR => {
            "a folder goes on a folder, any other file on a file"
        }
        Errno::ROFS | Errno::ACCESS if mounts => {
            "the mount point cannot be made there: it must exist"
        }
        Errno::BUSY => {
            "a process uses it: it has its working folder or an open file there, or something is mounted in it"
        }
        Errno::INVAL if mounts => {
            "it is mounted in this namespace already, or the place is of another one"
        }
        Errno::INVAL => {
            "nothing is mounted exactly there, or a more privileged namespace has mounted it"
        }
        Errno::PERM => {
            "it takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn overlay_refused(errno: Errno) -> Vec<String> {
    match errno {
        Errno::NODEV => vec!["the kernel has no overlayfs: modprobe overlay".to_owned()],
        Errno::PERM => vec!["overlayfs in a user namespace needs Linux 5.11".to_owned()],
        Errno::INVAL => vec![
            "the lower tree cannot be a layer: another overlay of the same depth, a \
             filesystem without the needed features, or an idmapped mount before Linux 5.19"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

fn cannot_join(step: &Step, errno: Errno, plan: &Plan) -> Vec<String> {
    if let Step::JoinNamespace { namespace, .. } = step
        && let Some(obstacle) = obstacle(*namespace, plan)
    {
        return vec![obstacle.to_string(), obstacle.way_out().to_owned()];
    }
    let hint = match (step, errno) {
        (Step::OpenNamespace { .. }, Errno::ACCESS) => {
            "the process belongs to another user or has capabilities that the caller lacks"
        }
        (Step::OpenNamespace { .. }, Errno::NOTTY) => "the file is no namespace",
        (Step::OpenNamespace { .. }, Errno::INVAL) => "the namespace is of another kind",
        (
            Step::JoinNamespace {
                kind: Kind::User, ..
            },
            Errno::INVAL,
        ) => "the caller is in that user namespace already",
        (_, Errno::PERM) => {
            "it takes CAP_SYS_ADMIN in the user namespace that owns it: enter that one too"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// What is in the way of entering the namespace of this number, seen from where the plan
/// was by then.
fn obstacle(number: usize, plan: &Plan) -> Option<Obstacle> {
    let mut opened = plan.steps().iter().filter_map(|step| match step {
        Step::OpenNamespace { kind, from } => Some((*kind, from)),
        _ => None,
    });
    let proc = ProcRoot::open().ok()?;
    let mut rights = Rights::own(&proc).ok()?;
    let open = |(kind, from)| {
        let fd = crate::launch::open_namespace(kind, from, &mut Vec::new()).ok()?;
        NsFd::from_fd(fd).ok()
    };
    for before in opened.clone().take(number) {
        if before.0 == Kind::User {
            rights = rights.within(&open(before)?).ok()?;
        }
    }
    rights.obstacle(&open(opened.nth(number)?)?).ok()?
}

fn joins(plan: &Plan, wanted: Kind) -> bool {
    plan.steps().iter().any(|step| match step {
        Step::JoinNamespace { kind, .. } => *kind == wanted,
        Step::JoinProcess { kinds, .. } => kinds.contains(wanted),
        _ => false,
    })
}

/// Nothing can be started without the init.
pub fn dead_pid_namespace() -> Vec<String> {
    vec![
        Obstacle::Dead.to_string(),
        Obstacle::Dead.way_out().to_owned(),
    ]
}

fn cannot_join_cgroup(errno: Errno) -> Vec<String> {
    let hint = match errno {
        Errno::ACCESS | Errno::PERM => {
            "it takes the right to write cgroup.procs of the group and of the first one \
             above both: root has it, or the owner of a delegated tree"
        }
        Errno::BUSY => "a group that hands controllers down takes no processes itself",
        Errno::OPNOTSUPP => "it is a group of threads, or below one",
        Errno::NODEV | Errno::NOENT => "it was removed",
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn not_executed(
    name: &str,
    errno: Errno,
    detail: Option<Detail>,
    plan: &Plan,
) -> Vec<String> {
    let hint = match (errno, detail) {
        (Errno::NOENT, Some(Detail::InterpreterMissing)) => {
            "the file is there; the interpreter in its first line, or its ELF loader, is not"
                .to_owned()
        }
        (Errno::ACCESS, Some(Detail::IsFolder)) => format!("{name} is a folder"),
        (Errno::NOENT, _) if name.contains('/') => "inside there is no such file".to_owned(),
        (Errno::NOENT, _) => "no folder of the PATH inside has it".to_owned(),
        (Errno::ACCESS, _) => {
            "it has no execute permission for this user, or lies on a noexec mount".to_owned()
        }
        (Errno::NOEXEC, _) => {
            "it is no program for this machine; a script needs a first line such as #!/bin/sh"
                .to_owned()
        }
        _ => return Vec::new(),
    };
    let shown = plan.steps().iter().any(
        |step| matches!(step, Step::RootTree { source, .. } if is_whole_host(source)),
    );
    let missing = errno == Errno::NOENT && detail == Some(Detail::None) && !shown;
    let way_out = missing.then(|| {
        "outside of /usr, /bin, /sbin, /lib*, /opt and /etc nothing of the host is there \
         unless bound: --here, --ro-bind, --host-root"
            .to_owned()
    });
    let in_empty_root = plan
        .steps()
        .iter()
        .any(|step| matches!(step, Step::RootEmpty { .. } | Step::RootShared { .. }));
    let entered = joins(plan, Kind::Mnt)
        || plan
            .steps()
            .iter()
            .any(|step| matches!(step, Step::ChangeRootTo(_)));
    let visits = plan
        .steps()
        .iter()
        .any(|step| matches!(step, Step::RootVisit));
    let bring = (errno == Errno::NOENT && entered && !visits)
        .then(|| "--shell brings the host's programs along".to_owned());
    std::iter::once(hint)
        .chain(way_out.filter(|_| in_empty_root))
        .chain(bring)
        .collect()
}

fn is_whole_host(source: &Source) -> bool {
    match source {
        Source::Path(path) | Source::Kept(_, path) => path.as_bytes() == b"/",
        Source::Tree(_, tree) => *tree == Tree::from("/"),
        Source::Open(_) | Source::Within { .. } => false,
    }
}
