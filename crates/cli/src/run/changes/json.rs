//! The changes of a run for programs; docs/json.md describes it.

use std::path::Path;

use serde::Serialize;
use warren_changes::{Change, Kind, Outcome, Problem};

use super::Told;
use crate::failure::Failure;

#[derive(Serialize)]
struct Document {
    version: u32,
    code: u8,
    overlays: Vec<Overlay>,
}

#[derive(Serialize)]
struct Overlay {
    target: String,
    lower: Vec<String>,
    changes: Vec<Item>,
    unreadable: Vec<Unmade>,
    saved: Option<Made>,
    committed: Option<Made>,
}

#[derive(Serialize)]
struct Item {
    path: String,
    change: &'static str,
    what: Vec<&'static str>,
    r#type: String,
    mode: u32,
    size: Option<u64>,
}

#[derive(Serialize)]
struct Made {
    done: usize,
    left_out: Vec<LeftOut>,
    failed: Vec<Unmade>,
}

#[derive(Serialize)]
struct LeftOut {
    path: String,
    what: &'static str,
}

#[derive(Serialize)]
struct Unmade {
    path: String,
    doing: &'static str,
    reason: String,
    errno: i32,
}

/// The whole of it, with a line break at its end.
pub fn document(told: &[Told], code: u8) -> Result<String, Failure> {
    let document = Document {
        version: 1,
        code,
        overlays: told.iter().map(overlay).collect(),
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Failure::new(format!("write the changes as JSON: {error}")))?;
    Ok(text + "\n")
}

fn overlay(told: &Told) -> Overlay {
    let target = &told.layer.target;
    let listing = &told.listing;
    let unmade = |problem: &Problem| unmade(target, problem);
    Overlay {
        target: text(target),
        lower: told.layer.lower.iter().map(|path| text(path)).collect(),
        changes: listing
            .changes
            .iter()
            .map(|change| item(target, change))
            .collect(),
        unreadable: listing.problems.iter().map(unmade).collect(),
        saved: told.saved.as_ref().map(|outcome| made(target, outcome)),
        committed: told.committed.as_ref().map(|outcome| made(target, outcome)),
    }
}

fn item(target: &Path, change: &Change) -> Item {
    let what = change.what;
    let parts = [
        (what.node, "type"),
        (what.content, "content"),
        (what.mode, "mode"),
        (what.owner, "owner"),
    ];
    Item {
        path: text(&inside(target, &change.path)),
        change: match change.kind {
            Kind::Added => "added",
            Kind::Modified => "modified",
            Kind::Deleted => "deleted",
        },
        what: parts
            .into_iter()
            .filter_map(|(differs, part)| differs.then_some(part))
            .collect(),
        r#type: change.node().to_string(),
        mode: change.mode(),
        size: change.size(),
    }
}

fn made(target: &Path, outcome: &Outcome) -> Made {
    let left_out = outcome.left_out.iter().map(|left| LeftOut {
        path: text(&inside(target, &left.path)),
        what: left.what,
    });
    Made {
        done: outcome.done,
        left_out: left_out.collect(),
        failed: outcome
            .problems
            .iter()
            .map(|problem| unmade(target, problem))
            .collect(),
    }
}

fn unmade(target: &Path, problem: &Problem) -> Unmade {
    Unmade {
        path: text(&inside(target, &problem.path)),
        doing: problem.doing,
        reason: problem.why(),
        errno: problem.errno.raw_os_error(),
    }
}

/// A path of an overlay as the command saw it.
pub fn inside(target: &Path, path: &Path) -> std::path::PathBuf {
    // Not to end in a slash.
    if path.as_os_str().is_empty() {
        return target.to_owned();
    }
    target.join(path)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
