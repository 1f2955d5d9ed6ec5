//! From what is wanted to the ordered steps that make it.

mod cgroups;
mod detailed;
mod enter;
mod group;
mod hooks;
mod ids;
mod landlock;
mod layers;
mod mounts;
mod priority;
mod program;
mod role;
mod sysctl;

use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::fd::RawFd;

use rustix::thread::Gid;
use warren_cgroups::{Blueprint, Refused};
use warren_confine::CapabilitySet;
use warren_confine::seccomp::{Action, Filter, Profile};
use warren_namespaces::{IdMap, Kind};

use crate::child::{MOST_KEPT_BY_INIT, MOST_LOCKS};
use crate::error::Error;
use crate::host::Host;
use crate::role::Role;
use crate::spec::{
    IdMapping, InnerUserNamespace, Mount, Namespace, RawFilter, Root, Seccomp, Spec,
    Terminal, Upper, User,
};
use crate::step::{MapLines, MapWriter, Maps, Step};
pub use enter::MOST_KEPT;
pub use layers::Layer;
pub(crate) use program::own_text;
use program::{c_string, program};

/// An ordered list of steps, each for one side.
///
/// It prints as a numbered table, one line a step.
#[derive(Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) has_init: bool,
    pub(crate) is_holder: bool,
    pub(crate) has_examinable_init: bool,
    pub(crate) lingers: bool,
    pub(crate) has_terminal: bool,
    pub(crate) refused: Vec<Refused>,
    pub(crate) timed: bool,
    pub(crate) hold_signals: bool,
    pub(crate) launched_to_its_end: bool,
    pub(crate) hooks_read: Option<RawFd>,
    pub(crate) hooks_written: Option<RawFd>,
    pub(crate) born_in: Option<RawFd>,
}

impl Plan {
    /// Plans what `spec` asks for, on a machine and for a caller as `host` says.
    ///
    /// Nothing is created or opened; sources of mounts are looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Spec`](crate::ErrorKind::Spec) where the Spec contradicts itself,
    /// names a file of the host that is not there, or asks for ids that are not mapped.
    pub fn new(spec: &Spec, host: &Host) -> Result<Self, Error> {
        check(spec)?;
        let mut planner = Planner {
            spec,
            host,
            steps: Vec::new(),
            trees: 0,
            kept: 0,
            first_cover: None,
            group: None,
            awaits_group: false,
            refused: Vec::new(),
        };
        planner.plan_group()?;
        planner.plan()?;
        Ok(Self {
            steps: planner.steps,
            has_init: spec.has_init(),
            is_holder: matches!(spec.role, Role::Holder { .. }),
            has_examinable_init: spec.has_init() && spec.examinable_init,
            lingers: spec.has_init() && spec.lingering_init,
            has_terminal: spec.terminal != Terminal::Inherit,
            refused: planner.refused,
            timed: false,
            hold_signals: false,
            launched_to_its_end: false,
            hooks_read: spec.hooks_read.as_ref().map(|open| open.fd),
            hooks_written: spec.hooks_written.as_ref().map(|open| open.fd),
            born_in: spec.born_in.as_ref().map(|open| open.fd),
        })
    }

    /// The same plan, with the time of each step taken:
    /// [`Child::timings`](crate::Child::timings).
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// The same plan, with all signals of the launching thread left blocked when the
    /// program runs: for a supervisor that waits for them itself, so that none is lost or
    /// kills it in between.
    #[must_use]
    pub fn holding_signals(mut self) -> Self {
        self.hold_signals = true;
        self
    }

    /// The same plan for a launcher that has nothing to do while the program runs: a launch
    /// returns when it has ended, where its init [lingers](Spec::lingering_init). So the
    /// launcher wakes up once, and not at the program's first instruction as well, when
    /// the program could have the processor.
    #[must_use]
    pub fn to_its_end(mut self) -> Self {
        self.launched_to_its_end = true;
        self
    }

