//! What passes between a process in a container and who has it started.

use std::fs;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;

use warren_spawn::{Child, Plan, Terminal};
use warren_sys::Errno;

use super::console;
use super::error::Error;

/// What the caller of a command gives to the process, and takes from it.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    /// Whether the process outlives the caller, who then cannot hold its terminal.
    pub detached: bool,
    /// A file for its number.
    pub pid_file: Option<PathBuf>,
    /// A socket that takes the other end of its terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that takes a pidfd of it.
    pub pidfd_socket: Option<PathBuf>,
    /// What tells the rows and columns of its terminal, where nothing else says.
    pub terminal_size: Option<fn() -> (u16, u16)>,
    /// How many descriptors from 3 on it inherits, behind those that it is told of.
    pub preserve_fds: u32,
}

impl Handover {
    /// A terminal needs somebody who holds its other end; its size is settled.
    pub(super) fn settle_terminal(&self, terminal: &mut Terminal) -> Result<(), Error> {
        let has_terminal = *terminal != Terminal::Inherit;
        match (has_terminal, self.detached, &self.console_socket) {
            (true, true, None) => {
                return Err(Error::new(
                    "cannot allocate tty if runc will detach without setting console socket",
                )
                .hint("process.terminal is true: name a socket with --console-socket"));
            }
            (false, _, Some(_)) | (_, false, Some(_)) => {
                return Err(Error::new(
                    "cannot use console socket if runc will not detach or allocate tty",
                ));
            }
            _ => {}
        }
        let has_no_size = matches!(
            terminal,
            Terminal::New {
                rows: 0,
                columns: 0
            }
        );
        if let Some(size) = self.terminal_size.filter(|_| has_no_size) {
            let (rows, columns) = size();
            *terminal = Terminal::New { rows, columns };
        }
        Ok(())
    }

    /// The descriptors that the process inherits, `told` of which it is told of. They must
    /// be the caller's: at a free number there may be one of our own by now.
    pub(super) fn descriptors(&self, told: u32) -> Result<Vec<RawFd>, Error> {
        let count = told.checked_add(self.preserve_fds);
        let end = count.and_then(|count| RawFd::try_from(count).ok()?.checked_add(3));
        let end = end.ok_or_else(|| Error::new("there are not so many descriptors"))?;
        let mut all = Vec::new();
        for number in 3..end {
            if !warren_sys::is_inherited(number) {
                let doing = format!("keep descriptor {number}");
                return Err(Error::errno(doing, Errno::BADF));
            }
            all.push(number);
        }
        Ok(all)
    }

    /// Who stays with the process hears of its signals.
    pub(super) fn watched(&self, plan: Plan) -> Plan {
        match self.detached {
            true => plan,
            false => plan.holding_signals(),
        }
    }

    /// Gives away what only a process that is there has.
    pub(super) fn hand_over(&self, child: &mut Child) -> Result<(), Error> {
        if let Some(path) = &self.console_socket {
            let socket = console::connect(path)?;
            if let Some(terminal) = child.take_terminal() {
                console::hand_over(&socket, terminal.master.as_fd(), "/dev/ptmx")?;
            }
        }
        if let Some(path) = &self.pidfd_socket {
            let socket = console::connect(path)?;
            console::hand_over(&socket, child.pidfd(), "pidfd")?;
        }
        Ok(())
    }

    /// Writes its number without a line feed, into a file that is there whole or not at
    /// all.
    pub(super) fn write_pid_file(&self, pid: u32) -> Result<(), Error> {
        let Some(path) = &self.pid_file else {
            return Ok(());
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}"));
        fs::write(&temporary, pid.to_string())
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|error| Error::io(format!("write {}", path.display()), &error))
    }
}
