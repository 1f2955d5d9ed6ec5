//! /proc and /dev.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode};
use rustix::mount::MountFlags;
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach, attach_at, bind_here, clone_tree,
    ensure, mount_here,
};
use warren_sys::{Errno, Result};

use super::tree::tmpfs;
use super::{Child, leave_open};

/// The device files of a container.
pub const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"null"),
    (c"/dev/zero", c"zero"),
    (c"/dev/full", c"full"),
    (c"/dev/random", c"random"),
    (c"/dev/urandom", c"urandom"),
    (c"/dev/tty", c"tty"),
];

/// Their names, for the reader of a plan.
pub const DEVICE_NAMES: &str = "null, zero, full, random, urandom, tty";

/// What of a procfs is covered, and what is read-only.
pub const FILES: [&CStr; 4] = [c"interrupts", c"keys", c"sched_debug", c"timer_stats"];
pub const FOLDERS: [&CStr; 3] = [c"acpi", c"asound", c"scsi"];
pub const SETTINGS: [&CStr; 1] = [c"sys"];
/// The same, of what is kept anyway from who is not the host's root.
pub const ROOTS_FILES: [&CStr; 3] = [c"kcore", c"latency_stats", c"timer_list"];
pub const ROOTS_SETTINGS: [&CStr; 4] = [c"bus", c"fs", c"irq", c"sysrq-trigger"];

impl<'a> Child<'a> {
    pub(super) fn mount_proc(&mut self, target: &Target) -> Result<()> {
        let attributes =
            Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
        let proc = Filesystem::open(c"proc")?.mount(attributes)?;
        attach(proc.as_fd(), self.root()?, target, Node::Folder)?;
        self.fds.proc = Some(proc);
        Ok(())
    }

    pub(super) fn proc_of_host(&mut self, target: &Target) -> Result<()> {
        let proc = clone_tree(rustix::fs::CWD, c"/proc", true)?;
        let forbids = Attributes::NO_SUID | Attributes::NO_DEVICES;
        warren_mounts::set_attributes(proc.as_fd(), forbids, true)?;
        attach(proc.as_fd(), self.root()?, target, Node::Folder)?;
        self.fds.proc = Some(proc);
        Ok(())
    }

    /// Files that tell of the host are covered; those that change it are read-only. Where
    /// no id is that of the host's root, nobody has the right to most of them anyway.
    pub(super) fn mask_proc(
        &mut self,
        cover: bool,
        all: bool,
        readable: bool,
    ) -> Result<()> {
        let proc = self.fds.proc.as_ref().ok_or(Errno::BADF)?;
        rustix::process::fchdir(proc)?;
        let (files, settings) = if all {
            (&ROOTS_FILES[..], &ROOTS_SETTINGS[..])
        } else {
            (&[][..], &[][..])
        };
        if cover {
            for name in FILES.iter().chain(files) {
                if_there(cover_file(proc.as_fd(), name, all))?;
            }
            for name in FOLDERS {
                if_there(mount_here(c"tmpfs", name, MountFlags::RDONLY, None))?;
            }
            // Nothing that covers can be opened as a device, or be anything else.
            if !readable {
                let attributes =
                    Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
                warren_mounts::set_attributes(proc.as_fd(), attributes, true)?;
            }
        }
        for name in SETTINGS.iter().chain(settings) {
            if_there(bind_here(name, name).and_then(|()| {
                warren_mounts::add_attributes(proc.as_fd(), name, Attributes::READ_ONLY)
            }))?;
        }
        Ok(())
    }

