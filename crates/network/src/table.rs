//! Our two tables of nftables: what they say of every network, once.
//!
//! A container, a published port or a quota is an element of a set or map; no rule is added
//! for it, and none is looked for when it ends. `inet warren` has NAT and who may talk to
//! whom; `bridge warren` sees the frames of each port before the bridge does.

use crate::nft::{
    Base, Change, FIRST, Family, Hook, Meta, Part, Rule, SetShape, Value, Verdict,
};

/// Links that are bridges of ours.
pub const BRIDGES: &str = "bridges";
/// A bridge and itself.
pub const SAME: &str = "same";
/// Bridges without a way out.
pub const INTERNAL: &str = "internal";
/// Addresses that leave with one of the host's.
pub const NAT: [&str; 2] = ["nat4", "nat6"];
/// Ports of one address of the host.
pub const PUBLISH: [&str; 2] = ["publish4", "publish6"];
/// Ports of every address.
pub const PUBLISH_ANY: [&str; 2] = ["any4", "any6"];
/// Addresses that reach only what they are allowed.
pub const LIMITED: [&str; 2] = ["limited4", "limited6"];
/// From where to where.
pub const ALLOWED: [&str; 2] = ["allowed4", "allowed6"];
/// From where to somewhere in a range.
pub const ALLOWED_RANGES: [&str; 2] = ["ranges4", "ranges6"];
/// Ports of bridges that belong to containers.
pub const PORTS: &str = "ports";
/// Ports that reach no other port.
pub const CLOSED: &str = "closed";
/// Which addresses each port may have.
pub const OWN: [&str; 2] = ["own4", "own6"];
/// The quota of each port.
pub const QUOTAS: &str = "quotas";

use Part::{Ether, Ip4, Ip6, Name, Port, Protocol};

const fn shape(name: &'static str, key: &'static [Part], value: Value) -> SetShape {
    SetShape {
        name,
        key,
        has_ranges: false,
        value,
    }
}

const fn ranges(name: &'static str, key: &'static [Part]) -> SetShape {
    SetShape {
        has_ranges: true,
        ..shape(name, key, Value::None)
    }
}

const INET_SETS: &[SetShape] = &[
    shape(BRIDGES, &[Name], Value::None),
    shape(SAME, &[Name, Name], Value::None),
    shape(INTERNAL, &[Name], Value::None),
    shape(NAT[0], &[Ip4], Value::None),
    shape(NAT[1], &[Ip6], Value::None),
    shape(
        PUBLISH[0],
        &[Protocol, Ip4, Port],
        Value::Data(&[Ip4, Port]),
    ),
    shape(
        PUBLISH[1],
        &[Protocol, Ip6, Port],
        Value::Data(&[Ip6, Port]),
    ),
    shape(PUBLISH_ANY[0], &[Protocol, Port], Value::Data(&[Ip4, Port])),
    shape(PUBLISH_ANY[1], &[Protocol, Port], Value::Data(&[Ip6, Port])),
    shape(LIMITED[0], &[Ip4], Value::Counted),
    shape(LIMITED[1], &[Ip6], Value::Counted),
    shape(ALLOWED[0], &[Ip4, Ip4, Protocol, Port], Value::None),
    shape(ALLOWED[1], &[Ip6, Ip6, Protocol, Port], Value::None),
    ranges(ALLOWED_RANGES[0], &[Ip4, Ip4, Protocol, Port]),
    ranges(ALLOWED_RANGES[1], &[Ip6, Ip6, Protocol, Port]),
];

const BRIDGE_SETS: &[SetShape] = &[
    shape(PORTS, &[Name], Value::None),
    shape(CLOSED, &[Name], Value::None),
    shape(OWN[0], &[Name, Ether, Ip4], Value::None),
    shape(OWN[1], &[Name, Ether, Ip6], Value::None),
    shape(QUOTAS, &[Name], Value::Quota),
];

/// The sets of a family whose elements have owners.
pub fn sets(family: Family) -> impl Iterator<Item = &'static str> {
    let sets = match family {
        Family::Inet => INET_SETS,
        Family::Bridge => BRIDGE_SETS,
    };
    sets.iter().map(|shape| shape.name)
}

/// Makes both tables, with all their sets, chains and rules.
pub fn make(change: &mut Change) {
    for (family, sets) in [(Family::Inet, INET_SETS), (Family::Bridge, BRIDGE_SETS)] {
        change.table(family);
        sets.iter().for_each(|shape| change.set(family, shape));
    }
    who_may_talk(change);
    nat(change);
    ports(change);
}

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

const FILTER: &str = "filter";
const DNAT: i32 = -100;
const SNAT: i32 = 100;

fn hook(kind: &'static str, number: u32, priority: i32) -> Option<Hook> {
    Some(Hook {
        kind,
        number,
        priority,
    })
}

