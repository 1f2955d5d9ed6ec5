//! The way into namespaces that exist.

use warren_namespaces::{Kind, NamespaceSet};

use super::Planner;
use super::program::c_string;
use crate::error::Error;
use crate::spec::{
    Folder, Hop, Join, Mount, Namespace, Namespaces, Open, Root, Terminal, Tree, User,
};
use crate::step::Step;

/// The trees that a child can take along: it holds them in a place of fixed size.
pub const MOST_KEPT: usize = 24;

/// Whether a route that is given leads to each joined namespace once.
pub fn is_complete(route: &[Hop], namespaces: &Namespaces) -> bool {
    let kinds = route.iter().filter_map(|hop| match hop {
        Hop::Join(kind) => Some(*kind),
        Hop::Through(_) => None,
    });
    let set: NamespaceSet = kinds.clone().collect();
    route.is_empty() || set == namespaces.joined() && kinds.count() == set.iter().count()
}

impl Planner<'_> {
    /// The parent opens all before any is entered: paths mean something else then.
    pub(super) fn open_namespaces(&mut self) {
        if self.joined_process().is_some() {
            return;
        }
        for hop in self.route() {
            let (kind, from) = match hop {
                Hop::Through(open) => (Kind::User, Join::Open(open)),
                Hop::Join(kind) => match self.spec.namespaces.get(kind) {
                    Namespace::Join(from) => (kind, from.clone()),
                    Namespace::Inherit | Namespace::New => continue,
                },
            };
            self.push(Step::OpenNamespace { kind, from });
        }
    }

    /// Without a route, the user namespace first, since it gives the right to enter the
    /// others; but after them for whoever may enter all as it is, and could not enter what
    /// belongs to another one from in there. The mount namespace last, since it changes what
    /// paths mean.
    fn route(&self) -> Vec<Hop> {
        if !self.spec.route.is_empty() {
            return self.spec.route.clone();
        }
        let mut kinds: Vec<Kind> = self.spec.namespaces.joined().iter().collect();
        kinds.sort_by_key(|kind| match kind {
            Kind::User if self.enters_all() => 2,
            Kind::User => 0,
            Kind::Mnt => 3,
            _ => 1,
        });
        kinds.into_iter().map(Hop::Join).collect()
    }

    /// The process of which all is that is joined, where nothing is to be found on the way.
    fn joined_process(&self) -> Option<Open> {
        let spec = self.spec;
        let mut joined = spec.namespaces.joined().iter();
        let of = |kind| match spec.namespaces.get(kind) {
            Namespace::Join(Join::Pidfd(process)) => Some(process),
            _ => None,
        };
        let first = of(joined.next()?)?;
        let stays = spec.route.is_empty()
            && spec.root == Root::Inherit
            && spec.mounts.is_empty()
            && spec.interfaces.is_empty();
        let is_all = stays && joined.all(|kind| of(kind) == Some(first));
        is_all.then(|| first.clone())
    }

    /// Whether the caller is root of the machine, from where every namespace can be entered.
    fn enters_all(&self) -> bool {
        self.host.is_privileged() && self.host.has_all_ids
    }

    /// The namespaces that are made in a user namespace that was there before: with the
    /// process they would be those of the caller's.
    pub(super) fn made_inside(&self) -> NamespaceSet {
        let joins = matches!(self.spec.namespaces.get(Kind::User), Namespace::Join(_));
        let mut made = match joins {
            true => self.spec.namespaces.created(),
            false => NamespaceSet::default(),
        };
        if self.group.is_some() {
            made = made.without(Kind::Cgroup);
        }
        if !self.spec.time_offsets.is_empty() {
            made = made.without(Kind::Time);
        }
        made
    }

    fn make_inside(&mut self) {
        let namespaces = self.made_inside();
        if namespaces.is_empty() {
            return;
        }
        self.push(Step::NewNamespaces(namespaces));
        if self.is_new(Kind::Pid) {
            // Only whoever is in it by then bears others into it.
            self.await_group();
            self.push(Step::ForkSibling);
            // Not inherited by what is forked.
            self.die_with_parent();
        }
    }

    /// From the caller's control groups, namespaces and root to the others.
    pub(super) fn join(&mut self) -> Result<(), Error> {
        for group in &self.spec.cgroups {
            // As the caller, whose right to move itself is asked for.
            self.push(Step::JoinCgroup(group.clone()));
        }
        if self.spec.terminal != Terminal::Inherit && self.changes_files() {
            self.push(Step::HoldTerminal);
        }
        match self.joined_process() {
            Some(process) => self.join_at_once(process),
            None => self.join_by_route()?,
        }
        self.make_inside();
        self.change_root()?;
        if self.spec.callers_child {
            // The parent moves the process that it knows, and that is the one that ends here.
            self.await_group();
            self.come_into_view()?;
            self.push(Step::ForkSibling);
            // Not inherited by what is forked.
            self.die_with_parent();
        }
        Ok(())
    }

    /// The kernel takes the rights from the namespace in which the caller is, and looks at
    /// all before it enters one: setns(2).
    fn join_at_once(&mut self, process: Open) {
        let kinds = self.spec.namespaces.joined();
        self.push(Step::JoinProcess { process, kinds });
        if kinds.contains(Kind::User) {
            self.take_ids();
        }
    }

    fn join_by_route(&mut self) -> Result<(), Error> {
        let route = self.route();
        // Without privilege here, the right to clone a tree comes with the user namespace,
        // over mounts that it owns.
        let last_user = route
            .iter()
            .rposition(enters_user)
            .filter(|_| !self.host.is_privileged());
        if last_user.is_none() {
            self.keep(false)?;
        }
        for (namespace, hop) in route.iter().enumerate() {
            let (kind, through) = match hop {
                Hop::Through(_) => (Kind::User, true),
                Hop::Join(kind) => (*kind, false),
            };
            self.push(Step::JoinNamespace {
                kind,
                namespace,
                through,
            });
            if last_user == Some(namespace) {
                self.keep(true)?;
            }
            if kind == Kind::User && !through {
                self.take_ids();
            }
        }
        Ok(())
    }

    /// From the fork on who lives in the pid namespace sees the process. Where nothing is
    /// made any more, it has let go by then of all that leads to the host (CVE-2016-9962):
    /// who has CAP_SYS_PTRACE may look into what is hidden too.
    fn come_into_view(&mut self) -> Result<(), Error> {
        if self.comes_without_host() {
            // They need the host's procfs, and are inherited.
            self.labels()?;
            let keep = self.spec.keep_fds.clone();
            self.push(Step::CloseHosts { keep });
        } else if self.spec.hidden {
            self.push(Step::Hide);
        }
        Ok(())
    }

    /// Whether it closes what leads to the host, and is labelled, before it is seen.
    pub(super) fn comes_without_host(&self) -> bool {
        self.spec.callers_child && self.only_enters()
    }

    /// Whether the process makes nothing where it goes.
    pub(super) fn only_enters(&self) -> bool {
        self.spec.root == Root::Inherit && self.spec.namespaces.created().is_empty()
    }

    /// Takes along what is mounted later.
    fn keep(&mut self, in_a_copy: bool) -> Result<(), Error> {
        let spec = self.spec;
        if spec.root != Root::Visit || spec.mounts.is_empty() {
            return Ok(());
        }
        if in_a_copy {
            self.push(Step::CopyMounts { private: false });
        }
        let mut tree = 0;
        for mount in &spec.mounts {
            match mount {
                Mount::Bind { source, access, .. } => {
                    let Tree::Path(path) = source else {
                        return Err(Error::spec(
                            "what is taken along must be given by its path",
                        ));
                    };
                    let (path, access) = (c_string(path.as_os_str())?, *access);
                    self.push(Step::KeepTree {
                        tree,
                        path,
                        access,
                        devices: false,
                    });
                    tree += 1;
                }
                Mount::Dev { .. } => self.push(Step::KeepDevices),
                _ => {}
            }
        }
        if tree > MOST_KEPT {
            let most = MOST_KEPT;
            return Err(Error::spec(format!(
                "at most {most} trees can be taken along"
            )));
        }
        Ok(())
    }

    /// Root of an entered user namespace is taken at once: what is made and opened from
    /// there on is its own. Anybody else would lose the right to go on; what makes files is
    /// then set up by root all the same.
    fn take_ids(&mut self) {
        let visits = self.spec.root == Root::Visit;
        let user = match self.spec.user.clone() {
            Some(user) if self.takes_ids_early() => user,
            Some(_) if visits || !self.made_inside().is_empty() => User {
                groups: None,
                ..User::ROOT
            },
            _ => return,
        };
        let groups = user.groups.is_some().then(Vec::new);
        self.push(Step::TakeIds { user, groups });
        // A change of ids clears the parent-death signal.
        self.die_with_parent();
    }

    pub(super) fn takes_ids_early(&self) -> bool {
        let joins = matches!(self.spec.namespaces.get(Kind::User), Namespace::Join(_));
        let is_root = |user: &User| {
            user.uid == 0
                && user.gid == 0
                && user.groups.as_ref().is_none_or(Vec::is_empty)
        };
        joins && self.spec.user.as_ref().is_some_and(is_root)
    }

    fn change_root(&mut self) -> Result<(), Error> {
        for folder in &self.spec.chroot {
            let step = match folder {
                Folder::Open(open) => Step::ChangeRootTo(open.clone()),
                Folder::Path(path) => Step::ChangeRoot(c_string(path.as_os_str())?),
            };
            self.push(step);
        }
        Ok(())
    }

    /// The number of the joined user namespace among those that the parent opens.
    pub(super) fn place_of_users(&self) -> Option<usize> {
        let mut route = self.route().into_iter();
        route.position(|hop| matches!(hop, Hop::Join(Kind::User)))
    }

    /// Whether the root or the mounts become others that exist already.
    pub(super) fn changes_files(&self) -> bool {
        let joins = matches!(self.spec.namespaces.get(Kind::Mnt), Namespace::Join(_));
        joins || !self.spec.chroot.is_empty()
    }
}

fn enters_user(hop: &Hop) -> bool {
    matches!(hop, Hop::Through(_) | Hop::Join(Kind::User))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joining(kinds: &[Kind]) -> Namespaces {
        let mut namespaces = Namespaces::default();
        for kind in kinds {
            namespaces.set(*kind, Namespace::Join(Join::Process(1)));
        }
        namespaces
    }

    #[test]
    fn a_route_leads_to_each_joined_namespace_once() {
        let both = joining(&[Kind::Net, Kind::User]);
        let [net, user] = [Kind::Net, Kind::User].map(Hop::Join);
        assert!(is_complete(&[], &both));
        assert!(is_complete(&[net.clone(), user.clone()], &both));
        assert!(!is_complete(std::slice::from_ref(&net), &both));
        assert!(!is_complete(
            &[net.clone(), user.clone(), net.clone()],
            &both
        ));
        assert!(!is_complete(&[net, user], &joining(&[Kind::Net])));
    }
}
