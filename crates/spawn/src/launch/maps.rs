//! The id maps of the child, as its parent writes them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use warren_namespaces::{IdMap, Kind, ProcRoot};
use warren_sys::{CloneArgs, Errno, Forked};

use super::helper;
use crate::error::{Error, ErrorKind};
use crate::host;
use crate::ids::Reservation;
use crate::step::{MapLines, MapWriter, Maps};

/// Why a map could not be written, before the hints are known.
pub enum MapFailure {
    /// The kernel refused.
    Write(Errno),
    /// A helper did.
    Helper(Error),
}

impl MapFailure {
    /// The whole error, with the words that `failed` has for an errno.
    pub fn explain(self, failed: impl FnOnce(Errno) -> Error) -> Error {
        match self {
            Self::Write(errno) => failed(errno),
            Self::Helper(error) => error,
        }
    }
}

/// Writes both maps of the child `pid`; `block` is what was reserved for it.
pub fn write(
    maps: &Maps,
    proc: &ProcRoot,
    pid: i32,
    block: Option<&Reservation>,
) -> Result<(), MapFailure> {
    let block = block.map(|reservation| vec![reservation.map()]);
    let (uids, gids) = match (&maps.lines, block) {
        (MapLines::Known { uids, gids }, _) => (uids.clone(), gids.clone()),
        (MapLines::FreeBlock, Some(block)) => (block.clone(), block),
        (MapLines::FreeBlock, None) => return Err(MapFailure::Write(Errno::INVAL)),
    };
    match maps.writer {
        MapWriter::Parent => write_map(proc, pid, "uid_map", &uids)
            .and_then(|()| write_map(proc, pid, "gid_map", &gids))
            .map_err(MapFailure::Write),
        MapWriter::Helpers => run_helper("newuidmap", pid, &uids)
            .and_then(|()| run_helper("newgidmap", pid, &gids))
            .map_err(MapFailure::Helper),
        MapWriter::Child => Ok(()),
    }
}

/// The kernel takes a map in one write.
fn write_map(proc: &ProcRoot, pid: i32, name: &str, map: &[IdMap]) -> Result<(), Errno> {
    let path = format!("{pid}/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())?;
    rustix::io::write(&file, IdMap::text(map).as_bytes()).map(drop)
}

fn run_helper(name: &str, pid: i32, map: &[IdMap]) -> Result<(), Error> {
    let doing = format!("write the id maps by {name}");
    let Some(path) = host::helper(name) else {
        return Err(Error::new(ErrorKind::Step, doing + ": it is not installed")
            .hint("install it (Debian: uidmap), or map one id alone (--map single)"));
    };
    let numbers = map
        .iter()
        .flat_map(|line| [line.inside, line.outside, line.count]);
    let failed = |why: &str| Error::new(ErrorKind::Step, format!("{doing}: {why}"));
    let mut command = Command::new(path);
    command
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null());
    helper::run(&mut command).map_err(|why| {
        failed(&why)
        .hint("it grants what /etc/subuid and /etc/subgid list for the user, and needs its set-user-id bit or file capability")
        .hint("one id alone needs no helper: --map single")
    })
}

/// Shows the files of `tree` under the ids of the child `pid`, whose map is written.
pub fn shift_ids(
    tree: BorrowedFd<'_>,
    proc: &ProcRoot,
    pid: i32,
    recursive: bool,
) -> Result<(), Errno> {
    let user = user_namespace_of(proc, pid)?;
    warren_mounts::shift_ids(tree, user.as_fd(), recursive)
}

fn user_namespace_of(proc: &ProcRoot, pid: i32) -> Result<OwnedFd, Errno> {
    let path = format!("{pid}/ns/user");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // The last component is a magic link by design: a namespace of our own child.
    rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())
}

/// A user namespace of these maps, in which no process is.
pub fn user_namespace(lines: &MapLines, proc: &ProcRoot) -> Result<OwnedFd, Errno> {
    let MapLines::Known { uids, gids } = lines else {
        return Err(Errno::INVAL);
    };
    let args = CloneArgs {
        namespaces: Kind::User.clone_flag(),
        cgroup: None,
    };
    // SAFETY: the child only waits for its end.
    let (pid, pidfd) = match unsafe { warren_sys::clone3(args) }? {
        Forked::Child => wait_to_be_killed(),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let namespace = write_map(proc, pid, "uid_map", uids)
        .and_then(|()| write_map(proc, pid, "gid_map", gids))
        .and_then(|()| user_namespace_of(proc, pid));
    // A child of our own that nobody has waited for: it is the one.
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    let which = WaitId::PidFd(pidfd.as_fd());
    let _ = rustix::process::waitid(which, WaitIdOptions::EXITED);
    namespace
}

fn wait_to_be_killed() -> ! {
    let with_parent = Some(Signal::KILL);
    let _ = rustix::process::set_parent_process_death_signal(with_parent);
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}
