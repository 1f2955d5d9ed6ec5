//! The parent's side of a plan: opens what it needs, clones, does its part, and hears
//! how it went.

mod cache_class;
mod channel;
mod disk;
mod group;
mod helper;
mod join;
mod listener;
mod maps;
mod network;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::futex;
use warren_mounts::Attributes;
use warren_namespaces::accounts::Accounts;
use warren_namespaces::{IdMap, Kind, ProcRoot};
use warren_sys::signal::{self, SignalSet};
use warren_sys::{CloneArgs, Errno, Forked, SharedPage};

use crate::child::{self, Inheritance};
use crate::error::{Error, ErrorKind};
use crate::ids::Reservation;
use crate::process::Child;
use crate::reasons;
use crate::report::{Detail, Report};
use crate::spec::Tree;
use crate::step::{Changes, MapLines, Step};
use crate::{Plan, Side};
pub use channel::Held;
pub(crate) use channel::Sent;
use channel::{Channels, Sockets, Started};
use group::MadeGroup;
pub use join::open as open_namespace;

/// What the program gets as its standard streams, where not the caller's.
#[derive(Debug, Default)]
pub struct Streams(pub [Option<OwnedFd>; 3]);

/// Who watches the program from its first instruction on.
pub type Observer<'a> = &'a mut dyn FnMut(&Held<'_>) -> Result<(), Errno>;

/// What the caller does while the process is being made, of which it gets the number.
pub type Callback<'a> = &'a mut dyn FnMut(u32) -> Result<(), Error>;

/// What the parent's steps have opened.
#[derive(Debug, Default)]
struct Opened {
    trees: Vec<OwnedFd>,
    namespaces: Vec<OwnedFd>,
    /// To who answers system calls.
    listener: Option<OwnedFd>,
    reservation: Option<Reservation>,
    group: Option<MadeGroup>,
}

impl Plan {
    /// Carries the plan out. Returns when the program has been executed; one that is
    /// launched [to its end](Plan::to_its_end), when it has ended.
    ///
    /// # Errors
    /// The step that failed; nothing of the process is left then.
    pub fn launch(self) -> Result<Child, Error> {
        self.launch_with(Streams::default(), &mut |_| Ok(()))
    }

    /// The same, and calls `announce` with the number of the child once it exists: its
    /// namespaces are made then, and nothing is set up in them yet. An error that it
    /// returns ends the child.
    ///
    /// # Errors
    /// As [`launch`](Self::launch), and what `announce` returns.
    pub fn launch_announced(
        self,
        announce: &mut dyn FnMut(u32) -> Result<(), Error>,
    ) -> Result<Child, Error> {
        self.launch_with(Streams::default(), announce)
    }

    /// The same as [`launch`](Self::launch) for who has /proc open: that is not opened again.
    ///
    /// # Errors
    /// As [`launch`](Self::launch).
    pub fn launch_below(self, proc: &ProcRoot) -> Result<Child, Error> {
        self.carry_out(
            Some(proc),
            Streams::default(),
            &mut |_| Ok(()),
            &mut |_| Ok(()),
            None,
        )
    }

    /// The same, and calls `announce` as [`launch_announced`](Self::launch_announced) does,
    /// and `before_root` when the process waits before it enters its root, where its Spec
    /// says that it does.
    ///
    /// # Errors
    /// As [`launch`](Self::launch), and what the callbacks return.
    pub fn launch_in_stages(
        self,
        proc: &ProcRoot,
        announce: Callback<'_>,
        before_root: Callback<'_>,
    ) -> Result<Child, Error> {
        self.carry_out(Some(proc), Streams::default(), announce, before_root, None)
    }

    /// The same for a plan that is [observed](Plan::observed). When the process that will
    /// execute the program is there, `observer` is called: it begins to watch it,
    /// [releases](Held::release) it, and returns when the program was executed or the
    /// process has ended.
    ///
    /// # Errors
    /// As [`launch_announced`](Self::launch_announced), and what `observer` returns, which
    /// must leave nothing traced then.
    pub fn launch_observed(
        self,
        announce: &mut dyn FnMut(u32) -> Result<(), Error>,
        observer: Observer<'_>,
    ) -> Result<Child, Error> {
        self.carry_out(
            None,
            Streams::default(),
            announce,
            &mut |_| Ok(()),
            Some(observer),
        )
    }

    pub(crate) fn launch_with(
        self,
        streams: Streams,
        announce: &mut dyn FnMut(u32) -> Result<(), Error>,
    ) -> Result<Child, Error> {
        self.carry_out(None, streams, announce, &mut |_| Ok(()), None)
    }

    fn carry_out(
        self,
        known: Option<&ProcRoot>,
        streams: Streams,
        announce: Callback<'_>,
        before_root: Callback<'_>,
        observer: Option<Observer<'_>>,
    ) -> Result<Child, Error> {
        if self.is_observed() != observer.is_some() {
            return Err(Error::spec("an observed plan is launched with an observer"));
        }
        self.check_kept_descriptors()?;
        let opened;
        let proc = match known {
            Some(proc) => proc,
            None => {
                opened = open_proc()?;
                &opened
            }
        };
        let report = SharedPage::<Report>::new()
            .map_err(|errno| Error::step("map the page of the child's report", errno))?;
        if self.timed {
            report.take_times();
        }
        if self.has_init || self.is_holder || self.is_gated() {
            warren_sys::arguments::find();
        }
        if self.is_holder || self.has_examinable_init {
            warren_sys::arguments::find_environment();
        }
        let (clone, opened) = self.before_clone(&report, proc)?;
        let channels = Channels::new(Sockets {
            terminal: self.has_terminal,
            observer: observer.is_some(),
            layers: self.hands_layers(),
            ended: self.lingers || self.counts_before_end(),
            turn: self.gives_turn(),
        })?;
        if self.hold_signals && self.counts_before_end() {
            channels.signal_end()?;
        }
        let mut launch = Launch {
            plan: &self,
            proc,
            report: &report,
            opened,
        };
        let started = launch.clone_child(clone, channels, &streams)?;
        // The child has its own copies of what is closed here.
        drop(streams);
        let sent =
            launch.after_clone(clone, &started, announce, before_root, observer)?;
        let started = launch.replaced(started)?;
        let Opened {
            reservation, group, ..
        } = launch.opened;
        let Started {
            pid, pidfd, ended, ..
        } = started;
        let child = Child::new(pid, pidfd, report, self, sent, ended, reservation);
        Ok(child.in_group(group.and_then(MadeGroup::hand_over)))
    }

    /// Looks whether the descriptors that the program is to inherit are open: to be called
    /// before anything is opened for the plan, so that no number is one of those.
    /// [`Self::launch`] does it first of all.
    ///
    /// # Errors
    /// `EBADF` where one is not open.
    pub fn check_kept_descriptors(&self) -> Result<(), Error> {
        let kept = self.steps.iter().filter_map(|step| match step {
            Step::Descriptors { keep } => Some(keep),
            _ => None,
        });
        for number in kept.flatten() {
            warren_sys::is_open(*number).map_err(|errno| {
                Error::step(format!("keep descriptor {number}"), errno)
            })?;
        }
        Ok(())
    }

    /// The parent's steps up to the clone, whose position it returns.
    fn before_clone(
        &self,
        report: &Report,
        proc: &ProcRoot,
    ) -> Result<(usize, Opened), Error> {
        let mut opened = Opened::default();
        let mut processes = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            report.begin_of_parent(number);
            let failed = |errno| self.failed(step, errno);
            match step {
                Step::ReserveIds => opened.reservation = Some(reserve(step)?),
                Step::OpenNamespace { kind, from } => {
                    let namespace =
                        join::open(*kind, from, &mut processes).map_err(failed)?;
                    opened.namespaces.push(namespace);
                }
                Step::CloneTree {
                    tree,
                    access,
                    devices,
                    recursive,
                } => {
                    let attributes = child::attributes(*access, *devices);
                    let tree =
                        clone_tree(tree, attributes, *recursive).map_err(failed)?;
                    opened.trees.push(tree);
                }
                Step::MakeDisk {
                    folder,
                    size,
                    folders,
                } => {
                    let made = disk::make(folder, *size, *folders);
                    opened
                        .trees
                        .push(made.map_err(|error| self.at(step, error))?);
                }
                Step::CloneDetailed { tree, changes, ids } => {
                    let tree = clone_as_told(tree, changes, ids.as_deref(), proc);
                    opened.trees.push(tree.map_err(failed)?);
                }
                Step::MakeMap(lines) => {
                    let map = maps::user_namespace(lines, proc);
                    opened.trees.push(map.map_err(failed)?);
                }
                Step::ConnectListener(socket) => {
                    opened.listener = Some(listener::connect(socket).map_err(failed)?);
                }
                Step::ShiftIdsTo {
                    tree,
                    namespace,
                    recursive,
                    ..
                } => {
                    let (tree, user) =
                        (&opened.trees[*tree], &opened.namespaces[*namespace]);
                    warren_mounts::shift_ids(tree.as_fd(), user.as_fd(), *recursive)
                        .map_err(failed)?;
                }
                Step::MakeGroup(blueprint) => {
                    let made = MadeGroup::make(blueprint, None);
                    opened.group = Some(made.map_err(|error| self.at(step, error))?);
                }
                Step::SetLimit { number, .. } => {
                    self.limit(step, *number, opened.group.as_mut())?;
                }
                Step::Clone { .. } => return Ok((number, opened)),
                _ => {}
            }
        }
        Err(Error::spec("the plan has no clone"))
    }

    fn failed(&self, step: &Step, errno: Errno) -> Error {
        let error = Error::step(step, errno);
        self.at(step, error)
            .hints_of(reasons::of(step, errno, None, self))
    }

    /// The same error, with the number of its step.
    fn at(&self, step: &Step, error: Error) -> Error {
        error.number_of(self.steps.iter().position(|own| std::ptr::eq(own, step)))
    }

    fn limit(
        &self,
        step: &Step,
        number: usize,
        group: Option<&mut MadeGroup>,
    ) -> Result<(), Error> {
        let limited = group.map_or(Ok(()), |group| group.set_limit(number));
        limited.map_err(|error| self.at(step, error))
    }
}

