//! Other processes.

use std::fs;

use warren_namespaces::errno_text;
use warren_sys::ptrace::{TraceOptions, seize};
use warren_sys::{Errno, signal};

use super::super::probe::{Finding, Probe};

const INIT: &str = "the init of a run is hidden from the program; with --share pid, pid 1 is \
                    the host's";
const SHARED: &str = "--share pid leaves it in sight: --landlock refuses signals, other ids \
                      do too";

pub const PROBES: &[Probe] = &[
    Probe {
        name: "environment of pid 1",
        about: "processes",
        tries: "reads /proc/1/environ",
        hint: INIT,
        cve: None,
        run: |_| of_init(|| Finding::of_file(&some_bytes("/proc/1/environ"), "read")),
    },
    Probe {
        name: "files of pid 1",
        about: "processes",
        tries: "follows root, cwd and exe of /proc/1, lists its descriptors, opens its \
                memory",
        hint: INIT,
        cve: None,
        run: |_| of_init(files_of_init),
    },
    Probe {
        name: "ptrace of pid 1",
        about: "processes",
        tries: "traces the init, in whose memory it could do what the init may",
        hint: INIT,
        cve: None,
        run: |_| of_init(|| traced(1)),
    },
    Probe {
        name: "ptrace of the caller",
        about: "processes",
        tries: "traces a process outside",
        hint: SHARED,
        cve: None,
        run: |outside| match outside.is_in_sight() {
            true => traced(outside.pid as i32),
            false => Finding::holds("it is not in sight"),
        },
    },
    Probe {
        name: "signals to the caller",
        about: "processes",
        tries: "may send a signal to a process outside",
        hint: SHARED,
        cve: None,
        run: |outside| match outside.is_in_sight() {
            true => may(signal::kill(outside.pid as i32, 0), "it may"),
            false => Finding::holds("it is not in sight"),
        },
    },
];

/// Where the program of the run is pid 1 itself, there is nobody to protect.
fn of_init(look: impl FnOnce() -> Finding) -> Finding {
    match Stat::own() {
        Some(stat) if stat.parent == 1 => Finding::holds("pid 1 is the command itself"),
        _ => look(),
    }
}

fn files_of_init() -> Finding {
    let mut found = Vec::new();
    for name in ["root", "cwd", "exe"] {
        if fs::read_link(format!("/proc/1/{name}")).is_ok() {
            found.push(name);
        }
    }
    // Their numbers alone are of no use.
    let descriptors = fs::read_dir("/proc/1/fd").into_iter().flatten().flatten();
    if descriptors
        .into_iter()
        .any(|entry| fs::read_link(entry.path()).is_ok())
    {
        found.push("fd");
    }
    if fs::File::open("/proc/1/mem").is_ok() {
        found.push("mem");
    }
    Finding::none_of(&found, "none can be opened")
}

fn some_bytes(path: &str) -> std::io::Result<()> {
    match fs::read(path)?.is_empty() {
        true => Err(std::io::ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    }
}

/// A tracee goes on, and is let go when its tracer ends, which is soon.
fn traced(pid: i32) -> Finding {
    may(seize(pid, TraceOptions::empty()), "traced")
}

fn may(result: Result<(), Errno>, success: &str) -> Finding {
    match result {
        Err(errno @ Errno::SRCH) => Finding::holds(errno_text(errno)),
        result => Finding::of_call(result, success),
    }
}

/// What the kernel says of a process: proc(5), stat.
pub struct Stat {
    pub parent: i32,
    pub group: i32,
    /// The device of the controlling terminal; 0 where there is none.
    pub terminal: i64,
    /// When it began, in ticks since the boot.
    pub began: u64,
}

impl Stat {
    pub fn own() -> Option<Self> {
        Self::of("self")
    }

    pub fn of(process: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses, and may have some in it.
        let (_, rest) = text.rsplit_once(") ")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<i64>().ok();
        Some(Self {
            parent: number(1)? as i32,
            group: number(2)? as i32,
            terminal: number(4)?,
            began: words.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let text = "7 (a) S 9 (b) R 1 5 5 34816 7 0 1 2 3 4 5 6 7 8 20 0 1 0 777 0";
        let stat = Stat::parse(text).expect("a good line");
        assert_eq!((stat.parent, stat.group, stat.terminal), (1, 5, 34816));
        assert_eq!(stat.began, 777);
        assert!(Stat::parse("7 (a) R 1").is_none());
    }
}
