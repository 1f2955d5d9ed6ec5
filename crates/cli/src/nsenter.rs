//! The personality `nsenter`: a program in the namespaces of a process, or of files, as
//! nsenter(1) of util-linux runs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use warren_namespaces::{Kind, NamespaceSet, io_error_text};
use warren_spawn::transition::{
    Enter, Environment, Fork, Identity, Place, Relay, Source, Target, Transition,
};
use warren_sys::signal::SIGKILL;

use crate::failure::{self, Failure};
use crate::getopt::{Argument, Getopt, Known, Order};
use crate::util_linux;

const NAME: &str = "nsenter";

const HELP: &str = "\
usage: nsenter [OPTIONS] [PROGRAM [ARGUMENTS]...]

Runs PROGRAM, or the shell, in namespaces that exist, as nsenter(1) of util-linux.

  -t, --target PID[:INODE]  the process that is meant where no FILE or DIR is given; INODE
                            is that of its pidfd, so that no other process can be meant
  -a, --all                 enter all its namespaces; its user namespace only if that is
                            another one

kinds: those of the process, or of FILE, or with the id that the kernel gave (Linux 6.18):
  -m, --mount[=FILE|:ID]    mount points
  -u, --uts[=FILE|:ID]      host name
  -i, --ipc[=FILE|:ID]      System V IPC and message queues
  -n, --net[=FILE|:ID]      network
  -p, --pid[=FILE|:ID]      process ids
  -U, --user[=FILE|:ID]     user and group ids, capabilities
  -C, --cgroup[=FILE|:ID]   the root of the cgroup tree
  -T, --time[=FILE|:ID]     offsets of clocks
  -N, --net-socket FD       the network namespace of the process's socket FD
      --user-parent         the user namespace that owns the others

ids; in another user namespace PROGRAM is root, if nothing else is said:
  -S, --setuid UID|follow   become this user, or the one that the process is
  -G, --setgid GID|follow   become of this group, or of the process's, and of no other
      --preserve-credentials
                            leave user and groups as they are
      --keep-caps           hand the capabilities in the user namespace on to PROGRAM

more of the process:
  -r, --root[=DIR]          make its root, or DIR, the root (chroot)
  -w, --wd[=DIR]            go to its working directory, or DIR as it is outside
  -W, --wdns DIR            go to DIR as it is inside
  -e, --env                 have its environment
  -c, --join-cgroup         join its cgroups, on every hierarchy
  -Z, --follow-context      have its SELinux context

  -F, --no-fork             become PROGRAM also where a pid namespace is entered
      --plan                print what would be done, and do nothing (not in util-linux)
  -h, --help                this text
  -V, --version             the version
";

/// What an option is, apart from its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    All,
    Target,
    Kind(Kind),
    NetSocket,
    UserParent,
    SetUid,
    SetGid,
    Root,
    Wd,
    Wdns,
    Env,
    NoFork,
    JoinCgroup,
    PreserveCredentials,
    KeepCaps,
    FollowContext,
    Plan,
}

/// In the order in which util-linux names the possibilities of an ambiguous one.
const OPTIONS: &[Known<Key>] = &[
    option(b'a', "all", Key::All, Argument::None),
    option(b'h', "help", Key::Help, Argument::None),
    option(b'V', "version", Key::Version, Argument::None),
    option(b't', "target", Key::Target, Argument::Required),
    option(b'm', "mount", Key::Kind(Kind::Mnt), Argument::Optional),
    option(b'u', "uts", Key::Kind(Kind::Uts), Argument::Optional),
    option(b'i', "ipc", Key::Kind(Kind::Ipc), Argument::Optional),
    option(b'n', "net", Key::Kind(Kind::Net), Argument::Optional),
    option(b'N', "net-socket", Key::NetSocket, Argument::Required),
    option(b'p', "pid", Key::Kind(Kind::Pid), Argument::Optional),
    option(b'U', "user", Key::Kind(Kind::User), Argument::Optional),
    option(b'C', "cgroup", Key::Kind(Kind::Cgroup), Argument::Optional),
    option(b'T', "time", Key::Kind(Kind::Time), Argument::Optional),
    option(b'S', "setuid", Key::SetUid, Argument::Required),
    option(b'G', "setgid", Key::SetGid, Argument::Required),
    option(b'r', "root", Key::Root, Argument::Optional),
    option(b'w', "wd", Key::Wd, Argument::Optional),
    option(b'W', "wdns", Key::Wdns, Argument::Required),
    option(b'e', "env", Key::Env, Argument::None),
    option(b'F', "no-fork", Key::NoFork, Argument::None),
    option(b'c', "join-cgroup", Key::JoinCgroup, Argument::None),
    long("preserve-credentials", Key::PreserveCredentials),
    long("keep-caps", Key::KeepCaps),
    long("user-parent", Key::UserParent),
    option(b'Z', "follow-context", Key::FollowContext, Argument::None),
    // Ours.
    long("plan", Key::Plan),
];

