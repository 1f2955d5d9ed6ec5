//! The processes of a container.

use super::container::Container;
use super::error::Error;
use super::group::failed;

impl Container {
    /// Their numbers, as the caller counts: those in its control group, or, without one, its
    /// first process alone.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub fn processes(&self) -> Result<Vec<u32>, Error> {
        match self.cgroup()? {
            Some(cgroup) => cgroup.procs().map_err(failed),
            None => Ok(self.pid().into_iter().collect()),
        }
    }
}
