//! The rules of the router's namespace: nftables(8).
//!
//! ```text
//! table inet warren { chain in { type filter hook prerouting priority mangle
//!     iif eth0 tcp flags & (fin|syn|rst|ack) == syn drop
//!     iif eth0 icmp type echo-request drop
//!     iif eth0 icmpv6 type echo-request drop
//!     meta l4proto tcp tproxy to :7
//!     meta l4proto udp tproxy to :7
//! } }
//! ```

use super::router::{LINK, LISTENER};
use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::wire::{Batch, Body, CREATE};

const TABLE: &str = "warren";
const CHAIN: &str = "in";

/// linux/netfilter/nfnetlink.h and nf_tables.h.
const INET: u8 = 1;
const SUBSYSTEM: u16 = 10;
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const NEW_RULE: u16 = NEW_TABLE | 6;
const APPEND: u16 = 0x800;
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;

/// Loads them into the caller's network namespace, in one batch.
///
/// # Errors
/// What the kernel refuses: `ENOENT` where it has no `tproxy`.
pub fn load() -> Result<()> {
    let mut batch = Batch::default();
    let whole = [0, 0, 0, SUBSYSTEM as u8];
    batch.add("load the router's rules", BEGIN, 0, &whole, |_| {});
    let header = [INET, 0, 0, 0];
    batch.add(
        "make the router's table",
        NEW_TABLE,
        CREATE,
        &header,
        |body| {
            body.text(1, TABLE);
        },
    );
    batch.add("make the router's chain", NEW_CHAIN, CREATE, &header, chain);
    for rule in rules() {
        let flags = CREATE | APPEND;
        batch.add(
            "make a rule of the router",
            NEW_RULE,
            flags,
            &header,
            |body| {
                body.text(1, TABLE).text(2, CHAIN);
                body.nest(4, |list| rule.iter().for_each(|one| one.add(list)));
            },
        );
    }
    // The last message that the kernel answers by itself.
    let last = batch.doing().len() - 1;
    batch.acknowledge();
    batch.add("load the router's rules", END, 0, &whole, |_| {});
    Socket::netfilter()?.exchange(&batch, last).map_err(hint)
}

fn hint(error: Error) -> Error {
    error.hint(
        "`--net user` needs nf_tables with tproxy: CONFIG_NFT_TPROXY, the module nft_tproxy",
    )
}

fn chain(body: &mut Body) {
    const MANGLE: i32 = -150;
    const PREROUTING: u32 = 0;
    body.text(1, TABLE).text(3, CHAIN);
    body.nest(4, |hook| {
        hook.be32(1, PREROUTING).be32(2, MANGLE as u32);
    });
    body.text(7, "filter");
}

/// An expression of a rule.
#[derive(Clone, Copy)]
enum Expression {
    /// A property of the packet is this.
    Meta(u32, u32),
    /// The protocol is this one.
    Protocol(u8),
    /// The byte at this place of the transport's header, under a mask, is this.
    Byte {
        at: u32,
        mask: u8,
        is: u8,
    },
    Drop,
    Tproxy,
}

fn rules() -> [Vec<Expression>; 5] {
    use Expression::{Byte, Drop, Meta, Protocol, Tproxy};
    const IIF: u32 = 4;
    let from_inside = Meta(IIF, LINK);
    let first = |is| Byte {
        at: 0,
        mask: 0xff,
        is,
    };
    let opens = Byte {
        at: 13,
        mask: 0x17,
        is: 2,
    };
    [
        vec![from_inside, Protocol(6), opens, Drop],
        vec![from_inside, Protocol(1), first(8), Drop],
        vec![from_inside, Protocol(58), first(128), Drop],
        vec![Protocol(6), Tproxy],
        vec![Protocol(17), Tproxy],
    ]
}

impl Expression {
    fn add(self, list: &mut Body) {
        const L4PROTO: u32 = 16;
        match self {
            Self::Meta(key, value) => {
                meta(list, key);
                compare(list, &value.to_ne_bytes());
            }
            Self::Protocol(number) => {
                meta(list, L4PROTO);
                compare(list, &[number]);
            }
            Self::Byte { at, mask, is } => {
                const TRANSPORT: u32 = 2;
                expression(list, "payload", |data| {
                    data.be32(1, REGISTER)
                        .be32(2, TRANSPORT)
                        .be32(3, at)
                        .be32(4, 1);
                });
                expression(list, "bitwise", |data| {
                    data.be32(1, REGISTER).be32(2, REGISTER).be32(3, 1);
                    value(data, 4, &[mask]);
                    value(data, 5, &[0]);
                });
                compare(list, &[is]);
            }
            Self::Drop => expression(list, "immediate", |data| {
                data.be32(1, VERDICT);
                data.nest(2, |verdict| {
                    verdict.nest(2, |code| {
                        code.be32(1, 0);
                    });
                });
            }),
            Self::Tproxy => {
                expression(list, "immediate", |data| {
                    data.be32(1, REGISTER);
                    value(data, 2, &LISTENER.to_be_bytes());
                });
                expression(list, "tproxy", |data| {
                    data.be32(1, 0).be32(3, REGISTER);
                });
            }
        }
    }
}

fn meta(list: &mut Body, key: u32) {
    expression(list, "meta", |data| {
        data.be32(1, REGISTER).be32(2, key);
    });
}

fn compare(list: &mut Body, is: &[u8]) {
    const EQUAL: u32 = 0;
    expression(list, "cmp", |data| {
        data.be32(1, REGISTER).be32(2, EQUAL);
        value(data, 3, is);
    });
}

fn value(data: &mut Body, kind: u16, bytes: &[u8]) {
    data.nest(kind, |value| {
        value.bytes(1, bytes);
    });
}

fn expression(list: &mut Body, name: &str, fill: impl FnOnce(&mut Body)) {
    list.nest(1, |element| {
        element.text(1, name);
        element.nest(2, fill);
    });
}
