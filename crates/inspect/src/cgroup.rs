//! Cgroups as they are inside and outside of a cgroup namespace: cgroup_namespaces(7).

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_cgroups::{Hierarchies, Usage, of_process, usage};
use warren_namespaces::ProcRoot;

use crate::difference::{Fact, Facts};

/// Where a process is in each hierarchy, what it may use there and has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// One for each hierarchy that the kernel has, mounted or not.
    pub hierarchies: Vec<Membership>,
    /// Limits and use, as far as the hierarchies are mounted here.
    pub usage: Usage,
}

/// Where a process is in one hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// v1: its controllers, or `name=systemd`; empty for v2.
    pub controllers: Vec<String>,
    /// The cgroup, from the root of the caller's cgroup namespace.
    pub path: Option<String>,
    /// The same, from the root of the process's own cgroup namespace.
    pub inside: Option<String>,
    /// The root of that namespace, from the root of the caller's.
    pub root: Option<String>,
}

impl Cgroup {
    /// Everything but what only a process inside can say.
    pub(crate) fn of_process(proc: &ProcRoot, pid: u32) -> Result<Self, Errno> {
        let wrap = |error: warren_cgroups::Error| error.errno();
        let memberships = of_process(proc, pid).map_err(wrap)?;
        let hierarchies = Hierarchies::detect(proc).map_err(wrap)?;
        let usage = usage(&hierarchies, &memberships);
        let hierarchies = memberships.into_iter().map(|membership| Membership {
            controllers: membership.controllers,
            path: Some(membership.path.to_string_lossy().into_owned()),
            ..Membership::default()
        });
        Ok(Self {
            hierarchies: hierarchies.collect(),
            usage,
        })
    }

    /// What a process that has entered the namespace reads of the target.
    pub(crate) fn inside(proc: &ProcRoot, pid: u32) -> Result<Self, Errno> {
        let memberships = of_process(proc, pid).map_err(|error| error.errno())?;
        let hierarchies = memberships.into_iter().map(|membership| Membership {
            controllers: membership.controllers,
            inside: Some(membership.path.to_string_lossy().into_owned()),
            ..Membership::default()
        });
        Ok(Self {
            hierarchies: hierarchies.collect(),
            usage: Usage::default(),
        })
    }

    /// One of them from inside, one from outside.
    pub(crate) fn or(self, other: Self) -> Self {
        let (inside, mut outside) = if self.hierarchies.iter().any(|it| it.path.is_some())
        {
            (other, self)
        } else {
            (self, other)
        };
        for membership in &mut outside.hierarchies {
            let same = |it: &&Membership| it.controllers == membership.controllers;
            let found = inside.hierarchies.iter().find(same);
            membership.inside = found.and_then(|it| it.inside.clone());
            membership.root = membership.root();
        }
        outside
    }
}

impl Membership {
    /// What is left of the path outside where the path inside is taken off its end.
    fn root(&self) -> Option<String> {
        let (path, inside) = (self.path.as_deref()?, self.inside.as_deref()?);
        if inside.starts_with("/..") || path.starts_with("/..") {
            return None;
        }
        let root = path.strip_suffix(inside.trim_end_matches('/'))?;
        Some(if root.is_empty() { "/" } else { root }.to_owned())
    }

    /// `memory`, `cpu,cpuacct`, `v2`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.controllers.as_slice() {
            [] => "v2".to_owned(),
            controllers => controllers.join(","),
        }
    }
}

impl Facts for Cgroup {
    fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for membership in &self.hierarchies {
            let name = membership.name();
            let path = membership.path.iter();
            facts.extend(path.map(|path| Fact::new("cgroup", &name, path)));
            let root = membership.root.iter();
            facts.extend(root.map(|root| Fact::new("cgroup root", &name, root)));
        }
        let Usage {
            memory, pids, cpu, ..
        } = &self.usage;
        for (name, amount) in [("memory", memory), ("pids", pids)] {
            let limit = amount.as_ref().and_then(|amount| amount.limit.as_ref());
            facts.extend(
                limit.map(|limit| Fact::new("limit", name, limit.most.to_string())),
            );
        }
        let quota = cpu.as_ref().and_then(|cpu| cpu.quota.as_ref());
        facts.extend(quota.map(|quota| {
            let value = format!("{} us in {} us", quota.quota_us, quota.period_us);
            Fact::new("limit", "cpu", value)
        }));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(path: &str, inside: &str) -> Membership {
        Membership {
            path: Some(path.to_owned()),
            inside: Some(inside.to_owned()),
            ..Membership::default()
        }
    }

    #[test]
    fn the_root_of_the_namespace_follows_from_both_paths() {
        let root = |path, inside| membership(path, inside).root();
        assert_eq!(root("/a/b/c", "/c").as_deref(), Some("/a/b"));
        assert_eq!(root("/a", "/").as_deref(), Some("/a"));
        assert_eq!(root("/", "/").as_deref(), Some("/"));
        assert_eq!(root("/a", "/a").as_deref(), Some("/"));
        assert_eq!(root("/a", "/../b"), None);
        assert_eq!(root("/a", "/b"), None);
    }

    #[test]
    fn the_way_from_outside_takes_the_paths_of_the_other() {
        let outside = Cgroup {
            hierarchies: vec![Membership {
                path: Some("/a/b".to_owned()),
                ..Membership::default()
            }],
            ..Cgroup::default()
        };
        let inside = Cgroup {
            hierarchies: vec![Membership {
                inside: Some("/b".to_owned()),
                ..Membership::default()
            }],
            ..Cgroup::default()
        };
        for both in [
            inside.clone().or(outside.clone()),
            outside.clone().or(inside.clone()),
        ] {
            assert_eq!(both.hierarchies[0].root.as_deref(), Some("/a"));
            assert_eq!(both.hierarchies[0].path.as_deref(), Some("/a/b"));
        }
    }

    #[test]
    fn the_caller_has_a_cgroup() {
        let proc = ProcRoot::open().expect("/proc");
        let own = Cgroup::of_process(&proc, std::process::id()).expect("own");
        assert!(!own.hierarchies.is_empty());
    }
}
