//! `warren profile`: which profiles there are, what one comes to, what is wrong with it.

mod check;
mod list;
mod show;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use warren_namespaces::accounts::{Accounts, passwd_by_uid};
use warren_profile::{Caller, Library, Loaded};

use crate::failure::Failure;
use crate::run::current_folder;

/// List, show and check profiles: files that say what a command may have
///
/// `warren run --profile NAME` begins with one. They are looked for in
/// ~/.config/warren/profiles and /etc/warren/profiles, then among those that are part of
/// Warren. docs/profiles.md describes the format.
#[derive(Debug, Parser)]
#[command(name = "warren profile", bin_name = "warren profile")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the profiles that have a name
    Ls {
        /// Print JSON, as docs/json.md describes it
        #[arg(long)]
        json: bool,
    },
    /// Print a profile with all that it includes, and what a run with it comes to here
    Show {
        /// Print JSON, as docs/json.md describes it
        #[arg(long)]
        json: bool,
        /// Its name, or its file (with a slash in it); a later one goes on top
        #[arg(value_name = "NAME|FILE", required = true)]
        profile: Vec<String>,
    },
    /// Say what is wrong with a profile, and what this machine cannot enforce of it
    Check {
        /// Print JSON, as docs/json.md describes it
        #[arg(long)]
        json: bool,
        /// Its name, or its file (with a slash in it); a later one goes on top
        #[arg(value_name = "NAME|FILE", required = true)]
        profile: Vec<String>,
    },
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    match Arguments::try_parse_from(arguments)?.verb {
        Verb::Ls { json } => list::run(json),
        Verb::Show { json, profile } => show::run(&profile, json),
        Verb::Check { json, profile } => check::run(&profile, json),
    }
}

/// These profiles as one, each on top of those before it.
pub fn load(words: &[String]) -> Result<Loaded, Failure> {
    let library = library()?;
    let mut all = Loaded::default();
    for word in words {
        let next = library.load(word)?;
        all.profile = next.profile.over(all.profile);
        all.origins.extend(next.origins);
    }
    Ok(all)
}

/// Where the caller's profiles are.
fn library() -> Result<Library, Failure> {
    let own = match absolute("XDG_CONFIG_HOME") {
        Some(folder) => Some(folder),
        None => home()?.map(|home| home.join(".config")),
    };
    let own = own.map(|folder| folder.join("warren/profiles"));
    Ok(Library {
        folders: own
            .into_iter()
            .chain(["/etc/warren/profiles".into()])
            .collect(),
    })
}

/// What a profile's texts stand for.
pub fn caller() -> Result<Caller, Failure> {
    let environment = std::env::vars_os().collect();
    Ok(Caller::new(current_folder()?, home()?, environment))
}

/// HOME, or what the accounts say of the caller.
fn home() -> Result<Option<PathBuf>, Failure> {
    if let Some(home) = absolute("HOME") {
        return Ok(Some(home));
    }
    let accounts = Accounts::read().map_err(|error| Failure::new(error.to_string()))?;
    let uid = rustix::process::getuid().as_raw();
    let account = passwd_by_uid(&accounts.passwd, uid);
    Ok(account.map(|account| account.home.into()))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    let value = PathBuf::from(std::env::var_os(variable)?);
    value.is_absolute().then_some(value)
}

impl From<warren_profile::Error> for Failure {
    fn from(error: warren_profile::Error) -> Self {
        let failure = Self::new(&error);
        let hints = error.hints.into_iter();
        hints.fold(failure, |failure, hint| failure.hint(hint))
    }
}
