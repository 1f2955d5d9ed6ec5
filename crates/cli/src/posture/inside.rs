//! The program of the run: Warren's own binary, which makes the probes one by one, each in
//! a copy of itself, and writes a line of JSON for each on standard output.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use warren_namespaces::errno_text;
use warren_sys::{Errno, in_child};

use super::outside::Outside;
use super::probe::{Finding, Probe};
use super::probes;
use crate::failure::{Failure, print};

/// What the first argument is. It is no command for people.
pub const NAME: &str = ".posture";

/// A probe that takes longer is killed.
const LONGEST: Duration = Duration::from_secs(10);

/// A line of the output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    #[serde(flatten)]
    pub finding: Finding,
}

/// Runs as that program: `.posture OUTSIDE`, in JSON.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    // First of all: what is opened from here on is the program's own.
    let descriptors = descriptors();
    let told = arguments.get(1).and_then(|word| word.to_str());
    let outside: Option<Outside> = told.and_then(|text| serde_json::from_str(text).ok());
    let Some(mut outside) = outside else {
        return Err(Failure::usage(
            "`.posture` is not for people; try `warren posture`",
        ));
    };
    outside.descriptors = descriptors;
    for probe in probes::all() {
        let line = Line {
            name: probe.name.to_owned(),
            finding: try_out(probe, &outside),
        };
        let text = serde_json::to_string(&line)
            .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
        print(&(text + "\n"))?;
    }
    Ok(0)
}

/// The numbers above 2.
fn descriptors() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let numbers: Vec<i32> = names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect();
    // The folder's own is closed by now.
    let is_kept = |number: &i32| *number > 2 && warren_sys::is_open(*number).is_ok();
    let kept = numbers.into_iter().filter(is_kept);
    kept.map(|number| number.to_string()).collect()
}

/// In a process of its own: a probe can be killed, and may change what the process is.
fn try_out(probe: &Probe, outside: &Outside) -> Finding {
    match answer(probe, outside) {
        Ok(finding) => finding,
        Err(errno) => {
            Finding::unknown(format!("it cannot be tried: {}", errno_text(errno)))
        }
    }
}

fn answer(probe: &Probe, outside: &Outside) -> Result<Finding, Errno> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let pid = in_child(|| {
        let finding = (probe.run)(outside);
        let told = serde_json::to_vec(&finding).unwrap_or_default();
        let mut writer = File::from(match rustix::io::dup(&writer) {
            Ok(writer) => writer,
            Err(_) => return 1,
        });
        i32::from(writer.write_all(&told).is_err())
    })?;
    drop(writer);
    let in_time = comes_to_an_end(&reader);
    if !in_time {
        rustix::process::kill_process(pid, Signal::KILL)?;
    }
    let told = read(reader, in_time);
    let finding = serde_json::from_slice(&told).ok();
    Ok(finding.unwrap_or(ended(pid)?))
}

/// Waits for the answer, or the end of who would give it.
fn comes_to_an_end(reader: &OwnedFd) -> bool {
    let time = Timespec {
        tv_sec: LONGEST.as_secs() as i64,
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(reader, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, Some(&time)) {
            Err(Errno::INTR) => {}
            result => return result.is_ok_and(|ready| ready > 0),
        }
    }
}

fn read(reader: OwnedFd, in_time: bool) -> Vec<u8> {
    let mut told = Vec::new();
    if in_time {
        // What is not whole makes no sense, which is told.
        let _ = File::from(reader).read_to_end(&mut told);
    }
    told
}

/// What the end of a process without an answer means.
fn ended(pid: Pid) -> Result<Finding, Errno> {
    let status = loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => break status,
            Err(errno) => return Err(errno),
        }
    };
    let by = |signal: Signal| status.terminating_signal() == Some(signal.as_raw());
    Ok(if by(Signal::SYS) {
        Finding::holds("a filter kills who tries")
    } else if by(Signal::SEGV) {
        Finding::holds("the kernel has no such calls")
    } else if by(Signal::KILL) {
        Finding::unknown(format!("no answer within {} s", LONGEST.as_secs()))
    } else {
        Finding::unknown("it ended without an answer")
    })
}
