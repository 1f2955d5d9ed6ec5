//! The namespaces to be joined.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::{Pid, PidfdFlags};
use warren_namespaces::{Kind, NsFd};
use warren_sys::Errno;

use crate::spec::{Join, Open};

/// Opens the namespace of one kind.
///
/// All those of one process are opened while its pidfd says that it lives, so that a
/// process which gets its number in between cannot lend one of its own.
pub fn open(
    kind: Kind,
    from: &Join,
    processes: &mut Vec<(u32, OwnedFd)>,
) -> Result<OwnedFd, Errno> {
    let namespace = match from {
        Join::Path(path) => NsFd::open(path)?,
        Join::Fd(number) | Join::Open(Open { fd: number, .. }) => {
            NsFd::from_fd(warren_sys::duplicate(*number)?)?
        }
        // setns(2) takes it as it is, and says whether it is one.
        Join::Pidfd(process) => return warren_sys::duplicate(process.fd),
        Join::Process(pid) => {
            let pidfd = pidfd_of(*pid, processes)?;
            let namespace = NsFd::open(Path::new(&format!("/proc/{pid}/ns/{kind}")))?;
            // Signal 0 asks whether the very process is still there.
            warren_sys::is_alive(pidfd)?;
            namespace
        }
    };
    if namespace.kind() == kind {
        Ok(namespace.into_fd())
    } else {
        Err(Errno::INVAL)
    }
}

fn pidfd_of(
    pid: u32,
    processes: &mut Vec<(u32, OwnedFd)>,
) -> Result<BorrowedFd<'_>, Errno> {
    let place = match processes.iter().position(|(known, _)| *known == pid) {
        Some(place) => place,
        None => {
            let id = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .ok_or(Errno::SRCH)?;
            let pidfd = rustix::process::pidfd_open(id, PidfdFlags::empty())?;
            processes.push((pid, pidfd));
            processes.len() - 1
        }
    };
    Ok(processes[place].1.as_fd())
}
