//! The whole picture of a subject: what it is, and what is inside.

use rustix::io::Errno;
use serde::Serialize;
use warren_inspect::{Inside, Missing, Pids, Request, from_outside, name_owners};
use warren_namespaces::{
    Kind, NamespaceIds, NamespaceSet, NsFd, NsId, ProcRoot, Scope, Snapshot,
    namespaces_of,
};

use super::helper;
use super::subject::{Subject, Witness};
use crate::failure::Failure;

/// A subject as it is now.
pub struct View {
    /// What it is, in words.
    pub name: String,
    /// The process that was named.
    pub pid: Option<u32>,
    /// The command line of that.
    pub command: Option<String>,
    /// What can be said about each namespace from outside.
    pub namespaces: Vec<Place>,
    /// What is in them.
    pub inside: Inside,
    /// Whether the process may not be examined, so that its namespaces are unknown.
    pub unexamined: bool,
}

/// One namespace among the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub kind: Kind,
    pub inode: u64,
    /// Whether the caller is in it.
    pub own: bool,
    /// Inode of the user namespace that owns it.
    pub owner: Option<u64>,
    /// Inode of its parent.
    pub parent: Option<u64>,
    /// Who made it, for a user namespace.
    pub owner_uid: Option<u32>,
    /// How many namespaces of the kind it is nested in; 0 for the first.
    pub level: Option<u32>,
    /// How many processes are in it, of those that the caller can see.
    pub processes: usize,
    /// How many of the kind its owner may have made, and how many of those were found.
    pub limit: Option<u64>,
    pub found: usize,
}

/// All processes and the owners of their namespaces: descriptors and sockets, which a
/// whole snapshot asks for, tell nothing of what is inside.
pub fn surroundings(proc: &ProcRoot) -> Result<Snapshot, Failure> {
    let mut scope = Scope::MEMBERS;
    scope.relations = true;
    Snapshot::take_with(proc, scope).map_err(Failure::new)
}

/// The most other network namespaces in which the peer of a link is looked for.
const CANDIDATES: usize = 32;

impl View {
    /// Looks at these kinds of a subject.
    pub fn take(
        proc: &ProcRoot,
        snapshot: &Snapshot,
        subject: &Subject,
        kinds: NamespaceSet,
    ) -> Result<Self, Failure> {
        let own = namespaces_of(proc, std::process::id()).map_err(Failure::new)?;
        let look = Look {
            proc,
            snapshot,
            subject,
            kinds: kinds
                .iter()
                .filter(|kind| subject.kinds().contains(*kind))
                .collect(),
            own,
        };
        let inside = look.inside()?;
        let namespaces = subject
            .namespaces
            .iter()
            .filter(|namespace| kinds.contains(namespace.kind()))
            .filter_map(|namespace| look.place(namespace, &inside))
            .collect();
        let pid = subject.process.as_ref().map(|process| process.pid);
        let unexamined = pid.is_some() && subject.namespaces.is_empty();
        Ok(Self {
            name: subject.name.clone(),
            pid,
            command: pid.and_then(|pid| command(proc, pid)),
            namespaces,
            inside,
            unexamined,
        })
    }

    /// The place of this kind.
    pub fn place(&self, kind: Kind) -> Option<&Place> {
        self.namespaces.iter().find(|place| place.kind == kind)
    }
}

/// The command line, or the name in brackets of a process that has none.
fn command(proc: &ProcRoot, pid: u32) -> Option<String> {
    let read = |name: &str| {
        let text = proc.read(&format!("{pid}/{name}")).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Some(text.trim_end_matches(['\0', '\n']).replace('\0', " "))
    };
    match read("cmdline") {
        Some(line) if !line.is_empty() => Some(line),
        _ => read("comm").map(|name| format!("[{name}]")),
    }
}

struct Look<'a> {
    proc: &'a ProcRoot,
    snapshot: &'a Snapshot,
    subject: &'a Subject,
    kinds: NamespaceSet,
    own: NamespaceIds,
}

