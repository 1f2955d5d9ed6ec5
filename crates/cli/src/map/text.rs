//! The map as text: a tree, with what is equal in one line.

use super::facts::Facts;
use super::fold::{Chamber, Map, Part};
use crate::overview::Key;
use crate::{terminal, words};

/// The whole map, with what it is of.
pub fn render(map: &Map<'_>, facts: &Facts, width: Option<usize>) -> String {
    let mut tree = Tree {
        map,
        width: width.unwrap_or(usize::MAX),
        text: String::new(),
    };
    for chamber in map.parts.iter().flat_map(Part::chambers) {
        tree.chamber(chamber, "", "");
    }
    let words: Vec<String> = format!("{}; {}", facts.summary, facts.complete)
        .split(' ')
        .map(str::to_owned)
        .collect();
    for line in terminal::wrap(&words, " ", tree.width) {
        tree.line(&line);
    }
    tree.text
}

struct Tree<'a> {
    map: &'a Map<'a>,
    width: usize,
    text: String,
}

impl Tree<'_> {
    fn chamber(&mut self, chamber: &Chamber, first: &str, below: &str) {
        self.line(&format!("{first}{}", self.heading(chamber)));
        self.parts(&chamber.parts, below);
    }

    fn parts(&mut self, parts: &[Part], indent: &str) {
        for (position, part) in parts.iter().enumerate() {
            let is_last = position + 1 == parts.len();
            let (fork, below) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let (first, below) = (format!("{indent}{fork}"), format!("{indent}{below}"));
            match part {
                Part::Chamber(chamber) => self.chamber(chamber, &first, &below),
                Part::Frame(kinds, chambers) => {
                    let kinds = words::kinds(*kinds).join(" ");
                    self.line(&format!("{first}together: the same {kinds}"));
                    for (position, chamber) in chambers.iter().enumerate() {
                        let is_last = position + 1 == chambers.len();
                        let (fork, further) = if is_last {
                            ("╰─ ", "   ")
                        } else {
                            ("├─ ", "│  ")
                        };
                        let (first, below) =
                            (format!("{below}{fork}"), format!("{below}{further}"));
                        self.chamber(chamber, &first, &below);
                    }
                }
            }
        }
    }

    /// `docker 3f2a  2 processes of root  mnt net pid`.
    fn heading(&self, chamber: &Chamber) -> String {
        let node = self.map.node(chamber);
        let mut text = node.name.clone();
        if chamber.nodes.len() > 1 {
            text.push_str(&format!(" ×{}", chamber.nodes.len()));
        }
        match node.key {
            Key::Group(_) => {
                text.push_str("  ");
                text.push_str(&self.map.processes(chamber));
            }
            Key::Empty(_) => text.push_str(&format!("  {}", node.command)),
        }
        if !node.is_host && !node.own.is_empty() {
            text.push_str(&format!("  {}", words::kinds(node.own_kinds()).join(" ")));
        }
        for share in &chamber.far {
            let with = &self.map.overview.nodes[share.with].name;
            let kinds = words::kinds(share.kinds).join(" ");
            text.push_str(&format!("  {kinds} of {with}"));
        }
        text
    }

    fn line(&mut self, line: &str) {
        self.text
            .push_str(terminal::cut(line, self.width).trim_end());
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    #[test]
    fn a_map_as_text() {
        let name = |_| "sleep".to_owned();
        let sample = Sample::labelled().with_many(900, &[Kind::Net, Kind::Uts], &name);
        let overview = sample.overview();
        let text = render(&Map::new(&overview), &Facts::sample(), Some(80));
        golden::is_as_kept("map.txt", &text);
    }
}
