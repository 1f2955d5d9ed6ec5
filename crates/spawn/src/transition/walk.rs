//! The caller, and after a fork the program's process, walk a plan.

mod enter;

use std::cell::OnceCell;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Signal;
use rustix::thread::{Gid, Uid};
use warren_cgroups::Entrance;
use warren_confine::{CapabilitySet, caps};
use warren_namespaces::{IdMap, Kind, NamespaceSet, NotProcfs, ProcRoot};
use warren_sys::Errno;

use super::helper::{self, Helper};
use super::spec::{Clock, Environment, Identity, Propagation, SetGroups};
use super::step::{MapFile, Side, Step};
use super::{Failed, Outcome, Plan, wait};

/// What the steps leave to later steps.
pub(super) struct Walk<'a> {
    plan: &'a Plan,
    /// Opened when it is needed: much can be done without.
    proc: OnceCell<ProcRoot>,
    target: Option<OwnedFd>,
    /// The target's namespaces, where setns(2) takes no pidfd.
    target_kinds: Vec<(Kind, OwnedFd)>,
    others: Vec<OwnedFd>,
    /// The kinds of the target that were entered at the first attempt.
    entered: NamespaceSet,
    /// The numbers of the others that were.
    entered_others: Vec<usize>,
    root: Option<OwnedFd>,
    cwd: Option<OwnedFd>,
    folder: Option<OwnedFd>,
    cgroups: Option<Entrance>,
    environment: Option<Vec<OsString>>,
    groups_failed: bool,
    pub(super) helper: Option<Helper>,
    /// The caller's pidfd, for a program that is to end with it.
    pub(super) caller: Option<OwnedFd>,
}

/// How a step ends that does not end well.
pub(super) enum Stop {
    Errno(Errno),
    /// It was another step in truth.
    Instead(Step, Errno),
    /// A program that helped has failed, and said why.
    Said(i32),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

type Walked = Result<(), Stop>;

/// Walks all steps. Returns what became of the program, or in the process where a step
/// failed that failure.
pub fn walk(plan: &Plan) -> Outcome {
    let mut walk = Walk {
        plan,
        proc: OnceCell::new(),
        target: None,
        target_kinds: Vec::new(),
        others: Vec::new(),
        entered: NamespaceSet::EMPTY,
        entered_others: Vec::new(),
        root: None,
        cwd: None,
        folder: None,
        cgroups: None,
        environment: None,
        groups_failed: false,
        helper: None,
        caller: None,
    };
    let mut side = Side::Caller;
    let mut number = 0;
    while let Some((whose, step)) = plan.steps.get(number) {
        let done = match (whose, step) {
            (_, Step::Fork) => match walk.fork(number) {
                Ok(wait::Forked::Program) => {
                    side = Side::Program;
                    number = walk.first_of_program();
                    continue;
                }
                Ok(wait::Forked::Caller(outcome)) => return outcome,
                Err(stop) => Err(stop),
            },
            (Side::Helper, _) => walk.ask_helper(number),
            (whose, step) if *whose == side => walk.take(step),
            _ => Ok(()),
        };
        if let Err(stop) = done {
            return walk.stopped(step, stop);
        }
        number += 1;
    }
    Outcome::Failed(Failed::new(plan, &Step::Fork, Errno::INVAL))
}

impl<'a> Walk<'a> {
    fn stopped(&self, step: &Step, stop: Stop) -> Outcome {
        match stop {
            Stop::Errno(errno) => Outcome::Failed(Failed::new(self.plan, step, errno)),
            Stop::Instead(step, errno) => {
                Outcome::Failed(Failed::new(self.plan, &step, errno))
            }
            Stop::Said(code) => Outcome::Failed(Failed::said(step, code)),
        }
    }

    fn proc(&self) -> Result<&ProcRoot, Errno> {
        if let Some(proc) = self.proc.get() {
            return Ok(proc);
        }
        let proc = ProcRoot::open().map_err(|error| match error {
            NotProcfs::Open(errno) => errno,
            // As its files are not there.
            NotProcfs::Other => Errno::NOENT,
        })?;
        Ok(self.proc.get_or_init(|| proc))
    }

    pub(super) fn plan(&self) -> &'a Plan {
        self.plan
    }

    fn first_of_program(&self) -> usize {
        let of_program = |(side, _): &(Side, Step)| *side == Side::Program;
        self.plan.steps.iter().position(of_program).unwrap_or(0)
    }

    /// The caller's and the helper's steps after a fork, with their own failures.
    pub(super) fn after_fork(&mut self, fork: usize) -> Option<Outcome> {
        let plan = self.plan;
        for (number, (side, step)) in plan.steps.iter().enumerate().skip(fork + 1) {
            let done = match side {
                Side::Helper => self.ask_helper(number),
                Side::Caller => self.take(step),
                Side::Program => continue,
            };
            if let Err(stop) = done {
                return Some(self.stopped(step, stop));
            }
        }
        None
    }

