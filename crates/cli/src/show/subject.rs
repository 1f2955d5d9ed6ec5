//! What the user named: open namespaces, and processes that show what is in them.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use warren_namespaces::{
    Found, Kind, NamespaceIds, NamespaceSet, NsFd, NsId, ProcRoot, Search, Snapshot,
    Target, namespaces_of,
};

use crate::failure::Failure;
use crate::keep::stores;

/// The namespaces that are looked at.
pub struct Subject {
    /// What it is, in words.
    pub name: String,
    /// The process that was named, if it was one.
    pub process: Option<Witness>,
    /// Those that could be opened, at most one of each kind.
    pub namespaces: Vec<NsFd>,
}

/// A process that is known to be in a namespace, as long as its pidfd says it lives.
pub struct Witness {
    /// Its number.
    pub pid: u32,
    pidfd: OwnedFd,
}

impl Witness {
    /// The same process once more.
    pub fn again(&self) -> Option<Self> {
        let pidfd = self.pidfd.try_clone().ok()?;
        Some(Self {
            pid: self.pid,
            pidfd,
        })
    }

    /// Whether what was read by its number is its own.
    pub fn lives(&self) -> bool {
        warren_sys::is_alive(self.pidfd.as_fd()).is_ok()
    }

    /// A process that is in this namespace now.
    pub fn of(
        proc: &ProcRoot,
        snapshot: &Snapshot,
        kind: Kind,
        id: NsId,
    ) -> Option<Self> {
        let number = snapshot.namespace(id)?.pid?;
        let pid = Pid::from_raw(i32::try_from(number).ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let there = namespaces_of(proc, number).ok()?.get(kind) == Some(id);
        there.then_some(Self { pid: number, pidfd })
    }
}

impl Subject {
    /// Finds what a target stands for. A process that may not be examined is a subject
    /// too: /proc shows some of it to everybody.
    pub fn find(proc: &ProcRoot, target: &Target) -> Result<Self, Failure> {
        let stores = stores();
        let search = Search {
            proc,
            stores: &stores,
        };
        match (target.find(&search), target) {
            (Ok(found), _) => Ok(Self::from_found(found)),
            (Err(error), Target::Process(pid)) if error.errno() == Errno::ACCESS => {
                Self::unexamined(*pid).map_err(|_| error.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// What stands for the host in a snapshot: pid 1 or, where that may not be examined,
    /// the kernel's own threads; to who may examine neither, the caller.
    pub fn host(proc: &ProcRoot, snapshot: &Snapshot) -> Result<Self, Failure> {
        let pid = snapshot.reference.map_or(1, |reference| reference.pid);
        let mut host = Self::find(proc, &Target::Process(pid))?;
        let name = if pid <= 2 { "the host" } else { "this shell" };
        host.name = format!("{name}, process {pid}");
        Ok(host)
    }

    fn from_found(found: Found) -> Self {
        let process = found.process.map(|(pid, pidfd)| Witness { pid, pidfd });
        Self {
            name: found.name,
            process,
            namespaces: found.namespaces,
        }
    }

    fn unexamined(number: u32) -> Result<Self, Errno> {
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
        let pidfd = pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        Ok(Self {
            name: format!("process {number}"),
            process: Some(Witness { pid: number, pidfd }),
            namespaces: Vec::new(),
        })
    }

    /// The namespace of this kind.
    pub fn namespace(&self, kind: Kind) -> Option<&NsFd> {
        self.namespaces.iter().find(|found| found.kind() == kind)
    }

    /// The kinds that can be looked at: all of a process, those that are open else.
    pub fn kinds(&self) -> NamespaceSet {
        match self.process {
            Some(_) => NamespaceSet::ALL,
            None => self.namespaces.iter().map(NsFd::kind).collect(),
        }
    }

    /// The kinds of which the subject has the caller's own namespace.
    pub fn shared(&self, own: &NamespaceIds) -> NamespaceSet {
        let is_own = |found: &&NsFd| found.id().ok() == own.get(found.kind());
        self.namespaces
            .iter()
            .filter(is_own)
            .map(NsFd::kind)
            .collect()
    }
}
