//! The order in which namespaces are entered.
//!
//! What the caller's own user namespace owns, or one above that of the target, must be
//! entered before the target's user namespace is: there the right to it is lost. What
//! that one owns must wait until it gives the right. A namespace may also be owned by a
//! user namespace in between, as where a sandbox made another one for its program
//! alone; without privilege the right to it is had by passing through.

use rustix::io::Errno;

use crate::{Kind, NsFd, NsId, Rights};

/// One step of a route.
#[derive(Debug)]
pub enum Stop {
    /// A user namespace that is only passed through.
    Through(NsFd),
    /// The namespace of this kind.
    Enter(Kind),
}

/// Orders `namespaces`, at most one of each kind, for a caller with these rights.
///
/// # Errors
/// What the namespaces answer that are asked for their owners.
pub fn route(namespaces: &[NsFd], rights: &Rights) -> Result<Vec<Stop>, Errno> {
    let user = namespaces.iter().find(|found| found.kind() == Kind::User);
    let chain = match user {
        Some(user) => chain(user, rights.user)?,
        None => Vec::new(),
    };
    let mut groups: Vec<Vec<Kind>> = vec![Vec::new(); chain.len() + 1];
    for namespace in namespaces.iter().filter(|found| found.kind() != Kind::User) {
        let group = group(namespace, &chain)?;
        let at_once = rights.are_privileged() && group < chain.len();
        groups[if at_once { 0 } else { group }].push(namespace.kind());
    }
    let mut stops = Vec::new();
    for (number, mut kinds) in groups.into_iter().enumerate() {
        match number.checked_sub(1) {
            Some(passed) if passed + 1 == chain.len() => {
                stops.push(Stop::Enter(Kind::User));
            }
            Some(passed) if !kinds.is_empty() => {
                stops.push(Stop::Through(chain[passed].try_clone()?));
            }
            _ => {}
        }
        // It changes what paths mean.
        kinds.sort_by_key(|kind| *kind == Kind::Mnt);
        stops.extend(kinds.into_iter().map(Stop::Enter));
    }
    Ok(stops)
}

/// The user namespaces from below the caller's own down to `user`.
fn chain(user: &NsFd, own: NsId) -> Result<Vec<NsFd>, Errno> {
    let mut chain = vec![user.try_clone()?];
    while let Some(last) = chain.last() {
        match last.parent() {
            Ok(parent) if parent.id()? != own => chain.push(parent),
            // Not below the caller's: entering it will be refused.
            Ok(_) | Err(Errno::PERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    chain.reverse();
    Ok(chain)
}

/// After how many user namespaces of the chain the right to a namespace is there.
fn group(namespace: &NsFd, chain: &[NsFd]) -> Result<usize, Errno> {
    let mut owner = match namespace.owner() {
        Err(Errno::PERM) => return Ok(0),
        owner => owner?,
    };
    loop {
        for (number, user) in chain.iter().enumerate() {
            if user.id()? == owner.id()? {
                return Ok(number + 1);
            }
        }
        owner = match owner.parent() {
            Err(Errno::PERM) => return Ok(0),
            parent => parent?,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcRoot;

    #[test]
    fn without_a_user_namespace_the_mount_namespace_is_last() {
        let proc = ProcRoot::open().expect("/proc");
        let rights = Rights::own(&proc).expect("one's own");
        let own = [Kind::Mnt, Kind::Net, Kind::Uts].map(|kind| {
            NsFd::open(format!("/proc/self/ns/{kind}").as_ref()).expect("one's own")
        });
        let stops = route(&own, &rights).expect("a route");
        let kinds: Vec<_> = stops
            .iter()
            .map(|stop| match stop {
                Stop::Enter(kind) => *kind,
                Stop::Through(_) => panic!("nothing to pass through"),
            })
            .collect();
        assert_eq!(kinds, [Kind::Net, Kind::Uts, Kind::Mnt]);
    }
}
