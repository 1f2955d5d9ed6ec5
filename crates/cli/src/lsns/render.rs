//! The three forms of a list: table, words, JSON.

use super::cell::Cells;
use super::column::Column;
use super::json::{self, Forest};
use super::options::{Format, Options, Tree};
use super::row::{self, Row};
use super::table;
use super::text::{self, Charset};
use crate::terminal;

/// The text of the list.
pub fn render(rows: &[Row<'_>], options: &Options, cells: &mut Cells<'_>) -> String {
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
