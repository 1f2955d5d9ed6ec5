//! The network namespaces of sockets.
//!
//! Nothing in /proc tells them, so a copy of the descriptor is taken (pidfd_getfd(2)) and
//! asked. Each socket is asked once, whoever has it, for a number that needs no privilege
//! and opens nothing; the namespace itself only once for each number.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use super::graph::Graph;
use crate::Kind;
use crate::process::Numbered;

#[derive(Default)]
pub(super) struct Sockets {
    /// The inode of the namespace, by that of the socket; 0 where it is not known.
    known: HashMap<u64, u64>,
    /// The same by the number that sockets of one namespace have in common.
    by_cookie: HashMap<u64, u64>,
    started: bool,
}

/// A process whose sockets are asked, at the first of them.
pub(super) struct Owner<'l> {
    pid: u32,
    list: &'l Numbered,
    pidfd: Option<OwnedFd>,
    copied: bool,
}

impl<'l> Owner<'l> {
    pub fn new(pid: u32, list: &'l Numbered) -> Self {
        Self {
            pid,
            list,
            pidfd: None,
            copied: false,
        }
    }

    /// Whether its descriptors can be had at all.
    pub fn has_been_copied(&self) -> bool {
        self.copied
    }

    /// A copy of a descriptor; `ESRCH` where the process is gone.
    fn copy(&mut self, fd: u32) -> Result<OwnedFd, Errno> {
        let pidfd = match self.pidfd.take() {
            Some(pidfd) => pidfd,
            None => self.open()?,
        };
        let pidfd = self.pidfd.insert(pidfd);
        let copy =
            rustix::process::pidfd_getfd(pidfd, fd as i32, PidfdGetfdFlags::empty())?;
        self.copied = true;
        Ok(copy)
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(Errno::SRCH)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        // The number may have come to another process; the list of descriptors stays
        // that of the first one, and is empty once that is gone.
        match rustix::fs::fstat(&self.list.fd) {
            Ok(_) => Ok(pidfd),
            Err(_) => Err(Errno::SRCH),
        }
    }
}

impl Sockets {
    /// The inode of the network namespace of a socket, which the graph then has; `None`
    /// where that was asked before in vain, or the descriptor is another's by now.
    ///
    /// # Errors
    /// `EPERM` where the caller may not take copies of this process's descriptors, or
    /// not ask for this namespace; `ESRCH`, `EBADF` where they are gone.
    pub fn namespace(
        &mut self,
        owner: &mut Owner<'_>,
        (fd, inode): (u32, u64),
        graph: &mut Graph,
    ) -> Result<Option<u64>, Errno> {
        if let Some(known) = self.known.get(&inode) {
            return Ok(Some(*known).filter(|known| *known != 0));
        }
        self.start();
        let socket = owner.copy(fd)?;
        if rustix::fs::fstat(&socket)?.st_ino != inode {
            return Ok(None);
        }
        let found = self.ask(&socket, graph);
        self.known.insert(inode, *found.as_ref().unwrap_or(&0));
        found.map(|found| Some(found).filter(|found| *found != 0))
    }

    fn ask(&mut self, socket: &OwnedFd, graph: &mut Graph) -> Result<u64, Errno> {
        // KERNEL(5.14): before, each socket is asked for its namespace.
        let cookie = warren_sys::socket_namespace_cookie(socket.as_fd()).ok();
        if let Some(known) = cookie.and_then(|cookie| self.by_cookie.get(&cookie)) {
            return Ok(*known);
        }
        let found = open(socket, graph);
        if let Some(cookie) = cookie {
            // One failure for each namespace is enough.
            self.by_cookie.insert(cookie, *found.as_ref().unwrap_or(&0));
        }
        found
    }

    /// Learns the number of the caller's own network namespace, which an ordinary user
    /// may not ask a socket for.
    fn start(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let flags = SocketFlags::CLOEXEC;
        let cookie = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            flags,
            None,
        )
        .and_then(|socket| warren_sys::socket_namespace_cookie(socket.as_fd()));
        // The thread's own: the first thread may be elsewhere.
        let own = rustix::fs::stat("/proc/thread-self/ns/net");
        if let (Ok(cookie), Ok(own)) = (cookie, own) {
            self.by_cookie.insert(cookie, own.st_ino);
        }
    }
}

/// Opens the namespace and shows it to the graph; gives its inode.
fn open(socket: &OwnedFd, graph: &mut Graph) -> Result<u64, Errno> {
    let fd = warren_sys::socket_namespace(socket.as_fd())?;
    let inode = rustix::fs::fstat(&fd)?.st_ino;
    graph.meet(Kind::Net, inode, || Ok(fd));
    Ok(inode)
}
