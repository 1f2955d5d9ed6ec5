//! Signals to a container.

use warren_namespaces::errno_text;
use warren_sys::Errno;

use super::container::Container;
use super::error::Error;
use super::status::Status;

impl Container {
    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// [`Kind::NotRunning`](super::Kind::NotRunning) where that has ended.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        let status = self.status()?;
        if status == Status::Stopped {
            return Err(Error::not_running());
        }
        match self.running_init()?.signal(&self.proc, signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(Error::not_running()),
            Err(errno) => Err(Error::new(format!(
                "send signal {signal}: {}",
                errno_text(errno)
            ))),
        }
    }
}
