//! The supervisor of a running command: it waits, passes signals on, and holds the
//! terminal.

use std::process::ExitStatus;

use warren_spawn::{Child, Error, ErrorKind, Plan, Terminal, Timing};
use warren_sys::signal::{self, SignalSet, Taken};

use crate::failure::Failure;
use crate::pty;

/// The signal that a command gets when its supervisor dies: `SIGKILL`.
pub const KILL: i32 = 9;

const SIGHUP: i32 = 1;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGTSTP: i32 = 20;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// Carries a plan out and gives the exit code of its command.
pub fn run(plan: Plan, trace: bool) -> Result<u8, Failure> {
    let plan = if trace { plan.timed() } else { plan };
    let mut child = plan.launch()?;
    let status = match child.take_terminal() {
        Some(terminal) => pty::hold(&mut child, &terminal),
        None => wait(&mut child),
    };
    let status =
        status.map_err(|error| Failure::new(format!("wait for the command: {error}")))?;
    if trace {
        crate::failure::print_error(&table(&child.timings()))?;
    }
    // The process ends now, and its descriptors and memory with it.
    std::mem::forget(child);
    Ok(code(status))
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
fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    signal::set_blocked(SignalSet::ALL);
    loop {
        // Before each wait: what ended before the signals were blocked sends no more.
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let taken = signal::wait(SignalSet::ALL, None)?;
        pass_on(child, taken);
    }
}

/// What a signal to the supervisor means for the command, which shares its terminal and
/// its process group, so that what the terminal sends reaches both.
fn pass_on(child: &Child, taken: Taken) {
    match taken {
        Taken {
            signal: SIGCHLD, ..
        } => {}
        // The command may have left the group: a hang-up is for it all the same.
        Taken { signal: SIGHUP, .. } => send(child, SIGHUP),
        Taken {
            signal: SIGTSTP | SIGTTIN | SIGTTOU,
            from_kernel,
        } => {
            if !from_kernel {
                send(child, taken.signal);
            }
            stop_self();
        }
        Taken {
            from_kernel: true, ..
        } => {}
        Taken { signal, .. } => send(child, signal),
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
            ErrorKind::Spec | ErrorKind::Step => crate::failure::OWN_FAILURE,
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
