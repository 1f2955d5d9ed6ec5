//! What is wanted: complete, typed, comparable, and serialisable.

mod detailed;
mod priority;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use warren_cgroups::{Limits, Placement};
use warren_confine::landlock::Landlock;
use warren_confine::seccomp::Profile;
use warren_confine::{CapabilitySet, Rlimit};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_network::Connection;

use crate::role::Role;
pub use detailed::{
    DetailedMount, Device, DeviceKind, FlagChange, MountIds, Mounted, Propagation,
    PropagationKind,
};
pub use priority::{
    Affinity, CacheClass, Interface, IoClass, IoPriority, Labels, Listener, MemoryPolicy,
    Policy, Processors, Scheduler, TimeOffsets,
};

/// A process in namespaces, as every front end describes it.
///
/// The default changes nothing: it is what fork and exec would do.
///
/// ```
/// use warren_namespaces::Kind;
/// use warren_spawn::{Namespace, Spec};
///
/// let mut spec = Spec::new("id");
/// spec.namespaces.set(Kind::User, Namespace::New);
/// assert_eq!(spec.namespaces.created().to_string(), "user");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Control groups that the process moves itself into before anything else: an open
    /// `cgroup.procs` each.
    pub cgroups: Vec<Open>,
    /// The open folder of the one group of [`cgroups`](Self::cgroups), if there is one and it
    /// is of v2: where the kernel can, the process is born in it (clone3(2),
    /// `CLONE_INTO_CGROUP`), and has not to wait until the kernel has moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub born_in: Option<Open>,
    /// What the process and all that it starts may use. Any limit makes a control group.
    pub limits: Limits,
    /// A control group of its own, and where; as [`Placement::default`] has it if there are
    /// limits and this is `None`.
    pub cgroup: Option<Placement>,
    /// Lets no process of another group of core scheduling share a core with it, by its
    /// hyperthreads: prctl(2), `PR_SCHED_CORE`.
    pub core_sched: bool,
    /// How many bytes can be written to what vanishes with the process, together: layers of
    /// overlays in memory, and folders in memory without a size of their own. A /dev, in
    /// which shared memory is, has this limit of its own.
    pub disk: Option<u64>,
    /// A folder of the host: those bytes are on its disk then, in a file without a name, and
    /// not in memory. Needs root.
    pub disk_in: Option<PathBuf>,
    /// Which namespaces are new, joined or inherited.
    pub namespaces: Namespaces,
    /// The order in which the joined ones are entered; if empty, the user namespace first
    /// and the mount namespace last.
    pub route: Vec<Hop>,
    /// Folders each of which becomes the root in turn, by chroot(2), after the namespaces
    /// were entered.
    pub chroot: Vec<Folder>,
    /// The id maps of a new user namespace.
    pub id_map: IdMapping,
    /// What `/` is.
    pub root: Root,
    /// What is mounted or made below it, in this order.
    pub mounts: Vec<Mount>,
    /// Hands what is written into overlays in memory to the caller, who can read it when
    /// the process has ended: [`Child::take_layers`](crate::Child::take_layers).
    pub keep_layers: bool,
    /// What of the trees that are shown is hidden when the process is launched, with every
    /// name that it has in them: patterns as of gitignore(5). One without a slash matches a
    /// name at any depth, one with a slash a path in a tree, one that begins with a slash a
    /// path inside; `!` spares what it matches, and the last pattern that matches decides.
    /// Those that are not absolute leave the system's own folders alone.
    pub hide: Vec<OsString>,
    /// The host name of a new uts namespace.
    pub hostname: Option<OsString>,
    /// The NIS domain name of a new uts namespace.
    pub domainname: Option<OsString>,
    /// Settings below /proc/sys of the process's own namespaces, by their names with dots,
    /// and their values: sysctl(8).
    pub sysctl: Vec<(String, String)>,
    /// Brings `lo` up in a new network namespace.
    pub loopback: bool,
    /// What a new network namespace is connected to. Whoever launches holds the
    /// [`Reservation`](warren_network::Reservation) that says so, and releases it when the
    /// process has ended.
    pub connection: Option<Connection>,
    /// Forbids user namespaces below a new one (`user.max_user_namespaces` = 0).
    pub no_nested_user_namespaces: bool,
    /// Lets what is mounted on the host later be seen inside, where the host shares it.
    /// Always so in a new user namespace.
    pub follows_host_mounts: bool,
    /// How mounts spread between the root and others when all is mounted. With
    /// [`PropagationKind::Shared`] what is mounted from the host stays shared with it.
    pub root_propagation: Option<Propagation>,
    /// Whether a file that is masked reads as empty, where else it cannot be opened.
    pub readable_masks: bool,
    /// The context of SELinux of the filesystems that [`Mount::Detailed`] mounts.
    pub mount_label: Option<String>,
    /// Interfaces that are moved into the new network namespace.
    pub interfaces: Vec<Interface>,
    /// Offsets of the clocks of a new time namespace.
    pub time_offsets: TimeOffsets,
    /// Whether files in the /dev that [`Mount::Dev`] makes can be executed or mapped as code.
    pub executable_dev: bool,
    /// Mounts exactly where a target says: one whose last component is a symlink is
    /// refused (`ELOOP`), where else the symlink is followed inside the root.
    pub exact_targets: bool,
    /// A user namespace that is entered when the root is set up, which may own none of it.
    pub last_user_namespace: Option<Open>,
    /// A user namespace below the new one, made when the root is set up: the program has no
    /// rights over what was set up, and can be of an id that setting up could not be done as.
    pub inner_user_namespace: Option<InnerUserNamespace>,
    /// Checks that the program can make no user namespace; the launch fails if it can.
    pub without_user_namespaces: bool,
    /// The working directory, inside the root; inherited if `None`.
    pub cwd: Option<PathBuf>,
    /// What is tried in turn where `cwd` cannot be entered.
    pub cwd_else: Vec<PathBuf>,
    /// Sets the variable `PWD` to the one of `cwd` and `cwd_else` that was entered.
    pub tell_cwd: bool,
    /// An open folder as the working directory. One that lies outside of the root is
    /// refused, since `..` would lead on from there.
    pub cwd_open: Option<Open>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The program and its arguments; a program without a slash is looked for in the
    /// `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// What the program is told to be called, if not the first of `argv`.
    pub arg0: Option<OsString>,
    /// The program's file, open, instead of one that the first of `argv` names. It cannot
    /// be a script.
    pub program: Option<Open>,
    /// Who the process is, in the ids of its user namespace; unchanged if `None`.
    pub user: Option<User>,
    /// The bits that new files do not get; the caller's if `None`.
    pub umask: Option<u32>,
    /// Exactly these capabilities, in every set; unchanged if `None`.
    pub capabilities: Option<CapabilitySet>,
    /// What stays in the bounding set; the same as `capabilities` if `None`.
    pub bounding: Option<CapabilitySet>,
    /// Instead of `capabilities`, for each set its own.
    pub capability_sets: Option<CapabilitySets>,
    /// Whether execve(2) can never give more privilege: `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// A second wall behind the mounts, made of the same rules; none if `None`.
    pub landlock: Option<Landlock>,
    /// The system calls that are refused.
    pub seccomp: Seccomp,
    /// A profile of the program's own, loaded last: a call passes only if both let it.
    /// It must allow execve(2), which starts the program.
    pub syscalls: Option<Profile>,
    /// Bits `SECCOMP_FILTER_FLAG_*` with which that profile is loaded.
    pub syscalls_flags: u32,
    /// Who answers the calls that it leaves to a supervisor.
    pub listener: Option<Listener>,
    /// Programs of classic BPF, loaded after all of Warren's own and in this order.
    pub filters: Vec<RawFilter>,
    /// Resource limits to set.
    pub rlimits: Vec<Rlimit>,
    /// How soon the process is killed where memory runs out, -1000 to 1000: proc(5),
    /// oom_score_adj. The caller's if `None`.
    pub oom_score_adj: Option<i32>,
    /// The scheduling policy; the caller's if `None`.
    pub scheduler: Option<Scheduler>,
    /// The priority of input and output; the caller's if `None`.
    pub io_priority: Option<IoPriority>,
    /// On which nodes memory is taken; as the caller's if `None`.
    pub memory_policy: Option<MemoryPolicy>,
    /// On which processors it may run.
    pub affinity: Affinity,
    /// The execution domain of personality(2); the caller's if `None`.
    pub personality: Option<u32>,
    /// The class of cache and memory bandwidth; the caller's if `None`.
    pub cache_class: Option<CacheClass>,
    /// The labels of security modules.
    pub labels: Labels,
    /// Sent to the child when the *thread* that launched it ends:
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: Option<i32>,
    /// Descriptors above 2 that the program inherits; all others are closed.
    pub keep_fds: Vec<RawFd>,
    /// A process group of the process's own, and no controlling terminal. Else it is in
    /// the caller's group, which it can signal, and can open the caller's terminal.
    pub leave_caller: bool,
    /// A session of the process's own: setsid(2).
    pub new_session: bool,
    /// A terminal of the process's own.
    pub terminal: Terminal,
    /// Whether that terminal shows what is written as it is, from the first byte on: no
    /// carriage return is put in front of a line feed.
    pub plain_terminal: bool,
    /// Whether the program's user becomes the owner of its terminal, and of the pipes that
    /// are its standard streams: it can open them again by their names.
    pub owns_streams: bool,
    /// The name of a session keyring that the process joins instead of the caller's:
    /// keyrings(7).
    pub session_keyring: Option<String>,
    /// Id maps that somebody else writes: the process goes on when a byte, or the end, of
    /// this can be read. With [`IdMapping::Unmapped`].
    pub await_maps: Option<Open>,
    /// The program is executed when a byte, or the end, of this can be read.
    pub await_before_exec: Option<Open>,
    /// The process stays before its program until somebody opens this gate, a socket that
    /// [`gate::make`](crate::gate::make) has made; the launch ends when it is there.
    pub gate: Option<Open>,
    /// Whether `parent_death_signal` ends with the launch: the program outlives the caller.
    pub outlives_caller: bool,
    /// In a joined pid namespace, whether the program's parent is the caller, and not a
    /// process that waits for it in front of the namespace.
    pub callers_child: bool,
    /// Keeps whoever sees the process on its way from looking into it: at once where it only
    /// enters what is there, else before it is seen in a joined pid namespace, or before its
    /// privileges go.
    pub hidden: bool,
    /// Waits before the root is entered until the second callback of
    /// [`launch_in_stages`](crate::Plan::launch_in_stages) has returned.
    pub await_before_root: bool,
    /// Where the root is mounted until it is entered, should others come into the mount
    /// namespace before and look for it: mostly where it is on the host. Over the caller's
    /// root if `None`, or if nothing can be mounted there.
    pub root_place: Option<PathBuf>,
    /// Whether the root and all mounts are made in the caller's mount namespace, where they
    /// stay until somebody unmounts them: at `root_place`, which is entered by chroot(2).
    pub callers_mounts: bool,
    /// Whether the root is entered by chroot(2) should the kernel not exchange it, as that of
    /// an initramfs: the old root is still there then, below the new one, but for what shows
    /// processes and devices.
    pub without_pivot: bool,
    /// Run one after the other after that wait, in the namespaces and with the caller's root.
    pub hooks_before_root: Vec<Hook>,
    /// Run inside, after the gate was opened.
    pub hooks_before_program: Vec<Hook>,
    /// A file that `hooks_before_root` have as their standard input.
    pub hooks_read: Option<Open>,
    /// A file that they have as their standard output and error.
    pub hooks_written: Option<Open>,
    /// Descriptors that are the caller's business alone: the new process closes them at once.
    pub callers_fds: Vec<RawFd>,
    /// Whether the caller's children are born in another pid namespace than its own, which
    /// it has arranged by setns(2): a procfs shows that one.
    pub born_in_other_pid_namespace: bool,
    /// Descriptors that the init keeps open as long as it lives.
    pub init_keeps: Vec<RawFd>,
    /// Files inside the root on which the init holds a lock for reading: fcntl(2).
    pub lock_files: Vec<PathBuf>,
    /// Runs the program as pid 1 itself, without the reaping init.
    pub no_init: bool,
    /// Whether the init goes on when the program has ended, until nobody else is left; the
    /// caller hears of the program's end at once.
    pub lingering_init: bool,
    /// Whether the process waits until the callback of
    /// [`launch_announced`](crate::Plan::launch_announced) has returned.
    pub await_announcement: bool,
    /// Whether the user of the init may examine it: what proc(5) has of its namespaces, root
    /// and memory, from which the caller's arguments and environment are taken out.
    pub examinable_init: bool,
    /// Whether there is a program at all.
    pub role: Role,
}

