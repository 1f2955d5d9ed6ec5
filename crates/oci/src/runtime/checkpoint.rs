//! Writing a container down, so that it can be brought back later or elsewhere.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use warren_namespaces::mountinfo::{self, MountInfo};
use warren_namespaces::open_namespace;
use warren_sys::Errno;

use super::container::Container;
use super::criu::{self, CgroupMode, Criu, Features, Options, PageServer, Request};
use super::error::Error;
use super::images::Images;
use super::init::Init;
use super::outside;
use super::status::Status;
use super::who::is_root_of_machine;
use crate::config::Config;

/// How criu goes about it, alike when a container is written down and when it is brought
/// back: the options of the same names of criu(8).
#[derive(Clone, Debug, Default)]
pub struct CriuOptions {
    /// criu itself; `None` to look for it.
    pub program: Option<PathBuf>,
    /// The folder with the images, absolute.
    pub images: PathBuf,
    /// The folder for its log; that with the images if there is none.
    pub work: Option<PathBuf>,
    /// TCP connections go on.
    pub tcp_established: bool,
    /// Connections that are being made are left out.
    pub tcp_skip_in_flight: bool,
    /// Files without a name may get one.
    pub link_remap: bool,
    /// Unix sockets may lead outside.
    pub ext_unix_sk: bool,
    /// Its session may be the caller's.
    pub shell_job: bool,
    /// Pages come when they are touched.
    pub lazy_pages: bool,
    /// Locks of files are kept.
    pub file_locks: bool,
    /// Pages that are there twice are taken out of older images.
    pub auto_dedup: bool,
    /// What of control groups is kept.
    pub cgroups: CgroupMode,
}

impl CriuOptions {
    pub(super) fn put(&self, config: &Config, options: &mut Options) {
        options
            .ext_unix_sk(self.ext_unix_sk)
            .tcp_established(self.tcp_established)
            .tcp_skip_in_flight(self.tcp_skip_in_flight)
            .link_remap(self.link_remap)
            .shell_job(self.shell_job)
            .lazy_pages(self.lazy_pages)
            .file_locks(self.file_locks)
            .auto_dedup(self.auto_dedup)
            .cgroups(self.cgroups)
            .orphan_terminals()
            .notices();
        match config.annotations.get(ANNOTATION).map(String::as_str) {
            Some("") => {}
            named => drop(options.settings(named.unwrap_or(SETTINGS))),
        }
    }
}

/// Where runc has criu look for more options: an administrator's file serves both.
const SETTINGS: &str = "/etc/criu/runc.conf";
/// By which a container names another file; none at all if it is empty.
const ANNOTATION: &str = "org.criu.config";

/// What is wanted of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// How it is done.
    pub criu: CriuOptions,
    /// Images that these continue, relative to their folder.
    pub parent: Option<PathBuf>,
    /// Whether the container goes on.
    pub leave_running: bool,
    /// Whether its memory alone is written down, for a checkpoint that continues it.
    pub pre_dump: bool,
    /// Where pages are written to.
    pub page_server: Option<PageServer>,
    /// A descriptor that is written to when [`CriuOptions::lazy_pages`] can be asked for.
    pub status_fd: Option<RawFd>,
}

/// Only who owns the machine can write down and bring back all that a process has.
pub(super) fn check_root(doing: &str) -> Result<(), Error> {
    match is_root_of_machine() {
        true => Ok(()),
        false => Err(Error::new(format!("{doing} requires root"))
            .hint("criu needs capabilities over the machine, which rootless has not")),
    }
}

impl Container {
    /// Writes the container down. It has ended and is removed then, unless it is to go on;
    /// gives what its hooks said that failed.
    ///
    /// # Errors
    /// Where it does not run, or criu fails, whose log is named; the container goes on then.
    pub fn checkpoint(&self, wanted: &Checkpoint) -> Result<Vec<Error>, Error> {
        check_root("checkpoint")?;
        self.locked(|| {
            let init = self.writable()?;
            let config = self.config()?;
            outside::check(&config)?;
            let images = &wanted.criu;
            let images = Images::make(&images.images, images.work.as_deref())?;
            if let Some(parent) = &wanted.parent {
                images.check_parent(parent)?;
            }
            self.write_down(wanted, &config, &images, init)?;
            match wanted.leave_running || wanted.pre_dump {
                true => Ok(Vec::new()),
                false => self.remove(),
            }
        })
    }

    /// Its first process, if it is one with a program.
    fn writable(&self) -> Result<Init, Error> {
        match self.status()? {
            Status::Running | Status::Paused => self.running_init(),
            status => Err(Error::new(format!(
                "Container cannot be checkpointed in {status} state"
            ))),
        }
    }