    /// The same plan for a program that is watched from its first instruction on: to be
    /// carried out by [`Plan::launch_observed`].
    #[must_use]
    pub fn observed(mut self) -> Self {
        // Before a profile of the program's own, which need not let the wait pass.
        let is_after = |step: &Step| {
            matches!(
                step,
                Step::LoadProfile { .. } | Step::LoadFilter(_) | Step::Exec(_)
            )
        };
        let place = self.steps.iter().position(is_after);
        if let Some(place) = place {
            self.steps.insert(place, Step::AwaitObserver);
        }
        self
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::AwaitObserver))
    }

    pub(crate) fn outlives_caller(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::OutliveCaller))
    }

    /// Whether the init stays until the use of its control group was read: systemd removes
    /// a scope with its last process.
    pub(crate) fn counts_before_end(&self) -> bool {
        let is_scope = |step: &Step| match step {
            Step::MakeGroup(group) => group.is_scope(),
            _ => false,
        };
        let stays = self.has_init && !self.lingers && !self.outlives_caller();
        stays && self.steps.iter().any(is_scope)
    }

    pub(crate) fn is_gated(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::AwaitGate { .. }))
    }

    pub(crate) fn gives_turn(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::AwaitCaller))
    }

    pub(crate) fn shifts_within(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::ShiftWithin { .. }))
    }

    pub(crate) fn hands_layers(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::HandLayers))
    }

    /// Whether the program leaves the caller's process group, so that what a terminal
    /// sends to that does not reach it.
    #[must_use]
    pub fn leaves_caller(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::LeaveCaller))
    }

    /// The id maps that a new user namespace gets; [`IdMapping::Auto`] where they are of a
    /// block that is chosen at launch.
    #[must_use]
    pub fn id_map(&self) -> Option<IdMapping> {
        self.steps.iter().find_map(|step| match step {
            Step::WriteOwnMaps { uid, gid, .. } => Some(IdMapping::Explicit {
                uids: vec![*uid],
                gids: vec![*gid],
            }),
            Step::WriteMaps { maps } => Some(match &maps.lines {
                MapLines::FreeBlock => IdMapping::Auto,
                MapLines::Known { uids, gids } => IdMapping::Explicit {
                    uids: uids.clone(),
                    gids: gids.clone(),
                },
            }),
            _ => None,
        })
    }

    /// Limits that cannot be had, where the Spec goes on without. The kernel may refuse
    /// more when they are set: [`Child::cgroup`](crate::Child::cgroup) knows them all.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The steps, in their order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}  {:8} {step}", position + 1, step.side())?;
        }
        Ok(())
    }
}

