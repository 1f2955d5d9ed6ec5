//! `warren watch`: namespaces and processes as they come and go.

mod age;
mod app;
mod changes;
mod frame;
mod history;
pub mod keys;
pub mod lines;
pub mod look;
mod rows;
pub mod screen;
mod session;

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use rustix::stdio::{stdin, stdout};
use rustix::termios::isatty;
use warren_namespaces::Kind;

use crate::failure::Failure;
use crate::ls;
use look::Looks;

/// Shows namespaces and processes as they come and go.
///
/// On a terminal it is a full-screen view; `?` there tells the keys. Elsewhere, and with
/// --json, each event is one line of JSON, as docs/json.md describes it.
///
/// The machine is looked at once in a while: what lives shorter than the interval can
/// be missed. Without --interval that is a second, or as long as keeps it below 2 % of a
/// processor.
#[derive(Debug, Parser)]
#[command(name = "warren watch", bin_name = "warren watch")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Look once in this time: 2s, 250ms
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,

    /// End after this many looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print a line of JSON for each event, on a terminal too
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let kinds = ls::kinds(&arguments.kinds);
    let looks = Looks::new(arguments.interval, arguments.count)?;
    if arguments.json || !can_show() {
        lines::run(looks, kinds)
    } else {
        session::run(looks, kinds)
    }
}

/// Whether keys come from a terminal and its cursor can be moved.
pub fn can_show() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    isatty(stdin()) && isatty(stdout()) && !is_dumb
}

/// `2s`, `250ms`, `1m`; a bare number is seconds.
pub fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(10);
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .map_err(|_| "no time; such as 2s, 250ms, 1m".to_owned())?;
    let unit = match text.get(digits.len()..) {
        Some("ms") => 0.001,
        Some("s" | "") => 1.0,
        Some("m") => 60.0,
        _ => return Err("no unit of time; there are ms, s, m".to_owned()),
    };
    match Duration::try_from_secs_f64(number * unit) {
        Ok(time) if time >= LEAST => Ok(time),
        Ok(_) => Err("less than 10ms".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_interval_has_a_unit() {
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("0.5m"), Ok(Duration::from_secs(30)));
        for wrong in ["", "s", "1h", "-1s", "1ms", "inf", "nan", "1e30s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
