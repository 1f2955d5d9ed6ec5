//! A process as a target.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::{FIND, Found};
use crate::process::Folder;
use crate::{Error, Kind, NsFd, ProcRoot, limits};

/// Opens a process; `inode` is what its pidfd must have.
pub fn find(proc: &ProcRoot, pid: u32, inode: Option<u64>) -> Result<Found, Error> {
    let name = match inode {
        Some(inode) => format!("process {pid}:{inode}"),
        None => format!("process {pid}"),
    };
    check_numbers(proc)?;
    let pidfd = open_pidfd(pid).map_err(|errno| no_process(&name, errno))?;
    if let Some(inode) = inode {
        check_inode(&name, &pidfd, inode)?;
    }
    let namespaces = open_namespaces(proc, pid)
        // Through the pidfd: what was opened was the very process's.
        .and_then(|namespaces| warren_sys::is_alive(pidfd.as_fd()).map(|()| namespaces))
        .map_err(|errno| not_examined(proc, &name, errno))?;
    Ok(Found {
        process: Some((pid, pidfd)),
        namespaces,
        name,
    })
}

/// pidfd_open(2) counts as the caller's pid namespace does; /proc may count otherwise.
fn check_numbers(proc: &ProcRoot) -> Result<(), Error> {
    if proc.own_folder()? == std::process::id().to_string() {
        return Ok(());
    }
    let words = "it is of another pid namespace than the caller";
    Err(Error::words("use", "/proc", Errno::XDEV, words)
        .hint("mount the right one: mount -t proc proc /proc"))
}

pub fn open_pidfd(pid: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    rustix::process::pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

fn no_process(name: &str, errno: Errno) -> Error {
    let error = Error::new(FIND, name, errno);
    match errno {
        // KERNEL(6.9): ENOENT, and EINVAL before.
        Errno::INVAL | Errno::NOENT => error
            .hint("it is a thread: name its process, which is Tgid in /proc/TID/status"),
        Errno::SRCH => error.hint("`warren ls` shows the processes and their namespaces"),
        Errno::NOSYS => error.hint("this needs Linux 5.3 (pidfd_open)"),
        _ => error,
    }
}

fn check_inode(name: &str, pidfd: &OwnedFd, inode: u64) -> Result<(), Error> {
    let stat = rustix::fs::fstat(pidfd).map_err(|errno| Error::new(FIND, name, errno))?;
    if stat.st_ino == inode {
        return Ok(());
    }
    let words = "the process has ended, and another has its number";
    Err(Error::words(FIND, name, Errno::SRCH, words)
        .hint("before Linux 6.9 a pidfd has no inode of its own"))
}

fn open_namespaces(proc: &ProcRoot, pid: u32) -> Result<Vec<NsFd>, Errno> {
    let folder = Folder::open(proc.as_fd(), pid)?;
    if folder.stat()?.zombie {
        return Err(Errno::SRCH);
    }
    let mut namespaces = Vec::with_capacity(Kind::ALL.len());
    for kind in Kind::ALL {
        match folder.open_namespace(kind, false) {
            Ok(fd) => namespaces.push(NsFd::known(fd, kind)),
            // A kind that this kernel lacks; a kernel thread has all others.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(namespaces)
}

/// Opens the namespaces in which the next children of a process will be.
pub fn next_children(
    proc: &ProcRoot,
    pid: u32,
    kinds: &[Kind],
) -> Result<Vec<NsFd>, Errno> {
    let folder = Folder::open(proc.as_fd(), pid)?;
    let open = |kind: &Kind| {
        let fd = folder.open_namespace(*kind, true)?;
        Ok(NsFd::known(fd, *kind))
    };
    kinds.iter().map(open).collect()
}

fn not_examined(proc: &ProcRoot, name: &str, errno: Errno) -> Error {
    let error = Error::new("open the namespaces of", name, errno);
    match errno {
        Errno::ACCESS | Errno::PERM => {
            let error = error.hint(
                "a process of another user, or with capabilities that the caller lacks, takes root",
            );
            match limits::own_apparmor_profile(proc) {
                Some(profile) => error.hint(format!(
                    "the AppArmor profile {profile} confines the caller: to look at processes \
                     takes its rule `ptrace read,`, and to open namespaces its flag \
                     attach_disconnected"
                )),
                None => error,
            }
        }
        Errno::SRCH => {
            error.hint("it has just ended, or waits for its parent as a zombie")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (ProcRoot, u32) {
        (ProcRoot::open().expect("/proc"), std::process::id())
    }

    #[test]
    fn the_caller_finds_itself_with_all_its_namespaces() {
        let (proc, pid) = own();
        let found = find(&proc, pid, None).expect("oneself");
        assert_eq!(found.namespaces.len(), 8);
        assert_eq!(found.name, format!("process {pid}"));
        assert_eq!(found.process.map(|(pid, _)| pid), Some(pid));
    }

    #[test]
    fn the_inode_of_its_pidfd_tells_a_process_from_its_successor() {
        let (proc, pid) = own();
        let pidfd = open_pidfd(pid).expect("a pidfd");
        let inode = rustix::fs::fstat(&pidfd).expect("fstat").st_ino;
        assert!(find(&proc, pid, Some(inode)).is_ok());
        let error = find(&proc, pid, Some(inode + 1)).expect_err("another");
        assert_eq!(
            error.to_string(),
            format!(
                "find process {pid}:{}: the process has ended, and another has its number",
                inode + 1
            )
        );
    }

    #[test]
    fn a_zombie_is_no_target() {
        let (proc, _) = own();
        let mut child = std::process::Command::new("/bin/true")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("/bin/true");
        let mut end = child.stdout.take().expect("a pipe");
        std::io::Read::read_to_end(&mut end, &mut Vec::new()).expect("end of file");
        // Its descriptors are closed a moment before it is a zombie.
        let folder = Folder::open(proc.as_fd(), child.id()).expect("not reaped");
        while !folder.stat().expect("not reaped").zombie {
            std::thread::yield_now();
        }
        let error = find(&proc, child.id(), None).expect_err("a zombie");
        assert_eq!(error.errno(), Errno::SRCH);
        child.wait().expect("wait");
    }

    #[test]
    fn a_number_that_nobody_has_is_esrch() {
        let (proc, _) = own();
        let error = find(&proc, u32::MAX, None).expect_err("nobody");
        assert_eq!(error.errno(), Errno::SRCH);
        assert_eq!(error.hints().len(), 1);
    }
}
