//! The personality `unshare`: a program in new namespaces of the kinds named, as
//! unshare(1) of util-linux runs it.

mod maps;

use std::ffi::{OsStr, OsString};

use warren_namespaces::accounts::{Accounts, group_by_name, passwd_by_name};
use warren_namespaces::{Kind, NamespaceSet};
use warren_spawn::transition::{
    BINFMT, Caller, Clock, Create, Environment, Fork, Identity, MapFile, Pin, Place,
    Propagation, Relay, SetGroups, Transition,
};

use crate::failure::{self, Failure};
use crate::getopt::{Argument, Getopt, Known, Order};
use crate::util_linux;
use maps::{Ranges, Wanted};

const NAME: &str = "unshare";

const HELP: &str = "\
usage: unshare [OPTIONS] [PROGRAM [ARGUMENTS]...]

Runs PROGRAM, or the shell, in new namespaces of the kinds named. As unshare(1) of
util-linux: nothing else changes, and the process stays the same unless --fork.

kinds; =FILE binds the namespace to a file that exists, so that it outlives its processes:
  -m, --mount[=FILE]        mount points
  -u, --uts[=FILE]          host name
  -i, --ipc[=FILE]          System V IPC and message queues
  -n, --net[=FILE]          network
  -p, --pid[=FILE]          process ids, of what is forked from then on
  -U, --user[=FILE]         user and group ids, capabilities
  -C, --cgroup[=FILE]       the root of the cgroup tree
  -T, --time[=FILE]         offsets of clocks, of what is forked from then on
      --all                 all eight (not in util-linux)

ids in a new user namespace; each implies --user:
  -r, --map-root-user       be root
  -c, --map-current-user    be oneself
      --map-user=ID|NAME    be this user
      --map-group=ID|NAME   be of this group
      --map-users=IN:OUT:COUNT|auto|subids|all
      --map-groups=IN:OUT:COUNT|auto|subids|all
                            map ranges; may be given several times
      --map-auto            the range of /etc/subuid and /etc/subgid, from 0 on
      --map-subids          the same, as the ids that they are outside
      --setgroups allow|deny
      --keep-caps           hand the capabilities on to PROGRAM
      --owner UID:GID       make the namespaces as this user

process:
  -f, --fork                run PROGRAM as a child
      --kill-child[=SIGNAL] kill it when unshare dies (implies --fork)
      --forward-signals     pass TERM and INT on to it (implies --fork)
      --add-init            put a reaping init in front of it (implies --fork; not in
                            util-linux)
  -S, --setuid UID          become this user
  -G, --setgid GID          become of this group, and of no other
      --clear-env           give it no environment
      --whitelist-env NAME,...
                            give it these variables only

files:
  -R, --root DIR            make DIR the root (chroot)
  -w, --wd DIR              go to DIR
      --propagation slave|shared|private|unchanged
                            of mounts in a new mount namespace; private if not given
      --mount-proc[=DIR]    mount a procfs at /proc (implies --mount)
      --mount-binfmt[=DIR]  mount a binfmt_misc (implies --user and --mount)
  -l, --load-interp STRING  register an interpreter in it (implies --mount-binfmt)

clocks of a new time namespace, in seconds:
      --monotonic OFFSET
      --boottime OFFSET

      --plan                print what would be done, and do nothing (not in util-linux)
  -h, --help                this text
  -V, --version             the version
";

/// What an option is, apart from its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Kind(Kind),
    All,
    Fork,
    KillChild,
    ForwardSignals,
    AddInit,
    MountProc,
    MountBinfmt,
    LoadInterp,
    MapUser,
    MapUsers,
    MapGroup,
    MapGroups,
    MapRootUser,
    MapCurrentUser,
    MapAuto,
    MapSubids,
    Owner,
    Propagation,
    SetGroups,
    KeepCaps,
    SetUid,
    SetGid,
    Root,
    Wd,
    Monotonic,
    Boottime,
    ClearEnv,
    WhitelistEnv,
    Plan,
}

