//! The control group of a container: where it is made, and how it is found again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use warren_cgroups::{
    Cgroup, Frozen, Ground, Hierarchies, Hierarchy, Place, Placement, Record,
};
use warren_namespaces::ProcRoot;

use super::container::Container;
use super::error::Error;
use super::who::is_root_of_machine;
use crate::config::Config;

/// A group in every hierarchy, or a unit of systemd, as a record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its path below the root of each hierarchy.
    pub path: PathBuf,
    /// The unit of systemd that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// How the group of a container is made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub placement: Placement,
    pub ground: Ground,
    pub group: Group,
}

impl Planned {
    /// What `linux.cgroupsPath` asks for; `None` for somebody who can make no group, unless
    /// it names one or there are limits.
    pub fn new(
        proc: &ProcRoot,
        config: &Config,
        id: &str,
        systemd: bool,
        limited: bool,
    ) -> Result<Option<Self>, Error> {
        let path = config
            .linux
            .as_ref()
            .map_or("", |linux| linux.cgroups_path.as_str());
        let (place, group) = match systemd {
            true => scope(path, id)?,
            false => folder(path, id),
        };
        let ground = Ground::probe_open(proc, &place, limited).map_err(failed)?;
        let is_closed =
            !systemd && ground.parents.iter().all(|parent| parent.closed.is_some());
        if is_closed && !is_root_of_machine() {
            return Ok(None);
        }
        let placement = Placement {
            place,
            best_effort: false,
            everywhere: true,
            delegate: false,
            keep: true,
        };
        Ok(Some(Self {
            placement,
            ground,
            group,
        }))
    }

    /// Nobody may be there already, since the group is emptied when the container ends; and
    /// who comes into it must be able to go on.
    pub fn check(&self) -> Result<(), Error> {
        if self.group.scope.is_some() {
            return Ok(());
        }
        let Some(cgroup) = self.group.open(&self.ground.hierarchies())? else {
            return Ok(());
        };
        if cgroup.frozen() != Frozen::No {
            return Err(Error::new(format!(
                "container's cgroup unexpectedly frozen: {}",
                self.group.path.display()
            )));
        }
        match cgroup.procs().map_err(failed)?.len() {
            0 => Ok(()),
            count => Err(Error::new(format!(
                "container's cgroup is not empty: {count} process(es) found in {}",
                self.group.path.display()
            ))),
        }
    }
}

/// Below the root of each hierarchy, wherever the caller is.
fn folder(path: &str, id: &str) -> (Place, Group) {
    let path = match path {
        "" => Path::new("/").join(id),
        path => Path::new("/").join(path),
    };
    let path: PathBuf = path
        .components()
        .filter(|part| !matches!(part, std::path::Component::ParentDir))
        .collect();
    let group = Group {
        path: path.clone(),
        scope: None,
    };
    (Place::Path(path), group)
}

/// `SLICE:PREFIX:NAME`, as systemd names its units.
fn scope(path: &str, id: &str) -> Result<(Place, Group), Error> {
    let path = match path {
        "" => format!(":warren:{id}"),
        path => path.to_owned(),
    };
    let parts: Vec<&str> = path.split(':').collect();
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(Error::new(format!(
            "linux.cgroupsPath: expected SLICE:PREFIX:NAME for systemd, found {path:?}"
        )));
    };
    let name = match *prefix {
        _ if name.ends_with(".slice") => (*name).to_owned(),
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    let slice = match *slice {
        "" if is_root_of_machine() => "system.slice",
        "" => "user.slice",
        slice => slice,
    };
    let group = Group {
        path: slice_path(slice).join(&name),
        scope: Some(name.clone()),
    };
    let place = Place::Scope {
        slice: Some(slice.to_owned()),
        name: Some(name),
    };
    Ok((place, group))
}

/// A dash in the name of a slice means one slice in another.
fn slice_path(slice: &str) -> PathBuf {
    let bare = slice.strip_suffix(".slice").unwrap_or(slice);
    let mut path = PathBuf::from("/");
    if bare == "-" {
        return path;
    }
    for (at, _) in bare.match_indices('-') {
        path.push(format!("{}.slice", &bare[..at]));
    }
    path.push(format!("{bare}.slice"));
    path
}

impl Group {
    fn record(&self, hierarchies: &Hierarchies) -> Record {
        let paths = hierarchies.list.iter();
        let path =
            |hierarchy: &Hierarchy| (hierarchy.controllers.clone(), self.path.clone());
        Record {
            paths: paths.map(path).collect(),
            scope: self.scope.clone(),
        }
    }

    /// The group in all hierarchies in which it is; `None` where it is gone.
    pub fn open(&self, hierarchies: &Hierarchies) -> Result<Option<Cgroup>, Error> {
        match Cgroup::reopen(hierarchies, &self.record(hierarchies)) {
            Err(error) if error.errno() == rustix::io::Errno::NOENT => Ok(None),
            opened => opened.map(|group| Some(group.adopted())).map_err(failed),
        }
    }
}

impl Container {
    /// Its control group, if it has one.
    ///
    /// # Errors
    /// Where the mounts of control groups cannot be read.
    pub fn cgroup(&self) -> Result<Option<Cgroup>, Error> {
        match &self.record.cgroup {
            Some(group) => group.open(self.hierarchies()?),
            None => Ok(None),
        }
    }

    pub(super) fn hierarchies(&self) -> Result<&Hierarchies, Error> {
        if let Some(known) = self.hierarchies.get() {
            return Ok(known);
        }
        let found = Hierarchies::detect_for_groups(&self.proc).map_err(failed)?;
        Ok(self.hierarchies.get_or_init(|| found))
    }

    pub(super) fn needed_cgroup(&self, what: &str) -> Result<Cgroup, Error> {
        self.cgroup()?.ok_or_else(|| {
            Error::new(format!("{what}: the container has no control group"))
        })
    }

    /// Kills what is left in its control group, and removes it.
    pub(super) fn remove_cgroup(&self) -> Result<(), Error> {
        let Some(group) = &self.record.cgroup else {
            return Ok(());
        };
        let hierarchies = self.hierarchies()?;
        // Mostly its processes have ended.
        if Cgroup::remove_empty(hierarchies, &group.record(hierarchies)) {
            return Ok(());
        }
        let left = group.open(hierarchies)?;
        left.map_or(Ok(()), |left| left.clear()).map_err(failed)
    }
}

pub(super) fn failed(error: warren_cgroups::Error) -> Error {
    Error::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_hierarchy() {
        let path = |path: &str| folder(path, "web").1.path;
        assert_eq!(path(""), Path::new("/web"));
        assert_eq!(path("/a/b"), Path::new("/a/b"));
        assert_eq!(path("a/b"), Path::new("/a/b"));
        assert_eq!(path("/../../a"), Path::new("/a"));
    }

    #[test]
    fn a_scope_lies_in_its_slice() {
        let group = scope("user-1000.slice:podman:web", "x")
            .expect("three parts")
            .1;
        assert_eq!(
            group.path,
            Path::new("/user.slice/user-1000.slice/podman-web.scope")
        );
        assert_eq!(group.scope.as_deref(), Some("podman-web.scope"));
        assert!(scope("/a/b", "x").is_err());
        assert_eq!(slice_path("-.slice"), Path::new("/"));
    }
}
