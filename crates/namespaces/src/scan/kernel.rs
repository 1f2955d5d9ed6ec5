//! What only the kernel's own lists tell: listns(2), the row of mount namespaces, and
//! the mounts of those that no process shows whole.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::{Scan, mounts, open_link};
use crate::{Holder, Kind, MountScope, Namespace, NsFd, NsId, Part};

impl Scan<'_> {
    /// Takes in the namespaces on the kernel's list that nothing else has shown.
    pub(super) fn take_kernel_list(&mut self) {
        if !self.scope.kernel_list {
            return;
        }
        match list_namespaces() {
            Ok(ids) => {
                self.kernel_list = true;
                self.take_listed(&ids);
            }
            // KERNEL(6.19): the snapshot says that there was none.
            Err(Errno::NOSYS) => {}
            Err(errno) => self.cannot(Part::KernelList, errno),
        }
    }

    fn take_listed(&mut self, ids: &[u64]) {
        let namespaces = self.graph.namespaces.iter();
        let known: HashSet<u64> = namespaces.filter_map(|one| one.unique_id).collect();
        for id in ids.iter().filter(|id| !known.contains(id)) {
            match open_listed(*id) {
                Ok(fd) => self.take_open(fd),
                // Gone meanwhile.
                Err(Errno::STALE) => {}
                Err(errno) => self.cannot(Part::KernelList, errno),
            }
        }
    }

    fn take_open(&mut self, fd: NsFd) {
        let (kind, id) = (fd.kind(), fd.id());
        if let Ok(id) = id
            && self.kinds.contains(kind)
        {
            self.graph.meet(kind, id.inode, || Ok(fd.into_fd()));
        }
    }

    /// Notes the namespaces that are mounted where no process has shown it.
    pub(super) fn take_other_mounts(&mut self) {
        if self.scope.mounts != MountScope::All {
            return;
        }
        if !self.kernel_list {
            self.take_mount_namespaces();
        }
        // What is found on the way is asked in its turn.
        let mut at = 0;
        while let Some(namespace) = self.graph.namespaces.get(at) {
            at += 1;
            if namespace.kind == Kind::Mnt {
                self.take_mounts_of(namespace.id);
            }
        }
    }

    fn take_mounts_of(&mut self, id: NsId) {
        let seen = self.mounts.seen(id.inode);
        let Some(info) = self.graph.mounts.get(&id.inode) else {
            if seen.is_none() && self.is_there(id) {
                // KERNEL(6.12), unless it could not even be opened.
                let errno = self.graph.why_untold(id.inode).unwrap_or(Errno::NOSYS);
                self.cannot(Part::MountsOf { id }, errno);
            }
            return;
        };
        if seen.is_some_and(|seen| seen >= info.mounts as usize) {
            return;
        }
        match mounts::of_namespace(info.id, seen.unwrap_or(0)) {
            Ok(list) => {
                let own = self.own.get(Kind::Mnt) == Some(id);
                for mounted in list {
                    let nowhere = Err(Errno::OPNOTSUPP);
                    self.mounted(mounted, (!own).then_some(id), nowhere);
                }
            }
            // So it is also without the right to look, which the caller may lack.
            Err(Errno::NOENT) if seen.is_none() && self.is_there(id) => {
                self.cannot(Part::MountsOf { id }, Errno::PERM);
            }
            Err(errno) => self.cannot(Part::MountsOf { id }, errno),
        }
    }

    /// Whether a namespace is held by more than processes, which may just have ended.
    fn is_there(&self, id: NsId) -> bool {
        let of_process = |holder: &Holder| {
            matches!(holder, Holder::Process { .. } | Holder::Thread { .. })
        };
        let held = |one: &Namespace| !one.held_by.iter().all(of_process);
        self.graph.get(id.inode).is_some_and(held)
    }

    /// Takes in the mount namespaces that nothing else has shown, from the kernel's row
    /// of them.
    fn take_mount_namespaces(&mut self) {
        let path = format!("{}/ns/mnt", self.own_folder);
        let Ok(own) = open_link(self.proc, &path) else {
            return;
        };
        let mut known: HashSet<u64> =
            self.graph.mounts.values().map(|info| info.id).collect();
        for beside in [
            warren_sys::mount_namespace_next,
            warren_sys::mount_namespace_previous,
        ] {
            let mut last: Option<OwnedFd> = None;
            // The end of the row, or an older kernel, or no right to look.
            while let Ok((fd, info)) = beside(last.as_ref().unwrap_or(&own).as_fd()) {
                if known.insert(info.id)
                    && let Ok(copy) = fd.try_clone()
                {
                    self.take_open(NsFd::known(copy, Kind::Mnt));
                }
                last = Some(fd);
            }
        }
    }
}

fn list_namespaces() -> Result<Vec<u64>, Errno> {
    const STEP: usize = 1024;
    let mut ids: Vec<u64> = Vec::new();
    loop {
        let after = ids.last().copied().unwrap_or(0);
        let start = ids.len();
        ids.resize(start + STEP, 0);
        let count = warren_sys::list_namespaces(after, &mut ids[start..])?;
        ids.truncate(start + count);
        if count < STEP {
            return Ok(ids);
        }
    }
}

/// Opens a namespace of which only the number is known, which a kernel that lists them
/// allows.
fn open_listed(id: u64) -> Result<NsFd, Errno> {
    let handle = warren_sys::NamespaceHandle {
        id,
        kind: 0,
        inode: 0,
    };
    NsFd::from_fd(warren_sys::open_namespace_handle(handle)?)
}
