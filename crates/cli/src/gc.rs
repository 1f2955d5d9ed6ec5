//! `warren gc`: what no living container owns.

use std::ffi::OsString;

use clap::Parser;

use crate::failure::{self, Failure};

/// Remove what containers have left whose supervisor was killed
///
/// Links, elements and tables of nftables, settings of the host that were changed for
/// them, and control groups. Who is alive is never guessed: a container holds its address by a name that the
/// kernel frees with it.
#[derive(Debug, Parser)]
#[command(
    name = "warren gc",
    bin_name = "warren gc",
    override_usage = "warren gc [--json]"
)]
struct Arguments {
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let mut removed = warren_network::collect()?;
    removed.extend(groups()?);
    let text = if arguments.json {
        crate::json::text(&serde_json::json!({ "version": 1, "removed": removed }))?
    } else {
        removed
            .iter()
            .map(|what| format!("removed {what}\n"))
            .collect()
    };
    failure::print(&text)?;
    Ok(0)
}

/// Removes control groups that nobody is in and nobody holds.
fn groups() -> Result<Vec<String>, Failure> {
    let mut removed = Vec::new();
    for group in warren_cgroups::left_over().map_err(Failure::new)? {
        let path = group.path().display().to_string();
        group.remove().map_err(Failure::new)?;
        removed.push(format!("control group {path}"));
    }
    Ok(removed)
}
