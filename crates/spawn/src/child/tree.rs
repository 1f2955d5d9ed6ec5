//! The root to be, and what of the host is seen in it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach, attach_at, attach_over, clone_tree,
    mount_here, open_in_root,
};
use warren_namespaces::Kind;
use warren_sys::{Errno, Result};

use super::digits::{Digits, FdPath};
use super::enter::own_root;
use super::terminal::send_descriptor;
use super::{Child, borrowed};
use crate::spec::{Access, Content, PropagationKind};
use crate::step::{Layering, LayeringUpper, Source, Step};

impl<'a> Child<'a> {
    /// The tree of a source, detached, with the attributes that every tree gets.
    pub(super) fn tree(&self, source: &Source, forbids: Attributes) -> Result<OwnedFd> {
        match source {
            Source::Path(path) => {
                let tree = self.clone_own_tree(rustix::fs::CWD, path)?;
                warren_mounts::set_attributes(tree.as_fd(), forbids, true)?;
                Ok(tree)
            }
            Source::Open(open) => {
                let place = self.in_own_mounts(borrowed(&open.fd))?;
                let tree = self.clone_own_tree(place.as_fd(), c"")?;
                warren_mounts::set_attributes(tree.as_fd(), forbids, true)?;
                Ok(tree)
            }
            Source::Kept(number, _) => {
                let tree = self.fds.trees.get(*number).and_then(Option::as_ref);
                rustix::io::fcntl_dupfd_cloexec(tree.ok_or(Errno::BADF)?, 3)
            }
            // The parent has set the attributes. A copy, since the original is the
            // parent's to close.
            Source::Tree(number, _) => {
                let tree = self.with.trees.get(*number).ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(tree, 3)
            }
            Source::Within { .. } => Err(Errno::INVAL),
        }
    }

    /// The same file or folder in this process's own mount namespace: a copy of the
    /// caller's, of which no tree can be cloned by a descriptor. It is found by its path
    /// and must be what the descriptor has open.
    #[inline(never)]
    fn in_own_mounts(&self, open: BorrowedFd<'_>) -> Result<OwnedFd> {
        // One byte more than a path can have, which stays the NUL at its end.
        let mut buffer = [0; 4097];
        let (space, _) = buffer.split_at_mut(4096);
        let link = FdPath::new(c"self/fd/", open);
        rustix::fs::readlinkat_raw(self.with.proc, link.path(), space)?;
        let path = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::open(path, flags, Mode::empty())?;
        let (wanted, is) = (rustix::fs::fstat(open)?, rustix::fs::fstat(&found)?);
        if (wanted.st_dev, wanted.st_ino) != (is.st_dev, is.st_ino) {
            return Err(Errno::STALE);
        }
        Ok(found)
    }

    /// KERNEL(6.18): a copied mount namespace has no unbindable mounts. Before, one that
    /// another user namespace owns can be neither copied nor left out of a copy (`EPERM`),
    /// as the store of kept namespaces; as a private one it is copied.
    pub(super) fn clone_own_tree(
        &self,
        dir: BorrowedFd<'_>,
        path: &CStr,
    ) -> Result<OwnedFd> {
        let clone = || clone_tree(dir, path, true);
        match clone() {
            Err(Errno::PERM) if self.has_new_mounts() => {
                warren_mounts::make_all_private()?;
                clone()
            }
            tree => tree,
        }
    }

    /// Whether the mount namespace was made for this child.
    fn has_new_mounts(&self) -> bool {
        self.with.steps.iter().any(|step| {
            matches!(step, Step::Clone { namespaces } if namespaces.contains(Kind::Mnt))
        })
    }

    pub(super) fn stage(&mut self, root: OwnedFd) -> Result<()> {
        attach_at(root.as_fd(), rustix::fs::CWD, c"/")?;
        self.staged(root)
    }

    /// It is mounted, wherever that is: when it is entered, the old root lies on it.
    pub(super) fn staged(&mut self, root: OwnedFd) -> Result<()> {
        self.fds.stacked += 1;
        self.fds.root = Some(root);
        Ok(())
    }

