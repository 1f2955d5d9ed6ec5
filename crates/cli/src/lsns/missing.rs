//! What a list lacks, told on standard error.

use rustix::io::Errno;
use warren_namespaces::{Part, ProcRoot, Snapshot, Unreadable};

use super::options::{Options, What};
use crate::failure::{self, Failure};
use crate::terminal;

/// Says on standard error, after the list, what it lacks: that the process asked for is
/// not there, and to somebody at a terminal how much could not be read. Scripts that read
/// both streams together see nothing of the latter.
pub fn tell(
    snapshot: &Snapshot,
    proc: &ProcRoot,
    options: &Options,
) -> Result<u8, Failure> {
    let mut text = String::new();
    match options.what {
        What::OfProcess(pid) if snapshot.process(pid).is_none() => {
            text = missing_process(proc, pid);
        }
        What::Nothing(pid) => text = format!("lsns: no process {pid}\n"),
        _ if terminal::errors_are_seen() => text = incomplete(snapshot),
        _ => {}
    }
    failure::print_error(&text)?;
    Ok(0)
}

fn missing_process(proc: &ProcRoot, pid: u32) -> String {
    match warren_namespaces::namespaces_of(proc, pid) {
        Err(error) if error.errno() == Errno::SRCH => format!("lsns: no process {pid}\n"),
        Err(error) => {
            let hint = "hint: the namespaces of a process of somebody else, or with more \
                        capabilities, are hidden: run as root";
            format!("lsns: {error}\n{hint}\n")
        }
        // It began after the look.
        Ok(_) => String::new(),
    }
}

/// `lsns: 88 of 89 processes not readable`, or nothing.
fn incomplete(snapshot: &Snapshot) -> String {
    let is_process = |hole: &&Unreadable| matches!(hole.part, Part::Process { .. });
    let missing = snapshot.unreadable.iter().filter(is_process).count();
    if missing == 0 {
        return String::new();
    }
    let all = snapshot.processes.len() + missing;
    let hint = if rustix::process::geteuid().is_root() {
        "they have capabilities that this process lacks, or a security module refuses"
    } else {
        "run as root to see all namespaces and all processes in them"
    };
    let processes = if all == 1 { "process" } else { "processes" };
    format!("lsns: {missing} of {all} {processes} not readable\nhint: {hint}\n")
}
