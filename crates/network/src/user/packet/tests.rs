use super::*;

fn v4(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 2, last])
}

fn v6(last: u16) -> IpAddr {
    IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])
}

fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Vec<u8> {
    let mut header = [0; TCP_HEADER];
    header[..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    header[12] = 0x50;
    header[TCP_FLAGS] = flags;
    ip(from.ip(), to.ip(), TCP, &[&header])
}

fn pairs() -> [(IpAddr, IpAddr); 2] {
    [(v4(1), v4(2)), (v6(1), v6(2))]
}

/// What the kernel does with a packet: the sum over all of it is then 0.
fn is_summed(packet: &[u8], protocol: u8) -> bool {
    let ip = Ip::parse(packet).expect("a packet");
    match protocol {
        ICMP => folded(sum(ip.body)) == 0,
        _ => sum_with_pseudo_header(ip.from, ip.to, protocol, ip.body) == 0,
    }
}

#[test]
fn what_opens_a_connection_is_found() {
    for (from, to) in pairs() {
        let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, 443));
        let packet = tcp(from, to, SYN);
        let Some(Packet::Open(open)) = parse(&packet) else {
            panic!("{packet:?}");
        };
        assert_eq!((open.from, open.to), (from, to));
        for other in [0x12, 0x10, 0x04, 0x03, 0x00] {
            assert_eq!(parse(&tcp(from, to, other)), None, "{other:x}");
        }
    }
}

#[test]
fn a_refusal_acknowledges_what_it_refuses() {
    for (from, to) in pairs() {
        let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, 443));
        let packet = tcp(from, to, SYN);
        let Some(Packet::Open(open)) = parse(&packet) else {
            panic!("{packet:?}");
        };
        let reset = open.reset();
        assert!(is_summed(&reset, TCP));
        let ip = Ip::parse(&reset).expect("a packet");
        assert_eq!((ip.from, ip.to), (to.ip(), from.ip()));
        assert_eq!(ip.body[..4], [1, 187, 15, 160]);
        assert_eq!(ip.body[8..12], [0; 4], "the sequence wraps around");
        assert_eq!(ip.body[TCP_FLAGS], RST_ACK);
    }
}

#[test]
fn a_sum_left_to_a_card_is_written() {
    for (from, to) in pairs() {
        let mut packet = tcp(SocketAddr::new(from, 1), SocketAddr::new(to, 2), SYN);
        assert!(!is_summed(&packet, TCP));
        finish_tcp(&mut packet);
        assert!(is_summed(&packet, TCP));
    }
}

#[test]
fn an_echo_comes_back_to_who_asked() {
    for (from, to) in pairs() {
        let kind = if from.is_ipv4() {
            ECHO_REQUEST
        } else {
            ECHO6_REQUEST
        };
        let packet = icmp(from, to, kind, 0, [1, 2, 0, 7], b"odd");
        let Some(Packet::Echo(echo)) = parse(&packet) else {
            panic!("{packet:?}");
        };
        assert_eq!((echo.from, echo.to), (from, to));
        assert_eq!(
            (echo.identifier, echo.sequence, echo.data),
            (0x102, 7, &b"odd"[..])
        );
        let back = Echo {
            from: to,
            to: from,
            ..echo
        }
        .reply();
        let protocol = if from.is_ipv4() { ICMP } else { ICMP6 };
        assert!(is_summed(&back, protocol));
        let message = Ip::parse(&back).expect("a packet");
        assert_eq!((message.from, message.to), (to, from));
        assert_eq!(echo_of_message(message.body), Some((7, &b"odd"[..])));
        assert_eq!(echo_of_message(&echo.request_message()), None);
    }
}

#[test]
fn a_datagram_has_its_sum_and_no_more_than_its_length() {
    for (from, to) in pairs() {
        let (from, to) = (SocketAddr::new(from, 53), SocketAddr::new(to, 4000));
        for data in [&b""[..], b"x", b"even", &[0xff; 1473]] {
            let packet = datagram(from, to, data).expect("it is short enough");
            assert!(is_summed(&packet, UDP));
            let ip = Ip::parse(&packet).expect("a packet");
            assert_eq!(ip.protocol, UDP);
            assert_eq!(&ip.body[UDP_HEADER..], data);
        }
        assert_eq!(datagram(from, to, &[0; 65_530]), None);
    }
}

