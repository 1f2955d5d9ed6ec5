//! What is entered of what was found.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use warren_namespaces::{Found, Kind, NsFd, ProcRoot, Rights, Search};

use super::Arguments;
use crate::failure::Failure;

/// A target, and which of its namespaces are entered.
pub struct Entered {
    pub process: Option<(u32, OwnedFd)>,
    /// In words.
    pub name: String,
    pub namespaces: Vec<NsFd>,
    /// Those that are the caller's already.
    pub same: Vec<NsFd>,
    /// What the caller has to go on with.
    pub rights: Rights,
    /// Whether all of the target is meant, and not namespaces of some kinds.
    pub whole: bool,
}

/// A failure to enter, with the target in front.
pub fn wrap(name: &str, what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("enter {name}: {what}"))
}

impl Entered {
    /// Finds the target, and something in it that is not the caller's.
    pub fn find(arguments: &Arguments, proc: &ProcRoot) -> Result<Self, Failure> {
        let entered = Self::look(arguments, proc)?;
        let name = &entered.name;
        let other_root = entered.whole && super::files::has_other_root(&entered, proc);
        if entered.namespaces.is_empty() && !other_root {
            return Err(wrap(name, "its namespaces are the caller's")
                .hint("`warren ls` shows which processes live in others"));
        }
        Ok(entered)
    }

    /// The same, whatever there is to enter.
    pub fn look(arguments: &Arguments, proc: &ProcRoot) -> Result<Self, Failure> {
        let stores = crate::keep::stores();
        let search = Search {
            proc,
            stores: &stores,
        };
        let mut found = arguments.target.find(&search)?;
        if arguments.next_children {
            found.take_next_children(proc)?;
        }
        let rights = Rights::own(proc)?;
        add_owner(&mut found, &rights, arguments);
        select(found, rights, arguments)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|(pid, _)| *pid)
    }

    pub fn enters(&self, kind: Kind) -> bool {
        self.namespaces.iter().any(|found| found.kind() == kind)
    }

    /// A namespace in the words of a plan.
    pub fn name_of(&self, namespace: &NsFd) -> String {
        match self.pid() {
            Some(pid) => format!("of process {pid}"),
            None => namespace.to_string(),
        }
    }

    /// Fails if the process has ended, so that what was read by its number was its own.
    pub fn is_alive(&self) -> Result<(), Failure> {
        let Some((_, pidfd)) = &self.process else {
            return Ok(());
        };
        use std::os::fd::AsFd;
        warren_sys::is_alive(pidfd.as_fd())
            .map_err(|errno| wrap(&self.name, warren_namespaces::errno_text(errno)))
    }

    /// The environment that the process was started with, or has written over it.
    pub fn environment(
        &self,
        proc: &ProcRoot,
    ) -> Result<Vec<(OsString, OsString)>, Failure> {
        let pid = self
            .pid()
            .ok_or_else(|| self.needs_process("--target-env"))?;
        let bytes = proc.read(&format!("{pid}/environ"))?;
        self.is_alive()?;
        Ok(variables(&bytes))
    }

    /// What an option says that only a process can answer.
    pub fn needs_process(&self, option: &str) -> Failure {
        wrap(&self.name, format!("{option} takes a process"))
            .hint("name a process instead: `warren ls` shows those of each namespace")
    }
}

/// `K=V` up to each NUL; anything else is passed over, since a process can write what it
/// likes there.
fn variables(bytes: &[u8]) -> Vec<(OsString, OsString)> {
    let variable = |word: &[u8]| {
        let equals = word
            .iter()
            .position(|byte| *byte == b'=')
            .filter(|at| *at > 0)?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&word[..equals]), text(&word[equals + 1..])))
    };
    bytes
        .split(|byte| *byte == 0)
        .filter_map(variable)
        .collect()
}

/// Who has no right over the named namespaces enters the user namespace that owns them
/// as well, if no kinds were asked for.
fn add_owner(found: &mut Found, rights: &Rights, arguments: &Arguments) {
    let bare = found.process.is_none()
        && arguments.kinds.is_empty()
        && found.namespace(Kind::User).is_none();
    if !bare || rights.are_privileged() {
        return;
    }
    let owner = found.namespaces.first().map(NsFd::owner);
    if let Some(Ok(owner)) = owner
        && owner.id() != Ok(rights.user)
    {
        found.namespaces.push(owner);
    }
}

/// Divides the namespaces into those that are other than the caller's, of the kinds that
/// were asked for, and those that are not.
fn select(
    found: Found,
    rights: Rights,
    arguments: &Arguments,
) -> Result<Entered, Failure> {
    let kinds = &arguments.kinds;
    for kind in kinds {
        if found.namespace(*kind).is_none() {
            return Err(wrap(&found.name, format!("it has no {kind} namespace")));
        }
    }
    let wanted = |found: &NsFd| kinds.is_empty() || kinds.contains(&found.kind());
    let mut namespaces = Vec::new();
    let mut same = Vec::new();
    for namespace in found.namespaces.into_iter().filter(wanted) {
        if is_own(&namespace)? {
            same.push(namespace);
        } else {
            namespaces.push(namespace);
        }
    }
    Ok(Entered {
        process: found.process,
        name: found.name,
        namespaces,
        same,
        rights,
        whole: kinds.is_empty(),
    })
}

fn is_own(namespace: &NsFd) -> Result<bool, Failure> {
    let path = PathBuf::from(format!("/proc/self/ns/{}", namespace.kind()));
    let own = NsFd::open(&path).and_then(|own| own.id());
    match (own, namespace.id()) {
        (Ok(own), Ok(id)) => Ok(own == id),
        (Err(errno), _) | (_, Err(errno)) => {
            let words = warren_namespaces::errno_text(errno);
            Err(Failure::new(format!("open {}: {words}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_as_far_as_it_is_one() {
        let found = variables(b"A=1\0B=\0=x\0junk\0C=a=b\0");
        let pairs = [("A", "1"), ("B", ""), ("C", "a=b")];
        let pairs = pairs.map(|(key, value)| (key.into(), value.into()));
        assert_eq!(found, pairs);
    }
}
