//! The default form: one line for the processes that have the same namespaces.

use warren_namespaces::NamespaceSet;

use crate::overview::{Node, Overview};
use crate::table::{Align, NARROW, Row, fit, push_line, side_by_side};
use crate::{terminal, words};

const ALIGN: [Align; 3] = [Align::Right, Align::Right, Align::Left];

/// The whole table, without the line on its completeness.
pub fn render(overview: &Overview, kinds: NamespaceSet, width: Option<usize>) -> String {
    // Few kinds leave room for ids, and make the host's own worth a look.
    let with_ids = kinds != NamespaceSet::ALL;
    let nodes = overview.nodes.iter();
    match width {
        Some(width) if width < NARROW => {
            let mut text = String::new();
            for node in nodes {
                stack(
                    &mut text,
                    node,
                    &namespaces(overview, node, with_ids),
                    width,
                );
            }
            text
        }
        _ => {
            let rows = nodes.map(|node| row(node, namespaces(overview, node, with_ids)));
            let rows: Vec<Row> = std::iter::once(heading()).chain(rows).collect();
            side_by_side(&rows, &ALIGN, width)
        }
    }
}

fn heading() -> Row {
    Row {
        short: ["PID", "PROCS", "USER"].map(str::to_owned).to_vec(),
        words: vec!["NAMESPACES".to_owned()],
        last: "WHAT".to_owned(),
    }
}

fn row(node: &Node, namespaces: Vec<String>) -> Row {
    let pid = node.pid.map_or("-".to_owned(), |pid| pid.to_string());
    let user = node.user.clone().unwrap_or("-".to_owned());
    Row {
        short: vec![pid, node.processes.to_string(), user],
        words: namespaces,
        last: node.what(),
    }
}

/// `mnt pid, net of 4242`.
fn namespaces(overview: &Overview, node: &Node, with_ids: bool) -> Vec<String> {
    let own = if with_ids {
        let ids = node.own.iter().map(|(kind, id)| words::id(*kind, *id));
        ids.collect()
    } else if node.is_host {
        Vec::new()
    } else {
        words::kinds(node.own_kinds())
    };
    let mut words = if own.is_empty() && node.is_host {
        vec![format!("({})", overview.reference)]
    } else {
        own
    };
    for share in &node.shared {
        let with = overview.nodes.get(share.with).and_then(|node| node.pid);
        if let Some(last) = words.last_mut() {
            last.push(',');
        }
        words.extend(share.kinds.iter().map(|kind| kind.name().to_owned()));
        words.push(with.map_or("of another".to_owned(), |pid| format!("of {pid}")));
    }
    words
}

/// Two lines or more for a node.
fn stack(text: &mut String, node: &Node, namespaces: &[String], width: usize) {
    const INDENT: usize = 2;
    let head = node.pid.map_or(String::new(), |pid| format!("{pid} "));
    let what = fit(&node.what(), Some(width), head.len());
    push_line(text, &format!("{head}{what}"));
    let mut detail = Vec::new();
    if node.processes > 0 {
        let processes = words::processes(node.processes);
        let user = node.user.as_deref().unwrap_or("-");
        detail.push(format!("{processes} of {user};"));
    }
    detail.extend_from_slice(namespaces);
    for line in terminal::wrap(&detail, " ", width.saturating_sub(INDENT)) {
        push_line(text, &format!("{:INDENT$}{line}", ""));
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;
    use crate::words::Users;

    fn is_as_kept(name: &str, sample: Sample, width: Option<usize>) {
        let text = render(&sample.overview(), NamespaceSet::ALL, width);
        for line in text.lines() {
            assert!(
                width.is_none_or(|width| line.chars().count() <= width),
                "{line}"
            );
        }
        golden::is_as_kept(name, &text);
    }

    #[test]
    fn a_pipe_gets_everything() {
        is_as_kept("ls_containers.txt", Sample::labelled(), None);
    }

    #[test]
    fn eighty_columns_wrap_the_namespaces() {
        is_as_kept("ls_containers_80.txt", Sample::labelled(), Some(80));
    }

    #[test]
    fn a_narrow_terminal_gets_lines_below_each_other() {
        is_as_kept("ls_containers_40.txt", Sample::labelled(), Some(40));
    }

    #[test]
    fn what_has_no_process_says_what_keeps_it() {
        is_as_kept("ls_kept_80.txt", Sample::kept(), Some(80));
        is_as_kept("ls_nested_200.txt", Sample::nested(), Some(200));
    }

    #[test]
    fn one_kind_is_shown_with_its_ids() {
        let kinds = NamespaceSet::EMPTY.with(Kind::Net);
        let snapshot = Sample::containers().snapshot();
        let overview = Overview::new(&snapshot, kinds, &Users::default());
        golden::is_as_kept("ls_net.txt", &render(&overview, kinds, None));
    }
}