/// The rules between the parts of a Spec, one a line.
fn check(spec: &Spec) -> Result<(), Error> {
    let is_new = |kind| *spec.namespaces.get(kind) == Namespace::New;
    let own = |kind| *spec.namespaces.get(kind) != Namespace::Inherit;
    let rules = [
        (
            spec.argv.is_empty() && spec.role == Role::Program,
            "no program is given",
        ),
        (
            matches!(spec.role, Role::Holder { .. })
                && matches!(spec.namespaces.get(Kind::Pid), Namespace::Join(_)),
            "a holder cannot join a pid namespace, which ends with its own init",
        ),
        (
            matches!(spec.role, Role::Grafter(_))
                && !matches!(spec.namespaces.get(Kind::Mnt), Namespace::Join(_)),
            "a mount into a namespace needs that namespace",
        ),
        (
            spec.connection.is_some()
                && (!is_new(Kind::Net) || spec.role != Role::Program),
            "a connection needs a program in a new net namespace",
        ),
        (
            spec.role != Role::Program && spec.terminal != Terminal::Inherit,
            "a terminal of its own needs a program",
        ),
        (
            !is_new(Kind::Mnt)
                && spec.root != Root::Visit
                && !spec.callers_mounts
                && (spec.root != Root::Inherit || !spec.mounts.is_empty()),
            "a root or a mount needs a new mnt namespace",
        ),
        (
            spec.callers_mounts && !detailed::is_in_place(spec),
            "mounts in the caller's mnt namespace are those of a root at a place, as it is \
             told, and without a user namespace",
        ),
        (
            is_new(Kind::Mnt) && spec.root == Root::Visit,
            "a visit needs a mnt namespace that exists",
        ),
        (
            !enter::is_complete(&spec.route, &spec.namespaces),
            "a route must lead to each joined namespace once, and to no other",
        ),
        (
            spec.disk.is_some() && !is_new(Kind::Mnt),
            "a limit on disk space needs a new mnt namespace",
        ),
        (
            spec.disk.is_some() && spec.mounts.iter().any(writes_to_host),
            "a limit on disk space is one of what vanishes: the upper folder of an overlay \
             is the host's, and takes what is free there",
        ),
        (
            spec.disk_in.is_some() && spec.disk.is_none(),
            "a disk in a folder needs a size",
        ),
        (
            spec.keep_layers && !spec.has_overlay_in_memory(),
            "there are layers to keep only of an overlay in memory",
        ),
        (
            spec.cwd.is_some() && spec.cwd_open.is_some(),
            "there is one working directory only",
        ),
        (
            spec.hostname.is_some() && !own(Kind::Uts),
            "a host name needs a uts namespace",
        ),
        (
            spec.domainname.is_some() && !own(Kind::Uts),
            "a domain name needs a uts namespace",
        ),
        (
            spec.capabilities.is_some() && spec.capability_sets.is_some(),
            "capabilities are given either for all sets or for each",
        ),
        (
            spec.user.as_ref().is_some_and(has_no_id),
            "4294967295 is no id: setresuid(2) takes it for \"unchanged\"",
        ),
        (
            spec.umask.is_some_and(|mask| mask > 0o777),
            "a umask is at most 0777",
        ),
        (
            spec.oom_score_adj.is_some_and(|score| score.abs() > 1000),
            "a score for who is killed first is between -1000 and 1000",
        ),
        (
            spec.loopback && !is_new(Kind::Net),
            "loopback up needs a new net namespace",
        ),
        (
            spec.no_nested_user_namespaces && !is_new(Kind::User),
            "a limit on user namespaces needs a new user namespace",
        ),
        (
            spec.inner_user_namespace.is_some() && !own(Kind::User),
            "an inner user namespace needs an outer one",
        ),
        (
            spec.id_map != IdMapping::Auto && !is_new(Kind::User),
            "an id map needs a new user namespace",
        ),
        (
            (spec.seccomp != Seccomp::Off || !spec.filters.is_empty())
                && !spec.no_new_privs,
            "a system-call filter needs no_new_privs",
        ),
        (
            spec.landlock.is_some() && !spec.no_new_privs,
            "Landlock needs no_new_privs",
        ),
        (
            spec.syscalls.as_ref().is_some_and(notifies) && spec.listener.is_none(),
            "a profile that notifies needs a supervisor that answers",
        ),
        (
            spec.listener.is_some() && spec.syscalls.is_none(),
            "a supervisor that answers needs a profile that asks it",
        ),
        (
            !spec.interfaces.is_empty() && !own(Kind::Net),
            "an interface that is moved needs a net namespace",
        ),
        (
            !spec.time_offsets.is_empty() && !is_new(Kind::Time),
            "offsets of clocks need a new time namespace",
        ),
        (
            spec.leave_caller && spec.terminal != Terminal::Inherit,
            "a terminal of its own leaves the caller's already",
        ),
        (
            spec.new_session && spec.terminal != Terminal::Inherit,
            "a terminal of its own has a session of its own already",
        ),
        (
            spec.tell_cwd && spec.cwd.is_none(),
            "no working directory is given that could be told",
        ),
        (
            spec.await_maps.is_some() && spec.id_map != IdMapping::Unmapped,
            "id maps are written either here or by somebody else",
        ),
        (
            !(spec.has_init()
                || spec.init_keeps.is_empty() && spec.lock_files.is_empty()),
            "what the init holds needs an init",
        ),
        (
            spec.init_keeps.iter().any(|fd| *fd < 0),
            "a descriptor that the init keeps is not negative",
        ),
        (
            spec.init_keeps.len() > MOST_KEPT_BY_INIT
                || spec.lock_files.len() > MOST_LOCKS,
            "an init holds at most 32 descriptors and 16 locks",
        ),
        (
            spec.lingering_init && spec.terminal != Terminal::Inherit,
            "an init that outlives its program cannot hold its terminal",
        ),
        (
            spec.callers_child
                && !matches!(spec.namespaces.get(Kind::Pid), Namespace::Join(_)),
            "who has joined no pid namespace is the caller's child already",
        ),
        (
            !spec.hooks_before_program.is_empty() && spec.gate.is_none(),
            "what hooks before the program read comes with the word at the gate",
        ),
        (
            spec.keep_fds.iter().any(|fd| *fd <= 2),
            "a descriptor to keep must be above 2",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::spec(rule)),
        None => Ok(()),
    }
}

