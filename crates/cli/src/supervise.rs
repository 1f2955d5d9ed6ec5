//! The supervisor of a running command: it waits, passes signals on, and holds the
//! terminal.

mod deadlines;

use std::io;
use std::mem::ManuallyDrop;
use std::process::ExitStatus;
use std::time::Duration;

use warren_spawn::{Child, Error, ErrorKind, Held, Plan, Terminal, Timing, Usage};
use warren_sys::Errno;
use warren_sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU,
    SignalSet, Taken,
};

pub use deadlines::{Deadlines, GRACE, Over, TimeLimits};

use crate::failure::Failure;
use crate::pty;

/// The signal that a command gets when its supervisor dies.
pub const KILL: i32 = SIGKILL;

/// Carries a plan out and gives the exit code of its command.
pub fn run(plan: Plan, trace: bool) -> Result<u8, Failure> {
    let care = Care {
        trace,
        ..Care::default()
    };
    run_with(plan, care).map(|(ended, _)| ended.code())
}

/// What is to be looked after while a command runs.
#[derive(Default)]
pub struct Care<'a> {
    /// Says how long each step of the plan took.
    pub trace: bool,
    /// How long the command may take.
    pub limits: TimeLimits,
    /// Who watches it.
    pub watch: Option<&'a mut dyn Watch>,
    /// Who is told of the process when its namespaces are there.
    pub announce: Option<Announce<'a>>,
}

/// Is called with the number of a process that has namespaces and no program yet.
pub type Announce<'a> = &'a mut dyn FnMut(u32) -> Result<(), Error>;

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

/// Carries a plan out, to the end of its command. One that is watched must be
/// [observed](Plan::observed).
pub fn run_with(plan: Plan, mut care: Care<'_>) -> Result<(Ended, Remains), Failure> {
    let plan = if care.trace { plan.timed() } else { plan };
    let mut nobody = |_| Ok(());
    let announce = care.announce.take().unwrap_or(&mut nobody);
    let started = match &mut care.watch {
        None => start_announced(plan, announce)?,
        Some(watch) => {
            signal::default_action(SIGCHLD);
            let own_group = plan.leaves_caller();
            let plan = plan.holding_signals();
            let child = plan.launch_observed(announce, &mut |held| watch.begin(held))?;
            Started { child, own_group }
        }
    };
    attend_with(started, care)
}

/// A command that runs, and what its plan said of it.
pub struct Started {
    child: Child,
    own_group: bool,
}

impl Started {
    /// One of a plan that was carried out [holding signals](Plan::holding_signals), in a
    /// session of its own.
    pub fn in_own_session(child: Child) -> Self {
        let own_group = true;
        Self { child, own_group }
    }
}

/// Carries a plan out up to the start of its command.
pub fn start(plan: Plan) -> Result<Started, Error> {
    start_announced(plan, &mut |_| Ok(()))
}

fn start_announced(plan: Plan, announce: Announce<'_>) -> Result<Started, Error> {
    // Who started us may ignore it, which is inherited: then nothing could be waited for.
    signal::default_action(SIGCHLD);
    let own_group = plan.leaves_caller();
    let child = plan.holding_signals().launch_announced(announce)?;
    Ok(Started { child, own_group })
}

/// Stays with a command until its end, and gives its exit code.
pub fn attend(started: Started) -> Result<u8, Failure> {
    attend_with(started, Care::default()).map(|(ended, _)| ended.code())
}

/// What is left of a command that has ended. Not dropped: the process ends soon, and its
/// descriptors and memory with it.
pub type Remains = ManuallyDrop<Child>;

/// How a command ended, and what it took.
pub struct Ended {
    pub status: ExitStatus,
    pub usage: Option<Usage>,
    pub wall: Duration,
    /// The limit that it had reached.
    pub over: Option<Over>,
    /// How many processes of its control group, if it has one of its own, were killed for
    /// want of memory.
    pub oom_kills: Option<u64>,
}

impl Ended {
    /// Whether somebody else than its limits on time killed it.
    pub fn was_killed(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.status.signal() == Some(SIGKILL) && self.over.is_none()
    }

    /// The exit code of the whole run; of one that took too long, that of timeout(1).
    pub fn code(&self) -> u8 {
        const TIMED_OUT: u8 = 124;
        match self.over {
            Some(_) => TIMED_OUT,
            None => code(self.status),
        }
    }
}

/// Stays with a command until its end, which comes at a limit at the latest.
fn attend_with(started: Started, care: Care<'_>) -> Result<(Ended, Remains), Failure> {
    let Started {
        mut child,
        own_group,
    } = started;
    let mut vigil = Vigil {
        deadlines: Deadlines::new(&care.limits),
        watch: care.watch,
    };
    let status = match child.take_terminal() {
        Some(terminal) => pty::hold(&mut child, &terminal, &mut vigil),
        None => wait(&mut child, own_group, &mut vigil),
    };
    let status = status.map_err(|error| {
        Failure::new(format!(
            "wait for the command: {}",
            warren_namespaces::io_error_text(&error)
        ))
    })?;
    if care.trace {
        crate::failure::print_error(&table(&child.timings()))?;
    }
    let ended = Ended {
        status,
        usage: child.usage(),
        wall: vigil.deadlines.elapsed(),
        over: vigil.deadlines.over(),
        oom_kills: child.cgroup_end().and_then(|end| end.stat.oom_kills),
    };
    Ok((ended, ManuallyDrop::new(child)))
}

/// What is looked after while a command runs, beside its signals and its terminal.
pub struct Vigil<'a> {
    pub deadlines: Deadlines,
    watch: Option<&'a mut dyn Watch>,
}

impl Vigil<'_> {
    /// Some child has changed: who watches has its turn.
    pub fn turn(&mut self) -> io::Result<()> {
        self.watch.as_mut().map_or(Ok(()), |watch| watch.turn())
    }

    /// How the command has ended, if it has; who watches it has its turn first.
    pub fn ended(&mut self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        self.turn()?;
        match &self.watch {
            // Without an init it is the one that is traced.
            Some(watch) if watch.first() == child.id() => watch
                .ended()
                .map(|status| child.was_reaped(status))
                .transpose(),
            _ => child.try_wait(),
        }
    }
}

/// A new terminal of the size of the caller's.
pub fn new_terminal() -> Terminal {
    let (rows, columns) = pty::size();
    Terminal::New { rows, columns }
}

/// The exit code by which a shell would tell of a status.
pub fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(crate::failure::OWN_FAILURE)
}

/// Waits for the end, and passes signals on meanwhile.
pub fn wait(
    child: &mut Child,
    own_group: bool,
    vigil: &mut Vigil<'_>,
) -> io::Result<ExitStatus> {
    loop {
        // All have been blocked since before the child was made: its end is among them.
        match signal::wait(SignalSet::ALL, vigil.deadlines.pause()) {
            Ok(taken) if taken.signal != SIGCHLD => pass_on(child, taken, own_group),
            Ok(_) => {
                if let Some(status) = vigil.ended(child)? {
                    return Ok(status);
                }
            }
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        vigil.deadlines.look(child);
    }
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
        let failure = Self::new(&error)
            .code(code)
            .step(error.doing(), error.raw_os_error());
        failure.with_hints(error.hints())
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
