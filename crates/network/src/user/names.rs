//! Questions about names: a resolver of the host answers them, and where only some places may
//! be reached, what it says of those is remembered.
//!
//! Without rules questions and answers pass as they are. With rules a question about any
//! other name is refused, so that no name carries a message out either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketType};
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::events::{Kind, Source};
use super::flows::send;
use super::packet::Unreachable;
use super::policy::{NameVerdict, plain_name};
use super::shared::{Shared, Table, connected};

/// Questions at once; each has a socket of its own, whose port nobody can guess.
const MOST: usize = 512;

/// How long a resolver has before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks, whom, and the number of the question.
type Key = (SocketAddr, SocketAddr, u16);

/// All questions that wait for an answer.
#[derive(Debug)]
pub struct Names {
    resolvers: Vec<SocketAddr>,
    waiting: Table<Key, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    socket: OwnedFd,
    question: Vec<u8>,
    /// How many resolvers were asked.
    asked: usize,
}

impl Names {
    /// The host's resolvers, in the order in which they are asked.
    pub fn new(resolvers: Vec<SocketAddr>) -> Self {
        Self {
            resolvers,
            waiting: Table::new(MOST, PATIENCE),
        }
    }

    /// Takes a question.
    pub fn ask(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        to: SocketAddr,
        question: &[u8],
    ) {
        let Some(number) = question.first_chunk().map(|two| u16::from_be_bytes(*two))
        else {
            return;
        };
        if shared.policy.has_rules() {
            match own_answer(shared, question) {
                Answer::Ask => {}
                Answer::Told(answer) => return shared.answer(to, from, &answer),
                Answer::None => return,
            }
        }
        let key = (from, to, number);
        if self.waiting.id_of(&key).is_none() {
            self.ask_resolver(shared, key, question.to_vec(), 0);
        }
    }

    /// Asks the resolver that is next, or says that nobody is there to ask.
    fn ask_resolver(
        &mut self,
        shared: &mut Shared,
        key: Key,
        question: Vec<u8>,
        asked: usize,
    ) {
        let rest = self.resolvers.iter().enumerate().skip(asked);
        for (number, resolver) in rest {
            let Ok(socket) = ask(*resolver, &question) else {
                continue;
            };
            let id = shared.events.new_id();
            let source = Source::new(Kind::Question, id);
            if shared.events.on_input(&socket, source).is_err() {
                continue;
            }
            let waiting = Waiting {
                socket,
                question,
                asked: number + 1,
            };
            self.waiting.insert(id, key, waiting);
            return;
        }
        let (from, to, _) = key;
        if asked == 0 {
            shared.undelivered(from, to, Unreachable::Port);
        }
    }

    /// Passes an answer on.
    pub fn answered(&mut self, shared: &mut Shared, id: u32, buffer: &mut [u8]) {
        let Some(((from, to, number), waiting)) = self.waiting.of_id(id) else {
            return;
        };
        let received =
            rustix::net::recv(&waiting.socket, &mut *buffer, RecvFlags::DONTWAIT);
        let answer = match received {
            Ok((_, length)) => &buffer[..length.min(buffer.len())],
            Err(Errno::AGAIN) => return,
            // Nobody listens there.
            Err(_) => return self.next_resolver(shared, id),
        };
        if answer.first_chunk() != Some(&number.to_be_bytes()) {
            return;
        }
        if shared.policy.has_rules() {
            learn(shared, answer);
        }
        shared.answer(to, from, answer);
        self.waiting.remove(id);
    }

    fn next_resolver(&mut self, shared: &mut Shared, id: u32) {
        if let Some((key, waiting)) = self.waiting.remove(id) {
            self.ask_resolver(shared, key, waiting.question, waiting.asked);
        }
    }

    /// Asks others where one has not answered.
    pub fn tidy(&mut self, shared: &mut Shared, now: Instant) {
        for (key, waiting) in self.waiting.take_idle(now) {
            self.ask_resolver(shared, key, waiting.question, waiting.asked);
        }
    }

    /// Whether something is to be done soon.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn ask(resolver: SocketAddr, question: &[u8]) -> Result<OwnedFd, Errno> {
    let socket = connected(resolver, SocketType::DGRAM, None)?;
    send(&socket, question)?;
    Ok(socket)
}

/// What the rules make of a question.
enum Answer {
    /// The resolver is asked.
    Ask,
    /// This is the answer.
    Told(Vec<u8>),
    /// It is no question.
    None,
}

