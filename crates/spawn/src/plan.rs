//! From what is wanted to the ordered steps that make it.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::thread::Gid;
use warren_confine::{CapabilitySet, Filter};
use warren_mounts::{Node, Target};
use warren_namespaces::{IdMap, Kind};
use warren_sys::CStringArray;

use crate::error::{Error, ErrorKind};
use crate::host::Host;
use crate::spec::{
    Access, IdMapping, Mount, Namespace, Root, Seccomp, Spec, Terminal, User,
};
use crate::step::{MapLines, MapWriter, Maps, Program, Source, Step};

/// An ordered list of steps, each for one side.
///
/// It prints as a numbered table, one line a step.
#[derive(Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) has_init: bool,
    pub(crate) has_terminal: bool,
    pub(crate) timed: bool,
    pub(crate) hold_signals: bool,
}

impl Plan {
    /// Plans what `spec` asks for, on a machine and for a caller as `host` says.
    ///
    /// Nothing is created or opened; sources of mounts are looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Spec`] where the Spec contradicts itself, names a file of the host
    /// that is not there, or asks for ids that are not mapped.
    pub fn new(spec: &Spec, host: &Host) -> Result<Self, Error> {
        check(spec)?;
        let mut planner = Planner {
            spec,
            host,
            steps: Vec::new(),
            trees: 0,
        };
        planner.plan()?;
        Ok(Self {
            steps: planner.steps,
            has_init: spec.has_init(),
            has_terminal: spec.terminal != Terminal::Inherit,
            timed: false,
            hold_signals: false,
        })
    }

    /// The same plan, with the time of each step taken:
    /// [`Child::timings`](crate::Child::timings).
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// The same plan, with all signals of the launching thread left blocked when the
    /// program runs: for a supervisor that waits for them itself, so that none is lost or
    /// kills it in between.
    #[must_use]
    pub fn holding_signals(mut self) -> Self {
        self.hold_signals = true;
        self
    }

    /// Whether the program is in a session of its own, where the caller's terminal
    /// reaches it no more.
    #[must_use]
    pub fn has_own_session(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::NewSession))
    }

    /// The steps, in their order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}  {:8} {step}", position + 1, step.side())?;
        }
        Ok(())
    }
}

/// The rules between the parts of a Spec, one a line.
fn check(spec: &Spec) -> Result<(), Error> {
    let is_new = |kind| *spec.namespaces.get(kind) == Namespace::New;
    let own = |kind| *spec.namespaces.get(kind) != Namespace::Inherit;
    let rules = [
        (spec.argv.is_empty(), "no program is given"),
        (
            !is_new(Kind::Mnt) && (spec.root != Root::Inherit || !spec.mounts.is_empty()),
            "a root or a mount needs a new mnt namespace",
        ),
        (
            spec.hostname.is_some() && !own(Kind::Uts),
            "a host name needs a uts namespace",
        ),
        (
            spec.loopback && !is_new(Kind::Net),
            "loopback up needs a new net namespace",
        ),
        (
            spec.no_nested_user_namespaces && !is_new(Kind::User),
            "a limit on user namespaces needs a new user namespace",
        ),
        (
            spec.id_map != IdMapping::Auto && !is_new(Kind::User),
            "an id map needs a new user namespace",
        ),
        (
            spec.seccomp != Seccomp::Off && !spec.no_new_privs,
            "a system-call filter needs no_new_privs",
        ),
        (
            spec.new_session && spec.terminal != Terminal::Inherit,
            "a terminal of its own brings a session of its own",
        ),
        (
            spec.keep_fds.iter().any(|fd| *fd <= 2),
            "a descriptor to keep must be above 2",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::spec(rule)),
        None => Ok(()),
    }
}

struct Planner<'a> {
    spec: &'a Spec,
    host: &'a Host,
    steps: Vec<Step>,
    /// How many trees the parent clones.
    trees: usize,
}

