//! One line of a list of containers.

use super::container::Container;
use super::error::Error;
use super::record::Record;
use super::status::Status;

/// What a list says of a container.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What was written of it.
    pub record: Record,
    /// Its first process; 0 when that has ended.
    pub pid: u32,
    /// How it is doing.
    pub status: Status,
}

impl Container {
    /// What a list says of it.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn summary(&self) -> Result<Summary, Error> {
        let status = self.status()?;
        let pid = match status {
            Status::Stopped => 0,
            _ => self.pid().unwrap_or(0),
        };
        Ok(Summary {
            record: self.record.clone(),
            pid,
            status,
        })
    }
}
