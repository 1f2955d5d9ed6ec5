//! `--tree`: what stands in what, each with its namespaces and processes.

use std::collections::BTreeMap;

use warren_namespaces::{Process, Snapshot};

use crate::overview::{Key, Node, Overview};
use crate::terminal::{self, printable};
use crate::words;

/// Of more processes with one name than this, the rest is counted.
const PIDS: usize = 12;

/// The whole tree, without the line on its completeness.
pub fn render(snapshot: &Snapshot, overview: &Overview, width: Option<usize>) -> String {
    let mut tree = Tree {
        overview,
        processes: processes(snapshot, overview),
        width: width.unwrap_or(usize::MAX),
        text: String::new(),
    };
    for root in overview.roots() {
        tree.node(root, "", "");
    }
    tree.text
}

/// The running processes of each group but the host's, whose are too many.
fn processes<'a>(
    snapshot: &'a Snapshot,
    overview: &Overview,
) -> BTreeMap<usize, Vec<&'a Process>> {
    let groups = overview.group_of_processes(snapshot);
    let mut of_node: BTreeMap<usize, Vec<&Process>> = BTreeMap::new();
    for (process, at) in groups {
        if !overview.nodes[at].is_host {
            of_node.entry(at).or_default().push(process);
        }
    }
    of_node
}

struct Tree<'a> {
    overview: &'a Overview,
    processes: BTreeMap<usize, Vec<&'a Process>>,
    width: usize,
    text: String,
}

impl Tree<'_> {
    /// `first` leads to the node, `below` to what hangs from it.
    ///
    /// The kernel nests user and pid namespaces 32 deep at most, so this ends.
    fn node(&mut self, at: usize, first: &str, below: &str) {
        let overview = self.overview;
        let node = &overview.nodes[at];
        self.line(&format!("{first}{}", heading(node)));
        let stem = if node.children.is_empty() {
            "   "
        } else {
            "│  "
        };
        for line in self.details(at) {
            self.wrapped(&format!("{below}{stem}"), &line);
        }
        for (position, child) in node.children.iter().enumerate() {
            let is_last = position + 1 == node.children.len();
            let (fork, further) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let (first, below) = (format!("{below}{fork}"), format!("{below}{further}"));
            self.node(*child, &first, &below);
        }
    }

    /// Lines of words: ids of the namespaces, then the processes.
    fn details(&self, at: usize) -> Vec<Vec<String>> {
        let node = &self.overview.nodes[at];
        let mut lines = Vec::new();
        if !node.own.is_empty() {
            let ids = node.own.iter().map(|(kind, id)| words::id(*kind, *id));
            lines.push(ids.collect());
        }
        for share in self.overview.cross(at) {
            let with = &self.overview.nodes[share.with];
            let mut line: Vec<String> = share
                .kinds
                .iter()
                .map(|kind| kind.name().to_owned())
                .collect();
            let pid = with.pid.map_or(String::new(), |pid| format!(" ({pid})"));
            line.push(format!("of {}{pid}", with.name));
            lines.push(line);
        }
        lines.extend(self.process_lines(at));
        lines
    }

    /// Those with one name in one line: `nginx 4243 4244`.
    fn process_lines(&self, at: usize) -> Vec<Vec<String>> {
        let processes = self.processes.get(&at).map_or(&[][..], Vec::as_slice);
        let mut of_name: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for process in processes {
            of_name.entry(&process.comm).or_default().push(process.pid);
        }
        let mut names: Vec<_> = of_name.into_iter().collect();
        names.sort_by_key(|(_, pids)| pids.first().copied());
        let line = |(name, pids): (&str, Vec<u32>)| {
            let mut line = vec![printable(name)];
            line.extend(pids.iter().take(PIDS).map(u32::to_string));
            if pids.len() > PIDS {
                line.push(format!("and {} more", pids.len() - PIDS));
            }
            line
        };
        // A single process stands in the heading already.
        let alone = processes.len() < 2;
        names.into_iter().filter(|_| !alone).map(line).collect()
    }

    fn wrapped(&mut self, indent: &str, words: &[String]) {
        let room = self.width.saturating_sub(indent.chars().count());
        for line in terminal::wrap(words, " ", room) {
            self.line(&format!("{indent}{line}"));
        }
    }

    fn line(&mut self, line: &str) {
        self.text
            .push_str(terminal::cut(line, self.width).trim_end());
        self.text.push('\n');
    }
}

/// `4242 docker 3f2a, 3 processes of root: nginx`.
fn heading(node: &Node) -> String {
    let user = node.user.as_deref().unwrap_or("-");
    match (node.key, node.pid) {
        (Key::Group(_), Some(pid)) => {
            let processes = words::processes(node.processes);
            let Node { name, command, .. } = node;
            format!("{pid} {name}, {processes} of {user}: {command}")
        }
        _ => format!("{}: {}", node.name, node.command),
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::NamespaceSet;

    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;
    use crate::words::Users;

    fn is_as_kept(name: &str, sample: Sample, width: usize) {
        let snapshot = sample.snapshot();
        let overview = Overview::new(&snapshot, NamespaceSet::ALL, &Users::default());
        golden::is_as_kept(name, &render(&snapshot, &overview, Some(width)));
    }

    #[test]
    fn a_container_opens_with_its_namespaces_and_processes() {
        is_as_kept("ls_tree_80.txt", Sample::labelled(), 80);
        is_as_kept("ls_tree_40.txt", Sample::labelled(), 40);
    }

    #[test]
    fn user_and_pid_namespaces_nest() {
        is_as_kept("ls_tree_nested.txt", Sample::nested(), 60);
    }
}
