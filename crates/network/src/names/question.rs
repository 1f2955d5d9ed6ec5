//! Questions of the domain name system, and answers to them: RFC 1035, RFC 6891.
//!
//! By hand: what is read is a header and one name, and a question of a type that nobody here
//! knows must be passed on all the same, which simple-dns refuses to read. It reads our answers
//! in the tests.

use std::net::IpAddr;

/// `A`
pub const A: u16 = 1;
/// `NS`
pub const NS: u16 = 2;
/// `SOA`
pub const SOA: u16 = 6;
/// `PTR`
pub const PTR: u16 = 12;
/// `AAAA`
pub const AAAA: u16 = 28;
const OPT: u16 = 41;
/// `DS`
pub const DS: u16 = 43;
/// `DNSKEY`
pub const DNSKEY: u16 = 48;
/// Every type.
pub const ANY: u16 = 255;
/// The internet.
pub const IN: u16 = 1;

const HEADER: usize = 12;

/// What a datagram may have at least, and what is sent in one where the other side can take
/// more: no more than passes every network unfragmented.
const LEAST: usize = 512;
const MOST: usize = 1232;

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// `NOERROR`
    Fine = 0,
    /// `FORMERR`
    Malformed = 1,
    /// `SERVFAIL`
    Failed = 2,
    /// `NXDOMAIN`
    NoSuchName = 3,
    /// `NOTIMP`
    NotImplemented = 4,
    /// `REFUSED`
    Refused = 5,
}

/// What is told of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An address of it.
    Address(IpAddr),
    /// The name of an address.
    Name(String),
}

/// One question, as a message asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    message: &'a [u8],
    /// The name in lower case and without a last dot.
    pub name: String,
    /// The type that is asked for.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Where the question ends in the message.
    end: usize,
    /// How much fits in a datagram to who asks, if it says so.
    room: Option<usize>,
}

impl<'a> Question<'a> {
    /// Reads a message that asks one thing.
    ///
    /// # Errors
    /// The answer to one that cannot be read; none to what is no question at all.
    pub fn read(message: &'a [u8]) -> Result<Self, Option<Vec<u8>>> {
        let header: &[u8; HEADER] = message.first_chunk().ok_or(None)?;
        if header[2] & 0x80 != 0 {
            return Err(None);
        }
        if header[2] & 0x78 != 0 {
            return Err(Some(bare(header, Code::NotImplemented)));
        }
        Self::read_body(header, message)
            .ok_or_else(|| Some(bare(header, Code::Malformed)))
    }

    fn read_body(header: &[u8; HEADER], message: &'a [u8]) -> Option<Self> {
        let [.., 0, 1, 0, 0, 0, 0, _, more] = *header else {
            return None;
        };
        let (name, place) = read_name(message, HEADER)?;
        let [a, b, c, d] = *message.get(place..)?.first_chunk()?;
        let end = place + 4;
        Some(Self {
            message,
            name,
            kind: u16::from_be_bytes([a, b]),
            class: u16::from_be_bytes([c, d]),
            end,
            room: room(&message[end..]).filter(|_| more > 0),
        })
    }

    /// The number by which the answer is told from others.
    #[must_use]
    pub fn number(&self) -> u16 {
        u16::from_be_bytes([self.message[0], self.message[1]])
    }

    /// The answer. One in a datagram that does not fit there says that it was cut, so that it
    /// is asked for again by TCP.
    #[must_use]
    pub fn reply(&self, code: Code, records: &[Record], in_datagram: bool) -> Vec<u8> {
        let room = match (in_datagram, self.room) {
            (false, _) => usize::from(u16::MAX),
            (true, room) => room.unwrap_or(LEAST).clamp(LEAST, MOST),
        };
        let whole = self.build(code, records, false);
        match whole.len() <= room {
            true => whole,
            false => self.build(code, &[], true),
        }
    }

