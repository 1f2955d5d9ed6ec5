//! Messages of nftables: one batch, all of it or nothing.

use std::net::IpAddr;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::route::octets;
use crate::socket::Socket;
use crate::wire::{self, APPEND, Batch, Body, CREATE, DUMP, EXCLUSIVE};

/// The family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// Frames on the ports of bridges.
    Bridge = 7,
}

const BEGIN: u16 = 16;
const END: u16 = 17;
const fn message(number: u16) -> u16 {
    10 << 8 | number
}
const NEWTABLE: u16 = message(0);
const GETTABLE: u16 = message(1);
const DELTABLE: u16 = message(2);
const NEWCHAIN: u16 = message(3);
const NEWRULE: u16 = message(6);
const NEWSET: u16 = message(9);
const NEWSETELEM: u16 = message(12);
const GETSETELEM: u16 = message(13);
const DELSETELEM: u16 = message(14);
const NEWOBJ: u16 = message(18);
const GETOBJ: u16 = message(19);
const DELOBJ: u16 = message(20);

/// The name of our tables.
pub const TABLE: &str = "warren";

/// A change of tables.
#[derive(Debug)]
pub struct Change {
    batch: Batch,
    sets: u32,
}

impl Default for Change {
    fn default() -> Self {
        let mut batch = Batch::default();
        // The number of the subsystem.
        batch.add(
            "begin a change of nftables",
            BEGIN,
            0,
            &[0, 0, 0, 10],
            |_| {},
        );
        Self { batch, sets: 0 }
    }
}

fn header(family: Family) -> [u8; 4] {
    [family as u8, 0, 0, 0]
}

/// Where a chain is asked.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// `filter`, `nat`.
    pub kind: &'static str,
    /// The number of the hook in its family.
    pub number: u32,
    /// The lower, the earlier.
    pub priority: i32,
}

/// What is in a set, and what its elements lead to.
#[derive(Clone, Copy, Debug)]
pub struct SetShape {
    /// Its name.
    pub name: &'static str,
    /// The parts of a key.
    pub key: &'static [Part],
    /// Whether an element is from one key to another, part by part.
    pub has_ranges: bool,
    /// What an element leads to.
    pub value: Value,
}

/// What an element of a set leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    None,
    /// Nothing, and each is counted.
    Counted,
    /// These.
    Data(&'static [Part]),
    /// A quota.
    Quota,
}

/// A part of a key, by nft(8)'s number of its type, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// An IPv4 address.
    Ip4 = 7,
    /// An IPv6 address.
    Ip6 = 8,
    /// The address of a link.
    Ether = 9,
    /// A protocol over IP.
    Protocol = 12,
    /// A port.
    Port = 13,
    /// The name of a link.
    Name = 41,
}

impl Part {
    const fn length(self) -> u32 {
        match self {
            Self::Ip4 => 4,
            Self::Ip6 | Self::Name => 16,
            Self::Ether => 6,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

/// Several parts have each a multiple of four bytes; one alone has its own length.
fn length(parts: &[Part]) -> u32 {
    match parts {
        [one] => one.length(),
        parts => parts
            .iter()
            .map(|part| part.length().next_multiple_of(4))
            .sum(),
    }
}

fn type_number(parts: &[Part]) -> u32 {
    parts
        .iter()
        .fold(0, |number, part| number << 6 | *part as u32)
}

/// A key or a value, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    bytes: Vec<u8>,
    parts: usize,
}

impl Data {
    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds an address.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        self.part(&octets(address))
    }

    /// Adds a port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    /// Adds a protocol.
    #[must_use]
    pub fn protocol(self, protocol: u8) -> Self {
        self.part(&[protocol])
    }

    /// Adds the address of a link.
    #[must_use]
    pub fn mac(self, mac: [u8; 6]) -> Self {
        self.part(&mac)
    }

    /// Adds the name of a link.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        let mut bytes = [0; 16];
        let length = name.len().min(15);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        self.part(&bytes)
    }

