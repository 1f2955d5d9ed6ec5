//! The parent's side of a plan: opens what it needs, clones, does its part, and hears
//! how it went.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags,
    SocketType,
};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::futex;
use warren_namespaces::accounts::Accounts;
use warren_namespaces::{IdMap, Kind, NsFd, ProcRoot};
use warren_sys::signal::{self, SignalSet};
use warren_sys::{CloneArgs, Errno, Forked, SharedPage};

use crate::child::{self, Inheritance};
use crate::error::{Error, ErrorKind};
use crate::host::helper;
use crate::ids::Reservation;
use crate::process::{Child, TerminalEnd};
use crate::reasons;
use crate::report::Report;
use crate::spec::{Access, Join};
use crate::step::{MapLines, MapWriter, Maps, Step};
use crate::{Plan, Side};

/// What the program gets as its standard streams, where not the caller's.
#[derive(Debug, Default)]
pub struct Streams(pub [Option<OwnedFd>; 3]);

/// What the parent's steps have opened.
#[derive(Debug, Default)]
struct Opened {
    trees: Vec<OwnedFd>,
    namespaces: Vec<OwnedFd>,
    reservation: Option<Reservation>,
}

impl Plan {
    /// Carries the plan out. Returns when the program has been executed.
    ///
    /// # Errors
    /// The step that failed; nothing of the process is left then.
    pub fn launch(self) -> Result<Child, Error> {
        self.launch_with(Streams::default())
    }

    pub(crate) fn launch_with(self, streams: Streams) -> Result<Child, Error> {
        self.check_kept_descriptors()?;
        let proc = open_proc()?;
        let report = SharedPage::<Report>::new()
            .map_err(|errno| Error::step("map the page of the child's report", errno))?;
        if self.timed {
            report.take_times();
        }
        if self.has_init {
            warren_sys::arguments::find();
        }
        let (clone, opened) = self.before_clone(&report)?;
        let channels = Channels::new(self.has_terminal)?;
        let started =
            self.clone_child(clone, &proc, &report, &opened, channels, &streams)?;
        // The child has its own copies of what is closed here.
        drop(streams);
        let terminal = self.after_clone(clone, &proc, &report, &opened, &started)?;
        Ok(Child::new(
            started.pid,
            started.pidfd,
            report,
            self,
            terminal,
            opened.reservation,
        ))
    }

    /// Before anything is opened, so that no number is one of ours.
    fn check_kept_descriptors(&self) -> Result<(), Error> {
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
    fn before_clone(&self, report: &Report) -> Result<(usize, Opened), Error> {
        let mut opened = Opened::default();
        let mut processes = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            report.begin_of_parent(number);
            match step {
                Step::ReserveIds => opened.reservation = Some(reserve(step)?),
                Step::OpenNamespace { kind, from } => {
                    let fd = open_namespace(*kind, from, &mut processes)
                        .map_err(|errno| self.failed(step, errno))?;
                    opened.namespaces.push(fd);
                }
                Step::CloneTree {
                    path,
                    access,
                    recursive,
                } => {
                    let tree = clone_tree(path, *access, *recursive)
                        .map_err(|errno| self.failed(step, errno))?;
                    opened.trees.push(tree);
                }
                Step::Clone { .. } => return Ok((number, opened)),
                _ => {}
            }
        }
        Err(Error::spec("the plan has no clone"))
    }