    /// Puts a mount over the root of this process, which goes on to see what is below: its
    /// own root is the old one, and it has the new one by descriptor.
    fn attach_over_root(&mut self, mount: BorrowedFd<'_>) -> Result<()> {
        attach_at(mount, rustix::fs::CWD, c"/")?;
        self.fds.stacked += 1;
        Ok(())
    }

    pub(super) fn root_empty(&mut self, mode: &CStr, size: Option<&CStr>) -> Result<()> {
        let root = tmpfs(mode, size)?;
        self.stage(root)
    }

    pub(super) fn root_shared(&mut self, mode: u32) -> Result<()> {
        let folder = self.mounted_folder(mode)?;
        self.stage(folder)
    }

    pub(super) fn root_tree(
        &mut self,
        source: &Source,
        forbids: Attributes,
    ) -> Result<()> {
        let tree = self.tree(source, forbids)?;
        self.stage(tree)
    }

    /// The layers live on a filesystem of their own that the root then covers. Their paths
    /// are given relative to it, so none of them is looked up in the host's tree.
    pub(super) fn make_layers(
        &mut self,
        size: Option<&CStr>,
        disk: Option<usize>,
    ) -> Result<()> {
        let layers = match disk {
            None => tmpfs(c"755", size)?,
            Some(number) => {
                let disk = self.with.trees.get(number).ok_or(Errno::BADF)?;
                rustix::io::fcntl_dupfd_cloexec(disk, 3)?
            }
        };
        self.attach_over_root(layers.as_fd())?;
        self.fds.layers = Some(layers);
        Ok(())
    }

    /// Nothing of them has a name on the host; who has the descriptor can read them even
    /// when the mount namespace is gone.
    pub(super) fn hand_layers(&self) -> Result<()> {
        let channel = self.with.layers.ok_or(Errno::BADF)?;
        let layers = self.fds.layers.as_ref().ok_or(Errno::BADF)?;
        send_descriptor(channel, layers.as_fd())
    }

    pub(super) fn overlay(&mut self, layering: &Layering) -> Result<OwnedFd> {
        let layer = self.numbered_folder(0o700)?;
        let forbids = attributes(Access::ReadOnly, false);
        let mut mode = Mode::from_raw_mode(0o755);
        for (source, name) in &layering.lowers {
            let lower = self.tree(source, forbids)?;
            rustix::fs::mkdirat(&layer, name, Mode::from_raw_mode(0o700))?;
            mode = Mode::from_raw_mode(rustix::fs::fstat(&lower)?.st_mode & 0o7777);
            attach_at(lower.as_fd(), layer.as_fd(), name)?;
        }
        rustix::process::fchdir(&layer)?;
        let overlay = Filesystem::open(c"overlay")?;
        overlay.set(c"lowerdir", &layering.lowerdir)?;
        match &layering.upper {
            LayeringUpper::None => {}
            LayeringUpper::Memory => {
                for name in [c"upper", c"work"] {
                    rustix::fs::mkdirat(&layer, name, Mode::from_raw_mode(0o700))?;
                }
                // What the root of the overlay looks like is up to the upper layer.
                rustix::fs::chmodat(&layer, c"upper", mode, AtFlags::empty())?;
                overlay.set(c"upperdir", c"upper")?;
                overlay.set(c"workdir", c"work")?;
            }
            LayeringUpper::Folder { upper, work } => {
                // By descriptor, since overlayfs takes some characters of a path for its
                // own. Both must be of one mount, so no copies of their own can be made.
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                for (key, path) in [(c"upperdir", upper), (c"workdir", work)] {
                    let folder = rustix::fs::open(path, flags, Mode::empty())?;
                    overlay.set(
                        key,
                        FdPath::new(c"/proc/self/fd/", folder.as_fd()).path(),
                    )?;
                }
            }
        }
        // trusted.* attributes need privilege over the host (Linux 5.11).
        overlay.flag(c"userxattr")?;
        overlay.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
    }

