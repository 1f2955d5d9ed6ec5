//! Bringing a container back that was written down.
//!
//! criu makes its processes, mounts and namespaces of the images. All else is as when a
//! container is created: the folder and the record first, the control group with its limits,
//! hooks, the terminal, the number of its process. What it is made from is the bundle; of the
//! images nothing but processes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use warren_cgroups::{Blueprint, Cgroup};
use warren_mounts::Node;
use warren_namespaces::{Kind, NsFd, open_namespace};
use warren_spawn::{Child, Host, Plan, Spec};
use warren_sys::Errno;
use warren_sys::signal::{SignalSet, set_blocked};

use super::checkpoint::{CriuOptions, check_root, text};
use super::container::Container;
use super::create::{self, Create, Created};
use super::criu::{self, CgroupMode, Criu, Features, Notice, Options, Request};
use super::error::Error;
use super::group::{Planned, failed};
use super::hooks;
use super::images::Images;
use super::init::Init;
use super::notify;
use super::outside::{self, Source};
use super::stage::{inside, with_root};
use super::status::Status;
use super::store::{RECORD, Store, open_proc};
use crate::config::{Config, Hooks};

const LOG: &str = "restore.log";

/// What a container is brought back from.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Its name, its bundle, and what its caller gives and takes.
    pub create: Create,
    /// How it is done.
    pub criu: CriuOptions,
    /// The profile of a security module, as `apparmor:NAME`, instead of that of the images.
    pub lsm_profile: Option<String>,
    /// The context of SELinux of its mounts, instead of that of the images.
    pub lsm_mount_context: Option<String>,
}

impl Store {
    /// Brings a container back.
    ///
    /// # Errors
    /// In words, with criu's log named; nothing of it is left then.
    pub fn restore(&self, wanted: &Restore) -> Result<Created, Error> {
        check_root("restore")?;
        let create = &wanted.create;
        self.check_free(&create.id)?;
        let images = &wanted.criu;
        let images = Images::find(&images.images, images.work.as_deref())?;
        let streams = images.descriptors()?;
        let (text, config) = create.read_config()?;
        outside::check(&config)?;
        let (spec, notes) = create::spec(create, &config, Vec::new())?;
        let plan = create.handover.watched(Plan::new(&spec, &Host::probe())?);
        let proc = open_proc()?;
        let limited = !spec.limits.is_empty();
        let group = Planned::new(&proc, &config, &create.id, create.systemd, limited)?;
        if let Some(group) = &group {
            group.check()?;
        }
        let mut record = create::record(create, &config);
        record.cgroup = group.as_ref().map(|planned| planned.group.clone());
        record.gated = false;
        record.notifies = true;
        let container = Container {
            text: record.text(&text),
            folder: self.make(&create.id)?,
            proc,
            record,
            hierarchies: std::cell::OnceCell::new(),
        };
        let mut work = Work {
            store: self,
            wanted,
            config: &config,
            spec: &spec,
            hooks: config.hooks.clone().unwrap_or_default(),
            group: None,
            sources: Vec::new(),
            container,
            plan: Some(plan),
            terminal: None,
            child: None,
            began: false,
        };
        let done = work.carry_out(&images, &streams, group.as_ref());
        let Work {
            container,
            child,
            began,
            hooks,
            ..
        } = work;
        match done.and(child.ok_or_else(|| Error::new("criu brought nothing back"))) {
            Ok(child) => {
                container.folder.unlock();
                Ok(Created {
                    container,
                    child,
                    notes,
                    told: Vec::new(),
                })
            }
            Err(error) => {
                let _ = container.remove_by_force();
                if began {
                    create::after_failure(&container, &hooks);
                }
                Err(error)
            }
        }
    }
}

