//! Id maps and limits: user_namespaces(7), namespaces(7).

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::{IdMap, Kind, ProcRoot, limits};

use crate::difference::{Fact, Facts};

/// What a user namespace says of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Lines of uid_map; empty as long as nobody has written it.
    pub uid_map: Vec<IdMap>,
    /// Lines of gid_map.
    pub gid_map: Vec<IdMap>,
    /// Who counts the ids outside.
    pub outside: IdOutside,
    /// `allow` or `deny`: whether setgroups(2) may be called.
    pub setgroups: Option<String>,
    /// How many namespaces of each kind may be made in it; `None` where the caller may
    /// not ask there.
    pub limits: Option<Vec<Most>>,
}

/// In whose numbers the ids outside of a map are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdOutside {
    /// Those of the caller's user namespace; 4294967295 for an id that it does not have.
    #[default]
    Caller,
    /// Those of the parent of the namespace.
    Parent,
}

/// How many namespaces of a kind may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Most {
    /// The kind.
    pub kind: Kind,
    /// How many.
    pub most: u64,
}

impl User {
    /// The maps of a process, as /proc shows them to the caller.
    pub(crate) fn of_process(proc: &ProcRoot, folder: &str) -> Result<Self, Errno> {
        let text = |name: &str| {
            let text = proc.read(&format!("{folder}/{name}"));
            text.map(|text| String::from_utf8_lossy(&text).into_owned())
                .map_err(|error| error.errno())
        };
        // No map of the kernel is malformed.
        let map = |name| IdMap::parse_file(&text(name)?).map_err(|_| Errno::INVAL);
        Ok(Self {
            uid_map: map("uid_map")?,
            gid_map: map("gid_map")?,
            setgroups: text("setgroups").ok().map(|text| text.trim().to_owned()),
            ..Self::default()
        })
    }

    /// The limits of the user namespace that the calling process is in.
    pub(crate) fn own_limits(proc: &ProcRoot) -> Vec<Most> {
        let most = |kind| {
            let most = limits::max_namespaces(proc, kind).ok()??;
            Some(Most { kind, most })
        };
        Kind::ALL.into_iter().filter_map(most).collect()
    }

    /// The maps as this has them, unless it has none, and the limits of either.
    pub(crate) fn or(self, other: Self) -> Self {
        let has_maps = self.setgroups.is_some();
        let (maps, rest) = if has_maps {
            (self, other)
        } else {
            (other, self)
        };
        let limits = maps.limits.or(rest.limits);
        Self { limits, ..maps }
    }
}

impl Facts for User {
    fn facts(&self) -> Vec<Fact> {
        let line = |topic, map: &IdMap| {
            let value = format!("{} outside, {} ids", map.outside, map.count);
            Fact::new(topic, format!("from {} on", map.inside), value)
        };
        let mut facts: Vec<Fact> = self
            .uid_map
            .iter()
            .map(|map| line("uid_map", map))
            .collect();
        facts.extend(self.gid_map.iter().map(|map| line("gid_map", map)));
        let setgroups = self.setgroups.iter();
        facts.extend(setgroups.map(|value| Fact::new("setgroups", "", value)));
        let limits = self.limits.iter().flatten();
        facts.extend(limits.map(|limit| {
            Fact::new("sysctl", format!("user.{}", limit.kind.limit()), limit.most)
        }));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_own_maps_and_limits_are_read() {
        let proc = ProcRoot::open().expect("/proc");
        let own = User::of_process(&proc, &std::process::id().to_string());
        let own = own.expect("own maps");
        assert!(!own.uid_map.is_empty() && own.setgroups.is_some());
        assert_eq!(User::own_limits(&proc).len(), 8);
    }

    #[test]
    fn limits_of_one_and_maps_of_the_other_are_one() {
        let most = Most {
            kind: Kind::Net,
            most: 7,
        };
        let inside = User {
            limits: Some(vec![most]),
            ..User::default()
        };
        let outside = User {
            uid_map: vec![IdMap::single(0, 1000)],
            setgroups: Some("deny".to_owned()),
            ..User::default()
        };
        let both = inside.or(outside);
        assert_eq!(both.limits, Some(vec![most]));
        assert_eq!(both.uid_map, [IdMap::single(0, 1000)]);
    }
}
