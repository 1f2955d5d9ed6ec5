//! The state of the full-screen view, and what each key does to it.

use std::time::Duration;

use warren_namespaces::{Kind, NamespaceSet, NsId};

use super::history::{Item, Mark};
use super::keys::Key;
use super::rows::{self, Row, Wishes};
use crate::overview;
use crate::words;

/// Everything that the screen shows.
#[derive(Debug)]
pub struct App {
    /// What there is.
    pub items: Vec<Item>,
    /// Numbers for the first line.
    pub totals: Totals,
    /// What the user wants to see of it.
    pub wishes: Wishes,
    /// What is shown of it.
    pub rows: Vec<Row>,
    /// Which row is selected.
    pub selected: usize,
    /// The first row on the screen.
    pub top: usize,
    /// How many rows the screen has room for.
    pub height: usize,
    /// What keys go to.
    pub mode: Mode,
}

/// Numbers about the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Namespaces.
    pub namespaces: usize,
    /// Processes.
    pub processes: usize,
    /// How much could not be read.
    pub unreadable: usize,
    /// The time between two looks.
    pub every: Duration,
    /// Whose namespaces count as nobody's own.
    pub reference: &'static str,
}

/// What keys go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The tree.
    Tree,
    /// The text to search for.
    Search,
    /// The list of keys.
    Help,
}

/// What a key wants of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing more.
    None,
    /// To end.
    Quit,
    /// To stop, until the shell continues it.
    Suspend,
    /// To draw everything anew.
    Redraw,
    /// `warren show` of this.
    Show(String),
    /// `warren enter` into this.
    Enter(String),
}

/// A row as it is known across looks.
type Anchor = (overview::Key, Option<NsId>);

impl App {
    /// One that has not looked yet.
    pub fn new(kinds: NamespaceSet) -> Self {
        Self {
            items: Vec::new(),
            totals: Totals::default(),
            wishes: Wishes {
                kinds,
                ..Wishes::default()
            },
            rows: Vec::new(),
            selected: 0,
            top: 0,
            height: 1,
            mode: Mode::Tree,
        }
    }

    /// Takes up what a look has shown; the selection stays where it is.
    pub fn refresh(&mut self, items: Vec<Item>, totals: Totals) {
        let anchor = self.anchor();
        self.items = items;
        self.totals = totals;
        self.lay_out(anchor);
        // What is searched for may have come just now.
        if self.mode == Mode::Search {
            self.go_to_match();
        }
    }

    /// The item of the selected row.
    pub fn selected_item(&self) -> Option<&Item> {
        self.items.get(self.rows.get(self.selected)?.item)
    }

    fn anchor(&self) -> Option<Anchor> {
        let row = self.rows.get(self.selected)?;
        let item = self.items.get(row.item)?;
        Some((item.node.key, row.namespace.map(|(_, id)| id)))
    }

    fn lay_out(&mut self, anchor: Option<Anchor>) {
        self.rows = rows::rows(&self.items, &self.wishes);
        let is_it = |row: &Row| {
            let key = self.items[row.item].node.key;
            Some((key, row.namespace.map(|(_, id)| id))) == anchor
        };
        let found = self.rows.iter().position(is_it);
        self.selected = found.unwrap_or(self.selected);
        self.show_selected();
    }

    /// Moves the view so that the selected row is in it.
    pub fn show_selected(&mut self) {
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        let last_top = self.rows.len().saturating_sub(self.height);
        self.top = self.top.min(last_top).min(self.selected);
        self.top = self
            .top
            .max((self.selected + 1).saturating_sub(self.height));
    }

    /// Does what a key says.
    pub fn key(&mut self, key: Key) -> Action {
        match (self.mode, key) {
            (_, Key::Ctrl('c')) => return Action::Quit,
            (_, Key::Ctrl('z')) => return Action::Suspend,
            (_, Key::Ctrl('l')) => return Action::Redraw,
            (Mode::Help, _) => self.mode = Mode::Tree,
            (Mode::Search, key) => self.search(key),
            (Mode::Tree, key) => return self.tree(key),
        }
        Action::None
    }

    fn search(&mut self, key: Key) {
        match key {
            Key::Char(char) => self.wishes.search.push(char),
            Key::Backspace if self.wishes.search.pop().is_some() => {}
            Key::Up => return self.step(-1),
            Key::Down => return self.step(1),
            Key::Enter => return self.mode = Mode::Tree,
            Key::Escape | Key::Backspace => {
                self.wishes.search.clear();
                self.mode = Mode::Tree;
            }
            _ => return,
        }
        self.wish();
        self.go_to_match();
    }

