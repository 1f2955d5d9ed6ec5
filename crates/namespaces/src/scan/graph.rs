//! The namespaces that a scan has met, and how they belong together.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use warren_sys::MountNamespaceInfo;

use crate::{
    Holder, Kind, MountScope, Namespace, NsFd, NsHandle, NsId, Part, Scope, Unreadable,
};

pub(super) struct Graph {
    pub device: u64,
    scope: Scope,
    /// By inode; the number is the place in `namespaces`.
    index: HashMap<u64, usize>,
    pub namespaces: Vec<Namespace>,
    /// For each, why it has not told about itself yet.
    untold: Vec<Option<Errno>>,
    /// What mount namespaces say of themselves, by inode.
    pub mounts: HashMap<u64, MountNamespaceInfo>,
    /// Whether namespaces have numbers here, until one says no.
    has_ids: bool,
}

impl Graph {
    pub fn new(device: u64, scope: Scope) -> Self {
        Self {
            device,
            scope,
            index: HashMap::new(),
            namespaces: Vec::new(),
            untold: Vec::new(),
            mounts: HashMap::new(),
            has_ids: scope.ids || scope.kernel_list,
        }
    }

    /// The place of a namespace that was seen, which is made where it is new; one that
    /// has not told about itself yet is opened and asked.
    pub fn meet(
        &mut self,
        kind: Kind,
        inode: u64,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> &mut Namespace {
        let at = self.place(kind, inode);
        if self.untold[at].is_some() && self.asks(kind) {
            match open() {
                Ok(fd) => self.ask(at, fd),
                Err(errno) => self.untold[at] = Some(errno),
            }
        }
        &mut self.namespaces[at]
    }

    /// Whether a namespace of the kind is opened and asked at all.
    fn asks(&self, kind: Kind) -> bool {
        let of_mounts = kind == Kind::Mnt && self.scope.mounts == MountScope::All;
        self.scope.relations || self.has_ids || of_mounts
    }

    pub fn get(&self, inode: u64) -> Option<&Namespace> {
        self.index.get(&inode).map(|at| &self.namespaces[*at])
    }

    pub fn get_mut(&mut self, inode: u64) -> Option<&mut Namespace> {
        self.index.get(&inode).map(|at| &mut self.namespaces[*at])
    }

    fn place(&mut self, kind: Kind, inode: u64) -> usize {
        let new = self.namespaces.len();
        let at = *self.index.entry(inode).or_insert(new);
        if at == new {
            self.untold.push(Some(Errno::NOENT));
            let device = self.device;
            let id = NsId { device, inode };
            self.namespaces.push(Namespace::new(kind, id));
        }
        at
    }

    /// Asks a namespace about itself, and its owner and parent likewise, up to one that
    /// is known or out of sight.
    fn ask(&mut self, at: usize, fd: OwnedFd) {
        let mut open = vec![(at, NsFd::known(fd, self.namespaces[at].kind))];
        while let Some((at, fd)) = open.pop() {
            match self.tell(at, &fd) {
                Ok(relatives) => {
                    self.untold[at] = None;
                    open.extend(relatives);
                }
                Err(errno) => self.untold[at] = Some(errno),
            }
        }
    }

    /// Fills in one namespace; gives those of its relatives that are new.
    fn tell(&mut self, at: usize, fd: &NsFd) -> Result<Vec<(usize, NsFd)>, Errno> {
        // The process may have moved since its link was read.
        if self.tell_id(at, fd)? != self.namespaces[at].id.inode {
            return Err(Errno::NOENT);
        }
        if fd.kind() == Kind::Mnt && self.scope.mounts == MountScope::All {
            self.tell_mounts(at, fd)?;
        }
        if self.scope.relations {
            return self.tell_relations(at, fd);
        }
        Ok(Vec::new())
    }

    /// Notes the number and the handle of what is open; gives its inode.
    fn tell_id(&mut self, at: usize, fd: &NsFd) -> Result<u64, Errno> {
        if self.has_ids {
            // One call for all three.
            match fd.handle() {
                // KERNEL(6.18): namespaces have neither before.
                Err(Errno::OPNOTSUPP) => self.has_ids = false,
                handle => return Ok(self.note_handle(at, handle?)),
            }
        }
        fd.id().map(|id| id.inode)
    }

    fn note_handle(&mut self, at: usize, handle: NsHandle) -> u64 {
        let namespace = &mut self.namespaces[at];
        let inode = u64::from(handle.inode);
        if namespace.id.inode == inode {
            namespace.unique_id = Some(handle.id);
            namespace.handle = Some(handle);
        }
        inode
    }

    fn tell_mounts(&mut self, at: usize, fd: &NsFd) -> Result<(), Errno> {
        match warren_sys::mount_namespace_info(fd.as_fd()) {
            // An older kernel: what that costs is told by whoever needs it.
            Err(Errno::NOTTY) => {}
            info => {
                self.mounts.insert(self.namespaces[at].id.inode, info?);
            }
        }
        Ok(())
    }

    fn tell_relations(
        &mut self,
        at: usize,
        fd: &NsFd,
    ) -> Result<Vec<(usize, NsFd)>, Errno> {
        let mut new = Vec::new();
        let owner = self.relative(fd.owner(), &mut new)?;
        self.namespaces[at].owner = owner;
        match fd.kind() {
            Kind::User => {
                // The owner of a user namespace is its parent.
                self.namespaces[at].parent = owner;
                self.namespaces[at].owner_uid = Some(fd.owner_uid()?);
            }
            Kind::Pid => {
                let parent = self.relative(fd.parent(), &mut new)?;
                self.namespaces[at].parent = parent;
            }
            _ => {}
        }
        Ok(new)
    }

    /// The identity of an owner or parent, `None` where it is out of sight.
    fn relative(
        &mut self,
        answer: Result<NsFd, Errno>,
        new: &mut Vec<(usize, NsFd)>,
    ) -> Result<Option<NsId>, Errno> {
        let fd = match answer {
            Err(Errno::PERM) => return Ok(None),
            answer => answer?,
        };
        let id = fd.id()?;
        let at = self.place(fd.kind(), id.inode);
        if self.untold[at].is_some() {
            new.push((at, fd));
        }
        Ok(Some(id))
    }

    /// Why a namespace could not be asked.
    pub fn why_untold(&self, inode: u64) -> Option<Errno> {
        self.index.get(&inode).and_then(|at| self.untold[*at])
    }

    /// The namespaces that were seen and could not be asked, and why.
    pub fn untold(&self) -> impl Iterator<Item = Unreadable> {
        let all = self.namespaces.iter().zip(&self.untold);
        all.filter(|(namespace, _)| self.asks(namespace.kind))
            .filter_map(|(namespace, untold)| {
                let (kind, id) = (namespace.kind, namespace.id);
                let part = Part::Relations { kind, id };
                (*untold).map(|errno| Unreadable { part, errno })
            })
    }

    /// Notes with every owner and parent what it owns.
    pub fn note_children(&mut self) {
        for at in 0..self.namespaces.len() {
            let child = &self.namespaces[at];
            let (kind, id) = (child.kind, child.id);
            let parent = child.parent.filter(|parent| child.owner != Some(*parent));
            for relative in child.owner.into_iter().chain(parent) {
                if let Some(at) = self.index.get(&relative.inode) {
                    let holder = Holder::Child { kind, id };
                    self.namespaces[*at].held_by.push(holder);
                }
            }
        }
    }
}