    pub(super) fn mqueue(&mut self, target: &'a Target) -> Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        if self.make_in_fresh(target)? {
            return mount_here(c"mqueue", target.name(), flags, None);
        }
        self.fresh = None;
        let place = ensure(self.root()?, target, Node::Folder)?;
        rustix::process::fchdir(&place)?;
        mount_here(c"mqueue", c".", flags, None)?;
        leave_open(place);
        Ok(())
    }

    pub(super) fn sys(&self, target: &Target) -> Result<()> {
        let attributes =
            Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXEC;
        let sys = Filesystem::open(c"sysfs")?.mount(attributes)?;
        attach(sys.as_fd(), self.root()?, target, Node::Folder)
    }

    pub(super) fn dev_folder(
        &mut self,
        target: &Target,
        size: Option<&CStr>,
    ) -> Result<()> {
        let dev = tmpfs(c"755", size)?;
        attach(dev.as_fd(), self.root()?, target, Node::Folder)?;
        self.fds.dev = Some(dev);
        Ok(())
    }

    pub(super) fn dev(&self) -> Result<BorrowedFd<'_>> {
        self.fds.dev.as_ref().map(OwnedFd::as_fd).ok_or(Errno::BADF)
    }

    /// A user namespace may not make device files, so the host's are shown: on mounts that
    /// are read-only if `sealed`, or their owner inside would change them for everybody.
    /// Devices are read and written there as anywhere.
    pub(super) fn devices(&self, sealed: bool) -> Result<()> {
        let dev = self.dev()?;
        rustix::process::fchdir(dev)?;
        for ((source, name), kept) in DEVICES.iter().zip(&self.fds.devices) {
            let mode = Mode::from_raw_mode(0o444);
            rustix::fs::mknodat(rustix::fs::CWD, *name, FileType::RegularFile, mode, 0)?;
            match kept {
                Some(device) => attach_at(device.as_fd(), rustix::fs::CWD, name)?,
                None => bind_here(source, name)?,
            }
            if sealed {
                warren_mounts::add_attributes(dev, name, Attributes::READ_ONLY)?;
            }
        }
        Ok(())
    }

    pub(super) fn dev_links(&self) -> Result<()> {
        const LINKS: [(&CStr, &CStr); 6] = [
            (c"/proc/self/fd", c"fd"),
            (c"/proc/self/fd/0", c"stdin"),
            (c"/proc/self/fd/1", c"stdout"),
            (c"/proc/self/fd/2", c"stderr"),
            (c"/proc/kcore", c"core"),
            (c"pts/ptmx", c"ptmx"),
        ];
        let dev = self.dev()?;
        for (content, name) in LINKS {
            rustix::fs::symlinkat(content, dev, name)?;
        }
        rustix::fs::mkdirat(dev, c"shm", Mode::from_raw_mode(0o1777))
    }

    pub(super) fn dev_pts(&self, execute: bool) -> Result<()> {
        let dev = self.dev()?;
        // The working directory is /dev still, since the devices were bound.
        rustix::fs::mkdirat(dev, c"pts", Mode::from_raw_mode(0o755))?;
        // Every devpts is an instance of its own since Linux 4.7.
        let options = Some(c"ptmxmode=666,mode=620");
        mount_here(c"devpts", c"pts", MountFlags::empty(), options)?;
        // In one call for the devices as well.
        if execute {
            let attributes = Attributes::NO_SUID | Attributes::NO_EXEC;
            warren_mounts::add_attributes(dev, c"pts", attributes)?;
            return warren_mounts::set_attributes(dev, Attributes::NO_SUID, true);
        }
        let attributes = Attributes::NO_SUID | Attributes::NO_EXEC;
        warren_mounts::set_attributes(dev, attributes, true)
    }
}

/// Covers a file of the working directory, which is `folder`, by the host's null device. If
/// `sealed`, nobody can change that by the name of what it covers.
pub(super) fn cover_file(
    folder: BorrowedFd<'_>,
    name: &CStr,
    sealed: bool,
) -> Result<()> {
    bind_here(c"/dev/null", name)?;
    if sealed {
        warren_mounts::add_attributes(folder, name, Attributes::READ_ONLY)?;
    }
    Ok(())
}

/// Takes what is not there as done.
pub(super) fn if_there(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
