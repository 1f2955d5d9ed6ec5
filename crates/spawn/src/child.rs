//! The child's side of a plan, from clone to exec.
//!
//! What runs here runs in a copy of one thread of a program that may have had others:
//! a lock that another thread held is held for ever, the heap's among them. So in this
//! file, in those below it, in `init.rs`, and in what they call: no allocation, no lock, no formatting, no
//! unwinding, no destructor but that of a descriptor. A step that fails is noted in the
//! [`Report`] as a number and an errno, and the process is gone; the parent has the
//! words.
//!
//! A function with a buffer of some thousand bytes is not inlined: the walk would have all
//! of them on its stack, and each page of that which a child touches is one to be made.

mod cgroups;
mod copy;
mod detailed;
mod digits;
mod enter;
mod exec;
mod gate;
mod hook;
mod kernel;
mod landlock;
mod priority;
mod role;
mod terminal;
mod tree;
mod visit;

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};
use rustix::thread::{Gid, Uid};
use warren_confine::caps;
use warren_confine::landlock::Ruleset;
use warren_mounts::{Attributes, Node, Target, attach};
use warren_sys::signal::{self, SignalSet};
use warren_sys::{Errno, Result, exit_now};

use crate::init;
use crate::plan::MOST_KEPT;
use crate::report::{Detail, Report, Word};
use crate::spec::User;
use crate::step::{Side, Step};

pub use kernel::{DEVICE_NAMES, FILES, FOLDERS, ROOTS_FILES, ROOTS_SETTINGS, SETTINGS};
pub use tree::attributes;

/// Everything that the child needs, opened and rendered before it exists.
#[derive(Debug)]
pub struct Inheritance<'a> {
    /// The whole plan; the child walks its own part.
    pub steps: &'a [Step],
    /// The record that the parent reads.
    pub report: &'a Report,
    /// The pipe whose end tells the parent that the program runs, or never will.
    pub alive: BorrowedFd<'a>,
    /// Trees that the parent cloned.
    pub trees: &'a [OwnedFd],
    /// Namespaces that the parent opened.
    pub namespaces: &'a [OwnedFd],
    /// What keeps a block of ids from others.
    pub reservation: Option<BorrowedFd<'a>>,
    /// A checked procfs of the host.
    pub proc: BorrowedFd<'a>,
    /// What the program gets as descriptors 0, 1 and 2, where not the caller's.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// Where the other end of the terminal is sent to, and later its stops are told.
    pub terminal: Option<BorrowedFd<'a>>,
    /// Where the program's process says that it is there, and hears that it is watched.
    pub observer: Option<BorrowedFd<'a>>,
    /// Where the layers of overlays are sent to.
    pub layers: Option<BorrowedFd<'a>>,
    /// Where trees of the root go to the parent, to get other owners.
    pub shifts: Option<BorrowedFd<'a>>,
    /// Whose end tells that the program has ended, while the init is still there.
    pub ended: Option<BorrowedFd<'a>>,
    /// Whether the init stays as long as there are other processes.
    pub lingers: bool,
    /// Where the caller is told that it has its turn before the root is entered.
    pub turn: Option<BorrowedFd<'a>>,
    /// What hooks before the root read.
    pub hooks_read: Option<RawFd>,
    /// What they write to.
    pub hooks_written: Option<RawFd>,
    /// Whether it was born in the control group that it would join.
    pub has_joined: bool,
    /// The signals that the program starts with blocked.
    pub blocked: SignalSet,
}

/// Walks the child's steps; returns to nobody.
pub fn run(inheritance: &Inheritance<'_>) -> ! {
    // CLONE_CLEAR_SIGHAND leaves ignored what was ignored; Rust programs ignore PIPE,
    // which no other program expects.
    signal::default_action(libc::SIGPIPE);
    // An init that ignored its children's ends would never see the program's.
    signal::default_action(libc::SIGCHLD);
    // What the steps make has the mode that they say.
    let umask = rustix::process::umask(Mode::empty());
    let mut child = Child {
        with: inheritance,
        fds: Fds::default(),
        fresh: None,
        is_in_fresh: false,
        masked: None,
        numbered: 0,
        folder: 0,
        umask,
    };
    for (number, step) in inheritance.steps.iter().enumerate() {
        if step.side() == Side::Parent {
            continue;
        }
        inheritance.report.begin(number);
        if let Err((errno, detail)) = child.walk(step) {
            inheritance.report.fail(errno, detail);
            child.answer(step, number, errno, detail);
            break;
        }
    }
    exit_now(127)
}

