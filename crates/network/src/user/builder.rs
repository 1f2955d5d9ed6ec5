//! Who enters the inside: makes the link and the router, hands the router's sockets over, and
//! afterwards makes sockets inside for what comes by published ports.
//!
//! It is a process of its own, since the way into a user namespace is one-way: sockets of the
//! host are not to be had there any more.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior};

use super::handover::send_with;
use super::ports;
use super::router::{Router, set_up_inside};
use crate::error::{Error, Result};

const NEWNET: u64 = 0x4000_0000;
const NEWUSER: u64 = 0x1000_0000;

/// Builds the network of the process `pid`, and tells `channel` how it went, with the
/// router's sockets. Then, if there are ports, makes sockets until the channel is closed.
/// `maker` is who made the calling process.
pub fn build(
    (pid, pidfd): (u32, BorrowedFd<'_>),
    maker: Pid,
    channel: &OwnedFd,
    has_ports: bool,
) {
    let router = match enter_and_build(pid, pidfd, maker) {
        Ok(router) => router,
        Err(error) => {
            let _ = send_with(channel.as_fd(), &refusal(&error), &[]);
            return;
        }
    };
    if send_with(channel.as_fd(), &[DONE], &router.sockets()).is_err() {
        return;
    }
    drop(router);
    if has_ports {
        ports::serve(channel);
    }
}

fn enter_and_build(pid: u32, pidfd: BorrowedFd<'_>, maker: Pid) -> Result<Router> {
    enter(pidfd, maker).map_err(|errno| {
        Error::new(
            format!("enter the network namespace of process {pid}"),
            errno,
        )
    })?;
    let router = Router::new(pid)?;
    warren_sys::setns(pidfd, NEWNET)
        .map_err(|errno| Error::new("go back to the inside", errno))?;
    set_up_inside(router.has_ipv6())?;
    Ok(router)
}

fn enter(pidfd: BorrowedFd<'_>, maker: Pid) -> std::result::Result<(), Errno> {
    match warren_sys::setns(pidfd, NEWUSER | NEWNET) {
        // It is in the caller's own user namespace.
        Err(Errno::INVAL) => warren_sys::setns(pidfd, NEWNET)?,
        result => result?,
    }
    // Another user namespace has changed both. Nobody inside sees this process, but it need
    // not be traced by root of there either.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    match warren_sys::die_with_maker(maker) {
        true => Ok(()),
        false => Err(Errno::CHILD),
    }
}

const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// A failure as a message.
pub fn refusal(error: &Error) -> Vec<u8> {
    let errno = error.errno().map_or(0, Errno::raw_os_error);
    let mut message = vec![REFUSED];
    message.extend(errno.to_ne_bytes());
    message.extend(error.doing().bytes());
    for hint in error.hints() {
        message.push(b'\n');
        message.extend(hint.bytes());
    }
    message.truncate(1000);
    message
}

/// That it works, as a message.
pub const READY: &[u8] = &[DONE];

/// What such a message says.
///
/// # Errors
/// The failure.
pub fn answer(message: &[u8]) -> Result<()> {
    let (errno, text) = match message.split_first() {
        Some((&DONE, _)) => return Ok(()),
        Some((&REFUSED, rest)) => {
            rest.split_first_chunk::<4>().unwrap_or((&[0; 4], rest))
        }
        _ => return Err(Error::words("the network's process has ended")),
    };
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let doing = lines.next().unwrap_or_default();
    let error = match i32::from_ne_bytes(*errno) {
        0 => Error::words(doing),
        errno => Error::new(doing, Errno::from_raw_os_error(errno)),
    };
    Err(lines.fold(error, |error, hint| error.hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_it_was_written() {
        let error = Error::new("load the rules", Errno::NOENT)
            .hint("one")
            .hint("two");
        assert_eq!(answer(&refusal(&error)), Err(error));
        assert_eq!(answer(READY), Ok(()));
        assert!(answer(&[]).is_err());
    }
}