    fn tree(&mut self, key: Key) -> Action {
        let page = isize::try_from(self.height.saturating_sub(1))
            .unwrap_or(1)
            .max(1);
        match key {
            Key::Char('q') => return Action::Quit,
            Key::Enter => return self.target().map_or(Action::None, Action::Show),
            Key::Char('e') => return self.target().map_or(Action::None, Action::Enter),
            Key::Char('?') => self.mode = Mode::Help,
            Key::Char('/') => self.mode = Mode::Search,
            Key::Char('s') => {
                self.wishes.sort = self.wishes.sort.next();
                self.wish();
            }
            Key::Char('0') => self.with_kinds(NamespaceSet::ALL),
            Key::Char(digit @ '1'..='8') => self.toggle_kind(digit),
            Key::Escape => self.forget_filters(),
            Key::Up | Key::Char('k') => self.step(-1),
            Key::Down | Key::Char('j') => self.step(1),
            Key::PageUp => self.step(-page),
            Key::PageDown | Key::Char(' ') => self.step(page),
            Key::Home | Key::Char('g') => self.step(isize::MIN),
            Key::End | Key::Char('G') => self.step(isize::MAX),
            Key::Right | Key::Char('l' | '+') => self.open(),
            Key::Left | Key::Char('h' | '-') => self.close(),
            _ => {}
        }
        Action::None
    }

    fn step(&mut self, by: isize) {
        self.selected = self.selected.saturating_add_signed(by);
        self.show_selected();
    }

    fn wish(&mut self) {
        let anchor = self.anchor();
        self.lay_out(anchor);
    }

    /// Selects the first row that is there for itself, unless such a one is selected.
    fn go_to_match(&mut self) {
        let is_match = |row: &Row| row.is_match;
        if !self.rows.get(self.selected).is_some_and(is_match)
            && let Some(first) = self.rows.iter().position(is_match)
        {
            self.selected = first;
            self.show_selected();
        }
    }

    fn with_kinds(&mut self, kinds: NamespaceSet) {
        self.wishes.kinds = kinds;
        self.wish();
        self.go_to_match();
    }

    /// The first kind of all is alone; further ones join it.
    fn toggle_kind(&mut self, digit: char) {
        let number = digit.to_digit(10).unwrap_or(1) as usize;
        let Some(kind) = Kind::ALL.get(number - 1).copied() else {
            return;
        };
        let kinds = self.wishes.kinds;
        let kinds = if kinds == NamespaceSet::ALL {
            NamespaceSet::EMPTY.with(kind)
        } else if kinds.contains(kind) {
            kinds.without(kind)
        } else {
            kinds.with(kind)
        };
        let is_none = kinds.is_empty();
        self.with_kinds(if is_none { NamespaceSet::ALL } else { kinds });
    }

    fn forget_filters(&mut self) {
        self.wishes.search.clear();
        self.with_kinds(NamespaceSet::ALL);
    }

    /// Unfolds what is below; then shows the namespaces.
    fn open(&mut self) {
        let Some(item) = self.selected_item() else {
            return;
        };
        let key = item.node.key;
        if !self.wishes.folded.remove(&key) {
            self.wishes.opened.insert(key);
        }
        self.wish();
    }

    /// Hides the namespaces; then folds what is below; then goes to the parent.
    fn close(&mut self) {
        let Some(item) = self.selected_item() else {
            return;
        };
        let (key, parent) = (item.node.key, item.parent);
        let has_children = !item.children.is_empty();
        if self.wishes.opened.remove(&key) {
            // A namespace's own row goes with it.
            self.lay_out(Some((key, None)));
        } else if has_children && self.wishes.folded.insert(key) {
            self.wish();
        } else if let Some(parent) = parent {
            let is_parent = |row: &Row| row.item == parent && row.namespace.is_none();
            self.selected = self
                .rows
                .iter()
                .position(is_parent)
                .unwrap_or(self.selected);
            self.show_selected();
        }
    }

