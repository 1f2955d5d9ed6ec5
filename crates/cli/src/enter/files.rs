//! Root, working directory and mounts of the command.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use warren_namespaces::{Kind, ProcRoot, errno_text};
use warren_spawn::{Folder, Mount, Open, ProcMasks, Root, Spec};

use super::target::{Entered, wrap};
use super::{Arguments, guest};
use crate::failure::Failure;

/// What is open of the target's files.
pub struct Files {
    /// The target's root.
    root: Option<OwnedFd>,
    /// What the plan says of it.
    root_name: String,
    /// Whether it may be another than the one that comes with the mount namespace.
    is_other_root: bool,
    /// The target's working directory, if it is wanted.
    cwd: Option<OwnedFd>,
    /// Or its path in the root.
    cwd_path: Option<PathBuf>,
    cwd_name: String,
}

impl Files {
    /// Opens the target's root and working directory, while paths of /proc can be used.
    pub fn open(
        arguments: &Arguments,
        entered: &Entered,
        proc: &ProcRoot,
    ) -> Result<Self, Failure> {
        let entered_files = entered.whole || entered.enters(Kind::Mnt);
        let root = match entered.pid().filter(|_| entered_files) {
            Some(pid) => Some(open(entered, proc, pid, "root")?),
            None => None,
        };
        let visits = arguments.brings_tools() || arguments.mount_proc;
        let (mut cwd, mut cwd_path) = (None, None);
        match entered.pid() {
            _ if !arguments.cwd => {}
            // What is open there is no part of a root that is made anew.
            Some(pid) if visits => cwd_path = Some(path_inside(proc, pid)),
            Some(pid) => cwd = Some(open(entered, proc, pid, "cwd")?),
            None => return Err(entered.needs_process("--cwd")),
        }
        entered.is_alive()?;
        Ok(Self {
            root,
            root_name: format!("the root of {}", entered.name),
            // Not compared where the mount namespace is another: its root may be covered
            // by a mount that the target, but not who enters, is below of.
            is_other_root: entered.enters(Kind::Mnt)
                || entered_files && has_other_root(entered, proc),
            cwd,
            cwd_path,
            cwd_name: format!("the working directory of {}", entered.name),
        })
    }

    /// Sets all of it.
    pub fn set(&self, spec: &mut Spec, arguments: &Arguments) -> Result<(), Failure> {
        if let Some(root) = self.root.as_ref().filter(|_| self.is_other_root) {
            spec.chroot.push(Folder::Open(Open {
                fd: root.as_raw_fd(),
                name: self.root_name.clone(),
            }));
        }
        if let Some(path) = &arguments.root {
            spec.chroot.push(Folder::Path(path.clone()));
        }
        let workdir = arguments.workdir.as_ref().or(self.cwd_path.as_ref());
        spec.cwd = workdir.cloned();
        if let Some(cwd) = &self.cwd {
            spec.cwd_open = Some(Open {
                fd: cwd.as_raw_fd(),
                name: self.cwd_name.clone(),
            });
        }
        if arguments.brings_tools() {
            spec.root = Root::Visit;
            spec.mounts = guest::mounts()?;
            spec.mounts.extend(self.missing(arguments));
            guest::set_environment(&mut spec.env);
        } else if arguments.mount_proc {
            spec.root = Root::Visit;
            spec.mounts.push(proc_mount());
        }
        Ok(())
    }

    /// What a shell needs and the root lacks. Of a root that cannot be looked into it is
    /// taken to be there, but for a /proc of the entered pid namespace.
    fn missing(&self, arguments: &Arguments) -> Vec<Mount> {
        let mut mounts = Vec::new();
        if arguments.mount_proc || !self.has_procfs() {
            mounts.push(proc_mount());
        }
        if !self.has("dev/null") {
            mounts.push(Mount::Dev {
                target: "/dev".into(),
            });
        }
        if !self.has("tmp") {
            mounts.push(Mount::Tmpfs {
                target: "/tmp".into(),
                mode: 0o1777,
                size: None,
            });
        }
        if !self.has("bin") {
            mounts.push(guest::bin());
        }
        mounts
    }

    fn has(&self, path: &str) -> bool {
        self.root.is_none() || self.look(path).is_some()
    }

    fn has_procfs(&self) -> bool {
        let found = self.look("proc").map(rustix::fs::fstatfs);
        matches!(found, Some(Ok(found)) if found.f_type == rustix::fs::PROC_SUPER_MAGIC)
    }

    /// Looks in the target's root, and not beyond it.
    fn look(&self, path: &str) -> Option<OwnedFd> {
        let limits = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = self.root.as_ref()?;
        rustix::fs::openat2(root, path, flags, Mode::empty(), limits).ok()
    }

    /// A shell that the target's root has: the caller's, or a usual one.
    pub fn shell(&self) -> Option<OsString> {
        self.root.as_ref()?;
        let own = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let usual = ["/bin/bash", "/bin/ash", "/bin/sh", "/busybox/sh"];
        let all = own.into_iter().chain(usual.map(OsString::from));
        all.into_iter()
            .find(|shell| self.has(shell.to_str().unwrap_or_default()))
            .or_else(|| Some("/bin/sh".into()))
    }
}

fn proc_mount() -> Mount {
    Mount::Proc {
        target: "/proc".into(),
        masks: ProcMasks::None,
    }
}

fn open(
    entered: &Entered,
    proc: &ProcRoot,
    pid: u32,
    name: &str,
) -> Result<OwnedFd, Failure> {
    // The last component is a magic link by design.
    let path = format!("{pid}/{name}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, path.as_str(), flags, Mode::empty()).map_err(|errno| {
        wrap(
            &entered.name,
            format!("open /proc/{path}: {}", errno_text(errno)),
        )
    })
}

/// The working directory of a process as a path in its root; / where it lies outside.
fn path_inside(proc: &ProcRoot, pid: u32) -> PathBuf {
    let root = link(proc, pid, "root").unwrap_or_else(|| "/".into());
    let cwd = link(proc, pid, "cwd");
    let below = cwd.and_then(|cwd| Some(cwd.strip_prefix(&root).ok()?.to_owned()));
    Path::new("/").join(below.unwrap_or_default())
}

/// What a link of a process says, as the kernel names the folder to the caller.
fn link(proc: &ProcRoot, pid: u32, name: &str) -> Option<PathBuf> {
    let link = rustix::fs::readlinkat(proc, format!("{pid}/{name}"), Vec::new()).ok()?;
    Some(OsString::from_vec(link.into_bytes()).into())
}

/// Whether the target's root is another folder than the root of its mount namespace.
pub fn has_other_root(entered: &Entered, proc: &ProcRoot) -> bool {
    let theirs = entered.pid().and_then(|pid| link(proc, pid, "root"));
    theirs.is_some_and(|theirs| theirs != Path::new("/"))
}
