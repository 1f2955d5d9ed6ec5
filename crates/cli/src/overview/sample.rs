//! Machines made by hand, for the tests of what shows them.

use warren_namespaces::{
    Holder, Kind, Label, Namespace, NamespaceIds, NamespaceSet, NsId, Process, Reference,
    Scope, Snapshot,
};

use super::Overview;
use crate::words::Users;

const DEVICE: u64 = 4;
const HOST: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// A machine that grows by processes.
#[derive(Default)]
pub struct Sample {
    processes: Vec<Process>,
    namespaces: Vec<Namespace>,
}

fn id(inode: u64) -> NsId {
    NsId {
        device: DEVICE,
        inode,
    }
}

impl Sample {
    /// A host of three processes.
    pub fn host() -> Self {
        let mut sample = Self::default();
        sample.process(1, "systemd", &[]);
        sample.process(20, "cron", &[]);
        sample.process(30, "sh", &[]);
        sample
    }

    /// A container by itself, and a pod of two.
    pub fn containers() -> Self {
        use Kind::{Cgroup, Ipc, Mnt, Net, Pid, Uts};
        let mut sample = Self::host();
        let own = |base: u64| {
            let kinds = [Mnt, Net, Ipc, Pid, Uts, Cgroup];
            let ids = kinds.iter().map(move |kind| (*kind, base + *kind as u64));
            ids.collect::<Vec<_>>()
        };
        sample.process(4242, "nginx", &own(100));
        sample.process(4243, "nginx", &own(100));
        sample.process(5000, "pause", &own(200));
        let pod = [(Net, 201), (Ipc, 202), (Uts, 205)];
        let app = [(Mnt, 300), (Pid, 304), (Cgroup, 306)];
        sample.process(5100, "app", &[pod.as_slice(), app.as_slice()].concat());
        sample
    }

    /// The same with a label, and a service.
    pub fn labelled() -> Self {
        let mut sample = Self::containers();
        let id = "0123456789abcdef".repeat(4);
        sample.cgroup(4242, &format!("/system.slice/docker-{id}.scope"));
        sample.process(6000, "resolved", &[(Kind::Mnt, 400)]);
        sample.cgroup(6000, "/system.slice/systemd-resolved.service");
        sample
    }

    /// User namespaces in each other, one of them without a process.
    pub fn nested() -> Self {
        let mut sample = Self::host();
        let outer = [(Kind::User, 103), (Kind::Pid, 104)];
        sample.process(100, "outer", &outer);
        sample.process(101, "helper", &[outer[0], outer[1], (Kind::Mnt, 110)]);
        sample.process(110, "inner", &[(Kind::User, 203), (Kind::Pid, 204)]);
        sample.empty(
            Kind::User,
            150,
            &[Holder::Child {
                kind: Kind::User,
                id: id(203),
            }],
        );
        sample.parent(103, 4);
        sample.parent(104, 5);
        sample.parent(150, 103);
        sample.parent(203, 150);
        sample.parent(204, 104);
        sample
    }

    /// Namespaces that only mounts and descriptors keep.
    pub fn kept() -> Self {
        let mut sample = Self::host();
        let mount = |path: &str| {
            [Holder::Mount {
                path: path.into(),
                namespace: None,
            }]
        };
        let fd = |fd| [Holder::Descriptor { pid: 30, fd }];
        sample.empty(Kind::Net, 300, &mount("/run/netns/blue"));
        sample.empty(Kind::Net, 301, &mount("/run/warren/kept/web/net"));
        sample.empty(Kind::Uts, 302, &mount("/run/warren/kept/web/uts"));
        sample.empty(Kind::Uts, 303, &fd(7));
        sample.empty(Kind::Ipc, 304, &fd(8));
        sample.empty(Kind::Mnt, 305, &[]);
        sample
    }

    /// Two user namespaces that are each other's parents, which no kernel has.
    pub fn ring() -> Self {
        let mut sample = Self::default();
        sample.process(100, "a", &[(Kind::User, 103)]);
        sample.process(101, "b", &[(Kind::User, 104)]);
        sample.parent(103, 104);
        sample.parent(104, 103);
        sample
    }

