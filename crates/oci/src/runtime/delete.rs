//! The end of a container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use warren_namespaces::NsFd;
use warren_network::take_interface_back;
use warren_sys::Errno;

use super::container::Container;
use super::error::{Error, Kind};
use super::hooks;
use super::status::Status;
use super::store::Store;
use super::surface;

/// How long a process may take to die.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one may take of which nobody knows that it is about to. Other runtimes take some
/// ten times as long to get here, so that a `delete` right after a `kill` finds it stopped.
const GRACE: Duration = Duration::from_millis(100);

impl Store {
    /// Removes what there is of a container that has stopped, or with `force` of any; then
    /// that there is none is no failure. Gives what its hooks said that failed.
    ///
    /// # Errors
    /// Where it runs, or something of it cannot be removed.
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<Error>, Error> {
        let container = match self.open(id) {
            Err(error) if force && error.kind() == Kind::NoContainer => {
                self.clear_rest(id)?;
                return Ok(Vec::new());
            }
            container => container?,
        };
        container.delete(force)
    }
}

impl Container {
    /// The same of this container.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete(&self, force: bool) -> Result<Vec<Error>, Error> {
        if !self.lock_what_is_there()? {
            return match force {
                true => Ok(Vec::new()),
                false => Err(Error::no_container(&self.record.id)),
            };
        }
        let status = self.status()?;
        match status {
            Status::Stopped => {}
            Status::Created => self.end()?,
            _ if force => self.end()?,
            Status::Running if self.ends_by_itself() => {}
            status => {
                return Err(Error::new(format!(
                    "cannot delete container {} that is not stopped: {status}",
                    self.record.id
                )));
            }
        }
        self.remove()
    }

    /// The same with force for who has waited for its first process, and so need not ask
    /// whether that has ended. That it is gone is no failure.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete_ended(&self) -> Result<Vec<Error>, Error> {
        match self.lock_what_is_there()? {
            true => self.remove(),
            false => Ok(Vec::new()),
        }
    }

    /// Whether there is something: somebody else may have been faster, and what has no record
    /// is no container.
    fn lock_what_is_there(&self) -> Result<bool, Error> {
        self.folder.lock()?;
        Ok(self.folder.has_record())
    }

    /// Removes its folder, and what else there is of it; then its hooks are run.
    pub(super) fn remove(&self) -> Result<Vec<Error>, Error> {
        let hooks = match self.text.contains("\"poststop\"") {
            true => self.config()?.hooks.unwrap_or_default(),
            false => crate::config::Hooks::default(),
        };
        self.give_interfaces_back()?;
        self.remove_cgroup()?;
        surface::clear(&self.record)?;
        self.folder.remove(&self.record)?;
        let state = self.state_text(Status::Stopped, 0);
        Ok(hooks::run_all(
            "poststop",
            &hooks.poststop,
            &state,
            self.bundle(),
        ))
    }

    /// Removes all that there is of it, whatever it is doing, and runs no hook.
    pub(super) fn remove_by_force(&self) -> Result<(), Error> {
        self.end()?;
        self.remove_cgroup()?;
        surface::clear(&self.record)?;
        self.folder.remove(&self.record)
    }

    /// Takes the interfaces out of a network namespace that was there before the container;
    /// those in one of its own went with that, or back by themselves.
    fn give_interfaces_back(&self) -> Result<(), Error> {
        if !self.text.contains("\"netDevices\"") {
            return Ok(());
        }
        let linux = self.config()?.linux.unwrap_or_default();
        let mut joined = linux
            .namespaces
            .iter()
            .filter(|one| one.r#type == "network");
        let Some(path) = joined.next().map(|one| Path::new(&one.path)) else {
            return Ok(());
        };
        // Without a path it was the container's own.
        let Ok(namespace) = NsFd::open(path).map(NsFd::into_fd) else {
            return Ok(());
        };
        for (outside, device) in &linux.net_devices {
            let inside = match device.name.as_str() {
                "" => outside,
                name => name,
            };
            match take_interface_back(inside, outside, namespace.as_fd()) {
                // It was removed meanwhile.
                Ok(()) | Err(Errno::NODEV) => {}
                Err(errno) => {
                    let doing = format!("take the interface {inside} back");
                    return Err(Error::errno(doing, errno));
                }
            }
        }
        Ok(())
    }

    /// Whether its first process ends now, without being told to here.
    fn ends_by_itself(&self) -> bool {
        let Some(init) = self.living_init() else {
            return true;
        };
        let ended = init.open(&self.proc);
        let ended = ended.and_then(|pidfd| await_end(&pidfd, GRACE));
        matches!(ended, Ok(()) | Err(Errno::SRCH))
    }

    /// Kills its processes and waits until they have ended.
    fn end(&self) -> Result<(), Error> {
        let Some(init) = self.living_init() else {
            return Ok(());
        };
        let failed = |errno| Error::errno("kill the container's process", errno);
        let pidfd = match init.open(&self.proc) {
            Err(Errno::SRCH) => return Ok(()),
            pidfd => pidfd.map_err(failed)?,
        };
        match rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL) {
            Err(Errno::SRCH) => return Ok(()),
            sent => sent.map_err(failed)?,
        }
        // What is frozen dies only when it goes on, on v1.
        if let Some(cgroup) = self.cgroup()? {
            let _ = cgroup.thaw();
        }
        await_end(&pidfd, PATIENCE).map_err(failed)
    }
}

/// A process whose parent does not wait for it has ended all the same.
fn await_end(pidfd: &OwnedFd, patience: Duration) -> Result<(), Errno> {
    let time = Timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    };
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    match rustix::event::poll(&mut ended, Some(&time))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}
