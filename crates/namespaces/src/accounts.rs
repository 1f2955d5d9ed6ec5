//! The account files: passwd(5), group(5), subuid(5), subgid(5).
//!
//! Read here because a static binary has no NSS, and because every line of them is
//! somebody's input: a malformed line is passed over, as shadow and glibc do, and
//! never taken for another user's. Users that only LDAP or its like know are not seen.

use std::fs;
use std::io;
use std::iter::FusedIterator;

use rustix::io::Errno;

use crate::{Error, IdMap};

/// A line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory; may be empty.
    pub home: String,
    /// Login shell; empty means /bin/sh.
    pub shell: String,
}

/// A line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Group name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Names of the users that have it as a supplementary group.
    pub members: Vec<String>,
}

/// Consecutive ids: `count` of them from `first` on, none beyond 2^32 - 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The lowest id.
    pub first: u32,
    /// How many; never 0 in a range that this module returns.
    pub count: u32,
}

impl Range {
    /// `inside` and what follows it, mapped to this whole range; `None` where that
    /// goes beyond the last id.
    #[must_use]
    pub fn mapped_from(self, inside: u32) -> Option<IdMap> {
        IdMap::new(inside, self.first, self.count).ok()
    }
}

/// The texts of the four files, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// /etc/passwd.
    pub passwd: String,
    /// /etc/group.
    pub group: String,
    /// /etc/subuid.
    pub subuid: String,
    /// /etc/subgid.
    pub subgid: String,
}

impl Accounts {
    /// Reads the four files of this machine. One that does not exist is empty.
    ///
    /// # Errors
    /// Any other errno, with the name of the file.
    pub fn read() -> Result<Self, Error> {
        Ok(Self {
            passwd: read_or_empty("/etc/passwd")?,
            group: read_or_empty("/etc/group")?,
            subuid: read_or_empty("/etc/subuid")?,
            subgid: read_or_empty("/etc/subgid")?,
        })
    }

    /// The subordinate user ids of `uid`, under its number and under its name.
    #[must_use]
    pub fn subordinate_uids(&self, uid: u32) -> Vec<Range> {
        self.subordinates(&self.subuid, uid)
    }

    /// The subordinate group ids of the *user* `uid`, under its number and its name.
    #[must_use]
    pub fn subordinate_gids(&self, uid: u32) -> Vec<Range> {
        self.subordinates(&self.subgid, uid)
    }

    fn subordinates(&self, text: &str, uid: u32) -> Vec<Range> {
        let user = passwd_by_uid(&self.passwd, uid);
        subordinate_ids(text, user.as_ref().map(|user| user.name.as_str()), uid)
    }

    /// Host id blocks that no account and no subordinate range touches:
    /// [`free_blocks`] over the four files.
    #[must_use]
    pub fn free_blocks(&self) -> FreeBlocks {
        free_blocks(self)
    }
}

/// Text of a file, empty where it does not exist. Bytes that are no UTF-8 are
/// replaced, so a line with them matches no name.
fn read_or_empty(path: &str) -> Result<String, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Err(Error::new("read", path, errno))
        }
    }
}

/// The users of a passwd(5) text, in its order.
pub fn users(text: &str) -> impl Iterator<Item = User> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| is_name(name))?;
        let _password = fields.next()?;
        let uid = id(fields.next()?)?;
        let gid = id(fields.next()?)?;
        let _comment = fields.next()?;
        let home = fields.next()?;
        let shell = fields.next()?;
        fields.next().is_none().then(|| User {
            name: name.to_owned(),
            uid,
            gid,
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
    })
}

/// The groups of a group(5) text, in its order.
pub fn groups(text: &str) -> impl Iterator<Item = Group> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| is_name(name))?;
        let _password = fields.next()?;
        let gid = id(fields.next()?)?;
        let members = fields.next()?;
        fields.next().is_none().then(|| Group {
            name: name.to_owned(),
            gid,
            members: members
                .split(',')
                .filter(|member| !member.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    })
}

/// The first user with this id in a passwd(5) text.
#[must_use]
pub fn passwd_by_uid(text: &str, uid: u32) -> Option<User> {
    users(text).find(|user| user.uid == uid)
}

/// The first user with this name in a passwd(5) text.
#[must_use]
pub fn passwd_by_name(text: &str, name: &str) -> Option<User> {
    users(text).find(|user| user.name == name)
}

/// The first group with this name in a group(5) text.
#[must_use]
pub fn group_by_name(text: &str, name: &str) -> Option<Group> {
    groups(text).find(|group| group.name == name)
}

/// The ids of the groups of a group(5) text that name `user` as a member.
#[must_use]
pub fn supplementary_groups(text: &str, user: &str) -> Vec<u32> {
    groups(text)
        .filter(|group| group.members.iter().any(|member| member == user))
        .map(|group| group.gid)
        .collect()
}

