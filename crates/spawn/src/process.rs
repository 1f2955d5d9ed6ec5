//! A launched process, as its parent holds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::futex;
use warren_cgroups::{Cgroup, Stat};
use warren_namespaces::IdMap;
use warren_sys::signal::SignalSet;
use warren_sys::{Errno, SharedPage, Usage};

use crate::Plan;
use crate::ids::Reservation;
use crate::launch::Sent;
use crate::report::{COUNTABLE, COUNTED, Report, Timing};
use crate::step::{MapLines, Step};

/// A running program in its namespaces.
///
/// Like [`std::process::Child`] it keeps running when the value is dropped, and is a
/// zombie after its end until it is waited for.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
    report: SharedPage<Report>,
    plan: Plan,
    terminal: Option<TerminalEnd>,
    layers: Option<OwnedFd>,
    /// Its end tells that the program has ended, where the init is there still.
    program_ended: Option<OwnedFd>,
    status: Option<ExitStatus>,
    usage: Option<Usage>,
    /// Nobody else gets the ids as long as the process may use them.
    reservation: Option<Reservation>,
    group: Option<OwnGroup>,
    /// Our end of the standard input, if it was piped.
    pub stdin: Option<OwnedFd>,
    /// Our end of the standard output, if it was piped.
    pub stdout: Option<OwnedFd>,
    /// Our end of the standard error, if it was piped.
    pub stderr: Option<OwnedFd>,
}

/// The other end of a program's terminal.
#[derive(Debug)]
pub struct TerminalEnd {
    /// What is written here is typed; what is read from here is shown.
    pub master: OwnedFd,
    /// Where the init says that the terminal has stopped the program: see [`Event`].
    pub events: OwnedFd,
}

/// What the init of a program with a terminal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program was stopped, as by Ctrl-Z. `SIGCONT` through [`Child::kill`] lets it
    /// go on.
    Stopped,
    /// The init is gone.
    Ended,
}

/// What a program that has ended left: see [`Command::output`](crate::Command::output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl TerminalEnd {
    /// Takes the next event; waits for it.
    ///
    /// # Errors
    /// Whatever read(2) answers.
    pub fn event(&self) -> io::Result<Event> {
        let mut byte = [0];
        match rustix::io::read(&self.events, &mut byte)? {
            0 => Ok(Event::Ended),
            _ => Ok(Event::Stopped),
        }
    }
}

impl Child {
    pub(crate) fn new(
        pid: i32,
        pidfd: OwnedFd,
        report: SharedPage<Report>,
        plan: Plan,
        sent: Sent,
        program_ended: Option<OwnedFd>,
        reservation: Option<Reservation>,
    ) -> Self {
        Self {
            pid,
            pidfd,
            report,
            plan,
            terminal: sent.terminal,
            layers: sent.layers,
            program_ended,
            status: None,
            usage: None,
            reservation,
            group: None,
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    /// The same child, which owns this control group; it stays if the flag says so.
    pub(crate) fn in_group(mut self, group: Option<(Cgroup, bool)>) -> Self {
        self.group = group.map(|(cgroup, keeps)| OwnGroup {
            cgroup,
            keeps,
            used: None,
            end: None,
        });
        self
    }

    /// The control group that was made for it, if one was.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.group.as_ref().map(|group| &group.cgroup)
    }

    /// What its control group had used, once it was waited for. What was left in the group
    /// was killed then, and the group removed, unless its Spec keeps it; nothing is counted
    /// of one that is kept for a program that outlives the caller.
    #[must_use]
    pub fn cgroup_end(&self) -> Option<&GroupEnd> {
        self.group.as_ref()?.end.as_ref()
    }

    /// The pid of the process that was created, in the caller's pid namespace: the init
    /// where there is one.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid as u32
    }

    /// A pidfd of that process: readable when it has ended, pidfd_open(2).
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The other end of the program's terminal, as long as nobody has taken it.
    #[must_use]
    pub fn terminal(&self) -> Option<&TerminalEnd> {
        self.terminal.as_ref()
    }

    /// Takes the other end of the program's terminal, if it got one of its own.
    pub fn take_terminal(&mut self) -> Option<TerminalEnd> {
        self.terminal.take()
    }

