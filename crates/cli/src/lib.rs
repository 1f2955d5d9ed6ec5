//! `warren`: see, make, enter and run in Linux namespaces, from one binary.
//!
//! This crate parses arguments, prints and holds the terminal; it knows nothing of
//! system calls. One file per command: its arguments, and their translation into
//! values of the crates below.

mod doctor;
mod enter;
mod failure;
mod json;
mod ls;
mod pty;
mod run;
mod seccomp;
mod supervise;
mod terminal;
mod unshare;

use std::ffi::OsString;

use failure::Failure;

/// A command of the multi-call binary.
struct Command {
    name: &'static str,
    about: &'static str,
    /// Takes the whole argument list, its own name first; gives the exit code.
    run: fn(&[OsString]) -> Result<u8, Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        about: "run a command in eight new namespaces, isolated unless told",
        run: run::run,
    },
    Command {
        name: "unshare",
        about: "run a command in new namespaces of some kinds",
        run: unshare::run,
    },
    Command {
        name: "enter",
        about: "run a command in the namespaces of a process",
        run: enter::run,
    },
    Command {
        name: "ls",
        about: "list namespaces and the processes in them",
        run: ls::run,
    },
    Command {
        name: "doctor",
        about: "say what this machine allows, and what to do about the rest",
        run: doctor::run,
    },
];

/// Runs the command that the process's arguments name; gives the exit code.
#[must_use]
pub fn start() -> u8 {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    dispatch(&arguments).unwrap_or_else(|failure| failure.report())
}

/// Finds the command that the first argument names and runs it.
fn dispatch(arguments: &[OsString]) -> Result<u8, Failure> {
    let Some(name) = arguments.first() else {
        return Err(Failure::usage("no command given").hint(overview()));
    };
    if let Some(command) = COMMANDS.iter().find(|command| name == command.name) {
        return (command.run)(arguments);
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