const fn option(
    short: u8,
    long: &'static str,
    key: Key,
    argument: Argument,
) -> Known<Key> {
    Known {
        key,
        short: Some(short),
        long: Some(long),
        argument,
    }
}

const fn long(long: &'static str, key: Key) -> Known<Key> {
    Known {
        key,
        short: None,
        long: Some(long),
        argument: Argument::None,
    }
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    match parse(arguments)? {
        Request::Print(text) => {
            failure::print(&text)?;
            Ok(0)
        }
        Request::Run(options, program) => {
            let wanted = options.transition(program)?;
            util_linux::run(NAME, &wanted, options.plan)
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
enum Request {
    Print(String),
    Run(Box<Options>, Vec<OsString>),
}

/// The options, as they were given.
#[derive(Debug, Default)]
struct Options {
    target: Option<Target>,
    all: bool,
    /// The target's.
    kinds: NamespaceSet,
    others: Vec<(Kind, Source)>,
    socket: Option<i32>,
    user_parent: bool,
    uid: Option<Identity>,
    gid: Option<Identity>,
    preserve: bool,
    keep_caps: bool,
    root: Option<Place>,
    wd: Option<Place>,
    wdns: Option<OsString>,
    env: bool,
    no_fork: bool,
    join_cgroup: bool,
    follow_context: bool,
    plan: bool,
}

fn parse(arguments: &[OsString]) -> Result<Request, Failure> {
    let mut options = Options::default();
    let mut getopt = Getopt::new(OPTIONS, Order::OptionsFirst, arguments);
    for met in getopt.by_ref() {
        let (key, argument) =
            met.map_err(|complaint| util_linux::usage(NAME, &complaint))?;
        match key {
            Key::Help => return Ok(Request::Print(HELP.to_owned())),
            Key::Version => return Ok(Request::Print(util_linux::version(NAME))),
            key => options.take(key, argument)?,
        }
    }
    Ok(Request::Run(Box::new(options), getopt.operands()))
}

impl Options {
    fn take(&mut self, key: Key, argument: Option<OsString>) -> Result<(), Failure> {
        let text = argument.clone().unwrap_or_default();
        match key {
            Key::All => self.all = true,
            Key::Target if self.target.is_some() => {
                return Err(Failure::usage("option --target may be given only once"));
            }
            Key::Target => self.target = Some(target(&text)?),
            Key::Kind(kind) => self.kind(kind, argument.as_deref())?,
            Key::NetSocket => {
                let number = text.to_str().and_then(|text| text.parse().ok());
                let valid = number.filter(|fd: &i32| *fd >= 0);
                let wrong = || {
                    Failure::usage(format!(
                        "failed to parse file descriptor: '{}'",
                        text.display()
                    ))
                };
                self.socket = Some(valid.ok_or_else(wrong)?);
            }
            Key::UserParent => self.user_parent = true,
            Key::SetUid => self.uid = Some(identity(&text, "uid")?),
            Key::SetGid => self.gid = Some(identity(&text, "gid")?),
            Key::Root => self.root = Some(place(argument.as_deref())),
            Key::Wd => self.wd = Some(place(argument.as_deref())),
            Key::Wdns => self.wdns = argument.map(|text| unattached(&text).to_owned()),
            Key::Env => self.env = true,
            Key::NoFork => self.no_fork = true,
            Key::JoinCgroup => self.join_cgroup = true,
            Key::PreserveCredentials => self.preserve = true,
            Key::KeepCaps => self.keep_caps = true,
            Key::FollowContext => self.follow_context = true,
            Key::Plan => self.plan = true,
            Key::Help | Key::Version => {}
        }
        Ok(())
    }

    fn kind(&mut self, kind: Kind, from: Option<&OsStr>) -> Result<(), Failure> {
        self.kinds = self.kinds.without(kind);
        self.others.retain(|(other, _)| *other != kind);
        match from {
            None => self.kinds = self.kinds.with(kind),
            Some(text) => self.others.push((kind, source(unattached(text))?)),
        }
        Ok(())
    }

    /// The rules between options, and what they come to.
    fn transition(&self, program: Vec<OsString>) -> Result<Transition, Failure> {
        if self.wd.is_some() && self.wdns.is_some() {
            return Err(Failure::usage("options --wd and --wdns cannot be combined"));
        }
        self.check_target()?;
        let (kinds, others) = self.namespaces()?;
        if kinds.is_empty() && others.is_empty() && !self.changes_more() {
            return Err(Failure::usage("no namespace specified").hint(
                "name some: nsenter --target PID --all, or -m -u -i -n -p -U -C -T",
            ));
        }
        let entered = |kind: Kind| {
            kinds.contains(kind) || others.iter().any(|(other, _)| *other == kind)
        };
        let user = entered(Kind::User);
        let (uid, gid) = self.identities(user);
        let env = self.environment();
        let (argv, called) = if program.is_empty() {
            let (shell, called) = util_linux::shell(&self.shell_environment());
            (vec![shell], Some(called))
        } else {
            (program, None)
        };
        let fork = entered(Kind::Pid) && !self.no_fork;
        Ok(Transition {
            root: self.root.clone(),
            cwd: self.cwd(),
            fork: fork.then_some(Fork {
                death_signal: Some(SIGKILL),
                relay: Relay::All,
                init: false,
            }),
            uid,
            gid,
            keep_groups: self.preserve,
            keep_capabilities: self.keep_caps && user,
            env,
            argv,
            called,
            enter: Enter {
                target: self.target,
                kinds: kinds.iter().collect(),
                others,
                cgroups: self.join_cgroup,
                context: self.follow_context && self.target.is_some(),
            },
            ..Transition::default()
        })
    }

    /// Whether there is something else to do than to enter namespaces.
    fn changes_more(&self) -> bool {
        self.root.is_some()
            || self.wd.is_some()
            || self.wdns.is_some()
            || self.uid.is_some()
            || self.gid.is_some()
            || self.env
            || self.join_cgroup
            || self.follow_context
    }

    fn check_target(&self) -> Result<(), Failure> {
        if self.target.is_some() {
            return Ok(());
        }
        if self.all {
            // The words are those of a look at what is not there.
            return Err(Failure::usage(
                "stat of /proc/0/ns/user failed: No such file or directory",
            )
            .hint("--target PID says whose namespaces are meant"));
        }
        let of_target = Some(&Place::OfTarget);
        let file = [
            (self.root.as_ref() == of_target, "root"),
            (self.wd.as_ref() == of_target, "cwd"),
            (self.env, "environ"),
        ];
        let hint = "--target PID says whose, --net=FILE and its like where else";
        if let Some((_, file)) = file.into_iter().find(|(needed, _)| *needed) {
            return Err(Failure::usage(format!(
                "neither filename nor target pid supplied for {file}"
            ))
            .hint(hint));
        }
        let needed = !self.kinds.is_empty()
            || self.socket.is_some()
            || self.join_cgroup
            || [self.uid, self.gid].contains(&Some(Identity::OfTarget));
        if needed {
            return Err(Failure::usage("no target PID specified").hint(hint));
        }
        Ok(())
    }

    /// The kinds that are the target's, and where the others are.
    fn namespaces(&self) -> Result<(NamespaceSet, Vec<(Kind, Source)>), Failure> {
        let mut kinds = self.kinds;
        let mut others = self.others.clone();
        if let (true, Some(target)) = (self.all, self.target) {
            for kind in self.all_of(target)? {
                kinds = kinds.with(kind);
            }
        }
        let mut replace = |kind: Kind, source: Source| {
            kinds = kinds.without(kind);
            others.retain(|(other, _)| *other != kind);
            others.push((kind, source));
        };
        if let Some(fd) = self.socket {
            replace(Kind::Net, Source::Socket(fd));
        }
        if self.user_parent {
            replace(Kind::User, Source::Owner);
        }
        Ok((kinds, others))
    }

    /// What `--all` adds: the kinds that this kernel has and that no other option names.
    fn all_of(&self, target: Target) -> Result<Vec<Kind>, Failure> {
        let named = |kind: &Kind| {
            self.kinds.contains(*kind)
                || self.others.iter().any(|(other, _)| other == kind)
        };
        let is_there = |kind: &Kind| Path::new(&format!("/proc/self/ns/{kind}")).exists();
        let mut kinds: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| !named(kind)).collect();
        kinds.retain(is_there);
        if kinds.contains(&Kind::User) && is_own_user_namespace(target.pid)? {
            kinds.retain(|kind| *kind != Kind::User);
        }
        Ok(kinds)
    }

    /// In another user namespace the caller's ids mean nothing.
    fn identities(&self, user: bool) -> (Option<Identity>, Option<Identity>) {
        let root = (user && !self.preserve).then_some(Identity::Known(0));
        (self.uid.or(root), self.gid.or(root))
    }

    fn cwd(&self) -> Option<Place> {
        let inside = self.wdns.as_ref().map(|path| Place::After(path.into()));
        self.wd.clone().or(inside)
    }

    fn environment(&self) -> Environment {
        if self.env {
            return Environment::OfTarget;
        }
        Environment::Given(std::env::vars_os().collect())
    }

    /// Where the shell's name is found: with `--env` in the target's environment.
    fn shell_environment(&self) -> Environment {
        let (true, Some(target)) = (self.env, self.target) else {
            return self.environment();
        };
        let text = std::fs::read(format!("/proc/{}/environ", target.pid));
        let text = text.unwrap_or_default();
        let shell = text
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(b"SHELL="));
        let shell = shell.map(|shell| OsString::from_vec(shell.to_vec()));
        Environment::Given(
            shell
                .map(|shell| ("SHELL".into(), shell))
                .into_iter()
                .collect(),
        )
    }
}

/// Whether a process is in the caller's user namespace.
fn is_own_user_namespace(pid: u32) -> Result<bool, Failure> {
    let inode = |process: &str| {
        let path = format!("/proc/{process}/ns/user");
        std::fs::metadata(&path)
            .map(|data| (data.dev(), data.ino()))
            .map_err(|error| {
                let why = io_error_text(&error);
                Failure::new(format!("stat of {path} failed: {why}"))
            })
    };
    let theirs = inode(&pid.to_string()).map_err(|failure| {
        failure.hint(
            "the process is gone, or is another user's or has more capabilities: be root",
        )
    })?;
    Ok(inode("self")? == theirs)
}

/// What is attached to a short option may begin with `=`, as it does to a long one.
fn unattached(text: &OsStr) -> &OsStr {
    let bytes = text.as_bytes();
    OsStr::from_bytes(bytes.strip_prefix(b"=").unwrap_or(bytes))
}

fn place(path: Option<&OsStr>) -> Place {
    path.map_or(Place::OfTarget, |path| {
        Place::Before(unattached(path).into())
    })
}

/// A file, or `:ID`.
fn source(text: &OsStr) -> Result<Source, Failure> {
    let Some(id) = text.as_bytes().strip_prefix(b":") else {
        return Ok(Source::Path(text.into()));
    };
    let number = str::from_utf8(id).ok().and_then(|id| id.parse().ok());
    number.map(Source::Id).ok_or_else(|| {
        let id = OsStr::from_bytes(id).display();
        Failure::usage(format!("failed to parse nsid: {id}"))
    })
}

/// `PID` or `PID:INODE`.
fn target(text: &OsStr) -> Result<Target, Failure> {
    let wrong = || Failure::usage("invalid PID argument");
    let all = text.to_str().ok_or_else(wrong)?;
    let (pid, inode) = match all.split_once(':') {
        Some((pid, inode)) => (pid, Some(inode)),
        None => (all, None),
    };
    let inode = inode.map(|inode| inode.parse().map_err(|_| wrong()));
    let pid = pid.parse().ok().filter(|pid| *pid != 0);
    Ok(Target {
        pid: pid.ok_or_else(wrong)?,
        pidfd_inode: inode.transpose()?,
    })
}

fn identity(text: &OsStr, what: &str) -> Result<Identity, Failure> {
    if text == "follow" {
        return Ok(Identity::OfTarget);
    }
    util_linux::id(text, what).map(Identity::Known)
}

#[cfg(test)]
mod tests;
