//! The processes that descend from this one, and the end of those.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// Makes orphaned descendants children of this process instead of pid 1's, so that what
/// a test leaves running is known for certain, whoever started it.
pub(crate) fn adopt_orphans() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(getpid()))
}

/// Takes the exit status of every child that has ended.
pub(crate) fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Descendants of this process: pid and name.
pub(crate) fn descendants() -> BTreeMap<i32, String> {
    let all = parents();
    let own = getpid().as_raw_nonzero().get();
    let mut found = BTreeMap::new();
    let mut wanted = vec![own];
    while let Some(parent) = wanted.pop() {
        for (pid, (_, name)) in all.iter().filter(|(_, (of, _))| *of == parent) {
            found.insert(*pid, name.clone());
            wanted.push(*pid);
        }
    }
    found
}

/// Kills every descendant: only ever processes that the tests started.
pub(crate) fn end_descendants() {
    for pid in descendants().into_keys().filter_map(Pid::from_raw) {
        // Gone already, or gone with a pid 1 that was killed before it.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Every process: pid -> (parent, name).
fn parents() -> BTreeMap<i32, (i32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse_stat(&stat)?))
    })
    .collect()
}

/// `PID (NAME) STATE PARENT ...`: the name may itself contain parentheses.
fn parse_stat(stat: &str) -> Option<(i32, String)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let parent = after.split_whitespace().nth(1)?.parse().ok()?;
    Some((parent, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        let parsed = parse_stat("12 (a) b) S 7 12 12 0");
        assert_eq!(parsed, Some((7, "a) b".to_owned())));
    }
}
