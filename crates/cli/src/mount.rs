//! `warren mount` and `warren umount`: changes to the mounts of a namespace in use.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use rustix::fs::{Mode, OFlags};
use warren_namespaces::{Found, IdMap, Kind, NsFd, ProcRoot, errno_text};
use warren_spawn::{
    Access, Change, Folder, Graft, Host, Join, Namespace, Namespaces, Open, Plan, Role,
    Spec, User,
};

use crate::failure::{self, Failure};
use crate::{enter, keep, run};

/// Mount a file or folder of this mount namespace into another one that is in use
///
/// Whoever lives there sees it from then on; nobody else does. Set-user-id bits and device
/// files in it mean nothing.
#[derive(Debug, Parser)]
#[command(
    name = "warren mount",
    bin_name = "warren mount",
    override_usage = "warren mount --into TARGET [OPTIONS] SRC DST"
)]
struct MountArguments {
    /// Where: a process, or whose mnt namespace a name or file stands for
    #[arg(long, value_name = "TARGET")]
    into: String,
    /// Nothing can be written
    #[arg(long)]
    ro: bool,
    /// Make DST, and the folders above it, where they are missing
    #[arg(long)]
    mkdir: bool,
    /// Whose the files are there: of the ids that they have (keep), of the same numbers
    /// inside (shift), or shift only if the owner of SRC has no id there (auto)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Ids::Auto)]
    ids: Ids,
    /// Leave out what is mounted in SRC
    #[arg(long)]
    no_submounts: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// A file or folder here
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Where it appears, below the root of TARGET
    #[arg(value_name = "DST")]
    target: PathBuf,
}

/// Unmount something in a mount namespace that is in use
///
/// Only what is mounted exactly there, and only if nothing uses it.
#[derive(Debug, Parser)]
#[command(
    name = "warren umount",
    bin_name = "warren umount",
    override_usage = "warren umount --into TARGET [OPTIONS] DST"
)]
struct UnmountArguments {
    /// Where: a process, or whose mnt namespace a name or file stands for
    #[arg(long, value_name = "TARGET")]
    into: String,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// Where it is mounted, below the root of TARGET
    #[arg(value_name = "DST")]
    target: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ids {
    Auto,
    Keep,
    Shift,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = MountArguments::try_parse_from(arguments)?;
    let place = Place::find(&arguments.into)?;
    let source = run::absolute(&arguments.source)?;
    let ids = place.ids(arguments.ids, &source)?;
    let change = Change::Mount {
        access: if arguments.ro {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        },
        recursive: !arguments.no_submounts,
        ids: ids.map(open),
        make: arguments.mkdir,
        source,
    };
    place.change(&arguments.target, change, arguments.plan)
}

pub fn unmount(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = UnmountArguments::try_parse_from(arguments)?;
    let place = Place::find(&arguments.into)?;
    place.change(&arguments.target, Change::Unmount, arguments.plan)
}

/// The mount namespace that is changed, and who may do it.
struct Place {
    found: Found,
    proc: ProcRoot,
    /// The root of the process, which may be below that of the namespace.
    root: Option<OwnedFd>,
    own_user: NsFd,
    /// The user namespace that owns the mounts, if it is not the caller's: its root does
    /// the work, and can do no more there than it could anyway.
    owner: Option<NsFd>,
}

impl Place {
    fn find(target: &str) -> Result<Self, Failure> {
        let proc = ProcRoot::open().map_err(Failure::new)?;
        let found = keep::find_target(target, &proc)?;
        let mounts = found.namespace(Kind::Mnt).ok_or_else(|| {
            Failure::new(format!(
                "mount into {}: it has no mnt namespace",
                found.name
            ))
        })?;
        if mounts.id().ok() == own(Kind::Mnt)?.id().ok() {
            return Err(Failure::new(format!(
                "mount into {}: its mnt namespace is the caller's",
                found.name
            ))
            .hint("mount(8) does that: mount --bind SRC DST, umount DST"));
        }
        let own_user = own(Kind::User)?;
        // Out of sight where the caller may do nothing there; entering it says why.
        let owner = mounts.owner().ok();
        let owner = owner.filter(|owner| owner.id().ok() != own_user.id().ok());
        Ok(Self {
            root: found.process.as_ref().map(root_folder).transpose()?,
            found,
            proc,
            own_user,
            owner,
        })
    }

