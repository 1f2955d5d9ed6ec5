//! What a plan must know of the machine and of the caller.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use warren_cgroups::{Ground, Place};
use warren_confine::landlock::{Abi, Missing};
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::accounts::{Accounts, Range};
use warren_namespaces::{IdMap, Kind};

use crate::ids::BLOCK;

/// The facts on which a plan depends, beyond its Spec.
///
/// The same Spec and the same facts give the same plan, to the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The caller's effective user id.
    pub uid: u32,
    /// The caller's effective group id.
    pub gid: u32,
    /// Whether its real and saved ids are these too.
    pub has_no_other_ids: bool,
    /// The caller's effective capabilities.
    pub capabilities: CapabilitySet,
    /// Whether the caller's user namespace has every id, as the initial one does: else
    /// no block of host ids can be had.
    pub has_all_ids: bool,
    /// Whether setgroups(2) works in the caller's user namespace: user_namespaces(7).
    pub sets_groups: bool,
    /// Where the id ranges of [`IdMapping::Auto`](crate::IdMapping::Auto) come from.
    pub ranges: Ranges,
    /// What Landlock the kernel has; asked when a Spec needs it if `None`.
    pub landlock: Option<Result<Abi, Missing>>,
    /// Where a control group can be made; asked when a Spec needs it if `None`.
    pub ground: Option<Ground>,
}

/// The id ranges that an ordinary caller may map, beside its own ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// They are looked up when a Spec needs them, in /etc/subuid and /etc/subgid, if
    /// newuidmap(1) and newgidmap(1) are there.
    #[default]
    FromSystem,
    /// There are none.
    None,
    /// These lines of uid_map and gid_map, the caller's own ids first.
    Known {
        /// Of uid_map.
        uids: Vec<IdMap>,
        /// Of gid_map.
        gids: Vec<IdMap>,
    },
}

impl Host {
    /// Asks the kernel who the caller is.
    #[must_use]
    pub fn probe() -> Self {
        let (uids, gids) = (warren_sys::own_user_ids(), warren_sys::own_group_ids());
        let [uid, gid] = [uids.effective, gids.effective];
        let mut host = Self {
            uid,
            gid,
            has_no_other_ids: uids.are_one() && gids.are_one(),
            capabilities: own_capabilities(uid),
            has_all_ids: false,
            sets_groups: true,
            ranges: Ranges::FromSystem,
            landlock: None,
            ground: None,
        };
        // Only who may map blocks needs to know whether there are any.
        host.has_all_ids = host.is_privileged() && own_map_is_whole();
        // Nobody can have given them up in the first one, nor calls it without privilege.
        if host.is_privileged() && !host.has_all_ids {
            let setgroups = std::fs::read("/proc/self/setgroups");
            host.sets_groups = !setgroups.is_ok_and(|word| word.starts_with(b"deny"));
        }
        host
    }

    /// Whether the caller may mount in its own mount namespace and write any id map:
    /// what root can, and the owner of a user namespace inside of it.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        [
            Capability::SYS_ADMIN,
            Capability::SETUID,
            Capability::SETGID,
        ]
        .into_iter()
        .all(|capability| self.capabilities.contains(capability))
    }

    /// What Landlock the kernel has.
    ///
    /// # Errors
    /// [`Missing`] where it has none for this process.
    pub fn landlock(&self) -> Result<Abi, Missing> {
        self.landlock.unwrap_or_else(Abi::probe)
    }

    /// Where a control group at `place` would be made.
    pub(crate) fn ground(&self, place: &Place) -> Result<Ground, warren_cgroups::Error> {
        self.ground.clone().map_or_else(|| Ground::probe(place), Ok)
    }

    /// The lines that newuidmap(1) and newgidmap(1) would write for the caller.
    pub(crate) fn ranges(&self) -> Option<(Vec<IdMap>, Vec<IdMap>)> {
        match &self.ranges {
            Ranges::None => None,
            Ranges::Known { uids, gids } => Some((uids.clone(), gids.clone())),
            Ranges::FromSystem => self.ranges_of_system(),
        }
    }

    fn ranges_of_system(&self) -> Option<(Vec<IdMap>, Vec<IdMap>)> {
        helper("newuidmap").and(helper("newgidmap"))?;
        // Under no_new_privs the helpers' set-user-id bits mean nothing.
        if rustix::thread::no_new_privs().unwrap_or(false) {
            return None;
        }
        // Unreadable files grant nothing: the map is then of one id.
        let accounts = Accounts::read().ok()?;
        let uids = within("uid_map", accounts.subordinate_uids(self.uid))?;
        let gids = within("gid_map", accounts.subordinate_gids(self.uid))?;
        Some((lines(self.uid, &uids)?, lines(self.gid, &gids)?))
    }
}

