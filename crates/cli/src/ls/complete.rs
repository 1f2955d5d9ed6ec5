//! How complete a picture is, and why it is not whole.

use warren_namespaces::{Kind, Part, Snapshot, Unreadable, View};

use crate::terminal;
use crate::words::count;

/// Who asks, which decides what would make the picture whole.
#[derive(Clone, Copy)]
enum Asker {
    User,
    RootOfNamespace,
    Root,
}

/// The last line, or lines where the terminal is narrow.
pub fn footer(snapshot: &Snapshot, fast: bool, width: Option<usize>) -> String {
    let mut text = completeness(snapshot);
    if fast {
        text.push_str(
            "; --fast passed over threads, descriptors, sockets, owners and other mounts",
        );
    }
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    terminal::wrap(&words, " ", width.unwrap_or(usize::MAX)).join("\n") + "\n"
}

/// How much of the machine this is.
pub fn completeness(snapshot: &Snapshot) -> String {
    let own = snapshot.process(std::process::id());
    let asker = match own {
        Some(own) if own.uid != 0 => Asker::User,
        Some(own) if !own.is_in_first(Kind::User) => Asker::RootOfNamespace,
        _ => Asker::Root,
    };
    completeness_for(snapshot, asker)
}

fn completeness_for(snapshot: &Snapshot, asker: Asker) -> String {
    let read = count(snapshot.processes.len(), "process", "processes");
    let mut text = format!("{read} read");
    match snapshot.view {
        View::Whole => {}
        View::PidNamespace => text.push_str(" of this pid namespace; others are unseen"),
        View::OwnUser => text.push_str(", your own; /proc hides those of others"),
    }
    if snapshot.unreadable.is_empty() {
        text.push_str("; nothing was unreadable");
    } else {
        let what = unreadable(&snapshot.unreadable);
        let why = match asker {
            Asker::User => "run as root",
            Asker::RootOfNamespace => "run as root outside of this user namespace",
            Asker::Root => "this shell lacks capabilities, or a security module refuses",
        };
        text.push_str(&format!("; {what} not readable: {why}"));
    }
    text
}

/// `3 processes (pid 1, 7, 9) and 1 other thing`.
fn unreadable(list: &[Unreadable]) -> String {
    let pids: Vec<String> = list
        .iter()
        .filter_map(|unreadable| match unreadable.part {
            Part::Process { pid } => Some(pid.to_string()),
            _ => None,
        })
        .collect();
    let others = list.len() - pids.len();
    let mut parts = Vec::new();
    if !pids.is_empty() {
        let mut text = count(pids.len(), "process", "processes");
        if pids.len() <= 3 {
            text.push_str(&format!(" (pid {})", pids.join(", ")));
        }
        parts.push(text);
    }
    if others > 0 {
        let what = "thread, descriptor table or owner";
        let more = "threads, descriptor tables or owners";
        parts.push(count(others, what, more));
    }
    parts.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(part: Part) -> Unreadable {
        let namespaces = warren_namespaces::NsFd::open(std::path::Path::new("/dev/null"));
        Unreadable {
            part,
            errno: namespaces.expect_err("no namespace"),
        }
    }

    #[test]
    fn a_few_unreadable_processes_are_named_and_many_are_counted() {
        let process = |pid| hole(Part::Process { pid });
        assert_eq!(unreadable(&[process(1)]), "1 process (pid 1)");
        let many: Vec<Unreadable> = (1..=4).map(process).collect();
        assert_eq!(unreadable(&many), "4 processes");
        let mixed = [process(7), hole(Part::Mounts)];
        assert_eq!(
            unreadable(&mixed),
            "1 process (pid 7) and 1 thread, descriptor table or owner"
        );
    }
}
