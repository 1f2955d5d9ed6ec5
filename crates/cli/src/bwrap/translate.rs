//! From bwrap's options to a Spec.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;
use warren_confine::CapabilitySet;
use warren_namespaces::{Kind, NamespaceSet};
use warren_spawn::{
    Access, Content, Forbidden, Host, IdMapping, InnerUserNamespace, Mount, Namespace,
    Namespaces, Open, ProcMasks, RawFilter, Root, Spec, Tree, Upper,
};

use super::descriptors::{self, Descriptors};
use super::options::{Changes, Operation, Options, Source, Variable};
use super::status::Status;
use super::words;
use crate::failure::Failure;
use crate::supervise;

/// The environment and folders that a translation depends on beyond the options.
struct Caller {
    uid: u32,
    gid: u32,
    /// In the ids that the caller has after it has entered a user namespace.
    inside: (u32, u32),
    folder: Option<PathBuf>,
    environment: BTreeMap<OsString, OsString>,
}

/// Enters the user namespace and the pid namespace that are given: what is made next
/// belongs to the one, and who is born next is born in the other.
pub fn enter_namespaces(
    options: &Options,
    descriptors: &mut Descriptors,
) -> Result<(), Failure> {
    if let Some(number) = options.userns {
        let entered = descriptors
            .take(number)
            .and_then(|fd| warren_sys::setns(fd, Kind::User.clone_flag()));
        entered.map_err(|errno| match errno {
            Errno::INVAL => Failure::new(
                "Joining the specified user namespace failed, it might not be a \
                 descendant of the current user namespace.",
            ),
            errno => words::with_errno("Joining specified user namespace failed", errno),
        })?;
    }
    if let Some(number) = options.pidns {
        let entered = descriptors
            .take(number)
            .and_then(|fd| warren_sys::setns(fd, Kind::Pid.clone_flag()));
        entered.map_err(|errno| words::with_errno("Setting pidns failed", errno))?;
    }
    Ok(())
}

/// What the options ask for.
pub fn spec(
    options: &Options,
    host: &Host,
    real: (u32, u32),
    status: &Status,
    descriptors: &mut Descriptors,
) -> Result<Spec, Failure> {
    let caller = Caller {
        uid: real.0,
        gid: real.1,
        inside: (host.uid, host.gid),
        folder: std::env::current_dir().ok(),
        environment: environment(&options.environment),
    };
    let mut spec = Spec::default();
    namespaces(options, &caller, descriptors, &mut spec)?;
    files(options, &caller, descriptors, &mut spec)?;
    confinement(options, &caller, host, descriptors, &mut spec)?;
    life(options, status, descriptors, &mut spec)?;
    working_folder(options, &caller, &mut spec);
    spec.env = caller.environment.into_iter().collect();
    spec.argv.clone_from(&options.command);
    spec.arg0.clone_from(&options.argv0);
    // Last: what is open and has no name in the options is the command's.
    spec.keep_fds = descriptors::inherited();
    Ok(spec)
}

fn environment(changes: &[Variable]) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<_, _> = std::env::vars_os().collect();
    for change in changes {
        match change {
            Variable::Set(name, value) => {
                all.insert(name.clone(), value.clone());
            }
            Variable::Unset(name) => {
                all.remove(name);
            }
            Variable::ClearAll => all.clear(),
        }
    }
    all
}

// Namespaces.

fn namespaces(
    options: &Options,
    caller: &Caller,
    descriptors: &mut Descriptors,
    spec: &mut Spec,
) -> Result<(), Failure> {
    let mut new: NamespaceSet = options.unshare.with(Kind::Mnt);
    let wants_user = options.unshare_user
        || options.unshare_user_try && can_make_user_namespace()
        || caller.uid != 0 && options.userns.is_none();
    if wants_user {
        new = new.with(Kind::User);
    }
    spec.namespaces = Namespaces::new_of(new);
    spec.loopback = new.contains(Kind::Net);
    spec.hostname.clone_from(&options.hostname);
    if let Some(name) = options.hostname.as_ref().filter(|name| name.len() > 64) {
        let what = format!("Can't set hostname to {}", name.display());
        return Err(words::with_errno(&what, Errno::INVAL));
    }
    spec.born_in_other_pid_namespace = options.pidns.is_some();
    ids(options, caller, wants_user, spec);
    if let Some(number) = options.userns2 {
        let fd = number_of(descriptors, number, "Setting userns2 failed")?;
        spec.last_user_namespace = Some(open(fd, "--userns2"));
    }
    if let Some(number) = options.userns_block_fd {
        // One that is not open blocks nobody.
        if let Ok(fd) = descriptors.number(number) {
            spec.await_maps = Some(open(fd, "--userns-block-fd"));
        }
        spec.id_map = IdMapping::Unmapped;
    }
    spec.without_user_namespaces =
        options.disable_userns || options.assert_userns_disabled;
    Ok(())
}

