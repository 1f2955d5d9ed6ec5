//! The list of what is kept.

use serde::Serialize;
use warren_namespaces::kept::{Condition, Kept, Store};
use warren_namespaces::{Kind, ProcRoot};

use crate::failure::Failure;

/// One line for each name.
pub fn table(list: &[Kept]) -> String {
    let mut rows = vec![["NAME", "HOLDER", "STATE", "KINDS"].map(str::to_owned)];
    rows.extend(list.iter().map(|kept| {
        let holder = kept.holder.as_ref();
        [
            kept.name.clone(),
            holder.map_or("-".to_owned(), |holder| holder.pid.to_string()),
            in_words(&kept.condition),
            kept.kinds.to_string(),
        ]
    }));
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].len());
        lengths.max().unwrap_or(0)
    };
    let (name, holder, state) = (width(0), width(1), width(2));
    rows.iter()
        .map(|row| {
            let [n, h, s, kinds] = row;
            format!("{n:name$}  {h:>holder$}  {s:state$}  {kinds}\n")
        })
        .collect()
}

/// What the table says of a condition.
fn in_words(condition: &Condition) -> String {
    match condition {
        Condition::Lost(kinds) => format!("lost {kinds}"),
        other => state(other).0.to_owned(),
    }
}

/// A word for a condition, and the reason where one can be read.
fn state(condition: &Condition) -> (&'static str, Option<&str>) {
    match condition {
        Condition::Whole => ("kept", None),
        Condition::Unfinished => ("unfinished", None),
        Condition::Lost(_) => ("lost", None),
        Condition::Unreadable(why) => ("unreadable", Some(why)),
    }
}

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct List<'a> {
    version: u32,
    store: String,
    kept: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    kinds: Vec<Kind>,
    lost: Vec<Kind>,
    holder: Option<u32>,
    namespaces: Vec<Namespace>,
}

#[derive(Serialize)]
struct Namespace {
    kind: Kind,
    inode: u64,
}

/// The text, with a line feed at its end.
pub fn json(store: &Store, list: &[Kept], proc: &ProcRoot) -> Result<String, Failure> {
    crate::json::text(&List {
        version: VERSION,
        store: store.folder().display().to_string(),
        kept: list.iter().map(|kept| item(kept, proc)).collect(),
    })
}

fn item<'a>(kept: &'a Kept, proc: &ProcRoot) -> Item<'a> {
    let (state, reason) = state(&kept.condition);
    // Gone in between: then it is as if it had been gone before.
    let pins = kept.open(proc).map(|pins| pins.namespaces);
    let inode = |kind| {
        let inode = pins.as_ref().ok()?.iter().find(|pin| pin.kind() == kind)?;
        let inode = inode.id().ok()?.inode;
        Some(Namespace { kind, inode })
    };
    Item {
        name: &kept.name,
        state,
        reason,
        kinds: kept.kinds.iter().collect(),
        lost: match &kept.condition {
            Condition::Lost(kinds) => kinds.iter().collect(),
            _ => Vec::new(),
        },
        holder: kept.holder.as_ref().map(|holder| holder.pid),
        namespaces: kept.kinds.iter().filter_map(inode).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_namespaces::NamespaceSet;

    #[test]
    fn the_table_is_aligned_and_says_what_is_wrong() {
        let kept = |name: &str, kinds: &[Kind], condition| Kept {
            name: name.to_owned(),
            folder: name.into(),
            kinds: kinds.iter().copied().collect(),
            held: NamespaceSet::EMPTY,
            holder: None,
            condition,
        };
        let list = [
            kept("a", &[Kind::Net], Condition::Whole),
            kept("blue-1", &[Kind::Mnt, Kind::Net], Condition::Unfinished),
            kept(
                "c",
                &[Kind::Pid],
                Condition::Lost(NamespaceSet::EMPTY.with(Kind::Pid)),
            ),
        ];
        assert_eq!(
            table(&list),
            "NAME    HOLDER  STATE       KINDS\n\
             a            -  kept        net\n\
             blue-1       -  unfinished  mnt,net\n\
             c            -  lost pid    pid\n"
        );
        assert_eq!(table(&[]), "NAME  HOLDER  STATE  KINDS\n");
    }
}
