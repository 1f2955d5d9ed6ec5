//! Word from the program that it is ready: sd_notify(3), handed on to who waits for it.
//!
//! The program cannot reach a socket of the host's. It gets a folder with one of its own, in
//! which whoever starts it listens until it is ready or has ended.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{AtFlags, Mode};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use warren_sys::Errno;

use super::container::Container;
use super::error::Error;
use super::store::{Folder, Store};
use crate::config::{Config, Mount};

pub(super) const FOLDER: &str = "notify";
const SOCKET: &str = "notify/notify.sock";
/// Where the container sees the folder.
pub(super) const INSIDE: &str = "/run/notify";

impl Store {
    /// Shows the container the folder, and tells it of the socket.
    pub(super) fn let_notify(&self, id: &str, config: &mut Config) {
        let source = self.new_folder(id).join(FOLDER);
        let options = ["bind", "nosuid", "noexec", "nodev", "ro"];
        config.mounts.push(Mount {
            destination: INSIDE.to_owned(),
            r#type: "bind".to_owned(),
            source: source.display().to_string(),
            options: options.map(str::to_owned).to_vec(),
            ..Mount::default()
        });
        if let Some(process) = &mut config.process {
            let path = format!("NOTIFY_SOCKET={INSIDE}/notify.sock");
            process.env.push(path);
        }
    }
}

/// Makes the folder.
pub(super) fn prepare(folder: &Folder) -> Result<(), Error> {
    rustix::fs::mkdirat(&folder.fd, FOLDER, Mode::from_raw_mode(0o755))
        .map_err(|errno| Error::errno("make the folder for its notification", errno))
}

pub(super) fn remove(folder: &Folder) {
    // Mostly there is none.
    if rustix::fs::unlinkat(&folder.fd, FOLDER, AtFlags::REMOVEDIR)
        == Err(Errno::NOTEMPTY)
    {
        let _ = rustix::fs::unlinkat(&folder.fd, SOCKET, AtFlags::empty());
        let _ = rustix::fs::unlinkat(&folder.fd, FOLDER, AtFlags::REMOVEDIR);
    }
}

/// A socket at which the program of a container is heard.
#[derive(Debug)]
pub struct Notification(OwnedFd);

impl Container {
    /// Listens for word from its program, if somebody was to hear it; before it is started.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn listen(&self) -> Result<Option<Notification>, Error> {
        if !self.record.notifies {
            return Ok(None);
        }
        let path = self.folder.short_path(SOCKET);
        let listen = || {
            let socket = datagrams()?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
            // Whoever the program is may write to it.
            rustix::fs::chmod(&path, Mode::from_raw_mode(0o777))?;
            Ok(socket)
        };
        let socket = listen().map_err(|errno: Errno| {
            Error::errno("make a socket for its notification", errno)
        })?;
        Ok(Some(Notification(socket)))
    }

    /// Waits until its program is ready, or has ended, and tells `host`.
    ///
    /// # Errors
    /// Where nobody can be told.
    pub fn hand_on(&self, heard: &Notification, host: &Path) -> Result<(), Error> {
        let failed = |errno| Error::errno("hand its notification on", errno);
        let Some(init) = self.living_init() else {
            return Ok(());
        };
        let Ok(pidfd) = init.open(&self.proc) else {
            return Ok(());
        };
        while next(heard, &pidfd).map_err(failed)? {
            let mut bytes = [0; 4096];
            let (_, count) = rustix::net::recv(&heard.0, &mut bytes, RecvFlags::DONTWAIT)
                .map_err(failed)?;
            let text = String::from_utf8_lossy(&bytes[..count.min(4096)]);
            if text.lines().any(|line| line == "READY=1") {
                let word = format!("READY=1\nMAINPID={}\n", init.pid);
                return tell(host, &word).map_err(failed);
            }
        }
        Ok(())
    }
}

/// Whether there is something to hear; not when the process has ended.
fn next(heard: &Notification, pidfd: &OwnedFd) -> Result<bool, Errno> {
    let mut both = [
        PollFd::new(&heard.0, PollFlags::IN),
        PollFd::new(pidfd, PollFlags::IN),
    ];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut both, None))?;
    Ok(both[0].revents().contains(PollFlags::IN))
}

fn tell(host: &Path, word: &str) -> Result<(), Errno> {
    let address = match host.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(host)?,
    };
    let socket = datagrams()?;
    rustix::net::sendto(&socket, word.as_bytes(), SendFlags::NOSIGNAL, &address).map(drop)
}

fn datagrams() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}