/// Those of `ranges` that the caller's own user namespace has: in another tool's
/// container the files may be the host's.
fn within(map: &str, ranges: Vec<Range>) -> Option<Vec<Range>> {
    let text = std::fs::read_to_string(format!("/proc/self/{map}")).ok()?;
    let own = IdMap::parse_file(&text).ok()?;
    Some(
        ranges
            .into_iter()
            .filter(|range| has_range(&own, *range))
            .collect(),
    )
}

fn has_range(map: &[IdMap], range: Range) -> bool {
    let Some(last) = range
        .count
        .checked_sub(1)
        .and_then(|n| range.first.checked_add(n))
    else {
        return false;
    };
    map.iter().any(|line| {
        line.to_outside(range.first).is_some() && line.to_outside(last).is_some()
    })
}

/// The caller's effective capabilities. A filter may forbid to ask: root is then taken
/// for privileged, so that a plan for it never falls back to mapping root to root.
fn own_capabilities(uid: u32) -> CapabilitySet {
    match rustix::thread::capabilities(None) {
        Ok(sets) => CapabilitySet::from_bits(sets.effective.bits()),
        Err(_) if uid == 0 => CapabilitySet::ALL,
        Err(_) => CapabilitySet::EMPTY,
    }
}

/// Whether every id is mapped; taken for true where that cannot be read, since a block
/// that is not there cannot be mapped, and says so, where one's own id could.
fn own_map_is_whole() -> bool {
    const EVERY_ID: u32 = u32::MAX;
    // The first one has every id.
    let own = rustix::fs::stat(c"/proc/self/ns/user");
    if own.is_ok_and(|own| Some(own.st_ino) == Kind::User.first_inode()) {
        return true;
    }
    // A map that is whole has one line, and one read gives that.
    let mut text = [0; 128];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let map = rustix::fs::open(c"/proc/self/uid_map", flags, Mode::empty());
    let Ok(length) = map.and_then(|map| rustix::io::read(map, &mut text)) else {
        return true;
    };
    let text = String::from_utf8_lossy(&text[..length]);
    text.split_ascii_whitespace().nth(2) == Some(EVERY_ID.to_string().as_str())
}

/// The caller's id as 0, and its ranges from 1 on, up to 65,536 ids as a container
/// expects; `None` without a range.
fn lines(own: u32, ranges: &[Range]) -> Option<Vec<IdMap>> {
    let mut lines = vec![IdMap::single(0, own)];
    let mut next = 1;
    for range in ranges {
        let count = range.count.min(BLOCK - next);
        let Ok(line) = IdMap::new(next, range.first, count) else {
            continue;
        };
        lines.push(line);
        next += count;
    }
    (lines.len() > 1).then_some(lines)
}

/// Where a map helper is: in the system's folders, not in the caller's PATH, which
/// would decide which program gets the caller's trust.
pub fn helper(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
        .into_iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_counts_where_the_own_namespace_has_all_of_it() {
        let whole = [IdMap {
            inside: 0,
            outside: 0,
            count: u32::MAX,
        }];
        let range = Range {
            first: 100_000,
            count: 65_536,
        };
        assert!(has_range(&whole, range));
        assert!(!has_range(&[IdMap::single(0, 1000)], range));
        let half = [IdMap {
            inside: 0,
            outside: 0,
            count: 120_000,
        }];
        assert!(!has_range(&half, range));
        assert!(!has_range(&whole, Range { first: 1, count: 0 }));
        assert!(!has_range(
            &whole,
            Range {
                first: 9,
                count: u32::MAX
            }
        ));
    }

    #[test]
    fn ranges_follow_the_own_id_and_fill_one_block() {
        let ranges = [
            Range {
                first: 100_000,
                count: 1000,
            },
            Range {
                first: 300_000,
                count: 1_000_000,
            },
        ];
        let map = lines(1000, &ranges).expect("ranges");
        assert_eq!(
            IdMap::text(&map),
            "0 1000 1\n1 100000 1000\n1001 300000 64535\n"
        );
        assert_eq!(lines(1000, &[]), None);
    }
}
