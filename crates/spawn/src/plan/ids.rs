//! The id maps of a plan, and who writes them.

use warren_namespaces::{IdMap, Kind};

use super::Planner;
use crate::error::Error;
use crate::spec::{IdMapping, Namespace, User};
use crate::step::{MapLines, MapWriter, Maps};

impl Planner<'_> {
    pub(super) fn maps(&self) -> Result<Option<Maps>, Error> {
        if !self.is_new(Kind::User) {
            return Ok(None);
        }
        let (host, user) = (self.host, self.spec.user.clone().unwrap_or_default());
        let single = || {
            let uids = vec![IdMap::single(user.uid, host.uid)];
            let gids = vec![IdMap::single(user.gid, host.gid)];
            MapLines::Known { uids, gids }
        };
        let lines = match &self.spec.id_map {
            IdMapping::Unmapped => return Ok(None),
            IdMapping::Explicit { uids, gids } => MapLines::Known {
                uids: uids.clone(),
                gids: gids.clone(),
            },
            IdMapping::Single => single(),
            IdMapping::Own { uid, gid } => MapLines::Known {
                uids: vec![IdMap::single(*uid, host.uid)],
                gids: vec![IdMap::single(*gid, host.gid)],
            },
            IdMapping::Auto if host.is_privileged() && host.has_all_ids => {
                MapLines::FreeBlock
            }
            IdMapping::Auto if host.is_privileged() => single(),
            IdMapping::Auto => match host.ranges() {
                Some((uids, gids)) => MapLines::Known { uids, gids },
                None => single(),
            },
        };
        let maps = Maps {
            writer: match self.spec.id_map {
                IdMapping::Own { .. } => MapWriter::Child,
                _ => self.writer(&lines),
            },
            lines,
        };
        if let Some(user) = &self.spec.user {
            check_user(&maps.lines, user)?;
        }
        Ok(Some(maps))
    }

    /// Whether some id inside is the host's root, as far as is known: to it the modes of
    /// the kernel's files give what they give to root without a capability, such as
    /// /proc/sysrq-trigger.
    pub(super) fn may_be_hosts_root(&self) -> Result<bool, Error> {
        // An ordinary user can map nobody but itself and its ranges.
        if self.host.uid != 0 && !self.host.is_privileged() {
            return Ok(
                !self.is_new(Kind::User) || self.spec.id_map == IdMapping::Unmapped
            );
        }
        let lines = self.maps()?.map(|maps| maps.lines);
        Ok(match lines {
            Some(MapLines::FreeBlock) => false,
            Some(MapLines::Known { uids, .. }) => {
                uids.iter().any(|line| line.outside == 0)
            }
            None => true,
        })
    }

    /// Who has privilege over the ids writes the maps, and can give up the groups first;
    /// any process may write its own if each is one line of its own id.
    fn writer(&self, lines: &MapLines) -> MapWriter {
        let own = |map: &[IdMap], id| matches!(map, [line] if line.count == 1 && line.outside == id);
        let is_own = matches!(
            lines,
            MapLines::Known { uids, gids }
                if own(uids, self.host.uid) && own(gids, self.host.gid)
        );
        match (self.host.is_privileged(), self.host.has_all_ids) {
            (true, true) => MapWriter::Parent,
            _ if is_own => MapWriter::Child,
            (true, false) => MapWriter::Parent,
            (false, _) => MapWriter::Helpers,
        }
    }

    /// Whether setgroups(2) works: not in a map that was written without privilege, nor in
    /// or below such a one, where root of a container may find itself.
    pub(super) fn can_set_groups(&self, maps: Option<&Maps>) -> bool {
        match maps.map(|maps| maps.writer) {
            Some(MapWriter::Child) => false,
            Some(MapWriter::Parent) => self.host.sets_groups,
            Some(MapWriter::Helpers) => true,
            // One that is joined may be another's.
            None => {
                let of_user = self.spec.namespaces.get(Kind::User);
                matches!(of_user, Namespace::Join(_)) || self.host.sets_groups
            }
        }
    }

    /// Who sets the container up: its root, or the first user that is mapped.
    pub(super) fn setup_user(&self, maps: Option<&Maps>) -> Option<User> {
        let first = |map: &[IdMap]| {
            map.iter()
                .find_map(|line| (line.inside == 0).then_some(0))
                .or_else(|| map.first().map(|line| line.inside))
                .unwrap_or(0)
        };
        match &maps?.lines {
            MapLines::FreeBlock => Some(User::ROOT),
            MapLines::Known { uids, gids } => Some(User {
                uid: first(uids),
                gid: first(gids),
                groups: Some(Vec::new()),
            }),
        }
    }
}

/// Whether the program's user is mapped.
fn check_user(lines: &MapLines, user: &User) -> Result<(), Error> {
    let mapped = |map: &[IdMap], id| map.iter().any(|line| line.to_outside(id).is_some());
    let (uid, gid) = match lines {
        MapLines::FreeBlock => {
            (user.uid < crate::ids::BLOCK, user.gid < crate::ids::BLOCK)
        }
        MapLines::Known { uids, gids } => {
            (mapped(uids, user.uid), mapped(gids, user.gid))
        }
    };
    if uid && gid {
        return Ok(());
    }
    let (what, id) = if uid {
        ("gid", user.gid)
    } else {
        ("uid", user.uid)
    };
    Err(Error::spec(format!("{what} {id} is not in the id map")))
}
