//! Keys, as a terminal sends them.

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Ctrl and a letter.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape by itself.
    Escape,
    /// Backspace.
    Backspace,
    /// The arrow up.
    Up,
    /// The arrow down.
    Down,
    /// The arrow left.
    Left,
    /// The arrow right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// One that means nothing here.
    Other,
}

/// Bytes that have come and are not a whole key yet.
#[derive(Debug, Default)]
pub struct Keys(Vec<u8>);

const ESCAPE: u8 = 0x1b;

impl Keys {
    /// Takes up what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Whether some bytes wait for others.
    pub fn is_pending(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next whole key. Where `nothing_follows` for a while, an Escape was the key
    /// and no beginning of another.
    pub fn next(&mut self, nothing_follows: bool) -> Option<Key> {
        let (key, length) = match *self.0.first()? {
            ESCAPE => match sequence(&self.0) {
                Some(found) => found,
                None if nothing_follows => (Key::Escape, 1),
                None => return None,
            },
            b'\r' | b'\n' => (Key::Enter, 1),
            0x7f | 8 => (Key::Backspace, 1),
            byte @ 1..=26 => (Key::Ctrl(char::from(byte - 1 + b'a')), 1),
            0..=31 => (Key::Other, 1),
            byte => match character(&self.0, byte) {
                Some(found) => found,
                None if nothing_follows => (Key::Other, 1),
                None => return None,
            },
        };
        self.0.drain(..length.min(self.0.len()));
        Some(key)
    }
}

/// A character of UTF-8 and its length.
fn character(bytes: &[u8], first: u8) -> Option<(Key, usize)> {
    let length = match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    let text = std::str::from_utf8(bytes.get(..length)?).ok();
    let char = text.and_then(|text| text.chars().next());
    Some(char.map_or((Key::Other, 1), |char| (Key::Char(char), length)))
}

/// `ESC [ A`, `ESC O A`, `ESC [ 5 ~`, `ESC [ 1 ; 5 A`; `None` while it is not whole.
fn sequence(bytes: &[u8]) -> Option<(Key, usize)> {
    match *bytes.get(1)? {
        b'[' => {
            let end = bytes
                .iter()
                .skip(2)
                .position(|byte| (0x40..0x7f).contains(byte))?;
            let parameters = bytes.get(2..2 + end)?;
            Some((named(parameters, bytes[2 + end]), 3 + end))
        }
        b'O' => Some((named(&[], *bytes.get(2)?), 3)),
        // An Escape before another key.
        _ => Some((Key::Escape, 1)),
    }
}

fn named(parameters: &[u8], last: u8) -> Key {
    let number = parameters.split(|byte| *byte == b';').next();
    match (last, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', Some(b"1" | b"7")) => Key::Home,
        (b'F', _) | (b'~', Some(b"4" | b"8")) => Key::End,
        (b'~', Some(b"5")) => Key::PageUp,
        (b'~', Some(b"6")) => Key::PageDown,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8], nothing_follows: bool) -> Vec<Key> {
        let mut keys = Keys::default();
        keys.feed(bytes);
        std::iter::from_fn(|| keys.next(nothing_follows)).collect()
    }

    #[test]
    fn text_and_names_of_keys_are_told_apart() {
        let expected = [Key::Char('a'), Key::Char('ß'), Key::Enter, Key::Ctrl('c')];
        assert_eq!(keys("aß\r\x03".as_bytes(), false), expected);
        let expected = [Key::Up, Key::Down, Key::PageUp, Key::Home, Key::Right];
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[1~\x1b[1;5C", false),
            expected
        );
        assert_eq!(keys(b"\x7f\x1b[20~x", false)[0], Key::Backspace);
    }

    #[test]
    fn an_escape_is_a_key_if_nothing_follows() {
        assert_eq!(keys(b"\x1b", false), []);
        assert_eq!(keys(b"\x1b", true), [Key::Escape]);
        assert_eq!(keys(b"\x1bq", false), [Key::Escape, Key::Char('q')]);
    }

    #[test]
    fn a_sequence_in_two_pieces_is_one_key() {
        let mut keys = Keys::default();
        keys.feed(b"\x1b[");
        assert_eq!(keys.next(false), None);
        keys.feed(b"6~");
        assert_eq!(keys.next(false), Some(Key::PageDown));
        assert!(!keys.is_pending());
    }

    #[test]
    fn no_bytes_stay_for_ever() {
        for first in 0..=255_u8 {
            for second in 0..=255 {
                assert!(!keys(&[first, second, 0xff, b'['], true).is_empty());
            }
        }
    }
}