#[test]
fn what_is_unreachable_is_told_to_its_sender() {
    for (from, to) in pairs() {
        let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, 443));
        let packet = tcp(from, to, SYN);
        for why in [
            Unreachable::Network,
            Unreachable::Host,
            Unreachable::Port,
            Unreachable::Forbidden,
        ] {
            let told = unreachable(&packet, why).expect("it is a packet");
            let ip = Ip::parse(&told).expect("a packet");
            assert_eq!((ip.from, ip.to), (to.ip(), from.ip()));
            assert_eq!(ip.body[ICMP_HEADER..], packet);
            assert!(is_summed(&told, ip.protocol));
        }
    }
}

/// The kernel runs the program for us, in front of a socket of datagrams.
#[test]
fn the_filter_is_one_that_jumps_within_itself() {
    let program = filter();
    for (place, instruction) in program.iter().enumerate() {
        let furthest = instruction.jump_true.max(instruction.jump_false);
        assert!(place + 1 + usize::from(furthest) < program.len() || furthest == 0);
    }
}

#[test]
fn the_filter_passes_what_is_parsed() {
    for (from, to) in pairs() {
        let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, 443));
        let kind = if from.is_ipv4() {
            ECHO_REQUEST
        } else {
            ECHO6_REQUEST
        };
        assert!(passes(&tcp(from, to, SYN)));
        assert!(!passes(&tcp(from, to, 0x12)));
        assert!(passes(&icmp(from.ip(), to.ip(), kind, 0, [0; 4], b"")));
        assert!(!passes(&icmp(from.ip(), to.ip(), 3, 0, [0; 4], b"")));
        assert!(!passes(&datagram(from, to, b"word").expect("it is short")));
    }
    assert!(!passes(&[0; 64]));
}

/// What the filter says of a packet.
fn passes(packet: &[u8]) -> bool {
    let byte = |at: usize| packet.get(at).copied().map(u32::from);
    let (mut place, mut value, mut header) = (0, 0, 0);
    let program = filter();
    loop {
        let BpfInstruction {
            code,
            jump_true,
            jump_false,
            k,
        } = program[place];
        let at = k as usize;
        place += 1;
        let loaded = match code {
            0x30 => byte(at),
            0x28 => byte(at)
                .zip(byte(at + 1))
                .map(|(high, low)| high << 8 | low),
            0x50 => byte(at + header),
            0xb1 => {
                header = (packet[at] & 0xf) as usize * 4;
                Some(value)
            }
            0x54 => Some(value & k),
            0x15 | 0x45 => {
                let holds = if code == 0x15 {
                    value == k
                } else {
                    value & k != 0
                };
                place += usize::from(if holds { jump_true } else { jump_false });
                Some(value)
            }
            0x06 => return k != 0,
            _ => panic!("{code:x}"),
        };
        // The kernel ends a program that reads behind the packet.
        let Some(loaded) = loaded else { return false };
        value = loaded;
    }
}

/// 100,000 packets: random ones, and good ones with some bytes changed or cut off.
#[test]
fn no_packet_brings_the_parser_down() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (from, to) = (SocketAddr::new(v4(1), 4000), SocketAddr::new(v6(2), 443));
    let good = [
        tcp(from, SocketAddr::new(v4(2), 80), SYN),
        tcp(SocketAddr::new(v6(1), 4000), to, SYN),
        icmp(v4(1), v4(2), ECHO_REQUEST, 0, [0; 4], &[7; 56]),
        icmp(v6(1), v6(2), ECHO6_REQUEST, 0, [0; 4], &[7; 56]),
    ];
    let mut understood = 0;
    for _ in 0..100_000 {
        let mut packet = match random.below(5) {
            4 => (0..random.below(100))
                .map(|_| random.next() as u8)
                .collect(),
            which => good[which].clone(),
        };
        for _ in 0..random.below(4) {
            let place = random.below(packet.len().max(1));
            if let Some(byte) = packet.get_mut(place) {
                *byte = random.next() as u8;
            }
        }
        packet.truncate(random.below(packet.len() * 2 + 1));
        match parse(&packet) {
            Some(Packet::Open(open)) => drop(open.reset()),
            Some(Packet::Echo(echo)) => {
                assert!(echo.data.len() <= packet.len());
                drop(echo.reply());
            }
            None => continue,
        }
        understood += 1;
        let told = unreachable(&packet, Unreachable::Host).expect("it was parsed");
        assert!(told.len() <= 256);
        finish_tcp(&mut packet);
    }
    assert!(understood > 10_000, "{understood}");
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }
}
