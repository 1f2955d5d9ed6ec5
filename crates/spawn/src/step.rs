//! The steps of a plan: what each does, on which side, in words.

mod words;

use std::ffi::{CString, OsString};
use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::PathBuf;

use rustix::thread::Gid;
use warren_cgroups::{Blueprint, Setting};
use warren_confine::landlock::{Files, Handled, Tcp};
use warren_confine::{CapabilitySet, Filter, Rlimit};
use warren_mounts::{Attributes, Change, Node, Target};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_network::Connection;
use warren_sys::{CStringArray, Errno, SchedulerAttributes, SeccompFlags};

use crate::spec::{
    Access, CacheClass, CapabilitySets, Content, Device, FlagChange, IoPriority, Join,
    Listener, MemoryPolicy, Open, Propagation, Tree, User,
};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The launching process.
    Parent,
    /// The new process, which becomes the init if there is one.
    Child,
    /// The process that becomes the program.
    Payload,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Parent => "parent",
            Self::Child => "child",
            Self::Payload => "payload",
        })
    }
}

/// One step. Its [`Display`](fmt::Display) is the sentence that a plan, a trace and an
/// error say.
///
/// The steps of the child and the payload hold everything in the form in which the
/// kernel takes it, since nothing can be rendered there.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// Takes a block of host ids that nobody uses.
    ReserveIds,
    /// Opens a namespace to be joined.
    OpenNamespace {
        /// Its kind.
        kind: Kind,
        /// Where it is.
        from: Join,
    },
    /// Clones a tree of the host, since the child will lack the right to.
    CloneTree {
        /// What it is on the host.
        tree: Tree,
        /// Whether it can be written.
        access: Access,
        /// Whether device files in it can be opened.
        devices: bool,
        /// Whether with all that is mounted in it.
        recursive: bool,
    },
    /// Makes a filesystem in a file without a name, for the layers of overlays.
    MakeDisk {
        /// The folder of the host that the file is in.
        folder: PathBuf,
        /// Bytes that it holds.
        size: u64,
        /// How many folders it holds beyond that.
        folders: u64,
    },
    /// Clones a tree of the host and changes it as it is told.
    CloneDetailed {
        /// What it is on the host.
        tree: Tree,
        /// How it is changed.
        changes: Changes,
        /// Under which ids its files are shown, if others than the container's or their
        /// own.
        ids: Option<Box<MapLines>>,
    },
    /// Makes a user namespace whose map a mount can have.
    MakeMap(Box<MapLines>),
    /// Connects to who answers the system calls that are left to a supervisor.
    ConnectListener(PathBuf),
    /// Creates the process: clone3(2).
    Clone {
        /// Its new namespaces.
        namespaces: NamespaceSet,
    },
    /// Makes a control group, without limits yet.
    MakeGroup(Box<Blueprint>),
    /// Sets one of its limits.
    SetLimit {
        /// Its number among the settings of the group.
        number: usize,
        /// What it is.
        setting: Setting,
    },
    /// Moves the process into the control group where it was not born in it, and lets it go
    /// on.
    EnterGroup {
        /// Whether the group is then handed to who owns the user namespace.
        delegate: bool,
    },
    /// Writes the child's id maps.
    WriteMaps {
        /// Lines, and who writes them.
        maps: Maps,
    },
    /// Shows the files of a cloned tree under the container's ids.
    ShiftIds {
        /// Its number among the cloned trees.
        tree: usize,
        /// What it is on the host.
        name: Tree,
        /// Whether also in all that is mounted in it.
        recursive: bool,
    },
    /// Shows what the child has cloned of its root, and hands over, under other ids.
    ShiftWithin {
        /// Where in the root it is.
        place: Target,
        /// How.
        ids: ShiftWithin,
    },
    /// Moves a network interface into the child's network namespace.
    MoveInterface {
        /// Its name in the caller's.
        outside: String,
        /// Its name inside.
        inside: String,
    },
    /// Puts the child in a class of cache and memory bandwidth.
    JoinCacheClass(CacheClass),
    /// Lets the child go on.
    Release,
    /// Hands the listener of the child's filter to who answers.
    SendListener(Listener),
    /// Connects the child's network namespace, while it makes its mounts.
    Connect(Box<Connection>),
    /// Shows the files of a cloned tree under the ids of a user namespace.
    ShiftIdsTo {
        /// Its number among the cloned trees.
        tree: usize,
        /// Where it is on the host.
        path: PathBuf,
        /// The number of the user namespace among the opened ones.
        namespace: usize,
        /// What it is.
        name: String,
        /// Whether what is mounted in it is shown so too.
        recursive: bool,
    },

    /// Closes what is the caller's business alone.
    CloseCallers(Vec<RawFd>),
    /// Arranges to die with the thread that launched.
    DieWithParent {
        /// The signal.
        signal: i32,
    },
    /// Waits for the parent's part.
    AwaitParent,
    /// Begins a group of core scheduling.
    CoreSched,
    /// Moves itself into a control group.
    JoinCgroup(Open),
    /// Waits until the parent has put it into its control group.
    AwaitGroup,
    /// Makes a cgroup namespace, whose root is the group that it is in by then.
    CgroupNamespace,
    /// Opens a terminal of the caller's, should the root that is entered have none.
    HoldTerminal,
    /// Takes a tree of the caller's along.
    KeepTree {
        /// Its number among those.
        tree: usize,
        /// Where it is.
        path: CString,
        /// Whether it can be written.
        access: Access,
        /// Whether device files in it can be opened.
        devices: bool,
    },
    /// Takes the caller's device files along.
    KeepDevices,
    /// Copies the mount namespace, so that it is owned by the user namespace so far.
    CopyMounts {
        /// Whether no other process shall see what is mounted next.
        private: bool,
    },
    /// Writes its own id maps, of one id each.
    WriteOwnMaps {
        /// The line of uid_map.
        uid: IdMap,
        /// The line of gid_map.
        gid: IdMap,
        /// Both as texts.
        texts: [CString; 2],
    },
    /// Enters namespaces.
    JoinNamespace {
        /// The kind.
        kind: Kind,
        /// Its number among the opened namespaces.
        namespace: usize,
        /// Whether it is a user namespace that is left again.
        through: bool,
    },
    /// Takes other groups, and stays the same user.
    SetGroups(Vec<Gid>),
    /// Enters several namespaces of one process at once.
    JoinProcess {
        /// A pidfd of it.
        process: Open,
        /// Their kinds.
        kinds: NamespaceSet,
    },
    /// Makes an open folder the root.
    ChangeRootTo(Open),
    /// Makes a folder of the root the root.
    ChangeRoot(CString),
    /// Makes an empty root and shows in it what is in the one so far.
    RootVisit,
    /// Mounts a procfs of the joined pid namespace.
    ProcOfJoined {
        /// Where.
        target: Target,
    },
    /// Makes a folder of links.
    Programs {
        /// Where.
        target: Target,
        /// What each says.
        content: CString,
        /// The folders whose files' names they have.
        folders: Vec<CString>,
    },
    /// Takes the ids that the container is set up with.
    TakeIds {
        /// Who.
        user: User,
        /// The supplementary groups, where they can be set.
        groups: Option<Vec<Gid>>,
    },
    /// Leaves the caller's process group and terminal.
    LeaveCaller,
    /// Sets the host name.
    Hostname(CString),
    /// Sets the NIS domain name.
    Domainname(CString),
    /// Changes a setting of a namespace.
    Sysctl {
        /// Its path below /proc.
        path: CString,
        /// What is written to it.
        value: CString,
    },
    /// Sets oom_score_adj.
    OomScoreAdj(CString),
    /// Brings `lo` up.
    Loopback,
    /// Forbids user namespaces below this one.
    LimitUserNamespaces,
    /// Keeps mounts from spreading to and from the host.
    PrivateMounts,
    /// Keeps mounts from spreading to the host; those of the host still come.
    FollowMounts,
    /// Opens the root, which stays.
    RootHere,
    /// Makes a tmpfs for the layers of overlays, which the root will cover.
    Layers {
        /// Bytes that they may hold.
        size: Option<CString>,
        /// Which of the parent's trees it is, if it lies on a disk.
        disk: Option<usize>,
    },
    /// Mounts an empty folder of it.
    FolderInMemory {
        /// Where.
        target: Target,
        /// Its mode.
        mode: u32,
    },
    /// Sends it to the parent, which can read it when all is over.
    HandLayers,
    /// Makes an empty tmpfs the root to be.
    RootEmpty {
        /// Mode of its root folder, in octal.
        mode: CString,
        /// Bytes that it may hold.
        size: Option<CString>,
    },
    /// Makes an empty folder of the filesystem of the layers the root to be.
    RootShared {
        /// Its mode.
        mode: u32,
    },
    /// Makes a tree the root to be.
    RootTree {
        /// The tree.
        source: Source,
        /// Whether it can be written.
        access: Access,
        /// Whether device files in it can be opened.
        devices: bool,
    },
    /// Makes an overlay the root to be.
    RootOverlay(Layering),
    /// Mounts a file or folder of the host.
    Bind {
        /// What.
        source: Source,
        /// Where.
        target: Target,
        /// What it is.
        node: Node,
        /// Whether it can be written.
        access: Access,
        /// Whether device files in it can be opened.
        devices: bool,
    },
    /// Makes a tree the root to be, as it is told.
    RootDetailed {
        /// The tree.
        source: Source,
        /// How it is changed.
        changes: Changes,
        /// Where it is mounted until it is entered, if it can be; else over the root so far.
        place: Option<CString>,
        /// Whether it stays there.
        stays: bool,
    },
    /// Mounts a file or folder, as it is told.
    MountTree {
        /// What.
        source: Source,
        /// Where.
        target: Target,
        /// What it is, if that is known.
        node: Option<Node>,
        /// How it is changed.
        changes: Changes,
    },
    /// Mounts a filesystem, as it is told.
    MountFilesystem {
        /// What.
        new: Box<NewFilesystem>,
        /// Where.
        target: Target,
    },
    /// Covers and seals what lies directly in a procfs that was just mounted.
    ProcPaths {
        /// Where that is.
        target: Target,
        /// What is covered, and reads as empty.
        masked: Vec<CString>,
        /// What cannot be written.
        read_only: Vec<CString>,
    },
    /// Mounts the control groups.
    Cgroups {
        /// What.
        tree: Box<CgroupTree>,
        /// Where.
        target: Target,
    },
    /// Makes a device file or named pipe.
    Device {
        /// What.
        device: Device,
        /// Where.
        target: Target,
    },
    /// Makes the usual device files and links in a folder.
    DeviceFiles {
        /// Where.
        target: Target,
        /// Whether those of the host are bound, since none can be made.
        bind: bool,
        /// Whether there is a place for a console.
        console: bool,
    },
    /// Shows the terminal as the console.
    Console,
    /// Sets how mounts spread between the root and others.
    RootPropagation(Propagation),
    /// Keeps mounts on the root itself from spreading; all others stay shared.
    PrivateRoot,
    /// Makes an ipc namespace as who the container is set up as: the creator owns its
    /// message queues.
    IpcNamespace,
    /// Makes namespaces in the user namespace that was entered.
    NewNamespaces(NamespaceSet),
    /// Opens the file of those offsets, which belongs to another user than the process
    /// once its ids have changed.
    OpenTimeOffsets,
    /// Makes a time namespace with offsets and enters it.
    TimeNamespace {
        /// The lines of timens_offsets.
        offsets: CString,
    },
    /// Leaves the caller's session keyring for one with this name.
    SessionKeyring(CString),
    /// Gives the terminal and the pipes that are standard streams to the program's user.
    OwnStreams {
        /// The user.
        uid: u32,
    },
    /// Sets the scheduling policy.
    Scheduler(SchedulerAttributes),
    /// Sets the priority of input and output.
    IoPriority(IoPriority),
    /// Sets on which nodes memory is taken.
    MemoryPolicy(MemoryPolicy),
    /// Sets on which processors the process may run.
    Affinity(Vec<u64>),
    /// Sets the execution domain.
    Personality(u32),
    /// Loads the filter of a profile while there is the privilege to, since the program may
    /// gain new ones.
    LoadProfileFirst {
        /// The filter.
        filter: Filter,
        /// How.
        flags: SeccompFlags,
        /// Whether the parent gets its listener.
        listens: bool,
    },
    /// Asks a security module for a label from the exec on.
    Label {
        /// The files below /proc to ask by, in turn.
        files: [CString; 2],
        /// What is written.
        label: CString,
    },
    /// Mounts an empty filesystem in memory.
    Tmpfs {
        /// Where.
        target: Target,
        /// Mode of its root folder, in octal.
        mode: CString,
        /// Bytes that it may hold.
        size: Option<CString>,
    },
    /// Mounts an overlay.
    Overlay {
        /// What.
        layering: Layering,
        /// Where.
        target: Target,
    },
    /// Mounts a message-queue filesystem.
    Mqueue {
        /// Where.
        target: Target,
    },
    /// Makes a file.
    File {
        /// What is in it.
        content: Content,
        /// Where.
        target: Target,
        /// Its mode.
        mode: u32,
        /// Whether it is kept in memory and mounted there, and can then be written.
        mounted: Option<Access>,
    },
    /// Changes permissions.
    Mode {
        /// Of what.
        target: Target,
        /// To which.
        mode: u32,
    },
    /// Lets a mount forbid more.
    Forbid {
        /// Where it is mounted; the root itself if `None`.
        target: Option<Target>,
        /// What it forbids.
        attributes: Attributes,
    },
    /// Enters a user namespace that may own nothing of what was set up.
    EnterUserNamespace(Open),
    /// Allows one more user namespace and no further.
    AllowOneUserNamespace,
    /// Makes a user namespace below the one so far and maps one id each.
    InnerUserNamespace {
        /// The line of uid_map.
        uid: IdMap,
        /// The line of gid_map.
        gid: IdMap,
        /// Both as texts.
        texts: [CString; 2],
    },
    /// Checks that no user namespace can be made.
    CheckNoUserNamespaces,
    /// Makes a pid namespace, goes on as its first process, and waits for that outside.
    BeBornAgain,
    /// Leads a session of its own.
    NewSession,
    /// Waits for somebody else to write the id maps.
    AwaitMaps(Open),
    /// Locks a file for reading.
    LockFile(CString),
    /// Makes a folder.
    Folder {
        /// Where.
        target: Target,
        /// Its mode.
        mode: u32,
        /// Whether it is a mount of its own, to stay writable in a root that is not.
        own: bool,
        /// Whether that mount is of the tmpfs that all share which vanishes.
        shared: bool,
    },
    /// Makes a symlink.
    Symlink {
        /// What it says.
        content: CString,
        /// Where.
        target: Target,
    },
    /// Mounts a procfs of the new pid namespace.
    Proc {
        /// Where.
        target: Target,
    },
    /// Shows the host's procfs.
    ProcOfHost {
        /// Where.
        target: Target,
    },
    /// Masks what a procfs tells of the host, and keeps its settings from change.
    ProcMasks {
        /// Whether files that tell of the host are covered.
        cover: bool,
        /// Whether also what a user namespace of the container's own keeps from it.
        all: bool,
        /// Whether a covered file reads as empty, instead of not at all.
        readable: bool,
    },
    /// Mounts a tmpfs for the device files.
    DevFolder {
        /// Where.
        target: Target,
        /// Bytes that it may hold.
        size: Option<CString>,
    },
    /// Shows device files of the host.
    Devices {
        /// Nobody may change the host's files: somebody inside may own them.
        sealed: bool,
    },
    /// Makes the usual links and folders of /dev.
    DevLinks,
    /// Mounts a devpts of its own.
    DevPts {
        /// Whether files in /dev can be executed.
        execute: bool,
    },
    /// Covers a file or folder with nothing.
    Mask {
        /// What is covered.
        target: Target,
        /// Whether a file reads as empty, instead of not at all.
        readable: bool,
    },
    /// Makes a file or folder read-only.
    ReadOnly {
        /// What cannot be written.
        target: Target,
    },
    /// Mounts a sysfs.
    Sys {
        /// Where.
        target: Target,
    },
    /// Makes the root itself read-only.
    SealRoot,
    /// Makes a terminal and sends its other end to the parent.
    OpenTerminal {
        /// The multiplexer: in the new root if it has a /dev, else on the host.
        multiplexer: CString,
        /// Whether it is in the new root.
        in_root: bool,
        /// Whether it may be missing: then the terminal that is held is taken.
        held: bool,
        /// Whether no carriage return is put in front of a line feed.
        plain: bool,
        /// Height in characters.
        rows: u16,
        /// Width in characters.
        columns: u16,
    },
    /// Makes the root to be the root, and lets the old one go.
    EnterRoot {
        /// What is taken away of the old root, the last mount first, where that can only be
        /// covered; not covered at all if `None`.
        uncovered: Option<Vec<CString>>,
    },
    /// Goes to the working directory: the first of these that it can enter.
    WorkDir(Vec<CString>),
    /// Goes to an open folder inside of the root.
    WorkDirTo(Open),
    /// Sets a resource limit.
    SetRlimit(Rlimit),
    /// Takes capabilities out of the bounding set.
    DropBounding {
        /// Which stay.
        keep: CapabilitySet,
    },
    /// Takes the ids of the program.
    SetUser {
        /// Who.
        user: User,
        /// The supplementary groups, where they can be set.
        groups: Option<Vec<Gid>>,
        /// Whether the capabilities shall survive the change.
        keep_capabilities: bool,
    },
    /// Sets the capabilities.
    SetCapabilities(CapabilitySets),
    /// Takes the file mode mask of the program, for when it is executed.
    Umask(u32),
    /// Gives up gaining privilege by execve(2).
    NoNewPrivs,
    /// Makes an empty set of rules for Landlock.
    Ruleset(Handled),
    /// Allows a place of the root and all below it.
    Allow {
        /// Where.
        place: Place,
        /// What may be done there.
        rights: Files,
    },
    /// Allows to open once more what the standard streams are, as far as these rights.
    AllowStreams(Files),
    /// Allows a TCP port.
    AllowPort {
        /// Its number.
        port: u16,
        /// What may be done with it.
        rights: Tcp,
    },
    /// Comes under the rules for good.
    RestrictSelf,
    /// Loads the system-call filter.
    LoadSeccomp(Filter),
    /// Loads the filter of a profile of the program's own.
    LoadProfile {
        /// The filter.
        filter: Filter,
        /// How.
        flags: SeccompFlags,
        /// Whether the parent gets its listener.
        listens: bool,
    },
    /// Loads a filter that was given as a program.
    LoadFilter(Filter),
    /// Waits before the program is executed.
    AwaitExec(Open),
    /// Makes sure that the program can be executed, while its caller still listens.
    CheckProgram,
    /// Stays when the caller ends.
    OutliveCaller,
    /// Waits before the program until the gate is opened, and lets go of the caller's
    /// descriptors meanwhile: somebody may wait for their end.
    AwaitGate {
        /// The socket.
        gate: Open,
        /// The descriptors that stay, in ascending order.
        kept: Vec<RawFd>,
    },
    /// Waits before the root is entered, until the caller has done what it wants to.
    AwaitCaller,
    /// Runs a hook to its end.
    Hook(HookProgram),
    /// Closes what leads to the host, before a container sees the process.
    CloseHosts {
        /// What the program is to have.
        keep: Vec<RawFd>,
    },
    /// Goes on as a child of the caller, in the joined pid namespace.
    ForkSibling,
    /// Hides the memory and descriptors of the init from the program.
    HideInit {
        /// Whether its user may examine it all the same.
        examinable: bool,
    },
    /// Forks the program off and becomes the init.
    ForkInit {
        /// The descriptors that the init keeps.
        keep: Vec<RawFd>,
    },
    /// Mounts the first cloned tree exactly there.
    Graft {
        /// Where it is on the host.
        source: PathBuf,
        /// What it is.
        node: Node,
        /// Where it goes.
        target: Target,
        /// Whether the mount point is made if it is missing.
        make: bool,
    },
    /// Unmounts what is mounted exactly there.
    Unmount {
        /// Where.
        target: Target,
    },
    /// Keeps whoever lives there from looking into the process that comes to them.
    Hide,
    /// Empties what the holder's memory has of the caller.
    HideHolder {
        /// Whether its user may examine it.
        examinable: bool,
    },
    /// Closes all descriptors and stays, until it is killed.
    Hold,
    /// Ends: nothing is to be executed.
    Finish,

    /// Arranges to die with the process that waits for it outside of its pid namespace.
    DieWithInit,
    /// Makes the terminal its own.
    ControlTerminal {
        /// Whether an init leads the session.
        has_init: bool,
    },
    /// Lets the named descriptors through, and no other above 2.
    Descriptors {
        /// Which.
        keep: Vec<RawFd>,
    },
    /// Waits until the network is there.
    AwaitNetwork,
    /// Says that it is there, and waits until it is watched.
    AwaitObserver,
    /// Executes the program.
    Exec(Program),
}

