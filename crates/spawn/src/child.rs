//! The child's side of a plan, from clone to exec.
//!
//! What runs here runs in a copy of one thread of a program that may have had others:
//! a lock that another thread held is held for ever, the heap's among them. So in this
//! file, in `init.rs`, and in what they call: no allocation, no lock, no formatting, no
//! unwinding, no destructor but that of a descriptor. A step that fails is noted in the
//! [`Report`] as a number and an errno, and the process is gone; the parent has the
//! words.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType,
};
use rustix::process::{Pid, Signal};
use rustix::termios::Winsize;
use rustix::thread::{Gid, Uid, futex};
use warren_confine::{CapabilitySet, caps};
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach, attach_at, attach_over, bind_here,
    clone_tree, mount_here, open_in_root,
};
use warren_sys::signal::{self, SignalSet};
use warren_sys::{Errno, Result, exit_now};

use crate::init;
use crate::report::{Detail, Report};
use crate::spec::{Access, User};
use crate::step::{Program, Side, Source, Step};

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
    /// A checked procfs of the host.
    pub proc: BorrowedFd<'a>,
    /// What the program gets as descriptors 0, 1 and 2, where not the caller's.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// Where the other end of the terminal is sent to, and later its stops are told.
    pub terminal: Option<BorrowedFd<'a>>,
    /// The signals that the program starts with blocked.
    pub blocked: SignalSet,
}

/// The device files of a container.
const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"null"),
    (c"/dev/zero", c"zero"),
    (c"/dev/full", c"full"),
    (c"/dev/random", c"random"),
    (c"/dev/urandom", c"urandom"),
    (c"/dev/tty", c"tty"),
];