/// A devpts can be mounted only where there is a root, so that somebody else needs a user
/// namespace inside of one of root's.
fn ids(options: &Options, caller: &Caller, new: bool, spec: &mut Spec) {
    let (own_uid, own_gid) = if new {
        (caller.uid, caller.gid)
    } else {
        caller.inside
    };
    let (uid, gid) = (
        options.uid.unwrap_or(own_uid),
        options.gid.unwrap_or(own_gid),
    );
    let inner = |last| Some(InnerUserNamespace { uid, gid, last });
    if !new {
        let other = options.userns.is_some() && (uid, gid) != caller.inside;
        spec.inner_user_namespace = inner(false).filter(|_| other);
        return;
    }
    let has_dev = options
        .operations
        .iter()
        .any(|operation| matches!(operation, Operation::Dev(_)));
    let needs_root = has_dev && (uid, gid) != (0, 0) && options.userns_block_fd.is_none();
    if needs_root || options.disable_userns {
        spec.id_map = IdMapping::Own { uid: 0, gid: 0 };
        spec.inner_user_namespace = inner(options.disable_userns);
    } else {
        spec.id_map = IdMapping::Own { uid, gid };
    }
}

/// As far as settings tell.
fn can_make_user_namespace() -> bool {
    let says = |path: &str, word: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.trim_end() == word)
    };
    Path::new("/proc/self/ns/user").exists()
        && !says("/sys/module/user_namespace/parameters/enable", "N")
        && !says("/proc/sys/user/max_user_namespaces", "0")
}

// Files.

fn files(
    options: &Options,
    caller: &Caller,
    descriptors: &mut Descriptors,
    spec: &mut Spec,
) -> Result<(), Failure> {
    spec.root = Root::Scratch;
    spec.exact_targets = true;
    spec.follows_host_mounts = true;
    spec.executable_dev = true;
    // Nobody but root has the right to what they cover, in its own user namespace as well.
    let masks = if caller.uid == 0 {
        ProcMasks::Settings
    } else {
        ProcMasks::None
    };
    for operation in &options.operations {
        mount(operation, masks, caller, descriptors, &mut spec.mounts)?;
    }
    Ok(())
}

fn mount(
    operation: &Operation,
    masks: ProcMasks,
    caller: &Caller,
    descriptors: &mut Descriptors,
    mounts: &mut Vec<Mount>,
) -> Result<(), Failure> {
    let made = match operation {
        Operation::Bind {
            source,
            target,
            access,
            devices,
            optional,
        } => {
            let source = match source {
                Source::Path(path) => {
                    let path = on_host(path, caller);
                    if *optional && is_missing(&path) {
                        return Ok(());
                    }
                    Tree::Path(path)
                }
                Source::Descriptor(number) => {
                    let name = format!("/proc/self/fd/{number}");
                    let missing = |_| {
                        words::with_errno(
                            &format!("Can't find source path {name}"),
                            Errno::NOENT,
                        )
                    };
                    let fd = descriptors.number(*number).map_err(missing)?;
                    Tree::Open(Open { fd, name })
                }
            };
            Mount::Bind {
                source,
                target: inside(target),
                access: *access,
                devices: *devices,
            }
        }
        Operation::RemountReadOnly(target) => Mount::Forbid {
            target: inside(target),
            what: Forbidden {
                write: true,
                ..Forbidden::default()
            },
        },
        Operation::Overlay {
            lower,
            upper,
            target,
        } => Mount::Overlay {
            lower: lower.iter().map(|path| on_host(path, caller)).collect(),
            upper: match upper {
                Changes::Folder { upper, work } => Upper::Folder {
                    upper: on_host(upper, caller),
                    work: on_host(work, caller),
                },
                Changes::Memory => Upper::Memory,
                Changes::None => Upper::None,
            },
            target: inside(target),
        },
        Operation::Proc(target) => Mount::Proc {
            target: inside(target),
            masks,
        },
        Operation::Dev(target) => {
            let target = inside(target);
            let console = target.join("console");
            mounts.push(Mount::Dev { target });
            mounts.extend(terminal().map(|source| Mount::Bind {
                source: Tree::Path(source),
                target: console,
                access: Access::ReadWrite,
                devices: true,
            }));
            return Ok(());
        }
        Operation::Tmpfs { target, mode, size } => Mount::Tmpfs {
            target: inside(target),
            mode: *mode,
            size: *size,
        },
        Operation::Mqueue(target) => Mount::Mqueue {
            target: inside(target),
        },
        Operation::Folder { target, mode } => Mount::Folder {
            target: inside(target),
            mode: *mode,
        },
        Operation::File {
            fd,
            target,
            mode,
            mounted,
        } => {
            let what = format!("Can't write data to file {}", target.display());
            let fd = number_of(descriptors, *fd, &what)?;
            Mount::File {
                content: Content::Open(open(fd, "its content")),
                target: inside(target),
                mode: *mode,
                mounted: *mounted,
            }
        }
        Operation::Symlink { content, target } => Mount::Symlink {
            content: content.clone(),
            target: inside(target),
        },
        Operation::Mode { target, mode } => Mount::Mode {
            target: inside(target),
            mode: *mode,
        },
    };
    mounts.push(made);
    Ok(())
}

