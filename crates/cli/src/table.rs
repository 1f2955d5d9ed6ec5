//! Columns of text that fit the terminal.

use crate::terminal;

/// A terminal with fewer columns gets the cells of a row below each other.
pub const NARROW: usize = 72;
/// The least that is left for the last column where columns stand side by side.
const LAST: usize = 28;
const GAP: &str = "  ";

/// A row: short cells, one cell of words that are wrapped, one that is cut.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Never cut; the first ones.
    pub short: Vec<String>,
    /// Wrapped where it does not fit.
    pub words: Vec<String>,
    /// Cut where it does not fit.
    pub last: String,
}

/// How the short cells stand: numbers to the right, words to the left.
#[derive(Clone, Copy, Debug)]
pub enum Align {
    Left,
    Right,
}

/// All rows side by side, the heading first.
pub fn side_by_side(rows: &[Row], align: &[Align], width: Option<usize>) -> String {
    let short: Vec<usize> = (0..align.len())
        .map(|column| {
            widest(rows, |row| {
                row.short.get(column).map_or(0, |cell| length(cell))
            })
        })
        .collect();
    let before: usize = short.iter().map(|width| width + GAP.len()).sum();
    let longest = widest(rows, |row| length(&row.words.join(" ")));
    let words = match width {
        Some(width) => longest.min(width.saturating_sub(before + GAP.len() + LAST)),
        None => longest,
    };
    let wrapped = |row: &Row| terminal::wrap(&row.words, " ", words);
    // A single word can be wider than what was left for it.
    let words = widest(rows, |row| widest(&wrapped(row), |line| length(line)));
    let mut text = String::new();
    for row in rows {
        let lines = wrapped(row);
        let first = lines.first().map_or("", String::as_str);
        let mut line = String::new();
        for ((cell, width), align) in row.short.iter().zip(&short).zip(align) {
            line.push_str(&match align {
                Align::Left => format!("{cell:width$}{GAP}"),
                Align::Right => format!("{cell:>width$}{GAP}"),
            });
        }
        line.push_str(&format!("{first:words$}{GAP}"));
        line.push_str(&fit(&row.last, width, before + words + GAP.len()));
        push_line(&mut text, &line);
        for more in lines.iter().skip(1) {
            push_line(&mut text, &format!("{:before$}{more}", ""));
        }
    }
    text
}

/// What of a text fits behind `used` columns.
pub fn fit(text: &str, width: Option<usize>, used: usize) -> String {
    match width {
        Some(width) => terminal::cut(text, width.saturating_sub(used)),
        None => text.to_owned(),
    }
}

/// A line without spaces at its end.
pub fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn widest<T>(of: &[T], length: impl Fn(&T) -> usize) -> usize {
    of.iter().map(length).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGN: [Align; 2] = [Align::Right, Align::Left];

    fn rows() -> Vec<Row> {
        let row = |pid: &str, user: &str, words: &[&str], last: &str| Row {
            short: vec![pid.to_owned(), user.to_owned()],
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            last: last.to_owned(),
        };
        vec![
            row("PID", "USER", &["NAMESPACES"], "COMMAND"),
            row("1", "root", &["(the host's)"], "/sbin/init"),
            row(
                "4242",
                "bürger",
                &["mnt:4026532251", "net:4026532253", "pid:4026532254"],
                "a command that is long enough to be cut somewhere",
            ),
        ]
    }

    fn lines(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_pipe_gets_one_whole_line_for_each_row() {
        let expected = lines(&[
            " PID  USER    NAMESPACES                                    COMMAND",
            "   1  root    (the host's)                                  /sbin/init",
            "4242  bürger  mnt:4026532251 net:4026532253 pid:4026532254  a command that is \
             long enough to be cut somewhere",
        ]);
        assert_eq!(side_by_side(&rows(), &ALIGN, None), expected);
    }

    #[test]
    fn a_terminal_gets_no_line_that_it_would_wrap() {
        let expected = lines(&[
            " PID  USER    NAMESPACES                     COMMAND",
            "   1  root    (the host's)                   /sbin/init",
            "4242  bürger  mnt:4026532251 net:4026532253  a command that is long enou…",
            "              pid:4026532254",
        ]);
        assert_eq!(side_by_side(&rows(), &ALIGN, Some(73)), expected);
    }
}
