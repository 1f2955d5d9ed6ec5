//! The supervisor of a running command: it waits, passes signals on, and holds the
//! terminal.

use std::io;
use std::process::ExitStatus;

use warren_spawn::{Child, Error, ErrorKind, Held, Plan, Terminal, Timing};
use warren_sys::Errno;
use warren_sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU,
    SignalSet, Taken,
};

use crate::failure::Failure;
use crate::pty;

/// The signal that a command gets when its supervisor dies.
pub const KILL: i32 = SIGKILL;

/// Carries a plan out and gives the exit code of its command.
pub fn run(plan: Plan, trace: bool) -> Result<u8, Failure> {
    run_then(plan, trace, |_, code| Ok(code))
}

/// The same, and does something when the command has ended with the code that it is
/// given; what that gives is the exit code.
pub fn run_then(
    plan: Plan,
    trace: bool,
    after: impl FnOnce(&mut Child, u8) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let plan = if trace { plan.timed() } else { plan };
    attend_watched(start(plan)?, trace, None, after)
}

/// Who watches a command: the kernel tells of it by the same signal as of an end.
pub trait Watch {
    /// Begins, and returns when the program was executed or has ended.
    fn begin(&mut self, held: &Held<'_>) -> Result<(), Errno>;
    /// Handles what has happened since the last time.
    fn turn(&mut self) -> io::Result<()>;
    /// The number of the process that is watched from its program on: nobody else may
    /// wait for it.
    fn first(&self) -> u32;
    /// How that process has ended, if it has.
    fn ended(&self) -> Option<ExitStatus>;
}

/// Carries a plan out under watch, and gives the exit code of its command.
pub fn run_watched(
    plan: Plan,
    trace: bool,
    watch: &mut dyn Watch,
    after: impl FnOnce(&mut Child, u8) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let plan = if trace { plan.timed() } else { plan };
    signal::default_action(SIGCHLD);
    let own_group = plan.leaves_caller();
    let plan = plan.observed().holding_signals();
    let child = plan.launch_observed(&mut |_| Ok(()), &mut |held| watch.begin(held))?;
    let started = Started { child, own_group };
    attend_watched(started, trace, Some(watch), after)
}

/// A command that runs, and what its plan said of it.
pub struct Started {
    child: Child,
    own_group: bool,
}

/// Carries a plan out up to the start of its command.
pub fn start(plan: Plan) -> Result<Started, Error> {
    // Who started us may ignore it, which is inherited: then nothing could be waited for.
    signal::default_action(SIGCHLD);
    let own_group = plan.leaves_caller();
    let child = plan.holding_signals().launch()?;
    Ok(Started { child, own_group })
}

/// Stays with a command until its end, and gives its exit code.
pub fn attend(started: Started, trace: bool) -> Result<u8, Failure> {
    attend_watched(started, trace, None, |_, code| Ok(code))
}

fn attend_watched(
    started: Started,
    trace: bool,
    watch: Option<&mut dyn Watch>,
    after: impl FnOnce(&mut Child, u8) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let Started {
        mut child,
        own_group,
    } = started;
    let status = match child.take_terminal() {
        Some(terminal) => pty::hold(&mut child, &terminal, watch),
        None => wait(&mut child, own_group, watch),
    };
    let status = status.map_err(|error| {
        Failure::new(format!(
            "wait for the command: {}",
            warren_namespaces::io_error_text(&error)
        ))
    })?;
    if trace {
        crate::failure::print_error(&table(&child.timings()))?;
    }
    let code = after(&mut child, code(status));
    // The process ends now, and its descriptors and memory with it.
    std::mem::forget(child);
    code
}

/// A new terminal of the size of the caller's.
pub fn new_terminal() -> Terminal {
    let (rows, columns) = pty::size();
    Terminal::New { rows, columns }
}

/// The exit code by which a shell would tell of a status.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(crate::failure::OWN_FAILURE)
}

/// Waits for the end, and passes signals on meanwhile.
pub fn wait(
    child: &mut Child,
    own_group: bool,
    mut watch: Option<&mut dyn Watch>,
) -> io::Result<ExitStatus> {
    loop {
        // All have been blocked since before the child was made: its end is among them.
        let taken = signal::wait(SignalSet::ALL, None)?;
        if taken.signal != SIGCHLD {
            pass_on(child, taken, own_group);
        } else if let Some(status) = ended(child, watch.as_deref_mut())? {
            return Ok(status);
        }
    }
}

/// How the command has ended, if it has; who watches it has its turn first.
pub fn ended(
    child: &mut Child,
    watch: Option<&mut (dyn Watch + '_)>,
) -> io::Result<Option<ExitStatus>> {
    let Some(watch) = watch else {
        return child.try_wait();
    };
    watch.turn()?;
    if watch.first() != child.id() {
        return child.try_wait();
    }
    // Without an init it is the one that is traced.
    watch
        .ended()
        .map(|status| child.was_reaped(status))
        .transpose()
}

/// What a signal to the supervisor means for the command.
fn pass_on(child: &Child, taken: Taken, own_group: bool) {
    let Taken {
        signal,
        from_kernel,
    } = taken;
    // In the same process group, the command has had what the terminal sent; but not a
    // hang-up, if it has left the group.
    let had_it = from_kernel && !own_group && signal != SIGHUP;
    if !had_it {
        send(child, signal);
    }
    if matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU) {
        stop_self();
    }
}

/// Sends a signal to the command; one that has ended needs none.
pub fn send(child: &Child, signal: i32) {
    let _ = child.signal(signal);
}

/// Stops like any job, until the shell continues it.
pub fn stop_self() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let _ = signal::kill(own, SIGSTOP);
}

/// Continues what [`stop_self`] stopped with.
pub fn continue_child(child: &Child) {
    send(child, SIGCONT);
}

/// When each step began and how long it took.
fn table(timings: &[Timing]) -> String {
    let mut text = String::from("     at ms   took ms  side     step\n");
    for Timing {
        step,
        side,
        at,
        took,
    } in timings
    {
        let ms = |time: &std::time::Duration| time.as_secs_f64() * 1000.0;
        text.push_str(&format!(
            "{:10.3}{:10.3}  {side:8} {step}\n",
            ms(at),
            ms(took)
        ));
    }
    text
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::NotFound => 127,
            ErrorKind::NotExecutable => 126,
            ErrorKind::Spec | ErrorKind::Step | ErrorKind::Cgroup => {
                crate::failure::OWN_FAILURE
            }
        };
        let failure = Self::new(&error).code(code);
        error
            .hints()
            .iter()
            .fold(failure, |failure, hint| failure.hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_status_becomes_the_code_of_a_shell() {
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(15)), 143);
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
    }
}