fn has_no_id(user: &User) -> bool {
    let groups = user.groups.iter().flatten().copied();
    let mut ids = [user.uid, user.gid].into_iter().chain(groups);
    ids.any(|id| id == u32::MAX)
}

/// Whether an overlay keeps its changes on the host.
fn writes_to_host(mount: &Mount) -> bool {
    matches!(
        mount,
        Mount::Overlay {
            upper: Upper::Folder { .. },
            ..
        }
    )
}

fn notifies(profile: &Profile) -> bool {
    let rules = profile.rules.iter().map(|rule| rule.action);
    rules
        .chain([profile.default])
        .any(|action| action == Action::Notify)
}

/// How many steps most plans have at most: a list that grows leaves its smaller ones behind.
const USUAL: usize = 64;

struct Planner<'a> {
    spec: &'a Spec,
    host: &'a Host,
    steps: Vec<Step>,
    /// How many trees the parent clones.
    trees: usize,
    /// How many trees the child takes along.
    kept: usize,
    /// The position of the first step that mounts something over the child's root.
    first_cover: Option<usize>,
    /// The control group of its own.
    group: Option<Blueprint>,
    /// Whether the child has waited for it.
    awaits_group: bool,
    /// Limits that cannot be had, where that was accepted.
    refused: Vec<Refused>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Result<(), Error> {
        if let Role::Grafter(graft) = &self.spec.role {
            return self.graft(graft);
        }
        let maps = self.maps()?;
        let setup = self.setup_user(maps.as_ref());
        self.open_namespaces();
        // The parent's steps on trees go before the clone, those that use them after
        // it; both are found while the mounts are planned.
        let before = std::mem::replace(&mut self.steps, Vec::with_capacity(USUAL));
        self.begin_child(maps.as_ref(), setup.as_ref());
        self.join()?;
        self.plain_namespaces()?;
        self.mounts()?;
        self.await_group();
        self.enter(maps.as_ref())?;
        self.confine(setup.as_ref(), maps.as_ref())?;
        self.payload()?;
        let after = std::mem::take(&mut self.steps);
        self.order(before, maps, after);
        Ok(())
    }

    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn is_new(&self, kind: Kind) -> bool {
        *self.spec.namespaces.get(kind) == Namespace::New
    }

    // The begin of the child.

    fn begin_child(&mut self, maps: Option<&Maps>, setup: Option<&User>) {
        if !self.spec.callers_fds.is_empty() {
            self.push(Step::CloseCallers(self.spec.callers_fds.clone()));
        }
        self.die_with_parent();
        // As the caller: who has changed its ids may not open this of its own any more.
        if let Some(score) = self.spec.oom_score_adj {
            self.push(Step::OomScoreAdj(own_text(&score.to_string())));
        }
        // Not before: the files of a hidden process are root's.
        if self.spec.hidden && self.only_enters() {
            self.push(Step::Hide);
        }
        if self.spec.core_sched && self.can_share_no_cores() {
            self.push(Step::CoreSched);
        }
        if !self.spec.time_offsets.is_empty() {
            self.push(Step::OpenTimeOffsets);
        }
        if let Some(processors) = &self.spec.affinity.initial {
            self.push(Step::Affinity(processors.0.clone()));
        }
        if let Some(open) = &self.spec.await_maps {
            self.push(Step::AwaitMaps(open.clone()));
        }
        if self.spec.await_announcement || self.parent_adds() {
            self.push(Step::AwaitParent);
        }
        let Some(maps) = maps else { return };
        let Some(user) = setup.cloned() else { return };
        match (maps.writer, &maps.lines) {
            (MapWriter::Child, MapLines::Known { uids, gids }) => {
                let (uid, gid) = (uids[0], gids[0]);
                let texts = [own_text(&IdMap::text(uids)), own_text(&IdMap::text(gids))];
                // The ids are the caller's own already: nothing else to take.
                self.push(Step::WriteOwnMaps { uid, gid, texts });
            }
            _ => {
                self.push(Step::AwaitParent);
                let groups = self.can_set_groups(Some(maps)).then(Vec::new);
                self.push(Step::TakeIds { user, groups });
                // A change of ids clears the parent-death signal.
                self.die_with_parent();
            }
        }
    }

    /// Whoever is born in another pid namespace than its parent's has to be there before it
    /// can have one below.
    fn is_born_twice(&self) -> bool {
        self.spec.born_in_other_pid_namespace && self.is_new(Kind::Pid)
    }

    fn die_with_parent(&mut self) {
        if let Some(signal) = self.spec.parent_death_signal {
            self.push(Step::DieWithParent { signal });
        }
    }

    fn plain_namespaces(&mut self) -> Result<(), Error> {
        if self.is_born_twice() {
            // Only whoever is in it by then bears others into it.
            self.await_group();
            self.push(Step::BeBornAgain);
            if self.spec.parent_death_signal.is_some() {
                self.push(Step::DieWithInit);
            }
        }
        if self.spec.leave_caller {
            self.push(Step::LeaveCaller);
        }
        if self.spec.new_session {
            self.push(Step::NewSession);
        }
        if self.owns_queues() {
            self.push(Step::IpcNamespace);
        }
        self.time_offsets();
        if let Some(name) = &self.spec.hostname {
            self.push(Step::Hostname(uts_name(name, "host")?));
        }
        if let Some(name) = &self.spec.domainname {
            self.push(Step::Domainname(uts_name(name, "domain")?));
        }
        if self.spec.loopback {
            self.push(Step::Loopback);
        }
        Ok(())
    }

    // The way out.

    fn enter(&mut self, maps: Option<&Maps>) -> Result<(), Error> {
        let spec = self.spec;
        if let Terminal::New { rows, columns } = spec.terminal {
            self.push(self.terminal(rows, columns));
        }
        if self.has_console() {
            self.push(Step::Console);
        }
        if spec.keep_layers {
            self.push(Step::HandLayers);
        }
        self.before_root()?;
        if spec.root != Root::Inherit {
            let uncovered = self.shows_of_kernel()?;
            self.push(Step::EnterRoot { uncovered });
            self.forbid_entered();
        }
        let has_root = spec.root != Root::Inherit;
        if let Some(propagation) = spec.root_propagation.filter(|_| has_root) {
            self.push(Step::RootPropagation(propagation));
        }
        if let Some(folder) = &spec.cwd_open {
            self.push(Step::WorkDirTo(folder.clone()));
        }
        // A new root is entered at its top.
        let at_top = spec.root != Root::Inherit;
        if let Some(path) = spec
            .cwd
            .as_ref()
            .filter(|path| !(at_top && path.as_os_str() == "/"))
        {
            let paths = [path].into_iter().chain(&spec.cwd_else);
            let paths = paths.map(|path| c_string(path.as_os_str()));
            self.push(Step::WorkDir(paths.collect::<Result<_, _>>()?));
        }
        for path in &spec.lock_files {
            self.push(Step::LockFile(c_string(path.as_os_str())?));
        }
        if let Some(inner) = &spec.inner_user_namespace {
            self.inner_user_namespace(*inner, maps)?;
        }
        if let Some(namespace) = &spec.last_user_namespace {
            self.push(Step::EnterUserNamespace(namespace.clone()));
            // To enter one clears the parent-death signal, as a change of ids does.
            self.die_with_parent();
        }
        Ok(())
    }

    /// Maps ids to those that the child has in the namespace so far.
    fn inner_user_namespace(
        &mut self,
        inner: InnerUserNamespace,
        maps: Option<&Maps>,
    ) -> Result<(), Error> {
        let own = self.setup_user(maps).unwrap_or(User {
            uid: self.host.uid,
            gid: self.host.gid,
            groups: None,
        });
        if inner.last {
            self.push(Step::AllowOneUserNamespace);
        }
        let uid = IdMap::single(inner.uid, own.uid);
        let gid = IdMap::single(inner.gid, own.gid);
        let texts = [
            own_text(&IdMap::text(&[uid])),
            own_text(&IdMap::text(&[gid])),
        ];
        self.push(Step::InnerUserNamespace { uid, gid, texts });
        // To make one clears the parent-death signal, as a change of ids does.
        self.die_with_parent();
        Ok(())
    }

    fn terminal(&self, rows: u16, columns: u16) -> Step {
        let mut mounts = self.spec.mounts.iter();
        let in_root = mounts.any(|mount| matches!(mount, Mount::Dev { .. }));
        let multiplexer = if in_root { c"pts/ptmx" } else { c"/dev/ptmx" }.to_owned();
        Step::OpenTerminal {
            multiplexer,
            in_root,
            held: !in_root && (self.changes_files() || self.has_console()),
            plain: self.spec.plain_terminal,
            rows,
            columns,
        }
    }

    fn confine(
        &mut self,
        setup: Option<&User>,
        maps: Option<&Maps>,
    ) -> Result<(), Error> {
        let spec = self.spec;
        self.priorities();
        if !self.comes_without_host() {
            self.labels()?;
        }
        if let Some(name) = &spec.session_keyring {
            self.push(Step::SessionKeyring(c_string(name.as_ref())?));
        }
        if let Some(mask) = spec.umask {
            self.push(Step::Umask(mask));
        }
        for limit in &spec.rlimits {
            self.push(Step::SetRlimit(*limit));
        }
        // With privilege, which goes with the next steps.
        if !spec.no_new_privs {
            self.profile(true)?;
        }
        // Up to here it writes to files of its own, which are root's when it is hidden, and is
        // more able than those who could look.
        if spec.hidden && !self.only_enters() && !spec.callers_child {
            self.push(Step::Hide);
        }
        let capabilities = spec.all_capabilities();
        let bounding = capabilities.map(|sets| sets.bounding);
        if let Some(keep) = spec.bounding.or(bounding) {
            self.push(Step::DropBounding { keep });
        }
        if let Some(user) = spec.user.as_ref().filter(|_| spec.owns_streams) {
            self.push(Step::OwnStreams { uid: user.uid });
        }
        self.set_user(setup, maps)?;
        if let Some(sets) = capabilities {
            self.push(Step::SetCapabilities(sets));
        }
        if spec.without_user_namespaces {
            self.push(Step::CheckNoUserNamespaces);
        }
        if spec.no_new_privs {
            self.push(Step::NoNewPrivs);
        }
        self.landlock()?;
        if spec.seccomp == Seccomp::Sandbox {
            let allowed = capabilities.map_or(CapabilitySet::ALL, |sets| sets.bounding);
            self.push(Step::LoadSeccomp(Filter::sandbox(allowed)));
        }
        if spec.has_init() {
            let examinable = spec.examinable_init;
            self.push(Step::HideInit { examinable });
            let mut keep = spec.init_keeps.clone();
            keep.sort_unstable();
            keep.dedup();
            self.push(Step::ForkInit { keep });
        }
        Ok(())
    }

    fn set_user(
        &mut self,
        setup: Option<&User>,
        maps: Option<&Maps>,
    ) -> Result<(), Error> {
        let Some(user) = self.spec.user.clone() else {
            return Ok(());
        };
        if setup == Some(&user) || self.takes_ids_early() {
            return Ok(());
        }
        let can_set_groups = self.can_set_groups(maps);
        let groups = match &user.groups {
            Some(groups) if !can_set_groups && !groups.is_empty() => {
                return Err(Error::spec(
                    "groups cannot be set in a map that was written without privilege",
                )
                .hint("a map with ranges needs newuidmap and a line in /etc/subuid"));
            }
            Some(groups) if can_set_groups => {
                Some(groups.iter().map(|gid| Gid::from_raw(*gid)).collect())
            }
            _ => None,
        };
        // Who is that user already needs nothing to be kept over the change.
        if self.is_callers(&user) {
            if let Some(groups) = groups {
                self.push(Step::SetGroups(groups));
            }
            return Ok(());
        }
        // What is to be inheritable must have been permitted before.
        let keep_capabilities = self.spec.all_capabilities().is_some_and(|sets| {
            !(sets.permitted.is_empty() && sets.inheritable.is_empty())
        });
        self.push(Step::SetUser {
            user,
            groups,
            keep_capabilities,
        });
        self.die_with_parent();
        Ok(())
    }

    /// Whether the program's user is the caller, whose ids nothing changes.
    fn is_callers(&self, user: &User) -> bool {
        let host = self.host;
        let is_own = (user.uid, user.gid) == (host.uid, host.gid);
        let has_host_users = *self.spec.namespaces.get(Kind::User) == Namespace::Inherit;
        is_own && host.has_no_other_ids && has_host_users
    }

    fn payload(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        if let Role::Holder { examinable } = spec.role {
            self.hold(examinable);
            return Ok(());
        }
        let has_init = spec.has_init();
        if !self.is_new(Kind::Pid) && has_init && spec.parent_death_signal.is_some() {
            self.push(Step::DieWithInit);
        }
        if spec.terminal != Terminal::Inherit {
            self.push(Step::ControlTerminal { has_init });
        }
        self.push(Step::Descriptors {
            keep: spec.keep_fds.clone(),
        });
        if spec.connection.is_some() {
            self.push(Step::AwaitNetwork);
        }
        // The parent takes the listener, and may be gone when the word is given.
        let listens = spec.listener.is_some();
        if spec.no_new_privs && listens {
            self.profile(false)?;
        }
        if let Some(open) = &spec.await_before_exec {
            self.push(Step::AwaitExec(open.clone()));
        }
        self.before_program();
        // After all else, so that the profile needs to allow none of it; but what is run
        // inside before the program is confined as that is.
        if spec.no_new_privs && !listens {
            self.profile(false)?;
        }
        self.hooks(&spec.hooks_before_program)?;
        for RawFilter(bytes) in &spec.filters {
            let filter = Filter::from_bytes(bytes).map_err(|error| {
                Error::spec(format!("take the system-call filter: {error}"))
            })?;
            self.push(Step::LoadFilter(filter));
        }
        self.push(Step::Exec(program(spec)?));
        Ok(())
    }

    /// Puts the steps of each side in their order: the parent's on trees before the
    /// clone or right after it, and the child's after that.
    ///
    /// In place: a step is some hundred bytes, and each copy of the list would be pages
    /// that were never touched before.
    fn order(&mut self, before: Vec<Step>, maps: Option<Maps>, mut child: Vec<Step>) {
        self.steps = before;
        let trees = |step: &mut Step| {
            matches!(
                step,
                Step::CloneTree { .. }
                    | Step::CloneDetailed { .. }
                    | Step::MakeMap(_)
                    | Step::ShiftIdsTo { .. }
                    | Step::MakeDisk { .. }
            )
        };
        self.steps.extend(child.extract_if(.., trees));
        let shifts = |step: &mut Step| matches!(step, Step::ShiftIds { .. });
        let shifts: Vec<Step> = child.extract_if(.., shifts).collect();
        let within = |step: &mut Step| matches!(step, Step::ShiftWithin { .. });
        let within: Vec<Step> = child.extract_if(.., within).collect();
        if maps
            .as_ref()
            .is_some_and(|maps| maps.lines == MapLines::FreeBlock)
        {
            self.push(Step::ReserveIds);
        }
        let mut namespaces = self.spec.namespaces.created();
        if self.is_born_twice() {
            namespaces = namespaces.without(Kind::Pid);
        }
        if self.group.is_some() {
            namespaces = namespaces.without(Kind::Cgroup);
        }
        for made in self.made_inside().iter() {
            namespaces = namespaces.without(made);
        }
        self.make_group_before_clone();
        if !self.spec.time_offsets.is_empty() {
            namespaces = namespaces.without(Kind::Time);
        }
        if self.owns_queues() {
            namespaces = namespaces.without(Kind::Ipc);
        }
        if let Some(listener) = &self.spec.listener {
            self.push(Step::ConnectListener(listener.socket.clone()));
        }
        self.push(Step::Clone { namespaces });
        let maps = maps.filter(|maps| maps.writer != MapWriter::Child);
        let releases = maps.is_some();
        if let Some(maps) = maps {
            self.push(Step::WriteMaps { maps });
            self.steps.extend(shifts);
        }
        self.parents_additions();
        if releases || self.spec.await_announcement || self.parent_adds() {
            self.push(Step::Release);
        }
        // Before the wait for a child that waits for its group.
        self.fill_group();
        // While the child makes its mounts, in their order.
        self.steps.extend(within);
        if let Some(connection) = &self.spec.connection {
            self.push(Step::Connect(Box::new(connection.clone())));
        }
        if let Some(listener) = &self.spec.listener {
            self.push(Step::SendListener(listener.clone()));
        }
        child.splice(0..0, self.steps.drain(..));
        self.steps = child;
    }
}

/// A name that sethostname(2) or setdomainname(2) takes: at most 64 bytes.
fn uts_name(name: &OsStr, what: &str) -> Result<CString, Error> {
    const LONGEST: usize = 64;
    if name.is_empty() || name.len() > LONGEST {
        let name = name.display();
        return Err(Error::spec(format!(
            "a {what} name has 1 to {LONGEST} bytes: '{name}'"
        )));
    }
    c_string(name)
}
