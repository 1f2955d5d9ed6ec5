//! `lsns`: lists namespaces as that program of util-linux does, for scripts and fingers
//! that know it. docs/compatibility.md says where it differs.

mod cell;
mod column;
mod filter;
mod help;
mod json;
mod options;
mod row;
mod table;
mod text;

use std::ffi::OsString;

use rustix::io::Errno;
use warren_namespaces::{
    MountScope, Namespace, NamespaceSet, Part, ProcRoot, Scope, Snapshot, Unreadable,
};

use crate::failure::{self, Failure};
use crate::terminal;
use cell::Cells;
use column::Column;
use filter::Filter;
use json::Forest;
use options::{Asked, Format, Options, Tree, What};
use row::Row;
use text::Charset;

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
    let proc = ProcRoot::open().map_err(|error| no_snapshot(error.into()))?;
    let snapshot = take(&proc, options, &shown)?;
    relations_are_known(&snapshot, options, &shown)?;
    let mut cells = Cells::new(&snapshot, &proc);
    let rows = row::rows(&snapshot, options, |row| match &filter {
        Some(filter) => filter.holds(|column| cells.cell(row, column)),
        None => true,
    });
    let rows = rows.ok_or_else(|| not_found(options.what))?;
    print(&render(&rows, options, &mut cells))?;
    tell_what_is_missing(&snapshot, &proc, options)
}

/// Looks as far as the columns and the choice need it.
fn take(
    proc: &ProcRoot,
    options: &Options,
    shown: &[Column],
) -> Result<Snapshot, Failure> {
    let has = |column| shown.contains(&column);
    let only_links = !has(Column::Nsfs) && !has(Column::Heldby);
    let taken = match options.what {
        What::OfProcess(pid) if options.kinds == NamespaceSet::ALL && only_links => {
            if shown.iter().any(|column| column.needs_members()) {
                Snapshot::of_process_with_members(proc, pid)
            } else {
                Snapshot::of_process(proc, pid)
            }
        }
        What::Processes(inode) => processes(proc, inode, options, shown),
        _ => Snapshot::take_with(proc, scope(options, shown)),
    };
    match (taken, options.what) {
        // Told after an empty list.
        (Err(error), What::OfProcess(_))
            if matches!(error.errno(), Errno::SRCH | Errno::ACCESS) =>
        {
            Ok(Snapshot::of_parts(Vec::new(), Vec::new(), Scope::MEMBERS))
        }
        (taken, _) => taken.map_err(no_snapshot),
    }
}

/// Looks at the processes; at all else only where none of them is in the namespace.
fn processes(
    proc: &ProcRoot,
    inode: u64,
    options: &Options,
    shown: &[Column],
) -> Result<Snapshot, warren_namespaces::Error> {
    let snapshot = Snapshot::take_with(proc, scope(options, shown))?;
    let is_meant = |one: &Namespace| one.id.inode == inode && one.processes > 0;
    if snapshot.namespaces.iter().any(is_meant) {
        return Ok(snapshot);
    }
    let mut scope = Scope::ALL;
    scope.kinds = options.kinds;
    Snapshot::take_with(proc, scope)
}

fn scope(options: &Options, shown: &[Column]) -> Scope {
    let has = |column| shown.contains(&column);
    // Who is in a namespace is known from links; what keeps the others, from every trace.
    let everything = matches!(options.what, What::All | What::Persistent);
    let mut scope = if everything {
        Scope::ALL
    } else {
        Scope::MEMBERS
    };
    scope.kinds = options.kinds;
    scope.commands = false;
    // Read for the lines that are shown, as command lines are.
    scope.labels = false;
    scope.ids = has(Column::Nsid) || has(Column::Handle) || has(Column::Netnsid);
    scope.relations = everything
        || has(Column::Pns)
        || has(Column::Ons)
        || matches!(options.tree, Tree::Owner | Tree::Parent);
    if !everything && has(Column::Heldby) {
        scope = Scope::ALL;
        scope.kinds = options.kinds;
    } else if !everything && (has(Column::Nsfs) || has(Column::Netnsid)) {
        scope.mounts = MountScope::Own;
    }
    scope
}