/// The id maps of a new user namespace, and how they come to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maps {
    /// The lines.
    pub lines: MapLines,
    /// Who writes them.
    pub writer: MapWriter,
}

/// The lines of both maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapLines {
    /// Ids from 0 on are those of the block that is reserved at launch.
    FreeBlock,
    /// These.
    Known {
        /// Of uid_map.
        uids: Vec<IdMap>,
        /// Of gid_map.
        gids: Vec<IdMap>,
    },
}

/// Who writes the id maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// The child: one line of its own ids.
    Child,
    /// The parent, which has the privilege.
    Parent,
    /// newuidmap(1) and newgidmap(1), which have it.
    Helpers,
}

/// How a mount is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether all that is mounted in it is taken along.
    pub recursive: bool,
    /// Whether other ids are of what is mounted in it, too.
    pub shifts_below: bool,
    /// Of the mount itself.
    pub own: FlagChange,
    /// Of it and of all that is mounted in it.
    pub below: FlagChange,
    /// How mounts in it spread.
    pub propagation: Vec<Propagation>,
}

impl Changes {
    /// Makes them. Allocates nothing.
    pub(crate) fn apply(&self, mount: BorrowedFd<'_>) -> Result<(), Errno> {
        let change = |flags: FlagChange, propagation: u64, recursive| {
            if flags.is_empty() && propagation == 0 {
                return Ok(());
            }
            let change = Change {
                set: flags.set,
                clear: flags.clear,
                propagation,
            };
            warren_mounts::change(mount, change, recursive)
        };
        // The first word on propagation costs no call where one is made anyway.
        let (mut of_own, mut of_below) = (0, 0);
        let mut rest = &self.propagation[..];
        if let Some((first, others)) = rest.split_first() {
            match (first.recursive, self.below.is_empty()) {
                (false, _) => of_own = first.kind.bits(),
                (true, _) => of_below = first.kind.bits(),
            }
            rest = others;
        }
        change(self.below, of_below, true)?;
        change(self.own, of_own, false)?;
        rest.iter().try_for_each(|one| {
            change(FlagChange::default(), one.kind.bits(), one.recursive)
        })
    }
}

