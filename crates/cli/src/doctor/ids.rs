//! Ranges of user and group ids, and the programs that map them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use warren_namespaces::IdMap;
use warren_namespaces::accounts::{Accounts, Range, passwd_by_uid};

use super::facts::Facts;
use super::tools::find;
use super::{Check, Section, State};
use crate::failure::Failure;

pub fn section(facts: &Facts) -> Result<Section, Failure> {
    let accounts = Accounts::read().map_err(Failure::new)?;
    let checks = if facts.uid == 0 {
        vec![blocks(&accounts, &facts.uid_map)]
    } else {
        user_checks(facts.uid, &accounts)
    };
    Ok(Section {
        name: "ids",
        checks,
    })
}

fn user_checks(uid: u32, accounts: &Accounts) -> Vec<Check> {
    let user = passwd_by_uid(&accounts.passwd, uid).map(|user| user.name);
    let name = user.clone().unwrap_or(uid.to_string());
    let free = accounts.free_blocks().next();
    let file = |file, list: &[Range]| ranges(file, list, &name, free);
    vec![
        account(uid, user.as_deref()),
        mapper("newuidmap"),
        mapper("newgidmap"),
        file("subuid", &accounts.subordinate_uids(uid)),
        file("subgid", &accounts.subordinate_gids(uid)),
    ]
}

fn account(uid: u32, user: Option<&str>) -> Check {
    let why = "newuidmap(1) maps ranges of ids only for users that have a name";
    match user {
        Some(user) => Check::ok("account", user, why),
        None => Check::ok("account", format!("uid {uid} is not in /etc/passwd"), why)
            .but(
                State::Missing,
                "as root: add the user, for example by useradd",
            ),
    }
}

/// What root maps to by default.
fn blocks(accounts: &Accounts, uid_map: &[IdMap]) -> Check {
    let why = "a container that root starts runs as ids that nobody on the host has";
    let name = "id blocks";
    let is_there = |range: &Range| has(uid_map, *range);
    if let Some(range) = accounts.subordinate_uids(0).into_iter().find(is_there) {
        let found = format!("root has {} in /etc/subuid", text(range));
        return Check::ok(name, found, why);
    }
    match accounts.free_blocks().find(is_there) {
        Some(block) => Check::ok(name, format!("free from {} on", block.first), why),
        None => Check::ok(name, "none free in this user namespace", why).but(
            State::Missing,
            "map more ids into the container that this is, or share the user namespace",
        ),
    }
}

/// Whether the user namespace with this map has all ids of the range.
fn has(uid_map: &[IdMap], range: Range) -> bool {
    let last = range.first + (range.count - 1);
    uid_map.iter().any(|line| {
        line.to_outside(range.first).is_some() && line.to_outside(last).is_some()
    })
}

fn mapper(program: &'static str) -> Check {
    let why = "maps a range of ids; without it only the caller's own id is mapped, so \
               inside there is one user";
    let fix = "install the package uidmap (shadow-utils on some systems)";
    match find(program) {
        None => Check::ok(program, "not in PATH", why).but(State::Missing, fix),
        Some(path) if gains_privilege(&path) => {
            Check::ok(program, path.to_string_lossy(), why)
        }
        Some(path) => {
            let path = path.to_string_lossy();
            let found = format!("{path} is neither setuid nor has file capabilities");
            let fix = format!("chmod u+s {path}");
            Check::ok(program, found, why).but(State::Missing, fix)
        }
    }
}

/// Whether the program runs with more rights than its caller.
fn gains_privilege(program: &Path) -> bool {
    const SETUID: u32 = 0o4000;
    let mode = program
        .metadata()
        .map_or(0, |meta| meta.permissions().mode());
    let mut buffer = [0; 64];
    let capability = "security.capability";
    let capabilities = rustix::fs::getxattr(program, capability, &mut buffer[..]);
    mode & SETUID != 0 || capabilities.is_ok()
}

fn ranges(
    file: &'static str,
    ranges: &[Range],
    user: &str,
    free: Option<Range>,
) -> Check {
    let why = "ids that are the user's to map, so that many users can exist inside";
    if ranges.is_empty() {
        let first = free.map_or("FIRST".to_owned(), |block| block.first.to_string());
        let fix = format!("as root: add the line `{user}:{first}:65536` to /etc/{file}");
        let found = format!("/etc/{file} has no range for {user}");
        return Check::ok(file, found, why).but(State::Missing, fix);
    }
    let list: Vec<String> = ranges.iter().map(|range| text(*range)).collect();
    Check::ok(file, list.join(", "), why)
}

fn text(range: Range) -> String {
    format!("{} ids from {} on", range.count, range.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_range_is_told_the_line_to_add() {
        let accounts = Accounts {
            passwd: "anna:x:1000:1000::/home/anna:/bin/sh\n".to_owned(),
            subuid: "bert:524288:65536\n".to_owned(),
            ..Accounts::default()
        };
        let checks = user_checks(1000, &accounts);
        let subuid = checks.iter().find(|check| check.name == "subuid");
        let fix = subuid.and_then(|check| check.fix.as_deref());
        let line = "as root: add the line `anna:589824:65536` to /etc/subuid";
        assert_eq!(fix, Some(line));
    }

    #[test]
    fn a_block_that_this_user_namespace_lacks_is_not_offered() {
        let accounts = Accounts::default();
        let whole = [IdMap {
            inside: 0,
            outside: 0,
            count: u32::MAX,
        }];
        assert_eq!(blocks(&accounts, &whole).found, "free from 524288 on");
        let single = [IdMap::single(0, 1000)];
        assert_eq!(blocks(&accounts, &single).state, State::Missing);
        let nearly = [IdMap {
            inside: 0,
            outside: 0,
            count: 524_288 + 65_535,
        }];
        assert_eq!(blocks(&accounts, &nearly).state, State::Missing);
    }

    #[test]
    fn a_uid_without_a_name_is_missing_its_account() {
        let checks = user_checks(61_234, &Accounts::default());
        assert_eq!(checks[0].state, State::Missing);
        assert_eq!(checks[0].found, "uid 61234 is not in /etc/passwd");
    }
}
