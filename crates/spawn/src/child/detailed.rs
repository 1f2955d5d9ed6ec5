//! Mounts of which every property is said, and device files.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::MountFlags;
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach_at, attach_over, bind_here, clone_tree,
    ensure_exactly, ensure_parent, make_in_root, mount_here, open_in_root,
};
use warren_sys::{Errno, Result};

use super::exec::hear_answer;
use super::kernel::{DEVICES, cover_file, if_there};
use super::terminal::send_descriptor;
use super::{Child, copy, leave_open};
use crate::spec::{Device, DeviceKind, Propagation, PropagationKind};
use crate::step::{Changes, NewFilesystem, ShiftWithin, Source};

/// Opens the target, and says whether it was there. Where it is missing, it is made, if need
/// be where links of the image lead that lead nowhere yet.
fn through_links(
    root: BorrowedFd<'_>,
    target: &Target,
    node: Node,
) -> Result<(OwnedFd, bool)> {
    match open_in_root(root, target.path(), OFlags::PATH) {
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(target.parents_mode());
            Ok((make_in_root(root, target.path(), node, mode)?, false))
        }
        found => Ok((found?, true)),
    }
}

impl<'a> Child<'a> {
    /// Makes a folder in the filesystem in memory that was mounted just before, as /dev/pts
    /// in /dev, and has the working directory around it. False for any other, and for one
    /// that is there.
    ///
    /// That was empty, and so there is no link of the image on the way, and what was made
    /// there can be mounted on by its name: two calls in place of 12.
    pub(super) fn make_in_fresh(&mut self, target: &'a Target) -> Result<bool> {
        let Some(fresh) = self.fresh.filter(|it| target.parent() == Some(it.path()))
        else {
            return Ok(false);
        };
        if !self.is_in_fresh {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let above = open_in_root(self.root()?, fresh.path(), flags)?;
            rustix::process::fchdir(&above)?;
            leave_open(above);
            self.is_in_fresh = true;
        }
        let mode = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(CWD, target.name(), mode) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Mounts a tree of the host as it is told.
    pub(super) fn mount_tree(
        &self,
        source: &Source,
        target: &Target,
        node: Option<Node>,
        changes: &Changes,
    ) -> Result<()> {
        let tree = self.detailed_tree(source, changes)?;
        let node = node.map_or_else(|| node_of(tree.as_fd()), Ok)?;
        let (place, _) = through_links(self.root()?, target, node)?;
        // In a procfs nothing but a procfs may be mounted, but for a few places: who looks
        // for the kernel's files there must find them (CVE-2019-16884).
        if !may_be_covered(place.as_fd(), target)? && !is_procfs(tree.as_fd())? {
            return Err(Errno::NOTSUP);
        }
        attach_over(tree.as_fd(), place.as_fd()).map_err(|errno| match errno {
            Errno::INVAL => unlike(node, place.as_fd()),
            other => other,
        })?;
        leave_open(place);
        leave_open(tree);
        Ok(())
    }

    /// Makes a tree the root, as it is told.
    pub(super) fn root_detailed(
        &mut self,
        source: &Source,
        changes: &Changes,
        place: Option<&CStr>,
        stays: bool,
    ) -> Result<()> {
        let tree = self.detailed_tree(source, changes)?;
        if stays {
            return self.root_that_stays(tree, place.ok_or(Errno::INVAL)?);
        }
        match place {
            Some(place) if attach_at(tree.as_fd(), CWD, place).is_ok() => {
                self.staged(tree)
            }
            _ => self.stage(tree),
        }
    }

    /// What is mounted in it is to be there alone, and not where the tree comes from.
    fn root_that_stays(&mut self, tree: OwnedFd, place: &CStr) -> Result<()> {
        attach_at(tree.as_fd(), CWD, place)?;
        let private = warren_mounts::Change {
            propagation: PropagationKind::Private.bits(),
            ..warren_mounts::Change::default()
        };
        warren_mounts::change(tree.as_fd(), private, true)?;
        self.fds.stays = true;
        self.staged(tree)
    }

    fn detailed_tree(&self, source: &Source, changes: &Changes) -> Result<OwnedFd> {
        match source {
            Source::Path(path) => {
                let tree = if changes.recursive {
                    self.clone_own_tree(CWD, path)?
                } else {
                    clone_tree(CWD, path, false)?
                };
                changes.apply(tree.as_fd())?;
                Ok(tree)
            }
            Source::Tree(number, _) => {
                // The parent has changed it.
                let tree = self.with.trees.get(*number).ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(tree, 3)
            }
            Source::Within { place, ids } => {
                let found = open_in_root(self.root()?, place.path(), OFlags::PATH)?;
                let tree = clone_tree(found.as_fd(), c"", changes.recursive)?;
                changes.apply(tree.as_fd())?;
                if let Some(ids) = ids {
                    self.shift_within(tree.as_fd(), ids)?;
                }
                Ok(tree)
            }
            Source::Open(_) | Source::Kept(..) => Err(Errno::INVAL),
        }
    }

    /// Gives a tree of the root other owners, or has the parent do that: it takes rights over
    /// the user namespace that its filesystem belongs to.
    fn shift_within(&self, tree: BorrowedFd<'_>, ids: &ShiftWithin) -> Result<()> {
        if ids.by_parent {
            let channel = self.with.shifts.ok_or(Errno::BADF)?;
            send_descriptor(channel, tree)?;
            return hear_answer(channel);
        }
        let map = ids.map.and_then(|number| self.with.trees.get(number));
        let map = map.ok_or(Errno::BADF)?;
        warren_mounts::shift_ids(tree, map.as_fd(), ids.recursive)
    }

    /// Mounts a filesystem as it is told.
    pub(super) fn mount_filesystem(
        &mut self,
        new: &NewFilesystem,
        target: &'a Target,
    ) -> Result<()> {
        let is_simple = new.options.is_empty() && !new.is_of_kernel;
        if is_simple && self.make_in_fresh(target)? {
            // What is mounted below one leaves that as it is.
            return mount_on(target.name(), new, None);
        }
        self.fresh = None;
        // A link of the image at /proc or /sys would have what is written there go, and
        // what is masked there be, elsewhere (CVE-2023-27561).
        let (place, was_there) = if new.is_of_kernel {
            (ensure_exactly(self.root()?, target)?, true)
        } else {
            through_links(self.root()?, target, Node::Folder)?
        };
        if !new.is_of_kernel && !may_be_covered(place.as_fd(), target)? {
            return Err(Errno::NOTSUP);
        }
        let mode = match new.takes_mode && was_there {
            true => Some(rustix::fs::fstat(&place)?.st_mode & 0o7777),
            false => None,
        };
        if new.options.is_empty() {
            // Three calls less than by descriptors, and no name that could have been
            // replaced.
            rustix::process::fchdir(&place)?;
            mount_on(c".", new, mode)?;
        } else {
            let mount = detached(new, mode)?;
            if new.copy_up {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let from = rustix::fs::openat(&place, c".", flags, Mode::empty())?;
                copy::folder(from.as_fd(), mount.as_fd())?;
            }
            new.changes.apply(mount.as_fd())?;
            attach_over(mount.as_fd(), place.as_fd())?;
            leave_open(mount);
        }
        leave_open(place);
        if new.is_empty_memory() {
            self.fresh = Some(target);
            self.is_in_fresh = false;
        }
        Ok(())
    }

    /// By mount(2) and plain names: in a procfs of one's own nobody has put a symlink. A
    /// file takes one call where [`Self::mask`] takes five.
    pub(super) fn proc_paths(
        &self,
        target: &Target,
        masked: &[CString],
        read_only: &[CString],
    ) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let proc = open_in_root(self.root()?, target.path(), flags)?;
        if !is_procfs(proc.as_fd())? {
            return Err(Errno::ACCESS);
        }
        rustix::process::fchdir(&proc)?;
        for name in read_only {
            if_there(bind_here(name, name).and_then(|()| {
                let forbids = warren_mounts::Attributes::READ_ONLY;
                warren_mounts::add_attributes(proc.as_fd(), name, forbids)
            }))?;
        }
        let mut null = None;
        for name in masked {
            if_there(cover(proc.as_fd(), name, &mut null))?;
        }
        leave_open(proc);
        Ok(())
    }