impl Planner<'_> {
    fn plan(&mut self) -> Result<(), Error> {
        let maps = self.maps()?;
        let setup = self.setup_user(maps.as_ref());
        self.open_namespaces();
        // The parent's steps on trees go before the clone, those that use them after
        // it; both are found while the mounts are planned.
        let before = std::mem::take(&mut self.steps);
        self.begin_child(maps.as_ref(), setup.as_ref());
        self.join_namespaces();
        self.plain_namespaces()?;
        self.mounts()?;
        self.enter()?;
        self.confine(setup.as_ref(), maps.as_ref())?;
        self.payload()?;
        let after = std::mem::take(&mut self.steps);
        self.order(before, maps, after);
        Ok(())
    }

    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn is_new(&self, kind: Kind) -> bool {
        *self.spec.namespaces.get(kind) == Namespace::New
    }

    // The id maps.

    fn maps(&self) -> Result<Option<Maps>, Error> {
        if !self.is_new(Kind::User) {
            return Ok(None);
        }
        let (host, user) = (self.host, self.spec.user.clone().unwrap_or_default());
        let single = || {
            let uids = vec![IdMap::single(user.uid, host.uid)];
            let gids = vec![IdMap::single(user.gid, host.gid)];
            MapLines::Known { uids, gids }
        };
        let lines = match &self.spec.id_map {
            IdMapping::Unmapped => return Ok(None),
            IdMapping::Explicit { uids, gids } => MapLines::Known {
                uids: uids.clone(),
                gids: gids.clone(),
            },
            IdMapping::Single => single(),
            IdMapping::Auto if host.is_privileged() && host.has_all_ids => {
                MapLines::FreeBlock
            }
            IdMapping::Auto if host.is_privileged() => single(),
            IdMapping::Auto => match host.ranges() {
                Some((uids, gids)) => MapLines::Known { uids, gids },
                None => single(),
            },
        };
        let maps = Maps {
            writer: self.writer(&lines),
            lines,
        };
        if let Some(user) = &self.spec.user {
            check_user(&maps.lines, user)?;
        }
        Ok(Some(maps))
    }

    /// Who has privilege over the ids writes the maps, and can give up the groups first;
    /// any process may write its own if each is one line of its own id.
    fn writer(&self, lines: &MapLines) -> MapWriter {
        let own = |map: &[IdMap], id| matches!(map, [line] if line.count == 1 && line.outside == id);
        let is_own = matches!(
            lines,
            MapLines::Known { uids, gids }
                if own(uids, self.host.uid) && own(gids, self.host.gid)
        );
        match (self.host.is_privileged(), self.host.has_all_ids) {
            (true, true) => MapWriter::Parent,
            _ if is_own => MapWriter::Child,
            (true, false) => MapWriter::Parent,
            (false, _) => MapWriter::Helpers,
        }
    }

    /// Whether setgroups(2) works: not in a map that was written without privilege, and
    /// not below such a one, where root of a container may find itself.
    fn can_set_groups(&self, maps: Option<&Maps>) -> bool {
        match maps.map(|maps| maps.writer) {
            Some(MapWriter::Child) => false,
            Some(MapWriter::Parent) => self.host.has_all_ids,
            Some(MapWriter::Helpers) | None => true,
        }
    }

    /// Who sets the container up: its root, or the first user that is mapped.
    fn setup_user(&self, maps: Option<&Maps>) -> Option<User> {
        let first = |map: &[IdMap]| {
            map.iter()
                .find_map(|line| (line.inside == 0).then_some(0))
                .or_else(|| map.first().map(|line| line.inside))
                .unwrap_or(0)
        };
        match &maps?.lines {
            MapLines::FreeBlock => Some(User::ROOT),
            MapLines::Known { uids, gids } => Some(User {
                uid: first(uids),
                gid: first(gids),
                groups: Some(Vec::new()),
            }),
        }
    }

    // The begin of the child.

    fn open_namespaces(&mut self) {
        let spec = self.spec;
        for kind in spec.namespaces.joined().iter() {
            if let Namespace::Join(from) = spec.namespaces.get(kind) {
                self.push(Step::OpenNamespace {
                    kind,
                    from: from.clone(),
                });
            }
        }
    }

    fn begin_child(&mut self, maps: Option<&Maps>, setup: Option<&User>) {
        self.die_with_parent();
        let Some(maps) = maps else { return };
        let Some(user) = setup.cloned() else { return };
        match (maps.writer, &maps.lines) {
            (MapWriter::Child, MapLines::Known { uids, gids }) => {
                let (uid, gid) = (uids[0], gids[0]);
                let texts = [digits(&IdMap::text(uids)), digits(&IdMap::text(gids))];
                // The ids are the caller's own already: nothing else to take.
                self.push(Step::WriteOwnMaps { uid, gid, texts });
            }
            _ => {
                self.push(Step::AwaitParent);
                let groups = self.can_set_groups(Some(maps)).then(Vec::new);
                self.push(Step::TakeIds { user, groups });
                // A change of ids clears the parent-death signal.
                self.die_with_parent();
            }
        }
    }

    fn die_with_parent(&mut self) {
        if let Some(signal) = self.spec.parent_death_signal {
            self.push(Step::DieWithParent { signal });
        }
    }

    /// The user namespace first, since it gives the right to enter the others; the mount
    /// namespace last, since it changes what paths mean.
    fn join_namespaces(&mut self) {
        let joined: Vec<Kind> = self.spec.namespaces.joined().iter().collect();
        let rank = |kind: &Kind| match kind {
            Kind::User => 0,
            Kind::Mnt => 2,
            _ => 1,
        };
        let mut order: Vec<(usize, Kind)> = joined.into_iter().enumerate().collect();
        order.sort_by_key(|(_, kind)| rank(kind));
        for (namespace, kind) in order {
            self.push(Step::JoinNamespace { kind, namespace });
        }
    }

    fn plain_namespaces(&mut self) -> Result<(), Error> {
        if self.spec.new_session {
            self.push(Step::NewSession);
        }
        if let Some(name) = &self.spec.hostname {
            self.push(Step::Hostname(hostname(name)?));
        }
        if self.spec.loopback {
            self.push(Step::Loopback);
        }
        Ok(())
    }

    // The mounts.

    fn mounts(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        let mounts_proc = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Proc { .. }));
        if spec.no_nested_user_namespaces && !(mounts_proc && self.is_new(Kind::Pid)) {
            self.push(Step::LimitUserNamespaces);
        }
        // The mounts of a new user namespace cannot spread to the host, and those of the
        // host not to a root that is private from its making.
        let cut_off = self.is_new(Kind::User) && spec.root != Root::Inherit;
        if self.is_new(Kind::Mnt) && !cut_off {
            self.push(Step::PrivateMounts);
        }
        let overlays = spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Overlay { .. }));
        if overlays || matches!(spec.root, Root::Overlay { .. }) {
            self.push(Step::Layers);
        }
        match &spec.root {
            Root::Inherit if spec.mounts.is_empty() => {}
            Root::Inherit => self.push(Step::RootHere),
            Root::Empty => self.push(Step::RootEmpty),
            Root::Tree { path, access } => {
                folder(path)?;
                let source = self.source(path, *access, *access == Access::ReadWrite)?;
                self.push(Step::RootTree {
                    source,
                    access: *access,
                });
            }
            Root::Overlay { path } => {
                folder(path)?;
                let source = self.source(path, Access::ReadOnly, true)?;
                self.push(Step::RootOverlay { source });
            }
        }
        spec.mounts.iter().try_for_each(|mount| self.mount(mount))?;
        if spec.root == Root::Empty && !overlays {
            self.push(Step::SealRoot);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> Result<(), Error> {
        let target = target(mount.target())?;
        match mount {
            Mount::Bind { source, access, .. } => {
                let node = node(source)?;
                let source = self.source(source, *access, false)?;
                self.push(Step::Bind {
                    source,
                    target,
                    node,
                    access: *access,
                });
            }
            Mount::Tmpfs { mode, size, .. } => {
                let mode = digits(&format!("{mode:o}"));
                let size = size.map(|bytes| digits(&bytes.to_string()));
                self.push(Step::Tmpfs { target, mode, size });
            }
            Mount::Overlay { source, .. } => {
                folder(source)?;
                let source = self.source(source, Access::ReadOnly, true)?;
                self.push(Step::Overlay { source, target });
            }
            Mount::Folder { mode, .. } => {
                let own = self.spec.root == Root::Empty && target.parents().is_empty();
                self.push(Step::Folder {
                    target,
                    mode: *mode,
                    own,
                });
            }
            Mount::Symlink { content, .. } => {
                let content = c_string(content.as_os_str())?;
                self.push(Step::Symlink { content, target });
            }
            Mount::Proc { masked, .. } => self.proc(target, *masked),
            Mount::Dev { .. } => self.dev(target),
            Mount::Mask { .. } => self.push(Step::Mask { target }),
        }
        Ok(())
    }

    /// A procfs shows the processes of the pid namespace of who mounts it; without one
    /// of its own, the container may not mount it and sees the host's.
    fn proc(&mut self, target: Target, masked: bool) {
        if !self.is_new(Kind::Pid) {
            let source = Source::Path(c"/proc".to_owned());
            let (node, access) = (Node::Folder, Access::ReadWrite);
            self.push(Step::Bind {
                source,
                target,
                node,
                access,
            });
            return;
        }
        self.push(Step::Proc { target });
        if self.spec.no_nested_user_namespaces {
            self.push(Step::LimitUserNamespaces);
        }
        if masked {
            let all = !self.is_new(Kind::User);
            self.push(Step::ProcMasks { all });
        }
    }

    fn dev(&mut self, target: Target) {
        self.push(Step::DevFolder { target });
        self.push(Step::Devices);
        self.push(Step::DevLinks);
        self.push(Step::DevPts);
    }

    /// Where the child finds a tree of the host. In a user namespace with other ids than
    /// the caller's it may lack the right to reach the tree: then the parent clones it.
    /// `own` asks that the container own the files.
    fn source(
        &mut self,
        path: &Path,
        access: Access,
        own: bool,
    ) -> Result<Source, Error> {
        // In a container of another tool the caller may be root of its user namespace and
        // not own its mounts; but then its ids are the container's, or it could not map.
        let parent_clones = self.host.is_privileged()
            && self.host.has_all_ids
            && self.is_new(Kind::User)
            && self.spec.id_map != IdMapping::Unmapped;
        if !parent_clones {
            return Ok(Source::Path(c_string(path.as_os_str())?));
        }
        let (tree, path) = (self.trees, path.to_owned());
        self.trees += 1;
        // Not every filesystem that is mounted in a tree can show other ids.
        let recursive = !own;
        self.push(Step::CloneTree {
            path: path.clone(),
            access,
            recursive,
        });
        if own {
            self.push(Step::ShiftIds {
                tree,
                path: path.clone(),
            });
        }
        Ok(Source::Tree(tree, path))
    }

    // The way out.

    fn enter(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        if let Terminal::New { rows, columns } = spec.terminal {
            self.push(self.terminal(rows, columns));
        }
        if spec.root != Root::Inherit {
            self.push(Step::EnterRoot);
        }
        // A new root is entered at its top.
        let at_top = spec.root != Root::Inherit;
        if let Some(path) = spec
            .cwd
            .as_ref()
            .filter(|path| !(at_top && path.as_os_str() == "/"))
        {
            self.push(Step::WorkDir(c_string(path.as_os_str())?));
        }
        Ok(())
    }

    fn terminal(&self, rows: u16, columns: u16) -> Step {
        let in_root = self
            .spec
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Dev { .. }));
        let multiplexer = if in_root { c"pts/ptmx" } else { c"/dev/ptmx" }.to_owned();
        Step::OpenTerminal {
            multiplexer,
            in_root,
            rows,
            columns,
        }
    }

    fn confine(
        &mut self,
        setup: Option<&User>,
        maps: Option<&Maps>,
    ) -> Result<(), Error> {
        let spec = self.spec;
        for limit in &spec.rlimits {
            self.push(Step::SetRlimit(*limit));
        }
        if let Some(keep) = spec.capabilities {
            self.push(Step::DropBounding { keep });
        }
        self.set_user(setup, maps)?;
        if let Some(set) = spec.capabilities {
            self.push(Step::SetCapabilities(set));
        }
        if spec.no_new_privs {
            self.push(Step::NoNewPrivs);
        }
        if spec.seccomp == Seccomp::Sandbox {
            let allowed = spec.capabilities.unwrap_or(CapabilitySet::ALL);
            self.push(Step::LoadSeccomp(Filter::sandbox(allowed)));
        }
        if spec.has_init() {
            self.push(Step::HideInit);
            self.push(Step::ForkInit);
        }
        Ok(())
    }

    fn set_user(
        &mut self,
        setup: Option<&User>,
        maps: Option<&Maps>,
    ) -> Result<(), Error> {
        let Some(user) = self.spec.user.clone() else {
            return Ok(());
        };
        if setup == Some(&user) {
            return Ok(());
        }
        let can_set_groups = self.can_set_groups(maps);
        let groups = match &user.groups {
            Some(groups) if !can_set_groups && !groups.is_empty() => {
                return Err(Error::spec(
                    "groups cannot be set in a map that was written without privilege",
                )
                .hint("a map with ranges needs newuidmap and a line in /etc/subuid"));
            }
            Some(groups) if can_set_groups => {
                Some(groups.iter().map(|gid| Gid::from_raw(*gid)).collect())
            }
            _ => None,
        };
        let keep_capabilities = self
            .spec
            .capabilities
            .is_some_and(|capabilities| !capabilities.is_empty());
        self.push(Step::SetUser {
            user,
            groups,
            keep_capabilities,
        });
        self.die_with_parent();
        Ok(())
    }

    fn payload(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        let has_init = spec.has_init();
        if !self.is_new(Kind::Pid) && has_init && spec.parent_death_signal.is_some() {
            self.push(Step::DieWithInit);
        }
        if spec.terminal != Terminal::Inherit {
            self.push(Step::ControlTerminal { has_init });
        }
        self.push(Step::Descriptors {
            keep: spec.keep_fds.clone(),
        });
        self.push(Step::Exec(program(spec)?));
        Ok(())
    }

    /// Puts the steps of each side in their order: the parent's on trees before the
    /// clone or right after it, and the child's after that.
    fn order(&mut self, before: Vec<Step>, maps: Option<Maps>, after: Vec<Step>) {
        let (trees, after): (Vec<_>, Vec<_>) = after
            .into_iter()
            .partition(|step| matches!(step, Step::CloneTree { .. }));
        let (shifts, child): (Vec<_>, Vec<_>) = after
            .into_iter()
            .partition(|step| matches!(step, Step::ShiftIds { .. }));
        self.steps = before;
        self.steps.extend(trees);
        if maps
            .as_ref()
            .is_some_and(|maps| maps.lines == MapLines::FreeBlock)
        {
            self.push(Step::ReserveIds);
        }
        self.push(Step::Clone {
            namespaces: self.spec.namespaces.created(),
        });
        if let Some(maps) = maps.filter(|maps| maps.writer != MapWriter::Child) {
            self.push(Step::WriteMaps { maps });
            self.steps.extend(shifts);
            self.push(Step::Release);
        }
        self.steps.extend(child);
    }
}

