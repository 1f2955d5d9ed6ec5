//! The two ways to look: from inside and from outside.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use warren_namespaces::{Kind, NamespaceSet, NsFd, ProcRoot};

use crate::inside::WHOLE;
use crate::{Cgroup, Clocks, IdOutside, Inside, Ipc, Mounts, Net, User, Uts};

/// What is to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// These kinds.
    pub kinds: NamespaceSet,
    /// A process in the namespaces, as the caller's /proc counts.
    pub pid: Option<u32>,
}

/// Moves the calling process into these namespaces, as far as the kernel lets it, and
/// asks there; for the kinds without one it asks where the process is already.
///
/// Meant for a process that is made for it and ends afterwards: the way is one-way, and
/// where it leads through a user namespace the caller's rights are gone. The process must
/// have one thread (setns(2)). It enters no pid namespace, executes nothing and opens no
/// file of the target but through `proc`, and a mount namespace only if no process shows
/// its mounts. It makes itself undumpable, so that nobody inside can trace it.
///
/// `candidates` are network namespaces in which the other ends of links may be.
#[must_use]
pub fn from_inside(
    proc: &ProcRoot,
    namespaces: &[NsFd],
    candidates: &[NsFd],
    request: Request,
) -> Inside {
    let mut look = Look {
        proc,
        candidates,
        request,
        entered: NamespaceSet::EMPTY,
        inside: Inside::default(),
    };
    // Not even root of the target's user namespace may trace what is not dumpable: the
    // memory belongs to the user namespace in which the program was executed.
    if let Err(errno) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        look.nothing(errno);
        return look.inside;
    }
    look.through(namespaces);
    look.inside
}

struct Look<'a> {
    proc: &'a ProcRoot,
    candidates: &'a [NsFd],
    request: Request,
    entered: NamespaceSet,
    inside: Inside,
}

impl Look<'_> {
    fn nothing(&mut self, errno: Errno) {
        for kind in self.request.kinds.iter() {
            self.inside.miss(kind, WHOLE, errno);
        }
    }

    /// First with the caller's own rights, then with those that the user namespace
    /// gives: root of the machine may enter all others only before that, who made a user
    /// namespace only after.
    fn through(&mut self, namespaces: &[NsFd]) {
        let there: NamespaceSet = namespaces.iter().map(NsFd::kind).collect();
        for kind in self
            .request
            .kinds
            .iter()
            .filter(|kind| !there.contains(*kind))
        {
            self.gather(kind);
        }
        let (user, others): (Vec<_>, Vec<_>) = namespaces
            .iter()
            .partition(|namespace| namespace.kind() == Kind::User);
        let refused: Vec<(&NsFd, Errno)> = others
            .into_iter()
            .filter_map(|namespace| Some((namespace, self.visit(namespace).err()?)))
            .collect();
        let entered = match user.first() {
            Some(user) => self.visit(user),
            // Of a namespace alone, its owner is what gives rights over it.
            None => refused.first().map_or(Ok(()), |(namespace, _)| {
                let owner = namespace.owner()?;
                warren_sys::setns(owner.as_fd(), Kind::User.clone_flag())
            }),
        };
        if let (Some(user), Err(errno)) = (user.first(), entered) {
            self.inside.miss(user.kind(), "limits", errno);
        }
        for (namespace, first) in refused {
            if entered.is_err() || self.visit(namespace).is_err() {
                self.inside.miss(namespace.kind(), WHOLE, first);
            }
        }
    }

    fn visit(&mut self, namespace: &NsFd) -> Result<(), Errno> {
        let kind = namespace.kind();
        warren_sys::setns(namespace.as_fd(), kind.clone_flag())?;
        self.entered = self.entered.with(kind);
        self.gather(kind);
        Ok(())
    }

    fn own_folder(&self) -> Result<String, Errno> {
        self.proc.own_folder().map_err(|error| error.errno())
    }

    fn gather(&mut self, kind: Kind) {
        let (proc, pid) = (self.proc, self.request.pid);
        match kind {
            Kind::Uts => self.inside.uts = Some(Uts::own()),
            Kind::Net => {
                let net = Net::own(proc, self.candidates);
                self.inside.net = self.inside.keep(kind, net);
            }
            Kind::Ipc => {
                let may_unshare = self.entered.contains(Kind::Ipc);
                let ipc = Ipc::own(proc, may_unshare);
                self.inside.ipc = self.inside.keep(kind, ipc);
                if self
                    .inside
                    .ipc
                    .as_ref()
                    .is_some_and(|ipc| ipc.mqueues.is_none())
                {
                    let what = "POSIX message queues";
                    self.inside.miss(kind, what, Errno::PERM);
                }
            }
            Kind::User => self.user(),
            Kind::Mnt if pid.is_none() => {
                let mounts = self.own_text("mountinfo").map(|text| Mounts::parse(&text));
                self.inside.mnt = self.inside.keep(kind, mounts);
            }
            Kind::Time => {
                let clocks = self.own_text("timens_offsets");
                let clocks =
                    clocks.and_then(|text| Clocks::parse(&text).ok_or(Errno::INVAL));
                self.inside.time = self.inside.keep(kind, clocks);
            }
            Kind::Cgroup => {
                if let Some(pid) = pid {
                    let cgroup = Cgroup::inside(proc, pid);
                    self.inside.cgroup = self.inside.keep(kind, cgroup);
                }
            }
            // Read from outside, by the members' own folders in /proc.
            Kind::Mnt | Kind::Pid => {}
        }
    }

    /// The maps of a process are read from outside, in the caller's own numbers; of a
    /// namespace without one, here, in those of its parent.
    fn user(&mut self) {
        let maps = match self.request.pid {
            Some(_) => Ok(User::default()),
            None => self
                .own_folder()
                .and_then(|own| User::of_process(self.proc, &own)),
        };
        let entered = self.entered.contains(Kind::User);
        let outside = if entered {
            IdOutside::Parent
        } else {
            IdOutside::Caller
        };
        self.inside.user = self.inside.keep(Kind::User, maps).map(|user| User {
            outside,
            limits: Some(User::own_limits(self.proc)),
            ..user
        });
    }

    fn own_text(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let path = format!("{}/{name}", self.own_folder()?);
        self.proc.read(&path).map_err(|error| error.errno())
    }
}

