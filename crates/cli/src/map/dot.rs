//! The map in the language of Graphviz.

use super::escape::dot;
use super::fold::{Chamber, Map, Part, for_each};
use crate::overview::Key;
use crate::words;

/// A graph: an edge down to what stands below, a dashed one to whom it shares with.
pub fn render(map: &Map<'_>) -> String {
    let mut text = String::from(concat!(
        "digraph warren {\n",
        "  rankdir=LR;\n",
        "  node [shape=box, style=rounded, fontname=\"monospace\"];\n",
        "  edge [fontname=\"monospace\", fontsize=10];\n",
    ));
    for_each(&map.parts, &mut |chamber| {
        text.push_str(&node(map, chamber));
    });
    for_each(&map.parts, &mut |chamber| {
        for below in chamber.parts.iter().flat_map(Part::chambers) {
            text.push_str(&format!("  {} -> {};\n", name(chamber), name(below)));
        }
        let at = chamber.nodes[0];
        for share in map.overview.cross(at) {
            let kinds = words::kinds(share.kinds).join(" ");
            text.push_str(&format!(
                "  {} -> n{} [style=dashed, constraint=false, label=\"{kinds}\"];\n",
                name(chamber),
                share.with
            ));
        }
    });
    text.push_str("}\n");
    text
}

fn name(chamber: &Chamber) -> String {
    format!("n{}", chamber.nodes[0])
}

fn node(map: &Map<'_>, chamber: &Chamber) -> String {
    let node = map.node(chamber);
    let mut lines = vec![node.name.clone()];
    if chamber.nodes.len() > 1 {
        lines[0].push_str(&format!(" ×{}", chamber.nodes.len()));
    }
    if let Some(pid) = node.pid {
        let processes = words::processes(node.processes);
        lines.push(format!("pid {pid}, {processes}"));
    }
    if !node.is_host {
        lines.push(words::kinds(node.own_kinds()).join(" "));
    }
    // A line break of the label stands between texts that are escaped.
    let lines: Vec<String> = lines.iter().map(|line| dot(line)).collect();
    let style = match node.key {
        Key::Group(_) => "",
        Key::Empty(_) => ", style=\"rounded,dashed\"",
    };
    format!(
        "  {} [label=\"{}\"{style}];\n",
        name(chamber),
        lines.join("\\n")
    )
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    #[test]
    fn a_graph_has_edges_for_what_is_below_and_what_is_shared() {
        let mut sample = Sample::labelled();
        sample.process(7000, "a\"\\b", &[(Kind::Net, 900)]);
        let overview = sample.overview();
        golden::is_as_kept("map.dot", &render(&Map::new(&overview)));
    }
}
