//! From a transition to its ordered steps.

use std::fmt;
use std::path::{Path, PathBuf};

use warren_namespaces::{IdMap, Kind, NamespaceSet};

use super::spec::{
    Environment, Fork, Identity, Map, Place, SetGroups, Source, Transition,
};
use super::step::{MapFile, Side, Step};
use crate::error::Error;

/// Where binfmt_misc is expected.
pub const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Who changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

impl Caller {
    /// The calling process.
    #[must_use]
    pub fn current() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }
}

/// The steps of a transition, in their order.
///
/// It prints as a numbered table, one line a step.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) steps: Vec<(Side, Step)>,
    pub(super) wanted: Transition,
}

impl Plan {
    /// Plans what `wanted` asks for, for a caller with these ids. Nothing is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Spec`](crate::ErrorKind::Spec) where the transition contradicts
    /// itself.
    pub fn new(wanted: &Transition, caller: Caller) -> Result<Self, Error> {
        check(wanted)?;
        let mut planner = Planner {
            wanted,
            caller,
            side: Side::Caller,
            steps: Vec::new(),
        };
        planner.plan();
        Ok(Self {
            steps: planner.steps,
            wanted: wanted.clone(),
        })
    }

    /// The steps, and who does each.
    #[must_use]
    pub fn steps(&self) -> &[(Side, Step)] {
        &self.steps
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (side, step)) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}  {side:8} {step}", position + 1)?;
        }
        Ok(())
    }
}

/// The rules between the parts of a transition, one a line.
fn check(wanted: &Transition) -> Result<(), Error> {
    let (enter, create) = (&wanted.enter, &wanted.create);
    let of_target = enter.cgroups
        || enter.context
        || !enter.kinds.is_empty()
        || wanted.root == Some(Place::OfTarget)
        || wanted.cwd == Some(Place::OfTarget)
        || wanted.env == Environment::OfTarget
        || [wanted.uid, wanted.gid].contains(&Some(Identity::OfTarget))
        || enter
            .others
            .iter()
            .any(|(_, from)| matches!(from, Source::Socket(_)));
    let offset = |(_, seconds): &(_, i64)| *seconds != 0;
    let rules = [
        (wanted.argv.is_empty(), "no program is given"),
        (
            of_target && enter.target.is_none(),
            "what is the target's needs a target",
        ),
        (
            (create.uids.is_some() || create.gids.is_some())
                && !create.kinds.contains(&Kind::User),
            "an id map needs a new user namespace",
        ),
        (
            create.offsets.iter().any(offset) && !create.kinds.contains(&Kind::Time),
            "an offset of a clock needs a new time namespace",
        ),
        (
            create.interpreter.is_some() && create.binfmt.is_none(),
            "an interpreter needs a binfmt_misc",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::spec(rule)),
        None => Ok(()),
    }
}

/// In this order the kernel lets most be entered: the user namespace gives the right to
/// the others, and the mount namespace changes what paths mean.
const ORDER: [Kind; 8] = [
    Kind::User,
    Kind::Cgroup,
    Kind::Ipc,
    Kind::Uts,
    Kind::Net,
    Kind::Pid,
    Kind::Mnt,
    Kind::Time,
];

struct Planner<'a> {
    wanted: &'a Transition,
    caller: Caller,
    side: Side,
    steps: Vec<(Side, Step)>,
}