impl Spec {
    /// Whether some id inside may be the host's root, as far as the Spec alone says: what
    /// of a procfs is that root's must then be masked too.
    #[must_use]
    pub fn may_be_hosts_root(&self) -> bool {
        if *self.namespaces.get(Kind::User) != Namespace::New {
            return true;
        }
        match &self.id_map {
            // A block that no account has, or the ranges of an ordinary user.
            IdMapping::Auto => false,
            IdMapping::Explicit { uids, .. } => uids.iter().any(|line| line.outside == 0),
            _ => true,
        }
    }

    /// A Spec that runs `program` and changes nothing.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            argv: vec![program.into()],
            ..Self::default()
        }
    }

    /// The capabilities, set by set; unchanged if `None`.
    #[must_use]
    pub fn all_capabilities(&self) -> Option<CapabilitySets> {
        let same = self.capabilities.map(CapabilitySets::all);
        self.capability_sets.or(same)
    }

    /// Whether it has an overlay whose changes are kept in memory.
    #[must_use]
    pub fn has_overlay_in_memory(&self) -> bool {
        let is_in_memory = |mount: &Mount| match mount {
            Mount::Overlay { upper, .. } => *upper == Upper::Memory,
            _ => false,
        };
        matches!(self.root, Root::Overlay { .. }) || self.mounts.iter().any(is_in_memory)
    }

    /// Whether the process gets a reaping init (or, in a joined pid namespace, a
    /// parent that waits for it).
    #[must_use]
    pub fn has_init(&self) -> bool {
        if self.role != Role::Program {
            return false;
        }
        match self.namespaces.get(Kind::Pid) {
            Namespace::Inherit => !self.no_init && self.init_holds(),
            Namespace::New => !self.no_init,
            // setns(2) moves only children into a pid namespace.
            Namespace::Join(_) => !self.callers_child,
        }
    }
}

