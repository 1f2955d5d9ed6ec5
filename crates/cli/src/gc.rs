//! `warren gc`: what no living container owns.

use std::ffi::OsString;

use clap::Parser;

use crate::failure::{self, Failure};

/// Remove what containers have left whose supervisor was killed
///
/// Control groups, links, elements and tables of nftables, and settings of the host that
/// were changed for them. Who is alive is never guessed: a container holds its address by a
/// name, and its control group by a lock, that the kernel frees with it.
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
    let mut removed = control_groups()?;
    removed.extend(warren_network::collect()?);
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

/// Removes the groups that nobody holds and nobody is in.
fn control_groups() -> Result<Vec<String>, Failure> {
    let left = warren_cgroups::left_over().map_err(Failure::new)?;
    let remove = |group: warren_cgroups::LeftOver| {
        group.remove().map_err(Failure::new)?;
        Ok(format!("control group {}", group.path().display()))
    };
    left.into_iter().map(remove).collect()
}
