//! One line of a list of containers.

use super::container::Container;
use super::error::Error;
use super::status::Status;

/// What a list says of a container.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its name.
    pub id: String,
    /// Its first process; 0 when that has ended.
    pub pid: u32,
    /// How it is doing.
    pub status: Status,
    /// The folder that it was made of.
    pub bundle: String,
    /// When it was made.
    pub created: String,
    /// The user that made it.
    pub owner: u32,
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
            id: self.record.id.clone(),
            pid,
            status,
            bundle: self.record.bundle.clone(),
            created: self.record.created.clone(),
            owner: self.record.owner,
        })
    }
}
