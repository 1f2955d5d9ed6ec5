//! `warren enter`: a command where a target is.

mod check;
mod credentials;
mod files;
pub mod guest;
mod target;

pub use credentials::root_of_process;

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use clap::Parser;
use warren_cgroups::{Entrance, Hierarchies};
use warren_namespaces::{Kind, ProcRoot, Stop, Target, route};
use warren_spawn::{ErrorKind, Hop, Host, Join, Namespace, Namespaces, Open, Plan, Spec};
use warren_sys::signal;

use crate::failure::{self, Failure};
use crate::{supervise, unshare};
use files::Files;
use target::{Entered, wrap};

/// Run a command where a process is: in its namespaces, root and control groups
///
/// TARGET is a pid, pid:inode of a pidfd, net:[inode] or an inode alone, a path such as
/// /run/netns/x, or a name: kept namespaces, a container by the start of its id, a systemd
/// unit. All that differs from the caller's is entered; --kinds enters less.
#[derive(Debug, Parser)]
#[command(
    name = "warren enter",
    bin_name = "warren enter",
    override_usage = "warren enter [OPTIONS] TARGET [--] [CMD [ARGS]...]"
)]
struct Arguments {
    /// Enter namespaces of these kinds only, and nothing else
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Enter the pid and time namespaces in which the target's next children will be
    #[arg(long)]
    next_children: bool,
    /// Say what could be entered and why not, and enter nothing
    #[arg(long, conflicts_with = "plan")]
    check: bool,
    /// With --check: as JSON
    #[arg(long, requires = "check")]
    json: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    /// Who CMD is: numbers of the user namespace; `follow` for the ids and capabilities of
    /// the target; `preserve` to change nothing [default: 0:0 in another user namespace,
    /// else preserve]
    #[arg(long, value_name = "U[:G]", help_heading = "Process")]
    user: Option<credentials::Who>,
    /// Set a variable, or pass the caller's with K alone
    #[arg(long, value_name = "K[=V]", help_heading = "Process")]
    env: Vec<OsString>,
    /// Begin with the target's environment instead of the caller's
    #[arg(long, help_heading = "Process")]
    target_env: bool,
    /// Begin with no variable at all
    #[arg(long, conflicts_with = "target_env", help_heading = "Process")]
    clear_env: bool,
    /// Give CMD a terminal of its own
    #[arg(short, long, help_heading = "Process")]
    tty: bool,
    /// Join the target's control groups, or fail
    #[arg(long, help_heading = "Process")]
    cgroup: bool,
    /// Stay in the caller's control groups
    #[arg(long, conflicts_with = "cgroup", help_heading = "Process")]
    no_cgroup: bool,

    /// Make this folder of the target's root the root
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    root: Option<PathBuf>,
    /// Working directory in the target's root [default: /, or the caller's where the files
    /// are the caller's]
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    workdir: Option<PathBuf>,
    /// Begin in the target's working directory
    #[arg(long, conflicts_with = "workdir", help_heading = "Files")]
    cwd: bool,
    /// See the entered pid namespace at /proc, unseen by the target
    #[arg(long, help_heading = "Files")]
    mount_proc: bool,
    /// Bring a shell: the host's programs, mounted unseen by the target; or one FILE that
    /// needs no libraries
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        help_heading = "Files"
    )]
    shell: Option<Option<PathBuf>>,

    /// What is entered
    #[arg(value_name = "TARGET")]
    target: Target,
    /// The command and its arguments; a shell, if none is given
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl Arguments {
    /// Whether the host's programs are brought along.
    fn brings_tools(&self) -> bool {
        matches!(self.shell, Some(None))
    }

    /// The file that is executed as it is.
    fn program(&self) -> Option<&PathBuf> {
        self.shell.as_ref()?.as_ref()
    }
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    if arguments.check {
        return check::run(&arguments, &proc);
    }
    let entered = Entered::find(&arguments, &proc)?;
    let mut prepared = prepare(&arguments, &entered, &proc)?;
    let host = Host::probe();
    if arguments.plan {
        failure::print(&Plan::new(&prepared.spec, &host)?.to_string())?;
        return Ok(0);
    }
    let blocked = signal::set_blocked(signal::SignalSet::EMPTY);
    signal::set_blocked(blocked);
    match supervise::start(Plan::new(&prepared.spec, &host)?) {
        Err(error) if error.kind() == ErrorKind::Cgroup && !arguments.cgroup => {
            note_cgroup(&error)?;
            prepared.spec.cgroups.clear();
            signal::set_blocked(blocked);
            supervise::run(Plan::new(&prepared.spec, &host)?, false)
        }
        started => supervise::attend(started?),
    }
}

/// A Spec, and what its descriptors belong to.
struct Prepared {
    spec: Spec,
    _open: Vec<OwnedFd>,
    _cgroup: Option<Entrance>,
    _files: Files,
}

fn prepare(
    arguments: &Arguments,
    entered: &Entered,
    proc: &ProcRoot,
) -> Result<Prepared, Failure> {
    let mut open = Vec::new();
    let mut spec = Spec {
        env: environment(arguments, entered, proc)?,
        parent_death_signal: Some(supervise::KILL),
        ..Spec::default()
    };
    spec.namespaces = namespaces(entered);
    spec.route = hops(entered, &mut open)?;
    credentials::set(&mut spec, arguments.user, entered, proc)?;
    let files = Files::open(arguments, entered, proc)?;
    files.set(&mut spec, arguments)?;
    command(&mut spec, arguments, &files, &mut open)?;
    if arguments.tty {
        spec.terminal = supervise::new_terminal();
    }
    let cgroup = cgroup(arguments, entered, proc)?;
    if let Some(cgroup) = &cgroup {
        let groups = cgroup.open_files().map(|(path, fd)| Open {
            fd: fd.as_raw_fd(),
            name: path.trim_end_matches("/cgroup.procs").to_owned(),
        });
        spec.cgroups = groups.collect();
    }
    Ok(Prepared {
        spec,
        _open: open,
        _cgroup: cgroup,
        _files: files,
    })
}

