//! One process or thread below /proc: its namespaces, its stat line, its command.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::path::{Arg, DecInt};

use crate::proc_root::read_to_end;
use crate::{Error, Kind, Label, NamespaceSet, NsFd, NsId, ProcRoot};

/// The namespaces of one process: at most one of each kind.
///
/// A zombie has only its user and pid namespaces left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceIds {
    device: u64,
    /// By kind; 0, which no namespace has, for none.
    inodes: [u64; 8],
}

impl NamespaceIds {
    /// None of any kind; `device` is that of [`NsId`].
    #[must_use]
    pub fn empty(device: u64) -> Self {
        Self {
            device,
            inodes: [0; 8],
        }
    }

    /// The namespace of this kind.
    #[must_use]
    pub fn get(&self, kind: Kind) -> Option<NsId> {
        let inode = self.inodes[kind as usize];
        (inode != 0).then_some(NsId {
            device: self.device,
            inode,
        })
    }

    /// Puts a namespace in the place of the one of its kind.
    pub fn set(&mut self, kind: Kind, inode: u64) {
        self.inodes[kind as usize] = inode;
    }

    /// Those of the given kinds.
    pub(crate) fn only(&self, kinds: NamespaceSet) -> Self {
        let mut only = Self::empty(self.device);
        for kind in kinds.iter() {
            only.inodes[kind as usize] = self.inodes[kind as usize];
        }
        only
    }

    /// Those that there are, in the order of [`Kind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Kind, NsId)> + '_ {
        Kind::ALL
            .into_iter()
            .filter_map(|kind| self.get(kind).map(|id| (kind, id)))
    }

    /// The kinds of which `self` has one and it is not `other`'s.
    pub fn different_from(&self, other: &Self) -> impl Iterator<Item = (Kind, NsId)> {
        let other = *other;
        self.iter()
            .filter(move |(kind, id)| other.get(*kind) != Some(*id))
    }
}

impl FromIterator<(Kind, NsId)> for NamespaceIds {
    /// The last of a kind counts, and the last's device, since there is one for all.
    fn from_iter<I: IntoIterator<Item = (Kind, NsId)>>(ids: I) -> Self {
        let mut set = Self::empty(0);
        for (kind, id) in ids {
            set.device = id.device;
            set.set(kind, id.inode);
        }
        set
    }
}

/// The namespaces of the process `pid`.
///
/// # Errors
/// `ESRCH` where there is none; `EACCES` where the caller may not examine it
/// (ptrace(2), "read" access).
pub fn namespaces_of(proc: &ProcRoot, pid: u32) -> Result<NamespaceIds, Error> {
    let wrap =
        |errno| Error::new("read the namespaces of process", pid.to_string(), errno);
    let device = nsfs_device(proc)?;
    let folder = Folder::open(proc.as_fd(), pid).map_err(wrap)?;
    let (_, ids) = folder
        .stat_and_namespaces(device, NamespaceSet::ALL)
        .map_err(wrap)?;
    Ok(ids)
}

/// Opens the namespace of a kind that the process `pid` is in.
///
/// # Errors
/// As [`open_namespaces`].
pub fn open_namespace(proc: &ProcRoot, pid: u32, kind: Kind) -> Result<NsFd, Error> {
    let mut open = open_namespaces(proc, pid, std::iter::once(kind))?;
    Ok(open.remove(0))
}

/// Opens the namespaces of these kinds that the process `pid` is in. Its folder is opened
/// once, so that all are of one process, whoever has its number later.
///
/// # Errors
/// `ESRCH` where there is no such process; `ENOENT` where it has no namespace of the
/// kind; `EACCES` where the caller may not examine it (ptrace(2), "read" access).
pub fn open_namespaces(
    proc: &ProcRoot,
    pid: u32,
    kinds: impl Iterator<Item = Kind>,
) -> Result<Vec<NsFd>, Error> {
    let mut folder = None;
    let mut open = |kind| {
        let folder = match &folder {
            Some(folder) => folder,
            None => folder.insert(Folder::open(proc.as_fd(), pid)?),
        };
        let fd = folder.open_namespace(kind, false)?;
        Ok(NsFd::known(fd, kind))
    };
    kinds
        .map(|kind| {
            open(kind).map_err(|errno: Errno| {
                let object = format!("the {kind} namespace of process {pid}");
                Error::new("open", object, errno)
            })
        })
        .collect()
}

/// The device of nsfs, of which there is one.
pub(crate) fn nsfs_device(proc: &ProcRoot) -> Result<u64, Error> {
    let path = format!("{}/ns/user", proc.own_folder()?);
    rustix::fs::statat(proc, &path, rustix::fs::AtFlags::empty())
        .map(|stat| stat.st_dev)
        .map_err(|errno| Error::new("stat", format!("/proc/{path}"), errno))
}