impl Look<'_> {
    fn inside(&self) -> Result<Inside, Failure> {
        let witnesses = self.witnesses();
        let witness = |kind| {
            let mut found = witnesses.iter().filter(|(of, _)| *of == kind);
            found.next().map(|(_, witness)| witness.pid)
        };
        let mut inside = self.by_helper(&witness);
        for (kind, pid) in Kind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, witness(kind)?)))
        {
            let kind = NamespaceSet::EMPTY.with(kind);
            inside = inside.or(from_outside(self.proc, pid, kind));
        }
        if self.kinds.contains(Kind::Pid) {
            inside.pid = self
                .members(Kind::Pid)
                .map(|pids| Pids::of(self.proc, pids));
        }
        if let Some(net) = &mut inside.net {
            let members = self.members(Kind::Net).unwrap_or_default();
            let others = self.snapshot.processes.iter().map(|process| process.pid);
            // Those inside first: a socket can be lent to a process outside.
            name_owners(self.proc, net, members.into_iter().chain(others));
        }
        match witnesses.iter().all(|(_, witness)| witness.lives()) {
            true => Ok(inside),
            false => Err(Failure::new(format!(
                "look at {}: a process ended meanwhile",
                self.subject.name
            ))),
        }
    }

    /// For each kind a process that is in the namespace, and so shows it in /proc.
    fn witnesses(&self) -> Vec<(Kind, Witness)> {
        let of = |kind| {
            if let Some(process) = &self.subject.process {
                return process.again().map(|witness| (kind, witness));
            }
            let id = self.subject.namespace(kind)?.id().ok()?;
            let witness = Witness::of(self.proc, self.snapshot, kind, id)?;
            Some((kind, witness))
        };
        self.kinds.iter().filter_map(of).collect()
    }

    /// What a helper inside sees, of the kinds whose namespaces are open.
    fn by_helper(&self, witness: &impl Fn(Kind) -> Option<u32>) -> Inside {
        let shared = self.subject.shared(&self.own);
        let shown: NamespaceSet = [Kind::Mnt, Kind::User]
            .into_iter()
            .filter(|kind| witness(*kind).is_some())
            .collect();
        let is_entered = |namespace: &&NsFd| match namespace.kind() {
            Kind::Pid => false,
            // It gives the right to enter the others.
            Kind::User => !shared.contains(Kind::User),
            kind => {
                self.kinds.contains(kind)
                    && !shared.contains(kind)
                    && !shown.contains(kind)
            }
        };
        let entered: Vec<&NsFd> =
            self.subject.namespaces.iter().filter(is_entered).collect();
        let open: NamespaceSet = self.subject.namespaces.iter().map(NsFd::kind).collect();
        let kinds = self.kinds.iter().filter(|kind| open.contains(*kind));
        let request = Request {
            kinds: kinds.collect(),
            shown,
            cgroup_of: witness(Kind::Cgroup),
        };
        let candidates = match self.kinds.contains(Kind::Net) {
            true => self.candidates(),
            false => Vec::new(),
        };
        helper::look(&entered, &candidates, request)
            .unwrap_or_else(|why| unseen(request.kinds, &why))
    }

    /// Network namespaces where the other end of a link may be, the caller's own first.
    fn candidates(&self) -> Vec<NsFd> {
        let of_kind = |namespace: &&warren_namespaces::Namespace| {
            namespace.kind == Kind::Net && self.own.get(Kind::Net) != Some(namespace.id)
        };
        let others = self.snapshot.namespaces.iter().filter(of_kind);
        let pids = std::iter::once(std::process::id())
            .chain(others.filter_map(|namespace| namespace.pid));
        let path = |pid: u32| format!("/proc/{pid}/ns/net");
        pids.filter_map(|pid| NsFd::open(path(pid).as_ref()).ok())
            .take(CANDIDATES)
            .collect()
    }

    fn members(&self, kind: Kind) -> Option<Vec<u32>> {
        let id = self.subject.namespace(kind)?.id().ok()?;
        let members = self.snapshot.processes.iter();
        let members = members.filter(|process| process.namespaces.get(kind) == Some(id));
        Some(members.map(|process| process.pid).collect())
    }

    fn place(&self, namespace: &NsFd, inside: &Inside) -> Option<Place> {
        let (kind, id) = (namespace.kind(), namespace.id().ok()?);
        let known = self.snapshot.namespace(id);
        let owner = namespace.owner().ok().and_then(|owner| owner.id().ok());
        let inode = |id: NsId| id.inode;
        let same_owner = |other: &&warren_namespaces::Namespace| {
            other.kind == kind && other.owner.is_some() && other.owner == owner
        };
        let limits = inside.limits.iter().flatten();
        let mut limits = limits.filter(|limit| limit.kind == kind);
        Some(Place {
            kind,
            inode: id.inode,
            own: self.own.get(kind) == Some(id),
            owner: owner.map(inode),
            parent: namespace
                .parent()
                .ok()
                .and_then(|parent| parent.id().ok())
                .map(inode),
            owner_uid: namespace.owner_uid().ok(),
            level: level(namespace),
            processes: known.map_or(0, |known| known.processes),
            limit: limits.next().map(|limit| limit.most),
            found: self.snapshot.namespaces.iter().filter(same_owner).count(),
        })
    }
}

/// Nothing of these kinds, for this reason.
fn unseen(kinds: NamespaceSet, why: &str) -> Inside {
    let missing = kinds.iter().map(|kind| Missing {
        kind,
        what: Missing::EVERYTHING.to_owned(),
        errno: Errno::CHILD.raw_os_error(),
        reason: why.to_owned(),
    });
    Inside {
        missing: missing.collect(),
        ..Inside::default()
    }
}

/// How deep a user or pid namespace is nested; unknown where the first one is out of
/// the caller's sight.
fn level(namespace: &NsFd) -> Option<u32> {
    let first = namespace.kind().first_inode()?;
    let mut at = namespace.parent();
    let mut last = namespace.id().ok()?.inode;
    let mut level = 0;
    // The kernel nests them 32 deep at most.
    while let Ok(parent) = at {
        level += 1;
        last = parent.id().ok()?.inode;
        at = parent.parent();
    }
    (last == first && matches!(namespace.kind(), Kind::User | Kind::Pid)).then_some(level)
}
