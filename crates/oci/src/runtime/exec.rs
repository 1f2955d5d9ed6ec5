//! Another program in a container that runs.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::AtFlags;

use super::container::Container;
use super::create::{live_as_a_container, tell_listener};
use super::error::Error;
use super::follow;
use super::grant;
use super::group::failed;
use super::handover::Handover;
use super::init::Init;
use super::start::explain;
use super::status::Status;
use super::surface;
use crate::config::{Config, Process};
use crate::kinds;
use warren_cgroups::{Entrance, Hierarchies, Hierarchy, Limits};
use warren_namespaces::{Kind, NamespaceSet};
use warren_spawn::{
    Child, Folder, Host, IdMapping, Join, Namespace, Namespaces, Open, Plan, Root, Spec,
    TimeOffsets,
};

/// What is wanted of a further program.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// What is run, and as whom.
    pub process: Process,
    /// What passes between it and the caller.
    pub handover: Handover,
    /// Control groups below the container's that it is put in: a path, or controllers with
    /// commas between, a colon and a path.
    pub cgroups: Vec<String>,
    /// Whether it is started though the container is frozen, and it too then.
    pub ignore_paused: bool,
    /// Whether somebody wants to know what is done.
    pub followed: bool,
}

/// A program that runs in a container.
#[derive(Debug)]
pub struct Executed {
    /// Its process.
    pub child: Child,
    /// What was done, if somebody wants to know.
    pub told: Vec<String>,
}

impl Container {
    /// Runs another program in the container, with all that confines the first.
    ///
    /// # Errors
    /// Where the container does not run, or the program cannot be executed.
    pub fn exec(&self, wanted: &Exec) -> Result<Executed, Error> {
        let init = self.enterable(wanted)?;
        let keep = wanted.handover.descriptors(0)?;
        let mut config = self.config()?;
        config.process = Some(wanted.process.clone());
        let process = format!("process {}", init.pid);
        let pidfd = init.pidfd();
        let pidfd =
            pidfd.map_err(|errno| Error::errno(format!("open {process}"), errno))?;
        let process = (process, pidfd);
        let namespaces = self.namespaces(&config, init);
        let root = surface::root(&self.record, &self.proc, init)?;
        if root.is_some() {
            surface::prepare(&mut config, self.bundle())?;
        }
        let (mut spec, _) = crate::to_spec(&config, self.bundle())?;
        wanted.handover.settle_terminal(&mut spec.terminal)?;
        let host = Host::probe();
        grant::leave_out(&mut spec, &host);
        enter(&mut spec, namespaces, &process);
        if let Some(user) = &mut spec.user
            && self.drops_no_group(init)?
        {
            user.groups = user.groups.take().filter(|groups| !groups.is_empty());
        }
        let root = root.map(|root| ("the root of the container".to_owned(), root));
        spec.chroot = root.iter().map(open).map(Folder::Open).collect();
        if let Some(wanted) = &wanted.process.exec_cpu_affinity {
            let affinity = crate::affinity(wanted)?;
            spec.affinity.initial = affinity.initial;
            spec.affinity.last = affinity.last.or(spec.affinity.last);
        }
        spec.session_keyring = self.record.session_keyring();
        let (groups, cradle) = self.groups(wanted, init)?;
        // All that was opened by its number was its own.
        if !init.is_alive(&self.proc) {
            return Err(Error::new("cannot exec in a stopped container"));
        }
        spec.cgroups = groups.iter().map(open).collect();
        spec.born_in = cradle.as_ref().map(open);
        tell_listener(&mut spec, self, &config);
        spec.keep_fds = keep;
        let plan = wanted.handover.watched(Plan::new(&spec, &host)?);
        let launched = plan.launch_below(&self.proc);
        let mut child =
            launched.map_err(|error| explain(error, Some(&wanted.process)))?;
        let handed = wanted.handover.hand_over(&mut child);
        handed
            .and_then(|()| wanted.handover.write_pid_file(child.id()))
            .inspect_err(|_| {
                let _ = child.kill();
            })?;
        let told = follow::told(&spec, wanted.followed, follow::ENTERED);
        Ok(Executed { child, told })
    }

    fn enterable(&self, wanted: &Exec) -> Result<Init, Error> {
        match self.status_and_init()? {
            (Status::Stopped, _) => Err(Error::new("cannot exec in a stopped container")),
            (Status::Paused, _) if !wanted.ignore_paused => {
                let message =
                    "cannot exec in a paused container (use --ignore-paused to override)";
                Err(Error::new(message))
            }
            (_, init) => init.ok_or_else(Error::not_running),
        }
    }

