//! What isolates what: the processes of the machine in groups that have the same
//! namespaces, and how these stand to each other. `ls`, `watch` and `map` show it.
//!
//! A group is a node, and so is what keeps namespaces alive in which no process is. A
//! node stands below the one out of whose user and pid namespaces its own were made;
//! among nodes with the same two, the one with the lowest pid stands above the others.

mod name;
mod place;
#[cfg(test)]
pub mod sample;

use std::collections::HashMap;

pub use name::of_process as name_of;
use warren_namespaces::{
    Group, Kind, Namespace, NamespaceIds, NamespaceSet, NsId, Process, Snapshot, View,
};

use crate::terminal;
use crate::words::{self, Users};

/// All nodes; the host's is the first, where there is one.
#[derive(Debug, Default)]
pub struct Overview {
    /// In the order of their lowest pids, those without a process last.
    pub nodes: Vec<Node>,
    /// Whose namespaces count as nobody's own: `the host's`, `this shell's`.
    pub reference: &'static str,
    kinds: NamespaceSet,
}

/// A group of processes, or what keeps namespaces without processes alive.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is known by in later overviews.
    pub key: Key,
    /// The node that it stands below.
    pub parent: Option<usize>,
    /// The nodes below it, in their order.
    pub children: Vec<usize>,
    /// Whether its namespaces are those that the others are compared with.
    pub is_host: bool,
    /// The container, the unit or the command's own name.
    pub name: String,
    /// The command of its lowest pid; what keeps it alive if it has no process.
    pub command: String,
    /// Its lowest pid.
    pub pid: Option<u32>,
    /// How many processes it has.
    pub processes: usize,
    /// Whose process the lowest is, or who made its user namespace.
    pub user: Option<String>,
    /// The namespaces that no node before it has.
    pub own: Vec<(Kind, NsId)>,
    /// Those that are not the host's either but were met in a node before.
    pub shared: Vec<Share>,
    /// The user and pid namespace of its processes.
    chamber: Option<place::Ids>,
}

/// Namespaces that a node has in common with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The first that has them.
    pub with: usize,
    /// Which kinds.
    pub kinds: NamespaceSet,
}

/// The identity of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Processes with these namespaces.
    Group(NamespaceIds),
    /// Namespaces without a process, of which this is the first.
    Empty(NsId),
}

impl Overview {
    /// Groups by the given kinds; all others are looked past.
    pub fn new(snapshot: &Snapshot, kinds: NamespaceSet, users: &Users) -> Self {
        let mut build = Build {
            snapshot,
            kinds,
            users,
            homes: HashMap::new(),
            nodes: Vec::new(),
        };
        for group in snapshot.groups(kinds) {
            build.group(&group);
        }
        build.empties();
        place::parents(snapshot, &mut build.nodes, &build.homes);
        Self {
            nodes: build.nodes,
            reference: reference(snapshot),
            kinds,
        }
    }