    pub(super) fn root_propagation(&self, propagation: Propagation) -> Result<()> {
        let change = warren_mounts::Change {
            propagation: propagation.kind.bits(),
            ..warren_mounts::Change::default()
        };
        warren_mounts::change(self.root()?, change, propagation.recursive)
    }

    /// The usual devices and links, in a folder that is opened once and is no symlink:
    /// else they would be made wherever that leads (CVE-2026-41579).
    pub(super) fn device_files(
        &mut self,
        target: &Target,
        bind: bool,
        console: bool,
    ) -> Result<()> {
        let dev = ensure_exactly(self.root()?, target)?;
        for (host, name) in DEVICES {
            let made = match bind {
                true => Err(Errno::PERM),
                false => make_device(dev.as_fd(), name, host),
            };
            match made {
                // A user namespace may make none.
                Err(Errno::PERM) => bind_device(dev.as_fd(), name, host)?,
                result => result?,
            }
        }
        let has_core = rustix::fs::statat(self.with.proc, c"kcore", AtFlags::empty());
        let core = usize::from(has_core.is_err());
        for (content, name) in &LINKS[..LINKS.len() - core] {
            match rustix::fs::symlinkat(*content, &dev, *name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        multiplexer_link(dev.as_fd())?;
        if console {
            // Now, for later it may be read-only.
            place(dev.as_fd(), c"console")?;
        }
        self.fds.dev = Some(dev);
        Ok(())
    }

    pub(super) fn device(&self, device: &Device, target: &Target) -> Result<()> {
        let root = self.root()?;
        let parent = ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let name = target.name();
        let kind = match device.kind {
            DeviceKind::Character => FileType::CharacterDevice,
            DeviceKind::Block => FileType::BlockDevice,
            DeviceKind::Pipe => FileType::Fifo,
        };
        let mode = Mode::from_raw_mode(device.mode);
        let number = rustix::fs::makedev(device.major, device.minor);
        match rustix::fs::mknodat(parent, name, kind, mode, number) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            Err(Errno::PERM) => return self.bind_hosts_device(device, parent, name),
            Err(errno) => return Err(errno),
        }
        if device.uid == 0 && device.gid == 0 {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags)
    }

    /// That of the host at the same path, if it is the one that is asked for.
    fn bind_hosts_device(
        &self,
        device: &Device,
        folder: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<()> {
        let mut path = [0; 4097];
        use std::os::unix::ffi::OsStrExt;
        let bytes = device.target.as_os_str().as_bytes();
        path.get_mut(..bytes.len())
            .ok_or(Errno::NAMETOOLONG)?
            .copy_from_slice(bytes);
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
        let host = clone_tree(CWD, path, false)?;
        let stat = rustix::fs::fstat(&host)?;
        if stat.st_rdev != rustix::fs::makedev(device.major, device.minor) {
            return Err(Errno::PERM);
        }
        place_device(folder, name, host.as_fd())
    }

    /// The program's terminal as the console of the container. By descriptor, for whoever
    /// can write there could have replaced the name (CVE-2025-52565).
    pub(super) fn console(&self) -> Result<()> {
        let terminal = self.fds.terminal.as_ref().ok_or(Errno::BADF)?;
        let console = clone_tree(terminal.as_fd(), c"", false)?;
        attach_at(console.as_fd(), self.dev()?, c"console")
    }
}

/// Covers what is in a procfs, which is the working directory. Its kind is looked at first:
/// a mount on what is of another kind is undone with a wait for the kernel (RCU). `null` is
/// the first file that was covered: what is bound from there is read-only as that is, in one
/// call.
fn cover<'a>(
    proc: BorrowedFd<'_>,
    name: &'a CStr,
    null: &mut Option<&'a CStr>,
) -> Result<()> {
    let stat = rustix::fs::statat(proc, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match (FileType::from_raw_mode(stat.st_mode), *null) {
        (FileType::Directory, _) => mount_here(c"tmpfs", name, MountFlags::RDONLY, None),
        (_, Some(null)) => bind_here(null, name),
        (_, None) => {
            cover_file(proc, name, true)?;
            *null = Some(name);
            Ok(())
        }
    }
}

/// The last one only where the kernel has the file.
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"/proc/kcore", c"core"),
];