type Failure = (Errno, Detail);

/// The descriptors that steps leave to later steps.
#[derive(Debug, Default)]
struct Fds {
    root: Option<OwnedFd>,
    /// Whether what is unmounted here is unmounted on the host too.
    spreads: bool,
    /// Whether the root is a mount of the caller's namespace, and stays one.
    stays: bool,
    /// How many mounts lie on the root of this process, one over the other.
    stacked: u32,
    layers: Option<OwnedFd>,
    proc: Option<OwnedFd>,
    dev: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    /// The multiplexer of the caller's terminals.
    multiplexer: Option<OwnedFd>,
    /// The root of the mount namespace, where another folder has become the root.
    outer_root: Option<OwnedFd>,
    /// Trees that were taken along.
    trees: [Option<OwnedFd>; MOST_KEPT],
    /// Device files, likewise.
    devices: [Option<OwnedFd>; kernel::DEVICES.len()],
    /// The rules of Landlock, until they hold.
    ruleset: Option<Ruleset>,
    /// Who has opened the gate hears here of a failure.
    answer: Option<OwnedFd>,
    /// What came with the word at the gate, for hooks to read, and to write to.
    state: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// An empty folder that lies over one that is masked.
    empty: Option<OwnedFd>,
    /// The file of the offsets of clocks.
    time_offsets: Option<OwnedFd>,
    /// Files that are locked.
    locks: [Option<OwnedFd>; MOST_LOCKS],
}

struct Child<'a> {
    with: &'a Inheritance<'a>,
    fds: Fds,
    /// Where the step before has mounted an empty filesystem in memory, or made something in
    /// the one that was.
    fresh: Option<&'a Target>,
    /// Whether the working directory is there.
    is_in_fresh: bool,
    /// The first folder that was masked.
    masked: Option<&'a Target>,
    /// How many folders for layers and files there are, to name them.
    numbered: u16,
    /// Which of the working directories was entered.
    folder: usize,
    /// What the program gets: the caller's, unless it has one of its own.
    umask: Mode,
}

impl<'a> Child<'a> {
    fn walk(&mut self, step: &'a Step) -> std::result::Result<(), Failure> {
        match step {
            Step::Exec(program) => Err(exec::execute(program, self.folder)),
            Step::CheckProgram => self.check_program(),
            Step::Hook(hook) => self.hook(hook),
            step => self.set_up(step).map_err(|errno| (errno, Detail::None)),
        }
    }