    fn part(mut self, part: &[u8]) -> Self {
        if self.parts == 1 {
            self.pad();
        }
        self.bytes.extend(part);
        self.parts += 1;
        if self.parts > 1 {
            self.pad();
        }
        self
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

/// An element of a set: which set, its key, what it leads to, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The family of its table.
    pub family: Family,
    /// Its set.
    pub set: &'static str,
    /// Its key.
    pub key: Data,
    /// The last one, in a set with ranges.
    pub last: Option<Data>,
    /// What it leads to, in a map.
    pub value: Option<Data>,
    /// The object that it leads to.
    pub object: Option<String>,
}

impl Change {
    /// Makes a table; `EEXIST` where it is there.
    pub fn table(&mut self, family: Family) {
        let flags = CREATE | EXCLUSIVE;
        let doing = "make our table of nftables";
        self.batch
            .add(doing, NEWTABLE, flags, &header(family), |body| {
                body.text(1, TABLE);
            });
    }

    /// Removes a table, with all that is in it.
    pub fn remove_table(&mut self, family: Family) {
        let doing = "remove our table of nftables";
        self.batch.add(doing, DELTABLE, 0, &header(family), |body| {
            body.text(1, TABLE);
        });
    }

    /// Makes a set or map.
    pub fn set(&mut self, family: Family, shape: &SetShape) {
        const MAP: u32 = 8;
        const OBJECT: u32 = 0x40;
        const INTERVAL: u32 = 4;
        const CONCAT: u32 = 0x80;
        self.sets += 1;
        let number = self.sets;
        let doing = format!("make the set {}", shape.name);
        let header = header(family);
        self.batch
            .add(doing, NEWSET, CREATE | EXCLUSIVE, &header, |body| {
                body.text(1, TABLE).text(2, shape.name);
                body.be32(
                    3,
                    match shape.value {
                        _ if shape.has_ranges => INTERVAL | CONCAT,
                        Value::None | Value::Counted => 0,
                        Value::Data(_) => MAP,
                        Value::Quota => OBJECT,
                    },
                );
                if shape.has_ranges {
                    body.nest(9, |description| {
                        description.nest(2, |fields| {
                            for part in shape.key {
                                fields.nest(1, |field| {
                                    field.be32(1, part.length());
                                });
                            }
                        });
                    });
                }
                body.be32(4, type_number(shape.key))
                    .be32(5, length(shape.key));
                match shape.value {
                    Value::Data(parts) => {
                        body.be32(6, type_number(parts)).be32(7, length(parts));
                    }
                    Value::Quota => {
                        body.be32(15, QUOTA);
                    }
                    Value::Counted => {
                        body.nest(17, |expression| {
                            expression.text(1, "counter");
                            expression.nest(2, |_| {});
                        });
                    }
                    Value::None => {}
                }
                body.be32(10, number);
                if shape.key == [Part::Name] {
                    // For nft(8), which else takes the name for a number.
                    body.bytes(13, &HOST_ORDER);
                }
            });
    }

    /// Makes a chain, on a hook or to be jumped to.
    pub fn chain(&mut self, family: Family, name: &str, hook: Option<Hook>) {
        let doing = format!("make the chain {name}");
        let header = header(family);
        self.batch
            .add(doing, NEWCHAIN, CREATE | EXCLUSIVE, &header, |body| {
                body.text(1, TABLE).text(3, name);
                if let Some(hook) = hook {
                    body.nest(4, |inner| {
                        inner.be32(1, hook.number).be32(2, hook.priority as u32);
                    });
                    body.text(7, hook.kind);
                }
            });
    }

    /// Adds a rule to a chain.
    pub fn rule(&mut self, family: Family, chain: &str, rule: Rule) {
        let doing = format!("add a rule to the chain {chain}");
        let header = header(family);
        self.batch
            .add(doing, NEWRULE, CREATE | APPEND, &header, |body| {
                body.text(1, TABLE).text(2, chain);
                body.nest(4, |list| {
                    for (name, expression) in rule.0 {
                        list.nest(1, |element| {
                            element.text(1, name).nest(2, |data| {
                                data.raw(&expression);
                            });
                        });
                    }
                });
            });
    }

    /// Adds an element to its set, with the name of its owner.
    pub fn element(&mut self, element: &Element, owner: &str) {
        let doing = format!("add {owner} to the set {}", element.set);
        let header = header(element.family);
        let flags = CREATE | EXCLUSIVE;
        self.batch.add(doing, NEWSETELEM, flags, &header, |body| {
            body.text(1, TABLE).text(2, element.set);
            body.nest(3, |list| {
                list.nest(1, |inner| {
                    data(inner, 1, &element.key.bytes);
                    if let Some(last) = &element.last {
                        data(inner, KEY_END, &last.bytes);
                    }
                    if let Some(value) = &element.value {
                        data(inner, 2, &value.bytes);
                    }
                    if let Some(object) = &element.object {
                        inner.text(9, object);
                    }
                    inner.bytes(6, &comment(owner));
                });
            });
        });
    }

