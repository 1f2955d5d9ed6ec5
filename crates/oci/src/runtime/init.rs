//! The first process of a container, told from a later one of the same number.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;

use rustix::process::{Pid, PidfdFlags};
use warren_namespaces::ProcRoot;
use warren_sys::Errno;

/// A process, by its number and the moment of its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    pub pid: u32,
    /// In ticks since the machine was started: proc_pid_stat(5).
    pub began: u64,
}

impl Init {
    /// The process that has the number now.
    pub fn of(proc: &ProcRoot, pid: u32) -> Result<Self, Errno> {
        let (_, began) = look(proc, pid)?;
        Ok(Self { pid, began })
    }

    /// Whether it has not ended; a zombie has.
    pub fn is_alive(&self, proc: &ProcRoot) -> bool {
        look(proc, self.pid)
            .is_ok_and(|(state, began)| began == self.began && !b"ZX".contains(&state))
    }

    /// A pidfd of it.
    ///
    /// # Errors
    /// `ESRCH` where it has ended.
    pub fn open(&self, proc: &ProcRoot) -> Result<OwnedFd, Errno> {
        let pidfd = self.pidfd()?;
        // After it was opened: a number that is given out again now is another's.
        if self.is_alive(proc) {
            Ok(pidfd)
        } else {
            Err(Errno::SRCH)
        }
    }

    /// A pidfd of whoever has its number: it is its own only if it still lives afterwards.
    ///
    /// # Errors
    /// `ESRCH` where nobody has.
    pub fn pidfd(&self) -> Result<OwnedFd, Errno> {
        let pid = Pid::from_raw(self.pid as i32).ok_or(Errno::SRCH)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty())
    }

    /// Sends it a signal, which can reach nobody else.
    pub fn signal(&self, proc: &ProcRoot, signal: i32) -> Result<(), Errno> {
        let pidfd = self.open(proc)?;
        warren_sys::signal::send(pidfd.as_fd(), signal)
    }
}

/// The state of a process and the moment of its begin.
fn look(proc: &ProcRoot, pid: u32) -> Result<(u8, u64), Errno> {
    let text = proc.read_piece(&format!("{pid}/stat"));
    let text = text.map_err(|error| error.errno())?;
    parse(&text).ok_or(Errno::INVAL)
}

fn parse(text: &[u8]) -> Option<(u8, u64)> {
    // The name may have anything in it.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?.bytes().next()?;
    Some((state, words.nth(18)?.parse().ok()?))
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.began)
    }
}

impl FromStr for Init {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, began) = text.split_once(':').ok_or(())?;
        let pid = pid.parse().map_err(|_| ())?;
        let began = began.parse().map_err(|_| ())?;
        Ok(Self { pid, began })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_its_begin_is_read_behind_any_name() {
        let text =
            b"7 (a) S 9 (b) ) R 1 7 7 0 -1 4194304 1 0 0 0 2 3 0 0 20 0 1 0 987654 1 2";
        assert_eq!(parse(text), Some((b'R', 987_654)));
        assert_eq!(parse(b"7 (a"), None);
        let init = Init { pid: 7, began: 9 };
        assert_eq!(init.to_string().parse(), Ok(init));
    }
}