fn no_snapshot(error: warren_namespaces::Error) -> Failure {
    let is_root = error.object() == "/proc";
    let failure = Failure::new(error);
    if is_root {
        return failure.hint("mount procfs there: mount -t proc proc /proc");
    }
    failure
}

fn not_found(what: What) -> Failure {
    let What::Processes(inode) = what else {
        unreachable!("only the namespace of a number can be missing");
    };
    Failure::new(format!("not found namespace: {inode}"))
}

/// A kernel that cannot tell what a column or tree shows is no reason to show zeros.
fn relations_are_known(
    snapshot: &Snapshot,
    options: &Options,
    shown: &[Column],
) -> Result<(), Failure> {
    let wanted = shown.contains(&Column::Pns)
        || shown.contains(&Column::Ons)
        || matches!(options.tree, Tree::Owner | Tree::Parent);
    if wanted && snapshot.unreadable.iter().any(lacks_relations) {
        let failure = Failure::new("Unsupported ioctl NS_GET_USERNS").code(2);
        return Err(failure.hint("this needs Linux 4.9"));
    }
    Ok(())
}

fn lacks_relations(unreadable: &Unreadable) -> bool {
    matches!(unreadable.part, Part::Relations { .. }) && unreadable.errno == Errno::NOTTY
}

