//! What a user names to say whose namespaces are meant, and finding it.
//!
//! One word can be a process, a namespace, a file or a name. What it is follows from how
//! it looks alone, so a script means the same thing on every machine.

mod held;
mod name;
mod process;

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::io::Errno;

use crate::kept::Store;
use crate::{Error, Kind, NsFd, ProcRoot};

/// What this module's errors say was done.
const FIND: &str = "find";

/// A process, a namespace, or something that stands for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `1234`: a process, as the caller's pid namespace counts.
    Process(u32),
    /// `1234:5678`: a process and the inode of its pidfd, which no other process ever
    /// gets (Linux 6.9); getino(1) shows it.
    ProcessInode {
        /// Its number.
        pid: u32,
        /// The inode of its pidfd.
        inode: u64,
    },
    /// `net:[4026531840]`, `net:4026531840` or `4026531840`: a namespace.
    Namespace {
        /// Its kind, if it was said.
        kind: Option<Kind>,
        /// Its inode.
        inode: u64,
    },
    /// Anything with a slash: a namespace file such as /run/netns/NAME, or a folder of
    /// them.
    Path(PathBuf),
    /// Anything else: kept namespaces, one of `ip netns`, a container by its id, or a
    /// systemd unit.
    Name(String),
}

/// A word that cannot be a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTarget(String);

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnknownTarget {}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(word: &str) -> Result<Self, UnknownTarget> {
        if word.is_empty() {
            return Err(UnknownTarget("a target cannot be empty".to_owned()));
        }
        if word.contains('/') {
            return Ok(Self::Path(word.into()));
        }
        if let Some(number) = number(word) {
            return of_number(number);
        }
        match word.split_once(':') {
            Some((before, after)) => of_pair(word, before, after),
            None => Ok(Self::Name(word.to_owned())),
        }
    }
}

/// A number that is written as one: digits alone.
fn number(word: &str) -> Option<u64> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

/// The kernel's own limit of pid_max; the inodes of namespaces are far above.
const PID_MAX: u64 = 1 << 22;

fn of_number(number: u64) -> Result<Target, UnknownTarget> {
    match u32::try_from(number) {
        Ok(0) => Err(UnknownTarget("there is no process 0".to_owned())),
        Ok(pid) if number <= PID_MAX => Ok(Target::Process(pid)),
        _ => Ok(Target::Namespace {
            kind: None,
            inode: number,
        }),
    }
}

fn of_pair(word: &str, before: &str, after: &str) -> Result<Target, UnknownTarget> {
    let bare = after
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inode = number(bare.unwrap_or(after));
    if let Ok(kind) = before.parse::<Kind>() {
        let kind = Some(kind);
        return match inode {
            Some(inode) => Ok(Target::Namespace { kind, inode }),
            None => Err(UnknownTarget(format!(
                "'{after}' is no inode: a namespace is written as {before}:[4026531840]"
            ))),
        };
    }
    match (number(before).map(of_number), number(after)) {
        (Some(Ok(Target::Process(pid))), Some(inode)) => {
            Ok(Target::ProcessInode { pid, inode })
        }
        (Some(_), _) => Err(UnknownTarget(format!(
            "'{word}' is no process: one is written as PID or PID:INODE"
        ))),
        (None, _) => Ok(Target::Name(word.to_owned())),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::ProcessInode { pid, inode } => write!(f, "process {pid}:{inode}"),
            Self::Namespace {
                kind: Some(kind),
                inode,
            } => write!(f, "{kind}:[{inode}]"),
            Self::Namespace { kind: None, inode } => write!(f, "namespace {inode}"),
            Self::Path(path) => path.display().fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where targets are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The processes.
    pub proc: &'a ProcRoot,
    /// Where namespaces are kept by name.
    pub stores: &'a [Store],
}

/// What a target stands for, open: it cannot become something else.
#[derive(Debug)]
pub struct Found {
    /// The process, if the target names one, and its pidfd.
    pub process: Option<(u32, OwnedFd)>,
    /// The namespaces, at most one of each kind, in the order of [`Kind::ALL`].
    pub namespaces: Vec<NsFd>,
    /// What it is, in words: `process 12`, `net:[4026531840]`.
    pub name: String,
}

impl Found {
    /// The namespace of this kind, if it has one.
    #[must_use]
    pub fn namespace(&self, kind: Kind) -> Option<&NsFd> {
        self.namespaces.iter().find(|found| found.kind() == kind)
    }
}

impl Found {
    /// Puts the pid and time namespaces in which the next children of the process will
    /// be in the place of its own: after unshare(2) these differ.
    ///
    /// # Errors
    /// `ESRCH` where it is no process, or one that has ended; `ENOENT` where unshare(2)
    /// was called and no first child was made, so that there is no such pid namespace.
    pub fn take_next_children(&mut self, proc: &ProcRoot) -> Result<(), Error> {
        let wrap = |errno| {
            Error::new(
                "find the namespaces of the next children of",
                &self.name,
                errno,
            )
        };
        let (pid, pidfd) = self.process.as_ref().ok_or_else(|| wrap(Errno::SRCH))?;
        let kinds = [Kind::Pid, Kind::Time];
        let next = process::next_children(proc, *pid, &kinds)
            .and_then(|next| warren_sys::is_alive(pidfd.as_fd()).map(|()| next))
            .map_err(wrap)?;
        self.namespaces
            .retain(|found| !kinds.contains(&found.kind()));
        self.namespaces.extend(next);
        self.namespaces.sort_by_key(NsFd::kind);
        Ok(())
    }
}

impl Target {
    /// Opens what the target stands for.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` where there is nothing of the kind, `EACCES` where it may not
    /// be examined (ptrace(2), "read" access), `ENOTUNIQ` where a name fits several
    /// things, which the error lists. [`Error::hints`] has ways out.
    pub fn find(&self, search: &Search<'_>) -> Result<Found, Error> {
        match self {
            Self::Process(pid) => process::find(search.proc, *pid, None),
            Self::ProcessInode { pid, inode } => {
                process::find(search.proc, *pid, Some(*inode))
            }
            Self::Namespace { kind, inode } => held::find(search.proc, *kind, *inode),
            Self::Path(path) => of_path(path),
            Self::Name(name) => name::find(search, name),
        }
    }
}

fn of_path(path: &Path) -> Result<Found, Error> {
    let name = path.display().to_string();
    let failed = |errno| Error::new("open", &name, errno);
    if std::fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return of_folder(path);
    }
    match NsFd::open(path) {
        Ok(namespace) => Ok(Found {
            process: None,
            namespaces: vec![namespace],
            name,
        }),
        Err(Errno::NOTTY) => Err(Error::words(
            "open",
            &name,
            Errno::NOTTY,
            "the file is no namespace",
        )
        .hint("a name in /run/netns is one only while its namespace is mounted on it")),
        Err(Errno::ACCESS) => Err(failed(Errno::ACCESS).hint(
            "a process of another user, or with capabilities that the caller lacks, takes root",
        )),
        Err(errno) => Err(failed(errno)),
    }
}

