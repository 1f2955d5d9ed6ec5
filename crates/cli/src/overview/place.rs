//! Which node stands below which.

use std::collections::HashMap;

use warren_namespaces::{Kind, NsId, Snapshot};

use super::{Key, Node};

/// The kernel nests user and pid namespaces at most this deep.
const DEPTH: usize = 33;

/// Gives each node its parent and its children.
pub fn parents(snapshot: &Snapshot, nodes: &mut [Node], homes: &HashMap<NsId, usize>) {
    let chambers = chambers(nodes);
    let place = Place {
        snapshot,
        homes,
        chambers,
    };
    for at in 0..nodes.len() {
        let parent = match nodes[at].key {
            Key::Group(_) => place.of_group(at, place.ids(&nodes[at])),
            Key::Empty(_) => place.of_empty(at, &nodes[at]),
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

impl Place<'_> {
    fn ids(&self, node: &Node) -> Ids {
        node.chamber.unwrap_or_default()
    }

    /// The namespace, its parent, and so on.
    fn ancestry(&self, id: Option<NsId>) -> impl Iterator<Item = NsId> + '_ {
        let parent = |id: &NsId| self.snapshot.namespace(*id)?.parent;
        std::iter::successors(id, parent).take(DEPTH)
    }

    /// The nearest group that is in the same or an outer user namespace and in the
    /// same or an outer pid namespace.
    fn of_group(&self, at: usize, (user, pid): Ids) -> Option<usize> {
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
