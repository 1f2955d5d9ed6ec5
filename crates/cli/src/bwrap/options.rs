//! The command line of bwrap, read into values. Nothing is opened or looked at here but
//! the descriptors of `--args`, which the caller reads.
//!
//! An option and its values are words of their own: there is no `--option=value` and no
//! short one. Operations on files keep the order in which they are given.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{Kind, NamespaceSet};
use warren_spawn::Access;

use crate::failure::Failure;

/// The most words of a command line, those of `--args` included.
const MOST_WORDS: usize = 9000;

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    Run(Box<Options>),
}

/// All options, and the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// On files, in their order.
    pub operations: Vec<Operation>,
    /// New namespaces but the mount namespace, which is always new, and the user namespace.
    pub unshare: NamespaceSet,
    pub unshare_user: bool,
    pub unshare_user_try: bool,
    pub userns: Option<RawFd>,
    pub userns2: Option<RawFd>,
    pub pidns: Option<RawFd>,
    pub disable_userns: bool,
    pub assert_userns_disabled: bool,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub hostname: Option<OsString>,
    pub chdir: Option<PathBuf>,
    /// In their order.
    pub environment: Vec<Variable>,
    pub argv0: Option<OsString>,
    pub lock_files: Vec<PathBuf>,
    pub sync_fd: Option<RawFd>,
    pub seccomp: Option<RawFd>,
    /// In the order in which they are loaded.
    pub seccomp_stack: Vec<RawFd>,
    pub block_fd: Option<RawFd>,
    pub userns_block_fd: Option<RawFd>,
    pub info_fd: Option<RawFd>,
    pub json_status_fd: Option<RawFd>,
    pub new_session: bool,
    pub die_with_parent: bool,
    pub as_pid_1: bool,
    /// In their order.
    pub capabilities: Vec<CapabilityChange>,
    pub level_prefix: bool,
    pub command: Vec<OsString>,
    /// What is to be said before anything is done.
    pub warnings: Vec<String>,
}

/// One thing that is done to files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Bind {
        source: Source,
        target: PathBuf,
        access: Access,
        devices: bool,
        /// Whether the source may be missing.
        optional: bool,
    },
    RemountReadOnly(PathBuf),
    Overlay {
        /// The lowest first.
        lower: Vec<PathBuf>,
        upper: Changes,
        target: PathBuf,
    },
    Proc(PathBuf),
    Dev(PathBuf),
    Tmpfs {
        target: PathBuf,
        mode: u32,
        size: Option<u64>,
    },
    Mqueue(PathBuf),
    Folder {
        target: PathBuf,
        mode: u32,
    },
    File {
        fd: RawFd,
        target: PathBuf,
        mode: u32,
        /// Mounted in place of made, and how.
        mounted: Option<Access>,
    },
    Symlink {
        content: PathBuf,
        target: PathBuf,
    },
    Mode {
        target: PathBuf,
        mode: u32,
    },
}

/// What is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Path(PathBuf),
    Descriptor(RawFd),
}

/// Where an overlay puts changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    Folder { upper: PathBuf, work: PathBuf },
    Memory,
    None,
}

/// A change of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    Set(OsString, OsString),
    Unset(OsString),
    ClearAll,
}

/// A change of the capabilities; of all if `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityChange {
    Add(Option<Capability>),
    Drop(Option<Capability>),
}

impl CapabilityChange {
    /// `set` after the change; `all` are those that "all" means.
    pub fn apply(self, set: CapabilitySet, all: CapabilitySet) -> CapabilitySet {
        match self {
            Self::Add(None) => all,
            Self::Add(Some(one)) => set.with(one),
            Self::Drop(None) => CapabilitySet::EMPTY,
            Self::Drop(Some(one)) => set.without(one),
        }
    }
}

/// Reads the words behind a descriptor of `--args`.
pub type ReadWords<'a> = &'a mut dyn FnMut(RawFd) -> Result<Vec<OsString>, Failure>;

/// Reads a command line without its first word.
pub fn parse(arguments: &[OsString], read: ReadWords<'_>) -> Result<Request, Failure> {
    let mut parser = Parser {
        options: Options::default(),
        words: arguments.len(),
        mode: None,
        size: None,
        layers: Vec::new(),
    };
    if parser.words > MOST_WORDS {
        return Err(too_many());
    }
    let mut words = Words(arguments.iter());
    if let Some(request) = parser.take_all(&mut words, Some(read))? {
        return Ok(request);
    }
    if !parser.layers.is_empty() {
        return Err(lonely_layer());
    }
    let mut options = parser.options;
    options.command = words.0.cloned().collect();
    Ok(Request::Run(Box::new(options)))
}

