//! The rows of the tree: what is shown of the items, and in which order.

use std::cmp::Reverse;
use std::collections::HashSet;

use warren_namespaces::{Kind, NamespaceSet, NsId};

use super::history::Item;
use crate::overview::{Key, Node};
use crate::words;

/// What the user wants to see.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Nodes that have some of these kinds to themselves or in common with others.
    pub kinds: NamespaceSet,
    /// Nodes with this text in what is shown of them.
    pub search: String,
    /// The order of nodes that stand below the same one.
    pub sort: Sort,
    /// Nodes that show their namespaces.
    pub opened: HashSet<Key>,
    /// Nodes that hide what stands below them.
    pub folded: HashSet<Key>,
}

/// An order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By lowest pid.
    #[default]
    Pid,
    /// The youngest first.
    Age,
    /// Most processes first.
    Processes,
    /// By name.
    Name,
}

impl Sort {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Age => "age",
            Self::Processes => "procs",
            Self::Name => "name",
        }
    }

    /// The one that comes after it.
    pub fn next(self) -> Self {
        match self {
            Self::Pid => Self::Age,
            Self::Age => Self::Processes,
            Self::Processes => Self::Name,
            Self::Name => Self::Pid,
        }
    }
}

/// One line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The item that it belongs to.
    pub item: usize,
    /// The namespace of that, if the row shows one.
    pub namespace: Option<(Kind, NsId)>,
    /// The branches before it.
    pub stem: String,
    /// Whether it is there for itself, not for what stands below it.
    pub is_match: bool,
    /// How many nodes are hidden below it.
    pub hidden: usize,
}

/// All rows, from the top.
pub fn rows(items: &[Item], wishes: &Wishes) -> Vec<Row> {
    let matches: Vec<bool> = items
        .iter()
        .map(|item| matches(&item.node, wishes))
        .collect();
    let mut build = Build {
        items,
        wishes,
        kept: kept(items, &matches),
        matches,
        rows: Vec::new(),
    };
    let roots: Vec<usize> = (0..items.len())
        .filter(|at| items[*at].parent.is_none())
        .collect();
    for root in build.ordered(&roots) {
        build.item(root, "", "");
    }
    build.rows
}

fn matches(node: &Node, wishes: &Wishes) -> bool {
    let mut kinds = node.own_kinds();
    for share in &node.shared {
        kinds = share.kinds.iter().fold(kinds, NamespaceSet::with);
    }
    let has_kind = wishes.kinds == NamespaceSet::ALL
        || (!node.is_host && kinds.iter().any(|kind| wishes.kinds.contains(kind)));
    has_kind && has_text(node, &wishes.search.to_lowercase())
}

fn has_text(node: &Node, text: &str) -> bool {
    let has = |part: &str| part.to_lowercase().contains(text);
    let number = |pid: u32| has(&pid.to_string());
    text.is_empty()
        || has(&node.what())
        || node.pid.is_some_and(number)
        || node.user.as_deref().is_some_and(has)
        || node
            .own
            .iter()
            .any(|(kind, id)| has(&words::id(*kind, *id)))
}

/// What matches, and what leads to it.
fn kept(items: &[Item], matches: &[bool]) -> Vec<bool> {
    let mut kept = vec![false; items.len()];
    for at in (0..items.len()).filter(|at| matches[*at]) {
        let mut next = Some(at);
        // Once kept, all above it are.
        while let Some(at) = next.filter(|at| !kept[*at]) {
            kept[at] = true;
            next = items[at].parent;
        }
    }
    kept
}

struct Build<'a> {
    items: &'a [Item],
    wishes: &'a Wishes,
    matches: Vec<bool>,
    kept: Vec<bool>,
    rows: Vec<Row>,
}

