//! Id maps in words.

use warren_inspect::{IdOutside, User};
use warren_namespaces::{IdMap, accounts};

use super::INDENT;
use crate::columns::Columns;

/// The section of a user namespace.
pub fn section(out: &mut Columns, user: &User) {
    let outside = match user.outside {
        IdOutside::Caller => "outside",
        IdOutside::Parent => "in its parent",
    };
    let mut rows = Vec::new();
    let mut add = |title: &str, map: &[IdMap], name: &dyn Fn(u32) -> String| {
        let mut title = title.to_owned();
        for words in map_in_words(map, outside, name) {
            rows.push(vec![std::mem::take(&mut title), words]);
        }
    };
    add("uid", &user.uid_map, &name);
    add("gid", &user.gid_map, &|gid| gid.to_string());
    if let Some(setgroups) = &user.setgroups {
        rows.push(vec!["setgroups".to_owned(), setgroups.clone()]);
    }
    out.rows(INDENT, &rows);
}

/// A line for each line of a map.
fn map_in_words(
    map: &[IdMap],
    outside: &str,
    name: &dyn Fn(u32) -> String,
) -> Vec<String> {
    match map {
        [] => vec!["no id is mapped: all are nobody's".to_owned()],
        [
            IdMap {
                inside: 0,
                outside: 0,
                count: u32::MAX,
            },
        ] => {
            vec![format!("every id is the same {outside}")]
        }
        lines => lines
            .iter()
            .map(|line| line_in_words(line, outside, name))
            .collect(),
    }
}

fn line_in_words(line: &IdMap, outside: &str, name: &dyn Fn(u32) -> String) -> String {
    /// What the kernel shows of an id that the reader's own namespace does not have.
    const NONE: u32 = u32::MAX;
    let last = |first: u32| first.saturating_add(line.count - 1);
    let inside = match line.count {
        1 => format!("{} inside is", line.inside),
        _ => format!("{} to {} inside are", line.inside, last(line.inside)),
    };
    match (line.outside, line.count) {
        (NONE, _) => format!("{inside} not to be seen from here"),
        (first, 1) => format!("{inside} {} {outside}", name(first)),
        (first, _) => format!("{inside} {first} to {} {outside}", last(first)),
    }
}

/// `1000 (burrow)`, where /etc/passwd has a name.
pub fn name(uid: u32) -> String {
    // Without the file the number is all there is.
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    match accounts::passwd_by_uid(&text, uid) {
        Some(user) => format!("{uid} ({})", user.name),
        None => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lines: &[(u32, u32, u32)]) -> Vec<String> {
        let map: Vec<IdMap> = lines
            .iter()
            .map(|(inside, outside, count)| IdMap {
                inside: *inside,
                outside: *outside,
                count: *count,
            })
            .collect();
        map_in_words(&map, "outside", &|id| format!("{id} (burrow)"))
    }

    #[test]
    fn maps_read_as_sentences() {
        assert_eq!(
            words(&[(0, 1000, 1), (1, 100_000, 65_535)]),
            [
                "0 inside is 1000 (burrow) outside",
                "1 to 65535 inside are 100000 to 165534 outside",
            ]
        );
        assert_eq!(words(&[(0, 0, u32::MAX)]), ["every id is the same outside"]);
        assert_eq!(words(&[]), ["no id is mapped: all are nobody's"]);
        assert_eq!(
            words(&[(0, u32::MAX, 1)]),
            ["0 inside is not to be seen from here"]
        );
    }
}
