//! `warren run`: a command in eight new namespaces.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::accounts::{
    Accounts, group_by_name, passwd_by_name, passwd_by_uid,
};
use warren_namespaces::{IdMap, Kind, NamespaceSet, ProcRoot};
use warren_spawn::{
    Access, DEFAULT_PATH, Host, IdMapping, Mount, Namespace, Namespaces, Plan, Root,
    Seccomp, Spec, Terminal, User, system,
};

use crate::failure::{self, Failure};
use crate::{pty, seccomp, supervise};

/// Run a command in eight new namespaces, isolated unless told
///
/// By default CMD sees the host's system (/usr, /bin, /lib*, /etc, /opt) read-only,
/// without its secrets; /home, /root, /run, /srv, /tmp and /var are empty, private and
/// vanish with it. It has no network but its own loopback, no capability, no descriptor
/// above 2, and only PATH, HOME, USER, TERM and LANG in its environment.
#[derive(Debug, Parser)]
#[command(
    name = "warren run",
    bin_name = "warren run",
    override_usage = "warren run [OPTIONS] [--] CMD [ARGS]..."
)]
struct Arguments {
    /// Show the host's whole tree, read-only; with =overlay it can be written, and all
    /// changes vanish
    #[arg(
        long,
        value_name = "overlay",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "read-only",
        value_parser = ["read-only", "overlay"],
        conflicts_with = "root",
        help_heading = "Root"
    )]
    host_root: Option<String>,
    /// Show the tree at DIR as the root, read-only
    #[arg(long, value_name = "DIR", help_heading = "Root")]
    root: Option<PathBuf>,
    /// Let the tree of --root be written
    #[arg(
        long,
        requires = "root",
        conflicts_with = "ephemeral",
        help_heading = "Root"
    )]
    writable: bool,
    /// Let the tree of --root be written, and throw all changes away
    #[arg(long, requires = "root", help_heading = "Root")]
    ephemeral: bool,

    /// Show the current folder, writable, and work in it
    #[arg(long, help_heading = "Files")]
    here: bool,
    /// Show SRC of the host at DST, writable
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    bind: Vec<PathBuf>,
    /// Show SRC of the host at DST, read-only
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    ro_bind: Vec<PathBuf>,
    /// Mount an empty filesystem in memory at DST
    #[arg(long, value_name = "DST", help_heading = "Files")]
    tmpfs: Vec<PathBuf>,
    /// Make a symlink LINK that says TARGET
    #[arg(long, num_args = 2, value_names = ["TARGET", "LINK"], help_heading = "Files")]
    symlink: Vec<PathBuf>,

    /// Host name inside [default: warren]
    #[arg(long, value_name = "NAME", help_heading = "Process")]
    hostname: Option<OsString>,
    /// Working directory inside [default: HOME; with --here or --host-root the current
    /// folder]
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    workdir: Option<PathBuf>,
    /// Set a variable, or pass the caller's with K alone
    #[arg(long, value_name = "K[=V]", help_heading = "Process")]
    env: Vec<OsString>,
    /// Begin with no variable at all
    #[arg(long, help_heading = "Process")]
    clear_env: bool,
    /// Who CMD is inside: numbers, or names of the host
    #[arg(long, value_name = "U[:G]", help_heading = "Process")]
    user: Option<String>,
    /// Give CMD a terminal of its own
    #[arg(short, long, help_heading = "Process")]
    tty: bool,
    /// Let CMD inherit descriptor N
    #[arg(long, value_name = "N", help_heading = "Process")]
    keep_fd: Vec<i32>,
    /// Run CMD as pid 1 itself, without the reaping init
    #[arg(long, help_heading = "Process")]
    no_init: bool,

    /// Ids inside: auto, single, or INSIDE:OUTSIDE:COUNT for users and groups alike
    #[arg(
        long,
        value_name = "MAP",
        default_value = "auto",
        help_heading = "Isolation"
    )]
    map: Vec<String>,
    /// Stay in the host's namespaces of these kinds (mnt excepted)
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    share: Vec<Kind>,
    /// Give a capability over the new namespaces, or ALL
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    cap_add: Vec<String>,
    /// Take one of those away again, or ALL
    #[arg(
        long,
        value_name = "CAP",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    cap_drop: Vec<String>,

    /// Refuse system calls as FILE says: a policy, or the JSON of container runtimes
    #[arg(long, value_name = "FILE", help_heading = "Isolation")]
    seccomp: Option<PathBuf>,

    /// Print what would be done, and do nothing
    #[arg(long, help_heading = "Explain")]
    plan: bool,
    /// Say on standard error, after the run, how long each step took
    #[arg(long, help_heading = "Explain")]
    trace: bool,

    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        action = ArgAction::Append
    )]
    command: Vec<OsString>,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let matches = Arguments::command().try_get_matches_from(arguments)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let host = Host::probe();
    let spec = spec(&arguments, &matches, &host)?;
    let plan = Plan::new(&spec, &host)?;
    if arguments.plan {
        failure::print(&plan.to_string())?;
        return Ok(0);
    }
    supervise::run(plan, arguments.trace)
}

