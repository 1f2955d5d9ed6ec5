//! Columns as libsmartcols prints them: widths, alignment, trees, what a terminal cuts.

use super::column::Column;
use super::row::Row;
use super::text::{self, Charset};

/// What stands above a column, and how wide it may be.
#[derive(Debug)]
pub struct Head {
    pub name: &'static str,
    pub right: bool,
    /// See [`Column::width_hint`].
    pub hint: usize,
    /// Whether it is cut where the terminal is too narrow.
    pub shrinks: bool,
}

/// Cells of one or more lines each.
#[derive(Debug)]
pub struct Grid {
    pub heads: Vec<Head>,
    pub rows: Vec<Vec<Vec<String>>>,
    pub headings: bool,
    /// The terminal's columns, where something is to be cut.
    pub terminal: Option<usize>,
}

impl Grid {
    /// The text; nothing at all where there are no rows.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        let widths = self.widths();
        if self.headings {
            let names = self.heads.iter().map(|head| head.name);
            self.line(&names.collect::<Vec<_>>(), &widths, &mut text);
        }
        for row in &self.rows {
            let lines = row.iter().map(Vec::len).max().unwrap_or(1);
            for at in 0..lines.max(1) {
                let cells = row
                    .iter()
                    .map(|cell| cell.get(at).map_or("", String::as_str));
                self.line(&cells.collect::<Vec<_>>(), &widths, &mut text);
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.heads.iter().enumerate();
        let mut widths: Vec<usize> =
            columns.map(|(at, head)| self.width(at, head)).collect();
        if let Some(terminal) = self.terminal {
            self.shrink(&mut widths, terminal);
        }
        widths
    }

    /// The hint only widens what is at least as wide as its name.
    fn width(&self, at: usize, head: &Head) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let content = cells
            .flatten()
            .map(|line| text::width(line))
            .max()
            .unwrap_or(0);
        let name = head.name.len();
        match content {
            _ if content < name => name,
            _ if name < head.hint => content.max(head.hint),
            _ => content,
        }
    }

    /// Takes from the columns that may be cut by turns, as long as their names fit.
    fn shrink(&self, widths: &mut [usize], terminal: usize) {
        let gaps = widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(terminal);
        while excess > 0 {
            let before = excess;
            for (width, head) in widths.iter_mut().zip(&self.heads) {
                if excess > 0 && head.shrinks && *width > head.name.len() {
                    *width -= 1;
                    excess -= 1;
                }
            }
            if excess == before {
                return;
            }
        }
    }

    /// One line. The last cell is not filled up with blanks.
    fn line(&self, cells: &[&str], widths: &[usize], text: &mut String) {
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            let cell = match self.terminal {
                Some(_) if self.heads[at].shrinks => text::cut(cell, widths[at]),
                _ => cell,
            };
            let blanks = " ".repeat(widths[at].saturating_sub(text::width(cell)));
            let is_last = at + 1 == cells.len();
            if self.heads[at].right && !(is_last && cell.is_empty()) {
                text.push_str(&blanks);
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.push_str(if is_last { "" } else { &blanks });
            }
        }
        text.push('\n');
    }
}

/// How the lines of a tree are drawn.
struct Glyphs {
    branch: &'static str,
    last: &'static str,
    pass: &'static str,
}

const UTF8: Glyphs = Glyphs {
    branch: "├─",
    last: "└─",
    pass: "│ ",
};
const ASCII: Glyphs = Glyphs {
    branch: "|-",
    last: "`-",
    pass: "| ",
};

impl Charset {
    fn glyphs(self) -> &'static Glyphs {
        match self {
            Self::Utf8 => &UTF8,
            Self::Ascii => &ASCII,
        }
    }
}

/// What is drawn before a cell of a tree, and below it where other cells of the line
/// have more lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    pub first: String,
    /// In the second line, where a branch to the children begins.
    pub second: String,
    /// In the third and the others, where the original does not draw that on.
    pub others: String,
}