fn too_many() -> Failure {
    Failure::usage(format!("Exceeded maximum number of arguments {MOST_WORDS}"))
}

fn lonely_layer() -> Failure {
    Failure::usage(
        "--overlay-src must be followed by another --overlay-src or one of --overlay, \
         --tmp-overlay, or --ro-overlay",
    )
}

/// The words that are left.
struct Words<'a>(std::slice::Iter<'a, OsString>);

impl Words<'_> {
    fn values<const N: usize>(&mut self, option: &str) -> Result<[OsString; N], Failure> {
        let many = match (N, option) {
            (1, "--chdir" | "--remount-ro") => "one argument",
            (1, _) => "an argument",
            (2, _) => "two arguments",
            _ => "three arguments",
        };
        let values: Vec<_> = self.0.by_ref().take(N).cloned().collect();
        values
            .try_into()
            .map_err(|_| Failure::usage(format!("{option} takes {many}")))
    }

    fn value(&mut self, option: &str) -> Result<OsString, Failure> {
        self.values::<1>(option).map(|[value]| value)
    }

    fn path(&mut self, option: &str) -> Result<PathBuf, Failure> {
        self.value(option).map(PathBuf::from)
    }

    fn pair(&mut self, option: &str) -> Result<(OsString, OsString), Failure> {
        self.values::<2>(option)
            .map(|[first, second]| (first, second))
    }

    fn fd(&mut self, option: &str) -> Result<RawFd, Failure> {
        descriptor(&self.value(option)?)
    }

    fn fd_and_path(&mut self, option: &str) -> Result<(RawFd, PathBuf), Failure> {
        let (fd, path) = self.pair(option)?;
        Ok((descriptor(&fd)?, path.into()))
    }
}

struct Parser {
    options: Options,
    words: usize,
    /// Of `--perms`, for the next operation.
    mode: Option<u32>,
    /// Of `--size`, likewise.
    size: Option<u64>,
    /// Of `--overlay-src`, likewise.
    layers: Vec<PathBuf>,
}

impl Parser {
    /// Takes options up to the first word that is none. Without `read`, the words are those
    /// of a file.
    fn take_all(
        &mut self,
        words: &mut Words<'_>,
        mut read: Option<ReadWords<'_>>,
    ) -> Result<Option<Request>, Failure> {
        loop {
            let Some(word) = words.0.as_slice().first() else {
                return Ok(None);
            };
            if !word.as_bytes().starts_with(b"-") {
                return Ok(None);
            }
            words.0.next();
            match word.to_str() {
                Some("--") => return Ok(None),
                Some("--help") => return Ok(Some(Request::Help)),
                Some("--version") => return Ok(Some(Request::Version)),
                Some("--args") => {
                    let fd = words.value("--args");
                    let Some(read) = read.as_deref_mut() else {
                        return Err(Failure::usage(
                            "--args not supported in arguments file",
                        ));
                    };
                    let more = read(descriptor(&fd?)?)?;
                    if let Some(request) = self.splice(&more)? {
                        return Ok(Some(request));
                    }
                }
                Some(option) => self.take(option, words)?,
                None => return Err(unknown(word)),
            }
            self.check_prefixes(word)?;
        }
    }

    /// Takes the options of a file; what follows them there is nothing to anybody.
    fn splice(&mut self, more: &[OsString]) -> Result<Option<Request>, Failure> {
        self.words += more.len();
        if self.words > MOST_WORDS {
            return Err(too_many());
        }
        self.take_all(&mut Words(more.iter()), None)
    }

    /// What only changes the next operation must come right before it.
    fn check_prefixes(&self, option: &OsStr) -> Result<(), Failure> {
        let is_prefix = option == "--perms" || option == "--size";
        if !self.layers.is_empty() && option != "--overlay-src" {
            return Err(lonely_layer());
        }
        if self.mode.is_some() && !is_prefix {
            return Err(Failure::usage(
                "--perms must be followed by an option that creates a file",
            ));
        }
        if self.size.is_some() && !is_prefix {
            return Err(Failure::usage("--size must be followed by --tmpfs"));
        }
        Ok(())
    }