    /// Removes an element, by its key, and in a set with ranges its last one.
    pub fn remove_element(
        &mut self,
        family: Family,
        set: &str,
        key: &[u8],
        last: Option<&[u8]>,
    ) {
        let doing = format!("remove an element of the set {set}");
        self.batch
            .add(doing, DELSETELEM, 0, &header(family), |body| {
                body.text(1, TABLE).text(2, set);
                body.nest(3, |list| {
                    list.nest(1, |inner| {
                        data(inner, 1, key);
                        if let Some(last) = last {
                            data(inner, KEY_END, last);
                        }
                    });
                });
            });
    }

    /// Removes one that was added.
    pub fn remove(&mut self, element: &Element) {
        let last = element.last.as_ref().map(Data::as_bytes);
        let key = element.key.as_bytes();
        self.remove_element(element.family, element.set, key, last);
    }

    /// Makes a quota of some bytes, which is over beyond them.
    pub fn quota(&mut self, family: Family, name: &str, bytes: u64) {
        const OVER: u32 = 1;
        let doing = format!("make the quota {name}");
        let header = header(family);
        self.batch
            .add(doing, NEWOBJ, CREATE | EXCLUSIVE, &header, |body| {
                body.text(1, TABLE).text(2, name).be32(3, QUOTA);
                body.nest(4, |quota| {
                    quota.be64(1, bytes).be32(2, OVER);
                });
            });
    }

    /// Removes a quota.
    pub fn remove_quota(&mut self, family: Family, name: &str) {
        let doing = format!("remove the quota {name}");
        self.batch.add(doing, DELOBJ, 0, &header(family), |body| {
            body.text(1, TABLE).text(2, name).be32(3, QUOTA);
        });
    }

    /// Whether nothing would be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.doing().len() == 1
    }

    /// Carries all of it out, or nothing.
    ///
    /// # Errors
    /// The first message that was refused, by what it does.
    pub fn commit(mut self, socket: &Socket) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.batch.acknowledge();
        let last = self.batch.doing().len() - 1;
        self.batch
            .add("end a change of nftables", END, 0, &[0, 0, 0, 10], |_| {});
        socket.exchange(&self.batch, last)
    }
}

const QUOTA: u32 = 2;
/// `NFTA_SET_ELEM_KEY_END`
const KEY_END: u16 = 10;
/// The byte order of a key, as nft(8) notes it: kind, length, value.
const HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

fn data(body: &mut Body, kind: u16, bytes: &[u8]) {
    body.nest(kind, |inner| {
        inner.bytes(1, bytes);
    });
}

/// A comment as nft(8) writes it: its kind, its length with its end, its text.
fn comment(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, text.len() as u8 + 1];
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// An element that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: Vec<u8>,
    /// The last one, in a set with ranges.
    pub last: Option<Vec<u8>>,
    /// Whose it is.
    pub owner: Option<String>,
    /// How many packets it has met, where it counts them.
    pub packets: Option<u64>,
}

/// The elements of a set; none where it is not there.
///
/// # Errors
/// What the kernel answers.
pub fn elements(socket: &Socket, family: Family, set: &str) -> Result<Vec<Found>> {
    let mut ask = Batch::default();
    let doing = format!("list the set {set}");
    ask.add(doing.clone(), GETSETELEM, DUMP, &header(family), |body| {
        body.text(1, TABLE).text(2, set);
    });
    match socket.list(&ask) {
        Ok(list) => Ok(list
            .iter()
            .flat_map(|body| found(&body[4.min(body.len())..]))
            .collect()),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(Error::new(doing, errno)),
    }
}

