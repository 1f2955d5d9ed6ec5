//! How long a run may take, and where it says how it ended.

mod durations;
mod status;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use warren_confine::{Resource, Rlimit};
use warren_namespaces::io_error_text;

use crate::failure::Failure;
use crate::supervise::{GRACE, TimeLimits};
use durations::{duration, timeout};
pub use status::{Status, oom_kills};

/// Results of a run.
#[derive(Debug, Args)]
pub struct ResultsOptions {
    /// Write to descriptor N, at the end, one line of JSON that says how the run ended
    #[arg(long, value_name = "N", help_heading = "Results")]
    pub status_fd: Option<i32>,
    /// Write the same to FILE, which is there only when it is whole
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub json_status: Option<PathBuf>,
    /// Send CMD SIGNAL [default: TERM] after this time, and kill it 5 s later; exit code 124
    #[arg(
        long,
        value_name = "TIME[:SIGNAL]",
        value_parser = timeout,
        help_heading = "Results"
    )]
    pub timeout: Option<(Duration, i32)>,
    /// The same once CMD and all that it starts have used this much processor time
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Results")]
    pub cpu_time: Option<Duration>,
}

impl ResultsOptions {
    /// Whether anybody wants to know how it ended.
    pub fn are_told(&self) -> bool {
        self.status_fd.is_some() || self.json_status.is_some()
    }

    /// What the supervisor looks at.
    pub fn time_limits(&self) -> TimeLimits {
        TimeLimits {
            wall: self.timeout,
            cpu: self.cpu_time,
        }
    }

    /// The kernel's own limit on each process, in whole seconds: it holds whatever the
    /// supervisor sees.
    pub fn rlimits(&self) -> Vec<Rlimit> {
        let Some(most) = self.cpu_time else {
            return Vec::new();
        };
        let seconds = most.as_secs() + u64::from(most.subsec_nanos() > 0);
        let own = rustix::process::getrlimit(rustix::process::Resource::Cpu);
        let within = |seconds: u64| own.maximum.map_or(seconds, |own| own.min(seconds));
        vec![Rlimit {
            resource: Resource::Cpu,
            soft: Some(within(seconds)),
            hard: Some(within(seconds.saturating_add(GRACE.as_secs()))),
        }]
    }

    /// Finds out before anything is made whether the results can be written. Nothing is
    /// left open: a number that is free must stay so for --keep-fd.
    pub fn check(&self) -> Result<(), Failure> {
        if let Some(number) = self.status_fd {
            warren_sys::is_open(number).map_err(|errno| {
                let text = warren_namespaces::errno_text(errno);
                Failure::usage(format!("--status-fd {number}: {text}"))
            })?;
        }
        if let Some(path) = &self.json_status {
            check_file(path)?;
        }
        Ok(())
    }

    /// Says how it ended, to all who want to know.
    pub fn tell(&self, status: &Status) -> Result<(), Failure> {
        let text = status.line()?;
        if let Some(number) = self.status_fd {
            write_to(number, &text).map_err(|error| {
                let error = io_error_text(&error);
                Failure::new(format!("write the results to descriptor {number}: {error}"))
            })?;
        }
        if let Some(path) = &self.json_status {
            replace(path, &text).map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }

    /// The same where there is a failure to report anyway.
    pub fn tell_beside_failure(&self, status: &Status) {
        if let Err(failure) = self.tell(status) {
            failure.report();
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let error = io_error_text(error);
    Failure::new(format!("write the results {}: {error}", path.display()))
}

fn write_to(number: i32, text: &str) -> io::Result<()> {
    File::from(warren_sys::duplicate(number)?).write_all(text.as_bytes())
}

/// Only a file is replaced, and there must be room beside it.
fn check_file(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(Failure::usage(format!(
                "--json-status {}: it is no file, and would be replaced by one",
                path.display()
            ))
            .hint("--status-fd N writes to what is open"));
        }
        _ => {}
    }
    let trial = Temporary::beside(path).and_then(|mut file| file.reserve());
    trial.map_err(|error| cannot_write(path, &error))
}

/// Writes another file and gives it the name, so that no reader sees a part.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = Temporary::beside(path)?;
    file.file.write_all(text.as_bytes())?;
    file.become_file(path)
}

/// A file that is removed again, unless it becomes the one beside it.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let mut own = std::ffi::OsString::from(".");
        own.push(name);
        own.push(format!(".{}", std::process::id()));
        let path = path.with_file_name(own);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o644);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    /// Takes as much room as the results need at most.
    fn reserve(&mut self) -> io::Result<()> {
        const ROOM: [u8; 4096] = [b' '; 4096];
        self.file.write_all(&ROOM)
    }

    fn become_file(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has another name by now, or is to go.
        let _ = fs::remove_file(&self.path);
    }
}

/// The failure to tell, with the exit code that the command gave: it is not lost.
pub fn with_code(failure: Failure, code: u8) -> Failure {
    failure.code(code).hint(format!(
        "the command itself has ended; its exit code {code} is the run's"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_limit_is_in_whole_seconds_and_leaves_time_to_end() {
        let options = |cpu_time| ResultsOptions {
            status_fd: None,
            json_status: None,
            timeout: None,
            cpu_time,
        };
        assert_eq!(options(None).rlimits(), []);
        let limits = options(Some(Duration::from_millis(1500))).rlimits();
        assert_eq!(limits[0].to_string(), "cpu=2:7");
    }

    #[test]
    fn a_temporary_file_is_gone_unless_it_was_renamed() {
        let folder = std::env::temp_dir().join(format!("results-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        let path = folder.join("status");
        drop(Temporary::beside(&path).expect("a file"));
        assert_eq!(fs::read_dir(&folder).expect("a list").count(), 0);
        for text in ["one", "two"] {
            replace(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        assert_eq!(fs::read_dir(&folder).expect("a list").count(), 1);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
