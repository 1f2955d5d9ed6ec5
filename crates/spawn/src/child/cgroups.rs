//! The control groups that a container sees.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use warren_mounts::{
    Attributes, Filesystem, Node, Target, attach_over, clone_tree, ensure, open_in_root,
};
use warren_sys::{Errno, Result};

use super::{Child, leave_open};
use crate::step::{CgroupFolder, CgroupTree};

/// The longest /proc/self/cgroup that is read: a line for each hierarchy.
const LONGEST: usize = 8192;

impl Child<'_> {
    pub(super) fn cgroups(&self, tree: &CgroupTree, target: &Target) -> Result<()> {
        let place = ensure(self.root()?, target, Node::Folder)?;
        if tree.folders.is_empty() {
            return self.cgroup2(tree, place.as_fd());
        }
        rustix::process::fchdir(&place)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount(c"tmpfs", c".", c"tmpfs", flags, c"mode=755")?;
        let all = open_in_root(self.root()?, target.path(), OFlags::PATH)?;
        // A tmpfs of our own, in which nobody has put a symlink.
        rustix::process::fchdir(&all)?;
        for folder in &tree.folders {
            rustix::fs::mkdirat(&all, &folder.name, Mode::from_raw_mode(0o755))?;
            self.cgroup1(tree, folder, all.as_fd())?;
            for link in &folder.links {
                rustix::fs::symlinkat(&folder.name, &all, link)?;
            }
        }
        if tree.attributes & warren_sys::MOUNT_ATTR_RDONLY != 0 {
            let forbids = warren_mounts::Attributes::READ_ONLY;
            warren_mounts::add_attributes(all.as_fd(), c"", forbids)?;
        }
        leave_open(all);
        leave_open(place);
        Ok(())
    }

    fn cgroup1(
        &self,
        tree: &CgroupTree,
        folder: &CgroupFolder,
        all: BorrowedFd<'_>,
    ) -> Result<()> {
        if tree.own {
            let flags = MountFlags::from_bits_retain(tree.attributes & 0xf);
            let (name, options) = (folder.name.as_c_str(), folder.options.as_c_str());
            return rustix::mount::mount(c"cgroup", name, c"cgroup", flags, options);
        }
        // Without a cgroup namespace a mount would show the groups of all others.
        let own = self.own_cgroup(&folder.options, &folder.mount_point)?;
        change(own.as_fd(), tree.attributes)?;
        warren_mounts::attach_at(own.as_fd(), all, &folder.name)
    }

    fn cgroup2(&self, tree: &CgroupTree, place: BorrowedFd<'_>) -> Result<()> {
        rustix::process::fchdir(place)?;
        let flags = MountFlags::from_bits_retain(tree.attributes & 0xf);
        match rustix::mount::mount(c"cgroup", c".", c"cgroup2", flags, None) {
            // mount(2) puts no filesystem on its own root, as the host's is where all of
            // /sys was bound; move_mount(2) does.
            Err(Errno::BUSY) if tree.own => {
                let own = Filesystem::open(c"cgroup2")?.mount(Attributes::empty())?;
                change(own.as_fd(), tree.attributes)?;
                return attach_over(own.as_fd(), place);
            }
            // A user namespace that owns no cgroup namespace may mount none.
            Err(Errno::PERM | Errno::BUSY) if !tree.own => {}
            result => return result,
        }
        let own = self.own_cgroup(c"", &tree.v2)?;
        // As long as the group is named from the root of all, what can be written there
        // could move processes of others (CVE-2023-25809).
        change(own.as_fd(), tree.attributes | warren_sys::MOUNT_ATTR_RDONLY)?;
        attach_over(own.as_fd(), place)
    }

    /// A detached copy of the folder of the process's own group in a hierarchy.
    fn own_cgroup(&self, controllers: &CStr, mount_point: &CStr) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = c"self/cgroup";
        let file = rustix::fs::openat(self.with.proc, file, flags, Mode::empty())?;
        let mut text = [0; LONGEST];
        let length = rustix::io::read(&file, &mut text)?;
        let path = path_in(&text[..length], controllers.to_bytes());
        let path = path.ok_or(Errno::NOENT)?;
        let mut whole = [0; 4097];
        let mount_point = mount_point.to_bytes();
        let end = mount_point.len() + path.len();
        let space = whole.get_mut(..end).ok_or(Errno::NAMETOOLONG)?;
        space[..mount_point.len()].copy_from_slice(mount_point);
        space[mount_point.len()..].copy_from_slice(path);
        let whole = CStr::from_bytes_until_nul(&whole).map_err(|_| Errno::INVAL)?;
        clone_tree(rustix::fs::CWD, whole, false)
    }
}

fn change(mount: BorrowedFd<'_>, attributes: u32) -> Result<()> {
    let change = warren_mounts::Change {
        set: attributes,
        ..warren_mounts::Change::default()
    };
    warren_mounts::change(mount, change, false)
}

/// Of the lines `NUMBER:CONTROLLERS:PATH`, the path of the one of these controllers.
fn path_in<'a>(lines: &'a [u8], controllers: &[u8]) -> Option<&'a [u8]> {
    lines.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (_, own, path) = (fields.next()?, fields.next()?, fields.next()?);
        (own == controllers).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_hierarchy_is_that_of_its_line() {
        let lines = b"4:memory:/a:b\n3:cpu,cpuacct:/c\n1:name=systemd:/\n0::/d\n";
        for (controllers, path) in [
            ("memory", Some("/a:b")),
            ("cpu,cpuacct", Some("/c")),
            ("name=systemd", Some("/")),
            ("", Some("/d")),
            ("pids", None),
        ] {
            let found = path_in(lines, controllers.as_bytes());
            assert_eq!(found, path.map(str::as_bytes), "{controllers}");
        }
    }
}
