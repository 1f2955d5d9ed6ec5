//! A name as a target: kept namespaces, one of `ip netns`, a container, a unit.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{FIND, Found, Search, of_path, process};
use crate::kept::Kept;
use crate::process::Folder;
use crate::scan::list_processes;
use crate::{Error, Label, ProcRoot};

/// Where `ip netns` keeps its names.
const NETNS: &str = "/run/netns";

/// Finds what is called `name`.
pub fn find(search: &Search<'_>, name: &str) -> Result<Found, Error> {
    let mut candidates: Vec<_> = kept(search, name)?.into_iter().collect();
    candidates.extend(running(search.proc, name)?);
    match candidates.as_slice() {
        [] => Err(nothing(name)),
        [candidate] => candidate.open(search.proc),
        several => Err(ambiguous(name, several)),
    }
}

/// Something that has the name.
struct Candidate {
    what: String,
    place: Place,
}

enum Place {
    Kept(Kept),
    Netns(PathBuf),
    Process(u32),
}

impl Candidate {
    fn open(&self, proc: &ProcRoot) -> Result<Found, Error> {
        let mut found = match &self.place {
            Place::Kept(kept) => Found {
                process: None,
                namespaces: kept.open(proc)?.namespaces,
                name: String::new(),
            },
            Place::Netns(path) => of_path(path)?,
            Place::Process(pid) => process::find(proc, *pid, None)?,
        };
        self.what.clone_into(&mut found.name);
        Ok(found)
    }
}

/// Names that stand for files. The net namespace of kept ones may have its name in
/// /run/netns too, so that only the first counts.
fn kept(search: &Search<'_>, name: &str) -> Result<Option<Candidate>, Error> {
    for store in search.stores {
        if let Some(kept) = store.find(search.proc, name)? {
            return Ok(Some(Candidate {
                what: kept.folder.display().to_string(),
                place: Place::Kept(kept),
            }));
        }
    }
    let netns = Path::new(NETNS).join(name);
    Ok(netns.is_file().then(|| Candidate {
        what: netns.display().to_string(),
        place: Place::Netns(netns),
    }))
}

/// Containers and units with processes, by the cgroups of those.
fn running(proc: &ProcRoot, name: &str) -> Result<Vec<Candidate>, Error> {
    let mut groups: BTreeMap<(Fit, String), Vec<(u32, u32)>> = BTreeMap::new();
    for pid in list_processes(proc)? {
        // One that has ended meanwhile is in none.
        let Some((parent, fit)) = examine(proc, pid, name) else {
            continue;
        };
        groups.entry(fit).or_default().push((pid, parent));
    }
    let best = groups.keys().map(|(fit, _)| *fit).min();
    let best = groups
        .into_iter()
        .filter(|((fit, _), _)| Some(*fit) == best);
    Ok(best
        .filter_map(|((_, what), members)| {
            let pid = first_of(&members)?;
            Some(Candidate {
                what: format!("{what} (process {pid})"),
                place: Place::Process(pid),
            })
        })
        .collect())
}

/// How a name fits; the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is the whole name.
    Exact,
    /// It is the whole name but for `.service` or `.scope`.
    Unit,
    /// It is the beginning of an id.
    Prefix,
}

/// The parent of a process, and how what it belongs to fits the name.
fn examine(proc: &ProcRoot, pid: u32, name: &str) -> Option<(u32, (Fit, String))> {
    let folder = Folder::open(proc.as_fd(), pid).ok()?;
    let fit = fit(&folder.label().ok()??, name)?;
    let stat = folder.stat().ok()?;
    (!stat.zombie).then_some((stat.parent, fit))
}

/// How a name fits the container or the unit that a label tells of. Of containers in
/// each other only the outermost counts: the others are called what it likes.
fn fit(label: &Label, name: &str) -> Option<(Fit, String)> {
    /// Shorter beginnings of ids are too often something else.
    const SHORTEST: usize = 4;
    if let Some(container) = label.container() {
        let is_start = container.id.starts_with(name) && name.len() >= SHORTEST;
        let fit = if container.id == name || label.pod.as_deref() == Some(name) {
            Fit::Exact
        } else if is_start && container.short_id() != container.id {
            Fit::Prefix
        } else {
            return None;
        };
        return Some((fit, format!("{} {}", container.engine, container.id)));
    }
    let unit = label.unit.as_deref()?;
    let stem = unit
        .strip_suffix(".service")
        .or_else(|| unit.strip_suffix(".scope"));
    let fit = if unit == name {
        Fit::Exact
    } else if stem == Some(name) {
        Fit::Unit
    } else {
        return None;
    };
    Some((fit, unit.to_owned()))
}

/// The lowest of those pids whose parent is not one of them: what was started first,
/// though its number may not be the lowest.
fn first_of(members: &[(u32, u32)]) -> Option<u32> {
    let is_member = |pid: u32| members.iter().any(|(member, _)| *member == pid);
    let tops = members.iter().filter(|(_, parent)| !is_member(*parent));
    tops.map(|(pid, _)| *pid).min()
}

fn nothing(name: &str) -> Error {
    let words = "there is no kept name, netns, container or unit that is called so";
    Error::words(FIND, name, Errno::NOENT, words)
        .hint("`warren ls` shows what there is; an id needs its first 4 digits at least")
}

fn ambiguous(name: &str, candidates: &[Candidate]) -> Error {
    let words = format!("{} things are called so", candidates.len());
    let error = Error::words(FIND, name, Errno::NOTUNIQ, words);
    candidates.iter().fold(error, |error, candidate| {
        error.hint(format!("it may be {}", candidate.what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2a90c1d3e8f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4";

    fn fit_of(path: &str, name: &str) -> Option<Fit> {
        fit(&Label::of_path(path), name).map(|(fit, _)| fit)
    }

    #[test]
    fn a_unit_fits_by_its_name_with_or_without_its_suffix() {
        let path = "/system.slice/dbus.service";
        assert_eq!(fit_of(path, "dbus.service"), Some(Fit::Exact));
        assert_eq!(fit_of(path, "dbus"), Some(Fit::Unit));
        assert_eq!(fit_of(path, "dbu"), None);
        assert_eq!(fit_of(path, "system.slice"), None);
    }

    #[test]
    fn a_container_fits_by_its_id_or_the_first_four_digits() {
        for path in [
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope/init.scope"),
        ] {
            assert_eq!(fit_of(&path, ID), Some(Fit::Exact));
            assert_eq!(fit_of(&path, "4f2a"), Some(Fit::Prefix));
            assert_eq!(fit_of(&path, "4f2"), None);
            assert_eq!(fit_of(&path, "f2a9"), None);
            assert_eq!(fit_of(&path, "init.scope"), None);
        }
        assert_eq!(
            fit_of("/lxc.payload.webserver", "webserver"),
            Some(Fit::Exact)
        );
        assert_eq!(fit_of("/lxc.payload.webserver", "webs"), None);
    }

    #[test]
    fn the_first_process_of_a_group_is_the_one_that_the_others_descend_from() {
        assert_eq!(first_of(&[(5, 90), (7, 5), (90, 1)]), Some(90));
        assert_eq!(first_of(&[(5, 1), (7, 1)]), Some(5));
        assert_eq!(first_of(&[]), None);
    }

    #[test]
    fn a_name_that_nobody_has_says_what_was_looked_for() {
        let proc = ProcRoot::open().expect("/proc");
        let search = Search {
            proc: &proc,
            stores: &[],
        };
        let error = find(&search, "nobody-is-called-so").expect_err("nothing");
        assert_eq!(error.errno(), Errno::NOENT);
    }
}