    fn fork(&mut self, number: usize) -> Result<wait::Forked, Stop> {
        let fork = self.plan.wanted.fork.unwrap_or_default();
        wait::fork(self, fork, number)
    }

    /// Has the helper do a step; lets it go after its last.
    fn ask_helper(&mut self, number: usize) -> Walked {
        let helper = self.helper.as_mut().ok_or(Errno::CHILD)?;
        let done = helper.ask(number);
        let later = &self.plan.steps[number + 1..];
        if done.is_err() || !later.iter().any(|(side, _)| *side == Side::Helper) {
            self.helper = None;
        }
        done
    }

    /// Does a step of the caller's or the program's.
    pub(super) fn take(&mut self, step: &Step) -> Walked {
        match step {
            Step::OpenNamespace { kind, from } => self.open_namespace(*kind, from),
            Step::OpenTarget(target) => self.open_target(target),
            Step::OpenRoot(path) => {
                self.root = Some(open_folder(path)?);
                Ok(())
            }
            Step::OpenCwd(path) => {
                self.cwd = Some(open_folder(path)?);
                Ok(())
            }
            Step::ReadEnvironment(pid) => self.read_environment(*pid),
            Step::OpenCgroups(pid) => self.open_cgroups(*pid),
            Step::FollowContext(pid) => self.follow_context(*pid),
            Step::ReadIds(pid) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let folder = rustix::fs::openat(
                    self.proc()?,
                    pid.to_string(),
                    flags,
                    Mode::empty(),
                )?;
                self.folder = Some(folder);
                Ok(())
            }
            Step::CheckTarget(_) => match &self.target {
                Some(target) => Ok(warren_sys::is_alive(target.as_fd())?),
                None => Ok(()),
            },
            Step::ForkHelper => {
                self.helper = Some(helper::fork(self.plan, self.proc()?)?);
                Ok(())
            }
            Step::DropGroups { one_of_two } => self.drop_groups(*one_of_two),
            Step::SetGid(id) => {
                let gid = Gid::from_raw(valid(self.id(*id, "Gid:")?)?);
                Ok(rustix::thread::set_thread_res_gid(gid, gid, gid)?)
            }
            Step::SetUid(id) => {
                let uid = Uid::from_raw(valid(self.id(*id, "Uid:")?)?);
                Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
            }
            Step::KeepCapabilities => Ok(rustix::thread::set_keep_capabilities(true)?),
            Step::EnterTarget { kinds, attempt } => self.enter_target(*kinds, *attempt),
            Step::EnterOther {
                kind,
                number,
                attempt,
            } => self.enter_other(*kind, *number, *attempt),
            Step::Unshare(kinds) => Ok(warren_sys::unshare(kinds.clone_flags())?),
            Step::WriteOwnMap { file, line } => self.write_own_map(*file, *line),
            Step::WriteOwnSetGroups(what) => self.write_own_set_groups(*what),
            Step::ShiftClock { clock, seconds } => self.shift_clock(*clock, *seconds),
            Step::Pin { kind, path } => {
                let own = own_folder(self.proc()?)?;
                Ok(helper::pin(own.as_fd(), *kind, path)?)
            }
            Step::DieWithCaller(signal) => {
                let signal = Signal::from_named_raw(*signal).ok_or(Errno::INVAL)?;
                rustix::process::set_parent_process_death_signal(Some(signal))?;
                match &self.caller {
                    Some(caller) => Ok(wait::end_without(caller, signal.as_raw())?),
                    None => Ok(()),
                }
            }
            Step::Propagate(how) => propagate(*how),
            Step::KeepCwd => {
                self.cwd = Some(open_folder(Path::new("."))?);
                Ok(())
            }
            Step::EnterRoot => {
                rustix::process::fchdir(self.root.as_ref().ok_or(Errno::BADF)?)?;
                rustix::process::chroot(c".")?;
                Ok(rustix::process::chdir(c"/")?)
            }
            Step::ChangeRoot(path) => Ok(rustix::process::chroot(path)?),
            Step::EnterCwd => Ok(rustix::process::fchdir(
                self.cwd.as_ref().ok_or(Errno::BADF)?,
            )?),
            Step::ChangeCwd(path) => Ok(rustix::process::chdir(path)?),
            Step::MountProc(path) => mount(c"proc", path),
            Step::MountBinfmt(path) => mount(c"binfmt_misc", path),
            Step::Register { folder, line } => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                let file =
                    rustix::fs::open(folder.join("register"), flags, Mode::empty())?;
                rustix::io::write(&file, line.as_bytes())?;
                Ok(())
            }
            Step::JoinCgroups => self.join_cgroups(),
            Step::RaiseAmbient => raise_ambient(),
            Step::ForkInit => wait::fork_init(),
            Step::Exec(_) => self.execute(),
            Step::OpenOfTarget { .. }
            | Step::WriteMap { .. }
            | Step::WriteSetGroups(_)
            | Step::Fork => Ok(()),
        }
    }

    // The caller itself.

    fn id(&self, id: Identity, field: &str) -> Result<u32, Errno> {
        match id {
            Identity::Known(id) => Ok(id),
            Identity::OfTarget => {
                let folder = self.folder.as_ref().ok_or(Errno::BADF)?;
                effective_id(folder, field)
            }
        }
    }

    /// Groups can be given up before a user namespace is entered by who is privileged
    /// here, or in it by who is privileged there.
    fn drop_groups(&mut self, one_of_two: bool) -> Walked {
        match rustix::thread::set_thread_groups(&[]) {
            Err(_) if one_of_two && !self.groups_failed => {
                self.groups_failed = true;
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn write_own_map(&self, file: MapFile, line: IdMap) -> Walked {
        let path = match file {
            MapFile::Uid => c"self/uid_map",
            MapFile::Gid => c"self/gid_map",
        };
        Ok(self.write(path, IdMap::text(&[line]).as_bytes())?)
    }

    fn write_own_set_groups(&self, what: SetGroups) -> Walked {
        Ok(self.write(c"self/setgroups", what.to_string().as_bytes())?)
    }

    fn shift_clock(&self, clock: Clock, seconds: i64) -> Walked {
        let text = format!("{clock} {seconds} 0");
        Ok(self.write(c"self/timens_offsets", text.as_bytes())?)
    }

    fn write(&self, path: &CStr, text: &[u8]) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.proc()?, path, flags, Mode::empty())?;
        rustix::io::write(&file, text).map(drop)
    }

    fn execute(&mut self) -> Walked {
        let wanted = &self.plan.wanted;
        let environment = match (&wanted.env, self.environment.take()) {
            (Environment::OfTarget, environment) => environment.unwrap_or_default(),
            (Environment::Given(variables), _) => {
                let joined = variables.iter().map(|(key, value)| {
                    let mut text = key.clone();
                    text.push("=");
                    text.push(value);
                    text
                });
                joined.collect()
            }
        };
        self.close_folders();
        Err(super::exec::execute(wanted, environment).into())
    }

    /// Closes what leads to folders of the outside. Not first at the exec: by then the kernel
    /// has looked for the program, and for the interpreter that its first line names, which
    /// may be /proc/self/fd/N/../bin/NAME (CVE-2024-21626).
    fn close_folders(&mut self) {
        self.proc.take();
        self.target = None;
        self.target_kinds.clear();
        self.others.clear();
        self.cgroups = None;
        for folder in [&mut self.root, &mut self.cwd, &mut self.folder] {
            *folder = None;
        }
    }
}

