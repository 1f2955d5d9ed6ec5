//! The changes of a run in words.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use warren_changes::{Kind, Problem};

use super::Told;
use super::json::inside;
use crate::failure::Failure;
use crate::lsns::text::{Charset, printable};

/// More than these would hide what was said before them.
const MOST_TOLD: usize = 20;

/// A line for each change.
pub fn changes(told: &[Told]) -> String {
    let mut text = String::new();
    for Told { layer, listing, .. } in told {
        for change in &listing.changes {
            let letter = match change.kind {
                Kind::Added => 'A',
                Kind::Modified => 'M',
                Kind::Deleted => 'D',
            };
            let path = shown(&inside(&layer.target, &change.path));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{letter} {path}");
        }
    }
    text
}

/// A line for each thing that was left out on purpose.
pub fn left_out(told: &[Told]) -> String {
    let mut lines = Vec::new();
    for told in told {
        // Both leave out the same.
        let outcome = told.committed.as_ref().or(told.saved.as_ref());
        for left in outcome.iter().flat_map(|outcome| &outcome.left_out) {
            let path = shown(&inside(&told.layer.target, &left.path));
            lines.push(format!("warren: left out: {path}: {}", left.what));
        }
    }
    shortened(lines)
        .into_iter()
        .map(|line| line + "\n")
        .collect()
}

/// All that did not work, if anything did not.
pub fn failures(told: &[Told], saved_in: Option<&Path>) -> Option<Failure> {
    let mut lines = Vec::new();
    for (number, told) in told.iter().enumerate() {
        let mut add = |verb: &str, base: &Path, problems: &[Problem]| {
            for problem in problems {
                let path = shown(&inside(base, &problem.path));
                let why = problem.why();
                lines.push(format!("{verb}{} {path}: {why}", problem.doing));
            }
        };
        add("", &told.layer.target, &told.listing.problems);
        if let (Some(saved), Some(folder)) = (&told.saved, saved_in) {
            let folder = folder.join(format!("{number}/files"));
            add("save the changes: ", &folder, &saved.problems);
        }
        if let (Some(committed), Some(lower)) = (&told.committed, told.layer.lower.last())
        {
            add("commit: ", lower, &committed.problems);
        }
    }
    let commits = told.iter().any(|told| told.committed.is_some());
    let first = lines.first()?.clone();
    let mut message = first;
    for line in shortened(lines).into_iter().skip(1) {
        message.push_str("\nwarren: ");
        message.push_str(&line);
    }
    let failure = Failure::new(message);
    Some(if commits {
        failure.hint("these are on the host as they were; all other changes were made")
    } else {
        failure
    })
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST_TOLD {
        let more = lines.len() - MOST_TOLD;
        lines.truncate(MOST_TOLD);
        lines.push(format!("and {more} more; --changes-json FILE has all"));
    }
    lines
}

/// A path in one line: the program may have named its files for whoever reads this.
fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes(), Charset::Utf8)
}
