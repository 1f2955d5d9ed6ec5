//! `warren show`: what is inside a namespace, or all those of a process.

pub mod helper;
pub mod json;
pub mod subject;
mod text;
pub mod units;
pub mod view;

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{Kind, NamespaceSet, ProcRoot, Target};

use crate::failure::{Failure, print};
use crate::terminal;
use subject::Subject;
use view::View;

/// Shows what is inside a namespace, or all those of a process
///
/// TARGET is a pid, a namespace (`net:[4026531840]`, `net:4026531840` or its inode), a
/// file such as /run/netns/NAME, or the name of a container, a unit or kept namespaces.
#[derive(Debug, Parser)]
#[command(name = "warren show", bin_name = "warren show")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<Kind>,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,

    /// Whose namespaces are shown
    #[arg(value_name = "TARGET")]
    target: Target,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let subject = Subject::find(&proc, &arguments.target)?;
    let kinds = asked(&arguments.kinds);
    if let Some(kind) = arguments
        .kinds
        .iter()
        .find(|kind| !subject.kinds().contains(**kind))
    {
        return Err(Failure::new(format!(
            "show {}: it has no {kind} namespace",
            subject.name
        )));
    }
    let snapshot = view::surroundings(&proc)?;
    let view = View::take(&proc, &snapshot, &subject, kinds)?;
    let text = if arguments.json {
        json::render(&view)?
    } else {
        text::render(&view, kinds, terminal::width())
    };
    print(&text)?;
    Ok(0)
}

/// All kinds unless some were named.
pub fn asked(kinds: &[Kind]) -> NamespaceSet {
    match kinds {
        [] => NamespaceSet::ALL,
        kinds => kinds.iter().copied().collect(),
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