    /// The nodes that stand below no other.
    pub fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.parent.is_none())
            .map(|(at, _)| at)
    }

    /// Whether `above` is `below` or one of those that it stands below.
    pub fn is_above(&self, above: usize, below: usize) -> bool {
        let parent = |at: &usize| self.nodes.get(*at).and_then(|node| node.parent);
        std::iter::successors(Some(below), parent).any(|at| at == above)
    }

    /// The first node that has a namespace.
    pub fn homes(&self) -> HashMap<NsId, usize> {
        let nodes = self.nodes.iter().enumerate();
        let own =
            nodes.flat_map(|(at, node)| node.own.iter().map(move |own| (own.1, at)));
        own.collect()
    }

    /// Every running process with the node that it belongs to.
    pub fn group_of_processes<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> Vec<(&'s Process, usize)> {
        let nodes = self.nodes.iter().enumerate();
        let of_key: HashMap<Key, usize> =
            nodes.map(|(at, node)| (node.key, at)).collect();
        let running = snapshot.processes.iter().filter(|process| !process.zombie);
        let node = |process: &'s Process| {
            let key = Key::Group(only(&process.namespaces, self.kinds));
            Some((process, *of_key.get(&key)?))
        };
        running.filter_map(node).collect()
    }

    /// What a node has in common with others than those that it stands below, unless
    /// one of those has it in common with them too.
    pub fn cross(&self, at: usize) -> impl Iterator<Item = Share> + '_ {
        let shared = self.nodes.get(at).map_or(&[][..], |node| &node.shared);
        let outside = shared
            .iter()
            .filter(move |share| !self.is_above(share.with, at));
        outside.filter_map(move |share| {
            let kinds = self.inherited(at, share.with);
            let new = share.kinds.iter().filter(|kind| !kinds.contains(*kind));
            let kinds: NamespaceSet = new.collect();
            let with = share.with;
            (!kinds.is_empty()).then_some(Share { with, kinds })
        })
    }

    /// What those above a node have in common with another.
    fn inherited(&self, at: usize, with: usize) -> NamespaceSet {
        let parent = |at: &usize| self.nodes.get(*at).and_then(|node| node.parent);
        let above = std::iter::successors(parent(&at), parent);
        let shares = above
            .filter_map(|at| self.nodes.get(at))
            .flat_map(|node| &node.shared);
        let same = shares.filter(|share| share.with == with);
        same.flat_map(|share| share.kinds.iter()).collect()
    }
}

impl Node {
    /// The kinds of its own namespaces.
    pub fn own_kinds(&self) -> NamespaceSet {
        self.own.iter().map(|(kind, _)| *kind).collect()
    }

    /// The name, and the command where that says more.
    pub fn what(&self) -> String {
        if self.name == self.command || self.command.is_empty() {
            return self.name.clone();
        }
        // `sleep: /bin/sleep 1000` would say it twice.
        let end = self.command.find([' ', ':']).unwrap_or(self.command.len());
        let (program, rest) = self.command.split_at(end);
        if program.rsplit('/').next() == Some(&self.name) {
            return format!("{}{rest}", self.name);
        }
        if self.command.trim_matches(['[', ']']) == self.name {
            return self.command.clone();
        }
        format!("{}: {}", self.name, self.command)
    }

    /// `net`, `net uts`: what `show` and `enter` are told to look for.
    pub fn target(&self) -> String {
        match (self.pid, self.own.first()) {
            (Some(pid), _) => pid.to_string(),
            (None, Some((kind, id))) => words::id(*kind, *id),
            (None, None) => String::new(),
        }
    }
}

/// Whose namespaces the others are compared with.
fn reference(snapshot: &Snapshot) -> &'static str {
    let pid = snapshot.reference.map_or(0, |reference| reference.pid);
    match (snapshot.view, pid) {
        (View::PidNamespace, 1) => "pid 1's",
        (_, 1 | 2) => "the host's",
        _ => "this shell's",
    }
}

fn only(ids: &NamespaceIds, kinds: NamespaceSet) -> NamespaceIds {
    ids.iter()
        .filter(|(kind, _)| kinds.contains(*kind))
        .collect()
}

struct Build<'a> {
    snapshot: &'a Snapshot,
    kinds: NamespaceSet,
    users: &'a Users,
    /// The first node that has a namespace.
    homes: HashMap<NsId, usize>,
    nodes: Vec<Node>,
}