    fn clone_child(
        &self,
        clone: usize,
        proc: &ProcRoot,
        report: &Report,
        opened: &Opened,
        channels: Channels,
        streams: &Streams,
    ) -> Result<Started, Error> {
        let Step::Clone { namespaces } = &self.steps[clone] else {
            return Err(Error::spec("the plan has no clone"));
        };
        let args = CloneArgs {
            namespaces: namespaces.clone_flags(),
            cgroup: None,
        };
        // A handler of this program that ran in the child could do what the child must
        // not; CLONE_CLEAR_SIGHAND comes too late for a signal that is pending now.
        let blocked = signal::set_blocked(SignalSet::ALL);
        // SAFETY: the child's branch calls child::run at once, which keeps its rules,
        // and what is dropped before it is a descriptor.
        let forked = unsafe { warren_sys::clone3(args) };
        if matches!(forked, Ok(Forked::Child)) {
            // As long as the child held it too, a dead parent could not be told.
            drop(channels.alive_reader);
            let [stdin, stdout, stderr] = &streams.0;
            child::run(&Inheritance {
                steps: &self.steps,
                report,
                alive: channels.alive_writer.as_fd(),
                trees: &opened.trees,
                namespaces: &opened.namespaces,
                proc: proc.as_fd(),
                stdio: [stdin, stdout, stderr].map(|fd| fd.as_ref().map(OwnedFd::as_fd)),
                terminal: channels.terminal.as_ref().map(|(_, child)| child.as_fd()),
                blocked,
            });
        }
        if !self.hold_signals || forked.is_err() {
            signal::set_blocked(blocked);
        }
        match forked {
            Ok(Forked::Parent { pid, pidfd }) => Ok(Started {
                pid,
                pidfd,
                alive: channels.alive_reader,
                terminal: channels.terminal.map(|(parent, _)| parent),
            }),
            Ok(Forked::Child) => Err(Error::spec("unreachable: the child never returns")),
            Err(errno) => Err(self.failed(&self.steps[clone], errno)),
        }
    }

    /// The parent's steps after the clone, then the child's word. Whatever fails, the
    /// child is gone afterwards.
    fn after_clone(
        &self,
        clone: usize,
        proc: &ProcRoot,
        report: &Report,
        opened: &Opened,
        started: &Started,
    ) -> Result<Option<TerminalEnd>, Error> {
        let result = self
            .parent_steps(clone, proc, report, opened, started)
            .and_then(|()| started.receive_terminal())
            .and_then(|terminal| {
                started.await_exec()?;
                Ok(terminal)
            });
        let failed = self.child_failure(report);
        match (failed, result) {
            (None, Ok(terminal)) if self.reached_exec(report) => Ok(terminal),
            (Some(error), _) => {
                started.end();
                Err(error)
            }
            (None, Err(error)) => {
                started.end();
                Err(error)
            }
            (None, Ok(_)) => {
                let status = started.end();
                Err(self.child_died(report, status))
            }
        }
    }

