//! What no living container owns.

use crate::connect::{self, Member};
use crate::error::Result;
use crate::lease;
use crate::network::{Network, port_name, port_of_name};
use crate::nft::{self, Change, Family};
use crate::settings;
use crate::socket::Socket;
use crate::state::Store;
use crate::table;

/// Something that was removed, in words.
pub type Removed = String;

const FAMILIES: [Family; 2] = [Family::Inet, Family::Bridge];

/// Removes what containers have left whose supervisor was killed.
///
/// # Errors
/// What could not be removed; the rest was.
pub fn collect() -> Result<Vec<Removed>> {
    let store = Store::default();
    let route = Socket::route()?;
    let nft = Socket::netfilter()?;
    let lock = store.lock()?;
    let mut removed = Vec::new();
    let mut result = Ok(());
    for (network, member) in connect::own_links(&route)? {
        if member == 0 || is_alive(network, member) {
            continue;
        }
        let name = port_name(network, member);
        let index = Network {
            number: network,
            ..Network::nat()
        }
        .port_index(member);
        match connect::remove_link(&route, &name, index) {
            Ok(()) => removed.push(format!("link {name}")),
            Err(error) => result = result.and(Err(error)),
        }
    }
    match remove_elements_of(&nft, is_dead) {
        Ok(names) => removed.extend(names),
        Err(error) => result = result.and(Err(error)),
    }
    match remove_empty(&store, &route, &nft) {
        Ok(names) => removed.extend(names),
        Err(error) => result = result.and(Err(error)),
    }
    drop(lock);
    result.map(|()| removed)
}

/// Whether a name is that of a port whose container is gone.
fn is_dead(owner: &str) -> bool {
    port_of_name(owner).is_some_and(|(network, member)| !is_alive(network, member))
}

/// Whether somebody has the number: whoever can take it proves that nobody has.
fn is_alive(network: u8, member: u16) -> bool {
    lease::claim(network, member).is_err()
}

/// Removes what dead containers have left in our tables: those whose numbers `members`
/// have now, and all others. The members' own are held by the caller.
pub fn remove_dead_elements(nft: &Socket, members: &[Member]) -> Result<()> {
    let own: Vec<String> = members
        .iter()
        .map(|member| member.network.port(member.number))
        .collect();
    remove_elements_of(nft, |owner| {
        own.iter().any(|own| own == owner) || is_dead(owner)
    })
    .map(drop)
}

/// Removes the elements whose owners are such.
pub fn remove_elements_of(
    nft: &Socket,
    is_such: impl Fn(&str) -> bool,
) -> Result<Vec<Removed>> {
    let mut change = Change::default();
    let mut removed = Vec::new();
    for family in FAMILIES {
        for set in table::sets(family) {
            for found in nft::elements(nft, family, set)? {
                let owner = found.owner.as_deref();
                if let Some(owner) = owner.filter(|owner| is_such(owner)) {
                    let last = found.last.as_deref();
                    change.remove_element(family, set, &found.key, last);
                    removed.push(format!("element of {owner} in {set}"));
                }
            }
        }
    }
    for (name, _) in nft::quotas(nft, Family::Bridge)? {
        if is_such(&name) {
            change.remove_quota(Family::Bridge, &name);
            removed.push(format!("quota of {name}"));
        }
    }
    change.commit(nft)?;
    Ok(removed)
}

/// Removes bridges without members, and with the last of them our tables and what was
/// changed of the host's settings.
pub fn remove_empty(store: &Store, route: &Socket, nft: &Socket) -> Result<Vec<Removed>> {
    let links = connect::own_links(route)?;
    let mut removed = Vec::new();
    let bridges = links.iter().filter(|(_, member)| *member == 0);
    let mut left = 0;
    for (network, _) in bridges {
        if links
            .iter()
            .any(|(own, member)| own == network && *member != 0)
        {
            left += 1;
            continue;
        }
        let network = Network {
            number: *network,
            ..Network::nat()
        };
        connect::remove_link(route, &network.bridge(), network.bridge_index())?;
        removed.push(format!("bridge {}", network.bridge()));
        let bridge = network.bridge();
        remove_elements_of(nft, |owner| owner == bridge)?;
    }
    if left > 0 {
        return Ok(removed);
    }
    let mut change = Change::default();
    for family in FAMILIES {
        if nft::has_table(nft, family)? {
            change.remove_table(family);
            removed.push("table of nftables".to_owned());
        }
    }
    change.commit(nft)?;
    let restored = settings::restore(store, settings::namespace(route)?);
    removed.extend(restored.into_iter().map(|name| format!("setting {name}")));
    Ok(removed)
}
