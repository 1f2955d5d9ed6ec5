//! From what was used to what has to be given.

mod fold;
mod trees;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use warren_confine::CapabilitySet;

use crate::address::Address;
use crate::event::{Name, Protocol};
use crate::observed::Observed;
use crate::view::{Seen, View};
use crate::wants::Wants;
use fold::Folding;
pub use fold::{covers, outermost};

/// What a run like the one that was watched has to be given, beyond what `run` gives
/// without options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and folders to be shown read-only.
    pub read: BTreeSet<PathBuf>,
    /// Files and folders to be shown writable.
    pub write: BTreeSet<PathBuf>,
    /// The system calls that were made.
    pub calls: BTreeSet<String>,
    /// Where TCP connected to.
    pub connect: BTreeSet<SocketAddr>,
    /// Ports that TCP took; 0 is one of the kernel's choice.
    pub bind: BTreeSet<u16>,
    /// Capabilities that were of use.
    pub capabilities: CapabilitySet,
    /// What was used and cannot be said.
    pub notes: Vec<Note>,
}

/// Something that was used and has no rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// It would have to be the whole of a folder that is too much.
    TooWide {
        /// What was used.
        path: PathBuf,
        /// What for.
        wants: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// It was shown under another path than it has on the host.
    Elsewhere {
        /// Where it was seen.
        path: PathBuf,
        /// Where it is.
        source: PathBuf,
    },
    /// Processes that asked not to be watched, and were not.
    Unwatched(usize),
}

impl Needs {
    /// Whether a connection went to a port that the kernel had chosen for another process
    /// of the run: next time it is another.
    #[must_use]
    pub fn connects_by_chance(&self) -> bool {
        /// `net.ipv4.ip_local_port_range`.
        const FIRST_CHOSEN: u16 = 32768;
        let chosen = |to: &SocketAddr| to.ip().is_loopback() && to.port() >= FIRST_CHOSEN;
        self.bind.contains(&0) && self.connect.iter().any(chosen)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide {
                path,
                wants,
                folder,
            } => write!(
                f,
                "no rule for {} {wants}: it would be all of {}",
                path.display(),
                folder.display()
            ),
            Self::Elsewhere { path, source } => write!(
                f,
                "no rule for {}, which is {} of the host: keep the option that shows it",
                path.display(),
                source.display()
            ),
            Self::Unwatched(number) => write!(
                f,
                "{number} processes asked not to be traced (CLONE_UNTRACED): what they \
                 did was not seen"
            ),
        }
    }
}

/// What the machine says of a path, when the run is over.
pub trait Machine {
    /// Whether it is a folder; `None` where nothing is there.
    fn is_folder(&self, path: &Path) -> Option<bool>;
}

/// Calls that need not come in each run of the same program: whether a lock is taken, a
/// thread is woken, a signal comes or memory moves is a matter of chance, and whether the
/// clock is read without the kernel one of the machine; and those by which a run itself
/// becomes its program.
const ALWAYS: [&str; 27] = [
    "access",
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "futex",
    "getpid",
    "gettid",
    "gettimeofday",
    "madvise",
    "mmap",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "tgkill",
    "umask",
    "write",
];

/// Works out what a run needs.
pub struct Learner<'a> {
    /// What the watched run saw.
    pub view: &'a View,
    /// What it would see without options.
    pub default: &'a View,
    /// The capabilities that it had.
    pub capabilities: CapabilitySet,
    /// The caller's home.
    pub home: Option<&'a Path>,
    /// The files of the host.
    pub machine: &'a dyn Machine,
}

impl Learner<'_> {
    /// What `observed` needs.
    #[must_use]
    pub fn needs(&self, observed: &Observed) -> Needs {
        let mut folding = Folding::new(self.home);
        let mut notes = BTreeSet::new();
        for (path, wants) in &observed.files {
            self.file(observed, path, *wants, &mut folding, &mut notes);
        }
        for contact in &observed.contacts {
            if let Address::File(path) = &contact.address {
                let wants = match contact.binds {
                    true => Wants::CREATE,
                    false => Wants::CONNECT,
                };
                self.file(observed, path, wants, &mut folding, &mut notes);
            }
        }
        for (one, other) in &observed.joined {
            let known = |path: &Path| self.source(path).is_some();
            if known(one) && known(other) {
                folding.join(one, other);
            }
        }
        if observed.unwatched > 0 {
            notes.insert(Note::Unwatched(observed.unwatched));
        }
        let (read, write, wide) = folding.finish();
        notes.extend(wide);
        Needs {
            read,
            write,
            calls: calls(observed),
            connect: connected(observed),
            bind: bound(observed),
            capabilities: observed
                .capabilities
                .iter()
                .filter(|one| self.capabilities.contains(**one))
                .fold(CapabilitySet::EMPTY, |set, one| set.with(*one)),
            notes: notes.into_iter().collect(),
        }
    }

    /// Where on the host a file is that needs a rule, if it does.
    fn source(&self, path: &Path) -> Option<PathBuf> {
        match self.view.at(path) {
            Seen::Host { path, .. } | Seen::Layered(path) => Some(path),
            _ => None,
        }
    }

    /// Whether a file can be read without any rule.
    fn is_given(&self, path: &Path) -> bool {
        matches!(self.default.at(path), Seen::Host { .. } | Seen::Kernel)
    }

    fn file(
        &self,
        observed: &Observed,
        path: &Path,
        wants: Wants,
        folding: &mut Folding,
        notes: &mut BTreeSet<Note>,
    ) {
        let Some(source) = self.source(path) else {
            return;
        };
        if source != path {
            notes.insert(Note::Elsewhere {
                path: path.to_owned(),
                source,
            });
            return;
        }
        if wants.intersects(Wants::CREATE | Wants::REMOVE) {
            folding.change_names(path, &self.old_folder(observed, path), wants);
        }
        if observed.is_new(path) {
            return;
        }
        let Some(is_folder) = self.machine.is_folder(path) else {
            return;
        };
        if wants.contains(Wants::WRITE) {
            folding.write(path);
        }
        // A folder that is only passed, opened or looked at is there if anything in it is.
        let reads = match is_folder {
            true => wants.contains(Wants::LIST),
            false => true,
        };
        if (reads || wants.contains(Wants::PASS)) && !self.is_given(path) {
            folding.read(path, wants);
        }
    }

    /// The folder of a name, or the one above it that the run did not make itself.
    fn old_folder(&self, observed: &Observed, path: &Path) -> PathBuf {
        let above = path.ancestors().skip(1);
        let mut old = above.filter(|folder| !observed.is_new(folder));
        old.next().unwrap_or(Path::new("/")).to_owned()
    }
}

fn calls(observed: &Observed) -> BTreeSet<String> {
    let made = observed.calls.iter().filter_map(|name| match name {
        Name::Native(name) => Some(*name),
        // The run's own filter refuses them all.
        Name::Foreign(_) => None,
    });
    made.chain(ALWAYS).map(str::to_owned).collect()
}

fn connected(observed: &Observed) -> BTreeSet<SocketAddr> {
    streams(observed, false).collect()
}

fn bound(observed: &Observed) -> BTreeSet<u16> {
    streams(observed, true)
        .map(|address| address.port())
        .collect()
}

fn streams(observed: &Observed, binds: bool) -> impl Iterator<Item = SocketAddr> {
    let streams = observed.contacts.iter().filter(move |contact| {
        contact.protocol == Protocol::Stream && contact.binds == binds
    });
    streams.filter_map(|contact| match contact.address {
        Address::Inet(address) => Some(address),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