fn render(rows: &[Row<'_>], options: &Options, cells: &mut Cells<'_>) -> String {
    // The column that shows the tree; without it there is none to be seen.
    let tree = match options.tree {
        Tree::None => None,
        Tree::Process => Some(Column::Command),
        Tree::Owner | Tree::Parent => Some(Column::Ns),
    };
    let tree = tree.filter(|column| options.columns.contains(column));
    match options.format {
        Format::Table => as_table(rows, options, tree, cells),
        Format::Raw => as_words(rows, options, tree, cells),
        Format::Json => as_json(rows, options, tree, cells),
    }
}

fn as_table(
    rows: &[Row<'_>],
    options: &Options,
    tree: Option<Column>,
    cells: &mut Cells<'_>,
) -> String {
    let charset = Charset::of_environment();
    let order = table::in_order(rows, tree.is_some(), charset);
    let mut row = |(at, prefix): (usize, table::Prefix)| {
        let cell = |column: &Column| {
            let cell = cells.cell(&rows[at], *column).unwrap_or_default();
            let mut lines = lines(*column, &cell, options.wrap)
                .into_iter()
                .map(|line| text::printable(&line, charset))
                .collect::<Vec<_>>();
            if tree == Some(*column) {
                draw(&mut lines, &prefix);
            }
            lines
        };
        options.columns.iter().map(cell).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<Vec<String>>> = order.iter().cloned().map(&mut row).collect();
    if let Some(tree) = tree {
        continue_lines(&mut rows, &order, options, tree);
    }
    let head = |column: &Column| table::head(*column, tree == Some(*column));
    table::Grid {
        heads: options.columns.iter().map(head).collect(),
        rows,
        headings: options.headings,
        terminal: terminal::width().filter(|_| options.truncate),
    }
    .render()
}

/// What a cell of several mount points or holders shows a line.
fn lines(column: Column, cell: &[u8], wrap: bool) -> Vec<Vec<u8>> {
    if !column.has_lines() {
        return vec![cell.to_vec()];
    }
    let lines = cell.split(|byte| *byte == b'\n');
    if wrap {
        return lines.map(<[u8]>::to_vec).collect();
    }
    vec![lines.collect::<Vec<_>>().join(&b',')]
}

fn draw(lines: &mut [String], prefix: &table::Prefix) {
    for line in lines {
        line.insert_str(0, &prefix.first);
    }
}

/// Draws the branches on, beside the further lines of a mount point's cell.
fn continue_lines(
    rows: &mut [Vec<Vec<String>>],
    order: &[(usize, table::Prefix)],
    options: &Options,
    tree: Column,
) {
    for (row, (_, prefix)) in rows.iter_mut().zip(order) {
        let height = row.iter().map(Vec::len).max().unwrap_or(1);
        for (cell, column) in row.iter_mut().zip(&options.columns) {
            if *column == tree {
                let below = std::iter::once(&prefix.second)
                    .chain(std::iter::repeat(&prefix.others));
                cell.extend(below.take(height - 1).cloned());
            }
        }
    }
}

/// Escaped, the branches of a tree could be told from nothing: they are left out.
fn as_words(
    rows: &[Row<'_>],
    options: &Options,
    tree: Option<Column>,
    cells: &mut Cells<'_>,
) -> String {
    let mut text = String::new();
    if options.headings && !rows.is_empty() {
        let names = options
            .columns
            .iter()
            .map(|column| column.name().to_owned());
        text.push_str(&table::raw_line(names));
    }
    for (at, _) in table::in_order(rows, tree.is_some(), Charset::Ascii) {
        let word = |column: &Column| {
            let cell = cells.cell(&rows[at], *column).unwrap_or_default();
            text::word(&lines(*column, &cell, false).concat())
        };
        let words: Vec<String> = options.columns.iter().map(word).collect();
        text.push_str(&table::raw_line(words));
    }
    text
}

fn as_json(
    rows: &[Row<'_>],
    options: &Options,
    tree: Option<Column>,
    cells: &mut Cells<'_>,
) -> String {
    let mut object = |row: &Row<'_>| {
        let member = |column: &Column| {
            let cell = cells.cell(row, *column);
            (column.key(), json::value(*column, cell.as_deref()))
        };
        options.columns.iter().map(member).collect()
    };
    let members: Vec<Vec<(String, String)>> = rows.iter().map(&mut object).collect();
    let forest = match tree {
        Some(_) => Forest {
            members,
            children: row::children(rows),
        },
        None => Forest::flat(members),
    };
    forest.render("namespaces", json::Layout::of_environment())
}

/// Says on standard error, after the list, what it lacks: that the process asked for is
/// not there, and to somebody at a terminal how much could not be read. Scripts that read
/// both streams together see nothing of the latter.
fn tell_what_is_missing(
    snapshot: &Snapshot,
    proc: &ProcRoot,
    options: &Options,
) -> Result<u8, Failure> {
    let mut text = String::new();
    match options.what {
        What::OfProcess(pid) if snapshot.process(pid).is_none() => {
            text = missing_process(proc, pid);
        }
        What::Nothing(pid) => text = format!("lsns: no process {pid}\n"),
        _ if terminal::errors_are_seen() => text = incomplete(snapshot),
        _ => {}
    }
    failure::print_error(&text)?;
    Ok(0)
}

fn missing_process(proc: &ProcRoot, pid: u32) -> String {
    match warren_namespaces::namespaces_of(proc, pid) {
        Err(error) if error.errno() == Errno::SRCH => format!("lsns: no process {pid}\n"),
        Err(error) => {
            let hint = "hint: the namespaces of a process of somebody else, or with more \
                        capabilities, are hidden: run as root";
            format!("lsns: {error}\n{hint}\n")
        }
        // It began after the look.
        Ok(_) => String::new(),
    }
}

/// `lsns: 88 of 89 processes not readable`, or nothing.
fn incomplete(snapshot: &Snapshot) -> String {
    let is_process = |hole: &&Unreadable| matches!(hole.part, Part::Process { .. });
    let missing = snapshot.unreadable.iter().filter(is_process).count();
    if missing == 0 {
        return String::new();
    }
    let all = snapshot.processes.len() + missing;
    let hint = if rustix::process::geteuid().is_root() {
        "they have capabilities that this process lacks, or a security module refuses"
    } else {
        "run as root to see all namespaces and all processes in them"
    };
    let processes = if all == 1 { "process" } else { "processes" };
    format!("lsns: {missing} of {all} {processes} not readable\nhint: {hint}\n")
}

fn print(text: &str) -> Result<u8, Failure> {
    failure::write(text).map_err(|error| {
        let text = warren_namespaces::io_error_text(&error);
        Failure::new(format!("write error: {text}"))
    })?;
    Ok(0)
}