    /// A folder of its own in the layers.
    fn numbered_folder(&mut self, mode: u32) -> Result<OwnedFd> {
        let all = self.fds.layers.as_ref().ok_or(Errno::BADF)?;
        let number = self.numbered;
        self.numbered = number.checked_add(1).ok_or(Errno::OVERFLOW)?;
        let name = Digits::new(c"", u32::from(number));
        rustix::fs::mkdirat(all, name.text(), Mode::from_raw_mode(mode))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(all, name.text(), flags, Mode::empty())
    }

    /// A mount of such a folder: its `..` leads to no other.
    fn mounted_folder(&mut self, mode: u32) -> Result<OwnedFd> {
        let folder = self.numbered_folder(mode)?;
        clone_tree(folder.as_fd(), c"", false)
    }

    pub(super) fn folder(
        &mut self,
        target: &Target,
        mode: u32,
        own: bool,
        shared: bool,
    ) -> Result<()> {
        // Numbered in any case, as the plan counts.
        let shared = shared.then(|| self.numbered_folder(mode)).transpose()?;
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let mode = Mode::from_raw_mode(mode);
        match rustix::fs::mkdirat(parent, target.name(), mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                return open_in_root(root, target.path(), flags).map(drop);
            }
            Err(errno) => return Err(errno),
        }
        let copy = match &shared {
            Some(folder) => clone_tree(folder.as_fd(), c"", false)?,
            None if own => clone_tree(parent, target.name(), false)?,
            None => return Ok(()),
        };
        attach_at(copy.as_fd(), parent, target.name())
    }

    pub(super) fn symlink(&self, content: &CStr, target: &Target) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        match rustix::fs::symlinkat(content, parent, target.name()) {
            Err(Errno::EXIST) if says(parent, target.name(), content)? => Ok(()),
            result => result,
        }
    }

    /// Makes a file in what is there.
    pub(super) fn file(
        &self,
        content: &Content,
        target: &Target,
        mode: u32,
    ) -> Result<()> {
        let root = self.root()?;
        let parent = warren_mounts::ensure_parent(root, target)?;
        let parent = parent.as_ref().map_or(root, OwnedFd::as_fd);
        let file = create(parent, target.name(), mode)?;
        fill(&file, content)
    }

    pub(super) fn folder_in_memory(&mut self, target: &Target, mode: u32) -> Result<()> {
        let mount = self.mounted_folder(mode)?;
        attach(mount.as_fd(), self.root()?, target, Node::Folder)
    }

    /// Makes a file in memory and mounts it.
    pub(super) fn file_in_memory(
        &mut self,
        content: &Content,
        target: &Target,
        mode: u32,
        access: Access,
    ) -> Result<()> {
        let folder = self.numbered_folder(0o700)?;
        let file = create(folder.as_fd(), c"file", mode)?;
        fill(&file, content)?;
        drop(file);
        let mount = clone_tree(folder.as_fd(), c"file", false)?;
        warren_mounts::set_attributes(mount.as_fd(), attributes(access, false), false)?;
        attach(mount.as_fd(), self.root()?, target, Node::File)
    }

    pub(super) fn mode(&self, target: &Target, mode: u32) -> Result<()> {
        let file = open_in_root(self.root()?, target.path(), OFlags::PATH)?;
        // There is no chmod of a path descriptor before Linux 6.6.
        let path = FdPath::new(c"self/fd/", file.as_fd());
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::chmodat(self.with.proc, path.path(), mode, AtFlags::empty())
    }

    pub(super) fn forbid(
        &self,
        target: Option<&Target>,
        attributes: Attributes,
    ) -> Result<()> {
        let Some(target) = target else {
            return warren_mounts::add_attributes(self.root()?, c"", attributes);
        };
        let mount = open_in_root(self.root()?, target.path(), OFlags::PATH)?;
        warren_mounts::add_attributes(mount.as_fd(), c"", attributes)
    }

    /// The lock is the init's, whose process this one is; it ends with the descriptor.
    pub(super) fn lock_file(&mut self, path: &CStr) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        warren_sys::lock_for_reading(file.as_fd())?;
        let mut places = self.fds.locks.iter_mut();
        let place = places.find(|place| place.is_none());
        *place.ok_or(Errno::NOLCK)? = Some(file);
        Ok(())
    }

    /// Covers what is at `target`, if anything is.
    pub(super) fn mask(&mut self, target: &'a Target, readable: bool) -> Result<()> {
        let place = match open_in_root(self.root()?, target.path(), OFlags::PATH) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let stat = rustix::fs::fstat(&place)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return self.mask_folder(place.as_fd(), target);
        }
        let cover = if readable {
            let null = clone_tree(rustix::fs::CWD, c"/dev/null", false)?;
            warren_mounts::set_attributes(null.as_fd(), Attributes::READ_ONLY, false)?;
            null
        } else {
            nothing()?
        };
        attach_over(cover.as_fd(), place.as_fd())
    }

    /// One empty folder covers them all: a filesystem each would cost more. The first is
    /// mounted by mount(2), two calls in place of five, and found again if there is a second.
    fn mask_folder(&mut self, place: BorrowedFd<'_>, target: &'a Target) -> Result<()> {
        let Some(first) = self.masked else {
            self.masked = Some(target);
            return self.mask_first_folder(place);
        };
        let empty = match self.fds.empty.take() {
            Some(empty) => empty,
            None => open_in_root(self.root()?, first.path(), OFlags::PATH)?,
        };
        let empty = self.fds.empty.insert(empty);
        let cover = clone_tree(empty.as_fd(), c"", false)?;
        attach_over(cover.as_fd(), place)
    }

    fn mask_first_folder(&mut self, place: BorrowedFd<'_>) -> Result<()> {
        match rustix::process::fchdir(place) {
            Ok(()) => {
                let forbids = MountFlags::RDONLY
                    | MountFlags::NOSUID
                    | MountFlags::NODEV
                    | MountFlags::NOEXEC;
                mount_here(c"tmpfs", c".", forbids, None)
            }
            // A folder that is closed to this process can be covered all the same.
            Err(Errno::ACCESS) => {
                let cover = Filesystem::open(c"tmpfs")?.mount(Attributes::all())?;
                attach_over(cover.as_fd(), place)?;
                self.fds.empty = Some(cover);
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Mounts what is at `target`, if anything is, over itself, read-only.
    pub(super) fn read_only(&mut self, target: &Target) -> Result<()> {
        let place = match open_in_root(self.root()?, target.path(), OFlags::PATH) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let tree = clone_tree(place.as_fd(), c"", true)?;
        warren_mounts::set_attributes(tree.as_fd(), Attributes::READ_ONLY, true)?;
        attach_over(tree.as_fd(), place.as_fd())
    }

    /// A folder of the root: not one behind a magic link, since a link of the tree to
    /// /proc/self/fd/N would lead out of it (CVE-2024-21626).
    pub(super) fn work_dir(&mut self, paths: &[CString]) -> Result<()> {
        let mut first = Err(Errno::NOENT);
        for (number, path) in paths.iter().enumerate() {
            match self.enter_folder(path) {
                Ok(()) => {
                    self.folder = number;
                    return Ok(());
                }
                Err(errno) if number == 0 => first = Err(errno),
                Err(_) => {}
            }
        }
        first
    }

    fn enter_folder(&self, path: &CStr) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = match &self.fds.root {
            Some(root) => open_in_root(root.as_fd(), path, flags)?,
            None if path == c"/" => return rustix::process::chdir(path),
            None => open_in_root(own_root()?.as_fd(), path, flags)?,
        };
        rustix::process::fchdir(folder)
    }

    /// From here on the old root has no name; then it is gone.
    pub(super) fn enter_root(&mut self, uncovered: Option<&[CString]>) -> Result<()> {
        rustix::process::fchdir(self.root()?)?;
        if self.fds.stays {
            rustix::process::chroot(c".")?;
            return rustix::process::chdir(c"/");
        }
        let old = match self.fds.spreads {
            true => Some(own_root()?),
            false => None,
        };
        match warren_sys::pivot_root() {
            // A root that is no mount, as after chroot(2), cannot be moved away.
            Err(Errno::INVAL) if self.fds.outer_root.is_some() => {
                rustix::process::chroot(c".")?;
                return rustix::process::chdir(c"/");
            }
            Err(Errno::INVAL | Errno::NOSYS) if uncovered.is_some() => {
                return self.cover_root(uncovered.unwrap_or_default());
            }
            result => result?,
        }
        self.fds.layers = None;
        // Not before, when the new root was still one of the mounts in it.
        if let Some(old) = old {
            let slave = warren_mounts::Change {
                propagation: PropagationKind::Slave.bits(),
                ..warren_mounts::Change::default()
            };
            warren_mounts::change(old.as_fd(), slave, true)?;
        }
        // The old root lies on the new one now; what the new root covered until it moved,
        // such as the layers, lies on the old one still. Each call takes the topmost.
        for _ in 0..self.fds.stacked {
            rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        }
        rustix::process::chdir(c"/")
    }
}

impl Child<'_> {
    /// Where the old root cannot be let go it is covered. A procfs or sysfs that is still
    /// mounted there would let who makes a user namespace mount a new one, with nothing of it
    /// masked.
    fn cover_root(&self, uncovered: &[CString]) -> Result<()> {
        for path in uncovered {
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            match rustix::mount::unmount(path, flags) {
                // It went with what it was mounted in.
                Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let root = self.root()?;
        // It may lie there already.
        match attach_at(root, rustix::fs::CWD, c"/") {
            Ok(()) | Err(Errno::LOOP | Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
        rustix::process::fchdir(root)?;
        rustix::process::chroot(c".")?;
        rustix::process::chdir(c"/")
    }
}

/// What every mount of a host's tree forbids.
pub fn attributes(access: Access, devices: bool) -> Attributes {
    let mut forbids = Attributes::NO_SUID;
    if !devices {
        forbids |= Attributes::NO_DEVICES;
    }
    if access == Access::ReadOnly {
        forbids |= Attributes::READ_ONLY;
    }
    forbids
}

pub(super) fn tmpfs(mode: &CStr, size: Option<&CStr>) -> Result<OwnedFd> {
    let tmpfs = Filesystem::open(c"tmpfs")?;
    // The kernel's own default.
    if mode != c"1777" {
        tmpfs.set(c"mode", mode)?;
    }
    if let Some(size) = size {
        tmpfs.set(c"size", size)?;
    }
    tmpfs.mount(Attributes::NO_SUID | Attributes::NO_DEVICES)
}

/// A detached mount of the null device on which even that cannot be opened, so that who
/// reads what it covers gets an error, not an empty file.
pub(super) fn nothing() -> Result<OwnedFd> {
    let null = clone_tree(rustix::fs::CWD, c"/dev/null", false)?;
    warren_mounts::set_attributes(null.as_fd(), Attributes::all(), false)?;
    Ok(null)
}

/// Makes an empty file, or empties one that is there; a symlink is not followed.
fn create(folder: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    let file = rustix::fs::openat(folder, name, flags, mode)?;
    // One that was there has its own.
    rustix::fs::fchmod(&file, mode)?;
    Ok(file)
}

fn fill(file: &OwnedFd, content: &Content) -> Result<()> {
    match content {
        Content::Bytes(bytes) => write_all(file, bytes),
        Content::Open(open) => {
            let mut buffer = [0; 16 * 1024];
            loop {
                match rustix::io::read(borrowed(&open.fd), &mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(length) => write_all(file, &buffer[..length])?,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
    }
}

pub(super) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether `name` is a symlink that says `content`.
#[inline(never)]
fn says(folder: BorrowedFd<'_>, name: &CStr, content: &CStr) -> Result<bool> {
    let mut text = [0; 4096];
    match rustix::fs::readlinkat_raw(folder, name, &mut text) {
        Ok(length) => Ok(text.get(..length) == Some(content.to_bytes())),
        // It is none.
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
