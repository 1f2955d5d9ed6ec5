//! All that was found, and what was not.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::{Kind, errno_text};

use crate::{Cgroup, Clocks, Ipc, Most, Mounts, Net, Pids, User, Uts};

/// What is inside namespaces, by kind; `None` for a kind that was not asked for or could
/// not be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Mounts.
    pub mnt: Option<Mounts>,
    /// Interfaces, routes, ports.
    pub net: Option<Net>,
    /// System V IPC and message queues.
    pub ipc: Option<Ipc>,
    /// Id maps and limits.
    pub user: Option<User>,
    /// Processes.
    pub pid: Option<Pids>,
    /// Host name and domain.
    pub uts: Option<Uts>,
    /// Cgroups, limits, use.
    pub cgroup: Option<Cgroup>,
    /// Offsets of the clocks.
    pub time: Option<Clocks>,
    /// How many namespaces of each kind may be made in the user namespace that owns
    /// these; `None` where the caller may not ask there.
    pub limits: Option<Vec<Most>>,
    /// What could not be seen.
    pub missing: Vec<Missing>,
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// In which kind.
    pub kind: Kind,
    /// What of it.
    pub what: String,
    /// What the kernel answered.
    pub errno: i32,
    /// The same in words.
    pub reason: String,
}

impl Missing {
    /// What is missing of a kind of which nothing was seen.
    pub const EVERYTHING: &str = "everything";

    pub(crate) fn new(kind: Kind, what: &str, errno: Errno) -> Self {
        Self {
            kind,
            what: what.to_owned(),
            errno: errno.raw_os_error(),
            reason: errno_text(errno),
        }
    }
}

impl Inside {
    /// Whether anything of the kind was seen.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Mnt => self.mnt.is_some(),
            Kind::Net => self.net.is_some(),
            Kind::Ipc => self.ipc.is_some(),
            Kind::User => self.user.is_some(),
            Kind::Pid => self.pid.is_some(),
            Kind::Uts => self.uts.is_some(),
            Kind::Cgroup => self.cgroup.is_some(),
            Kind::Time => self.time.is_some(),
        }
    }

    /// This, and from `other` what is not in it. What is missing in both stays so.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut missing = self.missing;
        missing.extend(other.missing);
        let mut both = Self {
            mnt: self.mnt.or(other.mnt),
            net: self.net.or(other.net),
            ipc: self.ipc.or(other.ipc),
            user: self.user.or(other.user),
            pid: self.pid.or(other.pid),
            uts: self.uts.or(other.uts),
            cgroup: merged(self.cgroup, other.cgroup, Cgroup::or),
            time: self.time.or(other.time),
            limits: self.limits.or(other.limits),
            missing: Vec::new(),
        };
        missing.retain(|hole| !both.has(hole.kind) || hole.what != Missing::EVERYTHING);
        missing.dedup();
        both.missing = missing;
        both
    }

    pub(crate) fn miss(&mut self, kind: Kind, what: &str, errno: Errno) {
        self.missing.push(Missing::new(kind, what, errno));
    }

    /// Keeps what was read, or notes that the kind could not be seen.
    pub(crate) fn keep<T>(&mut self, kind: Kind, read: Result<T, Errno>) -> Option<T> {
        read.map_err(|errno| self.miss(kind, Missing::EVERYTHING, errno))
            .ok()
    }
}

fn merged<T>(one: Option<T>, other: Option<T>, or: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(or(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uts(name: &str) -> Option<Uts> {
        Some(Uts {
            hostname: name.to_owned(),
            domainname: None,
        })
    }

    #[test]
    fn a_hole_that_the_other_way_fills_is_no_hole() {
        let mut inside = Inside::default();
        inside.miss(Kind::Uts, Missing::EVERYTHING, Errno::PERM);
        inside.miss(Kind::Net, Missing::EVERYTHING, Errno::PERM);
        let outside = Inside {
            uts: uts("burrow"),
            ..Inside::default()
        };
        let both = inside.or(outside);
        assert_eq!(both.uts, uts("burrow"));
        let holes: Vec<Kind> = both.missing.iter().map(|hole| hole.kind).collect();
        assert_eq!(holes, [Kind::Net]);
        assert_eq!(both.missing[0].reason, "Operation not permitted");
    }

    #[test]
    fn it_survives_the_way_through_a_pipe() {
        let inside = Inside {
            uts: uts("a\nb\u{1b}"),
            ..Inside::default()
        };
        let text = serde_json::to_string(&inside).expect("JSON");
        assert_eq!(serde_json::from_str::<Inside>(&text).expect("JSON"), inside);
    }
}