/// A filesystem to be mounted, in the form in which the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFilesystem {
    /// Its kind.
    pub kind: CString,
    /// Its device, or what is shown in its place.
    pub source: CString,
    /// `MS_*` of mount(2).
    pub flags: u64,
    /// The same as `MOUNT_ATTR_*`.
    pub attributes: u32,
    /// Its options, for mount(2).
    pub data: CString,
    /// The same one by one, where mount(2) does not do.
    pub options: Vec<(CString, Option<CString>)>,
    /// Whether it has the mode of the folder that it covers.
    pub takes_mode: bool,
    /// Whether the files of that are copied into it.
    pub copy_up: bool,
    /// Whether it is a procfs or sysfs, which go on no symlink.
    pub is_of_kernel: bool,
    /// How it is changed then.
    pub changes: Changes,
}

impl NewFilesystem {
    /// Whether it is a filesystem in memory with nothing in it.
    pub fn is_empty_memory(&self) -> bool {
        self.kind.as_c_str() == c"tmpfs" && !self.copy_up
    }
}

/// The control groups that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupTree {
    /// The hierarchies of v1; none where there is v2 alone.
    pub folders: Vec<CgroupFolder>,
    /// Where the host has v2 mounted.
    pub v2: CString,
    /// Whether there is a new cgroup namespace, whose root is all that a mount shows.
    pub own: bool,
    /// `MOUNT_ATTR_*`.
    pub attributes: u32,
}