fn namespaces(entered: &Entered) -> Namespaces {
    let mut namespaces = Namespaces::default();
    for namespace in &entered.namespaces {
        let open = Open {
            fd: namespace.as_fd().as_raw_fd(),
            name: entered.name_of(namespace),
        };
        namespaces.set(namespace.kind(), Namespace::Join(Join::Open(open)));
    }
    namespaces
}

/// The way, with the user namespaces on it that are only passed through.
fn hops(entered: &Entered, open: &mut Vec<OwnedFd>) -> Result<Vec<Hop>, Failure> {
    let stops = route(&entered.namespaces, &entered.rights).map_err(|errno| {
        let words = warren_namespaces::errno_text(errno);
        wrap(
            &entered.name,
            format!("find a way into its namespaces: {words}"),
        )
    })?;
    let hops = stops.into_iter().map(|stop| match stop {
        Stop::Enter(kind) => Hop::Join(kind),
        Stop::Through(user) => {
            let name = user.to_string();
            let fd = user.into_fd();
            let hop = Hop::Through(Open {
                fd: fd.as_raw_fd(),
                name,
            });
            open.push(fd);
            hop
        }
    });
    Ok(hops.collect())
}

/// The target's control groups, unless they are the caller's.
fn cgroup(
    arguments: &Arguments,
    entered: &Entered,
    proc: &ProcRoot,
) -> Result<Option<Entrance>, Failure> {
    let opened = match open_cgroup(arguments, entered, proc) {
        None if arguments.cgroup => return Err(entered.needs_process("--cgroup")),
        None => return Ok(None),
        Some(opened) => opened,
    };
    match opened {
        Err(error) if !arguments.cgroup => {
            note_cgroup(&error)?;
            Ok(None)
        }
        Err(error) => Err(wrap(&entered.name, error).hint(
            "root may join them, and who owns all the groups between its own and them; \
             --no-cgroup leaves them out",
        )),
        Ok(cgroup) => Ok((!cgroup.is_own()).then_some(cgroup)),
    }
}

/// Opens the target's control groups, if they are to be joined at all.
fn open_cgroup(
    arguments: &Arguments,
    entered: &Entered,
    proc: &ProcRoot,
) -> Option<Result<Entrance, warren_cgroups::Error>> {
    let asked = arguments.cgroup || (entered.whole && !arguments.no_cgroup);
    let pid = entered.pid().filter(|_| asked)?;
    let open = || {
        let mounted = Hierarchies::detect(proc)?;
        // What is in no group has none to share; to join the first would only free the
        // command from the limits of the caller's.
        if !arguments.cgroup && warren_cgroups::is_in_none(&mounted, proc, pid)? {
            return Ok(None);
        }
        Entrance::of_process(&mounted, proc, pid).map(Some)
    };
    open().transpose()
}

/// Without --cgroup the command matters more than whose limits hold for it.
fn note_cgroup(error: &dyn std::fmt::Display) -> Result<(), Failure> {
    failure::print_error(&format!(
        "warren: {error}\nhint: going on in the caller's control groups; --no-cgroup says \
         so, --cgroup makes this a failure\n"
    ))
}

/// The caller's environment, the target's or none, and what --env adds.
fn environment(
    arguments: &Arguments,
    entered: &Entered,
    proc: &ProcRoot,
) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut env: Vec<(OsString, OsString)> = if arguments.clear_env {
        Vec::new()
    } else if arguments.target_env {
        entered.environment(proc)?
    } else {
        std::env::vars_os().collect()
    };
    for word in &arguments.env {
        let (key, value) = crate::run::variable(word)?;
        env.retain(|(known, _)| *known != key);
        env.extend(value.map(|value| (key, value)));
    }
    Ok(env)
}

/// What is executed.
fn command(
    spec: &mut Spec,
    arguments: &Arguments,
    files: &Files,
    open: &mut Vec<OwnedFd>,
) -> Result<(), Failure> {
    if let Some(path) = arguments.program() {
        let (file, name) = guest::open_program(path)?;
        spec.program = Some(Open {
            fd: file.as_raw_fd(),
            name,
        });
        open.push(file);
        spec.argv = match arguments.command.as_slice() {
            [] => vec!["sh".into()],
            words => words.to_vec(),
        };
        return Ok(());
    }
    spec.argv = match arguments.command.as_slice() {
        [] if arguments.brings_tools() => vec![guest::shell()],
        [] => vec![files.shell().unwrap_or_else(unshare::shell)],
        words => words.to_vec(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).expect("a good line")
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_shell_is_the_hosts_programs_or_one_file() {
        assert!(parse("enter --shell 7").brings_tools());
        let one = parse("enter --shell=/bin/busybox 7 -- ls");
        assert!(!one.brings_tools());
        assert_eq!(one.program(), Some(&PathBuf::from("/bin/busybox")));
        assert!(!parse("enter 7 ls").brings_tools());
    }

    #[test]
    fn a_target_that_is_none_is_refused() {
        let refused = Arguments::try_parse_from(["enter", "net:x"]);
        let text = refused.expect_err("no target").to_string();
        assert!(text.contains("'x' is no inode"), "{text}");
    }
}
