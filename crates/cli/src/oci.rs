//! `warren oci`, and the personality `runc`: what engines call an OCI runtime for.
//!
//! The command line is runc's. Options may stand before and after the name of the container.

mod checkpoint;
mod create;
mod exec;
mod life;
mod list;
mod log;
mod look;
mod options;
mod place;
mod spec;
mod update;

use std::cell::Cell;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use warren_oci::runtime::{self, Error, Kind, Store};

use crate::failure::{self, Failure};
use crate::getopt::{Known, Order};
use log::Log;
use options::{Options, both, flag, parse, value};

const HELP: &str = "\
usage: warren oci [OPTIONS] COMMAND [ARGUMENTS]...

An OCI runtime: containers of bundles, for podman, Docker, containerd and Kubernetes.

  create ID              make a container, whose program waits for its start
  start ID               let it begin
  run ID                 both; without --detach, stay until its end and remove it
  state ID               its state, as JSON
  kill ID [SIGNAL]       send a signal, TERM if none is named, to its first process
  delete ID              remove what there is of it
  exec ID CMD...         run another program in it
  list                   all containers
  ps ID [OPTIONS]        its processes, as ps(1) lists them
  pause ID, resume ID    stop all its processes, and let them go on
  update ID              change its limits
  events ID              what it uses
  checkpoint ID          write it down with criu(8); it has ended then
  restore ID             bring one back that was written down
  features               what this runtime can do, as JSON
  spec                   write a config.json to begin with

      --root DIR         where the state of containers is kept
      --log FILE         where errors are written
      --log-format text|json
      --log-level LEVEL, --debug
      --systemd-cgroup   have systemd make control groups
      --rootless true|false|auto
      --criu FILE        criu, for checkpoint and restore; else it is looked for
  -h, --help; -v, --version
";

const OPTIONS: &[Known<&str>] = &[
    value("root"),
    value("log"),
    value("log-format"),
    value("log-level"),
    flag("debug"),
    flag("systemd-cgroup"),
    value("cgroup-manager"),
    value("rootless"),
    value("criu"),
    both(b'h', "help"),
    both(b'v', "version"),
];

/// What every command knows.
struct Context {
    store: Store,
    /// Whether somebody said where it is.
    names_store: bool,
    log: Log,
    /// Whether systemd makes control groups.
    systemd: bool,
    /// criu, if somebody said where it is.
    criu: Option<PathBuf>,
    /// What is dropped when the program runs: see [`runtime::shield`].
    shield: Cell<Option<OwnedFd>>,
}

/// A command, its first argument being its own name.
type Run = fn(&Context, &[OsString]) -> Result<u8, Stop>;

const COMMANDS: &[(&str, Run)] = &[
    ("create", create::create),
    ("run", create::run),
    ("start", life::start),
    ("state", life::state),
    ("kill", life::kill),
    ("delete", life::delete),
    ("exec", exec::run),
    ("list", list::run),
    ("pause", life::pause),
    ("resume", life::resume),
    ("ps", look::ps),
    ("events", look::events),
    ("features", look::features),
    ("spec", spec::run),
    ("update", update::run),
    ("checkpoint", checkpoint::checkpoint),
    ("restore", checkpoint::restore),
];

/// Those of which a process goes into a container.
const SHIELDED: [&str; 3] = ["create", "run", "exec"];
/// Those after which no container may be left.
const ENDING: &[&str] = &["create", "delete", "run", "checkpoint", "restore"];

/// Some other word may be called so, a container's name: then it is done for nothing.
fn is_shielded(word: &OsStr) -> bool {
    SHIELDED.iter().any(|name| word == *name)
}

fn shield() -> Option<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;
    let string = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    runtime::shield(|| {
        // All of them, the first being the name under which this program was called.
        let all = std::env::args_os().map(|word| string(word.as_bytes()));
        let environment = std::env::vars_os().map(|(key, value)| {
            string(&[key.as_bytes(), b"=", value.as_bytes()].concat())
        });
        (all.collect(), environment.collect())
    })
}

/// Why a command ends early.
struct Stop {
    message: String,
    hints: Vec<String>,
    code: u8,
    /// Whether it is what the kernel said to the program's first instruction, as it were.
    is_programs: bool,
}

impl Stop {
    fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            hints: Vec::new(),
            code: 1,
            is_programs: false,
        }
    }

    fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    fn doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self {
            hints: error.hints().to_vec(),
            is_programs: error.kind() == Kind::NotExecuted,
            ..Self::usage(error)
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self {
            hints: failure.hints().to_vec(),
            ..Self::usage(failure)
        }
    }
}

/// Takes the whole argument list, the name of the command or personality first.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    // Before all else: each page of the file that was looked at is to be looked up again.
    let shield = match arguments.iter().any(|word| is_shielded(word)) {
        true => shield(),
        false => None,
    };
    let called = arguments.first().and_then(|name| name.to_str());
    let called = called.map_or("warren", |name| name.rsplit('/').next().unwrap_or(name));
    let options = match parse(OPTIONS, Order::OptionsFirst, arguments) {
        Ok(options) => options,
        Err(complaint) => return Err(Failure::usage(complaint).hint(HELP).code(1)),
    };
    let name = match options.operands.first().and_then(|word| word.to_str()) {
        _ if options.is("version") => return version(called),
        None | Some("help") => return print(&help(called)),
        _ if options.is("help") => return print(&help(called)),
        Some(name) => name,
    };
    let asks = options.operands.get(1).and_then(|word| word.to_str());
    let asks = matches!(asks, Some("-h" | "--help"));
    let Some((_, command)) = COMMANDS.iter().find(|(own, _)| *own == name) else {
        let message = match asks {
            true => format!("No help topic for '{name}'"),
            false => format!("no command '{name}'"),
        };
        return Err(Failure::usage(message).hint(HELP).code(1));
    };
    if asks {
        return print(&format!("NAME:\n   {called} {name}\n\n{HELP}"));
    }
    let context =
        context(&options, called).map_err(|stop| Failure::new(stop.message).code(1))?;
    context.shield.set(shield);
    context.log.debug(&format!("{name}: begins"));
    let done = command(&context, &options.operands);
    // A folder that the user names is the user's.
    if ENDING.contains(&name) && !context.names_store {
        context.store.tidy();
    }
    match done {
        Ok(code) => Ok(code),
        Err(stop) => Ok(context.log.fail(&stop)),
    }
}

fn context(options: &Options, called: &str) -> Result<Context, Stop> {
    let log = Log::new(options, called)?;
    Ok(Context {
        store: Store::at(place::store(options)),
        names_store: options.value("root").is_some(),
        log,
        systemd: options.is("systemd-cgroup")
            || options.text("cgroup-manager")? == Some("systemd"),
        criu: options
            .value("criu")
            .filter(|file| !file.is_empty())
            .map(Into::into),
        shield: Cell::default(),
    })
}

/// Whoever calls it by the other's name looks for the same begin.
fn help(called: &str) -> String {
    match called {
        "runc" => format!("NAME:\n   runc - Open Container Initiative runtime\n\n{HELP}"),
        _ => HELP.to_owned(),
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    failure::print(text)?;
    Ok(0)
}

/// Engines read the first line, and some look for the word `spec`.
fn version(called: &str) -> Result<u8, Failure> {
    let called = if called == "oci" { "warren" } else { called };
    let version = env!("CARGO_PKG_VERSION");
    print(&format!(
        "{called} version {version}\ncommit: v{version}\nspec: {}\n",
        warren_oci::config::VERSION
    ))
}