/// A hierarchy of v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFolder {
    /// The name of its folder.
    pub name: CString,
    /// Its controllers, or its name, as mount(2) and /proc/self/cgroup have them.
    pub options: CString,
    /// Where the host has it mounted.
    pub mount_point: CString,
    /// Other names for it.
    pub links: Vec<CString>,
}

/// The layers of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layering {
    /// The lower ones, the lowest first, each with the name that it gets.
    pub lowers: Vec<(Source, CString)>,
    /// Those names as overlayfs takes them, the lowest last.
    pub lowerdir: CString,
    /// Where changes go.
    pub upper: LayeringUpper,
}

/// Where an overlay puts changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayeringUpper {
    /// In memory.
    Memory,
    /// Nowhere.
    None,
    /// In a folder of the host.
    Folder {
        /// Its path.
        upper: CString,
        /// That of a folder for overlayfs' own use.
        work: CString,
    },
}

/// Where the child finds a tree of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At a path, which it clones itself.
    Path(CString),
    /// Open, which it clones itself.
    Open(Open),
    /// Taken along: its number, and its path for the reader.
    Kept(usize, CString),
    /// Cloned by the parent: its number, and what it is, for the reader.
    Tree(usize, Tree),
    /// In the root to be, as far as that is mounted.
    Within {
        /// Where.
        place: Target,
        /// Whether its files are shown as others'.
        ids: Option<ShiftWithin>,
    },
}