/// All ranges of a subuid(5) or subgid(5) text that belong to the user, in its order.
///
/// A line belongs to the user if its first field is `user_name`, or is `uid` in
/// decimal. A range that goes beyond the last id is cut there.
///
/// ```
/// use warren_namespaces::accounts::{Range, subordinate_ids};
///
/// let subuid = "daniel:100000:65536\n0:500000:65536\n";
/// let root = subordinate_ids(subuid, Some("root"), 0);
/// assert_eq!(root, [Range { first: 500_000, count: 65_536 }]);
/// ```
#[must_use]
pub fn subordinate_ids(text: &str, user_name: Option<&str>, uid: u32) -> Vec<Range> {
    text.lines()
        .filter_map(subordinate_line)
        // A name is compared as text and never read as a number: a name that is none
        // would count as 0, which is root.
        .filter(|(owner, _)| Some(*owner) == user_name || id(owner) == Some(uid))
        .map(|(_, range)| range)
        .collect()
}

/// `OWNER:FIRST:COUNT`.
fn subordinate_line(line: &str) -> Option<(&str, Range)> {
    let mut fields = line.split(':');
    let owner = fields.next().filter(|owner| is_name(owner))?;
    let first = decimal(fields.next()?)?;
    let count = decimal(fields.next()?)?;
    if fields.next().is_some() {
        return None;
    }
    range(first, count).map(|range| (owner, range))
}

/// A range, cut at the last id that can be mapped; `None` where nothing is left.
fn range(first: u64, count: u64) -> Option<Range> {
    const BEYOND_LAST: u64 = u32::MAX as u64;
    let end = first.saturating_add(count).min(BEYOND_LAST);
    let count = end.checked_sub(first).filter(|count| *count > 0)?;
    Some(Range {
        first: u32::try_from(first).ok()?,
        count: u32::try_from(count).ok()?,
    })
}

/// Whether a first field names somebody: not empty, not a comment, not the `+` or
/// `-` of NIS.
fn is_name(field: &str) -> bool {
    !field.is_empty() && !field.starts_with(['#', '+', '-', ' ', '\t'])
}

fn id(field: &str) -> Option<u32> {
    decimal(field).and_then(|number| u32::try_from(number).ok())
}

