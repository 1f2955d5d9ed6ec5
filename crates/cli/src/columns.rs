//! Text for people: indented lines and aligned tables that fit the terminal.

use crate::terminal;

const GAP: usize = 2;
/// A column is not made narrower than this.
const NARROWEST: usize = 8;

/// A text under construction. Everything put in may be somebody else's making: what a
/// terminal would obey is escaped, and on a terminal no line is longer than it is wide.
pub struct Columns {
    text: String,
    width: Option<usize>,
}

impl Columns {
    /// An empty text for a terminal of this width, or for a pipe.
    pub fn new(width: Option<usize>) -> Self {
        Self {
            text: String::new(),
            width,
        }
    }

    /// Whether it is for a terminal, where nobody wants a thousand lines.
    pub fn is_short(&self) -> bool {
        self.width.is_some()
    }

    /// One line.
    pub fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{}", "", terminal::printable(text));
        self.push(&line);
    }

    /// Words or phrases with a comma between, in as many lines as they need.
    pub fn phrases(&mut self, indent: usize, phrases: &[String]) {
        let mut phrases: Vec<String> = phrases
            .iter()
            .map(|phrase| terminal::printable(phrase))
            .collect();
        let last = phrases.len().saturating_sub(1);
        phrases[..last]
            .iter_mut()
            .for_each(|phrase| phrase.push(','));
        self.fill(indent, &phrases);
    }

    /// Prose in as many lines as it needs, at most 80 columns wide.
    pub fn prose(&mut self, indent: usize, text: &str) {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let width = self.width.unwrap_or(80).min(80);
        for line in terminal::wrap(&words, " ", width.saturating_sub(indent)) {
            self.push(&format!("{:indent$}{line}", ""));
        }
    }

    fn fill(&mut self, indent: usize, words: &[String]) {
        let width = self.width.unwrap_or(usize::MAX).saturating_sub(indent);
        for line in terminal::wrap(words, " ", width) {
            self.push(&format!("{:indent$}{line}", ""));
        }
    }

    /// Rows under a heading; nothing where there are no rows.
    pub fn table(&mut self, indent: usize, head: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let head = head.iter().map(|word| (*word).to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        self.rows(indent, &rows);
    }

    /// Rows without a heading.
    pub fn rows(&mut self, indent: usize, rows: &[Vec<String>]) {
        let printable = |row: &Vec<String>| {
            row.iter().map(|cell| terminal::printable(cell)).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(printable).collect();
        let widths = self.widths(indent, &rows);
        for row in &rows {
            let mut line = " ".repeat(indent);
            for (cell, width) in row.iter().zip(&widths) {
                let cell = terminal::cut(cell, *width);
                line.push_str(&format!("{cell:width$}{:GAP$}", ""));
            }
            self.push(&line);
        }
    }

    /// The width of each column. Where all do not fit, the widest give way first.
    fn widths(&self, indent: usize, rows: &[Vec<String>]) -> Vec<usize> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        let Some(width) = self.width else {
            return widths;
        };
        let gaps = indent + GAP * columns.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    fn push(&mut self, line: &str) {
        let line = line.trim_end();
        match self.width {
            Some(width) => self.text.push_str(&terminal::cut(line, width)),
            None => self.text.push_str(line),
        }
        self.text.push('\n');
    }

    /// The whole.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row(["/", "ext4", "rw"]),
            row(["/a/very/long/mount/point", "tmpfs", "ro,nosuid,nodev"]),
        ]
    }

    fn table(width: Option<usize>) -> String {
        let mut columns = Columns::new(width);
        columns.table(2, &["AT", "TYPE", "OPTIONS"], rows());
        columns.finish()
    }

    #[test]
    fn a_pipe_gets_whole_columns() {
        let expected = "  AT                        TYPE   OPTIONS\n  \
            /                         ext4   rw\n  \
            /a/very/long/mount/point  tmpfs  ro,nosuid,nodev\n";
        assert_eq!(table(None), expected);
    }

    #[test]
    fn on_a_terminal_the_widest_column_gives_way() {
        let text = table(Some(44));
        assert!(
            text.lines().all(|line| line.chars().count() <= 44),
            "{text}"
        );
        assert!(text.contains("/a/very/long/moun…  tmpfs  "), "{text}");
        assert!(text.contains("ro,nosuid,nodev"), "{text}");
        for width in 0..40 {
            let text = table(Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width));
        }
    }

    #[test]
    fn hostile_text_stays_in_its_line_and_column() {
        let mut columns = Columns::new(None);
        columns.rows(0, &[vec!["a\n\u{1b}[2J".to_owned(), "b".to_owned()]]);
        columns.line(0, "c\rd");
        columns.phrases(0, &["e\n".to_owned(), "f".to_owned()]);
        assert_eq!(columns.finish(), "a\\n\\u{1b}[2J  b\nc\\rd\ne\\n, f\n");
    }

    #[test]
    fn no_rows_have_no_heading_and_no_phrases_no_line() {
        let mut columns = Columns::new(Some(80));
        columns.table(0, &["A"], Vec::new());
        columns.phrases(0, &[]);
        assert_eq!(columns.finish(), "");
    }
}