    /// What `show` and `enter` are told; nothing for what has gone.
    fn target(&self) -> Option<String> {
        let row = self.rows.get(self.selected)?;
        let item = self.items.get(row.item)?;
        if item.mark == Mark::Gone {
            return None;
        }
        Some(match row.namespace {
            Some((kind, id)) => words::id(kind, id),
            None => item.node.target(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::*;
    use crate::overview::sample::Sample;

    fn app(sample: Sample) -> App {
        let mut app = App::new(NamespaceSet::ALL);
        app.height = 3;
        let now = Duration::from_secs(100);
        let items = History::default().update(&sample.overview(), now, |_| None);
        app.refresh(items, Totals::default());
        app
    }

    fn press(app: &mut App, keys: &str) -> Action {
        let keys: Vec<char> = keys.chars().collect();
        let key = |char: &char| match char {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '>' => Key::Right,
            '<' => Key::Left,
            char => Key::Char(*char),
        };
        keys.iter()
            .map(|char| app.key(key(char)))
            .last()
            .unwrap_or(Action::None)
    }

    fn selected(app: &App) -> &str {
        app.selected_item().map_or("", |item| &item.node.name)
    }

    #[test]
    fn the_selection_moves_and_stays_in_view() {
        let mut app = app(Sample::containers());
        press(&mut app, "jjj");
        assert_eq!((selected(&app), app.top), ("app", 1));
        press(&mut app, "jjjj");
        assert_eq!(selected(&app), "app");
        press(&mut app, "g");
        assert_eq!((selected(&app), app.top), ("host", 0));
    }

    #[test]
    fn the_selection_stays_on_its_node_when_others_come() {
        let mut app = app(Sample::containers());
        press(&mut app, "jj");
        let mut sample = Sample::containers();
        sample.process(2000, "early", &[(Kind::Net, 900)]);
        let now = Duration::from_secs(101);
        let items = History::default().update(&sample.overview(), now, |_| None);
        app.refresh(items, Totals::default());
        assert_eq!((selected(&app), app.selected), ("pause", 3));
    }

    #[test]
    fn a_search_jumps_to_a_match_and_escape_brings_all_back() {
        let mut app = app(Sample::containers());
        press(&mut app, "/app");
        assert_eq!((selected(&app), app.rows.len()), ("app", 2));
        assert_eq!(app.mode, Mode::Search);
        press(&mut app, "\n");
        assert_eq!((app.mode, app.rows.len()), (Mode::Tree, 2));
        press(&mut app, "\x1b");
        assert_eq!((selected(&app), app.rows.len()), ("app", 4));
        // A letter that is a command is text while one types.
        press(&mut app, "/q");
        assert_eq!(app.wishes.search, "q");
    }

    #[test]
    fn kinds_are_chosen_one_by_one() {
        let mut app = app(Sample::nested());
        press(&mut app, "1");
        assert_eq!(app.wishes.kinds.to_string(), "mnt");
        assert_eq!(selected(&app), "helper");
        press(&mut app, "4");
        assert_eq!(app.wishes.kinds.to_string(), "mnt,user");
        press(&mut app, "14");
        assert_eq!(app.wishes.kinds, NamespaceSet::ALL);
    }

    #[test]
    fn right_opens_and_left_closes_folds_and_goes_up() {
        let mut app = app(Sample::nested());
        press(&mut app, "j>");
        assert_eq!(app.rows.len(), 7);
        assert_eq!(press(&mut app, "j\n"), Action::Show("user:103".to_owned()));
        press(&mut app, "<");
        assert_eq!((selected(&app), app.rows.len()), ("outer", 5));
        press(&mut app, "<");
        assert_eq!(app.rows.len(), 2);
        press(&mut app, "<");
        assert_eq!(selected(&app), "host");
        press(&mut app, "j>");
        assert_eq!(app.rows.len(), 5);
    }

    #[test]
    fn enter_shows_and_e_enters_what_is_selected() {
        let mut app = app(Sample::kept());
        assert_eq!(press(&mut app, "\n"), Action::Show("1".to_owned()));
        assert_eq!(press(&mut app, "je"), Action::Enter("mnt:305".to_owned()));
        app.items[1].mark = Mark::Gone;
        assert_eq!(press(&mut app, "e"), Action::None);
    }

    #[test]
    fn control_keys_work_in_every_mode() {
        let mut app = app(Sample::host());
        press(&mut app, "/");
        assert_eq!(app.key(Key::Ctrl('c')), Action::Quit);
        assert_eq!(press(&mut app, "\x1b?"), Action::None);
        assert_eq!(app.mode, Mode::Help);
        assert_eq!(app.key(Key::Ctrl('z')), Action::Suspend);
        assert_eq!(press(&mut app, "q"), Action::None);
        assert_eq!(press(&mut app, "q"), Action::Quit);
    }
}
