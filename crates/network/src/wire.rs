//! Netlink messages as bytes: headers, and attributes in attributes.
//!
//! One writer for rtnetlink(7) and nftables. Typed crates exist for the first alone, and
//! their link messages bring every kind of link and its options: more than this whole crate.

/// `NLM_F_REQUEST | NLM_F_ACK` and what a message may want beside.
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`
pub const ACK: u16 = 4;
/// `NLM_F_DUMP`
pub const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`
pub const APPEND: u16 = 0x800;

const HEADER: usize = 16;
const NESTED: u16 = 1 << 15;

/// The attributes of a message, or of an attribute.
#[derive(Debug, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// Some bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (value.len() + 4) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad()
    }

    /// A number in the machine's byte order, as rtnetlink has them.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number of 8 bits.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// A number in the network's byte order, as nftables has them.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// The same of 64 bits.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text with its end.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Attributes in an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.bytes(kind | NESTED, &[]);
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// What is no attribute: the header of an inner message.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self.pad()
    }

    /// All of it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn pad(&mut self) -> &mut Self {
        let length = self.0.len().next_multiple_of(4);
        self.0.resize(length, 0);
        self
    }
}

/// Several messages that are sent at once.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// What each message does, for who reads the error or the plan; the n-th has the
    /// sequence number n.
    doing: Vec<String>,
    last: usize,
}

impl Batch {
    /// Adds a message: what it does, its number, flags beside the usual ones, the header of
    /// its family, and its attributes.
    pub fn add(
        &mut self,
        doing: impl Into<String>,
        kind: u16,
        flags: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Body),
    ) {
        let mut body = Body::default();
        body.raw(header);
        fill(&mut body);
        self.last = self.bytes.len();
        let length = (HEADER + body.0.len()) as u32;
        let sequence = self.doing.len() as u32;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(body.0);
        self.doing.push(doing.into());
    }

    /// Has the kernel answer the message that was added last also where it succeeds.
    pub fn acknowledge(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6) {
            *flags |= ACK as u8;
        }
    }

    /// What each message does.
    pub fn doing(&self) -> &[String] {
        &self.doing
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.doing.is_empty()
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its number.
    pub kind: u16,
    /// Of the request that it answers.
    pub sequence: u32,
    /// What follows its header.
    pub body: &'a [u8],
}

/// The messages of one datagram, up to one whose length lies.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let body = bytes.get(HEADER..length)?;
        let message = Message {
            kind: u16_at(bytes, 4)?,
            sequence: u32_at(bytes, 8)?,
            body,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in some bytes, by number, up to one whose length lies.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The one attribute of a number.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(own, _)| *own == kind)
        .map(|(_, value)| value)
}

/// A text without its end.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// A number in the machine's byte order.
pub fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    let bytes = bytes.get(place..place + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    let bytes = bytes.get(place..place + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_counted() {
        let mut body = Body::default();
        body.nest(18, |inner| {
            inner.text(1, "veth").u8(2, 7);
        });
        let (kind, inner) = attributes(&body.0).next().expect("one");
        assert_eq!(kind, 18);
        let inner: Vec<_> = attributes(inner).collect();
        assert_eq!(inner, [(1, &b"veth\0"[..]), (2, &[7])]);
        assert_eq!(body.0.len() % 4, 0);
    }

    #[test]
    fn a_batch_is_cut_into_its_messages_again() {
        let mut batch = Batch::default();
        batch.add("one", 16, 0, &[1, 2, 3, 4], |_| {});
        batch.add("two", 20, CREATE, &[5], |body| {
            body.u32(1, 9);
        });
        batch.acknowledge();
        let list: Vec<_> = messages(batch.as_bytes()).collect();
        assert_eq!(list.len(), 2);
        assert_eq!(
            (list[0].kind, list[0].sequence, list[0].body),
            (16, 0, &[1, 2, 3, 4][..])
        );
        assert_eq!(
            attribute(&list[1].body[4..], 1),
            Some(&9_u32.to_ne_bytes()[..])
        );
        assert_eq!(
            batch.bytes[list[0].body.len() + HEADER + 6],
            (REQUEST | ACK) as u8
        );
    }

    #[test]
    fn lengths_that_lie_end_the_list_and_do_not_panic() {
        for bytes in [
            &b"\x00\x00\x01\x00"[..],
            b"\xff\xff\x01\x00ab",
            b"\x04",
            b"",
        ] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
            assert_eq!(messages(bytes).count(), 0, "{bytes:?}");
        }
        let mut header = vec![0_u8; 16];
        assert_eq!(messages(&header).count(), 0);
        header[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(messages(&header).count(), 0);
    }
}