    fn parent_steps(
        &self,
        clone: usize,
        proc: &ProcRoot,
        report: &Report,
        opened: &Opened,
        started: &Started,
    ) -> Result<(), Error> {
        let steps = self.steps.iter().enumerate().skip(clone + 1);
        for (number, step) in steps.filter(|(_, step)| step.side() == Side::Parent) {
            report.begin_of_parent(number);
            match step {
                Step::WriteMaps { maps } => {
                    write_maps(maps, proc, started.pid, opened)
                        .map_err(|error| error.explain(self, step))?;
                }
                Step::ShiftIds { tree, .. } => {
                    shift_ids(&opened.trees[*tree], proc, started.pid)
                        .map_err(|errno| self.failed(step, errno))?
                }
                Step::Release => {
                    release(report).map_err(|errno| self.failed(step, errno))?
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn failed(&self, step: &Step, errno: Errno) -> Error {
        Error::step(step, errno).hints_of(reasons::of(step, errno, None, self))
    }

    /// What the child has reported, in words.
    fn child_failure(&self, report: &Report) -> Option<Error> {
        let (errno, detail) = report.failure()?;
        let step = self.steps.get(report.step())?;
        let error = Error::step(step, errno).hints_of(reasons::of(
            step,
            errno,
            Some(detail),
            self,
        ));
        Some(match (step, errno) {
            (Step::Exec(_), Errno::NOENT) => error.kind_of(ErrorKind::NotFound),
            (Step::Exec(_), _) => error.kind_of(ErrorKind::NotExecutable),
            _ => error,
        })
    }

    fn reached_exec(&self, report: &Report) -> bool {
        matches!(self.steps.get(report.step()), Some(Step::Exec(_)))
    }

    fn child_died(&self, report: &Report, status: Option<i32>) -> Error {
        let step = self.steps.get(report.step()).map(ToString::to_string);
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

/// The pipe and the socket between parent and child.
struct Channels {
    alive_reader: OwnedFd,
    alive_writer: OwnedFd,
    /// The parent's and the child's end.
    terminal: Option<(OwnedFd, OwnedFd)>,
}

impl Channels {
    fn new(terminal: bool) -> Result<Self, Error> {
        let failed = |errno| Error::step("make a channel to the child", errno);
        let (alive_reader, alive_writer) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        };
        let terminal = terminal.then(pair).transpose().map_err(failed)?;
        Ok(Self {
            alive_reader,
            alive_writer,
            terminal,
        })
    }
}

/// The child, before it is known to have become the program.
struct Started {
    pid: i32,
    pidfd: OwnedFd,
    alive: OwnedFd,
    terminal: Option<OwnedFd>,
}

impl Started {
    /// Waits until nobody holds the pipe's other end: the program was executed, or the
    /// child is gone.
    fn await_exec(&self) -> Result<(), Error> {
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.alive, &mut byte) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::step("hear from the child", errno)),
            }
        }
    }

    /// Takes the terminal that the child has opened; none if it died before.
    fn receive_terminal(&self) -> Result<Option<TerminalEnd>, Error> {
        let Some(channel) = &self.terminal else {
            return Ok(None);
        };
        let failed = |errno| Error::step("receive the terminal from the child", errno);
        let master = receive_descriptor(channel.as_fd()).map_err(failed)?;
        let Some(master) = master else {
            return Ok(None);
        };
        let events = channel.try_clone().map_err(|_| failed(Errno::MFILE))?;
        Ok(Some(TerminalEnd { master, events }))
    }

    /// Kills it and takes its wait status.
    fn end(&self) -> Option<i32> {
        let kill = rustix::process::Signal::KILL;
        // ESRCH: it has died by itself.
        if rustix::process::pidfd_send_signal(&self.pidfd, kill) == Err(Errno::NOSYS) {
            // It is not reaped yet, so the number is still its own.
            let _ = signal::kill(self.pid, kill.as_raw());
        }
        crate::process::reap(self.pid).ok()
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

/// Opens the namespace of one kind.
///
/// All those of one process are opened while its pidfd says that it lives, so that a
/// process which gets its number in between cannot lend one of its own.
fn open_namespace(
    kind: Kind,
    from: &Join,
    processes: &mut Vec<(u32, OwnedFd)>,
) -> Result<OwnedFd, Errno> {
    let namespace = match from {
        Join::Path(path) => NsFd::open(path)?,
        Join::Fd(number) => NsFd::open(Path::new(&format!("/proc/self/fd/{number}")))?,
        Join::Process(pid) => {
            let pidfd = pidfd_of(*pid, processes)?;
            let namespace = NsFd::open(Path::new(&format!("/proc/{pid}/ns/{kind}")))?;
            // Signal 0 asks whether the very process is still there.
            warren_sys::is_alive(pidfd)?;
            namespace
        }
    };
    if namespace.kind() == kind {
        Ok(namespace.into_fd())
    } else {
        Err(Errno::INVAL)
    }
}

fn pidfd_of(
    pid: u32,
    processes: &mut Vec<(u32, OwnedFd)>,
) -> Result<BorrowedFd<'_>, Errno> {
    let place = match processes.iter().position(|(known, _)| *known == pid) {
        Some(place) => place,
        None => {
            let id = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .ok_or(Errno::SRCH)?;
            let pidfd = rustix::process::pidfd_open(id, PidfdFlags::empty())?;
            processes.push((pid, pidfd));
            processes.len() - 1
        }
    };
    Ok(processes[place].1.as_fd())
}

fn clone_tree(path: &Path, access: Access, recursive: bool) -> Result<OwnedFd, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let path =
        std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let tree = warren_mounts::clone_tree(rustix::fs::CWD, &path, recursive)?;
    warren_mounts::set_attributes(tree.as_fd(), child::attributes(access), recursive)?;
    Ok(tree)
}

fn shift_ids(tree: &OwnedFd, proc: &ProcRoot, pid: i32) -> Result<(), Errno> {
    let path = format!("{pid}/ns/user");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // The last component is a magic link by design: a namespace of our own child.
    let user = rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())?;
    warren_mounts::shift_ids(tree.as_fd(), user.as_fd())
}