/// Whether the program's user is mapped.
fn check_user(lines: &MapLines, user: &User) -> Result<(), Error> {
    let mapped = |map: &[IdMap], id| map.iter().any(|line| line.to_outside(id).is_some());
    let (uid, gid) = match lines {
        MapLines::FreeBlock => {
            (user.uid < crate::ids::BLOCK, user.gid < crate::ids::BLOCK)
        }
        MapLines::Known { uids, gids } => {
            (mapped(uids, user.uid), mapped(gids, user.gid))
        }
    };
    if uid && gid {
        return Ok(());
    }
    let (what, id) = if uid {
        ("gid", user.gid)
    } else {
        ("uid", user.uid)
    };
    Err(Error::spec(format!("{what} {id} is not in the id map")))
}

/// The name that sethostname(2) takes: at most 64 bytes.
fn hostname(name: &OsStr) -> Result<CString, Error> {
    const LONGEST: usize = 64;
    if name.is_empty() || name.len() > LONGEST {
        let name = name.display();
        return Err(Error::spec(format!(
            "a host name has 1 to {LONGEST} bytes: '{name}'"
        )));
    }
    c_string(name)
}

/// What kind of mount point a file of the host needs.
fn node(source: &Path) -> Result<Node, Error> {
    Ok(if look(source)?.is_dir() {
        Node::Folder
    } else {
        Node::File
    })
}