impl Planner<'_> {
    fn plan(&mut self) {
        self.open();
        self.enter();
        self.create();
        if self.wanted.enter.cgroups {
            self.push(Step::JoinCgroups);
        }
        self.fork();
        self.own_maps();
        self.mounts_and_folders();
        self.ids();
        self.program();
    }

    fn push(&mut self, step: Step) {
        self.steps.push((self.side, step));
    }

    fn push_helper(&mut self, step: Step) {
        self.steps.push((Side::Helper, step));
    }

    // What exists.

    /// Everything is opened before anything is entered, since then the paths and numbers
    /// mean something else.
    fn open(&mut self) {
        let enter = &self.wanted.enter;
        let by_itself = |from: &Source| matches!(from, Source::Path(_) | Source::Id(_));
        self.open_others(by_itself);
        if let Some(target) = enter.target {
            self.push(Step::OpenTarget(target));
        }
        self.open_folders();
        if let Some(target) = enter.target {
            self.open_more(target.pid);
        }
        self.open_others(|from| !by_itself(from));
        let by_number = self.steps.iter().any(|(_, step)| is_by_number(step));
        if let Some(target) = enter.target.filter(|_| by_number) {
            self.push(Step::CheckTarget(target.pid));
        }
    }

    fn open_more(&mut self, pid: u32) {
        let wanted = self.wanted;
        if wanted.enter.context {
            self.push(Step::FollowContext(pid));
        }
        if wanted.env == Environment::OfTarget {
            self.push(Step::ReadEnvironment(pid));
        }
        if wanted.enter.cgroups {
            self.push(Step::OpenCgroups(pid));
        }
        if [wanted.uid, wanted.gid].contains(&Some(Identity::OfTarget)) {
            self.push(Step::ReadIds(pid));
        }
    }

    fn open_others(&mut self, which: impl Fn(&Source) -> bool) {
        for (kind, from) in &self.wanted.enter.others {
            if which(from) {
                self.push(Step::OpenNamespace {
                    kind: *kind,
                    from: from.clone(),
                });
            }
        }
    }

    fn open_folders(&mut self) {
        if let Some(path) = self.before(self.wanted.root.as_ref(), "root") {
            self.push(Step::OpenRoot(path));
        }
        if let Some(path) = self.before(self.wanted.cwd.as_ref(), "cwd") {
            self.push(Step::OpenCwd(path));
        }
    }

    /// The path of a folder that is opened before.
    fn before(&self, place: Option<&Place>, link: &str) -> Option<PathBuf> {
        match place? {
            Place::OfTarget => {
                let pid = self.wanted.enter.target?.pid;
                Some(format!("/proc/{pid}/{link}").into())
            }
            Place::Before(path) => Some(path.clone()),
            Place::After(_) => None,
        }
    }

    /// Who is privileged here enters all but the user namespace first, with the right of
    /// here, which reaches namespaces that the user namespace does not own; who is not
    /// enters the user namespace first, which gives the right to the rest. Both are tried.
    fn enter(&mut self) {
        let enter = &self.wanted.enter;
        let kinds: NamespaceSet = enter.kinds.iter().copied().collect();
        let mut others: Vec<(usize, Kind)> = self.opened_order();
        others.sort_by_key(|(_, kind)| ORDER.iter().position(|other| other == kind));
        let user_elsewhere = others.iter().any(|(_, kind)| *kind == Kind::User);
        let user = kinds.contains(Kind::User) || user_elsewhere;
        if user && self.wanted.gid.is_some() && !self.wanted.keep_groups {
            self.push(Step::DropGroups { one_of_two: true });
        }
        let is_user = |kind: Kind| kind == Kind::User;
        if user {
            self.enter_target(kinds.without(Kind::User), true);
            for (number, kind) in others.iter().filter(|(_, kind)| !is_user(*kind)) {
                self.enter_other(*number, *kind, true);
            }
        }
        for (number, kind) in others.iter().filter(|(_, kind)| is_user(*kind)) {
            self.enter_other(*number, *kind, false);
        }
        self.enter_target(kinds, false);
        for (number, kind) in others.iter().filter(|(_, kind)| !is_user(*kind)) {
            self.enter_other(*number, *kind, false);
        }
    }

    /// The kinds of the opened namespaces with the numbers that the walk gives them.
    fn opened_order(&self) -> Vec<(usize, Kind)> {
        let opened = self.steps.iter().filter_map(|(_, step)| match step {
            Step::OpenNamespace { kind, .. } => Some(*kind),
            _ => None,
        });
        opened.enumerate().collect()
    }

    fn enter_target(&mut self, kinds: NamespaceSet, attempt: bool) {
        if !kinds.is_empty() {
            self.push(Step::EnterTarget { kinds, attempt });
        }
    }

    fn enter_other(&mut self, number: usize, kind: Kind, attempt: bool) {
        self.push(Step::EnterOther {
            kind,
            number,
            attempt,
        });
    }

    // What is new.

    fn create(&mut self) {
        let create = &self.wanted.create;
        if self.has_helper() {
            self.push(Step::ForkHelper);
        }
        if let Some((uid, gid)) = create.owner {
            self.push(Step::DropGroups { one_of_two: false });
            self.push(Step::SetGid(Identity::Known(gid)));
            self.push(Step::SetUid(Identity::Known(uid)));
        }
        let kinds = create.set();
        if !kinds.is_empty() {
            self.push(Step::Unshare(kinds));
        }
        self.maps_from_outside();
        for (clock, seconds) in &create.offsets {
            self.push(Step::ShiftClock {
                clock: *clock,
                seconds: *seconds,
            });
        }
    }

    /// In a new user namespace the caller has no right outside of it any more, and in a
    /// new mount namespace it cannot mount in the old one.
    fn has_helper(&self) -> bool {
        let create = &self.wanted.create;
        let kinds = create.set();
        let away = kinds.contains(Kind::User)
            || kinds.contains(Kind::Mnt)
            || create.owner.is_some();
        let lines = |map: &Option<Map>| match map {
            Some(Map::Lines(_)) => true,
            // Its new ids make the caller's /proc files root's, out of its reach.
            Some(Map::Own(_)) => create.owner.is_some(),
            None => false,
        };
        lines(&create.uids) || lines(&create.gids) || (away && !create.pins.is_empty())
    }

    fn maps_from_outside(&mut self) {
        let create = &self.wanted.create;
        let by_program = self.caller.uid != 0;
        let owner = create.owner;
        let lines = |map: &Option<Map>, owner: Option<u32>| match (map, owner) {
            (Some(Map::Lines(lines)), _) => Some(lines.clone()),
            (Some(Map::Own(inside)), Some(owner)) => {
                Some(vec![IdMap::single(*inside, owner)])
            }
            _ => None,
        };
        if let Some(lines) = lines(&create.uids, owner.map(|(uid, _)| uid)) {
            self.push_helper(Step::WriteMap {
                file: MapFile::Uid,
                lines,
                by_program,
            });
        }
        if owner.is_some() && create.setgroups.is_some() {
            let what = create.setgroups.unwrap_or(SetGroups::Deny);
            self.push_helper(Step::WriteSetGroups(what));
        }
        if let Some(lines) = lines(&create.gids, owner.map(|(_, gid)| gid)) {
            self.push_helper(Step::WriteMap {
                file: MapFile::Gid,
                lines,
                by_program,
            });
        }
    }

    // The program.

    fn fork(&mut self) {
        if self.wanted.fork.is_some() {
            self.push(Step::Fork);
        }
        let pinned_by = if self.has_helper() {
            Side::Helper
        } else {
            Side::Caller
        };
        // A pid namespace can be bound when there is a process in it.
        for pin in &self.wanted.create.pins {
            let step = Step::Pin {
                kind: pin.kind,
                path: pin.path.clone(),
            };
            self.steps.push((pinned_by, step));
        }
        if self.wanted.fork.is_some() {
            self.side = Side::Program;
        }
        self.die_with_caller();
    }

    fn die_with_caller(&mut self) {
        let signal = self.wanted.fork.and_then(|fork: Fork| fork.death_signal);
        if let Some(signal) = signal {
            self.push(Step::DieWithCaller(signal));
        }
    }

    fn own_maps(&mut self) {
        let create = &self.wanted.create;
        if create.owner.is_some() {
            return;
        }
        if let Some(Map::Own(inside)) = create.uids {
            self.push(Step::WriteOwnMap {
                file: MapFile::Uid,
                line: IdMap::single(inside, self.caller.uid),
            });
        }
        if let Some(what) = create.setgroups {
            self.push(Step::WriteOwnSetGroups(what));
        }
        if let Some(Map::Own(inside)) = create.gids {
            self.push(Step::WriteOwnMap {
                file: MapFile::Gid,
                line: IdMap::single(inside, self.caller.gid),
            });
        }
    }

    fn mounts_and_folders(&mut self) {
        let create = &self.wanted.create;
        if let Some(how) = create.propagation {
            self.push(Step::Propagate(how));
        }
        // With the flag F the kernel opens the interpreter at once: on this side of the
        // change of the root.
        let early = create.binfmt.is_some()
            && self.wanted.root.is_some()
            && create
                .interpreter
                .as_ref()
                .is_some_and(|line| opens_at_once(line));
        if early {
            self.push(Step::MountBinfmt(BINFMT.into()));
            self.register(Path::new(BINFMT));
        }
        self.root();
        self.cwd();
        if let Some(path) = &create.proc {
            self.push(Step::MountProc(path.clone()));
        }
        if let Some(path) = &create.binfmt {
            self.push(Step::MountBinfmt(path.clone()));
            if !early {
                self.register(path);
            }
        }
    }

    fn register(&mut self, folder: &Path) {
        if let Some(line) = &self.wanted.create.interpreter {
            self.push(Step::Register {
                folder: folder.into(),
                line: line.clone(),
            });
        }
    }

    /// chroot(2) and not pivot_root(2): the caller may share its mount namespace with
    /// others, whose root would move as well.
    fn root(&mut self) {
        match &self.wanted.root {
            None => {}
            Some(Place::After(path)) => self.push(Step::ChangeRoot(path.clone())),
            Some(Place::OfTarget | Place::Before(_)) => {
                if self.wanted.cwd.is_none() {
                    self.push(Step::KeepCwd);
                }
                self.push(Step::EnterRoot);
            }
        }
    }

    fn cwd(&mut self) {
        match (&self.wanted.cwd, &self.wanted.root) {
            (Some(Place::After(path)), _) => self.push(Step::ChangeCwd(path.clone())),
            (Some(_), _) | (None, Some(Place::OfTarget | Place::Before(_))) => {
                self.push(Step::EnterCwd);
            }
            (None, Some(Place::After(_))) => self.push(Step::ChangeCwd("/".into())),
            (None, None) => {}
        }
    }

    fn ids(&mut self) {
        let wanted = self.wanted;
        let one_of_two = self
            .steps
            .iter()
            .any(|(_, step)| matches!(step, Step::DropGroups { one_of_two: true }));
        if wanted.keep_capabilities && wanted.uid.is_some() {
            self.push(Step::KeepCapabilities);
        }
        if let Some(gid) = wanted.gid {
            if !wanted.keep_groups {
                self.push(Step::DropGroups { one_of_two });
            }
            self.push(Step::SetGid(gid));
        }
        if let Some(uid) = wanted.uid {
            self.push(Step::SetUid(uid));
        }
        // A change of ids clears the signal of the caller's death.
        if wanted.uid.is_some() || wanted.gid.is_some() {
            self.die_with_caller();
        }
        if wanted.keep_capabilities {
            self.push(Step::RaiseAmbient);
        }
    }

    fn program(&mut self) {
        if self.wanted.fork.is_some_and(|fork| fork.init) {
            self.push(Step::ForkInit);
        }
        self.push(Step::Exec(self.wanted.argv[0].clone()));
    }
}

