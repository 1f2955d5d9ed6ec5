//! What a [`Snapshot`](crate::Snapshot) looks at, so that callers pay for what they show.

use crate::NamespaceSet;

/// How far [`Snapshot::take_with`](crate::Snapshot::take_with) looks.
///
/// Each part costs system calls: some for each process, some for each namespace. What is
/// left out is missing from the snapshot, and not among what was unreadable.
///
/// ```
/// use warren_namespaces::{Kind, NamespaceSet, ProcRoot, Scope, Snapshot};
///
/// let mut scope = Scope::MEMBERS;
/// scope.kinds = NamespaceSet::EMPTY.with(Kind::Net);
/// let snapshot = Snapshot::take_with(&ProcRoot::open()?, scope)?;
/// assert!(snapshot.namespaces.iter().all(|one| one.kind == Kind::Net));
/// # Ok::<(), warren_namespaces::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Only these kinds; each costs a call for each process. Owners are user namespaces
    /// and are found whatever is asked for.
    pub kinds: NamespaceSet,
    /// The namespaces of threads that are not those of their process: for processes
    /// with more than one thread.
    pub threads: bool,
    /// `pid_for_children` and `time_for_children`: two calls for each process.
    pub for_children: bool,
    /// Open descriptors of namespaces: one call for each open descriptor, whatever it is
    /// of, and four for each process.
    pub descriptors: bool,
    /// Sockets whose network namespace is not their process's: about four calls for each
    /// socket. Needs `descriptors`, and asks as ptrace(2) does, with "attach" access.
    pub sockets: bool,
    /// Which mounts of namespaces.
    pub mounts: MountScope,
    /// Owner, parent and maker: about six calls for each namespace. Without them no
    /// namespace is found that only its children keep.
    pub relations: bool,
    /// [`unique_id`](crate::Namespace::unique_id) and [`handle`](crate::Namespace::handle):
    /// one call for each namespace.
    pub ids: bool,
    /// Command lines: three calls for each set of namespaces that processes share.
    pub commands: bool,
    /// [`Label`](crate::Label)s: three calls likewise.
    pub labels: bool,
    /// The kernel's own list, listns(2), where there is one: what nothing else found,
    /// three calls for each of that.
    pub kernel_list: bool,
}

/// In which mount namespaces mounts of namespaces are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MountScope {
    /// In none.
    None,
    /// In the caller's own.
    Own,
    /// In every one: some six calls for each mount namespace with processes; without
    /// processes, one for each mount in it.
    #[default]
    All,
}

impl Scope {
    /// All there is.
    pub const ALL: Self = Self {
        kinds: NamespaceSet::ALL,
        threads: true,
        for_children: true,
        descriptors: true,
        sockets: true,
        mounts: MountScope::All,
        relations: true,
        ids: true,
        commands: true,
        labels: true,
        kernel_list: true,
    };

    /// Processes, and the namespaces of their first threads: how many are in each, and
    /// which pid is the lowest.
    pub const MEMBERS: Self = Self {
        threads: false,
        for_children: false,
        descriptors: false,
        sockets: false,
        mounts: MountScope::None,
        relations: false,
        ids: false,
        commands: false,
        labels: false,
        kernel_list: false,
        ..Self::ALL
    };
}

impl Default for Scope {
    /// [`Self::ALL`].
    fn default() -> Self {
        Self::ALL
    }
}
