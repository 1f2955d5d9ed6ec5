//! `warren run`: a command in eight new namespaces.

mod calls;
mod changes;
mod files;
mod from;
mod isolation;
mod landlock;
mod limits;
mod network;
mod network_user;
mod print;
mod process;
mod profile;
mod report;
mod results;
mod root;
mod sizes;
mod watch;

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use warren_confine::CapabilitySet;
use warren_namespaces::Kind;
use warren_spawn::{Host, IdMapping, Namespace, Plan, Seccomp, Spec, Terminal, User};

use crate::failure::{self, Failure};
use crate::supervise::{Care, Ended, Remains};
use crate::{pty, seccomp, supervise};
use calls::CallOptions;
use changes::{ChangeOptions, Keeping};
use files::FileOptions;
pub use files::{absolute, current_folder};
use from::FromOptions;
use isolation::IsolationOptions;
pub use isolation::id_map;
use landlock::LandlockOptions;
use limits::LimitOptions;
use network::NetworkOptions;
use network_user::{UserNetwork, UserNetworkOptions};
use print::PrintOptions;
use process::ProcessOptions;
pub use process::variable;
use profile::ProfileOptions;
use results::{ResultsOptions, Status};
use root::RootOptions;
use watch::WatchOptions;

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
    #[command(flatten)]
    profile: ProfileOptions,
    #[command(flatten)]
    root: RootOptions,
    #[command(flatten)]
    files: FileOptions,
    #[command(flatten)]
    process: ProcessOptions,
    #[command(flatten)]
    isolation: IsolationOptions,
    #[command(flatten)]
    calls: CallOptions,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    user_network: UserNetworkOptions,
    #[command(flatten)]
    landlock: LandlockOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    results: ResultsOptions,
    #[command(flatten)]
    changes: ChangeOptions,
    #[command(flatten)]
    print: PrintOptions,
    #[command(flatten)]
    from: FromOptions,

    /// Print what would be done, and do nothing
    #[arg(long, help_heading = "Explain")]
    plan: bool,
    /// Print the rules of this run and what holds each on this kernel, and do nothing
    #[arg(long, conflicts_with = "plan", help_heading = "Explain")]
    report: bool,
    /// Print the report as JSON, as docs/json.md describes it
    #[arg(long, requires = "report", help_heading = "Explain")]
    json: bool,
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
    // Not dropped, as nothing else that is there to the end: the process ends then, and its
    // memory with it. What describes the options alone is some thousand pieces.
    let mut command = ManuallyDrop::new(Arguments::command());
    let matches = ManuallyDrop::new(command.try_get_matches_from_mut(arguments)?);
    let arguments = ManuallyDrop::new(Arguments::from_arg_matches(&matches)?);
    let host = Host::probe();
    if arguments.explains() {
        return explain(&arguments, &matches, &host);
    }
    if !arguments.results.are_told() {
        return execute(&arguments, &matches, &host)?.finish();
    }
    arguments.results.check()?;
    execute_and_tell(&arguments, &matches, &host)
}

impl Arguments {
    /// Whether something is to be printed, and nothing to be run.
    fn explains(&self) -> bool {
        self.plan || self.report || self.print.print.is_some()
    }
}