/// Their names, for the reader of a plan.
pub const DEVICE_NAMES: &str = "null, zero, full, random, urandom, tty";

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
        overlays: 0,
        umask,
    };
    for (number, step) in inheritance.steps.iter().enumerate() {
        if step.side() == Side::Parent {
            continue;
        }
        inheritance.report.begin(number);
        if let Err((errno, detail)) = child.walk(step) {
            inheritance.report.fail(errno, detail);
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
    layers: Option<OwnedFd>,
    proc: Option<OwnedFd>,
    dev: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

struct Child<'a> {
    with: &'a Inheritance<'a>,
    fds: Fds,
    /// How many there are, to name their layers.
    overlays: u16,
    /// The caller's, which the program gets back.
    umask: Mode,
}

impl Child<'_> {
    fn walk(&mut self, step: &Step) -> std::result::Result<(), Failure> {
        match step {
            Step::Exec(program) => {
                rustix::process::umask(self.umask);
                Err(execute(program, self.with.blocked))
            }
            step => self.set_up(step).map_err(|errno| (errno, Detail::None)),
        }
    }

    fn set_up(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::DieWithParent { signal } => self.die_with_parent(*signal),
            Step::AwaitParent => self.await_parent(),
            Step::WriteOwnMaps { texts, .. } => self.write_own_maps(texts),
            Step::JoinNamespace { kind, namespace } => {
                let namespace =
                    self.with.namespaces.get(*namespace).ok_or(Errno::BADF)?;
                warren_sys::setns(namespace.as_fd(), kind.clone_flag())
            }
            Step::TakeIds { user, groups } => take_ids(user, groups.as_deref()),
            Step::NewSession => rustix::process::setsid().map(drop),
            Step::Hostname(name) => rustix::system::sethostname(name.to_bytes()),
            Step::Loopback => loopback(),
            Step::LimitUserNamespaces => self.limit_user_namespaces(),
            Step::PrivateMounts => warren_mounts::make_all_private(),
            Step::RootHere => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.fds.root = Some(rustix::fs::open(c"/", flags, Mode::empty())?);
                Ok(())
            }
            Step::RootEmpty => self.root_empty(),
            Step::RootTree { source, access } => self.root_tree(source, *access),
            Step::Layers => self.make_layers(),
            Step::RootOverlay { source } => {
                let overlay = self.overlay(source)?;
                self.stage(overlay)
            }
            Step::Overlay { source, target } => {
                let overlay = self.overlay(source)?;
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
            } => {
                let tree = self.tree(source, *access)?;
                attach(tree.as_fd(), self.root()?, target, *node)
            }
            Step::Tmpfs { target, mode, size } => {
                let tmpfs = tmpfs(mode, size.as_deref())?;
                attach(tmpfs.as_fd(), self.root()?, target, Node::Folder)
            }
            Step::Folder { target, mode, own } => self.folder(target, *mode, *own),
            Step::Symlink { content, target } => self.symlink(content, target),
            Step::Proc { target } => self.mount_proc(target),
            Step::ProcMasks { all } => self.mask_proc(*all),
            Step::DevFolder { target } => self.dev_folder(target),
            Step::Devices => self.devices(),
            Step::DevLinks => self.dev_links(),
            Step::DevPts => self.dev_pts(),
            Step::Mask { target } => self.mask(target),
            Step::OpenTerminal {
                multiplexer,
                in_root,
                rows,
                columns,
            } => self.open_terminal(multiplexer, *in_root, size(*rows, *columns)),
            Step::EnterRoot => self.enter_root(),
            Step::WorkDir(path) => self.work_dir(path),
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
            Step::SetCapabilities(set) => set_capabilities(*set),
            Step::NoNewPrivs => caps::set_no_new_privs(),
            Step::LoadSeccomp(filter) => filter.load(),
            Step::HideInit => hide_init(),
            Step::ForkInit => self.fork_init(),
            Step::ControlTerminal { has_init } => self.control_terminal(*has_init),
            Step::DieWithInit => {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            }
            Step::Descriptors { keep } => self.descriptors(keep),
            Step::ReserveIds
            | Step::OpenNamespace { .. }
            | Step::CloneTree { .. }
            | Step::Clone { .. }
            | Step::WriteMaps { .. }
            | Step::ShiftIds { .. }
            | Step::Release
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

    fn await_parent(&self) -> Result<()> {
        // A parent that has died wakes nobody, and its death kills only who asked for it.
        let pause = rustix::event::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let released = self.with.report.released();
        while released.load(std::sync::atomic::Ordering::Acquire) == 0 {
            // The page is shared between processes: not a private futex.
            match futex::wait(released, futex::Flags::empty(), 0, Some(&pause)) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::TIMEDOUT) => self.end_without_parent()?,
                Err(errno) => return Err(errno),
            }
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

    fn limit_user_namespaces(&self) -> Result<()> {
        self.write_proc(c"sys/user/max_user_namespaces", b"0")
    }

    /// Writes a file of a procfs, which shows each process its own namespaces: the new
    /// one if there is one, since the host's may have /proc/sys read-only.
    fn write_proc(&self, path: &CStr, text: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let proc = self
            .fds
            .proc
            .as_ref()
            .map_or(self.with.proc, OwnedFd::as_fd);
        let file = rustix::fs::openat(proc, path, flags, Mode::empty())?;
        rustix::io::write(&file, text)?;
        leave_open(file);
        Ok(())
    }

    // The root and what is in it.

    /// The tree of a source, detached, with the attributes that every tree gets.
    fn tree(&self, source: &Source, access: Access) -> Result<OwnedFd> {
        match source {
            Source::Path(path) => {
                let tree = clone_tree(rustix::fs::CWD, path, true)?;
                warren_mounts::set_attributes(tree.as_fd(), attributes(access), true)?;
                Ok(tree)
            }
            // The parent has set the attributes. A copy, since the original is the
            // parent's to close.
            Source::Tree(number, _) => {
                let tree = self.with.trees.get(*number).ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(tree, 3)
            }
        }
    }

    fn stage(&mut self, root: OwnedFd) -> Result<()> {
        attach_over_root(root.as_fd())?;
        self.fds.root = Some(root);
        Ok(())
    }

    fn root_empty(&mut self) -> Result<()> {
        let root = tmpfs(c"755", None)?;
        self.stage(root)
    }

    fn root_tree(&mut self, source: &Source, access: Access) -> Result<()> {
        let tree = self.tree(source, access)?;
        self.stage(tree)
    }

    /// The layers live on a tmpfs that the root then covers. Their paths are given
    /// relative to it, so none of them is looked up in the host's tree.
    fn make_layers(&mut self) -> Result<()> {
        let layers = tmpfs(c"755", None)?;
        attach_over_root(layers.as_fd())?;
        self.fds.layers = Some(layers);
        Ok(())
    }

    fn overlay(&mut self, source: &Source) -> Result<OwnedFd> {
        let lower = self.tree(source, Access::ReadOnly)?;
        let all = self.fds.layers.as_ref().ok_or(Errno::BADF)?;
        let number = self.overlays;
        self.overlays = number.checked_add(1).ok_or(Errno::OVERFLOW)?;
        let mut name = [0; 12];
        let layer = make_numbered(all, number, &mut name)?;
        for name in [c"lower", c"upper", c"work"] {
            rustix::fs::mkdirat(&layer, name, Mode::from_raw_mode(0o700))?;
        }
        // What the root of the overlay looks like is up to the upper layer.
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&lower)?.st_mode & 0o7777);
        rustix::fs::chmodat(&layer, c"upper", mode, AtFlags::empty())?;
        attach_at(lower.as_fd(), layer.as_fd(), c"lower")?;
        rustix::process::fchdir(&layer)?;
        let overlay = Filesystem::open(c"overlay")?;
        overlay.set(c"lowerdir", c"lower")?;
        overlay.set(c"upperdir", c"upper")?;
        overlay.set(c"workdir", c"work")?;
        // trusted.* attributes need privilege over the host (Linux 5.11).
        overlay.flag(c"userxattr")?;
        overlay.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
    }

    fn folder(&self, target: &Target, mode: u32, own: bool) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let mode = Mode::from_raw_mode(mode);
        match rustix::fs::mkdirat(parent, target.name(), mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        if own {
            let copy = clone_tree(parent, target.name(), false)?;
            attach_at(copy.as_fd(), parent, target.name())?;
        }
        Ok(())
    }

    fn symlink(&self, content: &CStr, target: &Target) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        rustix::fs::symlinkat(content, parent, target.name())
    }

    /// Covers what is at `target`, if anything is.
    fn mask(&mut self, target: &Target) -> Result<()> {
        let place = match open_in_root(self.root()?, target.path(), OFlags::PATH) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let stat = rustix::fs::fstat(&place)?;
        let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            empty_folder()?
        } else {
            nothing()?
        };
        attach_over(cover.as_fd(), place.as_fd())
    }

    // /proc

    fn mount_proc(&mut self, target: &Target) -> Result<()> {
        let attributes =
            Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
        let proc = Filesystem::open(c"proc")?.mount(attributes)?;
        attach(proc.as_fd(), self.root()?, target, Node::Folder)?;
        self.fds.proc = Some(proc);
        Ok(())
    }

    /// Files that tell of the host are covered; those that change it are read-only. In a
    /// user namespace of its own nobody has the right to most of them anyway.
    fn mask_proc(&mut self, all: bool) -> Result<()> {
        const FILES: [&CStr; 4] =
            [c"interrupts", c"keys", c"sched_debug", c"timer_stats"];
        const FOLDERS: [&CStr; 3] = [c"acpi", c"asound", c"scsi"];
        const ROOTS_FILES: [&CStr; 3] = [c"kcore", c"latency_stats", c"timer_list"];
        const ROOTS_SETTINGS: [&CStr; 4] = [c"bus", c"fs", c"irq", c"sysrq-trigger"];
        let proc = self.fds.proc.as_ref().ok_or(Errno::BADF)?;
        rustix::process::fchdir(proc)?;
        let (files, settings) = if all {
            (&ROOTS_FILES[..], &ROOTS_SETTINGS[..])
        } else {
            (&[][..], &[][..])
        };
        for name in FILES.iter().chain(files) {
            if_there(bind_here(c"/dev/null", name))?;
        }
        for name in FOLDERS {
            if_there(mount_here(c"tmpfs", name, MountFlags::RDONLY, None))?;
        }
        // Nothing that covers can be opened as a device, or be anything else.
        let attributes =
            Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
        warren_mounts::set_attributes(proc.as_fd(), attributes, true)?;
        for name in [c"sys"].iter().chain(settings) {
            if_there(bind_here(name, name).and_then(|()| {
                warren_mounts::add_attributes(proc.as_fd(), name, Attributes::READ_ONLY)
            }))?;
        }
        Ok(())
    }

    // /dev

    fn dev_folder(&mut self, target: &Target) -> Result<()> {
        let dev = tmpfs(c"755", None)?;
        attach(dev.as_fd(), self.root()?, target, Node::Folder)?;
        self.fds.dev = Some(dev);
        Ok(())
    }

    fn dev(&self) -> Result<BorrowedFd<'_>> {
        self.fds.dev.as_ref().map(OwnedFd::as_fd).ok_or(Errno::BADF)
    }

    /// A user namespace may not make device files, so the host's are shown.
    fn devices(&self) -> Result<()> {
        rustix::process::fchdir(self.dev()?)?;
        for (source, name) in DEVICES {
            let mode = Mode::from_raw_mode(0o444);
            rustix::fs::mknodat(rustix::fs::CWD, name, FileType::RegularFile, mode, 0)?;
            bind_here(source, name)?;
        }
        Ok(())
    }

    fn dev_links(&self) -> Result<()> {
        const LINKS: [(&CStr, &CStr); 6] = [
            (c"/proc/self/fd", c"fd"),
            (c"/proc/self/fd/0", c"stdin"),
            (c"/proc/self/fd/1", c"stdout"),
            (c"/proc/self/fd/2", c"stderr"),
            (c"/proc/kcore", c"core"),
            (c"pts/ptmx", c"ptmx"),
        ];
        let dev = self.dev()?;
        for (content, name) in LINKS {
            rustix::fs::symlinkat(content, dev, name)?;
        }
        rustix::fs::mkdirat(dev, c"shm", Mode::from_raw_mode(0o1777))
    }

    fn dev_pts(&self) -> Result<()> {
        let dev = self.dev()?;
        rustix::process::fchdir(dev)?;
        rustix::fs::mkdirat(dev, c"pts", Mode::from_raw_mode(0o755))?;
        // Every devpts is an instance of its own since Linux 4.7.
        let options = Some(c"ptmxmode=666,mode=620");
        mount_here(c"devpts", c"pts", MountFlags::empty(), options)?;
        // In one call for the devices as well.
        let attributes = Attributes::NO_SUID | Attributes::NO_EXEC;
        warren_mounts::set_attributes(dev, attributes, true)
    }

    // The terminal.

    /// Opens a terminal and sends its master to the parent, which could not open it in
    /// a devpts that it does not see.
    fn open_terminal(
        &mut self,
        multiplexer: &CStr,
        in_root: bool,
        size: Winsize,
    ) -> Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = if in_root {
            rustix::fs::openat(self.dev()?, multiplexer, flags, Mode::empty())?
        } else {
            rustix::fs::open(multiplexer, flags, Mode::empty())?
        };
        rustix::pty::unlockpt(&master)?;
        rustix::termios::tcsetwinsize(&master, size)?;
        // By ioctl, not by the name in /dev/pts, which might have been replaced
        // (CVE-2025-52565). Linux 4.13.
        let flags = rustix::pty::OpenptFlags::RDWR
            | rustix::pty::OpenptFlags::NOCTTY
            | rustix::pty::OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        let channel = self.with.terminal.ok_or(Errno::BADF)?;
        send_descriptor(channel, master.as_fd())?;
        self.fds.terminal = Some(slave);
        Ok(())
    }

    fn control_terminal(&mut self, has_init: bool) -> Result<()> {
        let terminal = self.fds.terminal.take().ok_or(Errno::BADF)?;
        if has_init {
            // The init leads the session. A group of the program's own is not orphaned,
            // so that Ctrl-Z stops it and the init can tell.
            rustix::process::setpgid(None, None)?;
            // A background group that does this gets TTOU, which is blocked here.
            rustix::termios::tcsetpgrp(&terminal, rustix::process::getpid())?;
        } else {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(&terminal)?;
        }
        rustix::stdio::dup2_stdin(&terminal)?;
        rustix::stdio::dup2_stdout(&terminal)?;
        rustix::stdio::dup2_stderr(&terminal)
    }

    // The way out.

    /// A folder of the root: not one behind a magic link, since a link of the tree to
    /// /proc/self/fd/N would lead out of it (CVE-2024-21626).
    fn work_dir(&self, path: &CStr) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = match &self.fds.root {
            Some(root) => open_in_root(root.as_fd(), path, flags)?,
            None => {
                let slash =
                    rustix::fs::open(c"/", flags | OFlags::CLOEXEC, Mode::empty())?;
                open_in_root(slash.as_fd(), path, flags)?
            }
        };
        rustix::process::fchdir(folder)
    }

    /// From here on the old root has no name; then it is gone.
    fn enter_root(&mut self) -> Result<()> {
        rustix::process::fchdir(self.root()?)?;
        warren_sys::pivot_root()?;
        // The old root lies on the new one now; the layers, which the new root covered
        // until it moved, lie on the old one still. Each call takes the topmost.
        if self.fds.layers.take().is_some() {
            rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        }
        rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")
    }

    /// Returns in the program's process; the caller becomes the init.
    fn fork_init(&self) -> Result<()> {
        if let Some(terminal) = &self.fds.terminal {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(terminal)?;
        }
        // SAFETY: both sides keep the rules of this file.
        let program = unsafe { warren_sys::fork() }?;
        let Some(program) = Pid::from_raw(program) else {
            return Ok(());
        };
        let events = self.with.terminal;
        close_all_but(events);
        init::run(program, self.with.report, events)
    }

    /// Puts the standard streams in place and closes at exec what is not to be kept.
    fn descriptors(&self, keep: &[i32]) -> Result<()> {
        let [stdin, stdout, stderr] = self.with.stdio;
        if let Some(fd) = stdin {
            rustix::stdio::dup2_stdin(fd)?;
        }
        if let Some(fd) = stdout {
            rustix::stdio::dup2_stdout(fd)?;
        }
        if let Some(fd) = stderr {
            rustix::stdio::dup2_stderr(fd)?;
        }
        // Not now: the end of the pipe must mark the moment of the exec.
        warren_sys::close_range_on_exec(3);
        for fd in keep {
            // SAFETY: the descriptor is inherited and nobody here owns it; a number
            // that is not open is EBADF.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    }
}

/// Tries each path and says why none could be executed.
fn execute(program: &Program, blocked: SignalSet) -> Failure {
    signal::set_blocked(blocked);
    let mut worst = Errno::NOENT;
    let mut found: Option<&CStr> = None;
    for path in &program.candidates {
        match warren_sys::execve(path, &program.arguments, &program.environment) {
            Errno::NOENT if !exists(path) => {}
            Errno::NOTDIR => {}
            // As execvp(3): a later folder may have one that can be executed.
            errno @ (Errno::ACCESS | Errno::NOENT) => {
                worst = errno;
                found = Some(path);
            }
            errno => return (errno, Detail::None),
        }
    }
    let detail = match found {
        Some(path) if is_folder(path) => Detail::IsFolder,
        Some(_) if worst == Errno::NOENT => Detail::InterpreterMissing,
        _ => Detail::None,
    };
    (worst, detail)
}

fn exists(path: &CStr) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

fn is_folder(path: &CStr) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// What every mount of a host's tree forbids.
pub fn attributes(access: Access) -> Attributes {
    let always = Attributes::NO_SUID | Attributes::NO_DEVICES;
    match access {
        Access::ReadOnly => always | Attributes::READ_ONLY,
        Access::ReadWrite => always,
    }
}

fn take_ids(user: &User, groups: Option<&[Gid]>) -> Result<()> {
    if let Some(groups) = groups {
        rustix::thread::set_thread_groups(groups)?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn set_capabilities(set: CapabilitySet) -> Result<()> {
    // Inheritable and ambient as well, so that a program of another user than root
    // keeps them over execve(2).
    caps::set(set, set, set)?;
    caps::raise_ambient(set)
}

/// An init whose memory can be read would show the program the caller's environment
/// and arguments; one that can be traced would do the program's bidding.
fn hide_init() -> Result<()> {
    // The arguments can be read by all, and may name what the program is not to know of.
    // SAFETY: nothing in a child that walks its plan looks at them.
    unsafe { warren_sys::arguments::replace_arguments(c"warren-init") };
    rustix::thread::set_name(c"warren-init")?;
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

fn tmpfs(mode: &CStr, size: Option<&CStr>) -> Result<OwnedFd> {
    let tmpfs = Filesystem::open(c"tmpfs")?;
    // The kernel's own default.
    if mode != c"1777" {
        tmpfs.set(c"mode", mode)?;
    }
    if let Some(size) = size {
        tmpfs.set(c"size", size)?;
    }
    tmpfs.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
}

/// A detached mount of the null device on which even that cannot be opened, so that who
/// reads what it covers gets an error, not an empty file.
fn nothing() -> Result<OwnedFd> {
    let null = clone_tree(rustix::fs::CWD, c"/dev/null", false)?;
    warren_mounts::set_attributes(null.as_fd(), Attributes::all(), false)?;
    Ok(null)
}

/// A detached folder in which nothing is and nothing can be made.
fn empty_folder() -> Result<OwnedFd> {
    Filesystem::open(c"tmpfs")?.mount(Attributes::all())
}

/// Puts a mount over the root of this process, which goes on to see what is below: its
/// own root is the old one, and it has the new one by descriptor.
fn attach_over_root(mount: BorrowedFd<'_>) -> Result<()> {
    attach_at(mount, rustix::fs::CWD, c"/")
}

/// Makes a folder whose name is a number, and opens it.
fn make_numbered(parent: &OwnedFd, number: u16, name: &mut [u8; 12]) -> Result<OwnedFd> {
    for (place, power) in name.iter_mut().zip([10_000, 1_000, 100, 10, 1]) {
        *place = b'0' + (number / power % 10) as u8;
    }
    let name = CStr::from_bytes_until_nul(name).map_err(|_| Errno::INVAL)?;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Saves the close of a descriptor: one close_range(2) ends them all. Not for what a plan
/// may have thousands of.
fn leave_open(fd: OwnedFd) {
    let _ = fd.into_raw_fd();
}

/// Takes what is not there as done.
fn if_there(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Sends one descriptor over a socket: `SCM_RIGHTS`, unix(7).
fn send_descriptor(channel: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(b"t")];
    rustix::net::sendmsg(channel, &byte, &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Closes every descriptor but one.
fn close_all_but(kept: Option<BorrowedFd<'_>>) {
    let Some(kept) = kept.map(|fd| fd.as_raw_fd() as u32) else {
        // SAFETY: this process is forked, never returns to code that owns descriptors,
        // and from here on uses none.
        return unsafe { warren_sys::close_range(0, u32::MAX) };
    };
    if kept > 0 {
        // SAFETY: as above; `kept` alone is used from here on.
        unsafe { warren_sys::close_range(0, kept - 1) };
    }
    // SAFETY: as above.
    unsafe { warren_sys::close_range(kept + 1, u32::MAX) };
}
