//! Processes, and what each is called at each level: pid_namespaces(7).

use serde::{Deserialize, Serialize};
use warren_namespaces::ProcRoot;

use crate::difference::{Fact, Facts};

/// The processes in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// Those that the caller can see, by pid.
    pub members: Vec<Member>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its pid, as the caller's /proc counts.
    pub pid: u32,
    /// What it is called in each pid namespace, from the caller's to its own.
    pub pids: Vec<u32>,
    /// Its name.
    pub command: String,
}

impl Pids {
    /// Asks what each of these processes is called at each level. One that has died
    /// meanwhile is left out.
    #[must_use]
    pub fn of(proc: &ProcRoot, pids: impl IntoIterator<Item = u32>) -> Self {
        let members = pids.into_iter().filter_map(|pid| member(proc, pid));
        Self {
            members: members.collect(),
        }
    }
}

fn member(proc: &ProcRoot, pid: u32) -> Option<Member> {
    parse(pid, &proc.read(&format!("{pid}/status")).ok()?)
}

/// `Name:` and `NSpid:` of proc_pid_status(5). The name is escaped by the kernel, so that
/// it cannot make a line of its own.
fn parse(pid: u32, text: &[u8]) -> Option<Member> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let pids = field("NSpid").unwrap_or_default().split_ascii_whitespace();
    Some(Member {
        pid,
        pids: pids.map_while(|number| number.parse().ok()).collect(),
        command: field("Name")?.trim_start_matches('\t').to_owned(),
    })
}

impl Facts for Pids {
    /// How many, not which: they come and go.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("processes", "", self.members.len().to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_pid_at_each_level() {
        let text = b"Name:\tsle\\nep 1\nUmask:\t0022\nPid:\t4242\nNSpid:\t4242\t72\t1\n";
        let member = parse(4242, text).expect("a status");
        assert_eq!(member.pids, [4242, 72, 1]);
        assert_eq!(member.command, "sle\\nep 1");
        assert_eq!(parse(1, b""), None);
    }

    #[test]
    fn the_caller_is_called_by_its_own_pid() {
        let proc = ProcRoot::open().expect("/proc");
        let own = std::process::id();
        let pids = Pids::of(&proc, [own, u32::MAX]);
        assert_eq!(pids.members.len(), 1);
        assert_eq!(pids.members[0].pids.last(), Some(&own));
    }
}
