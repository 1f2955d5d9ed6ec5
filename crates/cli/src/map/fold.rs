//! The picture's parts: equal siblings in one, those that share namespaces together.

use std::collections::HashMap;

use warren_namespaces::NamespaceSet;

use crate::overview::{Key, Node, Overview, Share};
use crate::words;

/// Everything on the picture.
#[derive(Debug)]
pub struct Map<'a> {
    /// Where it comes from.
    pub overview: &'a Overview,
    /// What stands below nothing.
    pub parts: Vec<Part>,
    /// The numbers of those with whom somebody far away shares namespaces.
    pub badges: HashMap<usize, usize>,
}

/// A box, or a frame around boxes.
#[derive(Debug)]
pub enum Part {
    /// A group and what stands below it.
    Chamber(Chamber),
    /// Siblings that share namespaces of these kinds: the containers of a pod.
    Frame(NamespaceSet, Vec<Chamber>),
}

/// One box.
#[derive(Debug)]
pub struct Chamber {
    /// The nodes that it stands for: one, or several that look the same.
    pub nodes: Vec<usize>,
    /// What stands below the first of them.
    pub parts: Vec<Part>,
    /// Namespaces that it shares with a node that is in no frame with it.
    pub far: Vec<Share>,
}

impl<'a> Map<'a> {
    /// Folds an overview.
    pub fn new(overview: &'a Overview) -> Self {
        let fold = Fold::new(overview);
        let roots: Vec<usize> = overview.roots().collect();
        let parts = fold.parts(&roots);
        let mut badges = HashMap::new();
        for_each(&parts, &mut |chamber| {
            for share in &chamber.far {
                let number = badges.len() + 1;
                badges.entry(share.with).or_insert(number);
            }
        });
        Self {
            overview,
            parts,
            badges,
        }
    }

    /// The node that a box shows.
    pub fn node(&self, chamber: &Chamber) -> &'a Node {
        let first = chamber.nodes.first().copied().unwrap_or(0);
        &self.overview.nodes[first]
    }

    /// `3 processes of root`; of a box that stands for several, of all of them.
    pub fn processes(&self, chamber: &Chamber) -> String {
        let nodes = chamber.nodes.iter();
        let number = nodes.map(|at| self.overview.nodes[*at].processes).sum();
        let user = self.node(chamber).user.as_deref().unwrap_or("-");
        let all = if chamber.nodes.len() > 1 {
            "in all "
        } else {
            ""
        };
        format!("{all}{} of {user}", words::processes(number))
    }
}

impl Part {
    /// The boxes that it consists of.
    pub fn chambers(&self) -> &[Chamber] {
        match self {
            Self::Chamber(chamber) => std::slice::from_ref(chamber),
            Self::Frame(_, chambers) => chambers,
        }
    }
}

/// Every box, from the outside in.
pub fn for_each<'p>(parts: &'p [Part], visit: &mut impl FnMut(&'p Chamber)) {
    for chamber in parts.iter().flat_map(Part::chambers) {
        visit(chamber);
        for_each(&chamber.parts, visit);
    }
}

struct Fold<'a> {
    overview: &'a Overview,
    /// By node: what it shares beyond those that it stands below, and whether anybody
    /// so shares with it.
    cross: Vec<Vec<Share>>,
    is_shared: Vec<bool>,
    /// By node: what it and all below it look like.
    looks: Vec<String>,
}

impl<'a> Fold<'a> {
    fn new(overview: &'a Overview) -> Self {
        let number = overview.nodes.len();
        let cross: Vec<Vec<Share>> =
            (0..number).map(|at| overview.cross(at).collect()).collect();
        let mut is_shared = vec![false; number];
        for share in cross.iter().flatten() {
            is_shared[share.with] = true;
        }
        let mut fold = Self {
            overview,
            cross,
            is_shared,
            looks: vec![String::new(); number],
        };
        for root in overview.roots() {
            fold.look(root);
        }
        fold
    }

    /// What tells a node from its siblings. One that shares namespaces with others is
    /// like no other.
    fn look(&mut self, at: usize) {
        let node = &self.overview.nodes[at];
        for child in &node.children {
            self.look(*child);
        }
        let kind = if matches!(node.key, Key::Group(_)) {
            "group"
        } else {
            "empty"
        };
        let alone = if self.is_shared[at] || !self.cross[at].is_empty() {
            at.to_string()
        } else {
            String::new()
        };
        let mut below: Vec<&str> = node
            .children
            .iter()
            .map(|child| self.looks[*child].as_str())
            .collect();
        below.sort_unstable();
        let user = node.user.as_deref().unwrap_or_default();
        self.looks[at] = format!(
            "{kind}\0{}\0{user}\0{}\0{alone}\0({})",
            node.name,
            node.own_kinds(),
            below.join(")(")
        );
    }

