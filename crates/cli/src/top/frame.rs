//! The table, as text and on a screen.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Modifier, Style};
use ratatui_core::text::Line;

use super::rows::{Row, Sort, Table};
use crate::show::units;
use crate::terminal::{cut, printable};
use crate::words::count;

const HEAD: &str = "    PID PROCS  USER       CPU %     MEM     READ    WRITE       IN      OUT  WAIT  WHAT";

/// One line of the table.
fn line(row: &Row) -> String {
    let dash = || "-".to_owned();
    let hundredths = |number: u64| format!("{}.{}", number / 100, number / 10 % 10);
    let amount = |number: Option<u64>| number.map_or_else(dash, units::bytes);
    let pid = row.pid.map_or_else(dash, |pid| pid.to_string());
    let user = printable(row.user.as_deref().unwrap_or("-"));
    let cpu = row.cpu.map_or_else(dash, hundredths);
    let wait = row.pressure();
    let wait = wait.map_or_else(dash, |part| hundredths(part.into()));
    let [read, written] = [0, 1].map(|n| amount(row.io.map(|io| io[n])));
    let [into, out] = [0, 1].map(|n| amount(row.net.map(|net| net[n])));
    let memory = amount(row.gauge.memory);
    format!(
        "{pid:>7} {:>5}  {:8} {cpu:>7} {memory:>7} {read:>8} {written:>8} {into:>8} {out:>8} \
         {wait:>5}  {}",
        row.processes,
        cut(&user, 8),
        printable(&row.what()),
    )
}

fn note(table: &Table) -> Option<String> {
    (table.partial > 0).then(|| {
        let rows = count(table.partial, "row has", "rows have");
        format!("{rows} something that you may not read: I/O and network of others")
    })
}

/// The whole table as text.
pub fn text(table: &Table, width: Option<usize>) -> String {
    let fit = |line: &str| match width {
        Some(width) => cut(line, width),
        None => line.to_owned(),
    };
    let mut text = format!("{}\n", fit(HEAD));
    for row in &table.rows {
        text.push_str(fit(&line(row)).trim_end());
        text.push('\n');
    }
    if let Some(note) = note(table) {
        text.push_str(&format!("({note})\n"));
    }
    text
}

/// What is on the screen beside the table.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub sort: Sort,
    /// The first row that is shown.
    pub top: usize,
    pub help: bool,
}

const HELP: [&str; 8] = [
    "c m i n p a  sort by CPU, memory, I/O, network, pressure, name",
    "s            sort by the next of them",
    "Up Down PgUp PgDn Home End   move; also k j, space, g G",
    "Ctrl-Z, q    stop; quit",
    "",
    "MEM bytes; READ WRITE block devices, IN OUT links: bytes a second",
    "WAIT percent of the last ten seconds in which something waited (v2)",
    "CPU % of one processor",
];

/// Draws all of it; gives how many rows fit.
pub fn draw(table: &Table, state: State, buffer: &mut Buffer) -> usize {
    let area = buffer.area;
    let rows = usize::from(area.height.saturating_sub(3));
    let mut put = |y: u16, text: &str, style: Style| {
        if y < area.height {
            buffer.set_line(0, y, &Line::styled(text.to_owned(), style), area.width);
        }
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let title = format!(
        "warren top  {}  by {}",
        count(table.rows.len(), "row", "rows"),
        state.sort.name()
    );
    put(0, &title, bold);
    put(1, HEAD, dim);
    if state.help {
        for (y, text) in (2..).zip(HELP) {
            put(y, text, Style::new());
        }
    } else {
        let shown = table.rows.iter().skip(state.top).take(rows);
        for (y, row) in (2..).zip(shown) {
            put(y, &line(row), Style::new());
        }
    }
    let foot = note(table).unwrap_or_else(|| "? help   s sort   q quit".to_owned());
    if area.height > 2 {
        put(area.height - 1, &foot, dim);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::row;
    use super::*;
    use ratatui_core::layout::Rect;

    fn table() -> Table {
        let mut hostile = row("x", 50, None, None);
        hostile.command = "\x1b[2Jx".to_owned();
        hostile.gauge.is_partial = true;
        Table {
            rows: vec![row("web", 4242, Some(5012), Some(256 << 20)), hostile],
            partial: 1,
            seconds: Some(1.0),
        }
    }

    #[test]
    fn a_row_stands_under_its_heading() {
        let text = text(&table(), None);
        let expected = "    PID PROCS  USER       CPU %     MEM     READ    WRITE       \
                        IN      OUT  WAIT  WHAT\n\
                        \x20  4242     3  root        50.1  256.0M     2.0M        0     1.0K     \
                        2.0K     -  web: /usr/bin/web --all\n\
                        \x20    50     3  root           -       -     2.0M        0        -        \
                        -     -  x: \\u{1b}[2Jx\n\
                        (1 row has something that you may not read: I/O and network of others)\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_screen_of_any_size_can_be_drawn_on() {
        let mut state = State {
            sort: Sort::Cpu,
            top: 0,
            help: false,
        };
        for (width, height) in [(0, 0), (1, 1), (3, 2), (80, 24), (200, 3)] {
            for help in [false, true] {
                state.help = help;
                let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
                draw(&table(), state, &mut buffer);
            }
        }
        let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 6));
        state.help = false;
        assert_eq!(draw(&table(), state, &mut buffer), 3);
        let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
        assert!(text.contains("by cpu") && text.contains("web: /usr/bin/web"));
        assert!(!text.contains('\x1b'));
    }
}