fn found(body: &[u8]) -> Vec<Found> {
    let list = wire::attribute(body, 3).unwrap_or_default();
    let element = |(_, element): (u16, &[u8])| {
        let key = wire::attribute(wire::attribute(element, 1)?, 1)?.to_vec();
        let last = wire::attribute(element, KEY_END)
            .and_then(|last| wire::attribute(last, 1))
            .map(<[u8]>::to_vec);
        let owner = wire::attribute(element, 6)
            .and_then(|comment| comment.get(2..))
            .map(wire::text);
        let packets = wire::attribute(element, 7)
            .and_then(|counter| wire::attribute(counter, 2))
            .and_then(|counter| wire::attribute(counter, 2))
            .and_then(|packets| Some(u64::from_be_bytes(packets.try_into().ok()?)));
        Some(Found {
            key,
            last,
            owner,
            packets,
        })
    };
    wire::attributes(list).filter_map(element).collect()
}

/// The names of the quotas of a table, and how many bytes each has seen.
///
/// # Errors
/// What the kernel answers.
pub fn quotas(socket: &Socket, family: Family) -> Result<Vec<(String, u64)>> {
    let mut ask = Batch::default();
    ask.add("list the quotas", GETOBJ, DUMP, &header(family), |body| {
        body.text(1, TABLE).be32(3, QUOTA);
    });
    let quota = |body: &Vec<u8>| {
        let body = body.get(4..)?;
        let used = wire::attribute(wire::attribute(body, 4)?, 4)?;
        Some((
            wire::text(wire::attribute(body, 2)?),
            u64::from_be_bytes(used.try_into().ok()?),
        ))
    };
    match socket.list(&ask) {
        Ok(list) => Ok(list.iter().filter_map(quota).collect()),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(Error::new("list the quotas", errno)),
    }
}

/// Whether our table of a family is there.
///
/// # Errors
/// What the kernel answers.
pub fn has_table(socket: &Socket, family: Family) -> Result<bool> {
    let mut ask = Batch::default();
    ask.add("look for our table", GETTABLE, 0, &header(family), |body| {
        body.text(1, TABLE);
    });
    ask.acknowledge();
    match socket.list(&ask) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::new("look for our table of nftables", errno)),
    }
}

/// The expressions of a rule, in their order.
#[derive(Debug, Default)]
pub struct Rule(Vec<(&'static str, Vec<u8>)>);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// This chain lets it pass.
    Accept,
    /// It is dropped.
    Drop,
    /// Another chain is asked first.
    Jump(&'a str),
    /// The chain that jumped here goes on.
    Return,
}

/// The first of the registers of four bytes.
pub const FIRST: u32 = 8;

/// Where the bytes of a packet are counted from.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Base {
    /// The frame.
    Link = 0,
    /// The IP header.
    Network = 1,
    /// The TCP or UDP header.
    Transport = 2,
}

/// What the kernel knows of a packet.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Meta {
    /// The protocol of the frame.
    Protocol = 0x1,
    /// The name of the link that it came by.
    InputName = 6,
    /// The name of the link that it leaves by.
    OutputName = 7,
    /// IPv4 or IPv6.
    Family = 15,
    /// The protocol over IP.
    Transport = 16,
}

impl Rule {
    fn add(mut self, name: &'static str, fill: impl FnOnce(&mut Body)) -> Self {
        let mut body = Body::default();
        fill(&mut body);
        self.0.push((name, body.into_bytes()));
        self
    }

    /// Loads something into a register.
    #[must_use]
    pub fn meta(self, key: Meta, register: u32) -> Self {
        self.add("meta", |body| {
            body.be32(1, register).be32(2, key as u32);
        })
    }

    /// Loads bytes of the packet into a register.
    #[must_use]
    pub fn load(self, base: Base, offset: u32, length: u32, register: u32) -> Self {
        self.add("payload", |body| {
            body.be32(1, register).be32(2, base as u32);
            body.be32(3, offset).be32(4, length);
        })
    }

    /// Writes two bytes of the TCP or UDP header, whose checksum is at `checksum` in it.
    #[must_use]
    pub fn store(self, offset: u32, value: &[u8; 2], checksum: u32) -> Self {
        const INTERNET: u32 = 1;
        self.add("immediate", |body| {
            body.be32(1, FIRST);
            data(body, 2, value);
        })
        .add("payload", |body| {
            body.be32(2, Base::Transport as u32);
            body.be32(3, offset).be32(4, 2).be32(5, FIRST);
            body.be32(6, INTERNET).be32(7, checksum);
        })
    }

    /// Goes on where a register has this.
    #[must_use]
    pub fn is(self, register: u32, value: &[u8]) -> Self {
        self.compare(register, 0, value)
    }