    fn set_up(&mut self, step: &'a Step) -> Result<()> {
        if !matches!(step, Step::MountFilesystem { .. } | Step::Mqueue { .. }) {
            self.fresh = None;
        }
        match step {
            Step::DieWithParent { signal } => self.die_with_parent(*signal),
            Step::AwaitParent => self.await_parent(self.with.report.released()),
            Step::AwaitNetwork => self.await_parent(self.with.report.connected()),
            Step::AwaitGroup => self.await_parent(self.with.report.in_group()),
            Step::CoreSched => warren_sys::share_cores_with_none(),
            Step::CgroupNamespace => {
                warren_sys::unshare(warren_namespaces::Kind::Cgroup.clone_flag())
            }
            Step::WriteOwnMaps { texts, .. } => self.write_own_maps(texts),
            Step::JoinCgroup(_) if self.with.has_joined => Ok(()),
            Step::JoinCgroup(group) => enter::join_cgroup(group.fd),
            Step::HoldTerminal => self.hold_terminal(),
            Step::KeepTree {
                tree,
                path,
                access,
                devices,
            } => self.keep_tree(*tree, path, attributes(*access, *devices)),
            Step::KeepDevices => self.keep_devices(),
            Step::CopyMounts { private } => self.copy_mounts(*private),
            Step::ChangeRootTo(folder) => self.change_root_to(folder.fd),
            Step::ChangeRoot(path) => self.change_root(path),
            Step::RootVisit => self.root_visit(),
            Step::ProcOfJoined { target } => self.proc_of_joined(target),
            Step::Programs {
                target,
                content,
                folders,
            } => self.programs(target, content, folders),
            Step::WorkDirTo(folder) => enter::work_dir_to(folder.fd),
            Step::JoinNamespace {
                kind, namespace, ..
            } => {
                let namespace =
                    self.with.namespaces.get(*namespace).ok_or(Errno::BADF)?;
                warren_sys::setns(namespace.as_fd(), kind.clone_flag())
            }
            Step::JoinProcess { process, kinds } => {
                warren_sys::setns(borrowed(&process.fd), kinds.clone_flags())
            }
            Step::TakeIds { user, groups } => take_ids(user, groups.as_deref()),
            Step::LeaveCaller => {
                rustix::process::setpgid(None, None)?;
                warren_sys::leave_terminal()
            }
            Step::Hostname(name) => rustix::system::sethostname(name.to_bytes()),
            Step::Domainname(name) => rustix::system::setdomainname(name.to_bytes()),
            Step::Sysctl { path, value } => self.write_proc(path, value.to_bytes()),
            Step::OomScoreAdj(score) => {
                self.write_proc(c"self/oom_score_adj", score.to_bytes())
            }
            Step::Loopback => loopback(),
            Step::LimitUserNamespaces => self.limit_user_namespaces(),
            Step::FollowMounts => warren_mounts::make_all_slaves(),
            Step::PrivateMounts => warren_mounts::make_all_private(),
            Step::RootHere => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.fds.root = Some(rustix::fs::open(c"/", flags, Mode::empty())?);
                Ok(())
            }
            Step::RootShared { mode } => self.root_shared(*mode),
            Step::RootEmpty { mode, size } => self.root_empty(mode, size.as_deref()),
            Step::RootTree {
                source,
                access,
                devices,
            } => self.root_tree(source, attributes(*access, *devices)),
            Step::Layers { size, disk } => self.make_layers(size.as_deref(), *disk),
            Step::FolderInMemory { target, mode } => self.folder_in_memory(target, *mode),
            Step::HandLayers => self.hand_layers(),
            Step::RootOverlay(layering) => {
                let overlay = self.overlay(layering)?;
                self.stage(overlay)
            }
            Step::Overlay { layering, target } => {
                let overlay = self.overlay(layering)?;
                attach(overlay.as_fd(), self.root()?, target, Node::Folder)
            }
            Step::SealRoot => {
                warren_mounts::set_attributes(self.root()?, Attributes::READ_ONLY, false)
            }
            Step::Bind {
                source,
                target,
                node,
                access,
                devices,
            } => {
                let tree = self.tree(source, attributes(*access, *devices))?;
                attach(tree.as_fd(), self.root()?, target, *node)
            }
            Step::Tmpfs { target, mode, size } => {
                let tmpfs = tree::tmpfs(mode, size.as_deref())?;
                attach(tmpfs.as_fd(), self.root()?, target, Node::Folder)
            }
            Step::Folder {
                target,
                mode,
                own,
                shared,
            } => self.folder(target, *mode, *own, *shared),
            Step::Symlink { content, target } => self.symlink(content, target),
            Step::Mqueue { target } => self.mqueue(target),
            Step::File {
                content,
                target,
                mode,
                mounted: None,
            } => self.file(content, target, *mode),
            Step::File {
                content,
                target,
                mode,
                mounted: Some(access),
            } => self.file_in_memory(content, target, *mode, *access),
            Step::Mode { target, mode } => self.mode(target, *mode),
            Step::Forbid { target, attributes } => {
                self.forbid(target.as_ref(), *attributes)
            }
            Step::EnterUserNamespace(namespace) => warren_sys::setns(
                borrowed(&namespace.fd),
                warren_namespaces::Kind::User.clone_flag(),
            ),
            Step::BeBornAgain => self.be_born_again(),
            Step::CloseCallers(fds) => {
                for fd in fds.iter().map(|fd| *fd as u32) {
                    // SAFETY: the child owns no descriptor that the Spec can name, and uses
                    // none of these.
                    unsafe { warren_sys::close_range(fd, fd) };
                }
                Ok(())
            }
            Step::AllowOneUserNamespace => self.allow_one_user_namespace(),
            Step::InnerUserNamespace { texts, .. } => self.inner_user_namespace(texts),
            Step::CheckNoUserNamespaces => check_no_user_namespaces(),
            Step::NewSession => rustix::process::setsid().map(drop),
            Step::AwaitMaps(open) | Step::AwaitExec(open) => await_byte(open.fd),
            Step::OutliveCaller => rustix::process::set_parent_process_death_signal(None),
            Step::AwaitGate { gate, kept } => self.await_gate(gate.fd, kept),
            Step::AwaitCaller => self.await_caller(),
            Step::CloseHosts { keep } => {
                self.close_hosts(keep);
                Ok(())
            }
            Step::ForkSibling => self.fork_sibling(),
            Step::LockFile(path) => self.lock_file(path),
            Step::ProcOfHost { target } => self.proc_of_host(target),
            Step::Proc { target } => self.mount_proc(target),
            Step::ProcMasks {
                cover,
                all,
                readable,
            } => self.mask_proc(*cover, *all, *readable),
            Step::DevFolder { target, size } => self.dev_folder(target, size.as_deref()),
            Step::Devices { sealed } => self.devices(*sealed),
            Step::DevLinks => self.dev_links(),
            Step::DevPts { execute } => self.dev_pts(*execute),
            Step::Mask { target, readable } => self.mask(target, *readable),
            Step::ReadOnly { target } => self.read_only(target),
            Step::Sys { target } => self.sys(target),
            Step::OpenTerminal {
                multiplexer,
                in_root,
                held,
                plain,
                rows,
                columns,
            } => {
                let master = if *held {
                    self.terminal_of_root()?
                } else {
                    self.terminal_at(multiplexer, *in_root)?
                };
                self.open_terminal(&master, terminal::size(*rows, *columns), *plain)
            }
            Step::EnterRoot { uncovered } => self.enter_root(uncovered.as_deref()),
            Step::WorkDir(paths) => self.work_dir(paths),
            Step::SetRlimit(limit) => limit.apply(),
            Step::DropBounding { keep } => caps::drop_bounding(*keep),
            Step::SetUser {
                user,
                groups,
                keep_capabilities,
            } => {
                rustix::thread::set_keep_capabilities(*keep_capabilities)?;
                take_ids(user, groups.as_deref())
            }
            Step::SetGroups(groups) => rustix::thread::set_thread_groups(groups),
            Step::SetCapabilities(sets) => {
                caps::set(sets.permitted, sets.effective, sets.inheritable)?;
                caps::raise_ambient(sets.ambient)
            }
            Step::Umask(mask) => {
                self.umask = Mode::from_raw_mode(*mask);
                Ok(())
            }
            Step::NoNewPrivs => caps::set_no_new_privs(),
            Step::Ruleset(handled) => self.make_ruleset(*handled),
            Step::Allow { place, rights } => self.allow(place, *rights),
            Step::AllowStreams(handled) => self.allow_streams(*handled),
            Step::AllowPort { port, rights } => self.allow_port(*port, *rights),
            Step::RestrictSelf => self.restrict_self(),
            Step::LoadSeccomp(filter) => filter.load(),
            Step::LoadProfile {
                filter,
                flags,
                listens,
            }
            | Step::LoadProfileFirst {
                filter,
                flags,
                listens,
            } => self.load_profile(filter, *flags, *listens),
            Step::RootDetailed {
                source,
                changes,
                place,
                stays,
            } => self.root_detailed(source, changes, place.as_deref(), *stays),
            Step::MountTree {
                source,
                target,
                node,
                changes,
            } => self.mount_tree(source, target, *node, changes),
            Step::MountFilesystem { new, target } => self.mount_filesystem(new, target),
            Step::Device { device, target } => self.device(device, target),
            Step::DeviceFiles {
                target,
                bind,
                console,
            } => self.device_files(target, *bind, *console),
            Step::ProcPaths {
                target,
                masked,
                read_only,
            } => self.proc_paths(target, masked, read_only),
            Step::Cgroups { tree, target } => self.cgroups(tree, target),
            Step::Console => self.console(),
            Step::RootPropagation(propagation) => self.root_propagation(*propagation),
            Step::PrivateRoot => {
                self.fds.spreads = true;
                warren_mounts::make_root_private()
            }
            Step::IpcNamespace => {
                warren_sys::unshare(warren_namespaces::Kind::Ipc.clone_flag())
            }
            Step::NewNamespaces(namespaces) => {
                warren_sys::unshare(namespaces.clone_flags())
            }
            Step::OpenTimeOffsets => self.open_time_offsets(),
            Step::SessionKeyring(name) => match warren_sys::join_session_keyring(name) {
                // A kernel without keyrings has none of the caller's either.
                Err(Errno::NOSYS) => Ok(()),
                joined => joined,
            },
            Step::OwnStreams { uid } => {
                self.own_streams(*uid);
                Ok(())
            }
            Step::TimeNamespace { offsets } => self.time_namespace(offsets),
            Step::Scheduler(attributes) => warren_sys::sched_setattr(*attributes),
            Step::IoPriority(one) => {
                warren_sys::set_io_priority(one.class as u32, one.priority.into())
            }
            Step::MemoryPolicy(policy) => {
                warren_sys::set_memory_policy(policy.mode, &policy.nodes)
            }
            Step::Affinity(processors) => priority::set_affinity(processors),
            Step::Personality(domain) => warren_sys::set_personality(*domain),
            Step::Label { files, label } => self.ask_for_label(files, label),
            Step::LoadFilter(filter) => filter.load_by_prctl(),
            Step::HideInit { examinable } => hide_init(*examinable),
            Step::ForkInit { keep } => self.fork_init(keep),
            Step::Graft {
                target, node, make, ..
            } => self.graft(target, *node, *make),
            Step::Unmount { target } => self.unmount(target),
            Step::Hide => role::hide(),
            Step::HideHolder { examinable } => role::hide_holder(*examinable),
            Step::Hold => self.hold(),
            Step::Finish => exit_now(0),
            Step::ControlTerminal { has_init } => self.control_terminal(*has_init),
            Step::DieWithInit => {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            }
            Step::Descriptors { keep } => self.descriptors(keep),
            Step::AwaitObserver => self.await_observer(),
            Step::ReserveIds
            | Step::OpenNamespace { .. }
            | Step::CloneTree { .. }
            | Step::MakeDisk { .. }
            | Step::CloneDetailed { .. }
            | Step::MakeMap(_)
            | Step::ConnectListener(_)
            | Step::MoveInterface { .. }
            | Step::JoinCacheClass(_)
            | Step::SendListener(_)
            | Step::Clone { .. }
            | Step::WriteMaps { .. }
            | Step::ShiftIds { .. }
            | Step::ShiftIdsTo { .. }
            | Step::ShiftWithin { .. }
            | Step::MakeGroup(_)
            | Step::SetLimit { .. }
            | Step::EnterGroup { .. }
            | Step::Release
            | Step::CheckProgram
            | Step::Hook(_)
            | Step::Connect(_)
            | Step::Exec(_) => Ok(()),
        }
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        self.fds
            .root
            .as_ref()
            .map(OwnedFd::as_fd)
            .ok_or(Errno::BADF)
    }

    // The parent, and what it does for the child.

    fn die_with_parent(&self, signal: i32) -> Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(Errno::INVAL)?;
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have died before the call.
        self.end_without_parent()
    }

    /// Ends if the parent has died. Its pid cannot tell, being 0 from inside a new pid
    /// namespace in any case; the reader of the pipe can.
    fn end_without_parent(&self) -> Result<()> {
        let mut pipe = [rustix::event::PollFd::new(
            &self.with.alive,
            rustix::event::PollFlags::empty(),
        )];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut pipe, Some(&now))?;
        if pipe[0].revents().contains(rustix::event::PollFlags::ERR) {
            exit_now(127);
        }
        Ok(())
    }

    fn await_parent(&self, word: &Word) -> Result<()> {
        // A parent that has died wakes nobody, and its death kills only who asked for it.
        let pause = rustix::event::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        while !word.wait(&pause)? {
            self.end_without_parent()?;
        }
        Ok(())
    }

    // User namespace.

    fn write_own_maps(&self, [uid, gid]: &[std::ffi::CString; 2]) -> Result<()> {
        // Without privilege over the parent namespace, setgroups(2) must be given up
        // before gid_map can be written (Linux 3.19).
        self.write_proc(c"self/setgroups", b"deny")?;
        self.write_proc(c"self/uid_map", uid.to_bytes())?;
        self.write_proc(c"self/gid_map", gid.to_bytes())
    }

    /// Through the host's procfs, since in the new one it may be read-only by now; in
    /// another tool's container it is the other way round.
    fn allow_one_user_namespace(&self) -> Result<()> {
        const LIMIT: &CStr = c"sys/user/max_user_namespaces";
        match write_below(self.with.proc, LIMIT, b"1") {
            Err(Errno::ROFS | Errno::ACCESS) => self.write_proc(LIMIT, b"1"),
            result => result,
        }
    }

    fn inner_user_namespace(&self, texts: &[std::ffi::CString; 2]) -> Result<()> {
        warren_sys::unshare(warren_namespaces::Kind::User.clone_flag())?;
        self.write_own_maps(texts)
    }

    fn limit_user_namespaces(&self) -> Result<()> {
        self.write_proc(c"sys/user/max_user_namespaces", b"0")
    }

    /// Writes a file of a procfs, which shows each process its own namespaces: the new
    /// one if there is one, since the host's may have /proc/sys read-only.
    fn write_proc(&self, path: &CStr, text: &[u8]) -> Result<()> {
        let own = self.fds.proc.as_ref();
        write_below(own.map_or(self.with.proc, OwnedFd::as_fd), path, text)
    }

    /// Returns in the program's process; the caller becomes the init.
    fn fork_init(&self, keep: &[RawFd]) -> Result<()> {
        if let Some(terminal) = &self.fds.terminal {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(terminal)?;
        }
        // SAFETY: both sides keep the rules of this file.
        let program = unsafe { warren_sys::fork() }?;
        let Some(program) = Pid::from_raw(program) else {
            return Ok(());
        };
        let (events, ended) = (self.with.terminal, self.with.ended);
        self.close_for_init(keep);
        match ended {
            Some(ended) if self.with.lingers => {
                init::linger(program, self.with.report, ended)
            }
            ended => init::run(program, self.with.report, events, ended),
        }
    }

    /// Returns in a new child of the caller, in the pid namespace that this process has
    /// entered and is not in; tells its number, as the caller counts, and ends.
    fn fork_sibling(&self) -> Result<()> {
        // SAFETY: both sides keep the rules of this file.
        let sibling = unsafe { warren_sys::fork_sibling() }?;
        if sibling == 0 {
            return Ok(());
        }
        self.with.report.replace_by(sibling);
        exit_now(0)
    }

    /// Returns in the first process of a new pid namespace; the caller waits for it.
    fn be_born_again(&self) -> Result<()> {
        warren_sys::unshare(warren_namespaces::Kind::Pid.clone_flag())?;
        // SAFETY: both sides keep the rules of this file.
        let first = unsafe { warren_sys::fork() }?;
        let Some(first) = Pid::from_raw(first) else {
            return Ok(());
        };
        close_all_but(&[]);
        init::run(first, self.with.report, None, None)
    }

    /// Closes all but what the init needs or holds.
    fn close_for_init(&self, keep: &[RawFd]) {
        let locks = self.fds.locks.iter().flatten().map(AsRawFd::as_raw_fd);
        let events = self.with.terminal.iter().map(AsRawFd::as_raw_fd);
        let mut held = [RawFd::MAX; MOST_HELD];
        let ended = self.with.ended.iter().map(AsRawFd::as_raw_fd);
        let all = keep.iter().copied().chain(locks).chain(events).chain(ended);
        let mut count = 0;
        for (place, fd) in held.iter_mut().zip(all) {
            *place = fd;
            count += 1;
        }
        held.sort_unstable();
        close_all_but(&held[..count]);
    }
}