impl Build<'_> {
    fn group(&mut self, group: &Group<'_>) {
        let first = group.first;
        let at = self.nodes.len();
        let (own, shared) = self.settle(at, &first.namespaces);
        let is_host = self.snapshot.reference.is_some_and(|reference| {
            let same =
                |kind| reference.namespaces.get(kind) == first.namespaces.get(kind);
            self.kinds.iter().all(same)
        });
        self.nodes.push(Node {
            key: Key::Group(only(&first.namespaces, self.kinds)),
            parent: None,
            children: Vec::new(),
            is_host,
            name: if is_host {
                name::of_host(self.snapshot)
            } else {
                terminal::printable(&name::of_process(first))
            },
            command: words::command(first),
            pid: Some(first.pid),
            processes: group.processes,
            user: Some(self.users.name(first.uid)),
            own,
            shared,
            chamber: Some((
                first.namespaces.get(Kind::User),
                first.namespaces.get(Kind::Pid),
            )),
        });
    }

    /// Which namespaces are new with this node, and which it shares with others than
    /// the host.
    fn settle(
        &mut self,
        at: usize,
        ids: &NamespaceIds,
    ) -> (Vec<(Kind, NsId)>, Vec<Share>) {
        let reference = self.snapshot.reference;
        let mut own = Vec::new();
        let mut shared: Vec<Share> = Vec::new();
        for (kind, id) in ids.iter() {
            let home = *self.homes.entry(id).or_insert(at);
            if !self.kinds.contains(kind) {
                continue;
            }
            let is_hosts =
                reference.is_some_and(|host| host.namespaces.get(kind) == Some(id));
            if home == at {
                own.push((kind, id));
            } else if !is_hosts {
                match shared.iter_mut().find(|share| share.with == home) {
                    Some(share) => share.kinds = share.kinds.with(kind),
                    None => shared.push(Share {
                        with: home,
                        kinds: NamespaceSet::EMPTY.with(kind),
                    }),
                }
            }
        }
        (own, shared)
    }

    /// Namespaces without a process: one node for those that have the same keeper.
    fn empties(&mut self) {
        let mut of_keeper: HashMap<String, usize> = HashMap::new();
        for namespace in self.snapshot.empty(self.kinds) {
            let keeper = name::keeper(self.snapshot, namespace);
            let known = of_keeper.get(&keeper.name).copied();
            let at = known
                .filter(|_| keeper.is_shared)
                .unwrap_or(self.nodes.len());
            self.homes.insert(namespace.id, at);
            match self.nodes.get_mut(at) {
                Some(node) => node.own.push((namespace.kind, namespace.id)),
                None => {
                    of_keeper.insert(keeper.name.clone(), at);
                    self.nodes.push(self.empty(namespace, keeper));
                }
            }
        }
    }

    fn empty(&self, namespace: &Namespace, keeper: name::Keeper) -> Node {
        Node {
            key: Key::Empty(namespace.id),
            parent: None,
            children: Vec::new(),
            is_host: false,
            name: keeper.name,
            command: keeper.how,
            pid: None,
            processes: 0,
            user: namespace.owner_uid.map(|uid| self.users.name(uid)),
            own: vec![(namespace.kind, namespace.id)],
            shared: Vec::new(),
            chamber: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::Sample;
    use super::*;

    fn named<'a>(overview: &'a Overview, name: &str) -> (usize, &'a Node) {
        let mut nodes = overview.nodes.iter().enumerate();
        let found = nodes.find(|(_, node)| node.name == name);
        found.unwrap_or_else(|| panic!("{name} in {:#?}", overview.nodes))
    }

    #[test]
    fn a_container_stands_below_the_host_with_its_own_namespaces() {
        let overview = Sample::containers().overview();
        let (host, node) = named(&overview, "host");
        assert!(node.is_host && node.processes == 3);
        let (_, web) = named(&overview, "nginx");
        assert_eq!((web.parent, web.processes), (Some(host), 2));
        assert_eq!(web.own_kinds().to_string(), "mnt,net,ipc,pid,uts,cgroup");
        assert!(web.shared.is_empty());
    }

    #[test]
    fn containers_of_a_pod_say_whose_network_they_have() {
        let overview = Sample::containers().overview();
        let (pause, _) = named(&overview, "pause");
        let (at, app) = named(&overview, "app");
        assert_eq!(app.own_kinds().to_string(), "mnt,pid,cgroup");
        let kinds = [Kind::Net, Kind::Ipc, Kind::Uts].into_iter().collect();
        assert_eq!(app.shared, [Share { with: pause, kinds }]);
        assert_eq!(overview.cross(at).count(), 1);
    }

    #[test]
    fn a_container_and_a_service_have_their_own_names() {
        let overview = Sample::labelled().overview();
        let (_, web) = named(&overview, "docker 0123456789ab");
        assert_eq!(web.what(), "docker 0123456789ab: /usr/bin/nginx --flag");
        named(&overview, "systemd-resolved.service");
    }

    #[test]
    fn a_user_namespace_nests_what_was_made_in_it() {
        let overview = Sample::nested().overview();
        let (outer, _) = named(&overview, "outer");
        let (empty, node) = named(&overview, "user namespace");
        assert_eq!(node.parent, Some(outer));
        let (_, inner) = named(&overview, "inner");
        assert_eq!(inner.parent, Some(empty));
        let (at, helper) = named(&overview, "helper");
        assert_eq!(helper.parent, Some(outer));
        assert_eq!(helper.own_kinds().to_string(), "mnt");
        // What it has of its parent is no news.
        assert_eq!(overview.cross(at).count(), 0);
    }

    #[test]
    fn a_process_stands_below_the_one_that_made_its_namespaces_for_it() {
        let mut sample = Sample::host();
        let made = [(Kind::Mnt, 100), (Kind::Net, 101)];
        sample.process(50, "unshare", &made);
        sample.process(51, "sleep", &[made[0], made[1], (Kind::Pid, 104)]);
        sample.process(60, "other", &[(Kind::Mnt, 200), made[1]]);
        sample.process(61, "below", &[(Kind::Mnt, 200), made[1], (Kind::Pid, 204)]);
        let overview = sample.overview();
        let (maker, _) = named(&overview, "unshare");
        let (sleep, node) = named(&overview, "sleep");
        assert_eq!(node.parent, Some(maker));
        assert_eq!(overview.cross(sleep).count(), 0);
        // What its own maker shares already is no news either.
        let (other, _) = named(&overview, "other");
        let (below, node) = named(&overview, "below");
        assert_eq!(node.parent, Some(other));
        assert_eq!(overview.cross(other).count(), 1);
        assert_eq!(overview.cross(below).count(), 0);
        // It has the network in common, but not the mounts.
        assert_eq!(named(&overview, "other").1.parent, Some(0));
    }

    #[test]
    fn namespaces_with_one_keeper_are_one_node() {
        let overview = Sample::kept().overview();
        let (_, blue) = named(&overview, "netns blue");
        assert_eq!(blue.own_kinds().to_string(), "net");
        let (_, web) = named(&overview, "kept web");
        assert_eq!(web.own_kinds().to_string(), "net,uts");
        assert_eq!((web.pid, web.processes), (None, 0));
        let (_, held) = named(&overview, "fd of 30");
        assert_eq!(held.own_kinds().to_string(), "ipc,uts");
    }

    #[test]
    fn parents_of_a_ring_end_somewhere() {
        let overview = Sample::ring().overview();
        for at in 0..overview.nodes.len() {
            let parent = |at: &usize| overview.nodes[*at].parent;
            assert!(std::iter::successors(Some(at), parent).take(100).count() < 100);
        }
    }

    #[test]
    fn only_the_kinds_asked_for_make_groups() {
        let kinds = NamespaceSet::EMPTY.with(Kind::Net);
        let snapshot = Sample::containers().snapshot();
        let overview = Overview::new(&snapshot, kinds, &Users::default());
        assert_eq!(overview.nodes.len(), 3);
        let (_, pause) = named(&overview, "pause");
        assert_eq!(pause.processes, 2);
        assert_eq!(pause.own_kinds().to_string(), "net");
    }

    #[test]
    fn a_command_that_begins_with_the_name_is_said_once() {
        let what = |name: &str, command: &str| {
            let mut overview = Sample::containers().overview();
            let node = &mut overview.nodes[1];
            (node.name, node.command) = (name.to_owned(), command.to_owned());
            node.what()
        };
        assert_eq!(what("sleep", "/bin/sleep 1000"), "sleep 1000");
        assert_eq!(what("nginx", "nginx: master"), "nginx: master");
        assert_eq!(what("kdevtmpfs", "[kdevtmpfs]"), "[kdevtmpfs]");
        assert_eq!(what("docker 3f2a", "sh -c x"), "docker 3f2a: sh -c x");
    }
}