impl Build<'_> {
    fn item(&mut self, at: usize, first: &str, below: &str) {
        let item = &self.items[at];
        let children = self.ordered(&item.children);
        // A search looks into what is folded.
        let folded =
            self.wishes.search.is_empty() && self.wishes.folded.contains(&item.node.key);
        self.rows.push(Row {
            item: at,
            namespace: None,
            stem: first.to_owned(),
            is_match: self.matches[at],
            hidden: if folded { self.size(&children) } else { 0 },
        });
        let children = if folded { Vec::new() } else { children };
        if self.wishes.opened.contains(&item.node.key) {
            let stem = if children.is_empty() { "   " } else { "│  " };
            for own in &item.node.own {
                self.rows.push(Row {
                    item: at,
                    namespace: Some(*own),
                    stem: format!("{below}{stem}"),
                    is_match: self.matches[at],
                    hidden: 0,
                });
            }
        }
        for (position, child) in children.iter().enumerate() {
            let is_last = position + 1 == children.len();
            let (fork, further) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.item(
                *child,
                &format!("{below}{fork}"),
                &format!("{below}{further}"),
            );
        }
    }

    /// How many nodes there are in these and below.
    fn size(&self, of: &[usize]) -> usize {
        let below = |at: &usize| 1 + self.size(&self.items[*at].children);
        of.iter().map(below).sum()
    }

    /// Those of some siblings that are shown, in the order that was asked for.
    fn ordered(&self, siblings: &[usize]) -> Vec<usize> {
        let kept = siblings.iter().copied().filter(|at| self.kept[*at]);
        let mut siblings: Vec<usize> = kept.collect();
        let items = self.items;
        let pid = |at: &usize| items[*at].node.pid.unwrap_or(u32::MAX);
        match self.wishes.sort {
            Sort::Pid => siblings.sort_by_key(pid),
            Sort::Age => siblings.sort_by_key(|at| (items[*at].age, Reverse(pid(at)))),
            Sort::Processes => {
                siblings.sort_by_key(|at| (Reverse(items[*at].node.processes), pid(at)));
            }
            Sort::Name => siblings.sort_by(|a, b| {
                let name = |at: &usize| &items[*at].node.name;
                name(a).cmp(name(b)).then_with(|| pid(a).cmp(&pid(b)))
            }),
        }
        siblings
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::*;
    use crate::overview::sample::Sample;
    use std::time::Duration;

    fn items(sample: Sample) -> Vec<Item> {
        let now = Duration::from_secs(10_000);
        let start = |pid| Some(Duration::from_secs(u64::from(pid)));
        History::default().update(&sample.overview(), now, start)
    }

    fn wishes() -> Wishes {
        Wishes {
            kinds: NamespaceSet::ALL,
            ..Wishes::default()
        }
    }

    fn shown(items: &[Item], wishes: &Wishes) -> Vec<String> {
        let line = |row: &Row| {
            let what = match row.namespace {
                Some((kind, id)) => words::id(kind, id),
                None => items[row.item].node.name.clone(),
            };
            let mark = if row.is_match { "" } else { "?" };
            format!("{}{what}{mark}", row.stem)
        };
        rows(items, wishes).iter().map(line).collect()
    }

    #[test]
    fn nodes_stand_below_those_that_they_are_in() {
        let expected = [
            "host",
            "└─ outer",
            "   ├─ helper",
            "   └─ user namespace",
            "      └─ inner",
        ];
        assert_eq!(shown(&items(Sample::nested()), &wishes()), expected);
    }

    #[test]
    fn an_opened_node_shows_its_namespaces_and_a_folded_one_nothing_below() {
        let items = items(Sample::nested());
        let mut wishes = wishes();
        wishes.opened.insert(items[1].node.key);
        wishes.folded.insert(items[1].node.key);
        let expected = ["host", "└─ outer", "      user:103", "      pid:104"];
        assert_eq!(shown(&items, &wishes), expected);
        assert_eq!(rows(&items, &wishes)[1].hidden, 3);
    }

    #[test]
    fn a_search_keeps_what_leads_to_a_match() {
        let mut wishes = wishes();
        wishes.search = "INNER".to_owned();
        let expected = [
            "host?",
            "└─ outer?",
            "   └─ user namespace?",
            "      └─ inner",
        ];
        assert_eq!(shown(&items(Sample::nested()), &wishes), expected);
        wishes.search = "net:201".to_owned();
        let expected = ["host?", "└─ pause"];
        assert_eq!(shown(&items(Sample::containers()), &wishes), expected);
    }

    #[test]
    fn kinds_keep_what_has_or_shares_them() {
        let mut wishes = wishes();
        wishes.kinds = NamespaceSet::EMPTY.with(Kind::Uts);
        let all = shown(&items(Sample::containers()), &wishes);
        assert_eq!(all, ["host?", "├─ nginx", "├─ pause", "└─ app"]);
        wishes.kinds = NamespaceSet::EMPTY.with(Kind::Time);
        assert!(shown(&items(Sample::containers()), &wishes).is_empty());
    }

    #[test]
    fn siblings_are_sorted_as_asked() {
        let items = items(Sample::containers());
        let sorted = |sort| {
            let wishes = Wishes { sort, ..wishes() };
            let rows = rows(&items, &wishes).into_iter().skip(1);
            rows.map(|row| items[row.item].node.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(sorted(Sort::Pid), ["nginx", "pause", "app"]);
        assert_eq!(sorted(Sort::Age), ["app", "pause", "nginx"]);
        assert_eq!(sorted(Sort::Processes), ["nginx", "pause", "app"]);
        assert_eq!(sorted(Sort::Name), ["app", "nginx", "pause"]);
    }
}
