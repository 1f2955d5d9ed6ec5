//! Drawing: the whole screen from the state, each time.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::{Line, Span};
use warren_namespaces::{Kind, NamespaceSet};

use super::app::{App, Mode};
use super::history::{Item, Mark};
use super::rows::Row;
use super::{age, app};
use crate::words::{self, count};

const KEYS: &[(&str, &str)] = &[
    ("Enter", "show what is selected, as `warren show` does"),
    ("e", "enter it, as `warren enter` does"),
    ("Right, l", "unfold it; then its namespaces"),
    ("Left, h", "hide its namespaces; fold it; go to its parent"),
    ("Up Down PgUp PgDn Home End", "move; also k j, space, g G"),
    ("/", "search in names, commands, users, pids and ids"),
    ("1 to 8", "only this kind, and more; 0 for all"),
    ("s", "sort by pid, age, processes, name"),
    ("Escape", "forget search and kinds"),
    ("Ctrl-Z, q", "stop; quit"),
];

/// Draws the state on the whole buffer; the rows that fit are noted in `app`.
pub fn draw(app: &mut App, colour: bool, buffer: &mut Buffer) {
    let area = buffer.area;
    if area.width == 0 || area.height == 0 {
        return;
    }
    let paint = Paint { colour };
    let list = list_area(area);
    app.height = usize::from(list.height).max(1);
    app.show_selected();
    let mut canvas = Canvas { buffer, area };
    canvas.line(0, &title(app, paint));
    if area.height > 3 {
        canvas.line(1, &filters(app, paint));
    }
    if area.height > 7 {
        canvas.line(2, &heading(area.width, paint));
        canvas.line(area.height - 2, &detail(app, paint));
    }
    match app.mode {
        Mode::Help => help(&mut canvas, list, paint),
        _ => body(&mut canvas, list, app, paint),
    }
    if area.height > 2 {
        canvas.line(area.height - 1, &foot(app, paint));
    }
}

/// What is left between head and foot.
fn list_area(area: Rect) -> Rect {
    let (head, foot) = match area.height {
        0..=2 => (1, 0),
        3 => (1, 1),
        4..=7 => (2, 1),
        _ => (3, 2),
    };
    Rect {
        y: head,
        height: area.height.saturating_sub(head + foot),
        ..area
    }
}

struct Canvas<'b> {
    buffer: &'b mut Buffer,
    area: Rect,
}

impl Canvas<'_> {
    fn line(&mut self, y: u16, line: &Line<'_>) {
        if y < self.area.height {
            self.buffer.set_line(0, y, line, self.area.width);
        }
    }

    fn style(&mut self, y: u16, style: Style) {
        let row = Rect {
            y,
            height: 1,
            ..self.area
        };
        self.buffer.set_style(row, style);
    }
}

/// Styles, which are without colour where it is not wanted.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn colour(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn mark(self, mark: Mark) -> Style {
        match mark {
            Mark::None => Style::new(),
            Mark::New => self.colour(Color::Green),
            Mark::Gone => self.colour(Color::Red).add_modifier(Modifier::DIM),
        }
    }
}

/// Which cells of a row there is room for.
struct Columns {
    user: bool,
    processes: bool,
    namespaces: usize,
}

const PID: usize = 7;
const PROCESSES: usize = 5;
const AGE: usize = 4;
const USER: usize = 8;

fn columns(width: u16) -> Columns {
    Columns {
        user: width >= 64,
        processes: width >= 48,
        namespaces: match width {
            0..=59 => 0,
            60..=99 => 17,
            100..=139 => 26,
            140.. => 44,
        },
    }
}

fn title<'a>(app: &App, paint: Paint) -> Line<'a> {
    let app::Totals {
        namespaces,
        processes,
        unreadable,
        every,
        ..
    } = app.totals;
    let mut text = format!(
        "  {}, {}, every {every:.1?} by {}",
        count(namespaces, "namespace", "namespaces"),
        words::processes(processes),
        app.wishes.sort.name()
    );
    if unreadable > 0 {
        text.push_str(&format!(", {unreadable} unreadable"));
    }
    Line::from(vec![
        Span::styled("warren watch", paint.bold()),
        Span::raw(text),
    ])
}