impl Spec {
    /// Whether there is something that a process must hold as long as the program runs.
    pub(crate) fn init_holds(&self) -> bool {
        !self.init_keeps.is_empty() || !self.lock_files.is_empty()
    }
}

/// A program that is run, to its end, while the process is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// Of what kind it is, in the words of an error.
    pub kind: String,
    /// The program, by its path.
    pub path: PathBuf,
    /// Its arguments, the first being its name.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<OsString>,
    /// Seconds after which it is killed and has failed.
    pub timeout: Option<u32>,
}

/// A user namespace of one id below another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InnerUserNamespace {
    /// The user id in it.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// Whether it is the last: the outer one allows no second (`user.max_user_namespaces`
    /// = 1), and from inside that cannot be changed.
    pub last: bool,
}

/// What the process does with one kind of namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// It stays in the caller's.
    #[default]
    Inherit,
    /// It gets one of its own.
    New,
    /// It enters one that exists.
    Join(Join),
}

/// Where a namespace to be joined is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// A namespace file, such as /proc/PID/ns/net or /run/netns/NAME.
    Path(PathBuf),
    /// An open descriptor of the calling process.
    Fd(RawFd),
    /// The same, with words for it.
    Open(Open),
    /// That of the process with this id.
    Process(u32),
    /// That of the process of which this is an open pidfd. If all that is joined is of one,
    /// it is entered in one call.
    Pidfd(Open),
}