/// /proc/PID or /proc/PID/task/TID, open: what is read through it is of that process,
/// or fails with `ESRCH`, even when its number has come to another.
pub(crate) struct Folder(OwnedFd);

/// /proc/PID/ns, open: each link is looked up in one step less than from the process's
/// folder, an eighth of the time where all are read of many processes.
pub(crate) struct Links(OwnedFd);

impl Links {
    /// # Errors
    /// `ESRCH` where there is no such process.
    pub fn open(proc: &ProcRoot, pid: u32) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(proc, format!("{pid}/ns"), flags, Mode::empty()) {
            Err(Errno::NOENT) => Err(Errno::SRCH),
            result => result.map(Self),
        }
    }

    /// As [`Folder::namespaces`].
    pub fn namespaces(
        &self,
        device: u64,
        kinds: NamespaceSet,
    ) -> Result<NamespaceIds, Errno> {
        each_link(device, kinds, |kind| {
            inode_of_link(self.0.as_fd(), kind.name())
        })
    }
}

/// The namespaces of some kinds, each by what `link` says of it.
fn each_link(
    device: u64,
    kinds: NamespaceSet,
    link: impl Fn(Kind) -> Result<Option<u64>, Errno>,
) -> Result<NamespaceIds, Errno> {
    let mut ids = NamespaceIds::empty(device);
    for kind in kinds.iter() {
        if let Some(inode) = link(kind)? {
            ids.set(kind, inode);
        }
    }
    Ok(ids)
}

/// What /proc/PID/stat says, as far as it is used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub comm: String,
    pub zombie: bool,
    pub parent: u32,
    pub threads: u32,
    /// One of the kernel's own, which has no descriptors.
    pub kernel: bool,
}

/// The links in /proc/PID/ns, in the order of [`Kind::ALL`].
const LINKS: [&CStr; 8] = [
    c"ns/mnt",
    c"ns/net",
    c"ns/ipc",
    c"ns/user",
    c"ns/pid",
    c"ns/uts",
    c"ns/cgroup",
    c"ns/time",
];

