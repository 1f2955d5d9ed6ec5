//! The packets that are read and made here: what opens a TCP connection, echo requests,
//! and the answers that the kernel does not give.
//!
//! All others are the kernel's: it ends the TCP connections of the inside, puts fragments
//! of datagrams together and checks their sums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use warren_sys::BpfInstruction;

/// Numbers of protocols, as an IP header has them.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// Lengths of headers without options.
const IP4_HEADER: usize = 20;
const IP6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;

/// Where a TCP header has its flags, which of them tell a packet that opens a connection
/// from others, and what they are then.
const TCP_FLAGS: usize = 13;
const FIN_SYN_RST_ACK: u8 = 0x17;
const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;

/// Types of ICMP messages.
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO6_REQUEST: u8 = 128;
const ECHO6_REPLY: u8 = 129;

/// A packet that is not left to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It opens a connection.
    Open(Open),
    /// It wants an echo.
    Echo(Echo<'a>),
}

/// The begin of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who opens it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    sequence: u32,
}

/// An echo request or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Who sends it.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// Which of the sender's programs.
    pub identifier: u16,
    /// Which of its requests.
    pub sequence: u16,
    /// What is to come back.
    pub data: &'a [u8],
}

/// Why something was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No way to the network: `ENETUNREACH`.
    Network,
    /// Nobody there: `EHOSTUNREACH`.
    Host,
    /// Nobody listens there: `ECONNREFUSED`.
    Port,
    /// It is not allowed.
    Forbidden,
}

/// The packet, if it is a whole one of those.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let ip = Ip::parse(bytes)?;
    match ip.protocol {
        TCP => ip.open().map(Packet::Open),
        ICMP if ip.from.is_ipv4() => ip.echo(ECHO_REQUEST).map(Packet::Echo),
        ICMP6 if ip.from.is_ipv6() => ip.echo(ECHO6_REQUEST).map(Packet::Echo),
        _ => None,
    }
}

/// An IP packet that is no fragment.
struct Ip<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    body: &'a [u8],
}