/// An open descriptor of the calling process, and what it is, for who reads the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its number.
    pub fd: RawFd,
    /// `net:[4026531840]`, `the root of process 12`.
    pub name: String,
}

/// One step on the way into namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// A user namespace that is only passed: it owns what is entered next.
    Through(Open),
    /// The joined namespace of this kind.
    Join(Kind),
}

/// A folder of the process to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Folder {
    /// One that is open.
    Open(Open),
    /// At this path, in the root that the process has then.
    Path(PathBuf),
}

/// What the process does with each kind of namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespaces {
    mnt: Namespace,
    net: Namespace,
    ipc: Namespace,
    user: Namespace,
    pid: Namespace,
    uts: Namespace,
    cgroup: Namespace,
    time: Namespace,
}

impl Namespaces {
    /// New ones of the kinds in `set`, the caller's of all others.
    #[must_use]
    pub fn new_of(set: NamespaceSet) -> Self {
        let mut namespaces = Self::default();
        set.iter()
            .for_each(|kind| namespaces.set(kind, Namespace::New));
        namespaces
    }

    /// What is done with `kind`.
    #[must_use]
    pub fn get(&self, kind: Kind) -> &Namespace {
        match kind {
            Kind::Mnt => &self.mnt,
            Kind::Net => &self.net,
            Kind::Ipc => &self.ipc,
            Kind::User => &self.user,
            Kind::Pid => &self.pid,
            Kind::Uts => &self.uts,
            Kind::Cgroup => &self.cgroup,
            Kind::Time => &self.time,
        }
    }

