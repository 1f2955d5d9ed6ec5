//! `--from`: what is run, as another tool would be told.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use warren_oci::Config;
use warren_spawn::{Spec, Terminal};

use super::absolute;
use crate::failure::{self, Failure};
use crate::{pty, supervise, text_file};

/// In whose language.
#[derive(Debug, Args)]
pub struct FromOptions {
    /// Read what is run in the language of another tool: the arguments of bwrap, or an OCI
    /// bundle or config.json, and after it a command instead of the one there
    #[arg(long, value_name = "LANGUAGE", help_heading = "Explain")]
    pub from: Option<Source>,
}

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// The arguments of bubblewrap
    Bwrap,
    /// An OCI bundle, or its config.json
    Oci,
}

/// The options that say what is done with a Spec, and not what it is.
const ALLOWED: [&str; 7] = [
    "from", "print", "plan", "report", "json", "trace", "command",
];

/// What `words` ask for.
pub fn spec(
    source: Source,
    words: &[OsString],
    matches: &ArgMatches,
) -> Result<Spec, Failure> {
    check(matches)?;
    match source {
        Source::Bwrap => crate::bwrap::described(words),
        Source::Oci => {
            let mut spec = oci(words)?;
            live_as_a_run(&mut spec);
            Ok(spec)
        }
    }
}

/// Of how it lives with its caller, a config.json says nothing.
fn live_as_a_run(spec: &mut Spec) {
    spec.parent_death_signal = Some(supervise::KILL);
    match &mut spec.terminal {
        Terminal::Inherit => spec.leave_caller = !pty::is_at_terminal(),
        Terminal::New { rows: 0, .. } => spec.terminal = supervise::new_terminal(),
        Terminal::New { .. } => {}
    }
}

/// Refuses options that would say a second time what is run.
fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let given = |id: &&str| {
        // Groups of options have ids of their own, and no source.
        let is_argument = matches.try_contains_id(id).unwrap_or(false);
        is_argument && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let ids = matches.ids().map(clap::Id::as_str);
    match ids.filter(given).find(|id| {
        let is_group = id.ends_with("Options");
        !is_group && !ALLOWED.contains(id)
    }) {
        Some(id) => Err(Failure::usage(format!(
            "--{} cannot be used with --from, which says all of what is run",
            id.replace('_', "-")
        ))),
        None => Ok(()),
    }
}

/// The largest file that is read, in bytes.
const MAX_LENGTH: u64 = 16 << 20;

/// `BUNDLE|config.json [--] [CMD...]`.
fn oci(words: &[OsString]) -> Result<Spec, Failure> {
    let (place, command) = words.split_first().unwrap_or((&words[0], &[]));
    let command = match command.first() {
        Some(word) if word == OsStr::new("--") => &command[1..],
        _ => command,
    };
    let (file, bundle) = bundle(&absolute(Path::new(place))?);
    let doing = |error: &dyn std::fmt::Display| {
        Failure::new(format!("read {}: {error}", file.display()))
    };
    let text = text_file::read(&file, MAX_LENGTH).map_err(|error| doing(&error))?;
    let config = Config::parse(&text).map_err(|error| doing(&error))?;
    let (mut spec, losses) =
        warren_oci::to_spec(&config, &bundle).map_err(|error| doing(&error))?;
    let weaker = losses.iter().filter(|loss| loss.weakens);
    let weaker = weaker.map(ToString::to_string).chain(hooks(&config));
    let weaker: Vec<String> = weaker.collect();
    if !weaker.is_empty() {
        let failure = doing(&"it asks for isolation that warren cannot give");
        let failure = weaker.into_iter().fold(failure, Failure::hint);
        return Err(failure);
    }
    let notes = losses.iter().map(|loss| format!("warren: note: {loss}\n"));
    failure::print_error(&notes.collect::<String>())?;
    if !command.is_empty() {
        spec.argv = command.to_vec();
    }
    Ok(spec)
}

/// A run has no moments at which others could act. What a hook does cannot be known: it may
/// put up a firewall.
fn hooks(config: &Config) -> Vec<String> {
    let Some(hooks) = &config.hooks else {
        return Vec::new();
    };
    let given = hooks
        .kinds()
        .into_iter()
        .filter(|(_, hooks)| !hooks.is_empty());
    given
        .map(|(name, _)| format!("hooks.{name}: no hook is run"))
        .collect()
}

/// The config.json, and the folder of the bundle that it is of.
fn bundle(place: &Path) -> (PathBuf, PathBuf) {
    if place.is_dir() {
        return (place.join("config.json"), place.to_owned());
    }
    let folder = place.parent().unwrap_or(Path::new("/"));
    (place.to_owned(), folder.to_owned())
}