    /// Takes the filesystem in memory with the layers of the process's overlays, as
    /// [`Plan::layers`] numbers them, if its Spec keeps them. It is opened with `O_PATH`
    /// and stays until the descriptor is closed.
    pub fn take_layers(&mut self) -> Option<OwnedFd> {
        self.layers.take()
    }

    /// The lines of uid_map and of gid_map that a parent wrote or had written, with the
    /// ids of a reserved block in them; `None` where the ids are the caller's.
    #[must_use]
    pub fn id_maps(&self) -> Option<[Vec<IdMap>; 2]> {
        let maps = self.plan.steps().iter().find_map(|step| match step {
            Step::WriteMaps { maps } => Some(&maps.lines),
            _ => None,
        });
        match maps? {
            MapLines::Known { uids, gids } => Some([uids.clone(), gids.clone()]),
            MapLines::FreeBlock => {
                let block = self.reservation.as_ref()?.map();
                Some([vec![block], vec![block]])
            }
        }
    }

    /// Sends a signal, through the pidfd: it cannot reach another process. An init passes
    /// every signal on to the program, but `SIGKILL`, which ends them all.
    ///
    /// # Errors
    /// `ESRCH` where it has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(Errno::INVAL)?;
        Ok(rustix::process::pidfd_send_signal(&self.pidfd, signal)?)
    }

    /// Lets a [holder](crate::Role::Holder) outlive the calling process: to be called
    /// once it is noted somewhere where the holder can be found.
    ///
    /// # Errors
    /// `ESRCH` where it has been killed, `ETIMEDOUT` where it does not answer.
    pub fn stay(&self) -> io::Result<()> {
        Ok(crate::holder::let_stay(&self.report, self.pidfd())?)
    }

    /// Kills the program and all that it has started.
    ///
    /// # Errors
    /// None if it has ended already.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        self.signal(Signal::KILL.as_raw())
    }

    /// Waits until the program has ended, and says how. Standard input is closed first,
    /// as [`std::process::Child::wait`] does.
    ///
    /// # Errors
    /// Whatever wait4(2) answers, here or to the init.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        if let Some(status) = self.status {
            return Ok(status);
        }
        if let Some(status) = self.await_program()? {
            return Ok(status);
        }
        match warren_sys::wait4(self.pid, true)? {
            Some((status, usage)) => self.ended(status, Some(usage)),
            // Not without WNOHANG.
            None => Err(Errno::AGAIN.into()),
        }
    }

    /// Waits for the program alone, where the init outlives it; `None` where the init's end
    /// is to be waited for.
    fn await_program(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(ended) = &self.program_ended else {
            return Ok(None);
        };
        rustix::io::retry_on_intr(|| rustix::io::read(ended, &mut [0]))?;
        if !self.plan.lingers {
            self.count_before_end()?;
            return Ok(None);
        }
        self.status = self.report.ended().map(ExitStatus::from_raw);
        Ok(self.status)
    }

    /// Says how the program has ended, if it has.
    ///
    /// # Errors
    /// Whatever wait4(2) answers.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        self.count_before_end()?;
        let found = warren_sys::wait4(self.pid, false)?;
        found
            .map(|(status, usage)| self.ended(status, Some(usage)))
            .transpose()
    }

    /// Reads what the control group has used, if the init waits for that, and lets it go.
    fn count_before_end(&mut self) -> io::Result<()> {
        let counted = self.report.counted();
        if counted.load(Ordering::Acquire) != COUNTABLE {
            return Ok(());
        }
        if let Some(group) = &mut self.group {
            group.count();
        }
        counted.store(COUNTED, Ordering::Release);
        futex::wake(counted, futex::Flags::empty(), 1)?;
        Ok(())
    }

    /// Takes note that somebody else has waited for the process, as who traces it may
    /// have to, and got this status.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn was_reaped(&mut self, status: ExitStatus) -> io::Result<ExitStatus> {
        self.ended(status.into_raw(), None)
    }

    /// What the program and all that it has started used, once it was waited for; `None`
    /// where its init was killed, and has waited for nobody, or where
    /// [`was_reaped`](Self::was_reaped) told of its end.
    ///
    /// With an init that is all of the tree but for processes whose parent ignored `SIGCHLD`;
    /// without, what the program itself waited for.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The program's own status where an init has told it, which cannot die of a signal
    /// itself; else that of the process.
    fn ended(&mut self, status: i32, usage: Option<Usage>) -> io::Result<ExitStatus> {
        let told = self.plan.has_init.then(|| self.report.ended()).flatten();
        let status = ExitStatus::from_raw(told.unwrap_or(status));
        self.status = Some(status);
        if let Some(group) = &mut self.group
            && !(group.keeps && self.plan.outlives_caller())
        {
            group.end();
        }
        // An init that was killed has waited for nobody.
        let is_whole = told.is_some() || !self.plan.has_init;
        self.usage = usage.filter(|_| is_whole);
        match self.report.failure() {
            // Nothing else fails once the program was executed.
            Some((errno, _)) if told.is_none() => Err(errno.into()),
            _ => Ok(status),
        }
    }

    /// How long each step of the launch took, if its plan was [timed](Plan::timed).
    #[must_use]
    pub fn timings(&self) -> Vec<Timing> {
        let began = |number| self.report.began(number);
        let steps = self.plan.steps().iter().enumerate();
        let begun: Vec<_> = steps
            .filter_map(|(number, step)| Some((step, began(number)?)))
            .collect();
        let first = begun.iter().map(|(_, at)| *at).min().unwrap_or_default();
        let end = begun.iter().map(|(_, at)| *at).max().unwrap_or_default();
        let timing = |position: usize| {
            let (step, at) = begun[position];
            // A side's step ends where that side's next one begins; payload follows child.
            let is_parent = step.side() == crate::Side::Parent;
            let next = begun[position + 1..]
                .iter()
                .find(|(next, _)| (next.side() == crate::Side::Parent) == is_parent)
                .map_or(end, |(_, at)| *at);
            Timing {
                step: step.to_string(),
                side: step.side(),
                at: at - first,
                took: next.checked_sub(at).unwrap_or(Duration::ZERO),
            }
        };
        (0..begun.len()).map(timing).collect()
    }
}