/// Prints what would be done, what holds each rule, or the same run in another language.
fn explain(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<u8, Failure> {
    let mut spec = wanted(arguments, matches, host)?;
    // Held until all is said: nobody is connected to it.
    let _network = arguments.user_network.take(&arguments.network, &mut spec)?;
    // Held until all is said: nothing is made with it.
    let _reservation = arguments.network.take(&mut spec, host, false)?;
    let plan = plan(arguments, &spec, host)?;
    if let Some(language) = arguments.print.print {
        crate::print::print(&spec, &plan, host, language)?;
        return Ok(0);
    }
    if arguments.plan {
        failure::print(&plan.to_string())?;
    } else {
        failure::print(&report::text(&spec, host, arguments.json)?)?;
    }
    Ok(0)
}

/// What the arguments ask for, in Warren's own words or in another program's.
fn wanted(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<Spec, Failure> {
    match arguments.from.from {
        Some(source) => from::spec(source, &arguments.command, matches),
        None => spec(arguments, matches, host),
    }
}

fn plan(arguments: &Arguments, spec: &Spec, host: &Host) -> Result<Plan, Failure> {
    let plan = Plan::new(spec, host)?;
    Ok(match arguments.watch.is_asked() {
        true => plan.observed(),
        false => plan,
    })
}

/// A command that has ended, and what is still to be done.
struct Executed {
    ended: Ended,
    remains: Remains,
    keeping: Option<Keeping>,
}

impl Executed {
    /// Does it, and gives the exit code.
    fn finish(mut self) -> Result<u8, Failure> {
        let code = self.ended.code();
        match self.keeping {
            Some(keeping) => keeping.finish(&mut self.remains, code),
            None => Ok(code),
        }
    }
}

/// Runs the command to its end.
fn execute(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<Executed, Failure> {
    let mut spec = ManuallyDrop::new(wanted(arguments, matches, host)?);
    if !spec.keep_fds.is_empty() {
        // From here on a free number could become one of ours.
        plan(arguments, &spec, host)?.check_kept_descriptors()?;
    }
    let mut connected = arguments.network.take(&mut spec, host, true)?;
    let mut network = arguments.user_network.take(&arguments.network, &mut spec)?;
    let plan = plan(arguments, &spec, host)?;
    let keeping = arguments.changes.keeping(&plan, host)?;
    let mut connect = |pid| {
        if let Some(connected) = &mut connected {
            connected.start_resolver(pid)?;
        }
        network
            .as_mut()
            .map_or(Ok(()), |network| network.connect(pid))
    };
    let care = Care {
        trace: arguments.trace,
        limits: arguments.results.time_limits(),
        announce: Some(&mut connect),
        ..Care::default()
    };
    let refused = plan.refused().to_vec();
    limits::tell_refused(&refused)?;
    let executed = match arguments.watch.watching(&spec, host)? {
        Some(watching) => watching.run(plan, care),
        None => supervise::run_with(plan, care),
    };
    let executed = UserNetwork::finish(network, executed);
    if let Some(connected) = connected {
        network::give_back(connected)?;
    }
    let (ended, remains) = executed?;
    limits::tell_end(&remains, &spec, &refused, ended.was_killed())?;
    Ok(Executed {
        ended,
        remains,
        keeping,
    })
}

/// The same, and says in JSON how it ended, or why it did not begin.
fn execute_and_tell(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<u8, Failure> {
    let results = &arguments.results;
    let before = results::oom_kills();
    let executed = match execute(arguments, matches, host) {
        Ok(executed) => executed,
        Err(failure) => {
            results.tell_beside_failure(&Status::of_failure(&failure));
            return Err(failure);
        }
    };
    let ended = &executed.ended;
    let code = ended.code();
    let status = Status::of_command(ended, code, [before, results::oom_kills()]);
    results
        .tell(&status)
        .map_err(|failure| results::with_code(failure, code))?;
    executed.finish()
}

/// What a run with these profiles comes to, whatever its command.
pub fn spec_with_profiles(profiles: &[String], host: &Host) -> Result<Spec, Failure> {
    let options = profiles
        .iter()
        .flat_map(|profile| ["--profile", profile.as_str()]);
    let words = ["run"].into_iter().chain(options).chain(["--", "true"]);
    let matches = Arguments::command().try_get_matches_from(words)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    spec(&arguments, &matches, host)
}

/// What a run with the options of `warren posture` comes to, whatever its command; and
/// whether JSON is wanted.
pub fn posture_spec(words: &[OsString], host: &Host) -> Result<(Spec, bool), Failure> {
    let matches = posture_command().try_get_matches_from(words)?;
    let is_given =
        |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let Some(id) = NOT_OF_POSTURE.iter().find(is_given) {
        let what = match *id {
            "command" => "runs its own command and takes no other".to_owned(),
            id => format!("has no --{}", id.replace('_', "-")),
        };
        return Err(Failure::usage(format!("posture: it {what}"))
            .hint("`warren posture --help` says which options it has"));
    }
    let arguments = Arguments::from_arg_matches(&matches)?;
    Ok((spec(&arguments, &matches, host)?, arguments.json))
}

/// What says nothing of what a run is.
const NOT_OF_POSTURE: &[&str] = &[
    "plan",
    "report",
    "trace",
    "learn",
    "audit",
    "audit_json",
    "status_fd",
    "json_status",
    "timeout",
    "cpu_time",
    "changes",
    "changes_json",
    "commit",
    "keep_changes",
    "print",
    "from",
    "command",
];

/// The options of a run that say what it is, and `--json`.
fn posture_command() -> Command {
    NOT_OF_POSTURE
        .iter()
        .fold(Arguments::command(), |command, id| {
            command.mut_arg(id, |arg| arg.hide(true).required(false))
        })
        .name("warren posture")
        .bin_name("warren posture")
        .override_usage("warren posture [--json] [OPTIONS OF warren run]")
        .about("Try to get out of a run with these options, and say what of it holds")
        .long_about(POSTURE)
        .mut_arg("json", |_| {
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON, as docs/json.md describes it")
        })
}

const POSTURE: &str = "\
Try to get out of a run with these options, and say what of it holds

The options are those of `warren run`; without any it is the default run that is tried.
Nothing of what is tried changes the host: in HOME, /tmp and /dev/shm a file is made that
nobody but a program that gets out would read or write, and removed again.

Exit code: 0 if everything holds, 1 if something does not or could not be tried, 125 for a
failure of Warren's own.";

/// What the arguments ask for: what every run has, then what the profiles say, then what
/// all other options say.
fn spec(
    arguments: &Arguments,
    matches: &ArgMatches,
    host: &Host,
) -> Result<Spec, Failure> {
    let base = base(arguments, host)?;
    let mut spec = arguments.profile.apply(base, &arguments.root)?;
    let Arguments {
        files,
        process,
        isolation,
        landlock,
        calls,
        ..
    } = arguments;
    isolation.share(&mut spec.namespaces);
    arguments.network.choose(&mut spec.namespaces);
    spec.loopback = *spec.namespaces.get(Kind::Net) == Namespace::New;
    let has_user_namespace = *spec.namespaces.get(Kind::User) == Namespace::New;
    match matches.value_source("map") {
        Some(ValueSource::CommandLine) => {
            spec.id_map = id_map(&isolation.map, has_user_namespace)?;
        }
        _ if !has_user_namespace => spec.id_map = IdMapping::Auto,
        _ => {}
    }
    spec.mounts.extend(files.mounts(matches)?);
    spec.hide.extend(files.hide.iter().cloned());
    let hostname = process.hostname(&spec.namespaces, spec.hostname.take())?;
    spec.hostname = hostname;
    if process.workdir.is_some() || files.here {
        let user = spec.user.clone().unwrap_or(User::ROOT);
        let root = &arguments.root;
        spec.cwd = Some(process.working_directory(root, files, &user, host)?);
    }
    process.add_variables(&mut spec.env)?;
    let capabilities = spec.capabilities.unwrap_or(CapabilitySet::EMPTY);
    let capabilities = isolation.capabilities(capabilities)?;
    spec.capabilities = Some(capabilities);
    spec.landlock = landlock.wanted(spec.landlock.take());
    arguments.changes.check(&spec)?;
    spec.keep_layers = arguments.changes.given().is_some();
    if let Some(path) = &isolation.seccomp {
        spec.syscalls = Some(seccomp::profile(path, capabilities)?);
    }
    calls.apply(spec.syscalls.as_mut())?;
    arguments.limits.apply(&mut spec)?;
    Ok(spec)
}

/// What every run has, and what no profile says.
fn base(arguments: &Arguments, host: &Host) -> Result<Spec, Failure> {
    let Arguments {
        root,
        files,
        process,
        isolation,
        ..
    } = arguments;
    let user = process.user()?;
    let namespaces = isolation.namespaces()?;
    let has_user_namespace = *namespaces.get(Kind::User) == Namespace::New;
    Ok(Spec {
        root: root.root()?,
        mounts: root.mounts(has_user_namespace)?,
        no_nested_user_namespaces: has_user_namespace,
        cwd: Some(process.working_directory(root, files, &user, host)?),
        env: process.environment(root, &user),
        argv: arguments.command.clone(),
        user: Some(user),
        no_new_privs: true,
        seccomp: Seccomp::Sandbox,
        rlimits: arguments.results.rlimits(),
        parent_death_signal: Some(supervise::KILL),
        keep_fds: process.keep_fd.clone(),
        leave_caller: !process.tty && !pty::is_at_terminal(),
        terminal: if process.tty {
            supervise::new_terminal()
        } else {
            Terminal::Inherit
        },
        no_init: process.no_init,
        namespaces,
        ..Spec::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use warren_confine::Capability;

    fn parse(line: &str) -> Result<Spec, Failure> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let matches = Arguments::command().try_get_matches_from(&words)?;
        let arguments = Arguments::from_arg_matches(&matches)?;
        let host = Host {
            uid: 1000,
            gid: 1000,
            has_no_other_ids: true,
            capabilities: CapabilitySet::EMPTY,
            has_all_ids: false,
            sets_groups: true,
            ranges: warren_spawn::Ranges::None,
            landlock: None,
            ground: None,
        };
        spec(&arguments, &matches, &host)
    }

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_arguments_of_posture_are_well_formed() {
        posture_command().debug_assert();
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
    fn capabilities_are_added_then_dropped() {
        let spec =
            parse("run --cap-add ALL --cap-drop net_raw true").expect("a good line");
        let set = spec.capabilities.expect("always set");
        assert!(set.contains(Capability::CHOWN) && !set.contains(Capability::NET_RAW));
    }
}
