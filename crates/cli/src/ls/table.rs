//! The default form: one line for the processes that have the same namespaces.

use warren_namespaces::{Group, Namespace, NamespaceSet, Snapshot, View};

use super::{command, count, kept_by, label};
use crate::terminal;

/// A terminal with fewer columns gets the namespaces on lines of their own.
const NARROW: usize = 72;
/// The least that is left for a command where columns stand side by side.
const COMMAND: usize = 28;
const GAP: &str = "  ";

/// One line, or what is wrapped below one.
struct Row {
    pid: String,
    processes: String,
    /// `net:4026532251` and so on, or one phrase.
    own: Vec<String>,
    command: String,
}

/// The whole table, without the line on its completeness.
pub fn render(snapshot: &Snapshot, kinds: NamespaceSet, width: Option<usize>) -> String {
    let mut rows = vec![header(snapshot)];
    let groups = snapshot.groups(kinds);
    rows.extend(groups.iter().map(|group| group_row(snapshot, group, kinds)));
    rows.extend(
        snapshot
            .empty(kinds)
            .map(|namespace| empty_row(snapshot, namespace)),
    );
    match width {
        Some(width) if width < NARROW => stacked(&rows, width),
        _ => side_by_side(&rows, width),
    }
}

/// Whose namespaces the others are compared with.
fn reference(snapshot: &Snapshot) -> &'static str {
    let pid = snapshot.reference.map_or(0, |reference| reference.pid);
    match (snapshot.view, pid) {
        (View::PidNamespace, 1) => "pid 1's",
        (_, 1 | 2) => "the host's",
        _ => "this shell's",
    }
}

fn header(snapshot: &Snapshot) -> Row {
    Row {
        pid: "PID".to_owned(),
        processes: "PROCS".to_owned(),
        own: vec![format!("NOT {}", reference(snapshot).to_uppercase())],
        command: "COMMAND OF THE LOWEST PID".to_owned(),
    }
}

fn group_row(snapshot: &Snapshot, group: &Group<'_>, kinds: NamespaceSet) -> Row {
    Row {
        pid: group.first.pid.to_string(),
        processes: group.processes.to_string(),
        own: own(snapshot, group, kinds),
        command: command(group.first),
    }
}

/// The namespaces that are not the reference's. With few kinds asked for, all of
/// them, so that the reference's own can be seen too.
fn own(snapshot: &Snapshot, group: &Group<'_>, kinds: NamespaceSet) -> Vec<String> {
    let namespaces = &group.first.namespaces;
    let host = snapshot.reference.map(|reference| reference.namespaces);
    let words: Vec<String> = namespaces
        .iter()
        .filter(|(kind, _)| kinds.contains(*kind))
        .filter(|(kind, id)| {
            let is_host = host.is_some_and(|host| host.get(*kind) == Some(*id));
            kinds != NamespaceSet::ALL || !is_host
        })
        .map(|(kind, id)| format!("{kind}:{}", id.inode))
        .collect();
    match words.as_slice() {
        [] => vec![format!("({})", reference(snapshot))],
        _ => words,
    }
}

fn empty_row(snapshot: &Snapshot, namespace: &Namespace) -> Row {
    Row {
        pid: "-".to_owned(),
        processes: "0".to_owned(),
        own: vec![label(namespace)],
        command: kept_by(snapshot, namespace),
    }
}

fn side_by_side(rows: &[Row], width: Option<usize>) -> String {
    let pid = widest(rows, |row| row.pid.len());
    let processes = widest(rows, |row| row.processes.len());
    let before = pid + processes + 2 * GAP.len();
    let longest = widest(rows, |row| row.own.join(" ").len());
    let own = match width {
        Some(width) => longest.min(width.saturating_sub(before + GAP.len() + COMMAND)),
        None => longest,
    };
    let wrapped = |row: &Row| terminal::wrap(&row.own, " ", own);
    // A single word can be wider than what was left for it.
    let own = widest(rows, |row| widest(&wrapped(row), String::len));
    let mut text = String::new();
    for row in rows {
        let lines = wrapped(row);
        let (pid_text, count) = (&row.pid, &row.processes);
        let first = lines.first().map_or("", String::as_str);
        let mut line =
            format!("{pid_text:>pid$}{GAP}{count:>processes$}{GAP}{first:own$}{GAP}");
        line.push_str(&fit(&row.command, width, before + own + GAP.len()));
        push_line(&mut text, &line);
        for more in lines.iter().skip(1) {
            push_line(&mut text, &format!("{:before$}{more}", ""));
        }
    }
    text
}

