//! From a bundle to a container that waits for its start, or runs.

use std::cell::OnceCell;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use warren_namespaces::Kind;
use warren_spawn::{
    Child, Host, Namespace, Open, Plan, Processors, PropagationKind, Spec, Terminal, gate,
};
use warren_sys::signal::SIGKILL;

use super::clock;
use super::container::Container;
use super::error::Error;
use super::follow;
use super::grant;
use super::group::Planned;
use super::handover::Handover;
use super::hooks::{self, Streams};
use super::init::Init;
use super::notify;
use super::record::{Record, VERSION};
use super::start::explain_whole;
use super::status::Status;
use super::store::{self, GATE, RECORD, Store, open_proc};
use super::surface;
use crate::config::{Config, Hooks};
use crate::unsupported::Unsupported;

/// The largest config.json that is read, in bytes.
const MOST: u64 = 16 << 20;

/// As many processors as sched_setaffinity(2) of glibc and of rustix knows.
const PROCESSORS: usize = 1024;

/// What a container is made of, and what its maker wants of it.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Its name.
    pub id: String,
    /// The folder from which its paths go, absolute.
    pub bundle: PathBuf,
    /// What it is to be, if not the config.json of that folder.
    pub config: Option<PathBuf>,
    /// Whether its program waits for [`Container::start`].
    pub gated: bool,
    /// What passes between its first process and the maker.
    pub handover: Handover,
    /// Whether systemd makes its control group.
    pub systemd: bool,
    /// Whether it has its maker's session keyring, and none of its own: keyrings(7).
    pub callers_keyring: bool,
    /// Where somebody waits to hear that its program is ready: sd_notify(3).
    pub notify_socket: Option<PathBuf>,
    /// Whether its root may lie on the old one, where that cannot be let go.
    pub without_pivot: bool,
    /// Whether somebody wants to know what is done.
    pub followed: bool,
    /// How many descriptors from 3 on were handed to the caller for it: sd_listen_fds(3).
    pub listen_fds: u32,
}

/// A container that was made.
#[derive(Debug)]
pub struct Created {
    /// The container.
    pub container: Container,
    /// Its first process.
    pub child: Child,
    /// What of its config.json nothing came of.
    pub notes: Vec<Unsupported>,
    /// What was done, if somebody wants to know.
    pub told: Vec<String>,
}

impl Store {
    /// Makes a container.
    ///
    /// # Errors
    /// In words; nothing of it is left then.
    pub fn create(&self, wanted: &Create) -> Result<Created, Error> {
        self.check_free(&wanted.id)?;
        let keep = wanted.handover.descriptors(wanted.listen_fds)?;
        let (text, mut config) = wanted.read_config()?;
        if wanted.notify_socket.is_some() {
            self.let_notify(&wanted.id, &mut config);
        }
        let lies_on = surface::prepare(&mut config, &wanted.bundle)?;
        let (mut spec, mut notes) = spec(wanted, &config, keep)?;
        let proc = open_proc()?;
        let limited = !spec.limits.is_empty();
        let group = Planned::new(&proc, &config, &wanted.id, wanted.systemd, limited)?;
        let mut record = record(wanted, &config);
        record.lies_on = lies_on;
        surface::settle(&mut spec, &record);
        record.cgroup = group.as_ref().map(|planned| planned.group.clone());
        spec.session_keyring = record.session_keyring();
        let mut host = Host::probe();
        notes.extend(grant::leave_out(&mut spec, &host));
        spec.cgroup = None;
        let hierarchies = OnceCell::new();
        if let Some(planned) = group {
            let _ = hierarchies.set(planned.ground.hierarchies());
            planned.check()?;
            spec.cgroup = Some(planned.placement);
            host.ground = Some(planned.ground);
        }
        let mut container = Container {
            text: record.text(&text),
            folder: self.make(&wanted.id)?,
            proc,
            record,
            hierarchies,
        };
        // A lock lasts as long as somebody has the descriptor: the process that waits for its
        // start would hold it when its maker was killed. Any other dies with that.
        if container.record.gated {
            spec.callers_fds = vec![container.folder.fd.as_raw_fd()];
        }
        let told = follow::told(&spec, wanted.followed, follow::MADE);
        let made =
            make(&container, spec, &host, wanted, &config).and_then(|mut child| {
                self.finish(wanted, &mut container, &mut child)
                    .map(|()| child)
            });
        match made {
            Ok(child) => {
                container.folder.unlock();
                Ok(Created {
                    container,
                    child,
                    notes,
                    told,
                })
            }
            Err(error) => {
                let _ = container.remove_by_force();
                Err(error)
            }
        }
    }

    /// What only a process that is there can have.
    pub(super) fn finish(
        &self,
        wanted: &Create,
        container: &mut Container,
        child: &mut Child,
    ) -> Result<(), Error> {
        wanted.handover.hand_over(child)?;
        self.complete(&wanted.id, &mut container.folder)?;
        wanted.handover.write_pid_file(child.id())
    }
}

