//! The engine: every system call of a program and of all that it starts, by ptrace(2).
//!
//! Nothing else is complete. A seccomp listener sees no result, fanotify no call that
//! failed, and neither sees what it was not told to look for. The tracer is outside of the
//! run's namespaces and owns them, so that it may trace whatever is inside. What is
//! traced is confined all the same: the filter of the run is asked after the tracer was
//! (since Linux 4.8), and a tracer that dies takes the run along.
//!
//! The tracees are of one thread, which is that of [`Tracer::begin`]; it has to call
//! [`Tracer::attend`] after each `SIGCHLD`.

use std::collections::HashMap;

use warren_confine::seccomp::Architecture;
use warren_namespaces::ProcRoot;
use warren_spawn::Held;
use warren_sys::ptrace::{self, Change, SyscallStop, TraceOptions};
use warren_sys::{Errno, Result, signal};

use crate::decode::{self, Caller};
use crate::event::{Contact, Event, Name};
use crate::names::{self, Names};
use crate::observed::Observed;
use crate::paths::Paths;
use crate::wants::{Use, Wants};

const OPTIONS: TraceOptions = TraceOptions::SYSCALLS_MARKED
    .union(TraceOptions::FORK)
    .union(TraceOptions::VFORK)
    .union(TraceOptions::CLONE)
    .union(TraceOptions::EXEC)
    .union(TraceOptions::KILL_WITH_TRACER);

/// Watches one run.
#[derive(Debug)]
pub struct Tracer {
    names: Names,
    paths: Paths,
    observed: Observed,
    threads: HashMap<i32, Thread>,
    /// The process that the program began in.
    first: i32,
    /// Whether the program was executed.
    executed: bool,
    /// How the first process ended.
    ended: Option<i32>,
}

/// What a thread is at.
#[derive(Debug, Default)]
struct Thread {
    /// The call that it is in.
    entered: Option<Entered>,
    /// The call that it has come from, if that looks as one does for which a filter kills:
    /// its own number as the result. What comes next tells.
    doubtful: Option<Event>,
}

/// A call that has not returned.
#[derive(Debug)]
struct Entered {
    name: Name,
    number: u64,
    arguments: [u64; 6],
    uses: Vec<Use>,
    contact: Option<Contact>,
}

impl Tracer {
    /// For a run that has not begun.
    #[must_use]
    pub fn new(proc: ProcRoot) -> Self {
        Self {
            names: Names::new(),
            paths: Paths::new(proc),
            observed: Observed::default(),
            threads: HashMap::new(),
            first: 0,
            executed: false,
            ended: None,
        }
    }

    /// Begins to watch a process that is held, and returns when it has executed its
    /// program or has ended.
    ///
    /// # Errors
    /// Whatever ptrace(2) answers; the process is gone then.
    pub fn begin(&mut self, held: &Held<'_>) -> Result<()> {
        self.first = held.pid();
        ptrace::seize(self.first, OPTIONS)?;
        let begun = self.up_to_the_program(held);
        if begun.is_err() {
            self.give_up();
        }
        begun
    }

    fn up_to_the_program(&mut self, held: &Held<'_>) -> Result<()> {
        self.paths.take_root(self.first)?;
        // Stopped, it can be told to stop at calls; it does so while it waits.
        ptrace::interrupt(self.first)?;
        let stopped = ptrace::await_change(self.first)?;
        held.release()?;
        self.change(stopped)?;
        while !self.executed && self.ended.is_none() {
            let change = ptrace::await_change(self.first)?;
            self.change(change)?;
        }
        Ok(())
    }

    /// Kills the first process, which alone is traced, and takes its status: its own
    /// parent could not, before.
    fn give_up(&mut self) {
        // It is not reaped yet, so the number is its own.
        let _ = signal::kill(self.first, signal::SIGKILL);
        while self.ended.is_none() {
            match ptrace::await_change(self.first) {
                Ok(change) => {
                    // A stop before the death is of no interest.
                    let _ = self.change(change);
                }
                Err(_) => return,
            }
        }
    }

