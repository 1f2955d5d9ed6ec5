//! Keeping namespaces: new ones, or some that exist.

use std::fmt::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::path::Path;

use warren_confine::CapabilitySet;
use warren_namespaces::kept::{By, Claim, HolderId};
use warren_namespaces::{Found, Kind, NamespaceSet, NsFd, ProcRoot, namespaces_of};
use warren_spawn::{
    Child, Host, Join, Mount, Namespace, Namespaces, Open, Plan, ProcMasks, Role, Spec,
};

use super::{Arguments, Keeping};
use crate::failure::{self, Failure};
use crate::{run, supervise};

pub fn run(
    arguments: &Arguments,
    name: &str,
    keeping: &Keeping,
    host: &Host,
    proc: &ProcRoot,
) -> Result<(), Failure> {
    let found = arguments
        .from
        .as_deref()
        .map(|target| super::find_target(target, proc))
        .transpose()?;
    let job = Job::new(arguments, name, keeping, host, proc, found.as_ref())?;
    if arguments.plan {
        return failure::print(&job.text(found.as_ref()));
    }
    job.run(proc, found.as_ref())
}

/// What is to be kept, and how it comes to be.
struct Job<'a> {
    name: &'a str,
    keeping: &'a Keeping,
    kinds: NamespaceSet,
    /// The process that makes or joins them; mounts of existing ones need none.
    plan: Option<Plan>,
    /// Whether that process is needed later.
    stays: bool,
}

impl<'a> Job<'a> {
    fn new(
        arguments: &Arguments,
        name: &'a str,
        keeping: &'a Keeping,
        host: &Host,
        proc: &ProcRoot,
        found: Option<&Found>,
    ) -> Result<Self, Failure> {
        let kinds = match found {
            Some(found) => kinds_of(found, arguments, proc)?,
            None => new_kinds(arguments, host),
        };
        keeping.store.check_free(name, kinds, keeping.by)?;
        let examinable = keeping.by == By::Holder;
        let spec = match found {
            Some(_) if keeping.by == By::Mounts => None,
            Some(found) => Some(joining(found, kinds, proc)?),
            None => Some(Spec {
                id_map: run::id_map(&map(arguments), kinds.contains(Kind::User))?,
                ..making(kinds)
            }),
        };
        let spec = spec.map(|spec| holding(spec, examinable));
        let plan = spec.map(|spec| Plan::new(&spec, host)).transpose()?;
        Ok(Self {
            name,
            keeping,
            kinds,
            stays: plan.is_some() && needs_holder(kinds, keeping.by),
            plan,
        })
    }

    fn run(self, proc: &ProcRoot, found: Option<&Found>) -> Result<(), Failure> {
        let Keeping { store, by } = self.keeping;
        let claim = store.claim(proc, self.name, self.kinds, *by)?;
        let mut child = self.plan.map(Plan::launch).transpose()?;
        let kept = keep(&claim, self.kinds, *by, child.as_ref(), found, proc)
            .and_then(|()| record(&claim, self.kinds, self.stays, child.as_ref(), proc))
            .and_then(|()| settle(self.stays, child.as_mut()));
        match kept {
            Ok(()) => claim.finish(),
            Err(_) => end(child.as_mut()),
        }
        kept
    }

    fn text(&self, found: Option<&Found>) -> String {
        let folder = self.keeping.store.folder().join(self.name);
        let folder = folder.display();
        let mut lines = vec![format!("{:8} make the folder {folder}", "parent")];
        if let Some(plan) = &self.plan {
            let steps = plan.steps().iter();
            lines.extend(steps.map(|step| format!("{:8} {step}", step.side())));
        }
        let mut ours = Vec::new();
        if self.keeping.by == By::Mounts {
            let from = found.map_or(String::new(), |found| format!(" of {}", found.name));
            for kind in self.kinds.iter() {
                ours.push(format!(
                    "mount the {kind} namespace{from} at {folder}/{kind}"
                ));
            }
            if self.kinds.contains(Kind::Net) {
                ours.push(format!(
                    "mount the net namespace at /run/netns/{}",
                    self.name
                ));
            }
        }
        ours.push(format!("write {folder}/record"));
        if self.plan.is_some() {
            ours.push(match self.stays {
                true => "let the process stay".to_owned(),
                false => "end the process".to_owned(),
            });
        }
        lines.extend(
            ours.into_iter()
                .map(|line| format!("{:8} {line}", "parent")),
        );
        let mut text = String::new();
        for (position, line) in lines.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:>4}  {line}", position + 1);
        }
        text
    }
}

/// A pid namespace is dead without its init, and a block of ids is free for others once
/// nobody holds it.
fn needs_holder(kinds: NamespaceSet, by: By) -> bool {
    by == By::Holder || kinds.contains(Kind::Pid) || kinds.contains(Kind::User)
}

// What is kept.

/// Without privilege there is no other way than a user namespace of one's own.
fn new_kinds(arguments: &Arguments, host: &Host) -> NamespaceSet {
    let needs_user = !host.is_privileged() || !arguments.map.is_empty();
    let mut kinds: NamespaceSet = arguments.kinds.iter().copied().collect();
    if kinds.is_empty() {
        kinds = NamespaceSet::ALL.without(Kind::User);
    }
    if needs_user {
        kinds = kinds.with(Kind::User);
    }
    kinds
}