    fn take(&mut self, option: &str, words: &mut Words<'_>) -> Result<(), Failure> {
        let options = &mut self.options;
        match option {
            "--level-prefix" => options.level_prefix = true,
            "--not-a-security-boundary" => {}
            _ if option.starts_with("--debug-opt=") => {}
            "--argv0" => {
                let name = words.value(option)?;
                if options.argv0.replace(name).is_some() {
                    return Err(Failure::usage("--argv0 used multiple times"));
                }
            }
            "--chdir" => {
                let path = words.path(option)?;
                let before = options.chdir.replace(path);
                self.only_last(option, before.is_some());
            }
            "--hostname" => {
                let name = words.value(option)?;
                let before = options.hostname.replace(name);
                self.only_last(option, before.is_some());
            }
            "--uid" => {
                let id = id(&words.value(option)?, "uid")?;
                let before = options.uid.replace(id);
                self.only_last(option, before.is_some());
            }
            "--gid" => {
                let id = id(&words.value(option)?, "gid")?;
                let before = options.gid.replace(id);
                self.only_last(option, before.is_some());
            }
            "--clearenv" => options.environment.push(Variable::ClearAll),
            "--setenv" => {
                let (name, value) = words.pair(option)?;
                if !is_name(&name) {
                    return Err(Failure::usage("setenv failed"));
                }
                options.environment.push(Variable::Set(name, value));
            }
            "--unsetenv" => {
                let name = words.value(option)?;
                if !is_name(&name) {
                    return Err(Failure::usage("unsetenv failed"));
                }
                options.environment.push(Variable::Unset(name));
            }
            "--new-session" => options.new_session = true,
            "--die-with-parent" => options.die_with_parent = true,
            "--as-pid-1" => options.as_pid_1 = true,
            "--lock-file" => options.lock_files.push(words.path(option)?),
            "--exec-label" | "--file-label" => {
                words.value(option)?;
                return Err(Failure::usage("labeling not supported on this system"));
            }
            "--cap-add" => {
                let which = capability(&words.value(option)?)?;
                options.capabilities.push(CapabilityChange::Add(which));
            }
            "--cap-drop" => {
                let which = capability(&words.value(option)?)?;
                options.capabilities.push(CapabilityChange::Drop(which));
            }
            "--perms" => {
                let mode = octal(&words.value(option)?, option)?;
                if self.mode.replace(mode).is_some() {
                    return Err(twice(option));
                }
            }
            "--size" => {
                let size = size(&words.value(option)?)?;
                if self.size.replace(size).is_some() {
                    return Err(twice(option));
                }
            }
            _ if self.take_namespaces(option) => {}
            _ if self.take_descriptor(option, words)? => {}
            _ => return self.take_operation(option, words),
        }
        Ok(())
    }

    fn take_namespaces(&mut self, option: &str) -> bool {
        let options = &mut self.options;
        let kind = match option {
            "--unshare-ipc" => Kind::Ipc,
            "--unshare-pid" => Kind::Pid,
            "--unshare-net" => Kind::Net,
            "--unshare-uts" => Kind::Uts,
            "--unshare-cgroup" | "--unshare-cgroup-try" => Kind::Cgroup,
            _ => {
                match option {
                    "--unshare-user" => options.unshare_user = true,
                    "--unshare-user-try" => options.unshare_user_try = true,
                    "--unshare-all" => {
                        options.unshare_user_try = true;
                        options.unshare =
                            [Kind::Ipc, Kind::Pid, Kind::Net, Kind::Uts, Kind::Cgroup]
                                .into_iter()
                                .collect();
                    }
                    "--share-net" => {
                        options.unshare = options.unshare.without(Kind::Net);
                    }
                    "--disable-userns" => options.disable_userns = true,
                    "--assert-userns-disabled" => options.assert_userns_disabled = true,
                    _ => return false,
                }
                return true;
            }
        };
        options.unshare = options.unshare.with(kind);
        true
    }

