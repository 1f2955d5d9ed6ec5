//! The profile that a run leaves.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use warren_confine::CapabilitySet;
use warren_namespaces::Kind;
use warren_observe::Needs;
use warren_profile::{
    Capabilities, Endpoint, Files, Map, Mode, Network, Process, Profile, Syscalls,
    literal,
};
use warren_spawn::{IdMapping, Namespace, Spec};

use super::report::cannot_write;
use crate::failure::{self, Failure};

/// A file that a profile is written to, and what it says before.
pub struct Learned {
    path: PathBuf,
    known: Option<Profile>,
}

/// What happens to the calls that were not made: as on a kernel without them, so that a
/// libc takes its other way.
const OTHER_CALLS: &str = "deny ENOSYS";

impl Learned {
    /// Looks at the file. What is there must be a profile, to which is added.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let known = match fs::read_to_string(path) {
            Ok(text) => Some(parse(path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot_write(path, &error)),
        };
        let learned = Self {
            path: path.to_owned(),
            known,
        };
        // It takes the old one's place, so that a profile is never there by half.
        rustix::fs::accessat(CWD, learned.folder(), Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|errno| cannot_write(path, &errno.into()))?;
        Ok(learned)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Writes what the run of `spec` needs, on top of what is there.
    ///
    /// Ports are limited by Landlock alone, so that a profile with them is of no use where
    /// `holds_ports` is not so.
    pub fn write(
        self,
        needs: &Needs,
        spec: &Spec,
        holds_ports: bool,
    ) -> Result<(), Failure> {
        let limits = holds_ports && !needs.connects_by_chance();
        let mut profile = match &self.known {
            Some(known) => extended(known.clone(), needs),
            None => new(needs, spec),
        };
        let mut notes: Vec<String> =
            needs.notes.iter().map(ToString::to_string).collect();
        if !limits {
            (profile.network.connect, profile.network.bind) = (None, None);
            let why = match holds_ports {
                true => "one was of the kernel's choice",
                false => "this kernel's Landlock cannot hold them",
            };
            notes.push(format!("no rule for TCP ports: {why}"));
        }
        let comments: String = notes.iter().map(|note| format!("# {note}\n")).collect();
        let text = format!("{comments}{profile}");
        let failed = |error: io::Error| cannot_write(&self.path, &error);
        let mut unfinished = self.path.clone().into_os_string();
        unfinished.push(format!(".{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        fs::write(&unfinished, text).map_err(failed)?;
        fs::rename(&unfinished, &self.path).map_err(|error| {
            // It is ours, and of no use.
            let _ = fs::remove_file(&unfinished);
            failed(error)
        })?;
        let mut said = format!(
            "learned {}: {} to read, {} to write, {} system calls\n",
            self.path.display(),
            profile.files.read.len(),
            profile.files.write.len(),
            profile.syscalls.allow.len(),
        );
        said.extend(notes.iter().map(|note| format!("note: {note}\n")));
        failure::print_error(&said)
    }
}

fn parse(path: &Path, text: &str) -> Result<Profile, Failure> {
    text.parse().map_err(|mut error: warren_profile::Error| {
        error.file = path.display().to_string();
        let failure = Failure::new(&error);
        let failure = error.hints.iter().fold(failure, |all, one| all.hint(one));
        failure.hint("--learn adds to a profile; give it another file")
    })
}

/// The profile of a run that needs this.
fn new(needs: &Needs, spec: &Spec) -> Profile {
    let command: Vec<_> = spec
        .argv
        .iter()
        .map(|word| word.to_string_lossy().replace(char::is_control, "?"))
        .collect();
    let shares = *spec.namespaces.get(Kind::Net) == Namespace::Inherit;
    Profile {
        about: Some(format!("what was used by: {}", command.join(" "))),
        files: Files {
            read: texts(&needs.read),
            write: texts(&needs.write),
            ..Files::default()
        },
        process: Process {
            workdir: spec.cwd.as_deref().and_then(literal),
            map: (spec.id_map == IdMapping::Single).then_some(Map::Single),
            ..Process::default()
        },
        network: Network {
            mode: Some(if shares { Mode::Host } else { Mode::None }),
            connect: Some(targets(needs).collect()),
            bind: Some(needs.bind.iter().copied().collect()),
        },
        syscalls: Syscalls {
            default: Some(OTHER_CALLS.to_owned()),
            allow: needs.calls.iter().cloned().collect(),
            ..Syscalls::default()
        },
        capabilities: Capabilities {
            add: needs.capabilities,
        },
        ..Profile::default()
    }
}

/// A profile with what another run needs besides.
fn extended(known: Profile, needs: &Needs) -> Profile {
    let mut profile = known;
    extend_files(&mut profile.files, needs);
    if let Some(connect) = &mut profile.network.connect {
        add_missing(connect, targets(needs));
    }
    if let Some(bind) = &mut profile.network.bind {
        add_missing(bind, needs.bind.iter().copied());
    }
    let calls = &mut profile.syscalls;
    let has_lists = calls.policy.is_none() && calls.file.is_none();
    if has_lists && (calls.default.is_some() || !calls.allow.is_empty()) {
        add_missing(&mut calls.allow, needs.calls.iter().cloned());
        calls.allow.sort();
    }
    let both = profile
        .capabilities
        .add
        .iter()
        .chain(needs.capabilities.iter());
    profile.capabilities.add = both.fold(CapabilitySet::EMPTY, CapabilitySet::with);
    profile
}

/// Paths that begin with a variable stay as they are.
fn extend_files(files: &mut Files, needs: &Needs) {
    let (mut write, named_write) = plain(&files.write);
    let (mut read, named_read) = plain(&files.read);
    write.extend(needs.write.iter().cloned());
    read.extend(needs.read.iter().cloned());
    let write = warren_observe::outermost(&write);
    read.retain(|path| !warren_observe::covers(&write, path));
    let read = warren_observe::outermost(&read);
    files.write = named_write.into_iter().chain(texts(&write)).collect();
    files.read = named_read.into_iter().chain(texts(&read)).collect();
}

/// The paths that stand for themselves, and the other texts.
fn plain(texts: &[String]) -> (BTreeSet<PathBuf>, Vec<String>) {
    let (plain, named): (Vec<_>, Vec<_>) = texts
        .iter()
        .cloned()
        .partition(|text| text.starts_with('/') && !text.replace("$$", "").contains('$'));
    let paths = plain.iter().map(|text| text.replace("$$", "$").into());
    (paths.collect(), named)
}

/// As a profile has them; it can say no path that is not UTF-8.
fn texts(paths: &BTreeSet<PathBuf>) -> Vec<String> {
    paths.iter().filter_map(|path| literal(path)).collect()
}

fn targets(needs: &Needs) -> impl Iterator<Item = Endpoint> {
    let ports: BTreeSet<u16> = needs.connect.iter().map(|to| to.port()).collect();
    ports.into_iter().map(Endpoint::port)
}

fn add_missing<T: PartialEq>(list: &mut Vec<T>, more: impl Iterator<Item = T>) {
    for one in more {
        if !list.contains(&one) {
            list.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(read: &[&str], write: &[&str], calls: &[&str]) -> Needs {
        Needs {
            read: read.iter().map(PathBuf::from).collect(),
            write: write.iter().map(PathBuf::from).collect(),
            calls: calls.iter().map(|call| (*call).to_owned()).collect(),
            ..Needs::default()
        }
    }

    fn spec() -> Spec {
        Spec {
            argv: vec!["make".into(), "a\nb".into()],
            cwd: Some("/p".into()),
            ..Spec::default()
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_profile() {
        let mut needs = needs(&["/a b", "/c$d"], &["/p/target"], &["read", "write"]);
        needs.bind.insert(8000);
        let profile = new(&needs, &spec());
        let again: Profile = profile.to_string().parse().expect("a good profile");
        assert_eq!(again, profile);
        assert_eq!(profile.files.read, ["/a b", "/c$$d"]);
        assert_eq!(profile.network.bind, Some(vec![8000]));
    }

    #[test]
    fn a_second_run_adds_and_takes_nothing_away() {
        let first = new(&needs(&["/d/a", "/d/b"], &["/p/x"], &["read"]), &spec());
        let mut known = first;
        known.files.read.push("~/.config/x".into());
        let more = needs(&["/p/x/y", "/e"], &["/d"], &["open"]);
        let both = extended(known, &more);
        assert_eq!(both.files.write, ["/d", "/p/x"]);
        assert_eq!(both.files.read, ["~/.config/x", "/e"]);
        assert_eq!(both.syscalls.allow, ["open", "read"]);
    }

    #[test]
    fn a_profile_that_limits_no_calls_goes_on_to_limit_none() {
        let known: Profile = "version = 1\n".parse().expect("a good profile");
        let both = extended(known, &needs(&["/a"], &[], &["read"]));
        assert_eq!(both.syscalls, Syscalls::default());
        assert_eq!(both.network, Network::default());
    }
}
