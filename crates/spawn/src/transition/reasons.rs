//! Why a step of a transition failed, as far as this system shows, and the way out.

use std::path::Path;

use warren_namespaces::Kind;
use warren_sys::Errno;

use super::Plan;
use super::spec::Source;
use super::step::{Side, Step};
use crate::reasons::{
    WITHOUT_PROC, closed_gates, dead_pid_namespace, limit_reached, no_namespace_allowed,
    proc_covered,
};

/// The hints for a failed step.
pub fn of(step: &Step, errno: Errno, plan: &Plan) -> Vec<String> {
    match (step, errno) {
        (_, Errno::MFILE) => one("too few descriptors are allowed: raise ulimit -n"),
        (
            Step::WriteOwnMap { .. }
            | Step::WriteOwnSetGroups(_)
            | Step::ShiftClock { .. },
            Errno::NOENT,
        ) => one("there is no procfs at /proc: mount -t proc proc /proc"),
        (Step::Fork | Step::ForkHelper, Errno::DEADLK) => one(
            "a program with threads cannot fork itself: one might hold a lock for ever",
        ),
        (Step::Unshare(kinds), Errno::PERM | Errno::ACCESS) => {
            no_namespace_allowed(*kinds)
        }
        (Step::Unshare(kinds), Errno::NOSPC | Errno::USERS) => limit_reached(*kinds),
        (Step::Unshare(_), Errno::INVAL) => one(
            "this kernel lacks one of the kinds, or the process has threads: see `warren doctor`",
        ),
        (Step::WriteOwnMap { .. } | Step::WriteMap { .. }, errno) => map_refused(errno),
        (Step::WriteOwnSetGroups(_) | Step::WriteSetGroups(_), Errno::PERM) => one(
            "it can be written before gid_map only, and in a user namespace of one's own: add --user",
        ),
        (Step::ShiftClock { .. }, Errno::RANGE) => one(
            "the clock would be negative, or beyond the time that the kernel can count",
        ),
        (Step::ShiftClock { .. }, Errno::PERM) => one(
            "it takes CAP_SYS_TIME in the user namespace that owns the time namespace: be its root, as with --map-root-user",
        ),
        (Step::MountProc(_), Errno::PERM) => proc_refused(plan),
        (Step::MountBinfmt(_), Errno::NODEV) => {
            one("the kernel has no binfmt_misc: modprobe binfmt_misc")
        }
        (Step::MountBinfmt(_), Errno::PERM) => {
            one("binfmt_misc in a user namespace needs Linux 6.7")
        }
        (Step::Pin { kind, path }, errno) => pin_refused(*kind, path, errno, plan),
        (Step::OpenTarget(_) | Step::CheckTarget(_), Errno::SRCH) => {
            one("there is no such process, or no longer")
        }
        (
            Step::OpenNamespace {
                from: Source::Id(_),
                ..
            },
            _,
        ) => one(
            "no process that can be looked at is in it; Linux 6.19 opens it without one",
        ),
        (Step::OpenNamespace { .. } | Step::OpenOfTarget { .. }, Errno::ACCESS)
        | (
            Step::OpenRoot(_) | Step::OpenCwd(_) | Step::ReadEnvironment(_),
            Errno::ACCESS,
        ) => one(
            "a process of another user, or with capabilities that the caller lacks, takes root",
        ),
        (Step::EnterTarget { kinds, .. }, errno) => {
            not_entered(kinds.contains(Kind::User), errno, plan)
        }
        (Step::EnterOther { kind, .. }, errno) => {
            not_entered(*kind == Kind::User, errno, plan)
        }
        (Step::Fork, Errno::NOMEM) => dead_pid_namespace(),
        (Step::Fork | Step::ForkHelper, Errno::AGAIN) => {
            one("the user has too many processes (ulimit -u), or the cgroup (pids.max)")
        }
        (Step::DropGroups { .. }, Errno::PERM) => one(
            "the user namespace was made without the right to change groups (setgroups: deny): \
             --preserve-credentials leaves all ids as they are, and -G cannot be used",
        ),
        (Step::SetUid(_) | Step::SetGid(_), Errno::INVAL) => {
            one("the id is not mapped in the user namespace: see its uid_map and gid_map")
        }
        (Step::SetUid(_) | Step::SetGid(_), Errno::PERM) => {
            one("it takes CAP_SETUID and CAP_SETGID in the user namespace")
        }
        (Step::ChangeRoot(_) | Step::EnterRoot, Errno::PERM) => one(
            "chroot takes CAP_SYS_CHROOT: be root, or root in a user namespace (--map-root-user)",
        ),
        (Step::JoinCgroups | Step::OpenCgroups(_), errno) => cgroup_refused(errno),
        (Step::Exec(name), errno) => not_executed(name, errno, plan),
        _ => Vec::new(),
    }
}