/// What the arguments ask for.
fn spec(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<Spec, Failure> {
    let user = user(arguments)?;
    let namespaces = namespaces(&arguments.share)?;
    let has_user_namespace = *namespaces.get(Kind::User) == Namespace::New;
    let mut mounts = base_mounts(arguments, has_user_namespace)?;
    mounts.extend(ordered_mounts(arguments, matches)?);
    let capabilities = capabilities(arguments)?;
    let profile = arguments.seccomp.as_deref();
    let syscalls = profile.map(|path| seccomp::profile(path, capabilities));
    Ok(Spec {
        id_map: id_map(&arguments.map, has_user_namespace)?,
        root: root(arguments)?,
        mounts,
        hostname: hostname(arguments, &namespaces)?,
        loopback: *namespaces.get(Kind::Net) == Namespace::New,
        no_nested_user_namespaces: has_user_namespace,
        cwd: Some(working_directory(arguments, &user, host)?),
        env: environment(arguments, &user)?,
        argv: arguments.command.clone(),
        user: Some(user),
        capabilities: Some(capabilities),
        no_new_privs: true,
        seccomp: Seccomp::Sandbox,
        syscalls: syscalls.transpose()?,
        rlimits: Vec::new(),
        parent_death_signal: Some(supervise::KILL),
        keep_fds: arguments.keep_fd.clone(),
        leave_caller: !arguments.tty && !pty::is_at_terminal(),
        terminal: if arguments.tty {
            supervise::new_terminal()
        } else {
            Terminal::Inherit
        },
        no_init: arguments.no_init,
        namespaces,
        ..Spec::default()
    })
}

fn namespaces(shared: &[Kind]) -> Result<Namespaces, Failure> {
    if shared.contains(&Kind::Mnt) {
        return Err(Failure::usage(
            "--share mnt: a root of its own needs a mnt namespace",
        )
        .hint("`warren unshare` leaves the mounts alone"));
    }
    let set = shared
        .iter()
        .fold(NamespaceSet::ALL, |set, kind| set.without(*kind));
    Ok(Namespaces::new_of(set))
}

fn hostname(
    arguments: &Arguments,
    namespaces: &Namespaces,
) -> Result<Option<OsString>, Failure> {
    match (&arguments.hostname, namespaces.get(Kind::Uts)) {
        (Some(_), Namespace::Inherit) => Err(Failure::usage(
            "--hostname: the host's name is kept with --share uts",
        )),
        (None, Namespace::Inherit) => Ok(None),
        (name, _) => Ok(Some(name.clone().unwrap_or_else(|| "warren".into()))),
    }
}

/// The words of `--map`.
pub fn id_map(words: &[String], has_user_namespace: bool) -> Result<IdMapping, Failure> {
    match words {
        [word] if word == "auto" => Ok(IdMapping::Auto),
        _ if !has_user_namespace => Err(Failure::usage(
            "--map: there is no user namespace with --share user",
        )),
        [word] if word == "single" => Ok(IdMapping::Single),
        lines => {
            let line = |word: &String| {
                word.parse::<IdMap>()
                    .map_err(|error| Failure::usage(format!("--map {word}: {error}")))
            };
            let lines: Vec<_> = lines.iter().map(line).collect::<Result<_, _>>()?;
            Ok(IdMapping::Explicit {
                uids: lines.clone(),
                gids: lines,
            })
        }
    }
}

// The root and what is in it.

fn root(arguments: &Arguments) -> Result<Root, Failure> {
    let whole = PathBuf::from("/");
    Ok(match (arguments.host_root.as_deref(), &arguments.root) {
        (Some("overlay"), _) => Root::Empty,
        (Some(_), _) => Root::Tree {
            path: whole,
            access: Access::ReadOnly,
        },
        (None, Some(dir)) if arguments.ephemeral => Root::Overlay {
            path: absolute(dir)?,
        },
        (None, Some(dir)) => {
            let access = if arguments.writable {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            };
            Root::Tree {
                path: absolute(dir)?,
                access,
            }
        }
        (None, None) => Root::Empty,
    })
}

/// What every root gets before the user's own mounts.
fn base_mounts(
    arguments: &Arguments,
    has_user_namespace: bool,
) -> Result<Vec<Mount>, Failure> {
    if arguments.root.is_none() {
        match arguments.host_root.as_deref() {
            None => return Ok(system::mounts()),
            Some("overlay") => {
                let proc = ProcRoot::open().map_err(Failure::new)?;
                return Ok(system::host_overlay(&proc)?);
            }
            Some(_) => {}
        }
    }
    let tmp = Mount::Tmpfs {
        target: "/tmp".into(),
        mode: 0o1777,
        size: None,
    };
    let mut mounts: Vec<_> = system::kernel().into_iter().chain([tmp]).collect();
    // Where the contained root is the host's, modes keep nothing from it.
    if arguments.host_root.is_some() && !has_user_namespace {
        mounts.extend(system::secrets());
    }
    Ok(mounts)
}

/// The user's mounts in the order of the command line: a later one may go on an earlier.
fn ordered_mounts(
    arguments: &Arguments,
    matches: &ArgMatches,
) -> Result<Vec<Mount>, Failure> {
    let mut found: Vec<(usize, Mount)> = Vec::new();
    let place = |name: &str, position: usize| {
        matches
            .indices_of(name)
            .and_then(|mut all| all.nth(position))
            .unwrap_or(usize::MAX)
    };
    for (name, pairs, access) in [
        ("bind", &arguments.bind, Access::ReadWrite),
        ("ro_bind", &arguments.ro_bind, Access::ReadOnly),
    ] {
        for (number, pair) in pairs.chunks_exact(2).enumerate() {
            let (source, target) = (absolute(&pair[0])?, pair[1].clone());
            found.push((
                place(name, 2 * number),
                Mount::Bind {
                    source,
                    target,
                    access,
                },
            ));
        }
    }
    for (number, target) in arguments.tmpfs.iter().enumerate() {
        let target = target.clone();
        let tmpfs = Mount::Tmpfs {
            target,
            mode: 0o755,
            size: None,
        };
        found.push((place("tmpfs", number), tmpfs));
    }
    for (number, pair) in arguments.symlink.chunks_exact(2).enumerate() {
        let (content, target) = (pair[0].clone(), pair[1].clone());
        found.push((
            place("symlink", 2 * number),
            Mount::Symlink { content, target },
        ));
    }
    found.sort_by_key(|(place, _)| *place);
    let mut mounts: Vec<Mount> = found.into_iter().map(|(_, mount)| mount).collect();
    if arguments.here {
        let here = current_folder()?;
        mounts.push(Mount::Bind {
            source: here.clone(),
            target: here,
            access: Access::ReadWrite,
        });
    }
    Ok(mounts)
}

pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::usage(format!(
            "the path '{}': {}",
            path.display(),
            warren_namespaces::io_error_text(&error)
        ))
    })
}