/// Offsets of source and destination in an IP header, and the length of an address.
fn places(v4: bool) -> (u32, u32, u32) {
    if v4 { (12, 16, 4) } else { (8, 24, 16) }
}

fn from_ours() -> Rule {
    Rule::default()
        .meta(Meta::InputName, FIRST)
        .lookup(BRIDGES, true)
}

fn to_ours() -> Rule {
    Rule::default()
        .meta(Meta::OutputName, FIRST)
        .lookup(BRIDGES, true)
}

fn within_one() -> Rule {
    Rule::default()
        .meta(Meta::InputName, FIRST)
        .meta(Meta::OutputName, FIRST + 4)
        .lookup(SAME, true)
}

fn who_may_talk(change: &mut Change) {
    let inet = Family::Inet;
    // The host's loopback is routable on our bridges, for the sake of published ports:
    // nothing that says so on the wire may come from there.
    change.chain(inet, "raw", hook(FILTER, PREROUTING, -300));
    let to_loopback = Rule::default()
        .family(true)
        .load(Base::Network, 16, 1, FIRST);
    let to_loopback = to_loopback.is(FIRST, &[127]).meta(Meta::InputName, FIRST);
    let to_loopback = to_loopback.lookup(BRIDGES, true).count();
    change.rule(inet, "raw", to_loopback.verdict(Verdict::Drop));

    change.chain(inet, "allowed", None);
    for v4 in [true, false] {
        allowed(change, v4);
    }

    change.chain(inet, "from", None);
    let mut add = |rule: Rule| change.rule(inet, "from", rule);
    let internal = |meta| {
        Rule::default()
            .meta(meta, FIRST)
            .lookup(INTERNAL, true)
            .count()
    };
    add(internal(Meta::InputName).verdict(Verdict::Drop));
    add(Rule::default().established().verdict(Verdict::Accept));
    add(Rule::default().published().verdict(Verdict::Accept));
    add(to_ours().count().verdict(Verdict::Drop));

    change.chain(inet, "to", None);
    let mut add = |rule: Rule| change.rule(inet, "to", rule);
    add(internal(Meta::OutputName).verdict(Verdict::Drop));
    add(Rule::default().established().verdict(Verdict::Accept));
    add(Rule::default().published().verdict(Verdict::Accept));
    add(Rule::default().count().verdict(Verdict::Drop));

    change.chain(inet, "forward", hook(FILTER, FORWARD, 0));
    let mut add = |rule: Rule| change.rule(inet, "forward", rule);
    add(from_ours().verdict(Verdict::Jump("allowed")));
    add(within_one().verdict(Verdict::Accept));
    add(from_ours().verdict(Verdict::Jump("from")));
    // What comes from ours and leaves the machine is not asked again.
    add(to_ours().verdict(Verdict::Jump("to")));

    change.chain(inet, "input", hook(FILTER, INPUT, 0));
    change.rule(inet, "input", from_ours().verdict(Verdict::Jump("allowed")));
}

/// Refuses what is not on the list of an address that has one.
fn allowed(change: &mut Change, v4: bool) {
    let (source, destination, length) = places(v4);
    let inet = Family::Inet;
    let n = usize::from(!v4);
    let words = length / 4;
    change.rule(
        inet,
        "allowed",
        Rule::default()
            .family(v4)
            .established()
            .verdict(Verdict::Return),
    );
    if !v4 {
        // Without them no neighbour, the host's bridge neither, can be reached at all.
        for number in [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] {
            let rule = is_icmpv6(Rule::default().family(false), number);
            change.rule(inet, "allowed", rule.verdict(Verdict::Return));
        }
    }
    for set in [ALLOWED[n], ALLOWED_RANGES[n]] {
        let place = Rule::default()
            .family(v4)
            .load(Base::Network, source, length, FIRST)
            .load(Base::Network, destination, length, FIRST + words)
            .meta(Meta::Transport, FIRST + 2 * words)
            .load(Base::Transport, 2, 2, FIRST + 2 * words + 1);
        let place = place.lookup(set, true).verdict(Verdict::Return);
        change.rule(inet, "allowed", place);
    }
    let refused = Rule::default()
        .family(v4)
        .load(Base::Network, source, length, FIRST)
        .lookup(LIMITED[n], true);
    change.rule(inet, "allowed", refused.reject());
}