    fn compare(self, register: u32, operation: u32, value: &[u8]) -> Self {
        self.add("cmp", |body| {
            body.be32(1, register).be32(2, operation);
            data(body, 3, value);
        })
    }

    /// Goes on for IPv4 or IPv6.
    #[must_use]
    pub fn family(self, v4: bool) -> Self {
        let number = if v4 { 2 } else { 10 };
        self.meta(Meta::Family, FIRST).is(FIRST, &[number])
    }

    /// Goes on where the frame is of this protocol.
    #[must_use]
    pub fn ether_type(self, number: u16) -> Self {
        self.meta(Meta::Protocol, FIRST)
            .is(FIRST, &number.to_be_bytes())
    }

    /// Goes on where what is in the registers from the first on is in a set, or not.
    #[must_use]
    pub fn lookup(self, set: &str, is_in: bool) -> Self {
        self.add("lookup", |body| {
            body.text(1, set).be32(2, FIRST);
            if !is_in {
                body.be32(5, 1);
            }
        })
    }

    /// The same for a map; what it leads to is in the registers from the first on.
    #[must_use]
    pub fn map(self, map: &str) -> Self {
        self.add("lookup", |body| {
            body.text(1, map).be32(2, FIRST).be32(3, FIRST);
        })
    }

    /// Goes on where the address is one of this machine's.
    #[must_use]
    pub fn has_own_address(self) -> Self {
        const TYPE: u32 = 3;
        const DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        self.add("fib", |body| {
            body.be32(1, FIRST).be32(2, TYPE).be32(3, DESTINATION);
        })
        .is(FIRST, &LOCAL.to_ne_bytes())
    }

    /// Goes on where the connection has one of these bits: of its state, or status.
    #[must_use]
    pub fn connection(self, key: u32, bits: u32) -> Self {
        self.add("ct", |body| {
            body.be32(1, FIRST).be32(2, key);
        })
        .add("bitwise", |body| {
            body.be32(1, FIRST).be32(2, FIRST).be32(3, 4);
            data(body, 4, &bits.to_ne_bytes());
            data(body, 5, &[0; 4]);
        })
        .compare(FIRST, 1, &[0; 4])
    }

    /// Goes on where it was sent to a published port.
    #[must_use]
    pub fn published(self) -> Self {
        const STATUS: u32 = 2;
        const DESTINATION_CHANGED: u32 = 1 << 5;
        self.connection(STATUS, DESTINATION_CHANGED)
    }

    /// Goes on where it belongs to a connection that was let through.
    #[must_use]
    pub fn established(self) -> Self {
        const STATE: u32 = 0;
        // NF_CT_STATE_BIT of established and related.
        self.connection(STATE, 1 << 1 | 1 << 2)
    }

    /// Sends it to the address and port in the registers.
    #[must_use]
    pub fn redirect(self, v4: bool) -> Self {
        const DESTINATION: u32 = 1;
        let (family, port) = if v4 { (2, FIRST + 1) } else { (10, FIRST + 4) };
        self.add("nat", |body| {
            body.be32(1, DESTINATION).be32(2, family);
            body.be32(3, FIRST)
                .be32(4, FIRST)
                .be32(5, port)
                .be32(6, port);
        })
    }

    /// Has it come from the link that it leaves by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.add("masq", |_| {})
    }

    /// Counts it.
    #[must_use]
    pub fn count(self) -> Self {
        self.add("counter", |_| {})
    }

    /// Goes on where the object that a map leads to says so.
    #[must_use]
    pub fn object(self, map: &str) -> Self {
        self.add("objref", |body| {
            body.be32(3, FIRST).text(4, map);
        })
    }

    /// Tells the sender that it is forbidden.
    #[must_use]
    pub fn reject(self) -> Self {
        const ANY_FAMILY: u32 = 2;
        const FORBIDDEN: u8 = 3;
        self.add("reject", |body| {
            body.be32(1, ANY_FAMILY).u8(2, FORBIDDEN);
        })
    }

    /// Says what becomes of it.
    #[must_use]
    pub fn verdict(self, verdict: Verdict<'_>) -> Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3_i32, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.add("immediate", |body| {
            body.be32(1, 0).nest(2, |value| {
                value.nest(2, |inner| {
                    inner.be32(1, code as u32);
                    if let Some(chain) = chain {
                        inner.text(2, chain);
                    }
                });
            });
        })
    }
}