    /// Sets what is done with `kind`.
    pub fn set(&mut self, kind: Kind, what: Namespace) {
        let place = match kind {
            Kind::Mnt => &mut self.mnt,
            Kind::Net => &mut self.net,
            Kind::Ipc => &mut self.ipc,
            Kind::User => &mut self.user,
            Kind::Pid => &mut self.pid,
            Kind::Uts => &mut self.uts,
            Kind::Cgroup => &mut self.cgroup,
            Kind::Time => &mut self.time,
        };
        *place = what;
    }

    /// The kinds that are new.
    #[must_use]
    pub fn created(&self) -> NamespaceSet {
        self.kinds(|namespace| *namespace == Namespace::New)
    }

    /// The kinds that are joined.
    #[must_use]
    pub fn joined(&self) -> NamespaceSet {
        self.kinds(|namespace| matches!(namespace, Namespace::Join(_)))
    }

    fn kinds(&self, which: impl Fn(&Namespace) -> bool) -> NamespaceSet {
        Kind::ALL
            .into_iter()
            .filter(|kind| which(self.get(*kind)))
            .collect()
    }
}

/// The id maps of a new user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdMapping {
    /// For root, 65,536 ids from 0 on as a block of host ids that no user and no other
    /// container owns. For others, 0 as the caller and what /etc/subuid and
    /// /etc/subgid grant above it, where newuidmap(1) is there; else `Single`.
    #[default]
    Auto,
    /// One id alone: the caller's own, seen inside as that of [`Spec::user`], or 0.
    Single,
    /// The caller's own ids alone, seen inside as these. The process writes the maps itself,
    /// whoever the caller is, and gives setgroups(2) up.
    Own {
        /// The user id inside.
        uid: u32,
        /// The group id inside.
        gid: u32,
    },
    /// These lines.
    Explicit {
        /// Of uid_map.
        uids: Vec<IdMap>,
        /// Of gid_map.
        gids: Vec<IdMap>,
    },
    /// None: somebody else writes the maps, or nobody does.
    Unmapped,
}

/// What `/` is in a new mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// The caller's root, untouched.
    #[default]
    Inherit,
    /// An empty tmpfs: what is to be seen in it is mounted by [`Spec::mounts`]. In the
    /// end it cannot be written itself, but for the folders that [`Mount::Folder`] makes
    /// directly in it.
    Empty,
    /// The same, but it can be written, and [`Mount::Bind`], [`Mount::Tmpfs`] and
    /// [`Mount::Overlay`] at `/` replace it.
    Scratch,
    /// The tree at this path, and all that is mounted in it.
    Tree {
        /// Where it is; `/` for the host's whole tree.
        path: PathBuf,
        /// Whether it can be written.
        access: Access,
    },
    /// The tree at this path under an overlay in memory that takes all changes and
    /// vanishes with the process.
    Overlay {
        /// Where the lower tree is.
        path: PathBuf,
    },
    /// What is in the root that the process has entered, each at its place, in a copy of
    /// the mount namespace: what [`Spec::mounts`] adds is seen by the process alone. New
    /// files directly in the root are not, on either side.
    Visit,
}