impl Folder {
    /// # Errors
    /// `ESRCH` where there is no such process.
    pub fn open(parent: BorrowedFd<'_>, number: u32) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(parent, DecInt::new(number), flags, Mode::empty()) {
            Err(Errno::NOENT) => Err(Errno::SRCH),
            result => result.map(Self),
        }
    }

    /// The effective user id of the process.
    pub fn uid(&self) -> Result<u32, Errno> {
        rustix::fs::fstat(&self.0).map(|stat| stat.st_uid)
    }

    pub fn stat(&self) -> Result<Stat, Errno> {
        let mut buffer = [0; 1024];
        let text = self.read(c"stat", &mut buffer)?;
        parse_stat(text).ok_or(Errno::INVAL)
    }

    /// User and system time of the process and of the children that it has waited for.
    pub fn cpu_ticks(&self) -> Result<u64, Errno> {
        let mut buffer = [0; 1024];
        let text = self.read(c"stat", &mut buffer)?;
        parse_ticks(text).ok_or(Errno::INVAL)
    }

    /// The children of a thread.
    pub fn children(&self) -> Result<Vec<u32>, Errno> {
        let fd = self.open_below(c"children", OFlags::NOFOLLOW)?;
        let text = match read_to_end(fd.as_fd()) {
            // The thread has ended.
            Err(Errno::SRCH) => return Ok(Vec::new()),
            text => text?,
        };
        let text = String::from_utf8_lossy(&text);
        let numbers = text.split_ascii_whitespace();
        Ok(numbers.filter_map(|number| number.parse().ok()).collect())
    }

    /// The command line with spaces between the arguments, at most its first 4 KiB;
    /// empty for a kernel thread and a zombie.
    pub fn command_line(&self) -> Result<String, Errno> {
        let mut buffer = [0; 4096];
        let text = self.read(c"cmdline", &mut buffer)?;
        let text = String::from_utf8_lossy(text);
        Ok(text.trim_end_matches('\0').replace('\0', " "))
    }

    /// What of its cgroups makes a label; `None` where it has none.
    pub fn label(&self) -> Result<Option<Label>, Errno> {
        let mut buffer = [0; 4096];
        let text = self.read(c"cgroup", &mut buffer)?;
        Ok(Label::of_cgroups(&String::from_utf8_lossy(text)))
    }

    /// The mounts below the root of the process: proc_pid_mountinfo(5).
    pub fn mountinfo(&self) -> Result<Vec<u8>, Errno> {
        let fd = self.open_below(c"mountinfo", OFlags::NOFOLLOW)?;
        read_to_end(fd.as_fd())
    }

    /// The inode of its mount namespace.
    pub fn mount_namespace(&self) -> Result<Option<u64>, Errno> {
        self.link(LINKS[Kind::Mnt as usize])
    }

    /// The root of the process, as a handle.
    pub fn root(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, c"root", flags, Mode::empty())
            .map_err(|errno| self.reason(errno))
    }

    /// The namespaces of some kinds, and the stat line.
    ///
    /// # Errors
    /// `ESRCH` where the process has died, `EACCES` where it may not be examined.
    pub fn stat_and_namespaces(
        &self,
        device: u64,
        kinds: NamespaceSet,
    ) -> Result<(Stat, NamespaceIds), Errno> {
        let namespaces = self.namespaces(device, kinds);
        // In this order: the links of a process that dies while they are read can say
        // EACCES too (proc_ns_readlink), and only stat tells which it was.
        let stat = self.stat()?;
        Ok((stat, namespaces?))
    }

    /// The namespaces of some kinds. `EACCES` may also mean that the process has died.
    pub fn namespaces(
        &self,
        device: u64,
        kinds: NamespaceSet,
    ) -> Result<NamespaceIds, Errno> {
        each_link(device, kinds, |kind| self.link(LINKS[kind as usize]))
    }

    /// The namespace that the *next child* will start in, for a pid or time
    /// namespace.
    pub fn for_children(&self, kind: Kind) -> Result<Option<u64>, Errno> {
        match kind {
            Kind::Pid => self.link(c"ns/pid_for_children"),
            Kind::Time => self.link(c"ns/time_for_children"),
            _ => Ok(None),
        }
    }

    /// The inode that a link in ns/ shows; `None` where the process has no such
    /// namespace, or the kernel no such kind.
    fn link(&self, path: &CStr) -> Result<Option<u64>, Errno> {
        inode_of_link(self.0.as_fd(), path)
    }

    /// Opens the namespace that the process is in, or its next child will be.
    pub fn open_namespace(
        &self,
        kind: Kind,
        for_children: bool,
    ) -> Result<OwnedFd, Errno> {
        let path = match (kind, for_children) {
            (Kind::Pid, true) => c"ns/pid_for_children",
            (Kind::Time, true) => c"ns/time_for_children",
            _ => LINKS[kind as usize],
        };
        let opened = self.open_below(path, OFlags::NONBLOCK);
        opened.map_err(|errno| self.reason(errno))
    }

    /// Why its links cannot be read: those of a process that dies meanwhile say `EACCES`
    /// too, and only stat tells which it was.
    pub fn reason(&self, errno: Errno) -> Errno {
        match errno {
            Errno::ACCESS => self.stat().err().unwrap_or(Errno::ACCESS),
            errno => errno,
        }
    }

    /// A folder below: `fd` or `task`.
    pub fn list(&self, name: &CStr) -> Result<Numbered, Errno> {
        self.open_below(name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
            .and_then(Numbered::read)
            .map_err(|errno| self.reason(errno))
    }

    fn open_below(&self, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, path, flags, Mode::empty())
    }

    /// One read, which is enough for what fits the buffer: procfs writes a whole
    /// stat line at once.
    fn read<'b>(&self, path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let fd = self.open_below(path, OFlags::NOFOLLOW)?;
        let length = rustix::io::read(&fd, &mut *buffer)?;
        Ok(&buffer[..length])
    }
}

/// A folder with numbers for names, and which there are.
pub(crate) struct Numbered {
    pub fd: OwnedFd,
    pub numbers: Vec<u32>,
}

impl Numbered {
    /// Lists a folder that is open for reading, in the order of the kernel, which for
    /// processes, threads and descriptors is ascending.
    pub fn read(fd: OwnedFd) -> Result<Self, Errno> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut numbers = Vec::new();
        let mut entries = RawDir::new(&fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            numbers.extend(name.and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(Self { fd, numbers })
    }

    /// What the link `number` leads to.
    pub fn link(&self, number: u32) -> Result<Target, Errno> {
        let mut buffer = [MaybeUninit::uninit(); LINK];
        let number = DecInt::new(number);
        let (text, _) = rustix::fs::readlinkat_raw(&self.fd, number, &mut buffer)?;
        Ok(Target::of_link(text))
    }

    /// What the link `number` leads to now, as a handle that has opened nothing.
    pub fn handle(&self, number: u32) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, DecInt::new(number), flags, Mode::empty())
    }
}

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Namespace(Kind, u64),
    /// A socket, by its inode.
    Socket(u64),
    Other,
}