/// In the order in which util-linux names the possibilities of an ambiguous one; a kind
/// takes a file in its long form only.
const OPTIONS: &[Known<Key>] = &[
    both(b'h', "help", Key::Help, Argument::None),
    both(b'V', "version", Key::Version, Argument::None),
    short(b'm', Key::Kind(Kind::Mnt)),
    long("mount", Key::Kind(Kind::Mnt), Argument::Optional),
    short(b'u', Key::Kind(Kind::Uts)),
    long("uts", Key::Kind(Kind::Uts), Argument::Optional),
    short(b'i', Key::Kind(Kind::Ipc)),
    long("ipc", Key::Kind(Kind::Ipc), Argument::Optional),
    short(b'n', Key::Kind(Kind::Net)),
    long("net", Key::Kind(Kind::Net), Argument::Optional),
    short(b'p', Key::Kind(Kind::Pid)),
    long("pid", Key::Kind(Kind::Pid), Argument::Optional),
    short(b'U', Key::Kind(Kind::User)),
    long("user", Key::Kind(Kind::User), Argument::Optional),
    short(b'C', Key::Kind(Kind::Cgroup)),
    long("cgroup", Key::Kind(Kind::Cgroup), Argument::Optional),
    short(b'T', Key::Kind(Kind::Time)),
    long("time", Key::Kind(Kind::Time), Argument::Optional),
    both(b'f', "fork", Key::Fork, Argument::None),
    long("kill-child", Key::KillChild, Argument::Optional),
    long("forward-signals", Key::ForwardSignals, Argument::None),
    long("mount-proc", Key::MountProc, Argument::Optional),
    long("mount-binfmt", Key::MountBinfmt, Argument::Optional),
    long("map-user", Key::MapUser, Argument::Required),
    long("map-users", Key::MapUsers, Argument::Required),
    long("map-group", Key::MapGroup, Argument::Required),
    long("map-groups", Key::MapGroups, Argument::Required),
    both(b'r', "map-root-user", Key::MapRootUser, Argument::None),
    both(
        b'c',
        "map-current-user",
        Key::MapCurrentUser,
        Argument::None,
    ),
    long("map-auto", Key::MapAuto, Argument::None),
    long("map-subids", Key::MapSubids, Argument::None),
    long("owner", Key::Owner, Argument::Required),
    long("propagation", Key::Propagation, Argument::Required),
    long("setgroups", Key::SetGroups, Argument::Required),
    long("keep-caps", Key::KeepCaps, Argument::None),
    both(b'S', "setuid", Key::SetUid, Argument::Required),
    both(b'G', "setgid", Key::SetGid, Argument::Required),
    both(b'R', "root", Key::Root, Argument::Required),
    both(b'w', "wd", Key::Wd, Argument::Required),
    long("monotonic", Key::Monotonic, Argument::Required),
    long("boottime", Key::Boottime, Argument::Required),
    both(b'l', "load-interp", Key::LoadInterp, Argument::Required),
    long("clear-env", Key::ClearEnv, Argument::None),
    long("whitelist-env", Key::WhitelistEnv, Argument::Required),
    // Ours: no prefix of them is one of an option above that stands alone.
    long("all", Key::All, Argument::None),
    long("add-init", Key::AddInit, Argument::None),
    long("plan", Key::Plan, Argument::None),
];

const fn both(short: u8, long: &'static str, key: Key, argument: Argument) -> Known<Key> {
    Known {
        key,
        short: Some(short),
        long: Some(long),
        argument,
    }
}

const fn long(long: &'static str, key: Key, argument: Argument) -> Known<Key> {
    Known {
        key,
        short: None,
        long: Some(long),
        argument,
    }
}