/// A folder with files that are called as the kinds are, each a namespace.
fn of_folder(folder: &Path) -> Result<Found, Error> {
    let name = folder.display().to_string();
    let mut namespaces = Vec::new();
    for kind in Kind::ALL {
        match NsFd::open(&folder.join(kind.name())) {
            Ok(namespace) if namespace.kind() == kind => namespaces.push(namespace),
            // A file on which nothing is mounted, or another namespace.
            Ok(_) | Err(Errno::NOENT | Errno::NOTTY) => {}
            Err(errno) => {
                let path = folder.join(kind.name()).display().to_string();
                return Err(Error::new("open", path, errno));
            }
        }
    }
    if namespaces.is_empty() {
        let words = "no namespace is in this folder";
        return Err(Error::words(FIND, name, Errno::NOENT, words));
    }
    Ok(Found {
        process: None,
        namespaces,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Target {
        word.parse().expect("a good target")
    }

    fn refusal(word: &str) -> String {
        word.parse::<Target>().expect_err("no target").to_string()
    }

    fn namespace(kind: Option<Kind>) -> Target {
        let inode = 4_026_531_840;
        Target::Namespace { kind, inode }
    }

    #[test]
    fn how_a_word_looks_says_what_it_is() {
        assert_eq!(parse("1234"), Target::Process(1234));
        let (pid, inode) = (1234, 99);
        assert_eq!(parse("1234:99"), Target::ProcessInode { pid, inode });
        assert_eq!(parse("net:[4026531840]"), namespace(Some(Kind::Net)));
        assert_eq!(parse("mount:4026531840"), namespace(Some(Kind::Mnt)));
        assert_eq!(parse("4026531840"), namespace(None));
        assert_eq!(parse("/run/netns/a"), Target::Path("/run/netns/a".into()));
        assert_eq!(parse("./12"), Target::Path("./12".into()));
        for name in [
            "web",
            "dbus.service",
            "4f2a",
            "user@1000.service",
            "a:b",
            "net",
        ] {
            assert_eq!(parse(name), Target::Name(name.to_owned()));
        }
    }

    #[test]
    fn the_highest_pid_is_a_process_and_the_next_number_a_namespace() {
        assert_eq!(parse("4194304"), Target::Process(4_194_304));
        let inode = 4_194_305;
        assert_eq!(parse("4194305"), Target::Namespace { kind: None, inode });
    }

    #[test]
    fn what_can_be_nothing_is_refused_with_words() {
        assert_eq!(refusal(""), "a target cannot be empty");
        assert_eq!(refusal("0"), "there is no process 0");
        assert_eq!(
            refusal("net:x"),
            "'x' is no inode: a namespace is written as net:[4026531840]"
        );
        for word in ["12:x", "12:", "0:7", "12:[7]"] {
            assert!(refusal(word).contains("PID:INODE"), "{word}");
        }
    }

    #[test]
    fn a_namespace_file_is_found_by_its_path() {
        let proc = ProcRoot::open().expect("/proc");
        let search = Search {
            proc: &proc,
            stores: &[],
        };
        let found = parse("/proc/self/ns/uts").find(&search).expect("own");
        assert_eq!(found.namespaces.len(), 1);
        assert!(found.namespace(Kind::Uts).is_some());
        assert!(found.process.is_none());
        let found = parse("/proc/self/ns").find(&search).expect("own");
        assert_eq!(found.namespaces.len(), 8);
        let error = parse("/dev/null").find(&search).expect_err("no namespace");
        assert_eq!(
            error.to_string(),
            "open /dev/null: the file is no namespace"
        );
        let error = parse("/nowhere").find(&search).expect_err("no file");
        assert_eq!(error.errno(), Errno::NOENT);
    }
}
