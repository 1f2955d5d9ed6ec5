//! Other limits for a container that is there.

use super::container::Container;
use super::error::Error;
use super::group::failed;
use super::status::Status;
use crate::config::Resources;

impl Container {
    /// Changes the limits that `resources` has, and no other.
    ///
    /// # Errors
    /// Where it has stopped, or a limit cannot be had.
    pub fn update(&self, resources: &Resources) -> Result<(), Error> {
        let limits = crate::limits(resources)?;
        self.locked(|| {
            if self.status()? == Status::Stopped {
                return Err(Error::not_running());
            }
            self.needed_cgroup("update")?.set(&limits).map_err(failed)
        })
    }
}
