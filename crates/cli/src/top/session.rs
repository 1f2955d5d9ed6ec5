//! The full-screen view: looks, keys and signals, one after the other.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use warren_sys::signal::{
    self, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU, SIGWINCH, SignalFd,
    SignalSet,
};

use super::frame::{self, State};
use super::rows::{self, Meter, Sort, Table};
use crate::failure::Failure;
use crate::supervise;
use crate::watch::keys::{Key, Keys};
use crate::watch::look::Looks;
use crate::watch::screen::Screen;

/// After an Escape, what has not come by then is no longer part of the key.
const KEY: Duration = Duration::from_millis(40);

/// The signals that are taken in turn, so that none leaves the terminal as it is.
const TAKEN: SignalSet = SignalSet::EMPTY
    .with(SIGHUP)
    .with(SIGINT)
    .with(SIGQUIT)
    .with(SIGTERM)
    .with(SIGTSTP)
    // Blocked, it lets a process in the background take the terminal back.
    .with(SIGTTOU)
    .with(SIGWINCH);

/// Runs until the user quits, the looks are over or a signal ends it.
pub fn run(mut looks: Looks, sort: Sort) -> Result<u8, Failure> {
    let mut meter = Meter::default();
    // The first look fails before the screen is taken.
    let table = meter.look(&mut looks, sort)?;
    signal::set_blocked(TAKEN);
    let session = Session {
        looks,
        meter,
        table,
        state: State {
            sort,
            top: 0,
            help: false,
        },
        height: 1,
        keys: Keys::default(),
        signals: SignalFd::open(TAKEN)
            .map_err(|errno| no_terminal(io::Error::from(errno)))?,
        screen: Screen::enter().map_err(no_terminal)?,
    };
    session.run()
}

fn no_terminal(error: io::Error) -> Failure {
    let error = warren_namespaces::io_error_text(&error);
    Failure::new(format!("use the terminal: {error}"))
}

struct Session {
    looks: Looks,
    meter: Meter,
    table: Table,
    state: State,
    /// How many rows fit.
    height: usize,
    keys: Keys,
    signals: SignalFd,
    screen: Screen,
}

impl Session {
    fn run(mut self) -> Result<u8, Failure> {
        loop {
            self.draw().map_err(no_terminal)?;
            let [keys, signal] = self.ready().map_err(no_terminal)?;
            if signal && let Some(code) = self.signal().map_err(no_terminal)? {
                return Ok(code);
            }
            if self.typed(keys).map_err(no_terminal)? {
                return Ok(0);
            }
            if self.looks.rest().is_zero() {
                if self.looks.is_over() {
                    return Ok(0);
                }
                self.table = self.meter.look(&mut self.looks, self.state.sort)?;
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let last = self.table.rows.len().saturating_sub(self.height);
        self.state.top = self.state.top.min(last);
        let (table, state, height) = (&self.table, self.state, &mut self.height);
        self.screen
            .draw(|screen| *height = frame::draw(table, state, screen.buffer_mut()))
    }

    /// Waits for a key, a signal, or the next look.
    fn ready(&self) -> io::Result<[bool; 2]> {
        let mut time = self.looks.rest();
        if self.keys.is_pending() {
            time = time.min(KEY);
        }
        let mut fds = [
            PollFd::from_borrowed_fd(stdin(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, Timespec::try_from(time).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds.map(|fd| !fd.revents().is_empty()))
    }

    /// Takes a signal; gives the exit code if it was the end.
    fn signal(&mut self) -> io::Result<Option<u8>> {
        match self.signals.take()?.signal {
            // The next drawing looks for the size by itself.
            SIGWINCH | SIGTTOU => Ok(None),
            SIGTSTP => self.suspend().map(|()| None),
            signal => Ok(Some(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
        }
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.screen.leave();
        supervise::stop_self();
        self.screen.again()
    }

    /// Reads keys, and does what they say; whether it was the end.
    fn typed(&mut self, is_ready: bool) -> io::Result<bool> {
        if is_ready {
            let mut buffer = [0; 256];
            match rustix::io::read(stdin(), &mut buffer) {
                // The terminal has gone.
                Ok(0) | Err(Errno::IO) => return Ok(true),
                Ok(length) => self.keys.feed(&buffer[..length]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        while let Some(key) = self.keys.next(!is_ready) {
            match key {
                Key::Char('q') | Key::Ctrl('c' | 'd') => return Ok(true),
                Key::Ctrl('z') => self.suspend()?,
                Key::Ctrl('l') => self.screen.clear()?,
                key => self.key(key),
            }
        }
        Ok(false)
    }

    fn key(&mut self, key: Key) {
        let by = match key {
            Key::Char('c') => Some(Sort::Cpu),
            Key::Char('m') => Some(Sort::Memory),
            Key::Char('i') => Some(Sort::Io),
            Key::Char('n') => Some(Sort::Net),
            Key::Char('p') => Some(Sort::Pressure),
            Key::Char('a') => Some(Sort::Name),
            Key::Char('s') => Some(self.state.sort.next()),
            _ => None,
        };
        if let Some(by) = by {
            self.state.sort = by;
            rows::sort(&mut self.table.rows, by);
        }
        self.state.help = match key {
            Key::Char('?' | 'h') => !self.state.help,
            Key::Escape => false,
            _ => self.state.help,
        };
        // Drawing keeps it within the rows.
        let top = self.state.top;
        self.state.top = match key {
            Key::Up | Key::Char('k') => top.saturating_sub(1),
            Key::Down | Key::Char('j') => top + 1,
            Key::PageUp => top.saturating_sub(self.height),
            Key::PageDown | Key::Char(' ') => top + self.height,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => self.table.rows.len(),
            _ => top,
        };
    }
}