/// The kinds that are shown, and what is searched for.
fn filters<'a>(app: &App, paint: Paint) -> Line<'a> {
    let mut spans = Vec::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let on = app.wishes.kinds.contains(kind);
        let style = if !on {
            paint.dim()
        } else if app.wishes.kinds == NamespaceSet::ALL {
            Style::new()
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        };
        spans.push(Span::styled(format!("{}", number + 1), paint.dim()));
        spans.push(Span::styled(kind.name(), style));
        spans.push(Span::raw(" "));
    }
    let search = &app.wishes.search;
    if app.mode == Mode::Search {
        spans.push(Span::styled(
            format!(" /{}", printable(search)),
            paint.bold(),
        ));
        spans.push(Span::styled(
            " ",
            Style::new().add_modifier(Modifier::REVERSED),
        ));
    } else if !search.is_empty() {
        spans.push(Span::styled(
            format!(" /{}", printable(search)),
            paint.bold(),
        ));
    }
    Line::from(spans)
}

fn printable(text: &str) -> String {
    crate::terminal::printable(text)
}

fn heading<'a>(width: u16, paint: Paint) -> Line<'a> {
    let cells = Cells {
        mark: ' ',
        pid: "PID".to_owned(),
        processes: "PROCS".to_owned(),
        age: "AGE".to_owned(),
        user: "USER".to_owned(),
        namespaces: "NAMESPACES".to_owned(),
    };
    let text = format!("{}WHAT", cells.text(&columns(width)));
    Line::styled(text, paint.dim().add_modifier(Modifier::UNDERLINED))
}

/// What stands before the tree.
struct Cells {
    mark: char,
    pid: String,
    processes: String,
    age: String,
    user: String,
    namespaces: String,
}

impl Cells {
    fn text(&self, columns: &Columns) -> String {
        use crate::terminal::cut;
        let mut text = format!("{}{:>PID$} ", self.mark, self.pid);
        if columns.processes {
            text.push_str(&format!("{:>PROCESSES$} ", self.processes));
        }
        text.push_str(&format!("{:>AGE$} ", self.age));
        if columns.user {
            text.push_str(&format!("{:USER$} ", cut(&self.user, USER)));
        }
        let width = columns.namespaces;
        if width > 0 {
            text.push_str(&format!("{:width$} ", cut(&self.namespaces, width)));
        }
        text
    }
}

