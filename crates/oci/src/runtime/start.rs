//! The word to start.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::fs::CWD;
use warren_spawn::ErrorKind;
use warren_spawn::gate::{self, At, Refusal};
use warren_sys::Errno;
use warren_sys::signal::SIGKILL;

use super::container::Container;
use super::error::{Error, Kind, words};
use super::hooks::{self, Streams};
use super::status::Status;
use super::store::GATE;
use crate::config::{Config, Hook, Hooks, Process, Resources};

impl Container {
    /// Lets the program of a container that was created begin.
    ///
    /// # Errors
    /// Where it was started before, or its program cannot be executed; the container is
    /// stopped then. So it is where a hook has failed ([`Kind::Hook`]), and then to be
    /// deleted: runtime.md, "Lifecycle", steps 7 and 9.
    pub fn start(&self) -> Result<(), Error> {
        self.locked(|| self.start_locked())
    }

    /// The same for a container that was made without waiting for its start, as far as there
    /// is something left to do.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn begin(&self) -> Result<(), Error> {
        if self.record.gated {
            return self.start();
        }
        // Without hooks there is nothing: the config.json need not be read again.
        if !self.text.contains("\"poststart\"") {
            return Ok(());
        }
        let hooks = self.config()?.hooks.unwrap_or_default();
        self.after_start(&hooks, self.pid().unwrap_or(0))
    }

    fn start_locked(&self) -> Result<(), Error> {
        match self.status()? {
            Status::Created => {}
            Status::Stopped => {
                return Err(Error::new("cannot start a container that has stopped"));
            }
            Status::Running => {
                return Err(Error::new("cannot start an already running container"));
            }
            status => {
                let message = format!("cannot start a container in the {status} state");
                return Err(Error::new(message));
            }
        }
        let pid = self.pid().unwrap_or(0);
        let config = self.config()?;
        let hooks = config.hooks.clone().unwrap_or_default();
        self.open_gate(&config, &hooks, pid)?;
        // Nobody waits there any more, and the name would say nothing.
        let _ = rustix::fs::unlinkat(
            CWD,
            self.folder.path.join(GATE),
            rustix::fs::AtFlags::empty(),
        );
        self.after_start(&hooks, pid)
    }

    fn open_gate(&self, config: &Config, hooks: &Hooks, pid: u32) -> Result<(), Error> {
        let streams = match hooks.start_container.is_empty() {
            true => None,
            false => Some(Streams::new(&self.state_text(Status::Created, pid))?),
        };
        let path = self.folder.short_path(GATE);
        let given = streams.as_ref().map(|streams| gate::Streams {
            read: streams.read.as_fd(),
            written: streams.written.as_fd(),
        });
        gate::open(&path, given).map_err(|refusal| {
            refused(&refusal, config, hooks).with_output(streams.as_ref())
        })
    }

    /// A hook that fails now ends the container.
    pub(super) fn after_start(&self, hooks: &Hooks, pid: u32) -> Result<(), Error> {
        let state = self.state_text(Status::Running, pid);
        hooks::run("poststart", &hooks.poststart, &state, self.bundle()).inspect_err(
            |_| {
                if let Some(init) = self.living_init() {
                    let _ = init.signal(&self.proc, SIGKILL);
                }
            },
        )
    }
}

fn refused(refusal: &Refusal, config: &Config, hooks: &Hooks) -> Error {
    let said = words(refusal.errno);
    match refusal.at {
        At::Gate if refusal.errno == Errno::CONNREFUSED => {
            Error::new("cannot start a container that has stopped")
        }
        At::Gate => Error::new(format!("open the gate of the container: {said}")),
        At::Hook(number) => {
            let hook = hooks.start_container.get(number);
            let how = match refusal.status {
                Some(status) => hooks::how(ExitStatus::from_raw(status)),
                None => said,
            };
            let nobody = Hook::default();
            hooks::failed("startContainer", number, hook.unwrap_or(&nobody), &how)
        }
        At::Step(number) => {
            Error::new(format!("step {number} before the program: {said}"))
        }
        At::Program {
            interpreter_missing,
        } => {
            let args = config
                .process
                .as_ref()
                .map(|process| process.args.as_slice());
            let name = args
                .and_then(|args| args.first())
                .map_or("", String::as_str);
            not_executed(name, refusal.errno, interpreter_missing)
        }
    }
}

const INTERPRETER: &str =
    "the file is there; the interpreter in its first line, or its ELF loader, is not";

/// How every message begins on a program that could not be executed.
pub const NOT_STARTED: &str = "unable to start container process: ";

/// In words that engines look for.
pub(super) fn not_executed(name: &str, errno: Errno, interpreter_missing: bool) -> Error {
    let words = match errno {
        Errno::NOENT if !name.contains('/') => {
            "executable file not found in $PATH".to_owned()
        }
        errno if name.contains('/') && errno == Errno::NOENT && !interpreter_missing => {
            format!("stat {name}: {}", words(errno))
        }
        errno => words(errno),
    };
    if interpreter_missing {
        let message = format!("{NOT_STARTED}exec {name}: {words}");
        let error = Error::new(message).of_kind(Kind::NotExecuted);
        return error.hint(INTERPRETER);
    }
    Error::new(format!("{NOT_STARTED}exec: {name:?}: {words}"))
}

/// A launch that failed: of the program, in the words that engines look for.
pub(super) fn explain(error: warren_spawn::Error, process: Option<&Process>) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotExecutable => {
            let args = process.map(|process| process.args.as_slice());
            let name = args
                .and_then(|args| args.first())
                .map_or("", String::as_str);
            let number = error.raw_os_error().unwrap_or_default();
            let is_there = error
                .hints()
                .iter()
                .any(|hint| hint.contains("interpreter"));
            let explained =
                not_executed(name, Errno::from_raw_os_error(number), is_there);
            let hints = error.hints().iter().filter(|_| !is_there);
            hints.fold(explained, |explained, hint| explained.hint(hint))
        }
        _ => error.into(),
    }
}

/// The same for a failure that may come of what else the container asks for, in the words of
/// who knows the config.json.
pub(super) fn explain_whole(error: warren_spawn::Error, config: &Config) -> Error {
    let is_limited = |resources: &Resources| {
        let cpu = resources.cpu.as_ref();
        cpu.is_some_and(|cpu| !cpu.cpus.is_empty())
    };
    let resources = config
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.as_ref());
    let is_scheduling = error.doing().starts_with("set the scheduling policy");
    let is_refused = error.raw_os_error() == Some(Errno::PERM.raw_os_error());
    let explained = explain(error, config.process.as_ref());
    match is_scheduling && is_refused && resources.is_some_and(is_limited) {
        // sched_setattr(2): a deadline needs all processors.
        true => {
            explained.after("process scheduler can't be used together with AllowedCPUs")
        }
        false => explained,
    }
}
