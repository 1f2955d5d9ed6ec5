//! What of other processes the walk opens and enters.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use warren_cgroups::{Entrance, Hierarchies};
use warren_namespaces::{Kind, NamespaceSet};
use warren_sys::Errno;

use super::super::by_id;
use super::super::spec::{Source, Target};
use super::super::step::Step;
use super::{Stop, Walk, Walked, open_file};

impl Walk<'_> {
    pub(super) fn open_namespace(&mut self, kind: Kind, from: &Source) -> Walked {
        let fd = match from {
            Source::Path(path) => open_file(path)?,
            Source::Id(id) => by_id::open(self.proc()?, kind, *id)?,
            Source::Socket(number) => self.socket_namespace(*number)?,
            Source::Owner => self.owner()?,
        };
        self.others.push(fd);
        Ok(())
    }

    /// Without a pidfd there is a chance that another process has the number by now.
    pub(super) fn open_target(&mut self, target: &Target) -> Walked {
        // A later look must be at the procfs of here, not at one that was entered.
        self.proc()?;
        let pid = i32::try_from(target.pid).ok().and_then(Pid::from_raw);
        let opened = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        let kinds = self.plan.wanted.enter.kinds.clone();
        let pidfd = match opened {
            Ok(pidfd) => pidfd,
            // A thread, of which there is no pidfd: EINVAL, and since Linux 6.9 ENOENT.
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOENT)
                if target.pidfd_inode.is_none() =>
            {
                return self.open_kinds(target.pid, &kinds);
            }
            Err(errno) => return Err(errno.into()),
        };
        if let Some(inode) = target.pidfd_inode
            && rustix::fs::fstat(&pidfd)?.st_ino != inode
        {
            return Err(Errno::SRCH.into());
        }
        if !takes_pidfd() {
            self.open_kinds(target.pid, &kinds)?;
            warren_sys::is_alive(pidfd.as_fd())?;
        }
        self.target = Some(pidfd);
        Ok(())
    }

    fn open_kinds(&mut self, pid: u32, kinds: &[Kind]) -> Walked {
        for kind in kinds.iter().copied() {
            let fd = self
                .open_of_process(&pid.to_string(), kind)
                .map_err(|errno| {
                    Stop::Instead(Step::OpenOfTarget { pid, kind }, errno)
                })?;
            self.target_kinds.push((kind, fd));
        }
        Ok(())
    }

    fn open_of_process(&self, process: &str, kind: Kind) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = format!("{process}/ns/{kind}");
        rustix::fs::openat(self.proc()?, path, flags, Mode::empty())
    }

    fn socket_namespace(&self, number: i32) -> Result<OwnedFd, Errno> {
        let target = self.target.as_ref().ok_or(Errno::SRCH)?;
        let flags = rustix::process::PidfdGetfdFlags::empty();
        let socket = rustix::process::pidfd_getfd(target, number, flags)?;
        warren_sys::socket_namespace(socket.as_fd())
    }

    /// The owner of the first namespace that is entered and is no user namespace.
    fn owner(&self) -> Result<OwnedFd, Errno> {
        let enter = &self.plan.wanted.enter;
        let process = enter
            .target
            .map_or("self".to_owned(), |target| target.pid.to_string());
        let no_user = |kind: &&Kind| **kind != Kind::User;
        let of = match (enter.kinds.iter().find(no_user), self.others.first()) {
            (Some(kind), _) => self.open_of_process(&process, *kind)?,
            (None, Some(other)) => other.try_clone().map_err(|_| Errno::MFILE)?,
            (None, None) => self.open_of_process(&process, Kind::User)?,
        };
        warren_sys::namespace_user(of.as_fd())
    }

    pub(super) fn enter_target(&mut self, kinds: NamespaceSet, attempt: bool) -> Walked {
        let entered = self.entered;
        let left: NamespaceSet = kinds
            .iter()
            .filter(|kind| !entered.contains(*kind))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if !self.target_kinds.is_empty() {
            return self.enter_one_by_one(left, attempt);
        }
        let target = self.target.as_ref().ok_or(Errno::SRCH)?;
        let enter =
            |kinds: NamespaceSet| warren_sys::setns(target.as_fd(), kinds.clone_flags());
        let entered = match enter(left) {
            Err(Errno::PERM) if !attempt => enter(self.elsewhere(left)?),
            entered => entered,
        };
        match entered {
            Ok(()) => self.entered = kinds,
            Err(_) if attempt => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Those kinds in which the target is not where the caller is: who has no right to a
    /// namespace need not enter it if it is in there.
    fn elsewhere(&self, kinds: NamespaceSet) -> Result<NamespaceSet, Errno> {
        let target = self.plan.wanted.enter.target.ok_or(Errno::PERM)?;
        let inode = |process: &str, kind: Kind| {
            let path = format!("{process}/ns/{kind}");
            rustix::fs::statat(self.proc()?, path, AtFlags::empty())
                .map(|stat| stat.st_ino)
        };
        let pid = target.pid.to_string();
        let elsewhere = |kind: &Kind| match (inode("self", *kind), inode(&pid, *kind)) {
            (Ok(own), Ok(theirs)) => own != theirs,
            _ => true,
        };
        let left: NamespaceSet = kinds.iter().filter(elsewhere).collect();
        if left.is_empty() {
            Err(Errno::PERM)
        } else {
            Ok(left)
        }
    }

    fn enter_one_by_one(&mut self, left: NamespaceSet, attempt: bool) -> Walked {
        for kind in super::super::plan::in_order(left) {
            let number = self
                .target_kinds
                .iter()
                .position(|(other, _)| *other == kind);
            let (_, fd) = &self.target_kinds[number.ok_or(Errno::BADF)?];
            match warren_sys::setns(fd.as_fd(), kind.clone_flag()) {
                Ok(()) => self.entered = self.entered.with(kind),
                Err(_) if attempt => {}
                Err(errno) => {
                    let step = Step::EnterOther {
                        kind,
                        number: number.unwrap_or_default(),
                        attempt,
                    };
                    return Err(Stop::Instead(step, errno));
                }
            }
        }
        Ok(())
    }

    pub(super) fn enter_other(
        &mut self,
        kind: Kind,
        number: usize,
        attempt: bool,
    ) -> Walked {
        if self.entered_others.contains(&number) {
            return Ok(());
        }
        let fd = self.others.get(number).ok_or(Errno::BADF)?;
        match warren_sys::setns(fd.as_fd(), kind.clone_flag()) {
            Ok(()) => {
                self.entered_others.push(number);
                Ok(())
            }
            Err(_) if attempt => Ok(()),
            // The owner of the others may be the caller's own.
            Err(Errno::INVAL) if self.is_own_user_namespace(kind, fd) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn is_own_user_namespace(&self, kind: Kind, fd: &OwnedFd) -> bool {
        let enter = &self.plan.wanted.enter;
        let by_owner = enter.others.iter().any(|(_, from)| *from == Source::Owner);
        let own = self.proc().and_then(|proc| {
            let stat = rustix::fs::statat(proc, c"self/ns/user", AtFlags::empty())?;
            Ok(stat.st_ino)
        });
        let inode = rustix::fs::fstat(fd).map(|stat| stat.st_ino);
        kind == Kind::User && by_owner && own == inode
    }

    // What else is the target's.

    pub(super) fn read_environment(&mut self, pid: u32) -> Walked {
        let text = self
            .proc()?
            .read(&format!("{pid}/environ"))
            .map_err(|error| error.errno())?;
        let variables = text.split(|byte| *byte == 0);
        // What is no variable would be none to the program either.
        let variables = variables
            .filter(|text| text.iter().skip(1).any(|byte| *byte == b'='))
            .map(|text| OsString::from_vec(text.to_vec()));
        self.environment = Some(variables.collect());
        Ok(())
    }

    pub(super) fn open_cgroups(&mut self, pid: u32) -> Walked {
        let proc = self.proc()?;
        let cgroups = Hierarchies::detect(proc)
            .and_then(|hierarchies| Entrance::of_process(&hierarchies, proc, pid));
        self.cgroups = Some(cgroups.map_err(|error| error.errno())?);
        Ok(())
    }

    /// By 0 the kernel means the writer, whatever pid namespaces call it.
    pub(super) fn join_cgroups(&self) -> Walked {
        const SELF: u32 = 0;
        let cgroups = self.cgroups.as_ref().ok_or(Errno::BADF)?;
        cgroups.join(SELF).map_err(|error| error.errno().into())
    }

    pub(super) fn follow_context(&self, pid: u32) -> Walked {
        if !Path::new("/sys/fs/selinux/enforce").exists() {
            return Ok(());
        }
        let label = self
            .proc()?
            .read(&format!("{pid}/attr/current"))
            .map_err(|error| error.errno())?;
        Ok(self.write(c"thread-self/attr/exec", &label)?)
    }
}

/// Whether setns(2) takes a pidfd: KERNEL(5.8). Not to be told from its errno, which
/// before was that of any wrong descriptor.
fn takes_pidfd() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map(|text| text.parse().unwrap_or(0_u32));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 8)
}