/// A launch on its way, as the parent sees it.
struct Launch<'a> {
    plan: &'a Plan,
    proc: &'a ProcRoot,
    report: &'a Report,
    opened: Opened,
}

impl Launch<'_> {
    fn clone_child(
        &mut self,
        clone: usize,
        channels: Channels,
        streams: &Streams,
    ) -> Result<Started, Error> {
        let step = &self.plan.steps[clone];
        let Step::Clone { namespaces } = step else {
            return Err(Error::spec("the plan has no clone"));
        };
        let made = self.opened.group.as_ref().and_then(MadeGroup::cradle);
        let joined = self.plan.born_in.filter(|_| made.is_none());
        let joined = joined.map(warren_sys::duplicate).transpose();
        let joined = joined.map_err(|errno| self.plan.failed(step, errno))?;
        let cradle = joined.as_ref().map(OwnedFd::as_fd).or(made);
        let args = CloneArgs {
            namespaces: namespaces.clone_flags(),
            cgroup: cradle,
        };
        // A handler of this program that ran in the child could do what the child must
        // not; CLONE_CLEAR_SIGHAND comes too late for a signal that is pending now.
        let blocked = signal::set_blocked(SignalSet::ALL);
        // SAFETY: the child's arm calls child::run, which keeps its rules, and what is
        // dropped before it is a descriptor.
        match unsafe { clone_into(args) } {
            Ok((Forked::Child, is_born)) => {
                // As long as the child held it too, a dead parent could not be told.
                drop(channels.alive_reader);
                let observer = channels.observer.map(|(_, child)| child);
                let [stdin, stdout, stderr] = &streams.0;
                child::run(&Inheritance {
                    steps: &self.plan.steps,
                    report: self.report,
                    alive: channels.alive_writer.as_fd(),
                    trees: &self.opened.trees,
                    namespaces: &self.opened.namespaces,
                    reservation: self.opened.reservation.as_ref().map(AsFd::as_fd),
                    proc: self.proc.as_fd(),
                    stdio: [stdin, stdout, stderr]
                        .map(|fd| fd.as_ref().map(OwnedFd::as_fd)),
                    terminal: channels.terminal.as_ref().map(|(_, child)| child.as_fd()),
                    observer: observer.as_ref().map(AsFd::as_fd),
                    layers: channels.layers.as_ref().map(|(_, child)| child.as_fd()),
                    ended: channels.ended.as_ref().map(|(_, child)| child.as_fd()),
                    lingers: self.plan.lingers,
                    turn: channels.turn.as_ref().map(|(_, child)| child.as_fd()),
                    hooks_read: self.plan.hooks_read,
                    hooks_written: self.plan.hooks_written,
                    has_joined: is_born && joined.is_some(),
                    blocked,
                })
            }
            Ok((Forked::Parent { pid, pidfd }, is_born)) => {
                if !self.plan.hold_signals {
                    signal::set_blocked(blocked);
                }
                Ok(Started::new(pid, pidfd, channels).born_in_group(is_born))
            }
            Err(errno) => {
                signal::set_blocked(blocked);
                Err(self.plan.failed(step, errno))
            }
        }
    }

    /// The parent's steps after the clone, then the child's word. Whatever fails, the
    /// child is gone afterwards.
    fn after_clone(
        &mut self,
        clone: usize,
        started: &Started,
        announce: Callback<'_>,
        before_root: Callback<'_>,
        observer: Option<Observer<'_>>,
    ) -> Result<Sent, Error> {
        let result = announce(started.pid as u32)
            .and_then(|()| self.parent_steps(clone, started))
            .and_then(|()| started.take_turn(self.report, before_root))
            .and_then(|()| started.receive())
            .and_then(|sent| self.observe(started, observer).map(|()| sent))
            .and_then(|sent| self.await_child(started).map(|()| sent));
        let error = match (self.child_failure(), result) {
            (None, Ok(sent)) if self.reached_exec() => return Ok(sent),
            (None, Ok(_)) => None,
            (Some(error), _) | (None, Err(error)) => Some(error),
        };
        let status = started.end(self.report.replacement());
        let error = error.unwrap_or_else(|| self.child_died(status));
        let starved = self
            .opened
            .group
            .as_ref()
            .is_some_and(MadeGroup::is_starved);
        Err(if starved {
            error.hint("its limit on memory is too low to set it up")
        } else {
            error
        })
    }

    fn parent_steps(&mut self, clone: usize, started: &Started) -> Result<(), Error> {
        let plan = self.plan;
        let steps = plan.steps.iter().enumerate().skip(clone + 1);
        for (number, step) in steps.filter(|(_, step)| step.side() == Side::Parent) {
            self.report.begin_of_parent(number);
            let failed = |errno| plan.failed(step, errno);
            match step {
                Step::MakeGroup(blueprint) => {
                    let made = MadeGroup::make(blueprint, Some(started.pid as u32));
                    self.opened.group = Some(made.map_err(|error| plan.at(step, error))?);
                }
                Step::SetLimit { number, .. } => {
                    plan.limit(step, *number, self.opened.group.as_mut())?;
                }
                Step::EnterGroup { delegate } => {
                    self.enter_group(started, *delegate)
                        .map_err(|error| plan.at(step, error))?;
                    group::tell(self.report).map_err(failed)?;
                }
                Step::WriteMaps { maps } => {
                    let block = self.opened.reservation.as_ref();
                    maps::write(maps, self.proc, started.pid, block)
                        .map_err(|error| error.explain(failed))?;
                }
                Step::ShiftIds {
                    tree, recursive, ..
                } => {
                    let tree = &self.opened.trees[*tree];
                    maps::shift_ids(tree, self.proc, started.pid, *recursive)
                        .map_err(failed)?;
                }
                Step::MoveInterface { outside, inside } => {
                    self.move_interface(outside, inside, started)
                        .map_err(failed)?;
                }
                Step::JoinCacheClass(class) => {
                    let resctrl = Path::new(cache_class::MOUNT_POINT);
                    cache_class::join(class, started.pid, resctrl)?;
                }
                Step::SendListener(listener) => {
                    let channel = self.opened.listener.as_ref();
                    let channel = channel.ok_or_else(|| failed(Errno::BADF))?.as_fd();
                    let child = started.pidfd.as_fd();
                    listener::send(listener, channel, child, started.pid, self.report)
                        .map_err(failed)?;
                }
                Step::Release => release(self.report).map_err(failed)?,
                Step::Connect(connection) => {
                    network::connect(connection, started, self.proc, self.report)
                        .map_err(|error| plan.at(step, error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn enter_group(&self, started: &Started, delegate: bool) -> Result<(), Error> {
        let Some(group) = &self.opened.group else {
            return Ok(());
        };
        group.fill(started.pid as u32, started.is_born_in_group)?;
        if delegate {
            let (uid, gid) = self.root_inside();
            group.delegate(uid, gid)?;
        }
        Ok(())
    }

    /// Who on the host is root of the new user namespace; the caller without one.
    fn root_inside(&self) -> (u32, u32) {
        let block = self.opened.reservation.as_ref().map(Reservation::map);
        let outside = |lines: &[IdMap]| lines.iter().find_map(|line| line.to_outside(0));
        let known = self.plan.steps.iter().find_map(|step| match step {
            Step::WriteMaps { maps } => match &maps.lines {
                MapLines::Known { uids, gids } => outside(uids).zip(outside(gids)),
                MapLines::FreeBlock => {
                    let lines = [block?];
                    outside(&lines).zip(outside(&lines))
                }
            },
            _ => None,
        });
        known.unwrap_or_else(|| {
            let uid = rustix::process::geteuid().as_raw();
            (uid, rustix::process::getegid().as_raw())
        })
    }

    fn await_child(&self, started: &Started) -> Result<(), Error> {
        if self.plan.launched_to_its_end && self.plan.lingers {
            started.await_end()
        } else {
            started.await_exec()
        }
    }

    fn move_interface(
        &self,
        outside: &str,
        inside: &str,
        started: &Started,
    ) -> Result<(), Errno> {
        if let Some(joined) = self.joined_network() {
            return warren_network::move_interface(outside, inside, joined);
        }
        let path = format!("{}/ns/net", started.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        // A magic link by design: the namespace of our own child.
        let namespace =
            rustix::fs::openat(self.proc, path.as_str(), flags, Mode::empty())?;
        warren_network::move_interface(outside, inside, namespace.as_fd())
    }

    /// The network namespace that the child enters, if it does: it may not be there yet.
    fn joined_network(&self) -> Option<BorrowedFd<'_>> {
        let number = self.plan.steps.iter().find_map(|step| match step {
            Step::JoinNamespace {
                kind: Kind::Net,
                namespace,
                ..
            } => Some(*namespace),
            _ => None,
        })?;
        self.opened.namespaces.get(number).map(OwnedFd::as_fd)
    }

    /// Has the observer watch the program, up to its start.
    fn observe(
        &self,
        started: &Started,
        observer: Option<Observer<'_>>,
    ) -> Result<(), Error> {
        let Some(observer) = observer else {
            return Ok(());
        };
        let held = started.held().map_err(|errno| {
            Error::step("hear from the process that is to be watched", errno)
        })?;
        // Without one, the child has died, and has said of what.
        let Some(held) = held else { return Ok(()) };
        observer(&held).map_err(|errno| {
            let step = Step::AwaitObserver;
            Error::step("watch the program", errno)
                .hints_of(reasons::of(&step, errno, None, self.plan))
        })
    }

    /// What the child has reported, in words.
    fn child_failure(&self) -> Option<Error> {
        let (errno, detail) = self.report.failure()?;
        let step = self.plan.steps.get(self.report.step())?;
        let hints = reasons::of(step, errno, Some(detail), self.plan);
        let error = if detail == Detail::HookEnded {
            let status = self.report.ended().unwrap_or_default();
            let how = ExitStatus::from_raw(status).to_string();
            let how = how.replace("status: ", "status ");
            Error::new(ErrorKind::Step, format!("{step}: {how}"))
        } else {
            Error::step(self.words(step), errno)
        };
        let error = error.number_of(Some(self.report.step())).hints_of(hints);
        Some(match (step, errno) {
            (Step::JoinCgroup(_), _) => error.kind_of(ErrorKind::Cgroup),
            (Step::Exec(_) | Step::CheckProgram, Errno::NOENT) => {
                error.kind_of(ErrorKind::NotFound)
            }
            (Step::Exec(_) | Step::CheckProgram, _) => {
                error.kind_of(ErrorKind::NotExecutable)
            }
            _ => error,
        })
    }

    /// What a failed step says: of the look for the program, what its execution would have.
    fn words<'s>(&'s self, step: &'s Step) -> &'s Step {
        match step {
            Step::CheckProgram => self.plan.steps.last().unwrap_or(step),
            step => step,
        }
    }

    /// The process that went on in the stead of the one that was made, which is waited for.
    fn replaced(&self, started: Started) -> Result<Started, Error> {
        let mut steps = self.plan.steps.iter();
        if !steps.any(|step| matches!(step, Step::ForkSibling)) {
            return Ok(started);
        }
        // It says who goes on and ends, perhaps only after that one has begun.
        let _ = crate::process::reap(started.pid);
        let pid = self.report.replacement().unwrap_or(started.pid);
        // It is this process's own child, so the number is its own.
        let process = Pid::from_raw(pid).ok_or_else(|| Error::spec("no such process"))?;
        let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty());
        let pidfd =
            pidfd.map_err(|errno| Error::step("open the program's process", errno))?;
        Ok(started.replaced_by(pid, pidfd))
    }

    fn reached_exec(&self) -> bool {
        matches!(
            self.plan.steps.get(self.report.step()),
            Some(Step::Exec(_) | Step::AwaitGate { .. } | Step::Hold | Step::Finish,)
        )
    }

    fn child_died(&self, status: Option<i32>) -> Error {
        let step = self
            .plan
            .steps
            .get(self.report.step())
            .map(ToString::to_string);
        let how = match status.map(|status| status & 0x7f) {
            Some(signal) if signal != 0 => {
                format!("the child was killed by signal {signal}")
            }
            _ => "the child ended".to_owned(),
        };
        let error = Error::new(ErrorKind::Step, step.unwrap_or_default() + ": " + &how);
        error.hint("somebody killed it, or the memory was used up (see dmesg)")
    }
}

/// Creates the process in its group where that can be; without, where this kernel cannot or
/// the caller may not: then it is moved, and that says why it cannot be.
///
/// # Safety
/// As [`warren_sys::clone3`].
unsafe fn clone_into(args: CloneArgs<'_>) -> Result<(Forked, bool), Errno> {
    // SAFETY: the caller's promise about the child is passed on.
    let forked = unsafe { warren_sys::clone3(args) };
    match forked {
        Err(
            Errno::NOSYS | Errno::INVAL | Errno::ACCESS | Errno::BUSY | Errno::OPNOTSUPP,
        ) if args.cgroup.is_some() => {
            let elsewhere = CloneArgs {
                cgroup: None,
                ..args
            };
            // SAFETY: the caller's promise about the child is passed on.
            unsafe { warren_sys::clone3(elsewhere) }.map(|forked| (forked, false))
        }
        forked => Ok((forked?, args.cgroup.is_some())),
    }
}

fn open_proc() -> Result<ProcRoot, Error> {
    ProcRoot::open().map_err(|error| {
        Error::new(ErrorKind::Step, error.to_string())
            .hint("mount one: mount -t proc proc /proc")
    })
}

fn reserve(step: &Step) -> Result<Reservation, Error> {
    let accounts = Accounts::read()
        .map_err(|error| Error::new(ErrorKind::Step, error.to_string()))?;
    let uid = rustix::process::geteuid().as_raw();
    Reservation::take(&accounts, uid).map_err(|errno| {
        Error::step(step, errno)
            .hint("every block of host ids is taken by an account or a running container")
    })
}

fn clone_tree(
    tree: &Tree,
    attributes: Attributes,
    recursive: bool,
) -> Result<OwnedFd, Errno> {
    let tree = clone_only(tree, recursive)?;
    warren_mounts::set_attributes(tree.as_fd(), attributes, recursive)?;
    Ok(tree)
}

fn clone_only(tree: &Tree, recursive: bool) -> Result<OwnedFd, Errno> {
    use std::os::unix::ffi::OsStrExt;
    match tree {
        Tree::Path(path) => {
            let path = std::ffi::CString::new(path.as_os_str().as_bytes());
            let path = path.map_err(|_| Errno::INVAL)?;
            warren_mounts::clone_tree(rustix::fs::CWD, &path, recursive)
        }
        Tree::Open(open) => {
            let file = warren_sys::duplicate(open.fd)?;
            warren_mounts::clone_tree(file.as_fd(), c"", recursive)
        }
    }
}

/// Clones a tree for a child of another user namespace, in whose own copy of the mounts it
/// would be a slave of the host's.
fn clone_as_told(
    tree: &Tree,
    changes: &Changes,
    ids: Option<&MapLines>,
    proc: &ProcRoot,
) -> Result<OwnedFd, Errno> {
    let tree = clone_only(tree, changes.recursive)?;
    let slave = warren_mounts::Change {
        propagation: crate::spec::PropagationKind::Slave.bits(),
        ..warren_mounts::Change::default()
    };
    warren_mounts::change(tree.as_fd(), slave, true)?;
    changes.apply(tree.as_fd())?;
    if let Some(lines) = ids {
        let user = maps::user_namespace(lines, proc)?;
        warren_mounts::shift_ids(tree.as_fd(), user.as_fd(), changes.shifts_below)?;
    }
    Ok(tree)
}

/// Wakes the child from its wait.
fn release(report: &Report) -> Result<(), Errno> {
    report.released().store(1, Ordering::Release);
    futex::wake(report.released(), futex::Flags::empty(), 1).map(drop)
}