impl Plan {
    /// The child that somebody else has made as the plan says, as criu(8) brings one back:
    /// a process without an init, with the other end of its terminal if it has one.
    ///
    /// # Errors
    /// `ENOMEM`, `EMFILE`.
    pub fn adopt(
        self,
        pid: u32,
        pidfd: OwnedFd,
        terminal: Option<OwnedFd>,
    ) -> io::Result<Child> {
        if self.hold_signals {
            warren_sys::signal::set_blocked(SignalSet::ALL);
        }
        let end = |master| {
            // Nobody tells of stops: its end is all that there is to hear.
            let flags = rustix::pipe::PipeFlags::CLOEXEC;
            let (events, _) = rustix::pipe::pipe_with(flags)?;
            Ok::<_, Errno>(TerminalEnd { master, events })
        };
        let sent = Sent {
            terminal: terminal.map(end).transpose()?,
            layers: None,
        };
        let report = SharedPage::new()?;
        Ok(Child::new(
            pid as i32, pidfd, report, self, sent, None, None,
        ))
    }
}

/// A control group of a process's own.
#[derive(Debug)]
struct OwnGroup {
    cgroup: Cgroup,
    keeps: bool,
    /// What it had used when the program had ended and its init was in it still.
    used: Option<Stat>,
    end: Option<GroupEnd>,
}

/// What a control group was when the process had ended.
#[derive(Clone, Debug)]
pub struct GroupEnd {
    /// What it had used.
    pub stat: Stat,
    /// Why it could not be removed, if it could not.
    pub left: Option<warren_cgroups::Error>,
}

impl OwnGroup {
    fn count(&mut self) {
        self.used = Some(self.cgroup.stat());
    }

    /// Counts first: systemd removes a scope that is empty by itself.
    fn end(&mut self) {
        let stat = self.used.take().unwrap_or_else(|| self.cgroup.stat());
        let removed = if self.keeps {
            Ok(())
        } else {
            self.cgroup.clear()
        };
        self.end = Some(GroupEnd {
            stat,
            left: removed.err(),
        });
    }
}

/// Waits for a child that nobody else reaps: its pid stays its own until then.
pub fn reap(pid: i32) -> Result<i32, Errno> {
    loop {
        match rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.as_raw()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
