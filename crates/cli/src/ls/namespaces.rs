//! `--all` and `--held-by`: every namespace on a line of its own.

use warren_namespaces::{Namespace, NamespaceSet, Snapshot};

use crate::overview::{Key, Node, Overview};
use crate::table::{Align, NARROW, Row, fit, push_line, side_by_side};
use crate::terminal;
use crate::words::{self, Users};

const ALIGN: [Align; 4] = [Align::Left, Align::Right, Align::Right, Align::Left];

/// Which rows, and what they end with.
#[derive(Clone, Copy)]
pub struct Rows {
    /// Those of the host itself as well.
    pub hosts_too: bool,
    /// All holders, instead of the command.
    pub every_holder: bool,
}

/// One namespace and where it belongs.
struct Entry<'a> {
    namespace: &'a Namespace,
    node: Option<&'a Node>,
}

/// The whole table, without the line on its completeness.
pub fn render(
    snapshot: &Snapshot,
    kinds: NamespaceSet,
    users: &Users,
    rows: Rows,
    width: Option<usize>,
) -> String {
    let overview = Overview::new(snapshot, NamespaceSet::ALL, users);
    let entries = entries(snapshot, &overview, kinds, rows);
    match (width, rows.every_holder) {
        (Some(width), _) if width < NARROW => stacked(snapshot, &entries, width),
        (width, true) => with_holders(snapshot, &entries, width),
        (width, false) => {
            let rows = entries.iter().map(|entry| row(snapshot, entry));
            let rows: Vec<Row> = std::iter::once(heading()).chain(rows).collect();
            side_by_side(&rows, &ALIGN, width)
        }
    }
}

fn entries<'a>(
    snapshot: &'a Snapshot,
    overview: &'a Overview,
    kinds: NamespaceSet,
    rows: Rows,
) -> Vec<Entry<'a>> {
    let host = snapshot.reference.map(|reference| reference.namespaces);
    let homes = overview.homes();
    let asked = snapshot.namespaces.iter().filter(|namespace| {
        let is_hosts =
            host.is_some_and(|host| host.get(namespace.kind) == Some(namespace.id));
        kinds.contains(namespace.kind) && (rows.hosts_too || !is_hosts)
    });
    let entry = |namespace: &'a Namespace| Entry {
        namespace,
        node: homes.get(&namespace.id).map(|at| &overview.nodes[*at]),
    };
    asked.map(entry).collect()
}

fn heading() -> Row {
    Row {
        short: ["NAMESPACE", "PROCS", "PID", "USER"]
            .map(str::to_owned)
            .to_vec(),
        words: vec!["OWNER".to_owned()],
        last: "WHAT".to_owned(),
    }
}

fn row(snapshot: &Snapshot, entry: &Entry<'_>) -> Row {
    let namespace = entry.namespace;
    let node = entry.node;
    let user = node.and_then(|node| node.user.clone());
    let owner = namespace.owner.map(|owner| owner.inode.to_string());
    Row {
        short: vec![
            words::id(namespace.kind, namespace.id),
            namespace.processes.to_string(),
            namespace.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            user.unwrap_or("-".to_owned()),
        ],
        words: vec![owner.unwrap_or("-".to_owned())],
        last: what(snapshot, entry),
    }
}

/// The process or container, or the first holder.
fn what(snapshot: &Snapshot, entry: &Entry<'_>) -> String {
    match entry.node {
        Some(node) if matches!(node.key, Key::Group(_)) => node.what(),
        _ => words::holders(snapshot, entry.namespace).join(", "),
    }
}

/// A block for each namespace: a line that says which, then one for each holder.
fn with_holders(
    snapshot: &Snapshot,
    entries: &[Entry<'_>],
    width: Option<usize>,
) -> String {
    let names = entries
        .iter()
        .map(|entry| words::id(entry.namespace.kind, entry.namespace.id));
    let column = names.map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    push_line(&mut text, &format!("{:column$}  HELD BY", "NAMESPACE"));
    for Entry { namespace, .. } in entries {
        let mut name = words::id(namespace.kind, namespace.id);
        for holder in words::holders(snapshot, namespace) {
            let holder = fit(&holder, width, column + 2);
            push_line(&mut text, &format!("{name:column$}  {holder}"));
            name.clear();
        }
    }
    text
}

fn stacked(snapshot: &Snapshot, entries: &[Entry<'_>], width: usize) -> String {
    let mut text = String::new();
    for Entry { namespace, .. } in entries {
        let name = words::id(namespace.kind, namespace.id);
        let processes = words::processes(namespace.processes);
        push_line(
            &mut text,
            &terminal::cut(&format!("{name}  {processes}"), width),
        );
        for holder in words::holders(snapshot, namespace) {
            push_line(&mut text, &format!("  {}", fit(&holder, Some(width), 2)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    fn is_as_kept(name: &str, sample: Sample, rows: Rows, width: usize) {
        let users = Users::default();
        let snapshot = sample.snapshot();
        let text = render(&snapshot, NamespaceSet::ALL, &users, rows, Some(width));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
        golden::is_as_kept(name, &text);
    }

    const ALL: Rows = Rows {
        hosts_too: true,
        every_holder: false,
    };
    const HELD_BY: Rows = Rows {
        hosts_too: false,
        every_holder: true,
    };

    #[test]
    fn all_has_the_hosts_own_and_those_without_a_process() {
        is_as_kept("ls_all_80.txt", Sample::kept(), ALL, 80);
    }

    #[test]
    fn held_by_names_every_holder_of_what_is_not_the_hosts() {
        is_as_kept("ls_held_by_80.txt", Sample::nested(), HELD_BY, 80);
    }

    #[test]
    fn a_narrow_terminal_gets_holders_below() {
        is_as_kept("ls_held_by_40.txt", Sample::kept(), HELD_BY, 40);
    }
}
