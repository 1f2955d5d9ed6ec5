//! The steps of a plan: what each does, on which side, in words.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use rustix::thread::Gid;
use warren_confine::{CapabilitySet, Filter, Rlimit};
use warren_mounts::{Node, Target};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_sys::CStringArray;

use crate::spec::{Access, Join, Open, User};

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
        /// Where it is on the host.
        path: PathBuf,
        /// Whether it can be written.
        access: Access,
        /// Whether with all that is mounted in it.
        recursive: bool,
    },
    /// Creates the process: clone3(2).
    Clone {
        /// Its new namespaces.
        namespaces: NamespaceSet,
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
        /// Where it is on the host.
        path: PathBuf,
    },
    /// Lets the child go on.
    Release,
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
    },

    /// Arranges to die with the thread that launched.
    DieWithParent {
        /// The signal.
        signal: i32,
    },
    /// Waits for the parent's part.
    AwaitParent,
    /// Moves itself into a control group.
    JoinCgroup(Open),
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
    /// Brings `lo` up.
    Loopback,
    /// Forbids user namespaces below this one.
    LimitUserNamespaces,
    /// Keeps mounts from spreading to and from the host.
    PrivateMounts,
    /// Opens the root, which stays.
    RootHere,
    /// Makes a tmpfs for the layers of overlays, which the root will cover.
    Layers,
    /// Makes an empty tmpfs the root to be.
    RootEmpty,
    /// Makes a tree the root to be.
    RootTree {
        /// The tree.
        source: Source,
        /// Whether it can be written.
        access: Access,
    },
    /// Makes an overlay over a tree the root to be.
    RootOverlay {
        /// The tree below.
        source: Source,
    },
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
    /// Mounts an overlay over a folder of the host.
    Overlay {
        /// What.
        source: Source,
        /// Where.
        target: Target,
    },
    /// Makes a folder.
    Folder {
        /// Where.
        target: Target,
        /// Its mode.
        mode: u32,
        /// Whether it is a mount of its own, to stay writable in a root that is not.
        own: bool,
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
    /// Masks what a procfs tells of the host, and keeps its settings from change.
    ProcMasks {
        /// Whether also what a user namespace of the container's own keeps from it.
        all: bool,
    },
    /// Mounts a tmpfs for the device files.
    DevFolder {
        /// Where.
        target: Target,
    },
    /// Shows device files of the host.
    Devices,
    /// Makes the usual links and folders of /dev.
    DevLinks,
    /// Mounts a devpts of its own.
    DevPts,
    /// Covers a file or folder with nothing.
    Mask {
        /// What is covered.
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
        /// Height in characters.
        rows: u16,
        /// Width in characters.
        columns: u16,
    },
    /// Makes the root to be the root, and lets the old one go.
    EnterRoot,
    /// Goes to the working directory.
    WorkDir(CString),
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
    SetCapabilities(CapabilitySet),
    /// Gives up gaining privilege by execve(2).
    NoNewPrivs,
    /// Loads the system-call filter.
    LoadSeccomp(Filter),
    /// Loads the filter of a profile of the program's own.
    LoadProfile(Filter),
    /// Hides the memory and descriptors of the init from the program.
    HideInit,
    /// Forks the program off and becomes the init.
    ForkInit,
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

/// Where the child finds a tree of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At a path, which it clones itself.
    Path(CString),
    /// Taken along: its number, and its path for the reader.
    Kept(usize, CString),
    /// Cloned by the parent: its number, and its path for the reader.
    Tree(usize, PathBuf),
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
    /// Its environment.
    pub environment: CStringArray,
}

