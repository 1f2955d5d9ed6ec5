//! Signals to a container.

use warren_sys::Errno;
use warren_sys::signal::SIGKILL;

use super::container::Container;
use super::error::{Error, words};
use super::group::failed;
use super::status::Status;

impl Container {
    /// Sends a signal to its first process; with `all` it is no failure that it has ended.
    ///
    /// # Errors
    /// [`Kind::NotRunning`](super::Kind::NotRunning) where that has ended.
    pub fn kill(&self, signal: i32, all: bool) -> Result<(), Error> {
        let status = self.status()?;
        if status == Status::Stopped {
            return self.kill_rest(signal, all);
        }
        if signal == SIGKILL && !self.has_own_pids()? {
            // Nothing else ends with its first process.
            return self.needed_cgroup("kill")?.kill().map_err(failed);
        }
        match self.running_init()?.signal(&self.proc, signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(Error::not_running()),
            Err(errno) => Err(Error::new(format!(
                "send signal {signal}: {}",
                words(errno)
            ))),
        }
    }

    /// What is left in its control group when its first process has ended. Who asks for all
    /// is content where nobody is.
    fn kill_rest(&self, signal: i32, all: bool) -> Result<(), Error> {
        if signal == SIGKILL && !self.has_own_pids()? {
            let cgroup = self.cgroup()?;
            let cgroup =
                cgroup.filter(|cgroup| cgroup.procs().is_ok_and(|left| !left.is_empty()));
            if let Some(cgroup) = cgroup {
                return cgroup.kill().map_err(failed);
            }
        }
        match all {
            true => Ok(()),
            false => Err(Error::not_running()),
        }
    }

    /// Whether its processes end with the first of them.
    fn has_own_pids(&self) -> Result<bool, Error> {
        if self.record.cgroup.is_none() {
            return Ok(true);
        }
        let config = self.config()?;
        let namespaces = config
            .linux
            .map(|linux| linux.namespaces)
            .unwrap_or_default();
        let mut pid = namespaces.iter().filter(|one| one.r#type == "pid");
        Ok(pid.any(|one| one.path.is_empty()))
    }
}