fn body(canvas: &mut Canvas<'_>, list: Rect, app: &App, paint: Paint) {
    let rows = app.rows.iter().enumerate().skip(app.top);
    for ((at, row), y) in rows.zip(list.y..list.bottom()) {
        let item = &app.items[row.item];
        canvas.line(
            y,
            &row_line(row, item, app.totals.reference, list.width, paint),
        );
        if at == app.selected {
            canvas.style(y, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    if app.rows.is_empty() {
        let text = "  nothing matches; Escape shows everything again";
        canvas.line(list.y, &Line::styled(text, paint.dim()));
    }
}

fn row_line<'a>(
    row: &Row,
    item: &Item,
    reference: &str,
    width: u16,
    paint: Paint,
) -> Line<'a> {
    let columns = columns(width);
    let mut style = paint.mark(item.mark);
    if !row.is_match {
        style = style.add_modifier(Modifier::DIM);
    }
    let text = cells(row, item, reference).text(&columns);
    let what = match row.namespace {
        Some((kind, id)) => words::id(kind, id),
        None => item.node.what(),
    };
    let mut spans = vec![
        Span::styled(text, style),
        Span::styled(row.stem.clone(), paint.dim()),
        Span::styled(what, style),
    ];
    if row.hidden > 0 {
        spans.push(Span::styled(format!(" (+{})", row.hidden), paint.dim()));
    }
    Line::from(spans)
}

fn cells(row: &Row, item: &Item, reference: &str) -> Cells {
    let node = &item.node;
    // A namespace's own row stands below one that says all this.
    let is_node = row.namespace.is_none();
    let told = |text: String| if is_node { text } else { String::new() };
    Cells {
        mark: match item.mark {
            Mark::None => ' ',
            Mark::New => '+',
            Mark::Gone => '-',
        },
        pid: told(node.pid.map_or("-".to_owned(), |pid| pid.to_string())),
        processes: told(node.processes.to_string()),
        age: told(age::words(item.age)),
        user: told(node.user.clone().unwrap_or("-".to_owned())),
        namespaces: told(namespaces(item, reference)),
    }
}

/// `mnt pid +net ipc`: its own, and those that it has in common with others than the
/// host.
fn namespaces(item: &Item, reference: &str) -> String {
    let node = &item.node;
    if node.is_host {
        return format!("({reference})");
    }
    let mut text = words::kinds(node.own_kinds()).join(" ");
    for common in &item.common {
        let kinds: Vec<&str> = common.kinds.iter().map(Kind::name).collect();
        text.push_str(&format!(" +{}", kinds.join(" ")));
    }
    text
}

/// All of the selected row, with ids.
fn detail<'a>(app: &App, paint: Paint) -> Line<'a> {
    let Some(item) = app.selected_item() else {
        return Line::default();
    };
    let node = &item.node;
    let mut words: Vec<String> = node
        .own
        .iter()
        .map(|(kind, id)| words::id(*kind, *id))
        .collect();
    for common in &item.common {
        let kinds: Vec<&str> = common.kinds.iter().map(Kind::name).collect();
        words.push(format!("{} of {}", kinds.join(" "), common.with));
    }
    Line::styled(words.join("  "), paint.colour(Color::Cyan))
}

fn foot<'a>(app: &App, paint: Paint) -> Line<'a> {
    let keys: &[(&str, &str)] = match app.mode {
        Mode::Search => &[("Enter", "keep"), ("Escape", "all"), ("Up Down", "move")],
        Mode::Help => &[("any key", "back")],
        Mode::Tree => &[
            ("Enter", "show"),
            ("e", "enter"),
            ("/", "search"),
            ("1-8", "kinds"),
            ("s", "sort"),
            ("←→", "fold"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    let mut spans = Vec::new();
    for (key, does) in keys {
        spans.push(Span::styled((*key).to_owned(), paint.bold()));
        spans.push(Span::styled(format!(" {does}  "), paint.dim()));
    }
    Line::from(spans)
}

fn help(canvas: &mut Canvas<'_>, list: Rect, paint: Paint) {
    let widest = KEYS.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for ((key, does), y) in KEYS.iter().zip(list.y..list.bottom()) {
        let line = Line::from(vec![
            Span::styled(format!("  {key:widest$}  "), paint.bold()),
            Span::raw(*does),
        ]);
        canvas.line(y, &line);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui_core::backend::TestBackend;
    use ratatui_core::terminal::Terminal;

    use super::super::history::History;
    use super::super::keys::Key;
    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    fn app(sample: Sample) -> App {
        let mut app = App::new(NamespaceSet::ALL);
        let now = Duration::from_secs(100_000);
        let start = |pid| Some(now - Duration::from_secs(u64::from(pid)));
        let items = History::default().update(&sample.overview(), now, start);
        let totals = app::Totals {
            namespaces: 24,
            processes: 7,
            unreadable: 0,
            every: Duration::from_secs(1),
            reference: "the host's",
        };
        app.refresh(items, totals);
        app
    }

    /// The text of the screen, without styles.
    fn screen(app: &mut App, width: u16, height: u16) -> String {
        let backend = TestBackend::new(width, height);
        let mut terminal = Terminal::new(backend).expect("a test's terminal");
        let draw = |frame: &mut ratatui_core::terminal::Frame<'_>| {
            super::draw(app, false, frame.buffer_mut());
        };
        terminal.draw(draw).expect("draw");
        let buffer = terminal.backend().buffer();
        let lines = buffer.content().chunks(usize::from(width));
        let line = |cells: &[ratatui_core::buffer::Cell]| {
            let text: String = cells.iter().map(|cell| cell.symbol()).collect();
            text.trim_end().to_owned() + "\n"
        };
        lines.map(line).collect()
    }

    #[test]
    fn the_screen_at_80_by_24_and_200_by_50() {
        let mut app = app(Sample::labelled());
        golden::is_as_kept("watch_80.txt", &screen(&mut app, 80, 24));
        golden::is_as_kept("watch_200.txt", &screen(&mut app, 200, 50));
    }

    #[test]
    fn a_small_screen_shows_the_tree_at_least() {
        let mut app = app(Sample::nested());
        golden::is_as_kept("watch_40.txt", &screen(&mut app, 40, 10));
        for (width, height) in [(1, 1), (3, 2), (10, 3), (20, 5), (65535, 1)] {
            screen(&mut app, width, height);
        }
    }

    #[test]
    fn help_and_search_are_on_the_screen() {
        let mut app = app(Sample::labelled());
        app.key(Key::Char('?'));
        golden::is_as_kept("watch_help.txt", &screen(&mut app, 80, 24));
        app.key(Key::Escape);
        app.key(Key::Char('/'));
        for char in "app".chars() {
            app.key(Key::Char(char));
        }
        golden::is_as_kept("watch_search.txt", &screen(&mut app, 80, 16));
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        let mut sample = Sample::host();
        sample.process(50, "\x1b[2Jx", &[(Kind::Net, 100)]);
        let text = screen(&mut app(sample), 80, 24);
        assert!(
            text.contains("\\u{1b}[2Jx") && !text.contains('\x1b'),
            "{text}"
        );
    }
}
