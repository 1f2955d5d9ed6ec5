//! What was there, is there and has just gone, with the age of each.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use warren_namespaces::NamespaceSet;

use crate::overview::{Key, Node, Overview, Share};

/// How long what is new or gone stays marked.
const MARKED: Duration = Duration::from_secs(10);

/// A node and its past.
#[derive(Clone, Debug)]
pub struct Item {
    /// As it is, or was at last.
    pub node: Node,
    /// Where its parent stands among the items.
    pub parent: Option<usize>,
    /// Where its children do.
    pub children: Vec<usize>,
    /// It is at least so old: its first process's age, or since it was seen.
    pub age: Duration,
    /// Whether it has just come or gone.
    pub mark: Mark,
    /// What it has in common with others than those that it stands below.
    pub common: Vec<Common>,
}

/// Namespaces in common with another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Which kinds.
    pub kinds: NamespaceSet,
    /// What the other is called.
    pub with: String,
}

/// What is worth a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// It was made while we watched, a moment ago.
    New,
    /// It went away a moment ago.
    Gone,
}

/// All that the looks have shown so far.
#[derive(Debug, Default)]
pub struct History {
    lives: HashMap<Key, Life>,
    last: Vec<Seen>,
    ghosts: Vec<Ghost>,
    has_looked: bool,
}

/// A node of the last look.
#[derive(Debug)]
struct Seen {
    node: Node,
    parent: Option<Key>,
    common: Vec<Common>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    began: Duration,
    /// When it came, if that was while we watched.
    came: Option<Duration>,
}

#[derive(Debug)]
struct Ghost {
    seen: Seen,
    began: Duration,
    gone: Duration,
}

impl History {
    /// Takes up a look. Times count from the machine's start; `start_of` tells when a
    /// process started, and is asked about new nodes only.
    pub fn update(
        &mut self,
        overview: &Overview,
        now: Duration,
        start_of: impl Fn(u32) -> Option<Duration>,
    ) -> Vec<Item> {
        let keys: HashSet<Key> = overview.nodes.iter().map(|node| node.key).collect();
        self.bury(&keys, now);
        for node in &overview.nodes {
            let came = self.has_looked.then_some(now);
            self.lives.entry(node.key).or_insert_with(|| Life {
                began: node.pid.and_then(&start_of).unwrap_or(now).min(now),
                came,
            });
        }
        self.has_looked = true;
        self.last = seen(overview);
        self.items(now)
    }

    /// What is not there any more becomes a ghost; old ghosts vanish.
    fn bury(&mut self, keys: &HashSet<Key>, now: Duration) {
        let ghosts = &mut self.ghosts;
        ghosts.retain(|ghost| now.saturating_sub(ghost.gone) < MARKED);
        ghosts.retain(|ghost| !keys.contains(&ghost.seen.node.key));
        for seen in self
            .last
            .drain(..)
            .filter(|seen| !keys.contains(&seen.node.key))
        {
            let life = self.lives.remove(&seen.node.key);
            ghosts.push(Ghost {
                began: life.map_or(now, |life| life.began),
                seen,
                gone: now,
            });
        }
    }

    fn items(&self, now: Duration) -> Vec<Item> {
        let living = self.last.iter().map(|seen| {
            let life = self.lives.get(&seen.node.key);
            let came = life.and_then(|life| life.came);
            let is_new = came.is_some_and(|came| now.saturating_sub(came) < MARKED);
            let mark = if is_new { Mark::New } else { Mark::None };
            let began = life.map_or(now, |life| life.began);
            (item(seen, now.saturating_sub(began), mark), seen.parent)
        });
        let ghosts = self.ghosts.iter().map(|ghost| {
            let age = ghost.gone.saturating_sub(ghost.began);
            (item(&ghost.seen, age, Mark::Gone), ghost.seen.parent)
        });
        let (items, parents): (Vec<Item>, Vec<Option<Key>>) =
            living.chain(ghosts).unzip();
        placed(items, &parents)
    }
}

fn item(seen: &Seen, age: Duration, mark: Mark) -> Item {
    Item {
        node: seen.node.clone(),
        parent: None,
        children: Vec::new(),
        age,
        mark,
        common: seen.common.clone(),
    }
}

fn seen(overview: &Overview) -> Vec<Seen> {
    let common = |share: Share| Common {
        kinds: share.kinds,
        with: overview.nodes[share.with].name.clone(),
    };
    let seen = |(at, node): (usize, &Node)| Seen {
        node: node.clone(),
        parent: node.parent.map(|parent| overview.nodes[parent].key),
        common: overview.cross(at).map(common).collect(),
    };
    overview.nodes.iter().enumerate().map(seen).collect()
}

/// A ghost whose parent has vanished stands below the host.
fn placed(mut items: Vec<Item>, parents: &[Option<Key>]) -> Vec<Item> {
    let places: HashMap<Key, usize> = items
        .iter()
        .enumerate()
        .map(|(at, item)| (item.node.key, at))
        .collect();
    for (at, parent) in parents.iter().enumerate() {
        let Some(key) = parent else { continue };
        let parent = places.get(key).copied().unwrap_or(0);
        if parent != at {
            items[at].parent = Some(parent);
            items[parent].children.push(at);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::overview::sample::Sample;

    fn overview(processes: &[u32]) -> Overview {
        let mut sample = Sample::host();
        for pid in processes {
            sample.process(*pid, "x", &[(Kind::Net, u64::from(*pid) + 1000)]);
        }
        sample.overview()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn of(items: &[Item], pid: u32) -> Option<(Mark, u64)> {
        let found = items.iter().find(|item| item.node.pid == Some(pid));
        found.map(|item| (item.mark, item.age.as_secs()))
    }

    #[test]
    fn what_was_there_is_as_old_as_its_process_and_not_new() {
        let mut history = History::default();
        let items = history.update(&overview(&[50]), at(1000), |_| Some(at(400)));
        assert_eq!(of(&items, 50), Some((Mark::None, 600)));
    }

    #[test]
    fn what_comes_is_new_for_a_moment() {
        let mut history = History::default();
        history.update(&overview(&[]), at(1000), |_| None);
        let items = history.update(&overview(&[50]), at(1001), |_| None);
        assert_eq!(of(&items, 50), Some((Mark::New, 0)));
        let items = history.update(&overview(&[50]), at(1012), |_| None);
        assert_eq!(of(&items, 50), Some((Mark::None, 11)));
    }

    #[test]
    fn what_goes_stays_in_its_place_for_a_moment() {
        let mut history = History::default();
        history.update(&overview(&[50]), at(1000), |_| Some(at(990)));
        let items = history.update(&overview(&[]), at(1005), |_| None);
        assert_eq!(of(&items, 50), Some((Mark::Gone, 15)));
        assert_eq!(items[1].parent, Some(0));
        let items = history.update(&overview(&[]), at(1016), |_| None);
        assert_eq!(of(&items, 50), None);
    }

    #[test]
    fn what_comes_back_is_no_ghost() {
        let mut history = History::default();
        history.update(&overview(&[50]), at(1000), |_| None);
        history.update(&overview(&[]), at(1001), |_| None);
        let items = history.update(&overview(&[50]), at(1002), |_| None);
        assert_eq!(of(&items, 50), Some((Mark::New, 0)));
        assert_eq!(items.len(), 2);
    }
}