    /// Handles all that has happened since the last time. It waits for nothing.
    ///
    /// # Errors
    /// Whatever ptrace(2) answers.
    pub fn attend(&mut self) -> Result<()> {
        loop {
            match ptrace::next_change() {
                Ok(Some(change)) => self.change(change)?,
                // Nothing is left to trace.
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The wait status of the process that the program began in, once it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<i32> {
        self.ended
    }

    /// The number of that process.
    #[must_use]
    pub fn first(&self) -> i32 {
        self.first
    }

    /// What has been seen so far.
    pub fn observed(&mut self) -> &mut Observed {
        &mut self.observed
    }

    /// Handles one change of one thread, and lets it go on.
    fn change(&mut self, Change { tid, status }: Change) -> Result<()> {
        const STOPPED: i32 = 0x7f;
        /// The signal of a filter that kills.
        const SIGSYS: i32 = 31;
        if status & 0xff != STOPPED {
            let thread = self.threads.remove(&tid).unwrap_or_default();
            self.last_call(thread, status & 0x7f == SIGSYS);
            if tid == self.first {
                self.ended = Some(status);
            }
            return Ok(());
        }
        let gone_on = self.stop(tid, status >> 8 & 0xff, status >> 16);
        match gone_on {
            // It was killed; its end comes.
            Err(Errno::SRCH) => Ok(()),
            result => result,
        }
    }

    fn stop(&mut self, tid: i32, signal: i32, event: i32) -> Result<()> {
        const TRAP: i32 = 5;
        const AT_SYSCALL: i32 = TRAP | 0x80;
        // linux/ptrace.h.
        const EVENT_EXEC: i32 = 4;
        const EVENT_STOP: i32 = 128;
        match (event, signal) {
            (0, AT_SYSCALL) => {
                self.syscall(tid)?;
                ptrace::go_on(tid, 0)
            }
            // On its way to the thread, which gets it now.
            (0, signal) => ptrace::go_on(tid, signal),
            (EVENT_EXEC, _) => {
                self.exec(tid)?;
                ptrace::go_on(tid, 0)
            }
            // A new thread, or one that is continued.
            (EVENT_STOP, TRAP) => ptrace::go_on(tid, 0),
            // Stopped by its terminal or a SIGSTOP: its parent sees it stopped, until
            // a SIGCONT.
            (EVENT_STOP, _) => ptrace::stay_stopped(tid),
            // It has made another, which has a stop of its own.
            (_, _) => ptrace::go_on(tid, 0),
        }
    }

    /// A thread has become a program, under the number of its process.
    fn exec(&mut self, tid: i32) -> Result<()> {
        let former = ptrace::event_message(tid)? as i32;
        let thread = self.threads.remove(&former).unwrap_or_default();
        self.threads.insert(tid, thread);
        if !self.executed {
            self.executed = true;
            // From the outside it was that of the host a moment before.
            self.paths.take_root(tid)?;
        }
        for path in decode::mapped(&self.paths, tid) {
            let wants = Wants::READ | Wants::EXECUTE;
            self.observed.note_use(&Use {
                path,
                existed: true,
                wants,
            });
        }
        Ok(())
    }

    fn syscall(&mut self, tid: i32) -> Result<()> {
        match ptrace::syscall_stop(tid)? {
            SyscallStop::Entry {
                architecture,
                number,
                arguments,
            } => {
                let entered = self.enter(tid, architecture, number, arguments);
                if self.executed {
                    // Now, since some never return.
                    self.observed.note_begin(&entered.name, &entered.arguments);
                }
                let thread = self.threads.entry(tid).or_default();
                if let Some(event) = thread.doubtful.take() {
                    self.observed.note(event);
                }
                thread.entered = Some(entered);
            }
            SyscallStop::Exit { result } => self.exit(tid, result),
            SyscallStop::None => {}
        }
        Ok(())
    }

    fn enter(
        &mut self,
        tid: i32,
        architecture: u32,
        number: u64,
        arguments: [u64; 6],
    ) -> Entered {
        let native = architecture == Architecture::NATIVE.audit();
        let name = self.names.name(number).filter(|_| native);
        let shape = self.names.shape(number).filter(|_| native);
        let mut caller = Caller {
            tid,
            arguments: &arguments,
            paths: &mut self.paths,
        };
        let uses = shape.map(|shape| caller.uses(shape));
        let contact = shape.and_then(|shape| caller.contact(shape));
        let name = match name {
            Some(name) => Name::Native(name),
            None => Name::Foreign(names::foreign(architecture, number)),
        };
        Entered {
            name,
            number,
            arguments,
            uses: uses.unwrap_or_default(),
            contact,
        }
    }

    fn exit(&mut self, tid: i32, result: std::result::Result<i64, Errno>) {
        /// Calls after which a path may mean another file than before.
        const MOVES_ROOTS: [&str; 7] = [
            "chroot",
            "mount",
            "move_mount",
            "pivot_root",
            "setns",
            "umount2",
            "unshare",
        ];
        let thread = self.threads.entry(tid).or_default();
        let Some(entered) = thread.entered.take() else {
            return;
        };
        // What comes before the program is the run's own.
        if !self.executed {
            return;
        }
        if let Name::Native(name) = entered.name
            && result.is_ok()
            && MOVES_ROOTS.contains(&name)
        {
            self.paths.roots_differ();
        }
        let event = entered.returned(result);
        match event.result == Ok(event.number as i64) {
            true => thread.doubtful = Some(event),
            false => self.observed.note(event),
        }
    }

    /// Takes the last call of a thread that has ended, perhaps by a filter.
    fn last_call(&mut self, thread: Thread, killed: bool) {
        let unreturned = thread.entered.map(|entered| entered.returned(Ok(0)));
        match (unreturned, thread.doubtful) {
            (Some(event), _) | (None, Some(event)) if killed => {
                self.observed.note_killed(event);
            }
            (_, Some(event)) => self.observed.note(event),
            _ => {}
        }
    }
}

impl Entered {
    fn returned(self, result: std::result::Result<i64, Errno>) -> Event {
        Event {
            name: self.name,
            number: self.number,
            arguments: self.arguments,
            uses: self.uses,
            contact: self.contact,
            result,
        }
    }
}