impl Step {
    /// Who does it.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::ReserveIds
            | Self::OpenNamespace { .. }
            | Self::CloneTree { .. }
            | Self::Clone { .. }
            | Self::WriteMaps { .. }
            | Self::ShiftIds { .. }
            | Self::ShiftIdsTo { .. }
            | Self::Release => Side::Parent,
            Self::DieWithInit
            | Self::ControlTerminal { .. }
            | Self::Descriptors { .. }
            | Self::AwaitObserver
            | Self::Exec(_) => Side::Payload,
            _ => Side::Child,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReserveIds => {
                write!(f, "reserve {} unused host ids", crate::ids::BLOCK)
            }
            Self::OpenNamespace { kind, from } => {
                write!(f, "open the {kind} namespace {from}")
            }
            Self::CloneTree {
                path,
                access,
                recursive,
            } => {
                let alone = if *recursive {
                    ""
                } else {
                    ", without the mounts in it"
                };
                write!(
                    f,
                    "clone the tree {}{}{alone}",
                    path.display(),
                    words(*access)
                )
            }
            Self::Clone { namespaces } if namespaces.is_empty() => {
                f.write_str("clone a process")
            }
            Self::Clone { namespaces } => {
                write!(f, "clone a process into new namespaces {namespaces}")
            }
            Self::WriteMaps { maps } => write!(f, "write the id maps: {maps}"),
            Self::ShiftIds { path, .. } => {
                write!(f, "show {} under the container's ids", path.display())
            }
            Self::Release => f.write_str("let the child go on"),
            Self::ShiftIdsTo { path, name, .. } => {
                write!(f, "show {} under the ids of {name}", path.display())
            }
            Self::Graft {
                source,
                target,
                make,
                ..
            } => {
                let made = if *make {
                    ", which is made if it is missing"
                } else {
                    ""
                };
                write!(f, "mount {} at {target}{made}", source.display())
            }
            Self::Unmount { target } => write!(f, "unmount {target}"),
            Self::Hide => f.write_str("hide the process from who lives there"),
            Self::HideHolder { .. } => {
                f.write_str("forget the caller's arguments and environment")
            }
            Self::Hold => f.write_str("close all descriptors and stay"),
            Self::Finish => f.write_str("end"),
            Self::DieWithParent { signal } => {
                write!(f, "receive signal {signal} when the parent dies")
            }
            Self::AwaitParent => f.write_str("wait for the parent"),
            Self::WriteOwnMaps { uid, gid, .. } => {
                write!(f, "write the id maps: uids {uid}, gids {gid}")
            }
            Self::JoinCgroup(group) => write!(f, "join the control group {}", group.name),
            Self::HoldTerminal => {
                f.write_str("open a terminal, should the root to be entered have none")
            }
            Self::KeepTree { path, access, .. } => {
                write!(f, "take {} along{}", text(path), words(*access))
            }
            Self::KeepDevices => f.write_str("take the device files along"),
            Self::CopyMounts { private: true } => {
                f.write_str("copy the mount namespace, to mount unseen by others")
            }
            Self::CopyMounts { private: false } => {
                f.write_str("copy the mount namespace, to be allowed to clone trees")
            }
            Self::JoinNamespace {
                kind,
                through: false,
                ..
            } => write!(f, "enter the {kind} namespace"),
            Self::JoinNamespace { kind, .. } => {
                write!(f, "pass through the {kind} namespace that owns the next")
            }
            Self::ChangeRootTo(folder) => write!(f, "make {} the root", folder.name),
            Self::ChangeRoot(path) => write!(f, "make {} the root", text(path)),
            Self::RootVisit => f.write_str(
                "make a root of one's own with all that is in the entered one",
            ),
            Self::ProcOfJoined { target } => {
                write!(f, "mount a procfs of the pid namespace at {target}")
            }
            Self::Programs {
                target, content, ..
            } => write!(f, "make links to {} in {target}", text(content)),
            Self::TakeIds { user, .. } => write!(f, "become {user}"),
            Self::LeaveCaller => {
                f.write_str("leave the caller's process group and terminal")
            }
            Self::Hostname(name) => write!(f, "set the host name {}", text(name)),
            Self::Loopback => f.write_str("bring the interface lo up"),
            Self::LimitUserNamespaces => {
                f.write_str("forbid further user namespaces (user.max_user_namespaces)")
            }
            Self::PrivateMounts => f.write_str("make all mounts private"),
            Self::RootHere => f.write_str("open the root"),
            Self::Layers => f.write_str("make a tmpfs for the layers of overlays"),
            Self::RootEmpty => f.write_str("make an empty root"),
            Self::RootTree { source, access } => {
                write!(f, "make {source} the root{}", words(*access))
            }
            Self::RootOverlay { source } => {
                write!(f, "make {source} the root, with all changes in memory")
            }
            Self::Bind {
                source,
                target,
                access,
                ..
            } => {
                write!(f, "bind {source} at {target}{}", words(*access))
            }
            Self::Tmpfs { target, mode, size } => {
                write!(f, "mount a tmpfs at {target}, mode {}", text(mode))?;
                match size {
                    Some(size) => write!(f, ", at most {} bytes", text(size)),
                    None => Ok(()),
                }
            }
            Self::Overlay { source, target } => {
                write!(f, "mount {source} at {target}, with all changes in memory")
            }
            Self::Folder { target, mode, own } => {
                let kind = if *own { "writable folder" } else { "folder" };
                write!(f, "make the {kind} {target}, mode {mode:o}")
            }
            Self::Symlink { content, target } => {
                write!(f, "make the symlink {target} to {}", text(content))
            }
            Self::Proc { target } => write!(f, "mount a procfs at {target}"),
            Self::ProcMasks { .. } => {
                f.write_str("mask what the procfs tells of the host")
            }
            Self::DevFolder { target } => {
                write!(f, "mount a tmpfs at {target} for devices")
            }
            Self::Devices => {
                write!(f, "bind the devices {} at /dev", crate::child::DEVICE_NAMES)
            }
            Self::DevLinks => f.write_str("make the usual links in /dev"),
            Self::DevPts => f.write_str("mount a devpts at /dev/pts"),
            Self::Mask { target } => write!(f, "mask {target}"),
            Self::SealRoot => f.write_str("make the root itself read-only"),
            Self::OpenTerminal { multiplexer, .. } => {
                write!(f, "open a terminal at {}", text(multiplexer))
            }
            Self::EnterRoot => f.write_str("enter the new root and let the old one go"),
            Self::WorkDir(path) => {
                write!(f, "change to the directory {}", text(path))
            }
            Self::WorkDirTo(folder) => write!(f, "change to {}", folder.name),
            Self::SetRlimit(limit) => write!(f, "set the resource limit {limit}"),
            Self::DropBounding { keep } => {
                write!(f, "limit the bounding set to the capabilities {keep}")
            }
            Self::SetUser { user, .. } => write!(f, "become {user}"),
            Self::SetCapabilities(set) => write!(f, "set the capabilities {set}"),
            Self::NoNewPrivs => f.write_str("give up new privileges (no_new_privs)"),
            Self::LoadSeccomp(_) => f.write_str("load the system-call filter"),
            Self::LoadProfile(filter) => {
                let length = filter.instructions().len();
                write!(f, "load the system-call profile, {length} instructions")
            }
            Self::HideInit => f.write_str("hide the init from the program"),
            Self::ForkInit => f.write_str("fork the program and stay as its init"),
            Self::DieWithInit => f.write_str("receive signal 9 when the init dies"),
            Self::ControlTerminal { .. } => f.write_str("make the terminal its own"),
            Self::AwaitObserver => f.write_str("wait until it is watched"),
            Self::Descriptors { keep } if keep.is_empty() => {
                f.write_str("close all descriptors above 2")
            }
            Self::Descriptors { keep } => {
                write!(f, "close all descriptors above 2 but {keep:?}")
            }
            Self::Exec(program) => match &program.file {
                Some(file) => write!(f, "execute {}", file.name),
                None => write!(f, "execute {}", program.name.display()),
            },
        }
    }
}