/// Two lines or more for each row.
fn stacked(rows: &[Row], width: usize) -> String {
    const INDENT: usize = 2;
    let mut text = String::new();
    // The heading would need two lines as well; the rows say it in words.
    for row in rows.iter().skip(1) {
        let head = match row.pid.as_str() {
            "-" => String::new(),
            pid => {
                let number = row.processes.parse().unwrap_or(0);
                let processes = count(number, "process", "processes");
                format!("{pid} ({processes}){GAP}")
            }
        };
        let command = fit(&row.command, Some(width), head.len());
        push_line(&mut text, &format!("{head}{command}"));
        for line in terminal::wrap(&row.own, " ", width.saturating_sub(INDENT)) {
            push_line(&mut text, &format!("{:INDENT$}{line}", ""));
        }
    }
    text
}

fn widest<T>(of: &[T], length: impl Fn(&T) -> usize) -> usize {
    of.iter().map(length).max().unwrap_or(0)
}

/// What of a text fits behind `used` columns.
fn fit(text: &str, width: Option<usize>, used: usize) -> String {
    match width {
        Some(width) => terminal::cut(text, width.saturating_sub(used)),
        None => text.to_owned(),
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |pid: &str, processes: &str, own: &[&str], command: &str| Row {
            pid: pid.to_owned(),
            processes: processes.to_owned(),
            own: own.iter().map(|word| (*word).to_owned()).collect(),
            command: command.to_owned(),
        };
        vec![
            row("PID", "PROCS", &["NOT THE HOST'S"], "COMMAND"),
            row("1", "84", &["(the host's)"], "/sbin/init"),
            row(
                "4242",
                "3",
                &["mnt:4026532251", "net:4026532253", "pid:4026532254"],
                "a command that is long enough to be cut somewhere",
            ),
            row(
                "-",
                "0",
                &["net:4026532299"],
                "kept by the mount /run/netns/blue",
            ),
        ]
    }

    fn lines(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_pipe_gets_one_whole_line_for_each_group() {
        let expected = lines(&[
            " PID  PROCS  NOT THE HOST'S                                COMMAND",
            "   1     84  (the host's)                                  /sbin/init",
            "4242      3  mnt:4026532251 net:4026532253 pid:4026532254  a command that is \
             long enough to be cut somewhere",
            "   -      0  net:4026532299                                kept by the mount \
             /run/netns/blue",
        ]);
        assert_eq!(side_by_side(&rows(), None), expected);
    }

    #[test]
    fn a_terminal_gets_no_line_that_it_would_wrap() {
        let expected = lines(&[
            " PID  PROCS  NOT THE HOST'S                 COMMAND",
            "   1     84  (the host's)                   /sbin/init",
            "4242      3  mnt:4026532251 net:4026532253  a command that is long enou…",
            "             pid:4026532254",
            "   -      0  net:4026532299                 kept by the mount /run/netn…",
        ]);
        assert_eq!(side_by_side(&rows(), Some(72)), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_the_namespaces_below() {
        let expected = lines(&[
            "1 (84 processes)  /sbin/init",
            "  (the host's)",
            "4242 (3 processes)  a command that is l…",
            "  mnt:4026532251 net:4026532253",
            "  pid:4026532254",
            "kept by the mount /run/netns/blue",
            "  net:4026532299",
        ]);
        assert_eq!(stacked(&rows(), 40), expected);
    }
}