/// Reads what /proc shows of a process to a caller that enters nothing.
#[must_use]
pub fn from_outside(proc: &ProcRoot, pid: u32, kinds: NamespaceSet) -> Inside {
    let mut inside = Inside::default();
    let text = |name: &str| {
        let path = format!("{pid}/{name}");
        proc.read(&path).map_err(|error| error.errno())
    };
    for kind in kinds.iter() {
        match kind {
            Kind::Mnt => {
                let mounts = text("mountinfo").map(|text| Mounts::parse(&text));
                inside.mnt = inside.keep(kind, mounts);
            }
            Kind::Net => {
                let net = Net::of_process(proc, pid);
                inside.net = inside.keep(kind, net);
            }
            Kind::User => {
                let user = User::of_process(proc, &pid.to_string());
                inside.user = inside.keep(kind, user);
            }
            Kind::Cgroup => {
                let cgroup = Cgroup::of_process(proc, pid);
                inside.cgroup = inside.keep(kind, cgroup);
            }
            Kind::Time => {
                let clocks = text("timens_offsets");
                let clocks =
                    clocks.and_then(|text| Clocks::parse(&text).ok_or(Errno::INVAL));
                inside.time = inside.keep(kind, clocks);
            }
            // No file of another process tells of these; pids take a look at all.
            Kind::Uts | Kind::Ipc | Kind::Pid => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_of_the_caller_is_seen_from_outside() {
        let proc = ProcRoot::open().expect("/proc");
        let seen = from_outside(&proc, std::process::id(), NamespaceSet::ALL);
        for kind in [Kind::Mnt, Kind::Net, Kind::User, Kind::Cgroup, Kind::Time] {
            assert!(seen.has(kind), "{kind}: {:?}", seen.missing);
        }
        assert!(!seen.has(Kind::Uts));
    }

    #[test]
    fn a_process_that_is_gone_is_missing_and_no_panic() {
        let proc = ProcRoot::open().expect("/proc");
        let seen = from_outside(&proc, u32::MAX, NamespaceSet::ALL);
        assert!(seen.missing.iter().any(|hole| hole.kind == Kind::Mnt));
    }
}