impl<'a> Ip<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse4(bytes),
            6 => Self::parse6(bytes),
            _ => None,
        }
    }

    fn parse4(bytes: &'a [u8]) -> Option<Self> {
        // Neither is more to come nor does it begin elsewhere.
        const FRAGMENT: u16 = 0x3fff;
        let header = bytes.first_chunk::<IP4_HEADER>()?;
        let length = usize::from(header[0] & 0xf) * 4;
        let whole = usize::from(u16_at(header, 2)?);
        if length < IP4_HEADER || u16_at(header, 6)? & FRAGMENT != 0 {
            return None;
        }
        let address =
            |at: usize| Some(Ipv4Addr::from(*header.get(at..)?.first_chunk::<4>()?));
        Some(Self {
            from: address(12)?.into(),
            to: address(16)?.into(),
            protocol: header[9],
            body: bytes.get(length..whole)?,
        })
    }

    fn parse6(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<IP6_HEADER>()?;
        let whole = IP6_HEADER + usize::from(u16_at(header, 4)?);
        let address =
            |at: usize| Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?));
        Some(Self {
            from: address(8)?.into(),
            to: address(24)?.into(),
            // Extension headers are not looked behind: nobody opens anything with them.
            protocol: header[6],
            body: bytes.get(IP6_HEADER..whole)?,
        })
    }

    fn open(&self) -> Option<Open> {
        let header = self.body.first_chunk::<TCP_HEADER>()?;
        if header[TCP_FLAGS] & FIN_SYN_RST_ACK != SYN {
            return None;
        }
        Some(Open {
            from: SocketAddr::new(self.from, u16_at(header, 0)?),
            to: SocketAddr::new(self.to, u16_at(header, 2)?),
            sequence: u32::from_be_bytes(*header.get(4..)?.first_chunk()?),
        })
    }

    fn echo(&self, kind: u8) -> Option<Echo<'a>> {
        let (header, data) = self.body.split_first_chunk::<ICMP_HEADER>()?;
        if header[0] != kind {
            return None;
        }
        Some(Echo {
            from: self.from,
            to: self.to,
            identifier: u16_at(header, 4)?,
            sequence: u16_at(header, 6)?,
            data,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes the sum of a TCP packet, which its sender may have left to a card.
pub fn finish_tcp(packet: &mut [u8]) {
    const SUM: usize = 16;
    let Some(ip) = Ip::parse(packet) else { return };
    let (from, to, length) = (ip.from, ip.to, ip.body.len());
    if length < TCP_HEADER {
        return;
    }
    let start = match from {
        IpAddr::V4(_) => usize::from(packet[0] & 0xf) * 4,
        IpAddr::V6(_) => IP6_HEADER,
    };
    let body = &mut packet[start..start + length];
    body[SUM..SUM + 2].fill(0);
    let sum = sum_with_pseudo_header(from, to, TCP, body);
    body[SUM..SUM + 2].copy_from_slice(&sum.to_be_bytes());
}

impl Open {
    /// The answer of a port on which nobody listens.
    #[must_use]
    pub fn reset(&self) -> Vec<u8> {
        let mut header = [0; TCP_HEADER];
        header[..2].copy_from_slice(&self.to.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.from.port().to_be_bytes());
        let acknowledged = self.sequence.wrapping_add(1);
        header[8..12].copy_from_slice(&acknowledged.to_be_bytes());
        header[12] = (TCP_HEADER as u8 / 4) << 4;
        header[TCP_FLAGS] = RST_ACK;
        let mut packet = ip(self.to.ip(), self.from.ip(), TCP, &[&header]);
        finish_tcp(&mut packet);
        packet
    }
}

impl Echo<'_> {
    /// The packet of a reply.
    #[must_use]
    pub fn reply(&self) -> Vec<u8> {
        let kind = match self.from {
            IpAddr::V4(_) => ECHO_REPLY,
            IpAddr::V6(_) => ECHO6_REPLY,
        };
        icmp(self.from, self.to, kind, 0, self.words(), self.data)
    }

    /// The message of the request, without an IP header: a ping socket fills in its sum
    /// and its own identifier.
    #[must_use]
    pub fn request_message(&self) -> Vec<u8> {
        let kind = match self.to {
            IpAddr::V4(_) => ECHO_REQUEST,
            IpAddr::V6(_) => ECHO6_REQUEST,
        };
        let words = self.words();
        let header = [kind, 0, 0, 0, words[0], words[1], words[2], words[3]];
        [&header[..], self.data].concat()
    }

    fn words(&self) -> [u8; 4] {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        [a, b, c, d]
    }
}

/// What a ping socket has received: the sequence number and data of a reply.
#[must_use]
pub fn echo_of_message(message: &[u8]) -> Option<(u16, &[u8])> {
    let (header, data) = message.split_first_chunk::<ICMP_HEADER>()?;
    matches!(header[0], ECHO_REPLY | ECHO6_REPLY)
        .then_some(())
        .and(u16_at(header, 6).map(|sequence| (sequence, data)))
}

/// Tells the sender of a packet that it was not delivered; nothing where `packet` is none.
#[must_use]
pub fn unreachable(packet: &[u8], why: Unreachable) -> Option<Vec<u8>> {
    // More than enough for its headers, as far as the receiver looks.
    const QUOTED: usize = 128;
    let ip = Ip::parse(packet)?;
    let (kind, code) = match (ip.from, why) {
        (IpAddr::V4(_), Unreachable::Network) => (3, 0),
        (IpAddr::V4(_), Unreachable::Host) => (3, 1),
        (IpAddr::V4(_), Unreachable::Port) => (3, 3),
        (IpAddr::V4(_), Unreachable::Forbidden) => (3, 13),
        (IpAddr::V6(_), Unreachable::Network) => (1, 0),
        (IpAddr::V6(_), Unreachable::Host) => (1, 3),
        (IpAddr::V6(_), Unreachable::Port) => (1, 4),
        (IpAddr::V6(_), Unreachable::Forbidden) => (1, 1),
    };
    let quoted = &packet[..packet.len().min(QUOTED)];
    Some(icmp(ip.to, ip.from, kind, code, [0; 4], quoted))
}

/// A UDP datagram with an IP header; `None` where it would be longer than one can be.
#[must_use]
pub fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    const SUM: usize = 6;
    let length = u16::try_from(UDP_HEADER + data.len()).ok()?;
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let mut packet = ip(from.ip(), to.ip(), UDP, &[&header, data]);
    let start = packet.len() - usize::from(length);
    // No sum at all is written as 0; a sum that is 0 as its other form.
    let sum = match sum_with_pseudo_header(from.ip(), to.ip(), UDP, &packet[start..]) {
        0 => u16::MAX,
        sum => sum,
    };
    packet[start + SUM..start + SUM + 2].copy_from_slice(&sum.to_be_bytes());
    u16::try_from(packet.len()).is_ok().then_some(packet)
}

