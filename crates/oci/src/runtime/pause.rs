//! Stopping a container's processes, and letting them go on.

use super::container::Container;
use super::error::Error;
use super::group::failed;
use super::status::Status;

impl Container {
    /// Stops all its processes.
    ///
    /// # Errors
    /// Where it does not run, or cannot be stopped.
    pub fn pause(&self) -> Result<(), Error> {
        self.locked(|| match self.status()? {
            Status::Running | Status::Created => {
                self.needed_cgroup("pause")?.freeze().map_err(failed)
            }
            status => Err(Error::new(format!(
                "container not running or created: {status}"
            ))),
        })
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// Where it is not paused.
    pub fn resume(&self) -> Result<(), Error> {
        self.locked(|| match self.status()? {
            Status::Paused => self.needed_cgroup("resume")?.thaw().map_err(failed),
            status => Err(Error::new(format!("container not paused: {status}"))),
        })
    }

    pub(super) fn locked<T>(
        &self,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.folder.lock()?;
        let done = work();
        self.folder.unlock();
        done
    }
}
