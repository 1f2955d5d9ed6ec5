//! The id maps of `unshare`: ranges, words for ranges, one id among them.

use std::ffi::OsStr;

use warren_namespaces::accounts::{Accounts, Range, passwd_by_uid};
use warren_namespaces::{Error, IdMap};
use warren_spawn::transition::{Map, MapFile};

use crate::failure::Failure;

/// One `--map-users` or `--map-groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Lines.
    Lines(IdMap),
    /// The first range that /etc/subuid or /etc/subgid grants, from 0 on.
    Auto,
    /// The same with the ids that it has outside.
    Subids,
    /// Every id of the caller's own user namespace, as it is.
    All,
}

impl Ranges {
    /// `INSIDE:OUTSIDE:COUNT`, the older `OUTSIDE,INSIDE,COUNT`, or a word.
    pub fn parse(text: &OsStr) -> Result<Self, Failure> {
        let invalid = || Failure::usage(format!("invalid mapping '{}'", text.display()));
        let text = text.to_str().ok_or_else(invalid)?;
        match text {
            "auto" => return Ok(Self::Auto),
            "subids" => return Ok(Self::Subids),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let fields: Vec<&str> = text.split(',').collect();
        let line = match fields.as_slice() {
            [outside, inside, count] => format!("{inside}:{outside}:{count}"),
            _ => text.to_owned(),
        };
        line.parse().map(Self::Lines).map_err(|_| invalid())
    }
}

/// What a whole map is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--map-user` or `--map-group`: the caller's own id is seen as this.
    pub own: Option<u32>,
    /// All ranges.
    pub ranges: Vec<Ranges>,
}

/// Works a map out; `own` is the id that the caller has.
pub fn resolve(
    wanted: &Wanted,
    file: MapFile,
    own: u32,
    caller: u32,
) -> Result<Option<Map>, Failure> {
    if wanted.ranges.is_empty() {
        return Ok(wanted.own.map(Map::Own));
    }
    let mut lines = Vec::new();
    for ranges in &wanted.ranges {
        match ranges {
            Ranges::Lines(line) => lines.push(*line),
            Ranges::Auto => {
                let range = granted(file, caller)?;
                lines.extend(range.mapped_from(0));
            }
            Ranges::Subids => {
                let range = granted(file, caller)?;
                lines.extend(range.mapped_from(range.first));
            }
            Ranges::All => lines.extend(own_ids(file)?),
        }
    }
    if let Some(inside) = wanted.own {
        lines = with_own(inside, own, &lines);
    }
    const MOST: usize = 4096;
    if IdMap::text(&lines).len() > MOST && caller == 0 {
        return Err(Failure::usage("too large for kernel 4k limit"));
    }
    Ok(Some(Map::Lines(lines)))
}

/// The own id goes first and takes its place out of the ranges; what follows moves up,
/// so that the last id of such a range is lost.
fn with_own(inside: u32, own: u32, ranges: &[IdMap]) -> Vec<IdMap> {
    let mut lines = vec![IdMap::single(inside, own)];
    for range in ranges {
        let Some(before) = inside
            .checked_sub(range.inside)
            .filter(|before| *before < range.count)
        else {
            lines.push(*range);
            continue;
        };
        let after = range.count - before - 1;
        lines.extend(IdMap::new(range.inside, range.outside, before));
        // Where nothing follows the ends may lie beyond the last id.
        if after > 0 {
            lines.extend(IdMap::new(inside + 1, range.outside + before, after));
        }
    }
    lines
}

/// The first range of the caller, under its name or its number.
fn granted(file: MapFile, caller: u32) -> Result<Range, Failure> {
    let accounts = Accounts::read().map_err(failed)?;
    first_range(&accounts, file, caller)
}

fn first_range(
    accounts: &Accounts,
    file: MapFile,
    caller: u32,
) -> Result<Range, Failure> {
    let (ranges, path) = match file {
        MapFile::Uid => (accounts.subordinate_uids(caller), "/etc/subuid"),
        MapFile::Gid => (accounts.subordinate_gids(caller), "/etc/subgid"),
    };
    if let Some(range) = ranges.first() {
        return Ok(*range);
    }
    match passwd_by_uid(&accounts.passwd, caller) {
        Some(user) => Err(Failure::new(format!(
            "no line matching user \"{}\" in {path}",
            user.name
        ))
        .hint(format!(
            "as root: echo {}:100000:65536 >> {path}",
            user.name
        ))),
        None => Err(Failure::new(format!("you (user {caller}) don't exist."))
            .hint(format!("neither /etc/passwd nor {path} has this user"))),
    }
}