const fn short(short: u8, key: Key) -> Known<Key> {
    Known {
        key,
        short: Some(short),
        long: None,
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
            let wanted = transition(&options, program, Caller::current())?;
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
    kinds: NamespaceSet,
    pins: Vec<Pin>,
    fork: Option<Fork>,
    mount_proc: Option<OsString>,
    mount_binfmt: bool,
    binfmt_folder: Option<OsString>,
    interpreter: Option<OsString>,
    users: Wanted,
    groups: Wanted,
    owner: Option<(u32, u32)>,
    /// `None` inside: unchanged.
    propagation: Option<Option<Propagation>>,
    setgroups: Option<SetGroups>,
    keep_caps: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    root: Option<OsString>,
    wd: Option<OsString>,
    monotonic: Option<i64>,
    boottime: Option<i64>,
    /// The variables to keep, where not all.
    variables: Option<Vec<OsString>>,
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
    options.check()?;
    Ok(Request::Run(Box::new(options), getopt.operands()))
}

impl Options {
    fn take(&mut self, key: Key, argument: Option<OsString>) -> Result<(), Failure> {
        let text = argument.clone().unwrap_or_default();
        match key {
            Key::Kind(kind) => self.kind(kind, argument),
            Key::All => self.kinds = NamespaceSet::ALL,
            Key::Fork => drop(self.forked()),
            Key::KillChild => {
                let signal = match argument {
                    None => Some(signal_kill()),
                    Some(name) => util_linux::signal_by_name(&name),
                };
                let unknown =
                    || Failure::usage(format!("unknown signal: {}", text.display()));
                self.forked().death_signal = Some(signal.ok_or_else(unknown)?);
            }
            Key::ForwardSignals => self.forked().relay = Relay::Forward,
            Key::AddInit => self.forked().init = true,
            Key::MountProc => {
                self.mount_proc = Some(argument.unwrap_or_else(|| "/proc".into()));
            }
            Key::MountBinfmt => {
                self.mount_binfmt = true;
                self.binfmt_folder = argument;
            }
            Key::LoadInterp => {
                self.mount_binfmt = true;
                self.interpreter = argument;
            }
            Key::Propagation => self.propagation = Some(propagation(&text)?),
            Key::Root => self.root = argument,
            Key::Wd => self.wd = argument,
            Key::Monotonic => self.monotonic = Some(offset(&text, "monotonic")?),
            Key::Boottime => self.boottime = Some(offset(&text, "boottime")?),
            Key::ClearEnv => drop(self.variables.get_or_insert_default()),
            Key::WhitelistEnv => {
                let names = util_linux::split_list(&text);
                self.variables.get_or_insert_default().extend(names);
            }
            Key::Plan => self.plan = true,
            Key::Help | Key::Version => {}
            key => self.take_ids(key, &text)?,
        }
        Ok(())
    }

    fn take_ids(&mut self, key: Key, text: &OsStr) -> Result<(), Failure> {
        match key {
            Key::MapUser => self.users.own = Some(user(text)?),
            Key::MapGroup => self.groups.own = Some(group(text)?),
            Key::MapUsers => self.users.ranges.push(Ranges::parse(text)?),
            Key::MapGroups => self.groups.ranges.push(Ranges::parse(text)?),
            Key::MapRootUser => self.map_own(0, 0),
            Key::MapCurrentUser => {
                let caller = Caller::current();
                self.map_own(caller.uid, caller.gid);
            }
            Key::MapAuto => self.map_both(&Ranges::Auto),
            Key::MapSubids => self.map_both(&Ranges::Subids),
            Key::Owner => {
                let owner = util_linux::id_pair(text);
                self.owner =
                    Some(owner.ok_or_else(|| Failure::usage("failed to parse owner"))?);
            }
            Key::SetGroups => self.setgroups = Some(setgroups(text)?),
            Key::KeepCaps => self.keep_caps = true,
            Key::SetUid => self.uid = Some(util_linux::id(text, "uid")?),
            Key::SetGid => self.gid = Some(util_linux::id(text, "gid")?),
            _ => {}
        }
        let maps = self.users != Wanted::default() || self.groups != Wanted::default();
        if maps {
            self.kinds = self.kinds.with(Kind::User);
        }
        Ok(())
    }

    fn kind(&mut self, kind: Kind, file: Option<OsString>) {
        self.kinds = self.kinds.with(kind);
        if let Some(path) = file {
            self.pins.retain(|pin| pin.kind != kind);
            self.pins.push(Pin {
                kind,
                path: path.into(),
            });
        }
    }

    fn forked(&mut self) -> &mut Fork {
        self.fork.get_or_insert_default()
    }

    fn map_own(&mut self, uid: u32, gid: u32) {
        self.users.own = Some(uid);
        self.groups.own = Some(gid);
    }

    fn map_both(&mut self, ranges: &Ranges) {
        self.users.ranges.push(ranges.clone());
        self.groups.ranges.push(ranges.clone());
    }

    /// The rules between options, which the original finds in this order.
    fn check(&mut self) -> Result<(), Failure> {
        if self.mount_binfmt {
            self.kinds = self.kinds.with(Kind::User).with(Kind::Mnt);
            if self.binfmt_folder.is_none() && self.mount_proc.is_none() {
                self.mount_proc = Some("/proc".into());
            }
        }
        if self.mount_proc.is_some() {
            self.kinds = self.kinds.with(Kind::Mnt);
        }
        let shifted = self.monotonic.is_some() || self.boottime.is_some();
        if shifted && !self.kinds.contains(Kind::Time) {
            return Err(Failure::usage(
                "options --monotonic and --boottime require unsharing of a time \
                 namespace (-T)",
            ));
        }
        let own_group = self.groups.own.is_some() && self.groups.ranges.is_empty();
        if own_group && self.setgroups == Some(SetGroups::Allow) {
            return Err(Failure::usage(
                "options --setgroups=allow and --map-group are mutually exclusive",
            ));
        }
        Ok(())
    }
}

const fn signal_kill() -> i32 {
    warren_sys::signal::SIGKILL
}

/// Options as what is to become of the process.
fn transition(
    options: &Options,
    program: Vec<OsString>,
    caller: Caller,
) -> Result<Transition, Failure> {
    let env = environment(options.variables.as_deref());
    let (argv, called) = if program.is_empty() {
        let (shell, called) = util_linux::shell(&env);
        (vec![shell], Some(called))
    } else {
        (program, None)
    };
    let place = |path: &OsString| Place::After(path.into());
    Ok(Transition {
        create: create(options, caller)?,
        root: options.root.as_ref().map(place),
        cwd: options.wd.as_ref().map(place),
        fork: options.fork,
        uid: options.uid.map(Identity::Known),
        gid: options.gid.map(Identity::Known),
        keep_capabilities: options.keep_caps && options.kinds.contains(Kind::User),
        env,
        argv,
        called,
        ..Transition::default()
    })
}

fn create(options: &Options, caller: Caller) -> Result<Create, Failure> {
    let (uid, gid) = options.owner.unwrap_or((caller.uid, caller.gid));
    let uids = maps::resolve(&options.users, MapFile::Uid, uid, caller.uid)?;
    let gids = maps::resolve(&options.groups, MapFile::Gid, gid, caller.uid)?;
    // Without privilege setgroups(2) must be given up before gid_map can be written.
    let own_group = matches!(gids, Some(warren_spawn::transition::Map::Own(_)));
    let mounts = options.kinds.contains(Kind::Mnt);
    let offsets = [
        (Clock::Boottime, options.boottime),
        (Clock::Monotonic, options.monotonic),
    ];
    let folder = options
        .binfmt_folder
        .clone()
        .unwrap_or_else(|| BINFMT.into());
    Ok(Create {
        kinds: options.kinds.iter().collect(),
        pins: options.pins.clone(),
        owner: options.owner,
        uids,
        gids,
        setgroups: options.setgroups.or(own_group.then_some(SetGroups::Deny)),
        offsets: offsets
            .into_iter()
            .filter_map(|(clock, seconds)| Some((clock, seconds?)))
            .collect(),
        propagation: if mounts {
            options.propagation.unwrap_or(Some(Propagation::Private))
        } else {
            None
        },
        proc: options.mount_proc.as_ref().map(Into::into),
        binfmt: options.mount_binfmt.then(|| folder.into()),
        interpreter: options.interpreter.clone(),
    })
}

fn environment(kept: Option<&[OsString]>) -> Environment {
    let all = std::env::vars_os();
    Environment::Given(match kept {
        None => all.collect(),
        Some(names) => all.filter(|(name, _)| names.contains(name)).collect(),
    })
}

fn propagation(text: &OsStr) -> Result<Option<Propagation>, Failure> {
    match text.to_str() {
        Some("slave") => Ok(Some(Propagation::Slave)),
        Some("shared") => Ok(Some(Propagation::Shared)),
        Some("private") => Ok(Some(Propagation::Private)),
        Some("unchanged") => Ok(None),
        _ => Err(Failure::usage(format!(
            "unsupported propagation mode: {}",
            text.display()
        ))),
    }
}

fn setgroups(text: &OsStr) -> Result<SetGroups, Failure> {
    match text.to_str() {
        Some("allow") => Ok(SetGroups::Allow),
        Some("deny") => Ok(SetGroups::Deny),
        _ => Err(Failure::usage(format!(
            "unsupported --setgroups argument '{}'",
            text.display()
        ))),
    }
}

/// Seconds, as strtoll(3) reads them.
fn offset(text: &OsStr, clock: &str) -> Result<i64, Failure> {
    let number = text.to_str().map(str::trim_start).and_then(|digits| {
        let digits = digits.strip_prefix('+').unwrap_or(digits);
        digits.parse().ok()
    });
    number.ok_or_else(|| {
        Failure::usage(format!(
            "failed to parse {clock} offset: '{}'",
            text.display()
        ))
    })
}

fn user(text: &OsStr) -> Result<u32, Failure> {
    named(text, "uid", |accounts, name| {
        passwd_by_name(&accounts.passwd, name).map(|user| user.uid)
    })
}

fn group(text: &OsStr) -> Result<u32, Failure> {
    named(text, "gid", |accounts, name| {
        group_by_name(&accounts.group, name).map(|group| group.gid)
    })
}

/// A name, or a number.
fn named(
    text: &OsStr,
    what: &str,
    find: impl Fn(&Accounts, &str) -> Option<u32>,
) -> Result<u32, Failure> {
    if let Ok(number) = util_linux::id(text, what) {
        return Ok(number);
    }
    let accounts = Accounts::read().map_err(Failure::new)?;
    let found = text.to_str().and_then(|name| find(&accounts, name));
    found.ok_or_else(|| {
        Failure::usage(format!("failed to parse {what} '{}'", text.display()))
    })
}

/// The user's shell.
pub fn shell() -> OsString {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    shell.unwrap_or_else(|| "/bin/sh".into())
}

#[cfg(test)]
mod tests;
