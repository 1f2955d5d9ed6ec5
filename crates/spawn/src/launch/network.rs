//! The network of a process that is being launched.

use std::os::fd::AsFd;

use warren_namespaces::ProcRoot;
use warren_network::Connection;

use super::channel::Started;
use crate::error::{Error, ErrorKind};
use crate::report::Report;

/// Connects the child's network namespace, and tells the program that it is.
pub fn connect(
    connection: &Connection,
    started: &Started,
    proc: &ProcRoot,
    report: &Report,
) -> Result<(), Error> {
    let pid = started.pid as u32;
    warren_network::connect(connection, pid, started.pidfd.as_fd(), proc)
        .map_err(failed)?;
    let told = report.connected().give();
    told.map_err(|errno| Error::step("tell the child of its network", errno))
}

fn failed(error: warren_network::Error) -> Error {
    let hints = error.hints().to_vec();
    let failed = Error::new(ErrorKind::Step, error.doing()).hints_of(hints);
    match error.errno() {
        Some(errno) => failed.errno(errno),
        None => failed,
    }
}