    fn write_down(
        &self,
        wanted: &Checkpoint,
        config: &Config,
        images: &Images,
        init: Init,
    ) -> Result<(), Error> {
        let mut options = Options::default();
        options
            .images(images.folder.as_raw_fd())
            .work(images.work.as_raw_fd())
            .log("dump.log")
            .pid(init.pid)
            .root(&self.record.rootfs)
            .leave_running(wanted.leave_running);
        wanted.criu.put(config, &mut options);
        let mounts = self.mounts(init)?;
        self.put_outside(config, init, &mounts, &mut options)?;
        let streams = self.streams(init, &mounts)?;
        for (file, _) in streams.iter().filter_map(|one| outside::split_file(one)) {
            options.external(file);
        }
        if let Some(parent) = &wanted.parent {
            options.parent(text(parent)?);
        }
        if let Some(server) = &wanted.page_server {
            options.page_server(server);
        }
        if let Some(fd) = wanted.status_fd {
            if !warren_sys::is_inherited(fd) {
                return Err(Error::errno(format!("--status-fd {fd}"), Errno::BADF));
            }
            options.status(fd);
        }
        let request = match wanted.pre_dump {
            true => Request::pre_dump(options.track_memory()),
            false => Request::dump(&options),
        };
        // What it writes has all of the container's memory, and modes of 0644. The mask is
        // the whole process's: a runtime has one thread.
        let others = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let criu = Criu::start(&criu::program(wanted.criu.program.as_ref()), &[]);
        rustix::process::umask(others);
        let criu = criu?;
        let needed = Features {
            memory_tracking: wanted.pre_dump,
            lazy_pages: wanted.criu.lazy_pages,
        };
        if needed != Features::default() {
            criu.check_features(needed)?;
        }
        if !wanted.pre_dump {
            images.write_descriptors(&streams)?;
        }
        // All that was opened by its number was its own.
        if !init.is_alive(&self.proc) {
            return Err(Error::not_running());
        }
        let log = images.log("dump.log");
        criu.carry_out(&request, &log, &mut |_| Ok(())).map(drop)
    }

    /// What it has of the host.
    fn put_outside(
        &self,
        config: &Config,
        init: Init,
        mounts: &[MountInfo],
        options: &mut Options,
    ) -> Result<(), Error> {
        // Where one is, when symlinks have led there: who is inside may have changed them
        // since, and then criu finds a mount that it does not know.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = format!("{}/root", init.pid);
        let root =
            rustix::fs::openat(self.proc.as_fd(), root.as_str(), flags, Mode::empty());
        let root =
            root.map_err(|errno| Error::errno("open the container's root", errno))?;
        for (place, name) in outside::written(config, root.as_fd(), mounts) {
            options.external_mount(&place, &name);
        }
        for (kind, name) in outside::namespaces(config) {
            let namespace = open_namespace(&self.proc, init.pid, kind)?;
            let number = rustix::fs::fstat(namespace.as_fd());
            let number = number.map_err(|errno| {
                Error::errno("look at a namespace of the container", errno)
            })?;
            options.external(&format!("{kind}[{}]:{name}", number.st_ino));
        }
        options.empty_namespaces(outside::empty(config));
        if let Some(path) = self.freezer()? {
            options.freezer(text(&path)?);
        }
        Ok(())
    }

    /// The group by which all its processes are stopped; none where it is in the first one.
    fn freezer(&self) -> Result<Option<PathBuf>, Error> {
        let Some(group) = &self.record.cgroup else {
            return Ok(None);
        };
        let below = group.path.strip_prefix("/").unwrap_or(&group.path);
        if below == Path::new("") {
            return Ok(None);
        }
        let hierarchies = self.hierarchies()?;
        let v1 = hierarchies
            .list
            .iter()
            .find(|one| one.controllers.iter().any(|name| name == "freezer"));
        let found = v1.or(hierarchies.v2());
        Ok(found.map(|hierarchy| hierarchy.path(below)))
    }

    fn mounts(&self, init: Init) -> Result<Vec<MountInfo>, Error> {
        let text = self.proc.read(&format!("{}/mountinfo", init.pid))?;
        Ok(mountinfo::parse(&text))
    }

    /// What its standard streams are: in the kernel's words, or in criu's for a file that is
    /// on none of its mounts.
    fn streams(&self, init: Init, mounts: &[MountInfo]) -> Result<Vec<String>, Error> {
        (0..3)
            .map(|number| self.stream(init, number, mounts))
            .collect()
    }

    fn stream(
        &self,
        init: Init,
        number: u32,
        mounts: &[MountInfo],
    ) -> Result<String, Error> {
        let path = format!("{}/fd/{number}", init.pid);
        let failed = |errno| Error::errno(format!("look at /proc/{path}"), errno);
        let proc = self.proc.as_fd();
        let link = match rustix::fs::readlinkat(proc, path.as_str(), Vec::new()) {
            Err(Errno::NOENT) => return Ok(String::new()),
            link => link.map_err(failed)?.to_string_lossy().into_owned(),
        };
        if !link.starts_with('/') {
            return Ok(link);
        }
        let info = self.proc.read(&format!("{}/fdinfo/{number}", init.pid))?;
        let info = String::from_utf8_lossy(&info);
        let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
        let mount: Option<u64> = mount.and_then(|number| number.trim().parse().ok());
        // Not what is behind it: a terminal or a FIFO would be opened.
        let stat = rustix::fs::statat(proc, path.as_str(), AtFlags::empty());
        let stat = stat.map_err(failed)?;
        Ok(match mount {
            Some(mount) if mounts.iter().all(|own| own.id != mount) => {
                outside::file(mount, stat.st_ino, &link)
            }
            _ => link,
        })
    }
}

pub(super) fn text(path: &Path) -> Result<&str, Error> {
    let not_text = || Error::new(format!("{}: the path is no text", path.display()));
    path.to_str().ok_or_else(not_text)
}
