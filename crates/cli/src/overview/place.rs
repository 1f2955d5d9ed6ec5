//! Which node stands below which.

use std::collections::HashMap;

use warren_namespaces::{Kind, NamespaceIds, NsId, Snapshot};

use super::{Key, Node};

/// The kernel nests user and pid namespaces at most this deep.
const DEPTH: usize = 33;
/// Of those that have a namespace, so many are looked at: enough for any that was made
/// in steps, and no more work for one that thousands share.
const KIN: usize = 32;

/// Gives each node its parent and its children.
pub fn parents(snapshot: &Snapshot, nodes: &mut [Node], homes: &HashMap<NsId, usize>) {
    let reference = snapshot.reference.map(|reference| reference.namespaces);
    let place = Place {
        snapshot,
        homes,
        chambers: chambers(nodes),
        sets: nodes.iter().map(|node| own_set(node, reference)).collect(),
        holders: holders(nodes, reference),
        users_and_pids: nodes.iter().map(|node| node.chamber).collect(),
    };
    for at in 0..nodes.len() {
        let parent = match nodes[at].chamber {
            Some(ids) => place.of_group(at, ids),
            None => place.of_empty(at, &nodes[at]),
        };
        // A picture of several moments can contradict itself.
        nodes[at].parent = parent.filter(|parent| !leads_to(nodes, *parent, at));
    }
    for at in 0..nodes.len() {
        if let Some(parent) = nodes[at].parent {
            nodes[parent].children.push(at);
        }
    }
}

fn leads_to(nodes: &[Node], from: usize, to: usize) -> bool {
    let parent = |at: &usize| nodes.get(*at).and_then(|node| node.parent);
    std::iter::successors(Some(from), parent).any(|at| at == to)
}

/// A user and a pid namespace; `None` where it is out of sight.
pub type Ids = (Option<NsId>, Option<NsId>);

struct Place<'a> {
    snapshot: &'a Snapshot,
    homes: &'a HashMap<NsId, usize>,
    /// The first group in a user and a pid namespace.
    chambers: HashMap<Ids, usize>,
    /// By node: its namespaces that are not the host's, but for user and pid.
    sets: Vec<Vec<NsId>>,
    /// The first few nodes that have a namespace of these sets.
    holders: HashMap<NsId, Vec<usize>>,
    users_and_pids: Vec<Option<Ids>>,
}

fn chambers(nodes: &[Node]) -> HashMap<Ids, usize> {
    let mut chambers = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        if let Some(ids) = node.chamber {
            chambers.entry(ids).or_insert(at);
        }
    }
    chambers
}

fn own_set(node: &Node, reference: Option<NamespaceIds>) -> Vec<NsId> {
    let Key::Group(ids) = node.key else {
        return Vec::new();
    };
    let is_hosts = |kind, id| reference.is_some_and(|host| host.get(kind) == Some(id));
    ids.iter()
        .filter(|(kind, _)| !matches!(kind, Kind::User | Kind::Pid))
        .filter(|(kind, id)| !is_hosts(*kind, *id))
        .map(|(_, id)| id)
        .collect()
}

fn holders(nodes: &[Node], reference: Option<NamespaceIds>) -> HashMap<NsId, Vec<usize>> {
    let mut holders: HashMap<NsId, Vec<usize>> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for id in own_set(node, reference) {
            let list = holders.entry(id).or_default();
            if list.len() < KIN {
                list.push(at);
            }
        }
    }
    holders
}

impl Place<'_> {
    /// The namespace, its parent, and so on.
    fn ancestry(&self, id: Option<NsId>) -> impl Iterator<Item = NsId> + '_ {
        let parent = |id: &NsId| self.snapshot.namespace(*id)?.parent;
        std::iter::successors(id, parent).take(DEPTH)
    }

    /// A group stands below the nearest one that is in the same or outer user and pid
    /// namespaces; among those that are in the same two, below the one of whose other
    /// namespaces it has all, and the most: `unshare` and what it has started.
    fn of_group(&self, at: usize, ids: Ids) -> Option<usize> {
        let nearest = self.nearest(at, ids)?;
        let Some(chamber) = self.users_and_pids[nearest] else {
            return Some(nearest);
        };
        Some(self.kin(at, chamber).unwrap_or(nearest))
    }

    /// The first group in the nearest pair of user and pid namespaces.
    fn nearest(&self, at: usize, (user, pid): Ids) -> Option<usize> {
        let first = self.chambers.get(&(user, pid)).copied();
        if let Some(first) = first.filter(|first| *first != at) {
            return Some(first);
        }
        for outer_user in self.ancestry(user) {
            for outer_pid in self.ancestry(pid) {
                let ids = (Some(outer_user), Some(outer_pid));
                match self.chambers.get(&ids) {
                    Some(found) if *found != at => return Some(*found),
                    _ => {}
                }
            }
            if Some(outer_user) != user
                && let Some(home) = self.home(outer_user, at)
            {
                return Some(home);
            }
        }
        None
    }

    /// The one in a chamber that has most of a group's namespaces, and none that the
    /// group has not.
    fn kin(&self, at: usize, chamber: Ids) -> Option<usize> {
        let set = &self.sets[at];
        let candidates = set.iter().filter_map(|id| self.holders.get(id)).flatten();
        candidates
            .copied()
            .filter(|kin| *kin != at && self.users_and_pids[*kin] == Some(chamber))
            .filter(|kin| self.sets[*kin].iter().all(|id| set.contains(id)))
            .max_by_key(|kin| (self.sets[*kin].len(), std::cmp::Reverse(*kin)))
    }

    /// Below the parent of a pid or user namespace, and below the owner otherwise.
    fn of_empty(&self, at: usize, node: &Node) -> Option<usize> {
        let is_user = |(kind, _): &&(Kind, NsId)| *kind == Kind::User;
        let own = &node.own;
        let (kind, id) = *own.iter().find(is_user).or(own.first())?;
        let namespace = self.snapshot.namespace(id)?;
        let above = if kind == Kind::Pid {
            let parents = self.ancestry(namespace.parent);
            parents.filter_map(|id| self.home(id, at)).next()
        } else {
            None
        };
        above.or_else(|| {
            let owners = self.ancestry(namespace.owner);
            owners.filter_map(|id| self.home(id, at)).next()
        })
    }

    fn home(&self, id: NsId, not: usize) -> Option<usize> {
        self.homes.get(&id).copied().filter(|home| *home != not)
    }
}
