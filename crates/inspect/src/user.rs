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
}

impl Most {
    /// The limits of the user namespace that the calling process is in.
    pub(crate) fn own(proc: &ProcRoot) -> Vec<Self> {
        let most = |kind| {
            let most = limits::max_namespaces(proc, kind).ok()??;
            Some(Self { kind, most })
        };
        Kind::ALL.into_iter().filter_map(most).collect()
    }

    pub(crate) fn fact(&self) -> Fact {
        Fact::new(
            "sysctl",
            format!("user.{}", self.kind.limit()),
            self.most.to_string(),
        )
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
        assert_eq!(Most::own(&proc).len(), 8);
    }
}