/// The hints where newuidmap or newgidmap has failed.
pub fn of_helper(step: &Step) -> Vec<String> {
    match step {
        Step::WriteMap { .. } => one(
            "newuidmap and newgidmap grant what /etc/subuid and /etc/subgid list for the user; \
             one id alone needs neither: --map-user, --map-group",
        ),
        _ => Vec::new(),
    }
}

fn one(hint: &str) -> Vec<String> {
    vec![hint.to_owned()]
}

fn map_refused(errno: Errno) -> Vec<String> {
    match errno {
        Errno::PERM | Errno::ACCESS => {
            let mut hints = closed_gates();
            if hints.is_empty() {
                hints.push("an id on the right side is not one of this user namespace, or an AppArmor profile forbids it".to_owned());
            }
            hints
        }
        Errno::NOENT => one("install newuidmap and newgidmap (Debian: uidmap)"),
        Errno::INVAL => one("two lines of the map overlap, or there are too many"),
        _ => Vec::new(),
    }
}

/// A procfs shows a pid namespace, and belongs to who owns that.
fn proc_refused(plan: &Plan) -> Vec<String> {
    let create = &plan.wanted.create;
    let forked = plan.steps.iter().any(|(side, _)| *side == Side::Program);
    if create.kinds.contains(&Kind::User)
        && !(create.kinds.contains(&Kind::Pid) && forked)
    {
        return one(
            "the user namespace does not own the pid namespace that a procfs here would show: \
             add --pid --fork",
        );
    }
    proc_covered(WITHOUT_PROC)
}

fn pin_refused(kind: Kind, path: &Path, errno: Errno, plan: &Plan) -> Vec<String> {
    let shown = path.display();
    match errno {
        Errno::NOENT if !path.exists() => {
            vec![format!("the file must exist: touch {shown}")]
        }
        Errno::NOENT if kind == Kind::Pid && plan.wanted.fork.is_none() => {
            one("a pid namespace is there with its first process: add --fork")
        }
        Errno::INVAL if kind == Kind::Mnt => vec![
            format!(
                "{shown} lies on a shared mount, from which a mount namespace would spread into itself: \
                 mount --bind a folder onto itself, mount --make-private it, and use a file in it"
            ),
            "or this mount namespace was made a moment ago, and the new one counts as older \
             (Linux 6.18): try again"
                .to_owned(),
        ],
        Errno::PERM => one(
            "mounting here takes CAP_SYS_ADMIN outside of the new namespaces: be root",
        ),
        _ => Vec::new(),
    }
}

fn not_entered(user: bool, errno: Errno, plan: &Plan) -> Vec<String> {
    match errno {
        Errno::PERM if user => one(
            "it takes CAP_SYS_ADMIN in the user namespace, or to be the user that made it; \
             the target's may not own its other namespaces: --user-parent enters the owner",
        ),
        Errno::PERM => one(
            "it takes CAP_SYS_ADMIN in the user namespace that owns it: enter that one too (-U), or be root",
        ),
        Errno::INVAL if user => one(
            "the process is in that user namespace already: leave -U away, or use --all",
        ),
        Errno::INVAL if !plan.wanted.enter.others.is_empty() => {
            one("the file is no namespace of that kind")
        }
        Errno::SRCH => one("the process has ended"),
        _ => Vec::new(),
    }
}

fn cgroup_refused(errno: Errno) -> Vec<String> {
    match errno {
        Errno::ACCESS | Errno::PERM => one(
            "it takes the right to write cgroup.procs of the target's cgroup and of the one above both",
        ),
        Errno::XDEV => one(
            "the target's cgroup lies outside of what is mounted below /sys/fs/cgroup",
        ),
        _ => Vec::new(),
    }
}

fn not_executed(name: &std::ffi::OsStr, errno: Errno, plan: &Plan) -> Vec<String> {
    let elsewhere = plan.wanted.root.is_some()
        || plan.wanted.enter.kinds.contains(&Kind::Mnt)
        || plan
            .wanted
            .enter
            .others
            .iter()
            .any(|(kind, _)| *kind == Kind::Mnt);
    match errno {
        Errno::NOENT if elsewhere && plan.wanted.enter.target.is_some() => {
            let pid = plan.wanted.enter.target.map_or(0, |target| target.pid);
            vec![
                "the program, or the loader that it names, is not in the root that was entered"
                    .to_owned(),
                format!("`warren enter --shell {pid}` brings a shell and its tools along"),
            ]
        }
        Errno::NOENT if elsewhere => one(
            "the program, or the loader that it names, is not in the root that was entered",
        ),
        Errno::ACCESS if Path::new(name).is_dir() => one("it is a folder"),
        _ => Vec::new(),
    }
}
