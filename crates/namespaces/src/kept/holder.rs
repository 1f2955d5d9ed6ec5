//! The process that holds kept namespaces, told from any other that gets its number.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::FIND;
use crate::{Error, Kind, ProcRoot, namespaces_of};

/// A process as one boot of a machine has it once: its number alone comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderId {
    /// Its number in the pid namespace of who wrote this.
    pub pid: u32,
    /// When it was started: field 22 of proc_pid_stat(5).
    start: u64,
    /// The inode of its pidfd, which no other process gets; 0 before Linux 6.9.
    pidfd: u64,
    /// The inode of the pid namespace in which it has that number.
    pid_namespace: u64,
    /// The boot of the machine: random/boot_id.
    boot: String,
}

impl HolderId {
    /// What tells the process `pid` from others; it must live.
    ///
    /// # Errors
    /// `ESRCH` where it does not.
    pub fn of(proc: &ProcRoot, pid: u32, pidfd: impl AsFd) -> Result<Self, Error> {
        Ok(Self {
            pid,
            start: start(proc, pid)?,
            pidfd: pidfd_inode(pidfd).unwrap_or(0),
            pid_namespace: own_pid_namespace(proc)?,
            boot: boot(proc)?,
        })
    }

    /// Opens the process if it is still that one and lives.
    ///
    /// # Errors
    /// `EXDEV` where its number means nothing, since the caller's pid namespace is
    /// another.
    pub fn open(&self, proc: &ProcRoot) -> Result<Option<OwnedFd>, Error> {
        if boot(proc)? != self.boot {
            return Ok(None);
        }
        if own_pid_namespace(proc)? != self.pid_namespace {
            let what = format!("the holder {}", self.pid);
            let words = "it was made in another pid namespace";
            return Err(Error::words(FIND, what, Errno::XDEV, words));
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // KERNEL(6.9): a thread is ENOENT, and EINVAL before.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(errno) => {
                return Err(Error::new(FIND, format!("process {}", self.pid), errno));
            }
            Ok(pidfd) => pidfd,
        };
        let same = self.is_same(proc, &pidfd) && !has_ended(&pidfd);
        Ok(same.then_some(pidfd))
    }

    fn is_same(&self, proc: &ProcRoot, pidfd: &OwnedFd) -> bool {
        match pidfd_inode(pidfd) {
            Some(inode) if self.pidfd != 0 => inode == self.pidfd,
            // A clock that a time namespace shifts; only older kernels depend on it.
            _ => start(proc, self.pid) == Ok(self.start),
        }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let id = Self {
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            pidfd: words.next()?.parse().ok()?,
            pid_namespace: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
        };
        (id.pid > 0 && !id.boot.is_empty()).then_some(id)
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            start,
            pidfd,
            pid_namespace,
            boot,
        } = self;
        write!(f, "{pid} {start} {pidfd} {pid_namespace} {boot}")
    }
}

/// A pidfd is readable once its process has ended, reaped or not.
pub(super) fn has_ended(pidfd: &OwnedFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut wait = [PollFd::new(pidfd, PollFlags::IN)];
    rustix::event::poll(&mut wait, Some(&now)) == Ok(1)
}

/// The inode of a pidfd, where it tells processes apart.
fn pidfd_inode(pidfd: impl AsFd) -> Option<u64> {
    /// `PID_FS_MAGIC`; before Linux 6.9 all pidfds share one inode of anon_inodefs.
    const PIDFS: u64 = 0x5049_4446;
    let filesystem = rustix::fs::fstatfs(&pidfd).ok()?;
    if filesystem.f_type as u64 != PIDFS {
        return None;
    }
    Some(rustix::fs::fstat(pidfd).ok()?.st_ino)
}

fn start(proc: &ProcRoot, pid: u32) -> Result<u64, Error> {
    let path = format!("{pid}/stat");
    let text = proc.read(&path)?;
    parse_start(&String::from_utf8_lossy(&text))
        .ok_or_else(|| Error::new("read", format!("/proc/{path}"), Errno::INVAL))
}

/// Field 22 of a stat line; the second may have blanks and parentheses.
fn parse_start(stat: &str) -> Option<u64> {
    const START: usize = 22;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(START - 3)?.parse().ok()
}

fn own_pid_namespace(proc: &ProcRoot) -> Result<u64, Error> {
    let own = namespaces_of(proc, std::process::id())?;
    Ok(own.get(Kind::Pid).map_or(0, |id| id.inode))
}

fn boot(proc: &ProcRoot) -> Result<String, Error> {
    let text = proc.read("sys/kernel/random/boot_id")?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (ProcRoot, HolderId, OwnedFd) {
        let proc = ProcRoot::open().expect("/proc");
        let pid = rustix::process::getpid();
        let pidfd =
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd");
        let id = HolderId::of(&proc, std::process::id(), &pidfd).expect("oneself");
        (proc, id, pidfd)
    }

    #[test]
    fn a_process_is_found_by_what_it_is() {
        let (proc, id, _) = own();
        assert!(id.open(&proc).expect("this pid namespace").is_some());
        assert_eq!(HolderId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn another_process_with_its_number_is_not_it() {
        let (proc, id, _) = own();
        let gone =
            |other: &HolderId| other.open(&proc).expect("this pid namespace").is_none();
        let mut other = id.clone();
        other.pidfd = 0;
        other.start += 1;
        assert!(gone(&other), "by its start");
        let mut other = id.clone();
        if other.pidfd != 0 {
            other.pidfd += 1;
            assert!(gone(&other), "by its pidfd");
        }
        let mut other = id;
        other.boot = "another".to_owned();
        assert!(gone(&other), "of another boot");
    }

    #[test]
    fn a_number_of_another_pid_namespace_says_nothing() {
        let (proc, mut id, _) = own();
        id.pid_namespace += 1;
        let error = id.open(&proc).expect_err("nobody knows");
        assert_eq!(error.errno(), Errno::XDEV);
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) S {}", fields.join(" "));
        assert_eq!(parse_start(&stat), Some(22));
    }
}
