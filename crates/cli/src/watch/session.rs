//! The full-screen view: looks, keys and signals, one after the other.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use warren_namespaces::{NamespaceSet, Snapshot};
use warren_sys::signal::{
    self, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU, SIGWINCH,
    SignalFd, SignalSet,
};

use super::app::{Action, App, Totals};
use super::history::History;
use super::keys::Keys;
use super::look::Looks;
use super::screen::Screen;
use super::{age, frame};
use crate::failure::Failure;
use crate::overview::Overview;
use crate::words::Users;
use crate::{supervise, terminal};

/// After an Escape, what has not come by then is no longer part of the key.
const KEY: Duration = Duration::from_millis(40);

/// The signals that are taken in turn, so that none leaves the terminal as it is.
const TAKEN: SignalSet = SignalSet::EMPTY
    .with(SIGCHLD)
    .with(SIGHUP)
    .with(SIGINT)
    .with(SIGQUIT)
    .with(SIGTERM)
    .with(SIGTSTP)
    // Blocked, it lets a process in the background take the terminal back.
    .with(SIGTTOU)
    .with(SIGWINCH);

/// Runs until the user quits, the looks are over or a signal ends it.
pub fn run(mut looks: Looks, kinds: NamespaceSet) -> Result<u8, Failure> {
    // The first look fails before the screen is taken.
    let first = looks.look()?;
    let before = signal::set_blocked(TAKEN);
    let session = Session::start(looks, kinds, before).map_err(no_terminal)?;
    session.run(&first)
}

fn no_terminal(error: io::Error) -> Failure {
    let error = warren_namespaces::io_error_text(&error);
    Failure::new(format!("use the terminal: {error}"))
}

struct Session {
    looks: Looks,
    users: Users,
    history: History,
    app: App,
    keys: Keys,
    screen: Screen,
    signals: SignalFd,
    /// What was blocked before, and is for a command that is started.
    blocked_before: SignalSet,
    colour: bool,
}

/// Why a turn was the last.
enum End {
    Quit,
    Signal(i32),
}

/// What there was to do.
struct Ready {
    keys: bool,
    signal: bool,
}

impl Session {
    fn start(
        looks: Looks,
        kinds: NamespaceSet,
        blocked_before: SignalSet,
    ) -> io::Result<Self> {
        // Who started us may ignore it, which is inherited: no child could be waited for.
        signal::default_action(SIGCHLD);
        Ok(Self {
            looks,
            users: Users::read(),
            history: History::default(),
            app: App::new(kinds),
            keys: Keys::default(),
            signals: SignalFd::open(TAKEN)?,
            screen: Screen::enter()?,
            blocked_before,
            colour: terminal::colour(),
        })
    }

    fn run(mut self, first: &Snapshot) -> Result<u8, Failure> {
        self.take_up(first);
        loop {
            match self.turn()? {
                None => {}
                Some(End::Quit) => return Ok(0),
                Some(End::Signal(signal)) => {
                    return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
                }
            }
        }
    }

    fn take_up(&mut self, snapshot: &Snapshot) {
        let overview = Overview::new(snapshot, NamespaceSet::ALL, &self.users);
        let proc = self.looks.proc();
        let start_of = |pid| age::start_of(proc, pid);
        let items = self.history.update(&overview, age::uptime(), start_of);
        let totals = Totals {
            namespaces: snapshot.namespaces.len(),
            processes: snapshot.processes.len(),
            unreadable: snapshot.unreadable.len(),
            every: self.looks.every(),
            reference: overview.reference,
        };
        self.app.refresh(items, totals);
    }

    /// Draws, waits for whatever comes next, and does it.
    fn turn(&mut self) -> Result<Option<End>, Failure> {
        let (app, colour) = (&mut self.app, self.colour);
        let draw = self
            .screen
            .draw(|screen| frame::draw(app, colour, screen.buffer_mut()));
        draw.map_err(no_terminal)?;
        let mut time = self.looks.rest();
        if self.keys.is_pending() {
            time = time.min(KEY);
        }
        let Ready { keys, signal } = self.ready(Some(time)).map_err(no_terminal)?;
        if signal && let Some(end) = self.signal().map_err(no_terminal)? {
            return Ok(Some(end));
        }
        if let Some(end) = self.typed(keys)? {
            return Ok(Some(end));
        }
        if self.looks.rest().is_zero() {
            if self.looks.is_over() {
                return Ok(Some(End::Quit));
            }
            let snapshot = self.looks.look()?;
            self.take_up(&snapshot);
        }
        Ok(None)
    }