/// Whether a step opens something of the target by its number.
fn is_by_number(step: &Step) -> bool {
    match step {
        Step::OpenNamespace { from, .. } => *from == Source::Owner,
        Step::OpenRoot(path) | Step::OpenCwd(path) => path.starts_with("/proc"),
        Step::FollowContext(_)
        | Step::ReadEnvironment(_)
        | Step::OpenCgroups(_)
        | Step::ReadIds(_) => true,
        _ => false,
    }
}

/// The kinds of a set in the order in which they are entered.
pub(super) fn in_order(kinds: NamespaceSet) -> impl Iterator<Item = Kind> {
    ORDER.into_iter().filter(move |kind| kinds.contains(*kind))
}

/// Whether the flags of a line `:name:type:offset:magic:mask:interpreter:flags` have F.
/// The first byte is what divides.
fn opens_at_once(line: &std::ffi::OsStr) -> bool {
    let bytes = line.as_encoded_bytes();
    let Some(divider) = bytes.first() else {
        return false;
    };
    let flags = bytes.split(|byte| byte == divider).nth(7);
    flags.is_some_and(|flags| flags.contains(&b'F'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_f_of_an_interpreter_is_found_whatever_divides() {
        assert!(opens_at_once(":a:M::x::/bin/a:OCF".as_ref()));
        assert!(opens_at_once("|F|M||F||/bin/F|F".as_ref()));
        assert!(!opens_at_once(":F:M::F::/bin/F:".as_ref()));
        assert!(!opens_at_once("".as_ref()));
    }
}
