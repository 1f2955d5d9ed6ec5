//! Hooks that are run outside of the container.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags};
use warren_spawn::Hook as Inside;
use warren_sys::signal::{SIGKILL, SIGSYS};

use super::error::{Error, Kind};
use crate::config::{Hook, Hooks};

/// Runs hooks one after the other, each with `state` on its standard input, up to the first
/// that fails.
pub fn run(kind: &str, hooks: &[Hook], state: &str, bundle: &Path) -> Result<(), Error> {
    for (number, hook) in hooks.iter().enumerate() {
        run_one(hook, state, bundle).map_err(|why| failed(kind, number, hook, &why))?;
    }
    Ok(())
}

/// The same for those whose failure changes nothing any more: what they said of it.
pub fn run_all(kind: &str, hooks: &[Hook], state: &str, bundle: &Path) -> Vec<Error> {
    let run = |(number, hook): (usize, &Hook)| {
        let why = run_one(hook, state, bundle).err()?;
        Some(failed(kind, number, hook, &why))
    };
    hooks.iter().enumerate().filter_map(run).collect()
}

/// Those that are run inside, as a Spec has them.
pub fn inside(kind: &str, hooks: &[Hook]) -> Vec<Inside> {
    let one = |hook: &Hook| Inside {
        kind: kind.to_owned(),
        path: hook.path.clone().into(),
        args: hook.args.iter().map(Into::into).collect(),
        env: hook.env.iter().map(Into::into).collect(),
        timeout: timeout(hook),
    };
    hooks.iter().map(one).collect()
}

/// What is wrong with them, before anything is made.
pub fn check(hooks: &Hooks) -> Result<(), crate::Error> {
    for (kind, hooks) in hooks.kinds() {
        for (index, hook) in hooks.iter().enumerate() {
            let wrong = |key: &str, message: String| {
                Err(crate::Error::new(
                    format!("hooks.{kind}[{index}].{key}"),
                    message,
                ))
            };
            if !hook.path.starts_with('/') {
                let message = format!("expected an absolute path, found {:?}", hook.path);
                return wrong("path", message);
            }
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return wrong("timeout", "is not greater than 0".to_owned());
            }
        }
    }
    Ok(())
}

/// In runc's words.
pub fn failed(kind: &str, number: usize, hook: &Hook, why: &str) -> Error {
    let path = &hook.path;
    Error::new(format!(
        "error running {kind} hook #{number}: {path}: {why}"
    ))
    .of_kind(Kind::Hook)
}

/// How a process ended, as Go says it.
pub fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(SIGSYS) => "signal: bad system call".to_owned(),
        Some(SIGKILL) => "signal: killed".to_owned(),
        _ => status.to_string().replace("exit status: ", "exit status "),
    }
}

fn timeout(hook: &Hook) -> Option<u32> {
    let seconds = hook.timeout?;
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn run_one(hook: &Hook, state: &str, bundle: &Path) -> Result<(), String> {
    let words = |error: &std::io::Error| warren_namespaces::io_error_text(error);
    let mut input = memory("state").map_err(|error| words(&error))?;
    let output = memory("output").map_err(|error| words(&error))?;
    input
        .write_all(state.as_bytes())
        .map_err(|error| words(&error))?;
    input.rewind().map_err(|error| words(&error))?;
    let clone = |file: &File| file.try_clone().map_err(|error| words(&error));
    let mut command = Command::new(&hook.path);
    // Nothing of the caller's environment, nor of the container's: it runs outside.
    command.env_clear().current_dir(bundle);
    let (name, arguments) = hook.args.split_first().unwrap_or((&hook.path, &[]));
    command.arg0(name).args(arguments);
    command.envs(hook.env.iter().filter_map(|word| word.split_once('=')));
    command.stdin(input);
    command.stdout(clone(&output)?).stderr(clone(&output)?);
    let mut child = command.spawn().map_err(|error| words(&error))?;
    let status = wait(&mut child, timeout(hook)).map_err(|error| words(&error))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{}{}", how(status), said(&output))),
        None => Err(format!(
            "timeout after {} s",
            hook.timeout.unwrap_or_default()
        )),
    }
}

/// A file without a name: whatever a hook does with it, nobody is kept waiting.
fn memory(name: &str) -> std::io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// The end of what it wrote. It may have been the container's own program, and have made
/// the file as long as it likes.
fn said(mut output: &File) -> String {
    const MOST: u64 = 400;
    let mut read = || {
        let length = output.metadata()?.len();
        output.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut bytes = Vec::new();
        output.take(MOST).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    match String::from_utf8_lossy(&bytes).trim() {
        "" => String::new(),
        text => format!(", output: {text}"),
    }
}

/// `None` where its time was over, and it was killed.
fn wait(child: &mut Child, timeout: Option<u32>) -> std::io::Result<Option<ExitStatus>> {
    if let (Some(seconds), Some(pid)) = (timeout, Pid::from_raw(child.id() as i32)) {
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let time = Timespec {
            tv_sec: i64::from(seconds),
            tv_nsec: 0,
        };
        if rustix::event::poll(&mut ended, Some(&time))? == 0 {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
    child.wait().map(Some)
}

/// The standard streams of hooks that are run inside.
#[derive(Debug)]
pub struct Streams {
    /// The state of the container.
    pub read: File,
    /// What they write.
    pub written: File,
}

impl Streams {
    pub fn new(state: &str) -> Result<Self, Error> {
        let made = || {
            let (read, written) = (memory("state")?, memory("output")?);
            Ok(Self { read, written })
        };
        let streams =
            made().map_err(|error| Error::io("open files for hooks", &error))?;
        streams.tell(state)?;
        Ok(streams)
    }

    /// Adds to what they read.
    pub fn tell(&self, state: &str) -> Result<(), Error> {
        (&self.read)
            .write_all(state.as_bytes())
            .map_err(|error| Error::io("write the state for hooks", &error))
    }
}

impl Error {
    /// With what hooks have said, should one of them be what failed.
    pub(super) fn with_output(self, streams: Option<&Streams>) -> Self {
        match streams {
            Some(streams) => self.add(&said(&streams.written)),
            None => self,
        }
    }
}