/// Wakes the child from its wait.
fn release(report: &Report) -> Result<(), Errno> {
    report.released().store(1, Ordering::Release);
    futex::wake(report.released(), futex::Flags::empty(), 1).map(drop)
}

/// Why a map could not be written, before the hints are known.
enum MapFailure {
    Write(Errno),
    Helper(Error),
}

impl MapFailure {
    fn explain(self, plan: &Plan, step: &Step) -> Error {
        match self {
            Self::Write(errno) => plan.failed(step, errno),
            Self::Helper(error) => error,
        }
    }
}

fn write_maps(
    maps: &Maps,
    proc: &ProcRoot,
    pid: i32,
    opened: &Opened,
) -> Result<(), MapFailure> {
    let block = opened
        .reservation
        .as_ref()
        .map(|reservation| vec![reservation.map()]);
    let (uids, gids) = match (&maps.lines, block) {
        (MapLines::Known { uids, gids }, _) => (uids.clone(), gids.clone()),
        (MapLines::FreeBlock, Some(block)) => (block.clone(), block),
        (MapLines::FreeBlock, None) => return Err(MapFailure::Write(Errno::INVAL)),
    };
    match maps.writer {
        MapWriter::Parent => write_map(proc, pid, "uid_map", &uids)
            .and_then(|()| write_map(proc, pid, "gid_map", &gids))
            .map_err(MapFailure::Write),
        MapWriter::Helpers => run_helper("newuidmap", pid, &uids)
            .and_then(|()| run_helper("newgidmap", pid, &gids))
            .map_err(MapFailure::Helper),
        MapWriter::Child => Ok(()),
    }
}

/// The kernel takes a map in one write.
fn write_map(proc: &ProcRoot, pid: i32, name: &str, map: &[IdMap]) -> Result<(), Errno> {
    let path = format!("{pid}/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())?;
    rustix::io::write(&file, IdMap::text(map).as_bytes()).map(drop)
}

fn run_helper(name: &str, pid: i32, map: &[IdMap]) -> Result<(), Error> {
    let doing = format!("write the id maps by {name}");
    let Some(path) = helper(name) else {
        return Err(Error::new(ErrorKind::Step, doing + ": it is not installed")
            .hint("install it (Debian: uidmap), or map one id alone (--map single)"));
    };
    let numbers = map
        .iter()
        .flat_map(|line| [line.inside, line.outside, line.count]);
    let failed = |why: &str| Error::new(ErrorKind::Step, format!("{doing}: {why}"));
    let mut helper = std::process::Command::new(path)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .env_clear()
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let said = helper.stderr.take().map(words).unwrap_or_default();
    let status = helper.wait().map_err(|error| failed(&error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    // One that was killed says nothing.
    let why = if said.is_empty() {
        status.to_string()
    } else {
        said
    };
    Err(failed(&why)
        .hint("it grants what /etc/subuid and /etc/subgid list for the user, and needs its set-user-id bit or file capability")
        .hint("one id alone needs no helper: --map single"))
}

/// What a helper says, as far as it can be read.
fn words(mut stream: std::process::ChildStderr) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    // Not by Command::output, which panics where a read fails.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn receive_descriptor(channel: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        let into = &mut [std::io::IoSliceMut::new(&mut byte)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(channel, into, &mut control, flags) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut messages = control.drain();
    Ok(messages.find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}