/// How the owners of a tree of the root to be change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShiftWithin {
    /// The number of the map among the parent's trees; without one, it is the container's.
    pub map: Option<usize>,
    /// Whether also in all that is mounted in it.
    pub recursive: bool,
    /// Whether the parent does it, for a child that is in a user namespace may not.
    pub by_parent: bool,
}

/// What a rule of Landlock is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path of the new root.
    Path(CString),
    /// A file of the caller's that is open.
    Open(Open),
}

/// What is executed.
#[derive(Debug)]
pub struct Program {
    /// As the user named it.
    pub name: OsString,
    /// The file, if it is open.
    pub file: Option<Open>,
    /// The paths to try otherwise, in order.
    pub candidates: Vec<CString>,
    /// Its arguments, the first being its name.
    pub arguments: CStringArray,
    /// Its environment: one, or one for each working directory that there may be.
    pub environments: Vec<CStringArray>,
}

/// A hook, in the form of execve(2).
#[derive(Debug)]
pub struct HookProgram {
    /// Its kind and path, for the reader.
    pub name: String,
    /// Which of the Spec's hooks of its kind it is.
    pub number: u32,
    /// Where it is.
    pub path: CString,
    /// Its arguments, the first being its name.
    pub arguments: CStringArray,
    /// Its environment.
    pub environment: CStringArray,
    /// Seconds until it is killed.
    pub timeout: Option<u32>,
    /// Whether the root to be is its working directory.
    pub in_root: bool,
}