/// Decimal digits and nothing else. A number too great for 64 bits is the greatest,
/// so that a range of absurd length still counts as taken.
fn decimal(field: &str) -> Option<u64> {
    let digits = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| {
        field.bytes().fold(0_u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

/// How many ids a block has.
pub const BLOCK: u32 = 0x1_0000;
/// The ids that systemd reserves for containers ("Users, Groups, UIDs and GIDs on
/// systemd Systems"): blocks are taken from nowhere else.
const CONTAINERS: std::ops::RangeInclusive<u32> = 0x0008_0000..=0x6fff_ffff;

/// Blocks of [`BLOCK`] host ids, aligned to their size, within the range that systemd
/// reserves for containers, which no user, no group and no subordinate range of the
/// files touches. Lowest first.
///
/// Each block is free as a range of user ids and of group ids. Which of them other
/// containers use now, these files do not say.
#[must_use]
pub fn free_blocks(files: &Accounts) -> FreeBlocks {
    let subordinate = [&files.subuid, &files.subgid]
        .into_iter()
        .flat_map(|text| text.lines().filter_map(subordinate_line))
        .map(|(_, range)| range);
    let accounts = users(&files.passwd)
        .flat_map(|user| [user.uid, user.gid])
        .chain(groups(&files.group).map(|group| group.gid))
        .filter_map(|first| range(u64::from(first), 1));
    FreeBlocks {
        next: *CONTAINERS.start(),
        taken: merge(subordinate.chain(accounts).collect()),
    }
}

/// Sorts ranges and joins those that touch.
fn merge(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.first <= last.first + last.count => {
                let end = (range.first + range.count).max(last.first + last.count);
                last.count = end - last.first;
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// The iterator that [`free_blocks`] returns.
#[derive(Clone, Debug)]
pub struct FreeBlocks {
    next: u32,
    /// Sorted, disjoint.
    taken: Vec<Range>,
}

impl FreeBlocks {
    fn is_free(&self, first: u32) -> bool {
        // The first taken range that does not end before the block.
        let at = self
            .taken
            .partition_point(|taken| taken.first + taken.count <= first);
        self.taken
            .get(at)
            .is_none_or(|taken| taken.first >= first + BLOCK)
    }
}

impl Iterator for FreeBlocks {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        while CONTAINERS.contains(&self.next) {
            let first = self.next;
            self.next += BLOCK;
            if self.is_free(first) {
                return Some(Range {
                    first,
                    count: BLOCK,
                });
            }
        }
        None
    }
}

impl FusedIterator for FreeBlocks {}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
# comment:x:5:5::/:/bin/sh
+::::::
broken:x:notanumber:1::/:
short:x:7:7
negative:x:-1:7::/:/bin/sh
toolarge:x:4294967296:7::/:/bin/sh
anna:x:1000:1001:Anna,,,:/home/anna:/bin/zsh
twin:x:1000:1002::/home/twin:
";

    fn range(first: u32, count: u32) -> Range {
        Range { first, count }
    }

    #[test]
    fn a_user_is_found_by_uid_and_by_name() {
        let anna = passwd_by_uid(PASSWD, 1000).expect("anna");
        assert_eq!((anna.name.as_str(), anna.gid), ("anna", 1001));
        assert_eq!(
            (anna.home.as_str(), anna.shell.as_str()),
            ("/home/anna", "/bin/zsh")
        );
        assert_eq!(
            passwd_by_name(PASSWD, "twin").map(|user| user.gid),
            Some(1002)
        );
        assert_eq!(passwd_by_name(PASSWD, ""), None);
    }

    #[test]
    fn malformed_lines_of_passwd_are_nobody() {
        let names: Vec<String> = users(PASSWD).map(|user| user.name).collect();
        assert_eq!(names, ["root", "anna", "twin"]);
    }

    #[test]
    fn groups_have_members_and_users_have_groups() {
        let text =
            "root:x:0:\nvideo:x:44:anna,bert\nbad:x:abc:anna\nkvm:x:99:anna\nx:y:1\n";
        let video = group_by_name(text, "video").expect("video");
        assert_eq!(
            (video.gid, video.members),
            (44, vec!["anna".to_owned(), "bert".to_owned()])
        );
        assert_eq!(
            group_by_name(text, "root").map(|group| group.members),
            Some(vec![])
        );
        assert_eq!(supplementary_groups(text, "anna"), [44, 99]);
        assert_eq!(supplementary_groups(text, "ann"), []);
    }

    #[test]
    fn all_ranges_of_a_user_are_found_by_name_and_by_number() {
        let text = "anna:100000:65536\nbert:165536:65536\n1000:300000:10\nanna:5:1\n";
        let ranges = subordinate_ids(text, Some("anna"), 1000);
        assert_eq!(
            ranges,
            [range(100_000, 65_536), range(300_000, 10), range(5, 1)]
        );
        assert_eq!(subordinate_ids(text, None, 1000), [range(300_000, 10)]);
        assert_eq!(subordinate_ids(text, None, 1001), []);
    }

    #[test]
    fn a_name_that_is_no_number_is_never_root() {
        let text = "daniel:100000:65536\n+0:1:1\n0x0:1:1\n:1:1\n 0:1:1\n#0:1:1\n";
        assert_eq!(subordinate_ids(text, Some("root"), 0), []);
        assert_eq!(subordinate_ids(text, None, 0), []);
        let text = format!("{text}root:500000:65536\n");
        assert_eq!(
            subordinate_ids(&text, Some("root"), 0),
            [range(500_000, 65_536)]
        );
    }

    #[test]
    fn malformed_subordinate_lines_are_passed_over() {
        for line in [
            "",
            "a",
            "a:1",
            "a:1:",
            "a::1",
            "a:1:2:3",
            "a:-1:5",
            "a:1:0",
            "a:x:5",
            "a: 1:5",
            "a:4294967295:1",
            "a:4294967296:1",
            "a:99999999999999999999999:1",
        ] {
            assert_eq!(subordinate_ids(line, Some("a"), 1), [], "{line:?}");
        }
    }

    #[test]
    fn a_range_beyond_the_last_id_is_cut_there() {
        let most = range(1, u32::MAX - 1);
        for count in [
            "4294967295",
            "18446744073709551615",
            "99999999999999999999999",
        ] {
            let text = format!("a:1:{count}");
            assert_eq!(subordinate_ids(&text, Some("a"), 9), [most], "{count}");
        }
        assert_eq!(most.mapped_from(0).map(|map| map.count), Some(u32::MAX - 1));
    }

    #[test]
    fn without_accounts_every_block_is_free() {
        let blocks: Vec<Range> = free_blocks(&Accounts::default()).collect();
        assert_eq!(blocks.len(), 0x7000 - 8);
        assert_eq!(blocks.first(), Some(&range(0x0008_0000, BLOCK)));
        assert_eq!(blocks.last(), Some(&range(0x6fff_0000, BLOCK)));
    }

    #[test]
    fn a_block_that_anything_touches_is_not_free() {
        let files = Accounts {
            // The last id of the first block, and the first of the third.
            passwd: "a:x:589823:1::/:\nb:x:4294967295:655360::/:\n".to_owned(),
            group: "g:x:720896:\n".to_owned(),
            // From the last id of the fifth block to the first of the seventh.
            subuid: "c:851967:65538\nmalformed:1:x\n".to_owned(),
            subgid: "c:983040:1\nc:983040:2\n".to_owned(),
        };
        let first: Vec<u32> = files
            .free_blocks()
            .take(3)
            .map(|block| block.first)
            .collect();
        assert_eq!(first, [0x0009_0000, 0x0010_0000, 0x0011_0000]);
    }

    #[test]
    fn a_range_of_absurd_length_leaves_nothing_free() {
        let files = Accounts {
            subgid: "a:524288:99999999999999999999999\n".to_owned(),
            ..Accounts::default()
        };
        assert_eq!(files.free_blocks().next(), None);
        let files = Accounts {
            subuid: "a:0:1879048191\n".to_owned(),
            ..Accounts::default()
        };
        assert_eq!(files.free_blocks().next(), None);
    }
}