/// A container on its way back.
struct Work<'a> {
    store: &'a Store,
    wanted: &'a Restore,
    config: &'a Config,
    spec: &'a Spec,
    hooks: Hooks,
    group: Option<Cgroup>,
    sources: Vec<Source>,
    container: Container,
    plan: Option<Plan>,
    terminal: Option<OwnedFd>,
    child: Option<Child>,
    /// Whether hooks were run.
    began: bool,
}

impl Work<'_> {
    fn carry_out(
        &mut self,
        images: &Images,
        streams: &[String],
        group: Option<&Planned>,
    ) -> Result<(), Error> {
        let wanted = self.wanted;
        self.container.folder.write(RECORD, &self.container.text)?;
        notify::prepare(&self.container.folder)?;
        let root = self.make_places()?;
        let joined = self.open_joined()?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let null = rustix::fs::open(outside::NULL, flags, Mode::empty());
        let null = null.map_err(|errno| Error::errno("open /dev/null", errno))?;
        let inherits = joined.iter().map(|(_, file)| file).chain([&null]);
        let inherits: Vec<&OwnedFd> = inherits.collect();
        let program = criu::program(wanted.criu.program.as_ref());
        if !wanted.create.handover.detached {
            // Who stays hears of its end, also if that comes at once.
            warren_sys::signal::default_action(warren_sys::signal::SIGCHLD);
            set_blocked(SignalSet::ALL);
        }
        // Hierarchies of v1 are mounted from it. Who makes a scope of systemd's wants a process,
        // and gets that of criu, which leaves it in the end.
        let limits = &self.spec.limits;
        let plan = |group: &Planned| group.ground.plan(&group.placement, limits);
        let blueprint = group.map(plan).transpose().map_err(failed)?;
        if let Some(blueprint) = blueprint.as_ref().filter(|one| !one.is_scope()) {
            self.group = Some(blueprint.make(None).map_err(failed)?);
        }
        self.sources = outside::brought_back(&self.container, self.config, self.spec)?;
        let read_only = self.config.root.as_ref().is_some_and(|root| root.readonly);
        let mut options = Options::default();
        options.root(text(&root)?).log(LOG).callers_child();
        wanted.criu.put(self.config, &mut options);
        self.put_streams(streams, &null, &mut options)?;
        self.put_outside(&joined, &mut options)?;
        let (criu, images) = with_root(&root, read_only, || {
            // criu mounts something below its working folder, which must be of its mounts.
            Ok((Criu::start(&program, &inherits)?, images.again()?))
        })?;
        if wanted.criu.lazy_pages {
            criu.check_features(Features {
                lazy_pages: true,
                ..Features::default()
            })?;
        }
        if let Some(blueprint) = blueprint.filter(Blueprint::is_scope) {
            self.group = Some(blueprint.make(Some(criu.id())).map_err(failed)?);
        }
        options
            .images(images.folder.as_raw_fd())
            .work(images.work.as_raw_fd());
        let request = Request::restore(&options);
        let log = images.log(LOG);
        criu.carry_out(&request, &log, &mut |notice| self.heed(notice))
            .map(drop)
    }

    /// Makes what mounts are mounted on, as far as it is missing, and gives the root.
    fn make_places(&self) -> Result<PathBuf, Error> {
        let root = Path::new(&self.container.record.rootfs);
        let doing = || format!("open {}", root.display());
        let path = std::fs::canonicalize(root);
        let path = path.map_err(|error| Error::io(doing(), &error))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let opened = opened.map_err(|errno| Error::errno(doing(), errno))?;
        // Where each is, and the folder that is seen there: `None` of what comes back with all
        // that is in it.
        let mut mounted: Vec<(String, Option<PathBuf>)> = Vec::new();
        for mount in &self.config.mounts {
            let place = outside::destination(mount);
            let source = self.container.bundle().join(&mount.source);
            let source = outside::is_bind(mount).then_some(source);
            let node = match &source {
                Some(source) if !source.is_dir() => Node::File,
                _ => Node::Folder,
            };
            let mut around = mounted.iter().rev().filter_map(|(one, source)| {
                let rest = Path::new(&place).strip_prefix(one).ok()?;
                Some((rest, source))
            });
            match around.next() {
                None => make_place(opened.as_fd(), &place, node)?,
                Some((rest, Some(source))) if source.is_dir() => {
                    make_place_in(source, rest, node)?;
                }
                Some(_) => {}
            }
            mounted.push((place, source));
        }
        Ok(path)
    }

    /// The namespaces of others that it is to be in.
    fn open_joined(&self) -> Result<Vec<(&'static str, OwnedFd)>, Error> {
        let all = outside::namespaces(self.config).into_iter();
        all.filter_map(|(kind, name)| {
            let path = outside::joined(self.config, kind)?;
            let opened = NsFd::open(path).map(NsFd::into_fd);
            let doing = || format!("open {}", path.display());
            let opened = opened.map_err(|errno| Error::errno(doing(), errno));
            Some(opened.map(|file| (name, file)))
        })
        .collect()
    }

    /// What was the maker's is the caller's now. A file has a place where it is written on, so
    /// it can be replaced by nothing but a file; but who had no input needs none.
    fn put_streams(
        &self,
        streams: &[String],
        null: &OwnedFd,
        options: &mut Options,
    ) -> Result<(), Error> {
        for (number, stream) in (0..3).zip(streams) {
            if stream.starts_with("pipe:") {
                options.inherit(stream, number);
            }
            let Some((name, path)) = outside::split_file(stream) else {
                continue;
            };
            match can_seek(number) {
                true => options.inherit(name, number),
                false if path == outside::NULL => options.inherit(name, null.as_raw_fd()),
                false => {
                    let message = format!(
                        "descriptor {number} was the file {path}, and is none now"
                    );
                    return Err(Error::new(message).hint(
                        "criu goes on where it was written: redirect it to a file",
                    ));
                }
            };
        }
        Ok(())
    }

    fn put_outside(
        &self,
        joined: &[(&'static str, OwnedFd)],
        options: &mut Options,
    ) -> Result<(), Error> {
        for source in &self.sources {
            options.external_mount(&source.name, text(&source.path)?);
        }
        for (name, file) in joined {
            options.inherit(name, file.as_raw_fd());
        }
        for kind in [Kind::Ipc, Kind::Uts] {
            if let Some(path) = outside::joined(self.config, kind) {
                options.join(&kind.to_string(), text(path)?);
            }
        }
        options.empty_namespaces(outside::empty(self.config));
        self.put_groups(options)?;
        let wanted = self.wanted;
        if let Some(profile) = &wanted.lsm_profile {
            options.lsm_profile(profile);
        }
        if let Some(context) = &wanted.lsm_mount_context {
            options.lsm_mount_context(context);
        }
        Ok(())
    }

    /// Where its groups are now.
    fn put_groups(&self, options: &mut Options) -> Result<(), Error> {
        let Some(group) = &self.container.record.cgroup else {
            return Ok(());
        };
        let below = group.path.strip_prefix("/").unwrap_or(&group.path);
        for hierarchy in &self.container.hierarchies()?.list {
            let path = hierarchy.root.join(below);
            let path = text(&path)?;
            if hierarchy.is_v2() {
                options.cgroup_root("", path);
            }
            for controller in &hierarchy.controllers {
                options.cgroup_root(controller, path);
            }
        }
        Ok(())
    }

    fn heed(&mut self, notice: Notice<'_>) -> Result<(), Error> {
        match (notice.stage, notice.pid) {
            ("setup-namespaces", Some(pid)) => self.set_up(pid),
            ("orphan-pts-master", _) => {
                self.terminal = notice.terminal;
                Ok(())
            }
            ("post-restore", Some(pid)) => self.complete(pid),
            _ => Ok(()),
        }
    }

    /// Its first process is there, with namespaces and nothing else.
    fn set_up(&mut self, pid: u32) -> Result<(), Error> {
        let container = &self.container;
        let init = Init::of(&container.proc, pid)
            .map_err(|errno| Error::errno(format!("look at process {pid}"), errno))?;
        container.note_init(init)?;
        if self.wanted.criu.cgroups == CgroupMode::Ignore
            && let Some(group) = &self.group
        {
            group.add(pid).map_err(failed)?;
        }
        if self.spec.loopback || !self.spec.interfaces.is_empty() {
            self.connect(pid)?;
        }
        self.began = true;
        let state = container.state_text(Status::Creating, pid);
        let bundle = container.bundle();
        hooks::run("prestart", &self.hooks.prestart, &state, bundle)?;
        hooks::run("createRuntime", &self.hooks.create_runtime, &state, bundle)
    }

    /// criu leaves its network namespace empty.
    fn connect(&self, pid: u32) -> Result<(), Error> {
        let namespace = open_namespace(&self.container.proc, pid, Kind::Net)?.into_fd();
        if self.spec.loopback {
            warren_network::loopback_up(namespace.as_fd())
                .map_err(|errno| Error::errno("bring lo up", errno))?;
        }
        for interface in &self.spec.interfaces {
            let (outside, inside) = (&interface.outside, &interface.inside);
            warren_network::move_interface(outside, inside, namespace.as_fd()).map_err(
                |errno| Error::errno(format!("move the interface {outside}"), errno),
            )?;
        }
        Ok(())
    }

    /// All is there, and waits for this answer to go on.
    fn complete(&mut self, pid: u32) -> Result<(), Error> {
        let failed = |errno| Error::errno(format!("hold process {pid}"), errno);
        let container = &mut self.container;
        // Not every restore tells of its namespaces.
        if container.init().is_none() {
            let init = Init::of(&container.proc, pid).map_err(failed)?;
            container.note_init(init)?;
        }
        let init = container.running_init()?;
        let namespace = open_namespace(&container.proc, pid, Kind::Mnt)?.into_fd();
        inside(&namespace, || outside::set_flags(&self.sources))?;
        let pidfd = init.open(&container.proc).map_err(failed)?;
        let plan = self.plan.take().ok_or_else(|| failed(Errno::ALREADY))?;
        let child = plan.adopt(pid, pidfd, self.terminal.take());
        let mut child = child.map_err(|error| Error::io("hold the container", &error))?;
        self.store
            .finish(&self.wanted.create, container, &mut child)?;
        self.child = Some(child);
        Ok(())
    }
}

fn make_place_in(folder: &Path, rest: &Path, node: Node) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty());
    let opened = opened
        .map_err(|errno| Error::errno(format!("open {}", folder.display()), errno))?;
    make_place(opened.as_fd(), text(rest)?, node)
}

/// Whether one of the caller's standard streams is a file.
fn can_seek(number: i32) -> bool {
    let path = format!("/proc/self/fd/{number}");
    let stat = rustix::fs::stat(path);
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    // A terminal cannot, and is one of criu's other kinds.
    kind.is_ok_and(|kind| kind == FileType::RegularFile)
        || rustix::fs::readlink(format!("/proc/self/fd/{number}"), Vec::new())
            .is_ok_and(|link| link.to_bytes() == outside::NULL.as_bytes())
}

fn make_place(root: BorrowedFd<'_>, place: &str, node: Node) -> Result<(), Error> {
    let made = || {
        let path = std::ffi::CString::new(place).map_err(|_| Errno::INVAL)?;
        let open = warren_mounts::open_in_root(root, &path, OFlags::PATH);
        match open {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                let mode = Mode::from_raw_mode(0o755);
                warren_mounts::make_in_root(root, &path, node, mode).map(drop)
            }
            Err(errno) => Err(errno),
        }
    };
    made().map_err(|errno| {
        Error::errno(format!("make {place} in the container's root"), errno)
    })
}