fn folder(path: &Path) -> Result<(), Error> {
    if path.as_os_str() == "/" {
        return Ok(());
    }
    if look(path)?.is_dir() {
        return Ok(());
    }
    Err(Error::spec(format!("the root {}", path.display()))
        .errno(warren_sys::Errno::NOTDIR))
}

fn look(path: &Path) -> Result<std::fs::Metadata, Error> {
    if !path.is_absolute() {
        let path = path.display();
        return Err(Error::spec(format!(
            "a path of the host must begin with /: {path}"
        )));
    }
    std::fs::metadata(path).map_err(|error| {
        let errno = warren_sys::Errno::from_io_error(&error);
        Error::spec(format!("look at {}", path.display()))
            .errno(errno.unwrap_or(warren_sys::Errno::IO))
    })
}

fn target(path: &Path) -> Result<Target, Error> {
    Target::new(path)
        .map_err(|error| Error::spec(format!("mount at {}: {error}", path.display())))
}

/// The program in the form of execve(2).
fn program(spec: &Spec) -> Result<Program, Error> {
    let strings = |words: &mut dyn Iterator<Item = OsString>| {
        let words: Result<Vec<_>, _> = words.map(|word| c_string(&word)).collect();
        words.map(CStringArray::new)
    };
    let name = spec.argv[0].clone();
    let mut environment = spec.env.iter().map(|(key, value)| {
        [key.as_os_str(), OsStr::new("="), value.as_os_str()]
            .into_iter()
            .collect()
    });
    Ok(Program {
        candidates: candidates(&name, &spec.env)?,
        arguments: strings(&mut spec.argv.iter().cloned())?,
        environment: strings(&mut environment)?,
        name,
    })
}

/// The paths at which execvp(3) would look for `name`.
fn candidates(name: &OsStr, env: &[(OsString, OsString)]) -> Result<Vec<CString>, Error> {
    const DEFAULT_PATH: &str =
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if name.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "execute a program without a name",
        ));
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(name)?]);
    }
    let path = env.iter().rev().find(|(key, _)| key == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    std::env::split_paths(path)
        // An empty entry means the working directory to execvp(3), which nobody who
        // runs what they do not trust can mean.
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(|dir: PathBuf| c_string(dir.join(name).as_os_str()))
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes())
        .map_err(|_| Error::spec(format!("'{}' has a NUL byte", text.display())))
}

/// A text of our own making, which has no NUL.
fn digits(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