/// `ptmx` leads to that of the container's own devpts, whatever an image has there.
fn multiplexer_link(dev: BorrowedFd<'_>) -> Result<()> {
    let link = || rustix::fs::symlinkat(c"pts/ptmx", dev, c"ptmx");
    match link() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(dev, c"ptmx", AtFlags::empty())?;
            link()
        }
        result => result,
    }
}

/// Makes a device like that of the host.
fn make_device(dev: BorrowedFd<'_>, name: &CStr, host: &CStr) -> Result<()> {
    let (major, minor) = match host.to_bytes() {
        b"/dev/null" => (1, 3),
        b"/dev/zero" => (1, 5),
        b"/dev/full" => (1, 7),
        b"/dev/random" => (1, 8),
        b"/dev/urandom" => (1, 9),
        b"/dev/tty" => (5, 0),
        _ => return Err(Errno::NODEV),
    };
    let number = rustix::fs::makedev(major, minor);
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::mknodat(dev, name, FileType::CharacterDevice, mode, number) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn bind_device(dev: BorrowedFd<'_>, name: &CStr, host: &CStr) -> Result<()> {
    let device = clone_tree(CWD, host, false)?;
    place_device(dev, name, device.as_fd())
}

/// Mounts a device of the host on an empty file, which is made if it is missing. Read-only:
/// its owner inside could change it for everybody. It can be written to nevertheless.
fn place_device(
    folder: BorrowedFd<'_>,
    name: &CStr,
    device: BorrowedFd<'_>,
) -> Result<()> {
    place(folder, name)?;
    let attributes = Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_EXEC;
    warren_mounts::set_attributes(device, attributes, false)?;
    attach_at(device, folder, name)
}

fn place(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::mknodat(folder, name, FileType::RegularFile, mode, 0) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Places of a procfs that may be covered by what is none: what tells of the machine.
const COVERED: [&CStr; 10] = [
    c"proc/cpuinfo",
    c"proc/diskstats",
    c"proc/loadavg",
    c"proc/meminfo",
    c"proc/slabinfo",
    c"proc/stat",
    c"proc/swaps",
    c"proc/uptime",
    c"proc/sys/crypto/fips_enabled",
    c"proc/sys/kernel/ns_last_pid",
];

fn may_be_covered(place: BorrowedFd<'_>, target: &Target) -> Result<bool> {
    Ok(!is_procfs(place)? || COVERED.contains(&target.path()))
}

fn is_procfs(file: BorrowedFd<'_>) -> Result<bool> {
    Ok(rustix::fs::fstatfs(file)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

fn node_of(file: BorrowedFd<'_>) -> Result<Node> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    Ok(match kind {
        FileType::Directory => Node::Folder,
        _ => Node::File,
    })
}

/// Why something cannot be mounted at a place.
fn unlike(node: Node, place: BorrowedFd<'_>) -> Errno {
    let kind = rustix::fs::fstat(place).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match (node, kind) {
        (Node::Folder, Ok(kind)) if kind != FileType::Directory => Errno::NOTDIR,
        (Node::File, Ok(FileType::Directory)) => Errno::ISDIR,
        _ => Errno::INVAL,
    }
}

/// mount(2) on the working directory, or on a folder in it.
fn mount_on(place: &CStr, new: &NewFilesystem, mode: Option<u32>) -> Result<()> {
    let flags = MountFlags::from_bits_retain(new.flags as u32);
    let mount = |data: &CStr| {
        let (source, kind) = (new.source.as_c_str(), new.kind.as_c_str());
        rustix::mount::mount(source, place, kind, flags, data)
    };
    match mode {
        None => mount(&new.data),
        Some(mode) => mount(ModeAtEnd::new(&new.data, mode)?.text()),
    }
}

fn detached(new: &NewFilesystem, mode: Option<u32>) -> Result<OwnedFd> {
    let filesystem = Filesystem::open(&new.kind)?;
    if !new.source.is_empty() {
        filesystem.set(c"source", &new.source)?;
    }
    if let Some(mode) = mode {
        filesystem.set(c"mode", ModeAtEnd::new(c"", mode)?.number())?;
    }
    for (key, value) in &new.options {
        match value {
            _ if key.is_empty() => {}
            Some(value) => filesystem.set(key, value)?,
            None => filesystem.flag(key)?,
        }
    }
    let attributes = warren_mounts::Attributes::from_bits_retain(new.attributes);
    filesystem.mount(attributes)
}

/// Options of a filesystem, and `mode=` at their end.
struct ModeAtEnd {
    bytes: [u8; 4096],
    number: usize,
    length: usize,
}

impl ModeAtEnd {
    fn new(options: &CStr, mode: u32) -> Result<Self> {
        let options = options.to_bytes();
        let mut all = Self {
            bytes: [0; 4096],
            number: 0,
            length: 0,
        };
        all.add(options)?;
        if !options.is_empty() {
            all.add(b",")?;
        }
        all.add(b"mode=")?;
        all.number = all.length;
        let digit = |shift: u32| b'0' + (mode >> shift & 7) as u8;
        all.add(&[digit(9), digit(6), digit(3), digit(0)])?;
        Ok(all)
    }

    /// The last byte stays NUL.
    fn add(&mut self, text: &[u8]) -> Result<()> {
        let place = self.bytes[..4095].get_mut(self.length..self.length + text.len());
        place.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(text);
        self.length += text.len();
        Ok(())
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    fn number(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes[self.number..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_put_behind_the_other_options() {
        let all = ModeAtEnd::new(c"size=64k", 0o1777).expect("it has room");
        assert_eq!(all.text(), c"size=64k,mode=1777");
        assert_eq!(all.number(), c"1777");
        let alone = ModeAtEnd::new(c"", 0o755).expect("it has room");
        assert_eq!(alone.text(), c"mode=0755");
        let long = std::ffi::CString::new(vec![b'a'; 4090]).expect("no NUL");
        assert!(ModeAtEnd::new(&long, 0).is_err());
    }
}
