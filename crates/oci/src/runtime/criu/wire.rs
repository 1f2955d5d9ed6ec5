//! The wire format of Protocol Buffers, as far as criu's RPC needs it: numbers, and bytes
//! that are a text or another message. A crate would bring a generator, or reflection, for
//! the hundred lines that this is.

/// A message that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

/// The kinds of field that there are here; the low three bits of a field's tag.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn number(&mut self, field: u32, value: u64) -> &mut Self {
        self.tag(field, VARINT);
        self.varint(value);
        self
    }

    /// An `int32` below zero takes ten bytes, as one of 64 bits.
    pub fn signed(&mut self, field: u32, value: i32) -> &mut Self {
        self.number(field, i64::from(value) as u64)
    }

    /// Only where it is true: false is what is not there.
    pub fn flag(&mut self, field: u32, value: bool) -> &mut Self {
        match value {
            true => self.number(field, 1),
            false => self,
        }
    }

    pub fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    pub fn message(&mut self, field: u32, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }

    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn tag(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// What a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }

    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }
}

/// The fields of a message, in their order; `None` where it is none.
pub fn read(bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut rest = bytes;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = u32::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            VARINT => Value::Number(varint(&mut rest)?),
            BYTES => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            FIXED64 => Value::Bytes(take(&mut rest, 8)?),
            FIXED32 => Value::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        fields.push((field, value));
    }
    Some(fields)
}

/// The last value of a field, which is the one that counts.
pub fn last<'a>(fields: &[(u32, Value<'a>)], field: u32) -> Option<Value<'a>> {
    let found = fields.iter().rev().find(|(number, _)| *number == field);
    found.map(|(_, value)| *value)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_format() {
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing").flag(3, false);
        // The example of the format's own documentation.
        assert_eq!(
            message.as_bytes(),
            b"\x08\x96\x01\x12\x07testing",
            "150 and a text"
        );
        let mut outer = Message::default();
        outer.message(3, &message).flag(4, true);
        assert_eq!(outer.as_bytes()[..2], [0x1a, 12]);
        assert_eq!(outer.as_bytes()[14..], [0x20, 1]);
    }

    #[test]
    fn a_number_below_zero_has_ten_bytes() {
        let mut message = Message::default();
        message.signed(1, -1);
        assert_eq!(message.as_bytes().len(), 11);
        let fields = read(message.as_bytes()).expect("it is one");
        assert_eq!(last(&fields, 1), Some(Value::Number(u64::MAX)));
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut message = Message::default();
        message
            .number(1, u64::MAX)
            .text(68, "images")
            .number(1, 7)
            .bytes(300, &[0; 200]);
        let fields = read(message.as_bytes()).expect("it is one");
        assert_eq!(last(&fields, 1), Some(Value::Number(7)));
        assert_eq!(last(&fields, 68), Some(Value::Bytes(b"images")));
        assert_eq!(last(&fields, 300), Some(Value::Bytes(&[0; 200])));
        assert_eq!(last(&fields, 2), None);
    }

    #[test]
    fn what_is_cut_or_strange_is_no_message() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\xff",
            b"\x12\x07test",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",
            b"\x0b",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x09\x01",
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
        assert_eq!(read(b""), Some(Vec::new()));
        // Fixed lengths are passed over.
        let fields = read(b"\x0d\x01\x02\x03\x04\x10\x05").expect("it is one");
        assert_eq!(last(&fields, 2), Some(Value::Number(5)));
    }
}