    /// The user namespace by whose map the ids of a tree are shifted, if they are.
    fn ids(&self, how: Ids, source: &Path) -> Result<Option<&NsFd>, Failure> {
        let theirs = self.found.namespace(Kind::User).or(self.owner.as_ref());
        let theirs = theirs.filter(|user| user.id().ok() != self.own_user.id().ok());
        let shifted = match how {
            Ids::Keep => false,
            Ids::Shift => true,
            Ids::Auto => theirs.is_some() && !self.knows_owner(source)?,
        };
        if how == Ids::Shift && theirs.is_none() {
            return Err(Failure::new(format!(
                "--ids shift: {} has the caller's user namespace",
                self.found.name
            )));
        }
        Ok(theirs.filter(|_| shifted))
    }

    /// Whether the owner of a file here has an id there.
    fn knows_owner(&self, source: &Path) -> Result<bool, Failure> {
        let file = source.metadata().map_err(|error| {
            let words = warren_namespaces::io_error_text(&error);
            Failure::new(format!("look at {}: {words}", source.display()))
        })?;
        let Some((pid, _)) = &self.found.process else {
            return Ok(false);
        };
        let knows = |name: &str, id: u32| {
            let text = self.proc.read(&format!("{pid}/{name}")).ok()?;
            let map = IdMap::parse_file(&String::from_utf8_lossy(&text)).ok()?;
            let within =
                |line: &IdMap| id >= line.outside && id - line.outside < line.count;
            Some(map.iter().any(within))
        };
        Ok(knows("uid_map", file.uid()) == Some(true)
            && knows("gid_map", file.gid()) == Some(true))
    }

    fn change(
        &self,
        target: &Path,
        change: Change,
        only_plan: bool,
    ) -> Result<u8, Failure> {
        let plan = Plan::new(&self.spec(target, change), &Host::probe())?;
        if only_plan {
            failure::print(&plan.to_string())?;
            return Ok(0);
        }
        let mut child = plan.launch()?;
        let status = child.wait().map_err(|error| {
            let words = warren_namespaces::io_error_text(&error);
            Failure::new(format!("wait for the child: {words}"))
        })?;
        if status.success() {
            return Ok(0);
        }
        Err(Failure::new(format!("the child ended: {status}")))
    }

    fn spec(&self, target: &Path, change: Change) -> Spec {
        let mut namespaces = Namespaces::default();
        let mut join = |namespace: Option<&NsFd>| {
            if let Some(namespace) = namespace {
                let join = Namespace::Join(Join::Open(open(namespace)));
                namespaces.set(namespace.kind(), join);
            }
        };
        join(self.found.namespace(Kind::Mnt));
        join(self.owner.as_ref());
        Spec {
            namespaces,
            user: self.root_there(),
            chroot: self.root.iter().map(|root| self.root_step(root)).collect(),
            role: Role::Grafter(Graft {
                target: target.to_owned(),
                change,
            }),
            ..Spec::default()
        }
    }

    fn root_step(&self, root: &OwnedFd) -> Folder {
        Folder::Open(Open {
            fd: root.as_raw_fd(),
            name: format!("the root of {}", self.found.name),
        })
    }

    /// Root of the user namespace that is entered, if the process lives in it.
    fn root_there(&self) -> Option<User> {
        let owner = self.owner.as_ref()?.id().ok()?;
        let theirs = self.found.namespace(Kind::User)?.id().ok()?;
        let (pid, _) = self.found.process.as_ref().filter(|_| theirs == owner)?;
        enter::root_of_process(*pid, &self.proc)
    }
}

fn open(namespace: &NsFd) -> Open {
    Open {
        fd: namespace.as_fd().as_raw_fd(),
        name: namespace.to_string(),
    }
}

fn own(kind: Kind) -> Result<NsFd, Failure> {
    let path = format!("/proc/self/ns/{kind}");
    NsFd::open(Path::new(&path))
        .map_err(|errno| Failure::new(format!("open {path}: {}", errno_text(errno))))
}

/// Opens the root of a process; what is opened is the very process's, since it still
/// lives afterwards.
fn root_folder((pid, pidfd): &(u32, OwnedFd)) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{pid}/root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty())
        .and_then(|root| warren_sys::is_alive(pidfd.as_fd()).map(|()| root))
        .map_err(|errno| Failure::new(format!("open {path}: {}", errno_text(errno))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        MountArguments::command().debug_assert();
        UnmountArguments::command().debug_assert();
    }
}