fn icmp(
    from: IpAddr,
    to: IpAddr,
    kind: u8,
    code: u8,
    words: [u8; 4],
    data: &[u8],
) -> Vec<u8> {
    const SUM: usize = 2;
    let [a, b, c, d] = words;
    let header = [kind, code, 0, 0, a, b, c, d];
    let protocol = if from.is_ipv4() { ICMP } else { ICMP6 };
    let mut packet = ip(from, to, protocol, &[&header, data]);
    let start = packet.len() - header.len() - data.len();
    let sum = match from {
        IpAddr::V4(_) => folded(sum(&packet[start..])),
        IpAddr::V6(_) => sum_with_pseudo_header(from, to, ICMP6, &packet[start..]),
    };
    packet[start + SUM..start + SUM + 2].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An IP packet. Both addresses are of one family.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
    const HOPS: u8 = 64;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut packet = Vec::with_capacity(IP6_HEADER + length);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // The kernel writes its sum, and an identification.
            let whole = ((IP4_HEADER + length) as u16).to_be_bytes();
            packet.extend([
                0x45, 0, whole[0], whole[1], 0, 0, 0, 0, HOPS, protocol, 0, 0,
            ]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (from, to) => {
            let length = (length as u16).to_be_bytes();
            packet.extend([0x60, 0, 0, 0, length[0], length[1], protocol, HOPS]);
            packet.extend(octets6(from));
            packet.extend(octets6(to));
        }
    }
    parts.iter().for_each(|part| packet.extend(*part));
    packet
}

fn octets6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The sum that TCP, UDP and ICMPv6 have: over addresses and length too.
fn sum_with_pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> u16 {
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum(&from.octets()) + sum(&to.octets()),
        (from, to) => sum(&octets6(from)) + sum(&octets6(to)),
    };
    folded(addresses + u64::from(protocol) + body.len() as u64 + sum(body))
}

/// The sum of all pairs of bytes: RFC 1071.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let pairs: u64 = pairs
        .iter()
        .map(|pair| u64::from(u16::from_be_bytes(*pair)))
        .sum();
    pairs + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Passes what [`parse`] finds something in: the program of a packet socket, which sees a
/// packet from its IP header on.
#[must_use]
pub fn filter() -> Vec<BpfInstruction> {
    // linux/filter.h
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE_BEHIND: u16 = 0x50;
    const LOAD_LENGTH_OF_HEADER: u16 = 0xb1;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const IF_BITS: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const ACCEPT: u32 = 0xffff;
    const FLAGS: u32 = TCP_FLAGS as u32;
    const BODY6: u32 = IP6_HEADER as u32;
    // Operation, instructions to skip where a comparison holds and where not, operand.
    const PROGRAM: [(u16, u8, u8, u32); 25] = [
        (LOAD_BYTE, 0, 0, 0),
        (AND, 0, 0, 0xf0),
        (IF_EQUAL, 0, 11, 0x40),
        // IPv4, and no fragment but the first.
        (LOAD_HALF, 0, 0, 6),
        (IF_BITS, 19, 0, 0x1fff),
        (LOAD_LENGTH_OF_HEADER, 0, 0, 0),
        (LOAD_BYTE, 0, 0, 9),
        (IF_EQUAL, 0, 3, TCP as u32),
        (LOAD_BYTE_BEHIND, 0, 0, FLAGS),
        (AND, 0, 0, FIN_SYN_RST_ACK as u32),
        (IF_EQUAL, 12, 13, SYN as u32),
        (IF_EQUAL, 0, 12, ICMP as u32),
        (LOAD_BYTE_BEHIND, 0, 0, 0),
        (IF_EQUAL, 9, 10, ECHO_REQUEST as u32),
        // IPv6.
        (IF_EQUAL, 0, 9, 0x60),
        (LOAD_BYTE, 0, 0, 6),
        (IF_EQUAL, 0, 3, TCP as u32),
        (LOAD_BYTE, 0, 0, BODY6 + FLAGS),
        (AND, 0, 0, FIN_SYN_RST_ACK as u32),
        (IF_EQUAL, 3, 4, SYN as u32),
        (IF_EQUAL, 0, 3, ICMP6 as u32),
        (LOAD_BYTE, 0, 0, BODY6),
        (IF_EQUAL, 0, 1, ECHO6_REQUEST as u32),
        (RETURN, 0, 0, ACCEPT),
        (RETURN, 0, 0, 0),
    ];
    let instruction = |(code, jump_true, jump_false, k)| BpfInstruction {
        code,
        jump_true,
        jump_false,
        k,
    };
    PROGRAM.map(instruction).to_vec()
}

#[cfg(test)]
mod tests;