    fn build(&self, code: Code, records: &[Record], is_cut: bool) -> Vec<u8> {
        const AUTHORITATIVE: u8 = 0x04;
        const CUT: u8 = 0x02;
        let mut reply = self.message[..HEADER].to_vec();
        answer(&mut reply, code);
        reply[2] |= AUTHORITATIVE | if is_cut { CUT } else { 0 };
        reply[4..6].copy_from_slice(&[0, 1]);
        reply[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        reply[11] = u8::from(self.room.is_some());
        reply.extend(&self.message[HEADER..self.end]);
        for record in records {
            record.write(&mut reply);
        }
        if self.room.is_some() {
            let [high, low] = (MOST as u16).to_be_bytes();
            reply.extend([0, 0, OPT as u8, high, low, 0, 0, 0, 0, 0, 0]);
        }
        reply
    }
}

impl Record {
    /// Adds it, as of the name that was asked for.
    fn write(&self, reply: &mut Vec<u8>) {
        const NAME_OF_THE_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
        /// Members come and go.
        const SECONDS: u32 = 1;
        let (kind, data) = match self {
            Self::Address(IpAddr::V4(ip)) => (A, ip.octets().to_vec()),
            Self::Address(IpAddr::V6(ip)) => (AAAA, ip.octets().to_vec()),
            Self::Name(name) => (PTR, write_name(name)),
        };
        reply.extend(NAME_OF_THE_QUESTION);
        reply.extend(kind.to_be_bytes());
        reply.extend(IN.to_be_bytes());
        reply.extend(SECONDS.to_be_bytes());
        reply.extend((data.len() as u16).to_be_bytes());
        reply.extend(data);
    }
}

/// An answer that has nothing but a code.
fn bare(header: &[u8; HEADER], code: Code) -> Vec<u8> {
    let mut reply = header.to_vec();
    answer(&mut reply, code);
    reply
}

/// Makes the header of a question that of an answer without records.
fn answer(header: &mut [u8], code: Code) {
    const ANSWER: u8 = 0x80;
    const OPCODE: u8 = 0x78;
    const RECURSION_DESIRED: u8 = 0x01;
    const RECURSION_AVAILABLE: u8 = 0x80;
    header[2] = ANSWER | header[2] & (OPCODE | RECURSION_DESIRED);
    header[3] = RECURSION_AVAILABLE | code as u8;
    header[4..].fill(0);
}

/// A name at some place, and where it ends. A question has nothing before it that it could
/// point at.
fn read_name(message: &[u8], mut place: usize) -> Option<(String, usize)> {
    const LONGEST: usize = 255;
    const LONGEST_LABEL: usize = 63;
    let start = place;
    let mut name = String::new();
    loop {
        let length = usize::from(*message.get(place)?);
        place += 1;
        if length == 0 {
            return Some((name, place));
        }
        if length > LONGEST_LABEL || place + length - start >= LONGEST {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        let label = message.get(place..place + length)?;
        name.extend(label.iter().map(|byte| match byte {
            // In no name of a member: a dot in a label is none between two.
            b'.' | 0..=0x20 | 0x7f.. => char::REPLACEMENT_CHARACTER,
            byte => char::from(byte.to_ascii_lowercase()),
        }));
        place += length;
    }
}

/// A name that `is_name` knows to be one, with a length before each label.
fn write_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

/// What an OPT record that follows a question says about room.
fn room(rest: &[u8]) -> Option<usize> {
    match *rest.first_chunk()? {
        [0, 0, kind, high, low] if u16::from(kind) == OPT => {
            Some(usize::from(u16::from_be_bytes([high, low])))
        }
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use simple_dns::rdata::RData;
    use simple_dns::{Packet, PacketFlag};

    /// A question as programs send it.
    pub fn ask(name: &str, kind: u16, room: Option<u16>) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message[11] = u8::from(room.is_some());
        message.extend(write_name(name));
        message.extend(kind.to_be_bytes());
        message.extend(IN.to_be_bytes());
        if let Some(room) = room {
            message.extend([0, 0, 41]);
            message.extend(room.to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }

    fn addresses(count: u8) -> Vec<Record> {
        (1..=count)
            .map(|n| Record::Address([10, 5, 0, n].into()))
            .collect()
    }

    #[test]
    fn a_name_is_read_in_lower_case() {
        let message = ask("Db.Shop", AAAA, Some(4096));
        let question = Question::read(&message).expect("a question");
        assert_eq!(
            (&*question.name, question.kind, question.class),
            ("db.shop", AAAA, IN)
        );
        assert_eq!(question.room, Some(4096));
        let message = ask("", NS, None);
        assert_eq!(Question::read(&message).expect("the root").name, "");
    }

    #[test]
    fn a_dot_in_a_label_is_no_dot_between_two() {
        let mut message = ask("dbxshop", A, None);
        message[15] = b'.';
        let question = Question::read(&message).expect("a question");
        assert_eq!(question.name, "db\u{fffd}shop");
    }

    #[test]
    fn another_reader_finds_in_an_answer_what_was_written() {
        let message = ask("Db", A, Some(1232));
        let question = Question::read(&message).expect("a question");
        let reply = question.reply(Code::Fine, &addresses(3), true);
        let packet = Packet::parse(&reply).expect("an answer");
        assert!(packet.has_flags(
            PacketFlag::RESPONSE
                | PacketFlag::AUTHORITATIVE_ANSWER
                | PacketFlag::RECURSION_DESIRED
                | PacketFlag::RECURSION_AVAILABLE
        ));
        assert_eq!(packet.id(), 0x1234);
        assert_eq!(
            packet.questions[0].qname.to_string(),
            "Db",
            "as it was asked"
        );
        assert_eq!(packet.answers.len(), 3);
        assert!(packet.opt().is_some());
        let RData::A(first) = &packet.answers[0].rdata else {
            panic!("an address")
        };
        assert_eq!(first.address, u32::from_be_bytes([10, 5, 0, 1]));

        let message = ask("7.0.5.10.in-addr.arpa", PTR, None);
        let question = Question::read(&message).expect("a question");
        let record = Record::Name("db.shop".to_owned());
        let reply = question.reply(Code::Fine, &[record], true);
        let packet = Packet::parse(&reply).expect("an answer");
        let RData::PTR(name) = &packet.answers[0].rdata else {
            panic!("a name")
        };
        assert_eq!(name.0.to_string(), "db.shop");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_cut_and_whole_by_tcp() {
        for (room, count, is_cut) in [
            (None, 30, false),
            (None, 40, true),
            (Some(100), 30, false),
            (Some(1232), 70, false),
            (Some(u16::MAX), 100, true),
        ] {
            let message = ask("db", A, room);
            let question = Question::read(&message).expect("a question");
            let reply = question.reply(Code::Fine, &addresses(count), true);
            let packet = Packet::parse(&reply).expect("an answer");
            assert_eq!(
                packet.has_flags(PacketFlag::TRUNCATION),
                is_cut,
                "{room:?} {count}"
            );
            assert_eq!(packet.answers.is_empty(), is_cut);
            let reply = question.reply(Code::Fine, &addresses(count), false);
            let packet = Packet::parse(&reply).expect("an answer");
            assert_eq!(packet.answers.len(), usize::from(count));
        }
    }

    #[test]
    fn what_is_no_question_gets_the_answer_that_it_deserves() {
        let good = ask("db", A, None);
        let with = |place: usize, byte: u8| {
            let mut message = good.clone();
            message[place] = byte;
            Question::read(&message).map(drop)
        };
        assert_eq!(with(2, 0x81), Err(None), "an answer");
        assert_eq!(Question::read(&good[..11]), Err(None));
        let code =
            |result: Result<(), Option<Vec<u8>>>| result.err().flatten().map(|it| it[3]);
        assert_eq!(code(with(2, 0x28)), Some(0x84), "an update");
        for (place, byte) in [(5, 0), (5, 2), (7, 1), (9, 1), (12, 0xc0), (12, 64)] {
            assert_eq!(code(with(place, byte)), Some(0x81), "{place} {byte}");
        }
        for length in 12..good.len() {
            let cut = Question::read(&good[..length]).map(drop);
            assert_eq!(code(cut), Some(0x81), "{length}");
        }
        let long = ask(&vec!["x".repeat(63); 4].join("."), A, None);
        assert_eq!(code(Question::read(&long).map(drop)), Some(0x81));
    }

    #[test]
    fn no_message_brings_the_reader_down() {
        let good = ask("www.example.org", A, Some(1232));
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut read = 0;
        for _ in 0..200_000 {
            let mut bytes = good.clone();
            for _ in 0..random(6) {
                let place = random(bytes.len());
                bytes[place] = random(256) as u8;
            }
            bytes.truncate(random(bytes.len() * 2));
            if let Ok(question) = Question::read(&bytes) {
                read += 1;
                for reply in [true, false] {
                    let _ = question.reply(Code::Fine, &addresses(90), reply);
                }
            }
        }
        assert!(read > 10_000, "{read}");
    }
}