/// All lines of the caller's own map, each onto itself.
fn own_ids(file: MapFile) -> Result<Vec<IdMap>, Failure> {
    let path = format!("/proc/self/{}", file.name());
    let cannot = |why: String| Failure::new(format!("cannot read {path}: {why}"));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| cannot(warren_namespaces::io_error_text(&error)))?;
    let lines = IdMap::parse_file(&text).map_err(|error| cannot(error.to_string()))?;
    Ok(lines
        .into_iter()
        .map(|line| IdMap {
            outside: line.inside,
            ..line
        })
        .collect())
}

fn failed(error: Error) -> Failure {
    Failure::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[IdMap]) -> String {
        IdMap::text(lines).replace('\n', ";")
    }

    fn line(inside: u32, outside: u32, count: u32) -> IdMap {
        IdMap::new(inside, outside, count).expect("a good line")
    }

    #[test]
    fn ranges_have_two_orders_and_three_words() {
        let parse = |text: &str| Ranges::parse(text.as_ref()).ok();
        let expected = Some(Ranges::Lines(line(0, 100_000, 10)));
        assert_eq!(parse("0:100000:10"), expected);
        assert_eq!(parse("100000,0,10"), expected);
        assert_eq!(parse("auto"), Some(Ranges::Auto));
        assert_eq!(parse("subids"), Some(Ranges::Subids));
        assert_eq!(parse("all"), Some(Ranges::All));
        for text in [
            "", "0", "0:1", "1,2", "0:1:2:3", "0,1,2,3", "a:b:c", "0:1:0", "0:1,2",
            "Auto",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_own_id_is_cut_out_of_the_ranges() {
        let cut = |inside, range| text(&with_own(inside, 0, &[range]));
        assert_eq!(cut(0, line(0, 100_000, 1000)), "0 0 1;1 100000 999;");
        assert_eq!(
            cut(1002, line(1000, 1000, 5)),
            "1002 0 1;1000 1000 2;1003 1002 2;"
        );
        assert_eq!(cut(9, line(0, 100, 10)), "9 0 1;0 100 9;");
        assert_eq!(cut(10, line(0, 100, 10)), "10 0 1;0 100 10;");
        assert_eq!(cut(5, line(5, 100, 1)), "5 0 1;");
    }

    #[test]
    fn the_first_range_is_that_of_the_user_and_of_nobody_else() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\n".to_owned(),
            subuid: "daniel:100000:65536\nroot:500000:65536\nroot:7:7\n".to_owned(),
            subgid: "daniel:100000:65536\n0:600000:65536\n".to_owned(),
            ..Accounts::default()
        };
        let first = |file| {
            first_range(&accounts, file, 0)
                .map(|range| range.first)
                .ok()
        };
        assert_eq!(first(MapFile::Uid), Some(500_000));
        assert_eq!(first(MapFile::Gid), Some(600_000));
        assert!(first_range(&accounts, MapFile::Uid, 7).is_err());
    }

    #[test]
    fn one_id_alone_needs_no_range() {
        let wanted = Wanted {
            own: Some(5),
            ranges: Vec::new(),
        };
        let map = resolve(&wanted, MapFile::Uid, 1000, 1000);
        assert_eq!(map.ok().flatten(), Some(Map::Own(5)));
        let map = resolve(&Wanted::default(), MapFile::Uid, 1000, 1000);
        assert_eq!(map.ok().flatten(), None);
    }

    #[test]
    fn a_map_of_more_than_a_page_is_refused_for_root() {
        let ranges = (0..300).map(|n| Ranges::Lines(line(n, 4_000_000_000 + n, 1)));
        let wanted = Wanted {
            own: None,
            ranges: ranges.collect(),
        };
        assert!(resolve(&wanted, MapFile::Uid, 0, 0).is_err());
    }
}
