//! The two ways to look: from inside and from outside.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use warren_namespaces::{Kind, NamespaceSet, NsFd, ProcRoot};

use crate::{
    Cgroup, Clocks, IdOutside, Inside, Ipc, Missing, Most, Mounts, Net, User, Uts,
};

/// What is to be looked at from inside.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// These kinds.
    pub kinds: NamespaceSet,
    /// Those of which a process shows the mounts or id maps to who is outside.
    pub shown: NamespaceSet,
    /// The process whose cgroups are asked for, as the caller's /proc counts.
    pub cgroup_of: Option<u32>,
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
            self.inside.miss(kind, Missing::EVERYTHING, errno);
        }
    }

    /// First with the caller's own rights, then with those that the user namespace
    /// gives: root of the machine may enter all others only before that, who made a user
    /// namespace only after.
    fn through(&mut self, namespaces: &[NsFd]) {
        let there: NamespaceSet = namespaces.iter().map(NsFd::kind).collect();
        for kind in Kind::ALL.into_iter().filter(|kind| !there.contains(*kind)) {
            self.gather(kind);
        }
        let is_user = |namespace: &&NsFd| namespace.kind() == Kind::User;
        let (users, others): (Vec<&NsFd>, Vec<&NsFd>) =
            namespaces.iter().partition(is_user);
        let refused: Vec<(&NsFd, Errno)> = others
            .iter()
            .filter_map(|namespace| Some((*namespace, self.visit(namespace).err()?)))
            .collect();
        let entered = match users.first() {
            Some(user) => self.visit(user),
            None => self.enter_owner(others.first().copied()),
        };
        match entered {
            Ok(()) => self.inside.limits = Some(Most::own(self.proc)),
            Err(errno) => self.inside.miss(Kind::User, "limits", errno),
        }
        for (namespace, first) in refused {
            if entered.is_err() || self.visit(namespace).is_err() {
                self.inside
                    .miss(namespace.kind(), Missing::EVERYTHING, first);
            }
        }
    }

    /// Of namespaces alone, their owner is what gives rights over them. The caller's own
    /// is not entered again, which the kernel refuses.
    fn enter_owner(&self, namespace: Option<&NsFd>) -> Result<(), Errno> {
        let Some(namespace) = namespace else {
            return Ok(());
        };
        let owner = namespace.owner()?.id()?;
        let own = format!("{}/ns/user", self.own_folder()?);
        let own = rustix::fs::statat(self.proc, own, AtFlags::empty())?;
        if (owner.device, owner.inode) == (own.st_dev, own.st_ino) {
            return Ok(());
        }
        join(&namespace.owner()?)
    }

    fn visit(&mut self, namespace: &NsFd) -> Result<(), Errno> {
        let kind = namespace.kind();
        join(namespace)?;
        self.entered = self.entered.with(kind);
        self.gather(kind);
        Ok(())
    }

    fn own_folder(&self) -> Result<String, Errno> {
        self.proc.own_folder().map_err(|error| error.errno())
    }

    /// Asks for a kind in the namespace in which the process now is.
    fn gather(&mut self, kind: Kind) {
        if !self.request.kinds.contains(kind) {
            return;
        }
        let shown = self.request.shown.contains(kind);
        match kind {
            Kind::Uts => self.inside.uts = Some(Uts::own()),
            Kind::Net => {
                let net = Net::own(self.proc, self.candidates);
                self.inside.net = self.inside.keep(kind, net);
            }
            Kind::Ipc => self.ipc(),
            Kind::User if !shown => self.id_maps(),
            Kind::Mnt if !shown => {
                let mounts = self.own_text("mountinfo").map(|text| Mounts::parse(&text));
                self.inside.mnt = self.inside.keep(kind, mounts);
            }
            Kind::Time => {
                let text = self.own_text("timens_offsets");
                let clocks =
                    text.and_then(|text| Clocks::parse(&text).ok_or(Errno::INVAL));
                self.inside.time = self.inside.keep(kind, clocks);
            }
            Kind::Cgroup => {
                let cgroup = match self.request.cgroup_of {
                    Some(pid) => Cgroup::inside(self.proc, pid),
                    // A cgroup is the process's, not the namespace's.
                    None => Err(Errno::SRCH),
                };
                self.inside.cgroup = self.inside.keep(kind, cgroup);
            }
            // Read from outside, by the folders of processes in /proc.
            Kind::Mnt | Kind::User | Kind::Pid => {}
        }
    }

    fn ipc(&mut self) {
        let may_unshare = self.entered.contains(Kind::Ipc);
        let ipc = Ipc::own(self.proc, may_unshare);
        let uids_inside = self.entered.contains(Kind::User);
        let ipc = ipc.map(|ipc| Ipc { uids_inside, ..ipc });
        self.inside.ipc = self.inside.keep(Kind::Ipc, ipc);
        let listed = |ipc: &Ipc| ipc.mqueues.is_some();
        if !self.inside.ipc.as_ref().is_none_or(listed) {
            let what = "POSIX message queues";
            self.inside.miss(Kind::Ipc, what, Errno::PERM);
        }
    }

    fn id_maps(&mut self) {
        let own = self.own_folder();
        let maps = own.and_then(|own| User::of_process(self.proc, &own));
        let outside = if self.entered.contains(Kind::User) {
            IdOutside::Parent
        } else {
            IdOutside::Caller
        };
        let maps = maps.map(|maps| User { outside, ..maps });
        self.inside.user = self.inside.keep(Kind::User, maps);
    }

    fn own_text(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let path = format!("{}/{name}", self.own_folder()?);
        self.proc.read(&path).map_err(|error| error.errno())
    }
}

/// Enters a namespace; another user namespace changes what the process may do, upon which
/// the kernel sets its dumpability to fs.suid_dumpable.
fn join(namespace: &NsFd) -> Result<(), Errno> {
    let kind = namespace.kind();
    warren_sys::setns(namespace.as_fd(), kind.clone_flag())?;
    match kind {
        Kind::User => set_dumpable_behavior(DumpableBehavior::NotDumpable),
        _ => Ok(()),
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