/// What is asked for of what is there; if nothing is, all that is not the caller's. A pid
/// namespace ends with its init, so it must be asked for.
fn kinds_of(
    found: &Found,
    arguments: &Arguments,
    proc: &ProcRoot,
) -> Result<NamespaceSet, Failure> {
    let failed = |words: String| Failure::new(format!("keep {}: {words}", found.name));
    let there: NamespaceSet = found.namespaces.iter().map(NsFd::kind).collect();
    if let Some(kind) = arguments.kinds.iter().find(|kind| !there.contains(**kind)) {
        return Err(failed(format!("it has no {kind} namespace")));
    }
    if !arguments.kinds.is_empty() {
        return Ok(arguments.kinds.iter().copied().collect());
    }
    let own = namespaces_of(proc, std::process::id())?;
    let differs = |namespace: &&NsFd| {
        namespace.kind() != Kind::Pid && namespace.id().ok() != own.get(namespace.kind())
    };
    let kinds: NamespaceSet = found
        .namespaces
        .iter()
        .filter(differs)
        .map(NsFd::kind)
        .collect();
    if kinds.is_empty() {
        return Err(failed("its namespaces are the caller's".to_owned())
            .hint("`warren ls` shows which processes live in others")
            .hint(
                "a pid namespace ends with its init; --kinds pid keeps it until then",
            ));
    }
    Ok(kinds)
}

fn map(arguments: &Arguments) -> Vec<String> {
    match arguments.map.as_slice() {
        [] => vec!["auto".to_owned()],
        words => words.to_vec(),
    }
}

// The process.

fn making(kinds: NamespaceSet) -> Spec {
    // What is entered later shall see the processes that are there.
    let proc = Mount::Proc {
        target: "/proc".into(),
        masks: ProcMasks::None,
    };
    let mounts_proc = kinds.contains(Kind::Mnt) && kinds.contains(Kind::Pid);
    Spec {
        namespaces: Namespaces::new_of(kinds),
        mounts: if mounts_proc { vec![proc] } else { Vec::new() },
        loopback: kinds.contains(Kind::Net),
        ..Spec::default()
    }
}

fn joining(found: &Found, kinds: NamespaceSet, proc: &ProcRoot) -> Result<Spec, Failure> {
    if kinds.contains(Kind::Pid) {
        return Err(Failure::new(format!(
            "keep the pid namespace of {}: it ends with its init",
            found.name
        ))
        .hint("only root can keep it until then, by a mount"));
    }
    let mut namespaces = Namespaces::default();
    for namespace in &found.namespaces {
        if kinds.contains(namespace.kind()) {
            let open = Open {
                fd: namespace.as_fd().as_raw_fd(),
                name: namespace.to_string(),
            };
            namespaces.set(namespace.kind(), Namespace::Join(Join::Open(open)));
        }
    }
    let root = || crate::enter::root_of_process(found.process.as_ref()?.0, proc);
    Ok(Spec {
        namespaces,
        user: kinds.contains(Kind::User).then(root).flatten(),
        ..Spec::default()
    })
}

fn holding(spec: Spec, examinable: bool) -> Spec {
    Spec {
        capabilities: Some(CapabilitySet::EMPTY),
        parent_death_signal: Some(supervise::KILL),
        role: Role::Holder { examinable },
        ..spec
    }
}

// The work.

fn keep(
    claim: &Claim<'_>,
    kinds: NamespaceSet,
    by: By,
    child: Option<&Child>,
    found: Option<&Found>,
    proc: &ProcRoot,
) -> Result<(), Failure> {
    if by == By::Holder {
        return Ok(());
    }
    for kind in kinds.iter() {
        let opened;
        let namespace = match (child, found) {
            (Some(child), _) => {
                opened = of_child(child, kind, proc)?;
                Some(&opened)
            }
            (None, found) => found.and_then(|found| found.namespace(kind)),
        };
        if let Some(namespace) = namespace {
            claim.pin(namespace)?;
        }
    }
    Ok(())
}

/// A namespace of our own child, which nobody else reaps: its number is its own.
fn of_child(child: &Child, kind: Kind, _checked: &ProcRoot) -> Result<NsFd, Failure> {
    let path = format!("/proc/{}/ns/{kind}", child.id());
    NsFd::open(Path::new(&path)).map_err(|errno| {
        let words = warren_namespaces::errno_text(errno);
        Failure::new(format!("open {path}: {words}"))
    })
}

fn record(
    claim: &Claim<'_>,
    kinds: NamespaceSet,
    stays: bool,
    child: Option<&Child>,
    proc: &ProcRoot,
) -> Result<(), Failure> {
    let holder = child
        .filter(|_| stays)
        .map(|child| HolderId::of(proc, child.id(), child.pidfd()))
        .transpose()?;
    Ok(claim.record(kinds, holder)?)
}

/// What is written down can be found, so the holder may stay.
fn settle(stays: bool, child: Option<&mut Child>) -> Result<(), Failure> {
    let Some(child) = child else { return Ok(()) };
    if !stays {
        end(Some(child));
        return Ok(());
    }
    child.stay().map_err(|error| {
        let words = warren_namespaces::io_error_text(&error);
        Failure::new(format!("let the process {} stay: {words}", child.id()))
            .hint("somebody killed it, or the memory was used up (see dmesg)")
    })
}

/// Ends a process that was only needed meanwhile; one that is gone needs no ending.
fn end(child: Option<&mut Child>) {
    if let Some(child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}
