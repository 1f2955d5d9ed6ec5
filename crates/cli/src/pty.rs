//! Between the caller's terminal and the command's own.
//!
//! The caller's terminal is put in raw mode, and bytes are carried both ways: Ctrl-C
//! and Ctrl-Z reach the line discipline of the command's terminal, which knows its
//! processes. Nothing inside holds a descriptor of the caller's terminal, so nothing
//! inside can push characters into it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use warren_spawn::{Child, Event};
use warren_sys::signal::{SIGCHLD, SIGWINCH, SignalFd, SignalSet};

use crate::supervise::{self, Vigil};

/// What a terminal's line discipline takes for the end of input: Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// Rows and columns of the caller's terminal; those of a classic one if it has none.
pub fn size() -> (u16, u16) {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// Whether any standard stream is a terminal, so that its job control concerns us.
pub fn is_at_terminal() -> bool {
    isatty(stdin()) || isatty(stdout()) || isatty(stderr())
}

/// Carries bytes, sizes, stops and signals until the command has ended.
pub fn hold(
    child: &mut Child,
    terminal: &warren_spawn::TerminalEnd,
    vigil: &mut Vigil<'_>,
) -> io::Result<ExitStatus> {
    let signals = SignalFd::open(SignalSet::ALL)?;
    rustix::io::ioctl_fionbio(&terminal.master, true)?;
    let raw = Raw::enter();
    let mut relay = Relay {
        child,
        terminal,
        signals,
        vigil,
        raw,
        typed: Flow::new(),
        shown: Flow::new(),
        events: true,
    };
    // The size may have changed between the plan and now.
    relay.resize();
    while relay.turn()? {}
    drop(relay);
    // It may have ended while its output was shown, or go on without its terminal, or
    // still be traced.
    match vigil.ended(child)? {
        Some(status) => Ok(status),
        None => supervise::wait(child, true, vigil),
    }
}

/// The caller's terminal in raw mode; restored when dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let raw = Self(if isatty(stdin()) {
            tcgetattr(stdin()).ok()
        } else {
            None
        });
        raw.again();
        raw
    }

    fn again(&self) {
        if let Some(cooked) = &self.0 {
            let mut raw = cooked.clone();
            raw.make_raw();
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &raw);
        }
    }

    fn leave(&self) {
        if let Some(cooked) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, cooked);
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Bytes on their way in one direction.
struct Flow {
    waiting: Vec<u8>,
    /// Whether the reading side has not ended.
    open: bool,
}

impl Flow {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            open: true,
        }
    }

    /// Whether more shall be read: not before what waits has gone.
    fn wants_input(&self) -> bool {
        self.open && self.waiting.is_empty()
    }

    fn read(&mut self, from: BorrowedFd<'_>) {
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(from, &mut buffer) {
            Ok(0) => self.open = false,
            Ok(length) => self.waiting.extend_from_slice(&buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO of a master: nobody has the terminal open any more.
            Err(_) => self.open = false,
        }
    }

    fn write(&mut self, to: BorrowedFd<'_>) {
        match rustix::io::write(to, &self.waiting) {
            Ok(length) => drop(self.waiting.drain(..length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads any more: what waits is lost, as in a broken pipe.
            Err(_) => self.waiting.clear(),
        }
    }
}

struct Relay<'a, 'w> {
    child: &'a mut Child,
    terminal: &'a warren_spawn::TerminalEnd,
    signals: SignalFd,
    vigil: &'a mut Vigil<'w>,
    raw: Raw,
    typed: Flow,
    shown: Flow,
    /// Whether the init may still tell something.
    events: bool,
}

impl Relay<'_, '_> {
    /// Waits for whatever comes and handles it; false when all output has been shown.
    fn turn(&mut self) -> io::Result<bool> {
        let [keyboard, master, screen, signals, events] = self.ready()?;
        self.vigil.deadlines.look(self.child);
        if signals {
            self.signal()?;
        }
        if events {
            self.event()?;
        }
        if keyboard {
            self.typed.read(stdin());
            if !self.typed.open {
                self.typed.waiting.push(END_OF_INPUT);
            }
        }
        if master {
            if self.shown.wants_input() {
                self.shown.read(self.terminal.master.as_fd());
            }
            if !self.typed.waiting.is_empty() {
                self.typed.write(self.terminal.master.as_fd());
            }
        }
        if screen {
            self.shown.write(stdout());
        }
        Ok(self.shown.open || !self.shown.waiting.is_empty())
    }

    /// Waits until something is ready: keyboard, master, screen, signals, events.
    fn ready(&self) -> io::Result<[bool; 5]> {
        let when =
            |yes: bool, flags: PollFlags| if yes { flags } else { PollFlags::empty() };
        let master = when(self.shown.wants_input(), PollFlags::IN)
            | when(!self.typed.waiting.is_empty(), PollFlags::OUT);
        let keyboard = when(self.typed.wants_input(), PollFlags::IN);
        let screen = when(!self.shown.waiting.is_empty(), PollFlags::OUT);
        let (input, output) = (stdin(), stdout());
        // A descriptor that is asked nothing reports errors all the same, for ever; the
        // signals stand in for it.
        let asked = |fd, flags: PollFlags| {
            if flags.is_empty() {
                self.signals.as_fd()
            } else {
                fd
            }
        };
        let mut fds = [
            PollFd::from_borrowed_fd(asked(input, keyboard), keyboard),
            PollFd::from_borrowed_fd(asked(self.terminal.master.as_fd(), master), master),
            PollFd::from_borrowed_fd(asked(output, screen), screen),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(
                asked(
                    self.terminal.events.as_fd(),
                    when(self.events, PollFlags::IN),
                ),
                when(self.events, PollFlags::IN),
            ),
        ];
        let pause = self.vigil.deadlines.pause().map(|pause| Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: pause.subsec_nanos().into(),
        });
        match poll(&mut fds, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds.map(|fd| !fd.revents().is_empty()))
    }

    fn signal(&mut self) -> io::Result<()> {
        match self.signals.take()?.signal {
            // The end of the output says when it is over.
            SIGCHLD => self.vigil.turn()?,
            SIGWINCH => self.resize(),
            signal => supervise::send(self.child, signal),
        }
        Ok(())
    }

    /// The command was stopped by Ctrl-Z: stops as well, so that the caller's shell gets
    /// its terminal back, and goes on with it.
    fn event(&mut self) -> io::Result<()> {
        match self.terminal.event()? {
            Event::Ended => self.events = false,
            Event::Stopped => {
                self.raw.leave();
                supervise::stop_self();
                self.raw.again();
                self.resize();
                supervise::continue_child(self.child);
            }
        }
        Ok(())
    }

    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(stdin()) {
            // The kernel tells the foreground processes by SIGWINCH.
            let _ = tcsetwinsize(&self.terminal.master, size);
        }
    }
}