/// Whether a tree can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It cannot.
    #[default]
    ReadOnly,
    /// It can, as far as its files' owners and modes allow.
    ReadWrite,
}

/// One thing below the root. Paths are those that the process will see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mount {
    /// A file or folder of the host, with all that is mounted in it.
    Bind {
        /// What it is on the host.
        source: Tree,
        /// Where it appears.
        target: PathBuf,
        /// Whether it can be written.
        access: Access,
        /// Whether device files in it can be opened.
        devices: bool,
    },
    /// An empty filesystem in memory.
    Tmpfs {
        /// Where it appears.
        target: PathBuf,
        /// The mode of its root folder.
        mode: u32,
        /// Bytes that it may hold; the kernel's default, half the memory, if `None`.
        size: Option<u64>,
    },
    /// Folders of the host, laid one over the other. What is mounted in them is not seen.
    Overlay {
        /// Their paths on the host, the lowest first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: Upper,
        /// Where it appears.
        target: PathBuf,
    },
    /// A message-queue filesystem: mq_overview(7).
    Mqueue {
        /// Where it appears.
        target: PathBuf,
    },
    /// A file with some content.
    File {
        /// What is in it.
        content: Content,
        /// Where it appears.
        target: PathBuf,
        /// Its mode.
        mode: u32,
        /// Made in what is there, if `None`; else kept in memory, and mounted over what is
        /// there.
        mounted: Option<Access>,
    },
    /// Other permissions for what is there.
    Mode {
        /// What gets them.
        target: PathBuf,
        /// The permissions.
        mode: u32,
    },
    /// More that the mount exactly there forbids.
    Forbid {
        /// Where it is mounted; `/` for the root itself.
        target: PathBuf,
        /// What it forbids from now on.
        what: Forbidden,
    },
    /// A folder; directly in an empty root, it stays writable.
    Folder {
        /// Where it appears; its parents are made too.
        target: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A symlink; one that says the same may be there already.
    Symlink {
        /// What it says.
        content: PathBuf,
        /// Where it appears.
        target: PathBuf,
    },
    /// The processes of the pid namespace, and with them files that tell of the host or
    /// change it.
    Proc {
        /// Where it appears.
        target: PathBuf,
        /// What of those files is masked.
        masks: ProcMasks,
    },
    /// null, zero, full, random, urandom, tty, pts, shm and the usual links.
    Dev {
        /// Where it appears.
        target: PathBuf,
    },
    /// A folder with a link to one program for each file of some folders: the program
    /// tells by the name under which it is called what is wanted.
    Programs {
        /// Where it appears.
        target: PathBuf,
        /// What each link says.
        content: PathBuf,
        /// The folders, as the process sees them.
        folders: Vec<PathBuf>,
    },
    /// Makes a file or folder that may exist there unreadable.
    Mask {
        /// What is hidden.
        target: PathBuf,
    },
    /// Makes a file or folder that may exist there, and all below it, read-only.
    ReadOnly {
        /// What cannot be written.
        target: PathBuf,
    },
    /// The kernel's devices and drivers, as the network namespace shows them: sysfs(5).
    Sys {
        /// Where it appears.
        target: PathBuf,
    },
    /// A mount of which every property is said.
    Detailed(Box<DetailedMount>),
    /// A device file or a named pipe.
    Device(Device),
    /// null, zero, full, random, urandom, tty and the usual links, in a folder that is
    /// there, and its console where the process has a terminal of its own.
    DeviceFiles {
        /// The folder.
        target: PathBuf,
    },
}

impl Mount {
    /// A file or folder of the host whose device files cannot be opened.
    #[must_use]
    pub fn bind(
        source: impl Into<Tree>,
        target: impl Into<PathBuf>,
        access: Access,
    ) -> Self {
        Self::Bind {
            source: source.into(),
            target: target.into(),
            access,
            devices: false,
        }
    }

