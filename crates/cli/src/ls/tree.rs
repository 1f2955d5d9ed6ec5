//! `--tree`: each user namespace with what it owns.

use std::collections::HashMap;

use warren_namespaces::{Kind, Namespace, NamespaceSet, NsId, Snapshot};

use super::{command, count, kept_by, label};
use crate::terminal;

type Children<'a> = HashMap<Option<NsId>, Vec<&'a Namespace>>;

/// The whole tree, without the line on its completeness.
pub fn render(snapshot: &Snapshot, kinds: NamespaceSet, width: Option<usize>) -> String {
    let children = if kinds == NamespaceSet::EMPTY.with(Kind::Pid) {
        let all = |namespace: &&Namespace| namespace.kind == Kind::Pid;
        children(snapshot, all, |namespace| namespace.parent)
    } else {
        // User namespaces are the branches, whatever else is asked for.
        let kinds = kinds.with(Kind::User);
        let asked = move |namespace: &&Namespace| kinds.contains(namespace.kind);
        children(snapshot, asked, |namespace| namespace.owner)
    };
    let mut text = String::new();
    for root in children.get(&None).into_iter().flatten() {
        let mut line = |line: String| {
            text.push_str(
                &width.map_or(line.clone(), |width| terminal::cut(&line, width)),
            );
            text.push('\n');
        };
        line(describe(snapshot, root));
        branches(snapshot, &children, root.id, "", &mut line);
    }
    text
}

/// By parent; below `None` are those whose parent is out of sight.
fn children<'a>(
    snapshot: &'a Snapshot,
    wanted: impl Fn(&&Namespace) -> bool,
    parent: impl Fn(&Namespace) -> Option<NsId>,
) -> Children<'a> {
    let mut children = Children::new();
    for namespace in snapshot
        .namespaces
        .iter()
        .filter(|namespace| wanted(namespace))
    {
        let parent = parent(namespace).filter(|id| snapshot.namespace(*id).is_some());
        children.entry(parent).or_default().push(namespace);
    }
    for list in children.values_mut() {
        // What is owned comes before the branches that go deeper.
        list.sort_by_key(|namespace| namespace.kind == Kind::User);
    }
    children
}

/// The kernel nests user and pid namespaces 32 deep at most, so this ends.
fn branches(
    snapshot: &Snapshot,
    children: &Children<'_>,
    parent: NsId,
    indent: &str,
    line: &mut impl FnMut(String),
) {
    let list = children.get(&Some(parent)).map_or(&[][..], Vec::as_slice);
    for (position, namespace) in list.iter().enumerate() {
        let last = position + 1 == list.len();
        let (fork, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        line(format!("{indent}{fork}{}", describe(snapshot, namespace)));
        let indent = format!("{indent}{below}");
        branches(snapshot, children, namespace.id, &indent, line);
    }
}

/// `net:4026532251  3 processes, lowest 4242 sleep 1000`.
fn describe(snapshot: &Snapshot, namespace: &Namespace) -> String {
    let label = label(namespace);
    let maker = match namespace.owner_uid {
        Some(uid) => format!(" of uid {uid}"),
        None => String::new(),
    };
    let process = namespace.pid.and_then(|pid| snapshot.process(pid));
    let Some(process) = process.filter(|process| !process.zombie) else {
        return format!("{label}{maker}  {}", kept_by(snapshot, namespace));
    };
    let number = count(namespace.processes, "process", "processes");
    // The command is known for the lowest pid of every namespace.
    format!(
        "{label}{maker}  {number}, lowest {} {}",
        process.pid,
        command(process)
    )
}
