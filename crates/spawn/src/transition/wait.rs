//! The fork, and the caller's wait for its program.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use warren_sys::signal::{
    self, SIGCHLD, SIGCONT, SIGINT, SIGSTOP, SIGTERM, SignalSet, Taken,
};
use warren_sys::{Errno, SharedPage, exit_now};

use super::spec::{Fork, Relay};
use super::step::{Side, Step};
use super::walk::{Stop, Walk, check_threads};
use super::{Failed, Outcome};
use crate::init;
use crate::report::Report;

/// Which side of the fork this process is on.
pub enum Forked {
    /// The one that becomes the program.
    Program,
    /// The caller, when the program has ended.
    Caller(Outcome),
}

/// Forks; in the caller, does what is left for it and waits.
pub fn fork(walk: &mut Walk<'_>, fork: Fork, number: usize) -> Result<Forked, Stop> {
    check_threads()?;
    // Who starts us may ignore it, and nothing could be waited for.
    signal::default_action(SIGCHLD);
    let gate = Gate::new(walk.has_steps_after(number))?;
    walk.caller = fork.death_signal.map(|_| own_pidfd()).transpose()?;
    let before = signal::set_blocked(blocked(fork.relay));
    // SAFETY: the process has one thread, so that nothing is held in the child that
    // nobody will release.
    let pid = match unsafe { warren_sys::fork() } {
        Ok(pid) => pid,
        Err(errno) => {
            signal::set_blocked(before);
            return Err(errno.into());
        }
    };
    let Some(child) = Pid::from_raw(pid) else {
        signal::set_blocked(before);
        if let Some(helper) = walk.helper.take() {
            helper.forget();
        }
        gate.pass()?;
        return Ok(Forked::Program);
    };
    walk.caller = None;
    if let Some(failed) = walk.after_fork(number) {
        return Ok(Forked::Caller(failed));
    }
    gate.open()?;
    // What was held back stays so: the caller ends as the program has.
    let status = wait(child, fork.relay);
    Ok(Forked::Caller(match status {
        Ok(status) => Outcome::Ended(status),
        Err(errno) => Outcome::Failed(Failed::new(walk.plan(), &Step::Fork, errno)),
    }))
}

/// Where the program waits until the caller's part is done.
struct Gate(Option<(OwnedFd, OwnedFd)>);

impl Gate {
    fn new(needed: bool) -> Result<Self, Errno> {
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        Ok(Self(needed.then(pipe).transpose()?))
    }

    /// Lets the program go on.
    fn open(self) -> Result<(), Errno> {
        match self.0 {
            Some((_, writer)) => rustix::io::write(&writer, b"g").map(drop),
            None => Ok(()),
        }
    }

    /// Waits; ends if the caller has failed.
    fn pass(self) -> Result<(), Errno> {
        let Some((reader, writer)) = self.0 else {
            return Ok(());
        };
        drop(writer);
        let mut byte = [0];
        let read = || rustix::io::read(&reader, &mut byte[..]);
        match rustix::io::retry_on_intr(read)? {
            0 => exit_now(1),
            _ => Ok(()),
        }
    }
}

fn own_pidfd() -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
}

/// Ends if the caller has died: before the kernel was asked to tell of it.
pub fn end_without(caller: &OwnedFd, signal: i32) -> Result<(), Errno> {
    let mut fds = [PollFd::new(caller, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut fds, Some(&now))?;
    if fds[0].revents().contains(PollFlags::IN) {
        exit_now(128 + signal);
    }
    Ok(())
}

/// What the caller takes itself, or holds back.
fn blocked(relay: Relay) -> SignalSet {
    let asked = SignalSet::EMPTY.with(SIGINT).with(SIGTERM);
    match relay {
        Relay::Hold => asked,
        Relay::Forward => asked.with(SIGCHLD),
        Relay::All => SignalSet::ALL,
    }
}

fn wait(child: Pid, relay: Relay) -> Result<ExitStatus, Errno> {
    if relay == Relay::Hold {
        let wait = || rustix::process::waitpid(Some(child), WaitOptions::empty());
        return match rustix::io::retry_on_intr(wait)? {
            Some((_, status)) => Ok(ExitStatus::from_raw(status.as_raw())),
            None => Err(Errno::CHILD),
        };
    }
    loop {
        let taken = signal::wait(blocked(relay), None)?;
        if taken.signal != SIGCHLD {
            pass_on(child, taken);
        } else if let Some(status) = ended(child, relay)? {
            return Ok(status);
        }
    }
}

/// What a terminal sends goes to the whole group, and the program is in it.
fn pass_on(child: Pid, taken: Taken) {
    if !taken.from_kernel {
        // One that has ended needs none.
        let _ = signal::kill(child.as_raw_nonzero().get(), taken.signal);
    }
}

/// The program's status if it has ended; stops with it if it has stopped.
fn ended(child: Pid, relay: Relay) -> Result<Option<ExitStatus>, Errno> {
    let mut options = WaitOptions::NOHANG;
    if relay == Relay::All {
        options |= WaitOptions::UNTRACED;
    }
    match rustix::process::waitpid(Some(child), options)? {
        Some((_, status)) if status.stopped() => {
            let own = rustix::process::getpid().as_raw_nonzero().get();
            signal::kill(own, SIGSTOP)?;
            // Here the caller was continued.
            let _ = signal::kill(child.as_raw_nonzero().get(), SIGCONT);
            Ok(None)
        }
        Some((_, status)) => Ok(Some(ExitStatus::from_raw(status.as_raw()))),
        None => Ok(None),
    }
}

/// Returns in the program's process; the calling one becomes its init.
pub fn fork_init() -> Result<(), Stop> {
    let report = SharedPage::<Report>::new()?;
    warren_sys::arguments::find();
    let before = signal::set_blocked(SignalSet::ALL);
    // SAFETY: as in `fork`, whose check holds: nobody has made a thread since.
    let pid = unsafe { warren_sys::fork() }?;
    let Some(program) = Pid::from_raw(pid) else {
        signal::set_blocked(before);
        return Ok(());
    };
    // SAFETY: nobody looks at the arguments of an init.
    unsafe { warren_sys::arguments::replace_arguments(c"warren-init") };
    rustix::thread::set_name(c"warren-init")?;
    // SAFETY: the init returns to no code that owns descriptors, and uses none.
    unsafe { warren_sys::close_range(0, u32::MAX) };
    init::run(program, &report, None, None)
}

impl Walk<'_> {
    fn has_steps_after(&self, number: usize) -> bool {
        let later = &self.plan().steps[number + 1..];
        later.iter().any(|(side, _)| *side != Side::Program)
    }
}