    /// User and pid namespaces in each other, `depth` deep.
    pub fn deep(depth: u32) -> Self {
        let mut sample = Self::host();
        for level in 0..depth {
            let (user, pid) = (u64::from(level) + 1000, u64::from(level) + 2000);
            let ids = [(Kind::User, user), (Kind::Pid, pid)];
            sample.process(100 + level, &format!("level{level}"), &ids);
            if level > 0 {
                sample.parent(user, user - 1);
                sample.parent(pid, pid - 1);
            }
        }
        sample
    }

    /// With many groups of `kinds` own namespaces each, called `name0`, `name1`, ...
    pub fn with_many(
        mut self,
        many: u32,
        kinds: &[Kind],
        name: &dyn Fn(u32) -> String,
    ) -> Self {
        for number in 0..many {
            let base = 10_000 + u64::from(number) * 10;
            let ids: Vec<_> = kinds
                .iter()
                .map(|kind| (*kind, base + *kind as u64))
                .collect();
            self.process(10_000 + number, &name(number), &ids);
        }
        self
    }

    /// Adds a process that has the host's namespaces but for these.
    pub fn process(&mut self, pid: u32, comm: &str, other: &[(Kind, u64)]) {
        let mut inodes = HOST;
        for (kind, inode) in other {
            inodes[*kind as usize] = *inode;
        }
        let ids = Kind::ALL.map(|kind| (kind, id(inodes[kind as usize])));
        let namespaces: NamespaceIds = ids.into_iter().collect();
        let is_first = !self
            .processes
            .iter()
            .any(|process| process.namespaces == namespaces);
        for (kind, id) in ids {
            self.join(pid, kind, id);
        }
        let mut process = Process::new(pid, namespaces);
        process.parent = 1;
        process.comm = comm.to_owned();
        process.command = is_first.then(|| format!("/usr/bin/{comm} --flag"));
        self.processes.push(process);
    }

    /// Puts a process into a cgroup.
    pub fn cgroup(&mut self, pid: u32, path: &str) {
        let mut processes = self.processes.iter_mut();
        let found = processes.find(|process| process.pid == pid);
        found.expect("one that was added").label = Some(Label::of_path(path));
    }

    fn join(&mut self, pid: u32, kind: Kind, id: NsId) {
        if let Some(known) = self.namespaces.iter_mut().find(|known| known.id == id) {
            known.processes += 1;
            return;
        }
        let mut namespace = Self::namespace(kind, id);
        (namespace.processes, namespace.pid) = (1, Some(pid));
        namespace.held_by.push(Holder::Process { pid });
        self.namespaces.push(namespace);
    }

    /// Adds a namespace without a process.
    pub fn empty(&mut self, kind: Kind, inode: u64, held_by: &[Holder]) {
        let mut namespace = Self::namespace(kind, id(inode));
        namespace.held_by = held_by.to_vec();
        self.namespaces.push(namespace);
    }

    fn namespace(kind: Kind, id: NsId) -> Namespace {
        let is_first = HOST.contains(&id.inode);
        let above = |kind: Kind| self::id(HOST[kind as usize]);
        let mut namespace = Namespace::new(kind, id);
        if !is_first || kind != Kind::User {
            namespace.owner = Some(above(Kind::User));
        }
        if !is_first && matches!(kind, Kind::User | Kind::Pid) {
            namespace.parent = Some(above(kind));
        }
        namespace.owner_uid = (kind == Kind::User).then_some(0);
        namespace
    }

    fn parent(&mut self, inode: u64, parent: u64) {
        let mut namespaces = self.namespaces.iter_mut();
        let found = namespaces.find(|namespace| namespace.id.inode == inode);
        let namespace = found.expect("one that was added");
        namespace.parent = Some(id(parent));
        if namespace.kind == Kind::User {
            namespace.owner = namespace.parent;
        }
    }

    /// The machine as it would be read.
    pub fn snapshot(self) -> Snapshot {
        let first = self.processes.first().expect("a process");
        let host = first.namespaces;
        let reference = (first.pid == 1).then_some(Reference {
            pid: 1,
            namespaces: host,
        });
        let mut snapshot =
            Snapshot::of_parts(self.namespaces, self.processes, Scope::ALL);
        snapshot.reference = reference;
        snapshot
    }

    /// Everything of it.
    pub fn overview(self) -> Overview {
        Overview::new(&self.snapshot(), NamespaceSet::ALL, &Users::default())
    }
}
