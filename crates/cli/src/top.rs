//! `warren top`: what containers and kept namespaces use, live.

mod frame;
mod gauge;
mod lines;
mod rows;
mod session;

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;

use crate::failure::Failure;
use crate::watch::{can_show, interval, look::Looks};
use rows::Sort;

/// Shows what containers and kept namespaces use: CPU, memory, I/O, network, pressure
///
/// On a terminal it is a full-screen view; `?` there tells the keys. Elsewhere, and with
/// --json, each look is one line of JSON, as docs/json.md describes it. A row is a group of
/// processes with the same namespaces, as `warren ls` shows them, but for the host's own.
#[derive(Debug, Parser)]
#[command(name = "warren top", bin_name = "warren top")]
struct Arguments {
    /// Look once in this time: 2s, 250ms
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,

    /// End after this many looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print one table and end: what was used in the time between two looks
    #[arg(long, conflicts_with = "count")]
    once: bool,

    /// What comes first: cpu memory io net pressure name
    #[arg(long, value_name = "COLUMN", default_value = "cpu")]
    sort: Sort,

    /// Print a line of JSON for each look, on a terminal too
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let Arguments {
        interval,
        count,
        once,
        sort,
        json,
    } = Arguments::try_parse_from(arguments)?;
    let count = if once { Some(1) } else { count };
    // The first look is what the others are compared with.
    let looks = Looks::new(interval, count.map(|count| count.saturating_add(1)))?;
    match () {
        () if once && !json => lines::table(looks, sort),
        () if json || !can_show() => lines::json(looks, sort),
        () => session::run(looks, sort),
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
}