/// The folder of the calling process in /proc, which stays its own whoever looks.
pub(super) fn own_folder(proc: &ProcRoot) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, c"self", flags, Mode::empty())
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    open_file(path)
}

fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn mount(filesystem: &CStr, path: &Path) -> Walked {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let path = c_path(path)?;
    Ok(rustix::mount::mount(
        filesystem, &path, filesystem, flags, None,
    )?)
}

fn propagate(how: Propagation) -> Walked {
    let how = match how {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Shared => MountPropagationFlags::SHARED,
    };
    let flags = how | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change(c"/", flags)?)
}

fn raise_ambient() -> Walked {
    let permitted = rustix::thread::capabilities(None)?.permitted.bits();
    let permitted = CapabilitySet::from_bits(permitted);
    caps::set(permitted, permitted, permitted)?;
    Ok(caps::raise_ambient(permitted)?)
}

/// The second number of a line of /proc/PID/status, in the ids of the user namespace of
/// who opens it.
fn effective_id(folder: &OwnedFd, field: &str) -> Result<u32, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let status = rustix::fs::openat(folder, c"status", flags, Mode::empty())?;
    // The lines of the ids come first.
    let mut buffer = [0; 4096];
    let length = rustix::io::read(&status, &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_ascii_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .ok_or(Errno::INVAL)
}

pub(super) fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)
}

/// # Errors
/// `EDEADLK` in a program with threads, one of which might hold a lock for ever in a
/// child that is forked now.
pub(super) fn check_threads() -> Result<(), Errno> {
    if warren_sys::has_one_thread() {
        return Ok(());
    }
    Err(Errno::DEADLK)
}

/// The last number is no id: it would mean "as it is".
fn valid(id: u32) -> Result<u32, Errno> {
    if id == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok(id)
}