fn nat(change: &mut Change) {
    let inet = Family::Inet;
    for (chain, number) in [("prerouting", PREROUTING), ("output", OUTPUT)] {
        change.chain(inet, chain, hook("nat", number, DNAT));
        for v4 in [true, false] {
            let n = usize::from(!v4);
            let (_, destination, length) = places(v4);
            let one = Rule::default()
                .family(v4)
                .meta(Meta::Transport, FIRST)
                .load(Base::Network, destination, length, FIRST + 1)
                .load(Base::Transport, 2, 2, FIRST + 1 + length / 4)
                .map(PUBLISH[n])
                .redirect(v4);
            change.rule(inet, chain, one);
            let any = Rule::default()
                .family(v4)
                .has_own_address()
                .meta(Meta::Transport, FIRST)
                .load(Base::Transport, 2, 2, FIRST + 1)
                .map(PUBLISH_ANY[n])
                .redirect(v4);
            change.rule(inet, chain, any);
        }
    }
    change.chain(inet, "postrouting", hook("nat", POSTROUTING, SNAT));
    let mut add = |rule: Rule| change.rule(inet, "postrouting", rule);
    // An answer to the host's loopback would not leave the container.
    let loopback = Rule::default()
        .family(true)
        .load(Base::Network, 12, 1, FIRST);
    let loopback = loopback.is(FIRST, &[127]).meta(Meta::OutputName, FIRST);
    add(loopback.lookup(BRIDGES, true).masquerade());
    // Who reaches a neighbour by a port of the host would be answered by a stranger.
    add(within_one().published().masquerade());
    for v4 in [true, false] {
        let (source, _, length) = places(v4);
        let leaves =
            Rule::default()
                .family(v4)
                .load(Base::Network, source, length, FIRST);
        let leaves = leaves.lookup(NAT[usize::from(!v4)], true);
        let leaves = leaves.meta(Meta::OutputName, FIRST).lookup(BRIDGES, false);
        add(leaves.masquerade());
    }
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

fn ports(change: &mut Change) {
    let bridge = Family::Bridge;
    // The first of all on a bridge.
    change.chain(bridge, "prerouting", hook(FILTER, PREROUTING, -350));
    let mut add = |rule: Rule| change.rule(bridge, "prerouting", rule);
    add(quota(Meta::InputName));
    let other = Rule::default()
        .meta(Meta::InputName, FIRST)
        .lookup(PORTS, false);
    add(other.verdict(Verdict::Accept));
    add(advertises(134).verdict(Verdict::Drop));
    add(advertises(137).verdict(Verdict::Drop));
    // Who is asked for, which a neighbour advertisement tells everybody.
    add(own(
        advertises(NEIGHBOUR_ADVERTISEMENT),
        Base::Transport,
        8,
        false,
    )
    .count()
    .verdict(Verdict::Drop));
    let frame = |number| Rule::default().ether_type(number);
    add(own(frame(IPV4), Base::Network, 12, true).verdict(Verdict::Accept));
    add(own(frame(IPV6), Base::Network, 8, false).verdict(Verdict::Accept));
    // Of a question or answer about addresses, the sender twice: of the frame, and in it.
    let arp = own(frame(ARP), Base::Network, 14, true)
        .meta(Meta::InputName, FIRST)
        .load(Base::Network, 8, 6, FIRST + 4)
        .load(Base::Network, 14, 4, FIRST + 6)
        .lookup(OWN[0], true);
    add(arp.verdict(Verdict::Accept));
    add(Rule::default().count().verdict(Verdict::Drop));

    change.chain(bridge, "forward", hook(FILTER, FORWARD, -350));
    for meta in [Meta::InputName, Meta::OutputName] {
        let closed = Rule::default()
            .meta(meta, FIRST)
            .lookup(CLOSED, true)
            .count();
        change.rule(bridge, "forward", closed.verdict(Verdict::Drop));
    }

    change.chain(bridge, "postrouting", hook(FILTER, POSTROUTING, 350));
    change.rule(bridge, "postrouting", quota(Meta::OutputName));
}

/// Drops what is over the quota of a port.
fn quota(meta: Meta) -> Rule {
    Rule::default()
        .meta(meta, FIRST)
        .object(QUOTAS)
        .count()
        .verdict(Verdict::Drop)
}

/// An ICMPv6 message of this type.
fn advertises(number: u8) -> Rule {
    is_icmpv6(Rule::default().ether_type(IPV6), number)
}

/// Goes on for such a message; what went before knows that it is IPv6.
fn is_icmpv6(rule: Rule, number: u8) -> Rule {
    const ICMPV6: u8 = 58;
    rule.meta(Meta::Transport, FIRST)
        .is(FIRST, &[ICMPV6])
        .load(Base::Transport, 0, 1, FIRST)
        .is(FIRST, &[number])
}

/// Goes on where port, sender of the frame and the address at `offset` belong together;
/// for an advertisement, where they do not.
fn own(rule: Rule, base: Base, offset: u32, v4: bool) -> Rule {
    let length = if v4 { 4 } else { 16 };
    let is_in = matches!(base, Base::Network);
    rule.meta(Meta::InputName, FIRST)
        .load(Base::Link, 6, 6, FIRST + 4)
        .load(base, offset, length, FIRST + 6)
        .lookup(OWN[usize::from(!v4)], is_in)
}