    /// Where it appears.
    #[must_use]
    pub fn target(&self) -> &PathBuf {
        match self {
            Self::Bind { target, .. }
            | Self::Mqueue { target }
            | Self::File { target, .. }
            | Self::Mode { target, .. }
            | Self::Forbid { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Folder { target, .. }
            | Self::Overlay { target, .. }
            | Self::Symlink { target, .. }
            | Self::Proc { target, .. }
            | Self::Programs { target, .. }
            | Self::Dev { target }
            | Self::Sys { target }
            | Self::ReadOnly { target }
            | Self::DeviceFiles { target }
            | Self::Mask { target } => target,
            Self::Detailed(mount) => &mount.target,
            Self::Device(device) => &device.target,
        }
    }
}

/// A file or folder of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tree {
    /// The one at this path, when the process is launched.
    Path(PathBuf),
    /// One that is open, be it with `O_PATH` only: whatever has its path by then.
    Open(Open),
}

impl<P: Into<PathBuf>> From<P> for Tree {
    fn from(path: P) -> Self {
        Self::Path(path.into())
    }
}

/// Where an overlay puts changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upper {
    /// In memory; they vanish with the process.
    #[default]
    Memory,
    /// Nowhere: it cannot be written.
    None,
    /// In a folder of the host.
    Folder {
        /// The folder.
        upper: PathBuf,
        /// An empty one on the same filesystem, for the overlay's own use.
        work: PathBuf,
    },
}

/// What is in a file that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// What can be read from a descriptor, up to its end.
    Open(Open),
    /// This.
    Bytes(Vec<u8>),
}

/// What a mount can forbid: mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forbidden {
    /// To write.
    pub write: bool,
    /// To open device files.
    pub devices: bool,
    /// To gain privilege by set-user-id bits and file capabilities.
    pub set_id: bool,
    /// To execute files.
    pub execute: bool,
}

/// What of a procfs is masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcMasks {
    /// Nothing.
    None,
    /// What changes the host is read-only.
    Settings,
    /// That, and what tells of the host is covered.
    #[default]
    All,
}

/// A program of classic BPF, as seccomp(2) takes it: eight bytes an instruction, in the
/// machine's byte order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFilter(pub Vec<u8>);

/// The sets of capabilities of a process: capabilities(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapabilitySets {
    /// Beyond which execve(2) gives none.
    pub bounding: CapabilitySet,
    /// Those that count.
    pub effective: CapabilitySet,
    /// Those that can be made effective.
    pub permitted: CapabilitySet,
    /// Those that a file may pass on.
    pub inheritable: CapabilitySet,
    /// Those that a program of another user than root keeps.
    pub ambient: CapabilitySet,
}

impl CapabilitySets {
    /// The same in every set.
    #[must_use]
    pub const fn all(set: CapabilitySet) -> Self {
        Self {
            bounding: set,
            effective: set,
            permitted: set,
            inheritable: set,
            ambient: set,
        }
    }

    /// The one set that all are, if they are.
    #[must_use]
    pub fn one(self) -> Option<CapabilitySet> {
        (self == Self::all(self.bounding)).then_some(self.bounding)
    }
}

/// Who the process is, in the ids of its user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; the caller's if `None`. Where the map was written without
    /// privilege the kernel forbids to change them, and the caller's stay.
    pub groups: Option<Vec<u32>>,
}

impl User {
    /// Root, without supplementary groups.
    pub const ROOT: Self = Self {
        uid: 0,
        gid: 0,
        groups: Some(Vec::new()),
    };
}

/// Which system calls are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// None.
    #[default]
    Off,
    /// What a contained program has no business with:
    /// [`Filter::sandbox`](warren_confine::Filter::sandbox).
    Sandbox,
}

/// Whether the process gets a terminal of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// It keeps the caller's, if it has one.
    #[default]
    Inherit,
    /// A new one, in the devpts of the container, as its standard streams; the caller
    /// gets the other end ([`Child::take_terminal`](crate::Child::take_terminal)).
    New {
        /// Its height in characters.
        rows: u16,
        /// Its width in characters.
        columns: u16,
    },
}