impl Step {
    /// Who does it.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::ReserveIds
            | Self::OpenNamespace { .. }
            | Self::CloneTree { .. }
            | Self::MakeDisk { .. }
            | Self::CloneDetailed { .. }
            | Self::MakeMap(_)
            | Self::ConnectListener(_)
            | Self::MoveInterface { .. }
            | Self::JoinCacheClass(_)
            | Self::SendListener(_)
            | Self::Clone { .. }
            | Self::MakeGroup(_)
            | Self::SetLimit { .. }
            | Self::EnterGroup { .. }
            | Self::WriteMaps { .. }
            | Self::ShiftIds { .. }
            | Self::ShiftIdsTo { .. }
            | Self::ShiftWithin { .. }
            | Self::Connect(_)
            | Self::Release => Side::Parent,
            Self::DieWithInit
            | Self::ControlTerminal { .. }
            | Self::Descriptors { .. }
            | Self::LoadProfile { .. }
            | Self::LoadFilter(_)
            | Self::AwaitNetwork
            | Self::AwaitExec(_)
            | Self::CheckProgram
            | Self::OutliveCaller
            | Self::AwaitGate { .. }
            | Self::AwaitObserver
            | Self::Exec(_) => Side::Payload,
            _ => Side::Child,
        }
    }
}