/// How many descriptors the init may keep.
pub const MOST_KEPT_BY_INIT: usize = 32;
/// How many files it may lock.
pub const MOST_LOCKS: usize = 16;
/// Both, and two channels to the parent.
const MOST_HELD: usize = MOST_KEPT_BY_INIT + MOST_LOCKS + 2;

/// Waits until a byte or the end can be read.
fn await_byte(fd: RawFd) -> Result<()> {
    let mut byte = [0];
    loop {
        match rustix::io::read(borrowed(&fd), &mut byte) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Writes a file below a procfs: only one of a procfs, whatever is mounted there
/// (CVE-2025-52881).
fn write_below(folder: BorrowedFd<'_>, path: &CStr, text: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let limits = ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(folder, path, flags, Mode::empty(), limits) {
        // Container managers mount parts of a procfs over themselves.
        Err(Errno::XDEV | Errno::NOSYS) => {
            let file = rustix::fs::openat(folder, path, flags, Mode::empty())?;
            let filesystem = rustix::fs::fstatfs(&file)?;
            if filesystem.f_type != rustix::fs::PROC_SUPER_MAGIC {
                return Err(Errno::XDEV);
            }
            file
        }
        opened => opened?,
    };
    rustix::io::write(&file, text)?;
    leave_open(file);
    Ok(())
}

fn take_ids(user: &User, groups: Option<&[Gid]>) -> Result<()> {
    if let Some(groups) = groups {
        rustix::thread::set_thread_groups(groups)?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// That one can be made ends the child, so that it does no harm here.
fn check_no_user_namespaces() -> Result<()> {
    match warren_sys::unshare(warren_namespaces::Kind::User.clone_flag()) {
        Ok(()) => Err(Errno::EXIST),
        Err(_) => Ok(()),
    }
}

/// An init whose memory can be read would show the program the caller's environment
/// and arguments; one that can be traced would do the program's bidding.
fn hide_init(examinable: bool) -> Result<()> {
    // The arguments can be read by all, and may name what the program is not to know of.
    // SAFETY: nothing in a child that walks its plan looks at them.
    unsafe { warren_sys::arguments::replace_arguments(c"warren-init") };
    rustix::thread::set_name(c"warren-init")?;
    if examinable {
        // SAFETY: as above; the program's own environment is a copy.
        unsafe { warren_sys::arguments::wipe_environment() };
        return Ok(());
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

fn loopback() -> Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    warren_sys::loopback_up(socket.as_fd())?;
    leave_open(socket);
    Ok(())
}

/// Saves the close of a descriptor: one close_range(2) ends them all. Not for what a plan
/// may have thousands of.
fn leave_open(fd: OwnedFd) {
    let _ = fd.into_raw_fd();
}

/// Borrows a descriptor that the Spec names.
fn borrowed(fd: &RawFd) -> BorrowedFd<'_> {
    // SAFETY: the child has a copy of the caller's table and closes nothing that it does
    // not own; a number that is not open is EBADF.
    unsafe { BorrowedFd::borrow_raw(*fd) }
}

/// Closes every descriptor but those of `kept`, which are in ascending order.
fn close_all_but(kept: &[RawFd]) {
    let mut first = 0;
    for fd in kept.iter().map(|fd| *fd as u32) {
        if fd > first {
            // SAFETY: this process is forked, never returns to code that owns
            // descriptors, and from here on uses none but those of `kept`.
            unsafe { warren_sys::close_range(first, fd - 1) };
        }
        first = fd + 1;
    }
    // SAFETY: as above.
    unsafe { warren_sys::close_range(first, u32::MAX) };
}
