//! The caller, and after a fork the program's process, walk a plan.

use std::cell::OnceCell;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::{Gid, Uid};
use warren_cgroups::{Cgroup, Hierarchies};
use warren_confine::{CapabilitySet, caps};
use warren_namespaces::{IdMap, Kind, NamespaceSet, NotProcfs, ProcRoot};
use warren_sys::Errno;

use super::helper::{self, Helper};
use super::spec::{Clock, Environment, Identity, Propagation, SetGroups, Source, Target};
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
    cgroups: Option<Cgroup>,
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
            NotProcfs::Other => Errno::XDEV,
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

    // The namespaces of others.

    fn open_namespace(&mut self, kind: Kind, from: &Source) -> Walked {
        let fd = match from {
            Source::Path(path) => open_file(path)?,
            Source::Id(id) => super::by_id::open(self.proc()?, kind, *id)?,
            Source::Socket(number) => self.socket_namespace(*number)?,
            Source::Owner => self.owner()?,
        };
        self.others.push(fd);
        Ok(())
    }

    /// Without a pidfd there is a chance that another process has the number by now.
    fn open_target(&mut self, target: &Target) -> Walked {
        let pid = i32::try_from(target.pid).ok().and_then(Pid::from_raw);
        let opened = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        let kinds = self.plan.wanted.enter.kinds.clone();
        let pidfd = match opened {
            Ok(pidfd) => pidfd,
            // A thread, of which there is no pidfd: EINVAL, and since Linux 6.9 ENOENT.
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOENT)
                if target.pidfd_inode.is_none() =>
            {
                return self.open_kinds(target.pid, &kinds);
            }
            Err(errno) => return Err(errno.into()),
        };
        if let Some(inode) = target.pidfd_inode
            && rustix::fs::fstat(&pidfd)?.st_ino != inode
        {
            return Err(Errno::SRCH.into());
        }
        if !takes_pidfd() {
            self.open_kinds(target.pid, &kinds)?;
            warren_sys::is_alive(pidfd.as_fd())?;
        }
        self.target = Some(pidfd);
        Ok(())
    }

    fn open_kinds(&mut self, pid: u32, kinds: &[Kind]) -> Walked {
        for kind in kinds.iter().copied() {
            let fd = self
                .open_of_process(&pid.to_string(), kind)
                .map_err(|errno| {
                    Stop::Instead(Step::OpenOfTarget { pid, kind }, errno)
                })?;
            self.target_kinds.push((kind, fd));
        }
        Ok(())
    }

    fn open_of_process(&self, process: &str, kind: Kind) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = format!("{process}/ns/{kind}");
        rustix::fs::openat(self.proc()?, path, flags, Mode::empty())
    }

    fn socket_namespace(&self, number: i32) -> Result<OwnedFd, Errno> {
        let target = self.target.as_ref().ok_or(Errno::SRCH)?;
        let flags = rustix::process::PidfdGetfdFlags::empty();
        let socket = rustix::process::pidfd_getfd(target, number, flags)?;
        warren_sys::socket_namespace(socket.as_fd())
    }

    /// The owner of the first namespace that is entered and is no user namespace.
    fn owner(&self) -> Result<OwnedFd, Errno> {
        let enter = &self.plan.wanted.enter;
        let process = enter
            .target
            .map_or("self".to_owned(), |target| target.pid.to_string());
        let no_user = |kind: &&Kind| **kind != Kind::User;
        let of = match (enter.kinds.iter().find(no_user), self.others.first()) {
            (Some(kind), _) => self.open_of_process(&process, *kind)?,
            (None, Some(other)) => other.try_clone().map_err(|_| Errno::MFILE)?,
            (None, None) => self.open_of_process(&process, Kind::User)?,
        };
        warren_sys::namespace_user(of.as_fd())
    }

    fn enter_target(&mut self, kinds: NamespaceSet, attempt: bool) -> Walked {
        let entered = self.entered;
        let left: NamespaceSet = kinds
            .iter()
            .filter(|kind| !entered.contains(*kind))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if !self.target_kinds.is_empty() {
            return self.enter_one_by_one(left, attempt);
        }
        let target = self.target.as_ref().ok_or(Errno::SRCH)?;
        let enter =
            |kinds: NamespaceSet| warren_sys::setns(target.as_fd(), kinds.clone_flags());
        let entered = match enter(left) {
            Err(Errno::PERM) if !attempt => enter(self.elsewhere(left)?),
            entered => entered,
        };
        match entered {
            Ok(()) => self.entered = kinds,
            Err(_) if attempt => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Those kinds in which the target is not where the caller is: who has no right to a
    /// namespace need not enter it if it is in there.
    fn elsewhere(&self, kinds: NamespaceSet) -> Result<NamespaceSet, Errno> {
        let target = self.plan.wanted.enter.target.ok_or(Errno::PERM)?;
        let inode = |process: &str, kind: Kind| {
            let path = format!("{process}/ns/{kind}");
            rustix::fs::statat(self.proc()?, path, AtFlags::empty())
                .map(|stat| stat.st_ino)
        };
        let pid = target.pid.to_string();
        let elsewhere = |kind: &Kind| match (inode("self", *kind), inode(&pid, *kind)) {
            (Ok(own), Ok(theirs)) => own != theirs,
            _ => true,
        };
        let left: NamespaceSet = kinds.iter().filter(elsewhere).collect();
        if left.is_empty() {
            Err(Errno::PERM)
        } else {
            Ok(left)
        }
    }

    fn enter_one_by_one(&mut self, left: NamespaceSet, attempt: bool) -> Walked {
        for kind in super::plan::in_order(left) {
            let number = self
                .target_kinds
                .iter()
                .position(|(other, _)| *other == kind);
            let (_, fd) = &self.target_kinds[number.ok_or(Errno::BADF)?];
            match warren_sys::setns(fd.as_fd(), kind.clone_flag()) {
                Ok(()) => self.entered = self.entered.with(kind),
                Err(_) if attempt => {}
                Err(errno) => {
                    let step = Step::EnterOther {
                        kind,
                        number: number.unwrap_or_default(),
                        attempt,
                    };
                    return Err(Stop::Instead(step, errno));
                }
            }
        }
        Ok(())
    }

    fn enter_other(&mut self, kind: Kind, number: usize, attempt: bool) -> Walked {
        if self.entered_others.contains(&number) {
            return Ok(());
        }
        let fd = self.others.get(number).ok_or(Errno::BADF)?;
        match warren_sys::setns(fd.as_fd(), kind.clone_flag()) {
            Ok(()) => {
                self.entered_others.push(number);
                Ok(())
            }
            Err(_) if attempt => Ok(()),
            // The owner of the others may be the caller's own.
            Err(Errno::INVAL) if self.is_own_user_namespace(kind, fd) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn is_own_user_namespace(&self, kind: Kind, fd: &OwnedFd) -> bool {
        let enter = &self.plan.wanted.enter;
        let by_owner = enter.others.iter().any(|(_, from)| *from == Source::Owner);
        let own = self.proc().and_then(|proc| {
            let stat = rustix::fs::statat(proc, c"self/ns/user", AtFlags::empty())?;
            Ok(stat.st_ino)
        });
        let inode = rustix::fs::fstat(fd).map(|stat| stat.st_ino);
        kind == Kind::User && by_owner && own == inode
    }

    // What else is the target's.

    fn read_environment(&mut self, pid: u32) -> Walked {
        let text = self
            .proc()?
            .read(&format!("{pid}/environ"))
            .map_err(|error| error.errno())?;
        let variables = text.split(|byte| *byte == 0);
        // What is no variable would be none to the program either.
        let variables = variables
            .filter(|text| text.iter().skip(1).any(|byte| *byte == b'='))
            .map(|text| OsString::from_vec(text.to_vec()));
        self.environment = Some(variables.collect());
        Ok(())
    }

    fn open_cgroups(&mut self, pid: u32) -> Walked {
        let proc = self.proc()?;
        let cgroups = Hierarchies::detect(proc)
            .and_then(|hierarchies| Cgroup::of_process(&hierarchies, proc, pid));
        self.cgroups = Some(cgroups.map_err(|error| error.errno())?);
        Ok(())
    }

    /// By 0 the kernel means the writer, whatever pid namespaces call it.
    fn join_cgroups(&self) -> Walked {
        const SELF: u32 = 0;
        let cgroups = self.cgroups.as_ref().ok_or(Errno::BADF)?;
        cgroups.join(SELF).map_err(|error| error.errno().into())
    }

    fn follow_context(&self, pid: u32) -> Walked {
        if !Path::new("/sys/fs/selinux/enforce").exists() {
            return Ok(());
        }
        let label = self
            .proc()?
            .read(&format!("{pid}/attr/current"))
            .map_err(|error| error.errno())?;
        Ok(self.write(c"thread-self/attr/exec", &label)?)
    }

    fn id(&self, id: Identity, field: &str) -> Result<u32, Errno> {
        match id {
            Identity::Known(id) => Ok(id),
            Identity::OfTarget => {
                let folder = self.folder.as_ref().ok_or(Errno::BADF)?;
                effective_id(folder, field)
            }
        }
    }

    // The caller itself.

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
        Err(super::exec::execute(wanted, environment).into())
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

/// Whether setns(2) takes a pidfd: KERNEL(5.8). Not to be told from its errno, which
/// before was that of any wrong descriptor.
fn takes_pidfd() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map(|text| text.parse().unwrap_or(0_u32));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}
