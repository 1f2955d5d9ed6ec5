//! Another program in a container that runs.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use warren_namespaces::Kind;
use warren_spawn::{
    Child, Host, IdMapping, Join, Namespace, Namespaces, Open, Plan, Root, Spec,
};
use super::console;
use super::container::Container;
use super::create::{live_as_a_container, size, write_pid_file};
use super::error::Error;
use super::init::Init;
use super::start::explain;
use super::status::Status;
use crate::config::{Config, Process};
use crate::kinds;

/// What is wanted of a further program.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// What is run, and as whom.
    pub process: Process,
    /// Whether the caller does not wait for it.
    pub detached: bool,
    /// A file for its number.
    pub pid_file: Option<PathBuf>,
    /// A socket that takes the other end of its terminal.
    pub console_socket: Option<PathBuf>,
    /// A socket that takes a pidfd of it.
    pub pidfd_socket: Option<PathBuf>,
    /// The rows and columns of its terminal, where the process does not say.
    pub terminal_size: Option<(u16, u16)>,
    /// How many descriptors from 3 on it inherits.
    pub preserve_fds: u32,
    /// Whether it is started though the container is frozen, and it too then.
    pub ignore_paused: bool,
}

/// A program that runs in a container.
#[derive(Debug)]
pub struct Executed {
    /// Its process.
    pub child: Child,
}

impl Container {
    /// Runs another program in the container, with all that confines the first.
    ///
    /// # Errors
    /// Where the container does not run, or the program cannot be executed.
    pub fn exec(&self, wanted: &Exec) -> Result<Executed, Error> {
        let init = self.enterable(wanted)?;
        let keep: Vec<i32> = (3..3 + wanted.preserve_fds as i32).collect();
        let mut config = self.config()?;
        config.process = Some(wanted.process.clone());
        check_terminal(wanted)?;
        let (mut spec, _) = crate::to_spec(&config, self.bundle())?;
        let namespaces = self.namespaces(&config, init)?;
        enter(&mut spec, &namespaces);
        size(&mut spec.terminal, wanted.terminal_size);
        spec.keep_fds = keep;
        let plan = Plan::new(&spec, &Host::probe())?;
        let plan = if wanted.detached { plan } else { plan.holding_signals() };
        let launched = plan.launch();
        let mut child = launched.map_err(|error| explain(error, Some(&wanted.process)))?;
        self.hand_over(wanted, &mut child).inspect_err(|_| {
            let _ = child.kill();
        })?;
        Ok(Executed { child })
    }

    fn enterable(&self, wanted: &Exec) -> Result<Init, Error> {
        match self.status()? {
            Status::Stopped => {
                return Err(Error::new("cannot exec in a stopped container"));
            }
            Status::Paused if !wanted.ignore_paused => {
                let message = "cannot exec in a paused container (use --ignore-paused to override)";
                return Err(Error::new(message));
            }
            _ => {}
        }
        self.running_init()
    }

    /// The namespaces that the container has and the caller may not, open. They are its
    /// own, since its process still lives after they were opened by its number.
    fn namespaces(
        &self,
        config: &Config,
        init: Init,
    ) -> Result<Vec<(Kind, OwnedFd)>, Error> {
        let linux = config.linux.as_ref();
        let listed = linux.map(|linux| linux.namespaces.as_slice()).unwrap_or_default();
        let kinds = listed.iter().filter_map(|one| kinds::kind(&one.r#type));
        let mut open = Vec::new();
        for kind in kinds {
            let path = format!("{}/ns/{kind}", init.pid);
            let file = self.proc.open_file(&path).map_err(|errno| {
                Error::errno(format!("open the {kind} namespace of the container"), errno)
            })?;
            open.push((kind, file));
        }
        match init.is_alive(&self.proc) {
            true => Ok(open),
            false => Err(Error::new("cannot exec in a stopped container")),
        }
    }

    fn hand_over(&self, wanted: &Exec, child: &mut Child) -> Result<(), Error> {
        if let Some(path) = &wanted.console_socket {
            let socket = console::connect(path)?;
            if let Some(terminal) = child.take_terminal() {
                console::hand_over(&socket, terminal.master.as_fd(), "/dev/ptmx")?;
            }
        }
        if let Some(path) = &wanted.pidfd_socket {
            let socket = console::connect(path)?;
            console::hand_over(&socket, child.pidfd(), "pidfd")?;
        }
        write_pid_file(wanted.pid_file.as_deref(), child.id())
    }
}

/// What a container is made with and a further program finds there.
fn enter(spec: &mut Spec, namespaces: &[(Kind, OwnedFd)]) {
    let mut joined = Namespaces::default();
    for (kind, file) in namespaces {
        let open = Open {
            fd: file.as_raw_fd(),
            name: "of the container".to_owned(),
        };
        joined.set(*kind, Namespace::Join(Join::Open(open)));
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
    live_as_a_container(spec);
    // Whoever is inside may be able to trace what comes in.
    spec.hidden = true;
}

fn check_terminal(wanted: &Exec) -> Result<(), Error> {
    match (wanted.process.terminal, wanted.detached, &wanted.console_socket) {
        (true, true, None) => Err(Error::new(
            "cannot allocate tty if runc will detach without setting console socket",
        )),
        (false, _, Some(_)) | (_, false, Some(_)) => Err(Error::new(
            "cannot use console socket if runc will not detach or allocate tty",
        )),
        _ => Ok(()),
    }
}