impl Create {
    pub(super) fn read_config(&self) -> Result<(String, Config), Error> {
        let of_bundle = || self.bundle.join("config.json");
        let file = self.config.clone().unwrap_or_else(of_bundle);
        let doing = || format!("read {}", file.display());
        let io = |error: std::io::Error| Error::io(doing(), &error);
        let opened = fs::File::open(&file).map_err(io)?;
        let length = opened.metadata().map_err(io)?.len();
        if length > MOST {
            return Err(Error::new(format!(
                "{}: it is larger than {MOST} bytes",
                doing()
            )));
        }
        let text = store::read_whole(opened, length).map_err(io)?;
        let config = Config::parse(&text)
            .map_err(|error| Error::new(format!("{}: {error}", doing())))?;
        Ok((text, config))
    }
}

pub(super) fn spec(
    wanted: &Create,
    config: &Config,
    keep: Vec<RawFd>,
) -> Result<(Spec, Vec<Unsupported>), Error> {
    if let Some(hooks) = &config.hooks {
        hooks::check(hooks)?;
    }
    let (mut spec, notes) = crate::to_spec(config, &wanted.bundle)?;
    refuse(&notes)?;
    wanted.handover.settle_terminal(&mut spec.terminal)?;
    spec.keep_fds = keep;
    if wanted.listen_fds > 0 {
        let count = wanted.listen_fds.to_string();
        spec.env.push(("LISTEN_FDS".into(), count.into()));
        spec.env.push(("LISTEN_PID".into(), "1".into()));
    }
    live_as_a_container(&mut spec);
    Ok((spec, notes))
}

/// What is asked for and cannot be had must not be missed silently, where it isolates.
fn refuse(notes: &[Unsupported]) -> Result<(), Error> {
    let mut weaker = notes.iter().filter(|note| note.weakens);
    weaker.next().map_or(Ok(()), |note| Err(Error::new(note)))
}

/// How it lives with its maker. Up to its program it dies with that, so that a maker that is
/// killed leaves no process.
pub(super) fn live_as_a_container(spec: &mut Spec) {
    spec.no_init = true;
    spec.callers_child = matches!(spec.namespaces.get(Kind::Pid), Namespace::Join(_));
    spec.parent_death_signal = Some(SIGKILL);
    spec.outlives_caller = true;
    spec.new_session = spec.terminal == Terminal::Inherit;
    // Not where its maker happens to run: wherever its control group lets it.
    spec.affinity.last = Some(Processors(vec![u64::MAX; PROCESSORS / 64]));
    spec.plain_terminal = true;
    spec.owns_streams = true;
    // A neighbour in its pid namespace, or whoever lives there, could trace it.
    spec.hidden = true;
}

pub(super) fn record(wanted: &Create, config: &Config) -> Record {
    let root = config.root.as_ref().map_or("", |root| root.path.as_str());
    Record {
        version: VERSION,
        id: wanted.id.clone(),
        oci_version: config.oci_version.clone(),
        bundle: wanted.bundle.display().to_string(),
        rootfs: wanted.bundle.join(root).display().to_string(),
        created: clock::now(),
        owner: rustix::process::geteuid().as_raw(),
        lies_on: None,
        cgroup: None,
        notifies: wanted.notify_socket.is_some(),
        callers_keyring: wanted.callers_keyring,
        gated: wanted.gated || has_hooks_before_program(config),
        annotations: config.annotations.clone(),
    }
}

/// What these read comes with the word to start.
pub(super) fn has_hooks_before_program(config: &Config) -> bool {
    let has = |hooks: &Hooks| !hooks.start_container.is_empty();
    config.hooks.as_ref().is_some_and(has)
}