fn current_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::new(format!(
            "look up the current folder: {}",
            warren_namespaces::io_error_text(&error)
        ))
        .hint("it may have been removed: cd to one that exists")
    })
}

// The process.

fn working_directory(
    arguments: &Arguments,
    user: &User,
    host: &Host,
) -> Result<PathBuf, Failure> {
    if let Some(dir) = &arguments.workdir {
        return Ok(dir.clone());
    }
    if arguments.here {
        return current_folder();
    }
    if arguments.root.is_some() {
        return Ok("/".into());
    }
    if arguments.host_root.is_none() {
        return Ok(home(user));
    }
    // Other ids than the caller's may not get into the caller's folder; and what is
    // covered is not there.
    let here = current_folder()?;
    let covered = ["/tmp", "/proc", "/dev"]
        .iter()
        .any(|dir| here.starts_with(dir));
    Ok(if covered || host.is_privileged() {
        "/".into()
    } else {
        here
    })
}

/// The variables that every program may need, then the user's own.
fn environment(
    arguments: &Arguments,
    user: &User,
) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    if !arguments.clear_env {
        let own = |key: &str| Some((key.into(), std::env::var_os(key)?));
        let path = match (&arguments.root, std::env::var_os("PATH")) {
            (None, Some(path)) => path,
            _ => DEFAULT_PATH.into(),
        };
        env.push(("PATH".into(), path));
        env.push(("HOME".into(), home(user).into()));
        env.push(("USER".into(), name(user).into()));
        env.extend(["TERM", "LANG"].into_iter().filter_map(own));
    }
    for word in &arguments.env {
        let (key, value) = variable(word)?;
        env.retain(|(known, _)| *known != key);
        env.extend(value.map(|value| (key, value)));
    }
    Ok(env)
}

/// `K=V`, or `K` for the caller's value if there is one.
pub fn variable(word: &OsStr) -> Result<(OsString, Option<OsString>), Failure> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = word.as_bytes();
    let end = bytes
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(bytes.len());
    let key = OsStr::from_bytes(&bytes[..end]).to_owned();
    if key.is_empty() {
        return Err(Failure::usage(format!(
            "--env '{}' has no name",
            word.display()
        )));
    }
    let value = match bytes.get(end + 1..) {
        Some(value) => Some(OsStr::from_bytes(value).to_owned()),
        None if end == bytes.len() => std::env::var_os(&key),
        None => Some(OsString::new()),
    };
    Ok((key, value))
}

