//! Messages of D-Bus, as far as systemd's manager needs them: the D-Bus specification,
//! "Marshaling". Little-endian, as every machine that Warren runs on; what comes is read in
//! its own order.

/// A value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `s`.
    Text(String),
    /// `b`.
    Bool(bool),
    /// `t`.
    U64(u64),
    /// `au`.
    Numbers(Vec<u32>),
    /// `ay`.
    Bytes(Vec<u8>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Bool(_) => "b",
            Self::U64(_) => "t",
            Self::Numbers(_) => "au",
            Self::Bytes(_) => "ay",
        }
    }
}

/// Properties of a unit: `a(sv)`.
pub type Properties = Vec<(&'static str, Value)>;

/// Marshals values; positions are counted from its begin, which must be a multiple of 8 in
/// the message.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    pub fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.u8(0);
    }

    fn signature(&mut self, signature: &str) {
        self.u8(signature.len() as u8);
        self.0.extend(signature.as_bytes());
        self.u8(0);
    }

    /// An array, whose length in bytes does not count what aligns its first element.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let begin = self.0.len();
        elements(self);
        let length = (self.0.len() - begin) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Text(text) => self.text(text),
            Value::Bool(value) => self.bool(*value),
            Value::U64(value) => self.u64(*value),
            Value::Numbers(list) => {
                self.array(4, |to| list.iter().for_each(|value| to.u32(*value)));
            }
            Value::Bytes(list) => self.array(1, |to| to.0.extend(list)),
        }
    }

    pub fn properties(&mut self, properties: &Properties) {
        self.array(8, |to| {
            for (name, value) in properties {
                to.align(8);
                to.text(name);
                to.variant(value);
            }
        });
    }

    /// `a(sa(sv))` without elements: no auxiliary units.
    pub fn no_units(&mut self) {
        self.array(8, |_| {});
    }
}

/// A call of a method.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
}

impl Call<'_> {
    /// The whole message.
    pub fn message(&self, serial: u32, body: &[u8]) -> Vec<u8> {
        const METHOD_CALL: u8 = 1;
        const VERSION: u8 = 1;
        let mut to = Writer::default();
        to.0.extend([b'l', METHOD_CALL, 0, VERSION]);
        to.u32(body.len() as u32);
        to.u32(serial);
        to.array(8, |to| {
            to.field(1, "o", self.path);
            to.field(2, "s", self.interface);
            to.field(3, "s", self.member);
            to.field(6, "s", self.destination);
            if !self.signature.is_empty() {
                to.align(8);
                to.u8(8);
                to.signature("g");
                to.signature(self.signature);
            }
        });
        to.align(8);
        to.0.extend(body);
        to.0
    }
}

impl Writer {
    fn field(&mut self, code: u8, signature: &str, value: &str) {
        self.align(8);
        self.u8(code);
        self.signature(signature);
        self.text(value);
    }
}

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// 2 for a reply, 3 for an error, 4 for a signal.
    pub kind: u8,
    /// Which call it answers.
    pub reply_to: Option<u32>,
    pub member: String,
    pub error: String,
    /// The texts and paths at the begin of the body, as long as it has nothing but these and
    /// numbers.
    pub texts: Vec<String>,
}

pub const REPLY: u8 = 2;
pub const ERROR: u8 = 3;
pub const SIGNAL: u8 = 4;

/// No message of systemd's manager that is read here is near this; the specification allows
/// 128 MiB.
const LONGEST: usize = 1 << 20;

/// How long the message is whose first sixteen bytes these are; `None` where that is no
/// message.
pub fn length(head: [u8; 16]) -> Option<usize> {
    let mut from = Reader::new(&head)?;
    from.at = 4;
    let body = from.u32()? as usize;
    from.u32()?;
    let fields = from.u32()? as usize;
    let length = 16usize.checked_add(fields)?.checked_next_multiple_of(8)?;
    let length = length.checked_add(body)?;
    (length <= LONGEST).then_some(length)
}

/// Reads a whole message; `None` where it is none.
pub fn parse(message: &[u8]) -> Option<Received> {
    let mut from = Reader::new(message)?;
    let mut received = Received {
        kind: *message.get(1)?,
        ..Received::default()
    };
    let mut signature = String::new();
    from.at = 12;
    let end = from.u32()? as usize + 16;
    while from.at < end {
        from.align(8);
        let code = from.u8()?;
        let kind = from.signature()?;
        match (code, kind.as_str()) {
            (3, "s") => received.member = from.text()?,
            (4, "s") => received.error = from.text()?,
            (5, "u") => received.reply_to = Some(from.u32()?),
            (8, "g") => signature = from.signature()?,
            (_, "s" | "o") => drop(from.text()?),
            (_, "u") => drop(from.u32()?),
            (_, "g") => drop(from.signature()?),
            _ => return None,
        }
    }
    from.align(8);
    for kind in signature.bytes() {
        match kind {
            b's' | b'o' => received.texts.push(from.text()?),
            b'u' => drop(from.u32()?),
            _ => break,
        }
    }
    Some(received)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_little = match bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        Some(Self {
            bytes,
            at: 0,
            is_little,
        })
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.is_little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        self.zero_ended(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.u8()? as usize;
        self.zero_ended(length)
    }

    fn zero_ended(&mut self, length: usize) -> Option<String> {
        let text = self.take(length)?;
        self.take(1)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StopUnit",
        signature: "ss",
    };

    fn body() -> Vec<u8> {
        let mut body = Writer::default();
        body.text("a.scope");
        body.text("replace");
        body.into_bytes()
    }

    #[test]
    fn texts_are_aligned_and_end_with_a_zero() {
        assert_eq!(body(), b"\x07\0\0\0a.scope\0\x07\0\0\0replace\0");
    }

    #[test]
    fn a_message_tells_its_own_length() {
        let message = CALL.message(7, &body());
        let head: [u8; 16] = message[..16].try_into().expect("a head");
        assert_eq!(length(head), Some(message.len()));
        assert_eq!(message[0], b'l');
        assert_eq!(message[8..12], 7u32.to_le_bytes());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = parse(&CALL.message(7, &body())).expect("a good message");
        assert_eq!(read.member, "StopUnit");
        assert_eq!(read.texts, ["a.scope", "replace"]);
    }

    #[test]
    fn a_cut_message_is_none() {
        let message = CALL.message(7, &body());
        for length in 0..message.len() {
            assert_eq!(parse(&message[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn properties_are_an_array_of_structs_at_eight() {
        let mut to = Writer::default();
        to.properties(&vec![
            ("PIDs", Value::Numbers(vec![258])),
            ("Delegate", Value::Bool(true)),
        ]);
        let expected = [
            // The length of what follows the padding, and that padding.
            b"\x32\0\0\0\0\0\0\0".as_slice(),
            // 0: "PIDs", "au", four bytes of numbers.
            b"\x04\0\0\0PIDs\0\x02au\0\0\0\0\x04\0\0\0\x02\x01\0\0",
            // At 24: "Delegate", "b", true.
            b"\x08\0\0\0Delegate\0\x01b\0\x01\0\0\0",
        ]
        .concat();
        let bytes = to.into_bytes();
        assert_eq!(&bytes[8..], &expected[8..]);
        assert_eq!(bytes[..4], ((bytes.len() - 8) as u32).to_le_bytes());
    }

    #[test]
    fn a_length_beyond_reason_is_no_message() {
        let mut head = [0; 16];
        head[0] = b'l';
        head[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(length(head), None);
        assert_eq!(length([0; 16]), None);
    }
}
