//! Blocks of host ids for containers of root.
//!
//! A block is taken by binding an abstract unix socket whose name has the block's
//! first id: the kernel lets one process have the name, and frees it however that
//! process dies, so no file can be left behind or grow stale.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::rand::{GetRandomFlags, getrandom};
use warren_namespaces::IdMap;
use warren_namespaces::accounts::{Accounts, Range};
use warren_sys::Errno;

/// How many ids a container of root has.
pub const BLOCK: u32 = 65_536;

/// A block of ids, ours as long as the value lives.
#[derive(Debug)]
pub struct Reservation {
    first: u32,
    name: OwnedFd,
}

impl Reservation {
    /// Takes a block: one of those that /etc/subuid and /etc/subgid grant `uid`, else
    /// one that no account of this machine has.
    ///
    /// # Errors
    /// `ENOSPC` where every block is taken.
    pub fn take(accounts: &Accounts, uid: u32) -> Result<Self, Errno> {
        let granted = granted_blocks(accounts, uid);
        if let Some(reservation) = first_free(granted.into_iter())? {
            return Ok(reservation);
        }
        let free: Vec<u32> = accounts.free_blocks().map(|block| block.first).collect();
        // From a random place on, so that what one container wrote is not the next
        // one's by habit.
        let start = random()? % free.len().max(1);
        let (before, after) = free.split_at(start.min(free.len()));
        first_free(after.iter().chain(before).copied())?.ok_or(Errno::NOSPC)
    }

    /// The whole block as ids from 0 on.
    pub fn map(&self) -> IdMap {
        IdMap {
            inside: 0,
            outside: self.first,
            count: BLOCK,
        }
    }
}

impl AsFd for Reservation {
    /// What holds the block: whoever has a copy goes on to hold it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.name.as_fd()
    }
}

/// The blocks within the ranges that are granted both as user and as group ids.
fn granted_blocks(accounts: &Accounts, uid: u32) -> Vec<u32> {
    let gids = accounts.subordinate_gids(uid);
    let uids = accounts.subordinate_uids(uid);
    let has = |ranges: &[Range], first: u32| {
        ranges.iter().any(|range| {
            let end = u64::from(range.first) + u64::from(range.count);
            first >= range.first && u64::from(first) + u64::from(BLOCK) <= end
        })
    };
    uids.iter()
        .flat_map(|range| (0..range.count / BLOCK).map(|n| range.first + n * BLOCK))
        .filter(|first| has(&gids, *first))
        .collect()
}

fn first_free(blocks: impl Iterator<Item = u32>) -> Result<Option<Reservation>, Errno> {
    // Each try costs a system call; so many taken ones in a row are a sign of trouble.
    const TRIES: usize = 4096;
    for first in blocks.take(TRIES) {
        match bind(first) {
            Ok(name) => return Ok(Some(Reservation { first, name })),
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

fn bind(first: u32) -> Result<OwnedFd, Errno> {
    let name = format!("warren/ids/{first}");
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn random() -> Result<usize, Errno> {
    let mut bytes = [0; 4];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(subuid: &str, subgid: &str) -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\n".to_owned(),
            group: String::new(),
            subuid: subuid.to_owned(),
            subgid: subgid.to_owned(),
        }
    }

    #[test]
    fn two_reservations_never_share_a_block() {
        let accounts = accounts("root:500000000:131072\n", "root:500000000:131072\n");
        let first = Reservation::take(&accounts, 0).expect("a block");
        let second = Reservation::take(&accounts, 0).expect("a block");
        assert_eq!(first.map().outside, 500_000_000);
        assert_eq!(second.map().outside, 500_065_536);
        let third = Reservation::take(&accounts, 0).expect("a block beyond the grant");
        assert_ne!(third.map().outside, first.map().outside);
        drop(first);
        let again = Reservation::take(&accounts, 0).expect("the first again");
        assert_eq!(again.map().outside, 500_000_000);
    }

    #[test]
    fn a_block_must_be_granted_for_groups_too() {
        let accounts = accounts("root:600000:65536\n", "root:700000:65536\n");
        assert_eq!(granted_blocks(&accounts, 0), Vec::<u32>::new());
    }
}
