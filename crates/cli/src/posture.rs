//! `warren posture`: what holds of a run, tried from within.

pub mod inside;
mod outside;
mod probe;
mod probes;
mod report;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use warren_namespaces::{errno_text, io_error_text};
use warren_spawn::{Child, Command, Host, Open, Spec, Stdio, Terminal};
use warren_sys::Errno;
use warren_sys::signal::{self, SIGHUP, SIGINT, SIGTERM, SignalSet};

use crate::failure::{self, Failure, OWN_FAILURE};
use crate::run;
use inside::Line;
use outside::Stage;
use report::Report;

/// All probes together may take this long.
const LONGEST: Duration = Duration::from_secs(120);

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let host = Host::probe();
    let (spec, as_json) = run::posture_spec(arguments, &host)?;
    // What is made outside is taken away again whatever the terminal sends meanwhile.
    let deadly = [SIGINT, SIGTERM, SIGHUP];
    let held = deadly.into_iter().fold(SignalSet::EMPTY, SignalSet::with);
    let before = signal::set_blocked(held);
    let report = tried(spec);
    signal::set_blocked(before);
    let report = report?;
    failure::print(&match as_json {
        true => report.json()?,
        false => report.text(),
    })?;
    Ok(u8::from(!report.holds()))
}

fn tried(spec: Spec) -> Result<Report, Failure> {
    let stage = Stage::set_up()?;
    let lines = answers(spec, &stage)?;
    let report = Report::new(lines, &stage.changed());
    stage.take_down()?;
    Ok(report)
}

/// Runs Warren's own binary as the command of the run, and gives what it says.
fn answers(mut spec: Spec, stage: &Stage) -> Result<Vec<Line>, Failure> {
    let told = serde_json::to_string(stage.outside())
        .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
    let program = own_program()?;
    spec.program = Some(Open {
        fd: program.as_raw_fd(),
        name: "warren".to_owned(),
    });
    spec.argv = vec!["warren".into(), inside::NAME.into(), told.into()];
    let mut command = Command::new("warren");
    command.env_clear().stdout(Stdio::Piped);
    if spec.terminal != Terminal::Inherit {
        // Nobody would see it: all that matters is that it is not the caller's.
        spec.terminal = Terminal::Inherit;
        spec.leave_caller = true;
        command.stdin(Stdio::Null).stderr(Stdio::Null);
    }
    *command.spec_mut() = spec;
    let child = command.spawn();
    let mut child = child.map_err(|error| Failure::from(error).code(OWN_FAILURE))?;
    let text = read(&mut child).map_err(|error| {
        Failure::new(format!(
            "read what the probes say: {}",
            io_error_text(&error)
        ))
    })?;
    let lines = text.split(|byte| *byte == b'\n');
    let lines: Vec<Line> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let status = child.wait().map_err(|error| {
        Failure::new(format!("wait for the probes: {}", io_error_text(&error)))
    })?;
    match lines.is_empty() {
        true => Err(
            Failure::new(format!("make the probes inside: {status}")).hint(
                "a filter of --seccomp that ends every program would end this one too",
            ),
        ),
        false => Ok(lines),
    }
}

fn own_program() -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self/exe", flags, Mode::empty()).map_err(|errno| {
        Failure::new(format!("open /proc/self/exe: {}", errno_text(errno)))
    })
}

/// Until the end of the output; a run that comes to none is killed.
fn read(child: &mut Child) -> io::Result<Vec<u8>> {
    let Some(pipe) = child.stdout.take() else {
        return Ok(Vec::new());
    };
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    let end = Instant::now() + LONGEST;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if !is_ready(&pipe, left)? {
            child.kill()?;
            return Ok(text);
        }
        match rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut buffer))? {
            0 => return Ok(text),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

fn is_ready(pipe: &OwnedFd, left: Duration) -> io::Result<bool> {
    let time = Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: left.subsec_nanos().into(),
    };
    let mut polled = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&time)) {
        Err(Errno::INTR) => Ok(true),
        result => Ok(result? > 0),
    }
}
