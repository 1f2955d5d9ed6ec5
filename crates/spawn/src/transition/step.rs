//! The steps of a transition, in words.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use warren_namespaces::{IdMap, Kind, NamespaceSet};

use super::spec::{Clock, Identity, Propagation, SetGroups, Source, Target};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The calling process.
    Caller,
    /// A child that stays in the old namespaces with the old privileges.
    Helper,
    /// The child that becomes the program, where the caller does not.
    Program,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Caller => "caller",
            Self::Helper => "helper",
            Self::Program => "program",
        })
    }
}

/// Which of the two id maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFile {
    /// uid_map.
    Uid,
    /// gid_map.
    Gid,
}

impl MapFile {
    /// Its name in /proc/PID.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid_map",
            Self::Gid => "gid_map",
        }
    }
}

/// One step. Its [`Display`](fmt::Display) is the sentence that a plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Opens a namespace.
    OpenNamespace {
        /// Its kind.
        kind: Kind,
        /// Where it is.
        from: Source,
    },
    /// Opens the pidfd of the target.
    OpenTarget(Target),
    /// Opens a namespace of the target, where setns(2) takes no pidfd.
    OpenOfTarget {
        /// The target.
        pid: u32,
        /// The kind.
        kind: Kind,
    },
    /// Opens the folder that will be the root.
    OpenRoot(PathBuf),
    /// Opens the folder that will be the working directory.
    OpenCwd(PathBuf),
    /// Reads the environment of the target.
    ReadEnvironment(u32),
    /// Opens the cgroups of the target.
    OpenCgroups(u32),
    /// Reads the security context of the target and asks for it at exec.
    FollowContext(u32),
    /// Asks for the ids of the target.
    ReadIds(u32),
    /// Looks whether the target is there still, so that what was opened by its number is
    /// its own.
    CheckTarget(u32),
    /// Forks a helper.
    ForkHelper,
    /// Gives up all supplementary groups.
    DropGroups {
        /// Whether this is one of two tries, of which one may fail: before and after a
        /// user namespace is entered.
        one_of_two: bool,
    },
    /// Takes a group id.
    SetGid(Identity),
    /// Takes a user id.
    SetUid(Identity),
    /// Keeps the capabilities when the user id changes.
    KeepCapabilities,
    /// Enters namespaces of the target.
    EnterTarget {
        /// The kinds.
        kinds: NamespaceSet,
        /// Whether what fails is tried again later, from inside the user namespace.
        attempt: bool,
    },
    /// Enters an opened namespace.
    EnterOther {
        /// The kind.
        kind: Kind,
        /// Its number among those that were opened.
        number: usize,
        /// As for [`Step::EnterTarget`].
        attempt: bool,
    },
    /// Moves into new namespaces.
    Unshare(NamespaceSet),
    /// Writes a map of the caller from outside.
    WriteMap {
        /// Which.
        file: MapFile,
        /// Its lines.
        lines: Vec<IdMap>,
        /// Whether newuidmap(1) or newgidmap(1) does it.
        by_program: bool,
    },
    /// Writes setgroups of the caller from outside.
    WriteSetGroups(SetGroups),
    /// Writes its own map.
    WriteOwnMap {
        /// Which.
        file: MapFile,
        /// Its line.
        line: IdMap,
    },
    /// Writes its own setgroups.
    WriteOwnSetGroups(SetGroups),
    /// Shifts a clock.
    ShiftClock {
        /// Which.
        clock: Clock,
        /// By how many seconds.
        seconds: i64,
    },
    /// Binds a new namespace to a file.
    Pin {
        /// The kind.
        kind: Kind,
        /// The file.
        path: PathBuf,
    },
    /// Forks the program off and waits for it.
    Fork,
    /// Arranges for a signal when the caller dies.
    DieWithCaller(i32),
    /// Sets how mounts propagate.
    Propagate(Propagation),
    /// Remembers the working directory.
    KeepCwd,
    /// Makes the opened folder the root.
    EnterRoot,
    /// Makes the folder at a path the root.
    ChangeRoot(PathBuf),
    /// Goes to the opened, or remembered, working directory.
    EnterCwd,
    /// Goes to a folder.
    ChangeCwd(PathBuf),
    /// Mounts a procfs.
    MountProc(PathBuf),
    /// Mounts a binfmt_misc.
    MountBinfmt(PathBuf),
    /// Registers an interpreter in a binfmt_misc.
    Register {
        /// Where that is mounted.
        folder: PathBuf,
        /// The line.
        line: OsString,
    },
    /// Joins the opened cgroups.
    JoinCgroups,
    /// Raises the ambient capabilities.
    RaiseAmbient,
    /// Forks the program off and stays as its init.
    ForkInit,
    /// Executes the program.
    Exec(OsString),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenNamespace { kind, from } => {
                write!(f, "open the {kind} namespace {from}")
            }
            Self::OpenTarget(target) => write!(f, "open {target}"),
            Self::OpenOfTarget { pid, kind } => {
                write!(f, "open the {kind} namespace of process {pid}")
            }
            Self::OpenRoot(path) => write!(f, "open the root {}", path.display()),
            Self::OpenCwd(path) => {
                write!(f, "open the directory {}", path.display())
            }
            Self::ReadEnvironment(pid) => {
                write!(f, "read the environment of process {pid}")
            }
            Self::OpenCgroups(pid) => write!(f, "open the cgroups of process {pid}"),
            Self::FollowContext(pid) => {
                write!(f, "ask for the security context of process {pid}")
            }
            Self::ReadIds(pid) => write!(f, "look at the ids of process {pid}"),
            Self::CheckTarget(pid) => {
                write!(f, "see that process {pid} is the same still")
            }
            Self::ForkHelper => f.write_str("fork a helper that stays as it is"),
            Self::DropGroups { one_of_two } => {
                f.write_str("give up all supplementary groups")?;
                f.write_str(if *one_of_two {
                    ", before or in the user namespace"
                } else {
                    ""
                })
            }
            Self::SetGid(id) => write!(f, "become gid {id}"),
            Self::SetUid(id) => write!(f, "become uid {id}"),
            Self::KeepCapabilities => {
                f.write_str("keep the capabilities over the change of ids")
            }
            Self::EnterTarget { kinds, attempt } => {
                write!(f, "enter the namespaces {kinds} of the process")?;
                attempted(f, *attempt)
            }
            Self::EnterOther { kind, attempt, .. } => {
                write!(f, "enter the {kind} namespace")?;
                attempted(f, *attempt)
            }
            Self::Unshare(kinds) => write!(f, "move into new namespaces {kinds}"),
            Self::WriteMap {
                file,
                lines,
                by_program,
            } => {
                write!(f, "write the caller's {}:", file.name())?;
                lines.iter().try_for_each(|line| write!(f, " {line}"))?;
                match (file, by_program) {
                    (_, false) => Ok(()),
                    (MapFile::Uid, true) => f.write_str(" (by newuidmap)"),
                    (MapFile::Gid, true) => f.write_str(" (by newgidmap)"),
                }
            }
            Self::WriteSetGroups(what) => {
                write!(f, "write the caller's setgroups: {what}")
            }
            Self::WriteOwnMap { file, line } => {
                write!(f, "write its {}: {line}", file.name())
            }
            Self::WriteOwnSetGroups(what) => write!(f, "write its setgroups: {what}"),
            Self::ShiftClock { clock, seconds } => {
                write!(f, "shift the clock {clock} by {seconds} s for its children")
            }
            Self::Pin { kind, path } => {
                write!(f, "bind the {kind} namespace to {}", path.display())
            }
            Self::Fork => f.write_str("fork the program and wait for it"),
            Self::DieWithCaller(signal) => {
                write!(f, "receive signal {signal} when the caller dies")
            }
            Self::Propagate(how) => write!(f, "make all mounts {how}"),
            Self::KeepCwd => f.write_str("remember the working directory"),
            Self::EnterRoot => f.write_str("make the opened root the root (chroot)"),
            Self::ChangeRoot(path) => {
                write!(f, "make {} the root (chroot)", path.display())
            }
            Self::EnterCwd => f.write_str("change to the opened directory"),
            Self::ChangeCwd(path) => {
                write!(f, "change to the directory {}", path.display())
            }
            Self::MountProc(path) => write!(f, "mount a procfs at {}", path.display()),
            Self::MountBinfmt(path) => {
                write!(f, "mount a binfmt_misc at {}", path.display())
            }
            Self::Register { line, .. } => {
                write!(f, "register the interpreter {}", line.display())
            }
            Self::JoinCgroups => f.write_str("join the opened cgroups"),
            Self::RaiseAmbient => {
                f.write_str("hand all capabilities on to the program (ambient)")
            }
            Self::ForkInit => f.write_str("fork the program and stay as its init"),
            Self::Exec(name) => write!(f, "execute {}", name.display()),
        }
    }
}

fn attempted(f: &mut fmt::Formatter<'_>, attempt: bool) -> fmt::Result {
    f.write_str(if attempt {
        ", or later from its user namespace"
    } else {
        ""
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        match self.pidfd_inode {
            Some(inode) => write!(f, " with the pidfd inode {inode}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Id(id) => write!(f, "with the id {id}"),
            Self::Socket(fd) => write!(f, "of the process's socket {fd}"),
            Self::Owner => f.write_str("that owns the others"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(id) => id.fmt(f),
            Self::OfTarget => f.write_str("of the process"),
        }
    }
}

impl fmt::Display for SetGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monotonic => "monotonic",
            Self::Boottime => "boottime",
        })
    }
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Slave => "slave",
            Self::Shared => "shared",
        })
    }
}
