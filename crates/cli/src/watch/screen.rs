//! The terminal: raw mode, the alternate screen, and the way back on every exit.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::OnceLock;

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::{Frame, Terminal};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Alternate screen on, cursor off.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// Styles off, cursor on, the old screen back.
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// The terminal as it was, for whoever has to restore it: a panic too.
static COOKED: OnceLock<Termios> = OnceLock::new();

/// A terminal in full-screen mode; restored when dropped.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<Ansi>,
}

impl Screen {
    /// Takes the terminal over.
    pub fn enter() -> io::Result<Self> {
        let cooked = tcgetattr(stdin())?;
        COOKED.get_or_init(|| cooked);
        // A panic aborts a release, and nothing is dropped then.
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            next(panic);
        }));
        raw()?;
        Ok(Self {
            terminal: Terminal::new(Ansi::default())?,
        })
    }

    /// Draws what has changed.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Gives the terminal to another program, or to the shell.
    pub fn leave(&self) {
        restore();
    }

    /// Takes it back.
    pub fn again(&mut self) -> io::Result<()> {
        raw()?;
        self.terminal.clear()
    }

    /// Draws everything anew.
    pub fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn raw() -> io::Result<()> {
    if let Some(cooked) = COOKED.get() {
        let mut raw = cooked.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
    }
    say(ENTER)
}

/// A terminal that has gone needs no restoring.
fn restore() {
    let _ = say(LEAVE);
    if let Some(cooked) = COOKED.get() {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, cooked);
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A terminal of the family that all of today's belong to: ECMA-48.
#[derive(Debug, Default)]
struct Ansi {
    waiting: String,
}

/// What the next character looks like.
type Look = (Color, Color, Modifier);

impl Ansi {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.waiting.write_fmt(text);
    }

    fn look(&mut self, (fg, bg, modifier): Look) {
        self.put(format_args!("\x1b[0"));
        for (flag, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
        ] {
            if modifier.contains(flag) {
                self.put(format_args!(";{code}"));
            }
        }
        if let Some(code) = code(fg) {
            self.put(format_args!(";{}", 30 + code));
        }
        if let Some(code) = code(bg) {
            self.put(format_args!(";{}", 40 + code));
        }
        self.put(format_args!("m"));
    }
}

/// The terminal's own colours are all that is used.
fn code(colour: Color) -> Option<u8> {
    match colour {
        Color::Black => Some(0),
        Color::Red => Some(1),
        Color::Green => Some(2),
        Color::Yellow => Some(3),
        Color::Blue => Some(4),
        Color::Magenta => Some(5),
        Color::Cyan => Some(6),
        Color::Gray => Some(7),
        _ => None,
    }
}

impl Backend for Ansi {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut look = None;
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.put(format_args!("\x1b[{};{}H", y + 1, x + 1));
            }
            // A wide character moves the cursor by two: the next one says where it is.
            next = (cell.symbol().len() == 1).then_some((x + 1, y));
            let new = (cell.fg, cell.bg, cell.modifier);
            if look != Some(new) {
                self.look(new);
                look = Some(new);
            }
            self.waiting.push_str(cell.symbol());
        }
        self.put(format_args!("\x1b[0m"));
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.put(format_args!("\x1b[?25l"));
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.put(format_args!("\x1b[?25h"));
        Ok(())
    }

    /// Nobody needs to know: the view has the whole screen and no cursor.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.put(format_args!("\x1b[{};{}H", y + 1, x + 1));
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        let code = match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        };
        self.put(format_args!("{code}"));
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(stdout())?;
        // One that does not know its size says 0.
        Ok(match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => Size::new(80, 24),
            (columns, rows) => Size::new(columns, rows),
        })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.waiting);
        say(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_drawn_with_as_few_moves_and_looks_as_they_need() {
        let mut ansi = Ansi::default();
        let mut bold = Cell::new("b");
        bold.modifier = Modifier::BOLD;
        let (plain, wide) = (Cell::new("a"), Cell::new("世"));
        let cells = [(0, 0, &plain), (1, 0, &plain), (2, 0, &bold), (3, 0, &wide)];
        ansi.draw(cells.into_iter()).expect("a string");
        let expected = "\x1b[1;1H\x1b[0maa\x1b[0;1mb\x1b[0m世\x1b[0m";
        assert_eq!(ansi.waiting, expected);
    }

    #[test]
    fn a_colour_is_one_of_the_terminals_own() {
        let mut ansi = Ansi::default();
        ansi.look((Color::Red, Color::Reset, Modifier::DIM));
        assert_eq!(ansi.waiting, "\x1b[0;2;31m");
    }
}
