//! `warren explain`: what a kind of namespace isolates, with this machine's own facts.

mod facts;
mod kinds;

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{Kind, ProcRoot, Snapshot};

use crate::columns::Columns;
use crate::failure::{Failure, print};
use crate::terminal;
use kinds::Explanation;

/// Says what a kind of namespace isolates and what not, with this machine's own facts
///
/// Without a KIND it lists them.
#[derive(Debug, Parser)]
#[command(name = "warren explain", bin_name = "warren explain")]
struct Arguments {
    /// mnt net ipc user pid uts cgroup time
    #[arg(value_name = "KIND")]
    kind: Option<Kind>,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let snapshot = Snapshot::take_from(&proc).map_err(Failure::new)?;
    let mut out = Columns::new(terminal::width());
    match arguments.kind {
        Some(kind) => explain(&mut out, kind, &facts::of(kind, &proc, &snapshot)),
        None => list(&mut out, &snapshot),
    }
    print(&out.finish())?;
    Ok(0)
}

fn list(out: &mut Columns, snapshot: &Snapshot) {
    let rows = Kind::ALL.map(|kind| {
        let of_kind = snapshot
            .namespaces
            .iter()
            .filter(|found| found.kind == kind);
        vec![
            kind.to_string(),
            of_kind.count().to_string(),
            kinds::of(kind).about.to_owned(),
        ]
    });
    out.table(
        0,
        &["KIND", "FOUND", "WHAT EACH NAMESPACE HAS OF ITS OWN"],
        rows.into(),
    );
    out.gap();
    out.line(0, "warren explain KIND says more.");
}

fn explain(out: &mut Columns, kind: Kind, facts: &[String]) {
    let Explanation {
        about,
        isolates,
        shares,
        example,
        errors,
        pages,
    } = kinds::of(kind);
    out.line(0, &format!("{kind}: {about}"));
    paragraphs(out, "Isolates", isolates);
    paragraphs(out, "Does not isolate", shares);
    out.gap();
    out.line(0, "On this machine");
    facts.iter().for_each(|fact| out.prose(2, fact));
    out.gap();
    out.line(0, "Try");
    out.line(2, &format!("$ {}", example.command));
    out.prose(2, example.shows);
    out.gap();
    out.line(0, "Errors");
    for (error, reason) in *errors {
        out.line(2, error);
        out.prose(6, reason);
    }
    out.gap();
    out.prose(0, &format!("See {}.", pages.join(", ")));
}

fn paragraphs(out: &mut Columns, title: &str, texts: &[&str]) {
    out.gap();
    out.line(0, title);
    texts.iter().for_each(|text| out.prose(2, text));
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
    fn every_explanation_fits_80_columns() {
        for kind in Kind::ALL {
            for width in [None, Some(80)] {
                let mut out = Columns::new(width);
                explain(&mut out, kind, &[]);
                let text = out.finish();
                let too_wide = text.lines().find(|line| line.chars().count() > 80);
                assert_eq!(too_wide, None, "{kind}");
                assert!(!text.contains('…'), "{kind}:\n{text}");
            }
        }
    }
}