/// A path of the host from its root on.
fn on_host(path: &Path, caller: &Caller) -> PathBuf {
    match &caller.folder {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

/// Only that: one that may not be looked at is an error all the same.
fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// A path inside from its root on. `..` is taken for the folder above as it is written.
pub fn inside(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// The terminal that standard output is, if it is one.
fn terminal() -> Option<PathBuf> {
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return None;
    }
    std::fs::read_link("/proc/self/fd/1")
        .ok()
        .filter(|path| path.is_absolute() && path.exists())
}

// What the command may, and how it lives.

fn confinement(
    options: &Options,
    caller: &Caller,
    host: &Host,
    descriptors: &mut Descriptors,
    spec: &mut Spec,
) -> Result<(), Failure> {
    let root = caller.uid == 0;
    // Root keeps what it has; nobody else has anything, and none of it comes back.
    let start = if root {
        host.capabilities
    } else {
        CapabilitySet::EMPTY
    };
    let all = if root {
        host.capabilities
    } else {
        CapabilitySet::ALL
    };
    let changes = options.capabilities.iter();
    let set = changes.fold(start, |set, change| change.apply(set, all));
    spec.capabilities = (!root || !options.capabilities.is_empty()).then_some(set);
    // A new user namespace gives root what it lacks or gave up.
    let own_user = *spec.namespaces.get(Kind::User) == Namespace::New;
    let most = if own_user { set } else { CapabilitySet::ALL };
    spec.bounding = root.then_some(most);
    spec.no_new_privs = true;
    spec.new_session = options.new_session;
    for number in options.seccomp.iter().chain(&options.seccomp_stack) {
        let program = descriptors
            .read(*number)
            .map_err(|errno| words::with_errno("Can't read seccomp data", errno))?;
        if program.len() % 8 != 0 {
            return Err(Failure::usage(
                "Invalid seccomp data, must be multiple of 8",
            ));
        }
        spec.filters.push(RawFilter(program));
    }
    if spec
        .filters
        .iter()
        .any(|RawFilter(program)| program.is_empty())
    {
        return Err(words::no_filter());
    }
    Ok(())
}

fn life(
    options: &Options,
    status: &Status,
    descriptors: &mut Descriptors,
    spec: &mut Spec,
) -> Result<(), Failure> {
    spec.parent_death_signal = options.die_with_parent.then_some(supervise::KILL);
    spec.no_init = options.as_pid_1;
    spec.examinable_init = true;
    spec.lingering_init = true;
    spec.await_announcement = status.wants_to_tell_first();
    spec.callers_fds = status.numbers();
    spec.lock_files = options.lock_files.iter().map(|path| inside(path)).collect();
    if let Some(number) = options.sync_fd
        && !options.as_pid_1
    {
        // One that is not open needs no keeping.
        spec.init_keeps.extend(descriptors.number(number));
    }
    if let Some(number) = options.block_fd
        && let Ok(fd) = descriptors.number(number)
    {
        spec.await_before_exec = Some(open(fd, "--block-fd"));
    }
    Ok(())
}

/// Where the command works: where it was told, or else where the caller is, if that is
/// there inside, at home, or at the root.
fn working_folder(options: &Options, caller: &Caller, spec: &mut Spec) {
    spec.tell_cwd = true;
    if let Some(path) = &options.chdir {
        spec.cwd = Some(path.clone());
        return;
    }
    let home = caller
        .environment
        .get(OsStr::new("HOME"))
        .map(PathBuf::from);
    let home = home.filter(|path| path.is_absolute());
    let mut folders = caller.folder.iter().cloned().chain(home);
    spec.cwd = folders.next().or_else(|| Some("/".into()));
    spec.cwd_else = folders.chain(["/".into()]).collect();
}

fn open(fd: RawFd, name: &str) -> Open {
    Open {
        fd,
        name: name.to_owned(),
    }
}

fn number_of(
    descriptors: &mut Descriptors,
    number: RawFd,
    what: &str,
) -> Result<RawFd, Failure> {
    descriptors
        .number(number)
        .map_err(|errno| words::with_errno(what, errno))
}