impl Target {
    /// The text tells both from everything else: a path starts with a slash, and no
    /// other file is called by the name of a kind or `socket`.
    fn of_link(text: &[u8]) -> Self {
        match number_of_link(text) {
            Some(("socket", inode)) => Self::Socket(inode),
            _ => parse_link(text)
                .map_or(Self::Other, |(kind, inode)| Self::Namespace(kind, inode)),
        }
    }
}

/// Longer than any text of interest.
const LINK: usize = 64;

fn read_link(
    folder: BorrowedFd<'_>,
    path: impl Arg,
) -> Result<Option<(Kind, u64)>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); LINK];
    let (text, _) = rustix::fs::readlinkat_raw(folder, path, &mut buffer)?;
    Ok(parse_link(text))
}

/// As [`Folder::link`], below any folder.
fn inode_of_link(folder: BorrowedFd<'_>, path: impl Arg) -> Result<Option<u64>, Errno> {
    match read_link(folder, path) {
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        result => result.map(|link| link.map(|(_, inode)| inode)),
    }
}

/// `net:[4026531840]`.
pub(crate) fn parse_link(text: &[u8]) -> Option<(Kind, u64)> {
    let (name, inode) = number_of_link(text)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
    Some((kind, inode))
}

/// `NAME:[NUMBER]`.
fn number_of_link(text: &[u8]) -> Option<(&str, u64)> {
    let text = str::from_utf8(text).ok()?;
    let (name, rest) = text.split_once(":[")?;
    let inode = rest.strip_suffix(']')?.parse().ok()?;
    Some((name, inode))
}

/// The flag of a kernel thread; include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `PID (COMM) STATE PPID ...`; a name may contain blanks and parentheses.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    // Fields 3 and on of proc_pid_stat(5).
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(4)?.parse().ok()?;
    let threads = fields.nth(10)?.parse().ok()?;
    Some(Stat {
        comm: comm.to_owned(),
        zombie,
        parent,
        threads,
        kernel: flags & PF_KTHREAD != 0,
    })
}

/// Fields 14 to 17 of proc_pid_stat(5).
fn parse_ticks(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.rsplit_once(')')?;
    let fields = rest.split_ascii_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    (ticks.len() == 4).then(|| ticks.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 99 1";
        let stat = parse_stat(line).expect("a good line");
        assert_eq!(stat.comm, "a) b (c");
        assert_eq!((stat.parent, stat.threads, stat.zombie), (7, 3, false));
        assert!(!stat.kernel);
        let line = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0";
        assert!(parse_stat(line).expect("a good line").kernel);
        assert_eq!(parse_stat(b"42 (x) S 7"), None);
    }

    #[test]
    fn times_are_those_of_the_process_and_of_its_children() {
        let line =
            b"42 (a) b) S 7 42 42 0 -1 4194560 1 0 0 0 1 20 300 4000 20 0 3 0 99 1";
        assert_eq!(parse_ticks(line), Some(4321));
        assert_eq!(parse_ticks(b"42 (x) S 7 42"), None);
    }

    #[test]
    fn only_links_of_namespaces_are_namespaces() {
        assert_eq!(
            parse_link(b"net:[4026531840]"),
            Some((Kind::Net, 4_026_531_840))
        );
        for text in [
            "socket:[7]",
            "/net:[7]",
            "net:[7",
            "net:7",
            "network:[7]",
            "net:[x]",
        ] {
            assert_eq!(parse_link(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_callers_namespaces_are_those_of_its_links() {
        let proc = ProcRoot::open().expect("/proc");
        let ids = namespaces_of(&proc, std::process::id()).expect("own namespaces");
        for (kind, id) in ids.iter() {
            let link =
                std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link");
            assert_eq!(link.to_string_lossy(), format!("{kind}:[{}]", id.inode));
        }
        assert_eq!(ids.iter().count(), 8);
        assert_eq!(ids.different_from(&ids).count(), 0);
    }

    #[test]
    fn a_process_that_does_not_exist_is_esrch() {
        let proc = ProcRoot::open().expect("/proc");
        let beyond = u32::MAX;
        let error = namespaces_of(&proc, beyond).expect_err("no such process");
        assert_eq!(error.errno(), Errno::SRCH);
    }

    #[test]
    fn a_process_that_has_died_is_esrch_and_not_eacces() {
        let proc = ProcRoot::open().expect("/proc");
        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("/bin/true");
        let folder = Folder::open(proc.as_fd(), child.id()).expect("not yet reaped");
        child.wait().expect("wait");
        assert_eq!(
            folder.stat_and_namespaces(1, NamespaceSet::ALL),
            Err(Errno::SRCH)
        );
        let opened = folder.open_namespace(Kind::Net, false);
        assert_eq!(opened.err(), Some(Errno::SRCH));
    }
}
