//! `lsns`: lists namespaces as that program of util-linux does, for scripts and fingers
//! that know it. docs/compatibility.md says where it differs.

mod cell;
mod column;
mod filter;
mod help;
mod json;
mod look;
mod missing;
mod options;
mod render;
mod row;
mod table;
pub mod text;

use std::ffi::OsString;

use warren_namespaces::ProcRoot;

use crate::failure::{self, Failure};
use cell::Cells;
use filter::Filter;
use options::{Asked, Options, What};

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    match options::parse(arguments)? {
        Asked::Help => print(&help::text()),
        Asked::Version => print(help::VERSION),
        Asked::ListColumns(format) => print(&help::columns(format)),
        Asked::List(options) => list(&options),
    }
}

fn list(options: &Options) -> Result<u8, Failure> {
    let filter = options.filter.as_deref().map(Filter::parse).transpose()?;
    let mut shown = options.columns.clone();
    shown.extend(filter.iter().flat_map(Filter::columns));
    let proc = ProcRoot::open().map_err(|error| look::no_snapshot(error.into()))?;
    let snapshot = look::take(&proc, options, &shown)?;
    let mut cells = Cells::new(&snapshot, &proc);
    let rows = row::rows(&snapshot, options, |row| match &filter {
        Some(filter) => filter.holds(|column| cells.cell(row, column)),
        None => true,
    });
    let rows = rows.ok_or_else(|| not_found(options.what))?;
    print(&render::render(&rows, options, &mut cells))?;
    missing::tell(&snapshot, &proc, options)
}

fn not_found(what: What) -> Failure {
    let What::Processes(inode) = what else {
        unreachable!("only the namespace of a number can be missing");
    };
    Failure::new(format!("not found namespace: {inode}"))
}

fn print(text: &str) -> Result<u8, Failure> {
    failure::write(text).map_err(|error| {
        let text = warren_namespaces::io_error_text(&error);
        Failure::new(format!("write error: {text}"))
    })?;
    Ok(0)
}