/// The lines of a tree from top to bottom with what is drawn before each; as they are
/// where no column shows the tree.
pub fn in_order(rows: &[Row<'_>], tree: bool, charset: Charset) -> Vec<(usize, Prefix)> {
    if !tree {
        return (0..rows.len()).map(|at| (at, Prefix::default())).collect();
    }
    let glyphs = charset.glyphs();
    let children = super::row::children(rows);
    let mut order = Vec::with_capacity(rows.len());
    // A stack, since a tree of processes can be deeper than the stack of this one.
    let roots = children[rows.len()].iter().rev();
    let mut rest: Vec<(usize, Prefix)> =
        roots.map(|at| (*at, Prefix::default())).collect();
    while let Some((at, mut prefix)) = rest.pop() {
        for (place, child) in children[at].iter().rev().enumerate() {
            let (own, below) = match place {
                0 => (glyphs.last, "  "),
                _ => (glyphs.branch, glyphs.pass),
            };
            let first = prefix.others.clone() + own;
            let others = prefix.others.clone() + below;
            let second = String::new();
            rest.push((
                *child,
                Prefix {
                    first,
                    second,
                    others,
                },
            ));
        }
        let below = if children[at].is_empty() {
            ""
        } else {
            glyphs.pass
        };
        prefix.second = prefix.others.clone() + below;
        order.push((at, prefix));
    }
    order
}

/// How a column stands in a table in which it may show a tree.
pub fn head(column: Column, is_tree: bool) -> Head {
    Head {
        name: column.name(),
        right: column.is_right_aligned() && !is_tree,
        hint: column.width_hint(),
        shrinks: column == Column::Command,
    }
}

/// `--raw`: words with one blank between them.
pub fn raw_line(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: &[Column], rows: &[&[&str]], terminal: Option<usize>) -> String {
        let lines = |cell: &&str| cell.split('\n').map(str::to_owned).collect();
        Grid {
            heads: columns.iter().map(|column| head(*column, false)).collect(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(lines).collect())
                .collect(),
            headings: true,
            terminal,
        }
        .render()
    }

    #[test]
    fn a_hint_widens_only_what_is_as_wide_as_its_name() {
        use Column::{Pid, Type};
        assert_eq!(
            grid(&[Type, Pid], &[&["net", "2"]], None),
            "TYPE PID\nnet    2\n"
        );
        assert_eq!(
            grid(&[Type, Pid], &[&["user", "740"]], None),
            "TYPE    PID\nuser    740\n"
        );
        assert_eq!(
            grid(&[Type, Pid], &[&["cgroup", "1234567"]], None),
            "TYPE       PID\ncgroup 1234567\n"
        );
    }

    #[test]
    fn an_empty_last_cell_leaves_only_the_gap() {
        use Column::{Nsfs, Pid, User};
        assert_eq!(
            grid(&[User, Pid], &[&["root", ""]], None),
            "USER PID\nroot \n"
        );
        assert_eq!(
            grid(&[Nsfs, Pid], &[&["/a\n/bcdef", "7"]], None),
            "NSFS   PID\n/a       7\n/bcdef \n"
        );
        assert_eq!(grid(&[Pid], &[], None), "");
    }

    #[test]
    fn commands_are_cut_by_turns_and_not_below_their_name() {
        use Column::{Command, Pid};
        let long = "x".repeat(30);
        let row: &[&str] = &[&long, "740", &long];
        let widths = |terminal| {
            let text = grid(&[Command, Pid, Command], &[row], Some(terminal));
            let line = text.lines().nth(1).unwrap_or_default().to_owned();
            let words: Vec<usize> = line.split_whitespace().map(str::len).collect();
            (line.len(), words[0], words[2])
        };
        assert_eq!(widths(40), (40, 16, 17));
        assert_eq!(widths(41), (41, 17, 17));
        assert_eq!(widths(5), (21, 7, 7));
    }
}