    fn take_descriptor(
        &mut self,
        option: &str,
        words: &mut Words<'_>,
    ) -> Result<bool, Failure> {
        let options = &mut self.options;
        let place = match option {
            "--sync-fd" => &mut options.sync_fd,
            "--seccomp" => &mut options.seccomp,
            "--block-fd" => &mut options.block_fd,
            "--userns-block-fd" => &mut options.userns_block_fd,
            "--info-fd" => &mut options.info_fd,
            "--json-status-fd" => &mut options.json_status_fd,
            "--userns" => &mut options.userns,
            "--userns2" => &mut options.userns2,
            "--pidns" => &mut options.pidns,
            "--add-seccomp-fd" => {
                if options.seccomp.is_some() {
                    return Err(not_with(option, "--seccomp"));
                }
                options.seccomp_stack.push(words.fd(option)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        let before = place.replace(words.fd(option)?);
        if option == "--seccomp" && !options.seccomp_stack.is_empty() {
            return Err(not_with(option, "--add-seccomp-fd"));
        }
        self.only_last(option, before.is_some());
        Ok(true)
    }

    fn only_last(&mut self, option: &str, given_before: bool) {
        if given_before {
            let warning = format!("Only the last {option} option will take effect");
            self.options.warnings.push(warning);
        }
    }

    fn take_operation(
        &mut self,
        option: &str,
        words: &mut Words<'_>,
    ) -> Result<(), Failure> {
        use Access::{ReadOnly, ReadWrite};
        let operation = match option {
            "--bind" => bind(words.pair(option)?, ReadWrite, false, false),
            "--bind-try" => bind(words.pair(option)?, ReadWrite, false, true),
            "--dev-bind" => bind(words.pair(option)?, ReadWrite, true, false),
            "--dev-bind-try" => bind(words.pair(option)?, ReadWrite, true, true),
            "--ro-bind" => bind(words.pair(option)?, ReadOnly, false, false),
            "--ro-bind-try" => bind(words.pair(option)?, ReadOnly, false, true),
            "--bind-fd" => bind_open(words.fd_and_path(option)?, ReadWrite),
            "--ro-bind-fd" => bind_open(words.fd_and_path(option)?, ReadOnly),
            "--remount-ro" => Operation::RemountReadOnly(words.path(option)?),
            "--proc" => Operation::Proc(words.path(option)?),
            "--dev" => Operation::Dev(words.path(option)?),
            "--mqueue" => Operation::Mqueue(words.path(option)?),
            "--tmpfs" => Operation::Tmpfs {
                target: words.path(option)?,
                mode: self.mode.take().unwrap_or(0o755),
                size: self.size.take(),
            },
            "--dir" => Operation::Folder {
                target: words.path(option)?,
                mode: self.mode.take().unwrap_or(0o755),
            },
            "--file" => self.file(words.fd_and_path(option)?, 0o666, None),
            "--bind-data" => {
                self.file(words.fd_and_path(option)?, 0o600, Some(ReadWrite))
            }
            "--ro-bind-data" => {
                self.file(words.fd_and_path(option)?, 0o600, Some(ReadOnly))
            }
            "--symlink" => {
                let (content, target) = words.pair(option)?;
                let (content, target) = (content.into(), target.into());
                Operation::Symlink { content, target }
            }
            "--chmod" => {
                let (mode, target) = words.pair(option)?;
                let (mode, target) = (octal(&mode, option)?, target.into());
                Operation::Mode { target, mode }
            }
            "--overlay-src" => {
                self.layers.push(words.path(option)?);
                return Ok(());
            }
            "--overlay" => {
                let [upper, work, target] = words.values(option)?.map(PathBuf::from);
                self.overlay(option, Changes::Folder { upper, work }, target)?
            }
            "--tmp-overlay" => {
                self.overlay(option, Changes::Memory, words.path(option)?)?
            }
            "--ro-overlay" => self.overlay(option, Changes::None, words.path(option)?)?,
            _ => return Err(unknown(option.as_ref())),
        };
        self.options.operations.push(operation);
        Ok(())
    }

    fn file(
        &mut self,
        (fd, target): (RawFd, PathBuf),
        mode: u32,
        mounted: Option<Access>,
    ) -> Operation {
        Operation::File {
            fd,
            target,
            mode: self.mode.take().unwrap_or(mode),
            mounted,
        }
    }

    fn overlay(
        &mut self,
        option: &str,
        upper: Changes,
        target: PathBuf,
    ) -> Result<Operation, Failure> {
        let lower = std::mem::take(&mut self.layers);
        let (least, words) = match upper {
            Changes::None => (2, "two"),
            Changes::Memory | Changes::Folder { .. } => (1, "one"),
        };
        if lower.len() < least {
            return Err(Failure::usage(format!(
                "{option} requires at least {words} --overlay-src"
            )));
        }
        Ok(Operation::Overlay {
            lower,
            upper,
            target,
        })
    }
}

fn bind(
    (source, target): (OsString, OsString),
    access: Access,
    devices: bool,
    optional: bool,
) -> Operation {
    Operation::Bind {
        source: Source::Path(source.into()),
        target: target.into(),
        access,
        devices,
        optional,
    }
}

fn bind_open((fd, target): (RawFd, PathBuf), access: Access) -> Operation {
    Operation::Bind {
        source: Source::Descriptor(fd),
        target,
        access,
        devices: false,
        optional: false,
    }
}

impl Options {
    /// The rules between options, in the order in which the original finds them.
    ///
    /// `implied` says that there is a new user namespace anyway.
    pub fn check(&self, implied: bool) -> Result<(), Failure> {
        let pid = self.unshare.contains(Kind::Pid);
        let own_user = self.unshare_user || implied || self.userns.is_some();
        let rules = [
            (
                self.userns.is_some() && self.unshare_user,
                "--userns not compatible --unshare-user",
            ),
            (
                self.userns.is_some() && self.unshare_user_try,
                "--userns not compatible --unshare-user-try",
            ),
            (
                self.disable_userns && !self.unshare_user,
                "--disable-userns requires --unshare-user",
            ),
            (
                self.userns_block_fd.is_some() && !self.unshare_user,
                "--userns-block-fd requires --unshare-user",
            ),
            (
                self.userns_block_fd.is_some() && self.info_fd.is_none(),
                "--userns-block-fd requires --info-fd",
            ),
            (
                self.disable_userns && self.userns_block_fd.is_some(),
                "--disable-userns is not compatible with --userns-block-fd",
            ),
            (
                self.uid.is_some() && !own_user,
                "Specifying --uid requires --unshare-user or --userns",
            ),
            (
                self.gid.is_some() && !own_user,
                "Specifying --gid requires --unshare-user or --userns",
            ),
            (
                self.hostname.is_some() && !self.unshare.contains(Kind::Uts),
                "Specifying --hostname requires --unshare-uts",
            ),
            (
                self.as_pid_1 && !pid,
                "Specifying --as-pid-1 requires --unshare-pid",
            ),
            (
                self.as_pid_1 && !self.lock_files.is_empty(),
                "Specifying --as-pid-1 and --lock-file is not permitted",
            ),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(Failure::usage(rule)),
            None => Ok(()),
        }
    }
}

fn unknown(word: &OsStr) -> Failure {
    Failure::usage(format!("Unknown option {}", word.display()))
}

fn twice(option: &str) -> Failure {
    Failure::usage(format!("{option} given twice for the same action"))
}

fn not_with(option: &str, other: &str) -> Failure {
    Failure::usage(format!("{option} cannot be combined with {other}"))
}

/// What setenv(3) takes for a name.
fn is_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().contains(&b'=')
}

/// The digits of a number as strtol(3) finds them: after white space and a plus sign.
fn digits(text: &OsStr) -> Option<&str> {
    let text = text.to_str()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = text.strip_prefix('+').unwrap_or(text);
    // parse() would take a second sign.
    (!digits.starts_with('+')).then_some(digits)
}

fn descriptor(text: &OsStr) -> Result<RawFd, Failure> {
    let number = digits(text).and_then(|digits| digits.parse().ok());
    number
        .filter(|number: &RawFd| *number >= 0)
        .ok_or_else(|| Failure::usage(format!("Invalid fd: {}", text.display())))
}

fn id(text: &OsStr, what: &str) -> Result<u32, Failure> {
    let number = digits(text).and_then(|digits| digits.parse().ok());
    number
        .filter(|number: &u32| *number != u32::MAX)
        .ok_or_else(|| Failure::usage(format!("Invalid {what}: {}", text.display())))
}

fn octal(text: &OsStr, option: &str) -> Result<u32, Failure> {
    let mode = digits(text).and_then(|digits| u32::from_str_radix(digits, 8).ok());
    mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Failure::usage(format!("{option} takes an octal argument <= 07777"))
    })
}

