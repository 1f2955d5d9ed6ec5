//! `warren`: see, make, enter and run in Linux namespaces, from one binary.
//!
//! This crate parses arguments, prints and holds the terminal; it knows nothing of
//! system calls. One file per command: its arguments, and their translation into
//! values of the crates below.

mod bwrap;
mod columns;
mod diff;
mod doctor;
mod enter;
mod explain;
mod failure;
mod gc;
mod getopt;
#[cfg(test)]
mod golden;
mod json;
mod keep;
mod limits;
mod ls;
mod lsns;
mod map;
mod mount;
mod net;
mod nsenter;
mod oci;
mod overview;
mod posture;
mod print;
mod profile;
mod pty;
mod run;
mod seccomp;
mod show;
mod supervise;
mod table;
mod terminal;
mod text_file;
mod top;
mod unshare;
mod util_linux;
mod watch;
mod words;

use std::ffi::OsString;
use std::path::Path;

use failure::Failure;

/// A command of the multi-call binary.
struct Command {
    name: &'static str,
    about: &'static str,
    /// Takes the whole argument list, its own name first; gives the exit code.
    run: fn(&[OsString]) -> Result<u8, Failure>,
    /// Whether it stands in for another program: it is also chosen by the name under
    /// which the binary was called, and speaks under its own.
    personality: bool,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        about: "run a command in eight new namespaces, isolated unless told",
        run: run::run,
        personality: false,
    },
    Command {
        name: "unshare",
        about: "run a program in new namespaces of some kinds, as unshare(1)",
        run: unshare::run,
        personality: true,
    },
    Command {
        name: "nsenter",
        about: "run a program in namespaces of a process or file, as nsenter(1)",
        run: nsenter::run,
        personality: true,
    },
    Command {
        name: "bwrap",
        about: "run a program in a root put together from options, as bubblewrap",
        run: bwrap::run,
        personality: true,
    },
    Command {
        name: "oci",
        about: "make, start, enter and end containers of bundles, as an OCI runtime",
        run: oci::run,
        personality: false,
    },
    Command {
        name: "runc",
        about: "the same under the name and in the words of runc",
        run: oci::run,
        personality: true,
    },
    Command {
        name: "enter",
        about: "run a command where a process is, or in namespaces that are kept",
        run: enter::run,
        personality: false,
    },
    Command {
        name: "keep",
        about: "keep namespaces under a name, without a process; list what is kept",
        run: keep::run,
        personality: false,
    },
    Command {
        name: "rm",
        about: "let kept namespaces go",
        run: keep::remove,
        personality: false,
    },
    Command {
        name: "mount",
        about: "mount a file or folder into a mount namespace that is in use",
        run: mount::run,
        personality: false,
    },
    Command {
        name: "umount",
        about: "unmount something there",
        run: mount::unmount,
        personality: false,
    },
    Command {
        name: "limits",
        about: "show and change what a group of processes may use",
        run: limits::run,
        personality: false,
    },
    Command {
        name: "net",
        about: "make, list, show and remove networks for `warren run --net NAME`",
        run: net::run,
        personality: false,
    },
    Command {
        name: "gc",
        about: "remove what containers have left whose supervisor was killed",
        run: gc::run,
        personality: false,
    },
    Command {
        name: "profile",
        about: "list, show and check profiles: what a command may have",
        run: profile::run,
        personality: false,
    },
    Command {
        name: "posture",
        about: "try to get out of a run, and say what of it holds",
        run: posture::run,
        personality: false,
    },
    Command {
        name: "ls",
        about: "list namespaces and the processes in them",
        run: ls::run,
        personality: false,
    },
    Command {
        name: "lsns",
        about: "list namespaces as util-linux's lsns does",
        run: lsns::run,
        personality: true,
    },
    Command {
        name: "show",
        about: "show what is inside a namespace, or all those of a process",
        run: show::run,
        personality: false,
    },
    Command {
        name: "diff",
        about: "say in what two processes' namespaces differ",
        run: diff::run,
        personality: false,
    },
    Command {
        name: "explain",
        about: "say what a kind of namespace isolates, with this machine's facts",
        run: explain::run,
        personality: false,
    },
    Command {
        name: "watch",
        about: "show namespaces and processes as they come and go",
        run: watch::run,
        personality: false,
    },
    Command {
        name: "top",
        about: "show what containers and kept namespaces use, live",
        run: top::run,
        personality: false,
    },
    Command {
        name: "map",
        about: "draw what isolates what: text, SVG, HTML, DOT",
        run: map::run,
        personality: false,
    },
    Command {
        name: "doctor",
        about: "say what this machine allows, and what to do about the rest",
        run: doctor::run,
        personality: false,
    },
];

/// Runs the command that the process's arguments name; gives the exit code.
#[must_use]
pub fn start() -> u8 {
    if let Some(name) = enter::guest::called_as() {
        return enter::guest::become_program(&name).report();
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let result = match personality(&arguments) {
        Some(command) => command.start(&arguments),
        None => dispatch(arguments.get(1..).unwrap_or_default()),
    };
    result.unwrap_or_else(|failure| failure.report())
}

impl Command {
    fn start(&self, arguments: &[OsString]) -> Result<u8, Failure> {
        let result = (self.run)(arguments);
        if self.personality {
            return result.map_err(|failure| failure.of_personality(self.name));
        }
        result
    }
}

/// The personality that the name of the called file chooses.
fn personality(arguments: &[OsString]) -> Option<&'static Command> {
    let name = arguments.first()?;
    let called = if name == ITSELF {
        // Whoever executes itself by that name does not say what it is.
        std::fs::read_link(ITSELF).ok()
    } else {
        None
    };
    let called = called.as_deref().unwrap_or(Path::new(name)).file_name()?;
    let found = COMMANDS
        .iter()
        .find(|command| command.personality && called == command.name);
    // A link to the binary leads to the name of that. Of the personalities that call
    // themselves so there is one, all of whose lines begin with such an option.
    let is_option = |word: &OsString| {
        word.as_encoded_bytes().starts_with(b"--")
            && word != "--help"
            && word != "--version"
    };
    if found.is_none() && name == ITSELF && arguments.get(1).is_some_and(is_option) {
        return COMMANDS.iter().find(|command| command.name == "bwrap");
    }
    found
}

/// A name of the program that runs.
const ITSELF: &str = "/proc/self/exe";

/// Finds the command that the first argument names and runs it.
fn dispatch(arguments: &[OsString]) -> Result<u8, Failure> {
    let Some(name) = arguments.first() else {
        return Err(Failure::usage("no command given").hint(overview()));
    };
    if let Some(command) = COMMANDS.iter().find(|command| name == command.name) {
        return command.start(arguments);
    }
    if name == show::helper::NAME {
        return show::helper::run(arguments);
    }
    if name == posture::inside::NAME {
        return posture::inside::run(arguments);
    }
    match name.to_str() {
        Some("help" | "--help" | "-h") => print(&overview()),
        Some("--version" | "-V") => {
            print(concat!("warren ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        _ => {
            let name = name.to_string_lossy();
            Err(Failure::usage(format!("no command '{name}'")).hint(overview()))
        }
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    failure::print(text)?;
    Ok(0)
}

/// The help text of `warren` itself.
fn overview() -> String {
    use std::fmt::Write;
    let mut text = String::from("usage: warren COMMAND [OPTIONS] ...\n\ncommands:\n");
    for Command { name, about, .. } in COMMANDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<10}{about}");
    }
    text.push_str("\nwarren COMMAND --help says more.\n");
    text
}