/// `U[:G]`, by number or by the host's name.
fn user(arguments: &Arguments) -> Result<User, Failure> {
    let Some(text) = &arguments.user else {
        return Ok(User::ROOT);
    };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text.as_str(), None),
    };
    let accounts = Accounts::read().map_err(|error| Failure::new(error.to_string()))?;
    let unknown = |what: &str, name: &str| {
        Failure::usage(format!("--user {text}: the host has no {what} '{name}'"))
    };
    let known = match number(user) {
        Some(uid) => passwd_by_uid(&accounts.passwd, uid),
        None => Some(
            passwd_by_name(&accounts.passwd, user)
                .ok_or_else(|| unknown("user", user))?,
        ),
    };
    let uid = number(user)
        .or(known.as_ref().map(|user| user.uid))
        .unwrap_or(0);
    let gid = match group {
        Some(group) => number(group)
            .or_else(|| group_by_name(&accounts.group, group).map(|group| group.gid))
            .ok_or_else(|| unknown("group", group))?,
        None => known.map_or(uid, |user| user.gid),
    };
    Ok(User {
        uid,
        gid,
        groups: Some(Vec::new()),
    })
}

/// A decimal number; nothing that merely begins like one.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The home folder of a user inside. Only root's is known without its passwd.
fn home(user: &User) -> PathBuf {
    if user.uid == 0 {
        "/root".into()
    } else {
        "/home".into()
    }
}

fn name(user: &User) -> String {
    if user.uid == 0 {
        return "root".to_owned();
    }
    let known = Accounts::read()
        .ok()
        .and_then(|files| passwd_by_uid(&files.passwd, user.uid));
    known.map_or_else(|| user.uid.to_string(), |user| user.name)
}

fn capabilities(arguments: &Arguments) -> Result<CapabilitySet, Failure> {
    let mut set = CapabilitySet::EMPTY;
    for word in &arguments.cap_add {
        set = named(word)?.iter().fold(set, CapabilitySet::with);
    }
    for word in &arguments.cap_drop {
        set = named(word)?.iter().fold(set, CapabilitySet::without);
    }
    Ok(set)
}

fn named(word: &str) -> Result<CapabilitySet, Failure> {
    if word.eq_ignore_ascii_case("all") {
        return Ok(CapabilitySet::ALL);
    }
    let capability: Capability = word
        .parse()
        .map_err(|error| Failure::usage(format!("{error}")))?;
    Ok(CapabilitySet::EMPTY.with(capability))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Spec, Failure> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let matches = Arguments::command().try_get_matches_from(&words)?;
        let arguments = Arguments::from_arg_matches(&matches)?;
        let host = Host {
            uid: 1000,
            gid: 1000,
            capabilities: CapabilitySet::EMPTY,
            has_all_ids: false,
            ranges: warren_spawn::Ranges::None,
        };
        spec(&arguments, &matches, &host)
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_end_at_the_command() {
        let spec = parse("run sh -c --plan --bind").expect("a good line");
        assert_eq!(spec.argv, ["sh", "-c", "--plan", "--bind"]);
        let spec = parse("run -- -x").expect("a good line");
        assert_eq!(spec.argv, ["-x"]);
    }

    #[test]
    fn mounts_keep_the_order_of_the_command_line() {
        let line = "run --host-root --tmpfs /a --bind / /a/b --symlink x /c \
                    --ro-bind /etc /d --tmpfs /e true";
        let spec = parse(&line.replace("  ", "")).expect("a good line");
        let own: Vec<_> = spec
            .mounts
            .iter()
            .skip(3)
            .map(|mount| mount.target().clone())
            .collect();
        assert_eq!(own, ["/a", "/a/b", "/c", "/d", "/e"].map(PathBuf::from));
    }

    #[test]
    fn a_variable_is_set_passed_or_emptied() {
        let parse = |text: &str| variable(OsStr::new(text)).expect("a good variable");
        assert_eq!(parse("A=b=c"), ("A".into(), Some("b=c".into())));
        assert_eq!(parse("A="), ("A".into(), Some("".into())));
        assert_eq!(parse("WARREN_NO_SUCH").1, None);
        assert!(variable(OsStr::new("=x")).is_err());
    }

    #[test]
    fn users_are_numbers_or_names_and_nothing_in_between() {
        assert_eq!(number("1000"), Some(1000));
        for text in ["", "+1", "-1", "1 ", "1000:", "4294967296", "0x10"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn capabilities_are_added_then_dropped() {
        let spec =
            parse("run --cap-add ALL --cap-drop net_raw true").expect("a good line");
        let set = spec.capabilities.expect("always set");
        assert!(set.contains(Capability::CHOWN) && !set.contains(Capability::NET_RAW));
    }
}