/// Bytes, in the bases that strtoull(3) tells apart.
fn size(text: &OsStr) -> Result<u64, Failure> {
    const LARGEST: u64 = u64::MAX / 2;
    let number = digits(text).and_then(|digits| {
        let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
        let (digits, base) = match hexadecimal {
            Some(digits) => (digits, 16),
            None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
            None => (digits, 10),
        };
        let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| u64::from_str_radix(digits, base).ok())?
    });
    match number {
        Some(1..=LARGEST) => {}
        None | Some(0) => {
            return Err(Failure::usage("--size takes a non-zero number of bytes"));
        }
        Some(_) => {
            return Err(Failure::usage(format!(
                "--size (for tmpfs) is limited to {LARGEST}"
            )));
        }
    }
    Ok(number.unwrap_or_default())
}

/// A capability by its name with `CAP_`, or its number; `None` for all.
fn capability(text: &OsStr) -> Result<Option<Capability>, Failure> {
    let unknown = || Failure::usage(format!("unknown cap: {}", text.display()));
    let name = text.to_str().ok_or_else(unknown)?;
    if name.eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    let numbered = name.parse().ok().and_then(Capability::from_number);
    let numbered = numbered.filter(|one| *one <= Capability::NEWEST);
    let has_prefix = name
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("cap_"));
    let named = has_prefix.then(|| name.parse().ok()).flatten();
    numbered.or(named).map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests;
