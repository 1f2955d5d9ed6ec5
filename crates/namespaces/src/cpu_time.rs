//! The processor time of a process and all its descendants, as they run.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::process::Folder;
use crate::{Error, ProcRoot};

/// What the process `pid` and all its descendants have used, with those that have ended and
/// were waited for.
///
/// It is never too much. It can be too little: processes that end or change their parent
/// while they are counted are found by the next look, and those whose parent ignores
/// `SIGCHLD` are lost at their end. /proc counts in hundredths of a second.
///
/// # Errors
/// `ESRCH` where `pid` has ended and was waited for; `ENOENT` where this kernel has no lists
/// of children (`CONFIG_PROC_CHILDREN`).
pub fn cpu_time_of_tree(proc: &ProcRoot, pid: u32) -> Result<Duration, Error> {
    let wrap = |errno| Error::new("read the processor time of", pid.to_string(), errno);
    let (mut ticks, mut children) = look(proc, pid).map_err(wrap)?;
    // A parent is read before its children: what it has waited for by then is in its time.
    while let Some(child) = children.pop() {
        match look(proc, child) {
            Ok((more, found)) => {
                ticks += more;
                children.extend(found);
            }
            Err(Errno::SRCH | Errno::NOENT) => {}
            Err(errno) => return Err(wrap(errno)),
        }
    }
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(
        ticks.saturating_mul(1000) / per_second,
    ))
}

/// The ticks and the children of one process.
fn look(proc: &ProcRoot, pid: u32) -> Result<(u64, Vec<u32>), Errno> {
    let folder = Folder::open(proc.as_fd(), pid)?;
    let ticks = folder.cpu_ticks()?;
    let threads = folder.list(c"task")?;
    let mut children = Vec::new();
    for thread in threads.numbers {
        match Folder::open(threads.fd.as_fd(), thread) {
            Ok(thread) => children.extend(thread.children()?),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok((ticks, children))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_tree_has_the_time_of_its_children_and_grandchildren() {
        let proc = ProcRoot::open().expect("/proc");
        let busy = "while :; do :; done";
        let mut child = Command::new("sh")
            .args(["-c", &format!("sh -c '{busy}' & P=$!; read line; kill $P")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh");
        let enough = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            let time = cpu_time_of_tree(&proc, child.id()).expect("it lives");
            time >= Duration::from_millis(100)
        });
        drop(child.stdin.take());
        child.wait().expect("wait");
        assert!(enough);
        let error = cpu_time_of_tree(&proc, child.id()).expect_err("it has ended");
        assert_eq!(error.errno(), Errno::SRCH);
    }
}
