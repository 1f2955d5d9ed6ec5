//! What was seen of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use warren_confine::Capability;
use warren_sys::Errno;

use crate::event::{Contact, Event, Name};
use crate::needs;
use crate::shape;
use crate::wants::{Use, Wants};

/// What a program used, and what it was refused.
#[derive(Debug, Default)]
pub struct Observed {
    /// The calls that it made.
    pub calls: BTreeSet<Name>,
    /// The files that it used, and how.
    pub files: BTreeMap<PathBuf, Wants>,
    /// Those of them that were not there before.
    pub created: BTreeSet<PathBuf>,
    /// Folders between which a name was moved or linked.
    pub joined: BTreeSet<(PathBuf, PathBuf)>,
    /// The addresses that it took or reached.
    pub contacts: BTreeSet<Contact>,
    /// The capabilities that its calls asked for and that would have been needed.
    pub capabilities: BTreeSet<Capability>,
    /// How often it made a process that asked not to be watched.
    pub unwatched: usize,
    /// What failed as if it were refused, each once.
    pub failures: Vec<Failure>,
    seen: BTreeSet<(Name, Vec<Use>, Option<Contact>, i32)>,
}

/// A call that failed as one does that is refused.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The call.
    pub event: Event,
    /// Its errno; `ENOSYS` as well where a filter killed the thread for it.
    pub errno: Errno,
}

/// With what a call fails that something in its way refuses. The others, but for
/// `ENOENT` and `ENOTDIR`, say nothing of refusal.
const REFUSALS: [Errno; 12] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::ROFS,
    Errno::NOSYS,
    Errno::NETUNREACH,
    Errno::HOSTUNREACH,
    Errno::ADDRNOTAVAIL,
    Errno::AFNOSUPPORT,
    Errno::CONNREFUSED,
    Errno::LOOP,
    Errno::XDEV,
    Errno::BUSY,
];

impl Observed {
    /// Notes that a call begins.
    pub(crate) fn note_begin(&mut self, name: &Name, arguments: &[u64; 6]) {
        /// sched.h: the child of a process that is traced is not.
        const CLONE_UNTRACED: u64 = 0x0080_0000;
        if !self.calls.contains(name) {
            self.calls.insert(name.clone());
        }
        if *name == Name::Native("clone") && arguments[0] & CLONE_UNTRACED != 0 {
            self.unwatched += 1;
        }
    }

    /// Notes a call that has returned.
    pub(crate) fn note(&mut self, event: Event) {
        match event.result {
            Ok(_) => self.succeeded(&event),
            Err(errno) => self.failed(event, errno),
        }
    }

    /// Notes a call for which a filter killed the thread.
    pub(crate) fn note_killed(&mut self, event: Event) {
        self.add_failure(event, Errno::NOSYS);
    }

    /// Notes a use that succeeded.
    pub(crate) fn note_use(&mut self, one: &Use) {
        if let Some(wants) = self.files.get_mut(&one.path) {
            *wants |= one.wants;
        } else {
            self.files.insert(one.path.clone(), one.wants);
        }
        if !one.existed && one.wants.contains(Wants::CREATE) {
            self.created.insert(one.path.clone());
        }
    }

    fn succeeded(&mut self, event: &Event) {
        for one in &event.uses {
            self.note_use(one);
        }
        if let Name::Native(name) = event.name
            && shape::JOINING.contains(&name)
        {
            self.note_joined(event);
        }
        if let Some(contact) = &event.contact {
            self.note_contact(contact);
        }
        self.capabilities.extend(needs::capability(event));
    }

    fn note_joined(&mut self, event: &Event) {
        let named = event.uses.iter().filter(|one| one.wants != Wants::PASS);
        let folders: Vec<_> = named.filter_map(|one| one.path.parent()).collect();
        if let [one, other] = folders[..]
            && one != other
        {
            self.joined.insert((one.to_owned(), other.to_owned()));
        }
    }

    fn note_contact(&mut self, contact: &Contact) {
        if !self.contacts.contains(contact) {
            self.contacts.insert(contact.clone());
        }
    }

    fn failed(&mut self, event: Event, errno: Errno) {
        // A connection that is on its way is one that may be made.
        if errno == Errno::INPROGRESS
            && let Some(contact) = &event.contact
        {
            self.note_contact(contact);
        }
        let is_absence = matches!(errno, Errno::NOENT | Errno::NOTDIR);
        let names_something = !event.uses.is_empty() || event.contact.is_some();
        if REFUSALS.contains(&errno) || (is_absence && names_something) {
            self.add_failure(event, errno);
        }
    }

    fn add_failure(&mut self, event: Event, errno: Errno) {
        let key = (
            event.name.clone(),
            event.uses.clone(),
            event.contact.clone(),
            errno.raw_os_error(),
        );
        if self.seen.insert(key) {
            self.failures.push(Failure { event, errno });
        }
    }

    /// Whether a file was made by the run, or lies in a folder that was.
    #[must_use]
    pub fn is_new(&self, path: &Path) -> bool {
        path.ancestors()
            .any(|ancestor| self.created.contains(ancestor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str, path: &str, wants: Wants, existed: bool) -> Event {
        Event {
            name: Name::Native(name),
            number: 0,
            arguments: [0; 6],
            uses: vec![Use {
                path: path.into(),
                existed,
                wants,
            }],
            contact: None,
            result: Ok(0),
        }
    }

    #[test]
    fn uses_of_one_file_add_up_and_new_files_are_known() {
        let mut observed = Observed::default();
        observed.note(event("stat", "/a", Wants::LOOK, true));
        observed.note(event("open", "/a", Wants::READ, true));
        observed.note(event("mkdir", "/b", Wants::CREATE, false));
        assert_eq!(
            observed.files.get(Path::new("/a")),
            Some(&(Wants::LOOK | Wants::READ))
        );
        assert!(observed.is_new(Path::new("/b/c")));
        assert!(!observed.is_new(Path::new("/a")));
    }

    #[test]
    fn a_failure_is_kept_once_and_only_if_it_may_be_a_refusal() {
        let mut observed = Observed::default();
        for errno in [
            Errno::ACCESS,
            Errno::ACCESS,
            Errno::NOENT,
            Errno::EXIST,
            Errno::AGAIN,
        ] {
            let failed = Event {
                result: Err(errno),
                ..event("open", "/a", Wants::READ, true)
            };
            observed.note(failed);
        }
        let errnos: Vec<_> = observed.failures.iter().map(|one| one.errno).collect();
        assert_eq!(errnos, [Errno::ACCESS, Errno::NOENT]);
        assert!(observed.files.is_empty());
    }
}