    /// The parts that some siblings make.
    fn parts(&self, siblings: &[usize]) -> Vec<Part> {
        let mut parts = Vec::new();
        for group in self.pods(siblings) {
            let kinds = self.kinds(&group);
            let mut chambers = self.chambers(&group, &group);
            match (group.len(), chambers.pop()) {
                (1, Some(chamber)) => parts.push(Part::Chamber(chamber)),
                (_, Some(last)) => {
                    chambers.push(last);
                    parts.push(Part::Frame(kinds, chambers));
                }
                (_, None) => {}
            }
        }
        self.merged(parts)
    }

    /// Siblings by whether they share namespaces, directly or through each other.
    fn pods(&self, siblings: &[usize]) -> Vec<Vec<usize>> {
        let places: HashMap<usize, usize> = siblings
            .iter()
            .enumerate()
            .map(|(place, at)| (*at, place))
            .collect();
        // Each leads to an earlier one of its pod, or to itself.
        let mut leaders: Vec<usize> = (0..siblings.len()).collect();
        let leader = |leaders: &[usize], mut place: usize| {
            while leaders[place] != place {
                place = leaders[place];
            }
            place
        };
        for (place, at) in siblings.iter().enumerate() {
            for share in &self.cross[*at] {
                if let Some(other) = places.get(&share.with) {
                    let (a, b) = (leader(&leaders, place), leader(&leaders, *other));
                    leaders[a.max(b)] = a.min(b);
                }
            }
        }
        let mut pods: Vec<Vec<usize>> = vec![Vec::new(); siblings.len()];
        for (place, at) in siblings.iter().enumerate() {
            pods[leader(&leaders, place)].push(*at);
        }
        pods.retain(|pod| !pod.is_empty());
        pods
    }

    /// What the members of a pod share with each other.
    fn kinds(&self, pod: &[usize]) -> NamespaceSet {
        let shares = pod.iter().flat_map(|at| &self.cross[*at]);
        let inside = shares.filter(|share| pod.contains(&share.with));
        inside.flat_map(|share| share.kinds.iter()).collect()
    }

    fn chambers(&self, nodes: &[usize], pod: &[usize]) -> Vec<Chamber> {
        let chamber = |at: &usize| {
            let far = self.cross[*at].iter().copied();
            Chamber {
                nodes: vec![*at],
                parts: self.parts(&self.overview.nodes[*at].children),
                far: far.filter(|share| !pod.contains(&share.with)).collect(),
            }
        };
        nodes.iter().map(chamber).collect()
    }

    /// Boxes that look the same become one.
    fn merged(&self, parts: Vec<Part>) -> Vec<Part> {
        let mut merged: Vec<Part> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for part in parts {
            let Part::Chamber(chamber) = part else {
                merged.push(part);
                continue;
            };
            let look = self.looks[chamber.nodes[0]].as_str();
            let place = *places.entry(look).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(Part::Chamber(first)) => first.nodes.extend(chamber.nodes),
                _ => merged.push(Part::Chamber(chamber)),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::overview::sample::Sample;

    /// `host(nginx, [net: pause, app], sleep x3)`.
    fn summary(map: &Map<'_>, parts: &[Part]) -> String {
        let one = |chamber: &Chamber| {
            let mut text = map.node(chamber).name.clone();
            if chamber.nodes.len() > 1 {
                text.push_str(&format!(" x{}", chamber.nodes.len()));
            }
            for share in &chamber.far {
                text.push_str(&format!(" {}#{}", share.kinds, map.badges[&share.with]));
            }
            if !chamber.parts.is_empty() {
                text.push_str(&format!("({})", summary(map, &chamber.parts)));
            }
            text
        };
        let part = |part: &Part| {
            let list: Vec<String> = part.chambers().iter().map(one).collect();
            match part {
                Part::Chamber(_) => list.join(""),
                Part::Frame(kinds, _) => format!("[{kinds}: {}]", list.join(", ")),
            }
        };
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    fn of(sample: Sample) -> String {
        let overview = sample.overview();
        let map = Map::new(&overview);
        summary(&map, &map.parts)
    }

    #[test]
    fn those_that_share_namespaces_stand_in_a_frame() {
        assert_eq!(
            of(Sample::containers()),
            "host(nginx, [net,ipc,uts: pause, app])"
        );
    }

    #[test]
    fn equal_siblings_are_one_box_with_a_number() {
        let name = |number| if number % 10 == 0 { "odd" } else { "sleep" }.to_owned();
        let sample = Sample::host().with_many(1000, &[Kind::Net], &name);
        assert_eq!(of(sample), "host(odd x100, sleep x900)");
    }

    #[test]
    fn what_has_other_things_below_it_is_not_equal() {
        assert_eq!(
            of(Sample::nested()),
            "host(outer(helper, user namespace(inner)))"
        );
    }

    #[test]
    fn sharing_over_a_distance_gets_a_number() {
        let mut sample = Sample::nested();
        sample.process(200, "far", &[(Kind::Mnt, 110)]);
        assert_eq!(
            of(sample),
            "host(outer(helper, user namespace(inner)), far mnt#1)"
        );
    }
}