    /// Waits for a key, a signal, or the time that an answer has.
    fn ready(&self, time: Option<Duration>) -> io::Result<Ready> {
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let input = stdin();
        let mut fds = [
            PollFd::from_borrowed_fd(input, PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [keys, signal] = fds.map(|fd| !fd.revents().is_empty());
        Ok(Ready { keys, signal })
    }

    fn signal(&mut self) -> io::Result<Option<End>> {
        match self.signals.take()?.signal {
            // The next drawing looks for the size by itself.
            SIGWINCH | SIGCHLD | SIGTTOU => Ok(None),
            SIGTSTP => self.suspend().map(|()| None),
            signal => Ok(Some(End::Signal(signal))),
        }
    }

    /// Reads keys, and does what they say.
    fn typed(&mut self, is_ready: bool) -> Result<Option<End>, Failure> {
        if is_ready {
            let mut buffer = [0; 256];
            match rustix::io::read(stdin(), &mut buffer) {
                // The terminal has gone.
                Ok(0) | Err(Errno::IO) => return Ok(Some(End::Quit)),
                Ok(length) => self.keys.feed(&buffer[..length]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(no_terminal(errno.into())),
            }
        }
        while let Some(key) = self.keys.next(!is_ready) {
            let end = match self.app.key(key) {
                Action::None => None,
                Action::Quit => return Ok(Some(End::Quit)),
                Action::Suspend => self.suspend().map_err(no_terminal).map(|()| None)?,
                Action::Redraw => {
                    self.screen.clear().map_err(no_terminal).map(|()| None)?
                }
                Action::Show(target) => self.command("show", &target, true)?,
                Action::Enter(target) => self.command("enter", &target, false)?,
            };
            if end.is_some() {
                return Ok(end);
            }
        }
        Ok(None)
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.screen.leave();
        supervise::stop_self();
        self.screen.again()
    }

    /// Leaves the screen to one of Warren's own commands.
    fn command(
        &mut self,
        name: &str,
        target: &str,
        has_result: bool,
    ) -> Result<Option<End>, Failure> {
        self.screen.leave();
        signal::set_blocked(self.blocked_before);
        let child = Command::new("/proc/self/exe").args([name, target]).spawn();
        signal::set_blocked(TAKEN);
        let mut child = child.map_err(|error| {
            let error = warren_namespaces::io_error_text(&error);
            Failure::new(format!("start warren {name}: {error}"))
        })?;
        let (succeeded, mut end) = self.await_child(&mut child).map_err(no_terminal)?;
        // A shell in another pid namespace cannot: our group has no number there.
        let own = rustix::process::getpgrp();
        let _ = rustix::termios::tcsetpgrp(stdin(), own);
        if end.is_none() && (has_result || !succeeded) {
            end = self.await_enter().map_err(no_terminal)?;
        }
        // What was typed too early was meant for the command.
        self.keys = Keys::default();
        self.screen.again().map_err(no_terminal)?;
        Ok(end)
    }

    /// Waits for the command's end; a signal that would end us ends it, too. Those of
    /// the terminal's keys are the command's.
    fn await_child(&self, child: &mut Child) -> io::Result<(bool, Option<End>)> {
        let mut end = None;
        loop {
            match self.signals.take()?.signal {
                SIGCHLD => {
                    if let Some(status) = child.try_wait()? {
                        return Ok((status.success(), end));
                    }
                }
                signal @ (SIGTERM | SIGHUP) => {
                    // Not reaped yet, so the number is its own.
                    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
                    let _ = signal::kill(pid, signal);
                    end = Some(End::Signal(signal));
                }
                _ => {}
            }
        }
    }

    /// Leaves what a command has said on the screen, until Enter or Ctrl-C.
    fn await_enter(&self) -> io::Result<Option<End>> {
        let mut out = io::stdout().lock();
        out.write_all(b"\n[Enter goes back to warren watch] ")?;
        out.flush()?;
        let mut byte = [0; 1];
        loop {
            let Ready { keys, signal } = self.ready(None)?;
            if signal {
                match self.signals.take()?.signal {
                    SIGWINCH | SIGCHLD | SIGTSTP | SIGTTOU => {}
                    SIGINT => return Ok(None),
                    signal => return Ok(Some(End::Signal(signal))),
                }
            }
            if keys && (rustix::io::read(stdin(), &mut byte)? == 0 || byte[0] == b'\n') {
                return Ok(None);
            }
        }
    }
}