fn text(string: &CStr) -> Cow<'_, str> {
    string.to_string_lossy()
}

fn words(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => ", read-only",
        Access::ReadWrite => ", writable",
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Kept(_, path) => text(path).fmt(f),
            Self::Tree(_, path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Fd(fd) => write!(f, "of descriptor {fd}"),
            Self::Open(open) => f.write_str(&open.name),
            Self::Process(pid) => write!(f, "of process {pid}"),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} gid {}", self.uid, self.gid)?;
        match self.groups.as_deref() {
            None | Some([]) => Ok(()),
            Some(groups) => write!(f, " groups {groups:?}"),
        }
    }
}

impl fmt::Display for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lines {
            MapLines::FreeBlock => {
                let last = crate::ids::BLOCK - 1;
                write!(f, "0 to {last} are the reserved host ids")?;
            }
            MapLines::Known { uids, gids } => {
                f.write_str("uids")?;
                uids.iter().try_for_each(|line| write!(f, " {line}"))?;
                f.write_str(", gids")?;
                gids.iter().try_for_each(|line| write!(f, " {line}"))?;
            }
        }
        match self.writer {
            MapWriter::Helpers => f.write_str(" (by newuidmap and newgidmap)"),
            MapWriter::Child | MapWriter::Parent => Ok(()),
        }
    }
}