fn own_answer(shared: &mut Shared, question: &[u8]) -> Answer {
    let Some(packet) = parse(question) else {
        return Answer::None;
    };
    let [asked] = &packet.questions[..] else {
        return Answer::None;
    };
    let name = plain_name(&asked.qname.to_string());
    let answer = match shared.policy.name(&name) {
        NameVerdict::Ask => return Answer::Ask,
        NameVerdict::Refused => reply(&packet, RCODE::Refused, &[]),
        NameVerdict::Known(addresses) => reply(&packet, RCODE::NoError, &addresses),
    };
    answer.map_or(Answer::None, Answer::Told)
}

/// A message, if it is a whole one. Short ones are no message: the crate would look for its
/// header.
fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    const HEADER: usize = 12;
    if bytes.len() < HEADER {
        return None;
    }
    Packet::parse(bytes).ok()
}

/// The answer to a question, with those of some addresses that it asks for.
fn reply(packet: &Packet<'_>, code: RCODE, addresses: &[IpAddr]) -> Option<Vec<u8>> {
    const SECONDS: u32 = 60;
    let asked = packet.questions.first()?;
    let mut reply = Packet::new_reply(packet.id());
    reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
    *reply.rcode_mut() = code;
    reply.questions.push(asked.clone());
    for address in addresses {
        let data = match address {
            IpAddr::V4(ip) if asked.qtype == QTYPE::TYPE(TYPE::A) => RData::A(A {
                address: u32::from(*ip),
            }),
            IpAddr::V6(ip) if asked.qtype == QTYPE::TYPE(TYPE::AAAA) => {
                RData::AAAA(AAAA {
                    address: u128::from(*ip),
                })
            }
            _ => continue,
        };
        let name = asked.qname.clone();
        reply
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, SECONDS, data));
    }
    reply.build_bytes_vec().ok()
}

/// Notes the addresses in the answer to a question about a name that is allowed.
fn learn(shared: &mut Shared, answer: &[u8]) {
    let Some(packet) = parse(answer) else { return };
    shared.policy.learn(addresses(&packet));
}

fn addresses(packet: &Packet<'_>) -> Vec<IpAddr> {
    let address = |record: &ResourceRecord<'_>| match &record.rdata {
        RData::A(A { address }) => Some(Ipv4Addr::from(*address).into()),
        RData::AAAA(AAAA { address }) => Some(Ipv6Addr::from(*address).into()),
        _ => None,
    };
    packet.answers.iter().filter_map(address).collect()
}

/// The servers that a resolv.conf(5) names.
#[must_use]
pub fn resolvers(text: &str) -> Vec<SocketAddr> {
    const DOMAIN: u16 = 53;
    let server = |line: &str| {
        let address = line.trim().strip_prefix("nameserver")?;
        let address = address.strip_prefix([' ', '\t'])?.trim();
        let address = address.split('%').next()?.parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(address, DOMAIN))
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{Name, QCLASS, Question};

    fn question(name: &'static str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(0x1234);
        let name = Name::new(name).expect("a name");
        let class = QCLASS::CLASS(CLASS::IN);
        packet
            .questions
            .push(Question::new(name, QTYPE::TYPE(kind), class, false));
        packet.build_bytes_vec().expect("it is short")
    }

    #[test]
    fn an_answer_has_the_addresses_of_the_family_that_was_asked_for() {
        let known = [
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from([1, 2, 3, 4, 5, 6, 7, 8]),
        ];
        for (kind, expected) in [(TYPE::A, known[0]), (TYPE::AAAA, known[1])] {
            let question = question("pinned.test", kind);
            let question = parse(&question).expect("a question");
            let answer = reply(&question, RCODE::NoError, &known).expect("an answer");
            let answer = parse(&answer).expect("an answer");
            assert_eq!(answer.id(), 0x1234);
            assert_eq!(addresses(&answer), [expected]);
        }
    }

    #[test]
    fn no_message_brings_the_parser_down() {
        let good = question("www.example.org", TYPE::A);
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        for _ in 0..100_000 {
            let mut bytes = good.clone();
            for _ in 0..random(6) {
                let place = random(bytes.len());
                bytes[place] = random(256) as u8;
            }
            bytes.truncate(random(bytes.len() * 2));
            if let Some(packet) = parse(&bytes) {
                let _ = packet.questions.first().map(|one| one.qname.to_string());
                let _ = addresses(&packet);
                let _ = reply(&packet, RCODE::Refused, &[]);
            }
        }
    }

    #[test]
    fn servers_are_found_in_resolv_conf() {
        let text = "# nameserver 1.1.1.1\nsearch a.test\nnameserver 127.0.0.53\n\
                    nameserver\tfe80::1%eth0\nnameserverx 192.0.2.1\n";
        let found: Vec<String> =
            resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.53:53", "[fe80::1]:53"]);
    }
}