/// From the folder to the process.
fn make(
    container: &Container,
    mut spec: Spec,
    host: &Host,
    wanted: &Create,
    config: &Config,
) -> Result<Child, Error> {
    container.folder.write(RECORD, &container.text)?;
    if wanted.notify_socket.is_some() {
        notify::prepare(&container.folder)?;
    }
    let gate = container.record.gated.then(|| {
        gate::make(&container.folder.short_path(GATE))
            .map_err(|errno| Error::errno("make the gate of the container", errno))
    });
    let gate = gate.transpose()?;
    spec.gate = gate
        .as_ref()
        .map(|gate| open(gate, "the gate of the container"));
    let hooks = config.hooks.clone().unwrap_or_default();
    let streams = take_hooks(&mut spec, &hooks)?;
    if spec.await_before_root && !spreads(&spec) {
        spec.root_place = Some(PathBuf::from(&container.record.rootfs));
    }
    spec.without_pivot = wanted.without_pivot;
    tell_listener(&mut spec, container, config);
    let plan = Plan::new(&spec, host).map_err(|error| not_planned(error, config))?;
    let plan = wanted.handover.watched(plan);
    // What a callback finds wrong is said whole, and not as a step of the launch.
    let mut said = None;
    let mut announced = None;
    let launched = {
        let said = std::cell::RefCell::new(&mut said);
        let tell = |result: Result<(), Error>| {
            result.map_err(|error| {
                let words = warren_spawn::Error::of_caller(error.to_string());
                **said.borrow_mut() = Some(error);
                words
            })
        };
        plan.launch_in_stages(
            &container.proc,
            &mut |pid| {
                announced = Some(pid);
                tell(announce(container, pid))
            },
            &mut |pid| tell(before_root(container, &hooks, pid, streams.as_ref())),
        )
    };
    let child = launched.map_err(|error| {
        if announced.is_some() {
            after_failure(container, &hooks);
        }
        let error = said.unwrap_or_else(|| explain_whole(error, config));
        error.with_output(streams.as_ref())
    })?;
    // In a joined pid namespace another process went on.
    if announced != Some(child.id()) {
        container.forget_init();
        announce(container, child.id())?;
    }
    Ok(child)
}

/// Who answers system calls is told whose they are.
pub(super) fn tell_listener(spec: &mut Spec, container: &Container, config: &Config) {
    let seccomp = config
        .linux
        .as_ref()
        .and_then(|linux| linux.seccomp.as_ref());
    if let (Some(listener), Some(seccomp)) = (&mut spec.listener, seccomp) {
        let state = container.state_around_pid();
        listener.message = crate::listener_message(&seccomp.listener_metadata, state);
    }
}

fn open(fd: &OwnedFd, name: &str) -> Open {
    Open {
        fd: fd.as_raw_fd(),
        name: name.to_owned(),
    }
}

/// Gives the Spec its hooks, and what those before the root read.
fn take_hooks(spec: &mut Spec, hooks: &Hooks) -> Result<Option<Streams>, Error> {
    spec.hooks_before_root = hooks::inside("createContainer", &hooks.create_container);
    spec.hooks_before_program = hooks::inside("startContainer", &hooks.start_container);
    for hook in &mut spec.hooks_before_program {
        if hook.env.is_empty() {
            // It is one of the container's own programs.
            let env = spec.env.iter();
            hook.env = env
                .map(|(key, value)| {
                    [key.as_os_str(), "=".as_ref(), value].into_iter().collect()
                })
                .collect();
        }
    }
    let outside = [&hooks.prestart, &hooks.create_runtime];
    spec.await_before_root = !spec.hooks_before_root.is_empty()
        || outside.into_iter().any(|hooks| !hooks.is_empty());
    if spec.hooks_before_root.is_empty() {
        return Ok(None);
    }
    let streams = Streams::new("")?;
    let open = |file: &fs::File, name: &str| Open {
        fd: file.as_raw_fd(),
        name: name.to_owned(),
    };
    spec.hooks_read = Some(open(&streams.read, "the state of the container"));
    spec.hooks_written = Some(open(&streams.written, "what hooks say"));
    Ok(Some(streams))
}

/// A root that is shared cannot be one of the mounts that are: pivot_root(2).
fn spreads(spec: &Spec) -> bool {
    let propagation = spec.root_propagation;
    propagation.is_some_and(|one| one.kind == PropagationKind::Shared)
}

/// Keys of cgroup v2 for what is on v1 contradict the machine, in the word that is looked for.
fn not_planned(error: warren_spawn::Error, config: &Config) -> Error {
    let resources = config
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.as_ref());
    let is_unified = resources.is_some_and(|resources| !resources.unified.is_empty());
    let error = Error::from(error);
    match is_unified && error.to_string().contains("needs cgroup v2") {
        true => error.after("invalid configuration"),
        false => error,
    }
}

fn announce(container: &Container, pid: u32) -> Result<(), Error> {
    let init = Init::of(&container.proc, pid)
        .map_err(|errno| Error::errno(format!("look at process {pid}"), errno))?;
    container.note_init(init)
}

/// The container is made but for its root: the hooks outside have their turn, and those
/// inside, which come next, find what they read.
fn before_root(
    container: &Container,
    hooks: &Hooks,
    pid: u32,
    streams: Option<&Streams>,
) -> Result<(), Error> {
    let state = container.state_text(Status::Creating, pid);
    let bundle = container.bundle();
    hooks::run("prestart", &hooks.prestart, &state, bundle)?;
    hooks::run("createRuntime", &hooks.create_runtime, &state, bundle)?;
    streams.map_or(Ok(()), |streams| streams.tell(&state))
}

/// What was begun for it outside is undone by the same hooks as at its end.
pub(super) fn after_failure(container: &Container, hooks: &Hooks) {
    let state = container.state_text(Status::Stopped, 0);
    let _ = hooks::run_all("poststop", &hooks.poststop, &state, container.bundle());
}