    /// The namespaces that the container has and the caller may not.
    ///
    /// Those that are not listed are its maker's, and another caller's are others; and who is
    /// brought back by criu has a time namespace, whatever is listed.
    fn namespaces(&self, config: &Config, init: Init) -> NamespaceSet {
        let linux = config.linux.as_ref();
        let listed = linux
            .map(|linux| linux.namespaces.as_slice())
            .unwrap_or_default();
        let is_listed = |kind: Kind| {
            let mut all = listed.iter();
            all.any(|one| kinds::kind(&one.r#type) == Some(kind))
        };
        let kinds = Kind::ALL.into_iter();
        kinds
            .filter(|kind| is_listed(*kind) || self.is_elsewhere(init, *kind))
            .collect()
    }

    /// Whether its first process is in another namespace of this kind than the caller.
    fn is_elsewhere(&self, init: Init, kind: Kind) -> bool {
        let number = |process: &str| {
            let path = format!("{process}/ns/{kind}");
            let stat = rustix::fs::statat(&self.proc, path, AtFlags::empty());
            stat.ok().map(|stat| stat.st_ino)
        };
        number(&init.pid.to_string()) != number("self")
    }

    /// Whether nobody can drop a group in its user namespace, as in one of a single id: the
    /// caller's stay then, as those of its first process have.
    fn drops_no_group(&self, init: Init) -> Result<bool, Error> {
        let file = format!("{}/setgroups", init.pid);
        let text = self.proc.read(&file);
        let text = text.map_err(|error| Error::new(error.to_string()))?;
        Ok(text.starts_with(b"deny"))
    }

    /// The control groups in which its first process is, or others below the container's:
    /// an open `cgroup.procs` each, and the folder of the only one if a process can be born
    /// there. As the pidfd, they are found by its number.
    fn groups(
        &self,
        wanted: &Exec,
        init: Init,
    ) -> Result<(Vec<Named>, Option<Named>), Error> {
        if self.record.cgroup.is_none() {
            return Ok((Vec::new(), None));
        }
        let hierarchies = self.hierarchies()?;
        let entrance = Entrance::of_process(hierarchies, &self.proc, init.pid);
        let entrance = entrance.map_err(failed)?;
        let (mut open, cradle) = entrance.into_open();
        let cradle = cradle.filter(|_| wanted.cgroups.is_empty());
        for below in &wanted.cgroups {
            self.go_below(below, hierarchies, &mut open)?;
        }
        Ok((
            open,
            cradle.map(|folder| ("the control group".to_owned(), folder)),
        ))
    }

    /// `PATH`, or `CONTROLLER[,CONTROLLER]...:PATH`, below the group of the container.
    fn go_below(
        &self,
        wanted: &str,
        hierarchies: &Hierarchies,
        open: &mut Vec<Named>,
    ) -> Result<(), Error> {
        let (controllers, path) = match wanted.split_once(':') {
            Some((controllers, path)) => (Some(controllers), path),
            None => (None, wanted),
        };
        let below = Path::new(path.trim_start_matches('/'));
        let group = self
            .record
            .cgroup
            .as_ref()
            .map(|group| group.path.join(below));
        let group = group.unwrap_or_default();
        let is_upwards = |part| matches!(part, std::path::Component::ParentDir);
        if below.components().any(is_upwards) {
            let message = format!("bad sub cgroup path: {path}");
            return Err(Error::new(message));
        }
        let is_meant = |hierarchy: &&Hierarchy| match controllers {
            None => true,
            Some(names) => names
                .split(',')
                .any(|name| hierarchy.controllers.iter().any(|own| own == name)),
        };
        let mut found = false;
        for hierarchy in hierarchies.list.iter().filter(is_meant) {
            found = true;
            let inside = group.strip_prefix("/").unwrap_or(&group);
            let file = hierarchy.path(inside).join("cgroup.procs");
            let name = file.display().to_string();
            let root = hierarchy.path(Path::new("")).display().to_string();
            let opened = std::fs::OpenOptions::new().write(true).open(&file);
            let opened = opened.map_err(|error| {
                Error::io(format!("adding pid of the program to {name}"), &error)
            })?;
            open.retain(|(path, _)| !Path::new(path).starts_with(&root));
            open.push((name, opened.into()));
        }
        match found {
            true => Ok(()),
            false => Err(Error::new(format!(
                "unknown controller in --cgroup {wanted}"
            ))),
        }
    }
}

/// What is open, and its name for messages.
type Named = (String, OwnedFd);

fn open((name, file): &Named) -> Open {
    Open {
        fd: file.as_raw_fd(),
        name: name.clone(),
    }
}

/// What a container is made with and a further program finds there.
fn enter(spec: &mut Spec, namespaces: NamespaceSet, process: &Named) {
    let mut joined = Namespaces::default();
    for kind in namespaces.iter() {
        joined.set(kind, Namespace::Join(Join::Pidfd(open(process))));
    }
    spec.callers_child = matches!(joined.get(Kind::Pid), Namespace::Join(_));
    spec.namespaces = joined;
    spec.id_map = IdMapping::Auto;
    spec.root = Root::Inherit;
    spec.mounts.clear();
    spec.sysctl.clear();
    spec.hostname = None;
    spec.domainname = None;
    spec.loopback = false;
    spec.root_propagation = None;
    spec.mount_label = None;
    spec.interfaces.clear();
    spec.time_offsets = TimeOffsets::default();
    spec.cache_class = None;
    spec.limits = Limits::default();
    spec.cgroup = None;
    live_as_a_container(spec);
}
