//! Whether a process may enter a namespace, and why not.
//!
//! The rules are those of setns(2) and user_namespaces(7), asked of the namespaces
//! themselves, so they can be told before anything is tried.

use std::fmt;

use rustix::io::Errno;

use crate::{Error, Kind, NsFd, NsId, ProcRoot, limits};

/// linux/capability.h.
const CAP_SYS_CHROOT: u32 = 18;
const CAP_SYS_ADMIN: u32 = 21;

/// What a process has to go on with: its user namespace, who it is there, and its
/// capabilities there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its user namespace.
    pub user: NsId,
    /// Its effective user id.
    pub uid: u32,
    /// Its effective capabilities, as a bit set.
    pub capabilities: u64,
}

/// Why a namespace cannot be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// It is the process's own user namespace, which cannot be entered again (`EINVAL`).
    OwnUserNamespace,
    /// The capability is missing in the user namespace that owns it, or is it (`EPERM`).
    Missing {
        /// Which.
        capability: &'static str,
        /// Where, in words: `user:[4026531837]`.
        place: String,
        /// Whether that is the process's own user namespace.
        own: bool,
    },
    /// Its owner lies outside of the process's user namespace (`EPERM`).
    OutOfSight,
    /// A pid namespace that is not below the process's own (`EINVAL`).
    NotBelow,
    /// A pid namespace without an init: nothing can be started in it (`ENOMEM`).
    Dead,
}

impl Obstacle {
    /// What the kernel answers.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::OwnUserNamespace | Self::NotBelow => Errno::INVAL,
            Self::Missing { .. } | Self::OutOfSight => Errno::PERM,
            Self::Dead => Errno::NOMEM,
        }
    }

    /// The way out, in one sentence.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::OwnUserNamespace => "leave it out: the caller is in it already",
            Self::Missing { own: true, .. } => {
                "be root, or enter the user namespace that owns it as well (all kinds are \
                 entered if --kinds is not given)"
            }
            Self::Missing { own: false, .. } => {
                "be root, or the user who made that user namespace"
            }
            Self::OutOfSight => {
                "enter from outside: from where that user namespace was made"
            }
            Self::NotBelow => {
                "enter from that pid namespace or one above it: nobody leaves upwards"
            }
            Self::Dead => "make a new one: `warren keep` holds one alive with an init",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnUserNamespace => {
                f.write_str("the caller is in that user namespace already")
            }
            Self::Missing {
                capability,
                place,
                own: true,
            } => write!(
                f,
                "the caller lacks {capability} in its own user namespace {place}"
            ),
            Self::Missing {
                capability, place, ..
            } => write!(f, "the caller lacks {capability} in {place}, which owns it"),
            Self::OutOfSight => f.write_str(
                "the user namespace that owns it lies outside of the caller's own",
            ),
            Self::NotBelow => {
                f.write_str("that pid namespace is not below the caller's own")
            }
            Self::Dead => f.write_str("that pid namespace is dead: its init has ended"),
        }
    }
}

impl Rights {
    /// The caller's.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn own(proc: &ProcRoot) -> Result<Self, Error> {
        let path = format!("{}/ns/user", proc.own_folder()?);
        let stat = rustix::fs::statat(proc, &path, rustix::fs::AtFlags::empty())
            .map_err(|errno| Error::new("stat", format!("/proc/{path}"), errno))?;
        Ok(Self {
            user: NsId {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
            uid: rustix::process::geteuid().as_raw(),
            capabilities: limits::own_restrictions(proc)?.capabilities,
        })
    }

    /// Those that it has once it has entered `user`: setns(2) gives every capability.
    ///
    /// # Errors
    /// Whatever fstat(2) answers.
    pub fn within(&self, user: &NsFd) -> Result<Self, Errno> {
        Ok(Self {
            user: user.id()?,
            uid: self.uid,
            capabilities: u64::MAX,
        })
    }

    /// Whether it may enter or make namespaces in its own user namespace.
    #[must_use]
    pub fn are_privileged(&self) -> bool {
        self.has(CAP_SYS_ADMIN)
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities & (1 << capability) != 0
    }

    /// Whether it has `CAP_SYS_ADMIN` in the user namespace `place`; user_namespaces(7):
    /// in its own, if it is in its effective set; below that likewise; and its user has
    /// every capability in a namespace that it made from there, and below.
    fn reach(&self, place: &NsFd) -> Result<bool, Errno> {
        let mut here = place.try_clone()?;
        while here.id()? != self.user {
            let parent = match here.parent() {
                // The first user namespace, or the caller's view ends.
                Err(Errno::PERM) => return Ok(false),
                parent => parent?,
            };
            if parent.id()? == self.user && here.owner_uid()? == self.uid {
                return Ok(true);
            }
            here = parent;
        }
        Ok(self.has(CAP_SYS_ADMIN))
    }

    /// What is in the way of entering a namespace; `None` for nothing that can be seen
    /// from here.
    ///
    /// # Errors
    /// What the namespaces answer that are asked.
    pub fn obstacle(&self, namespace: &NsFd) -> Result<Option<Obstacle>, Errno> {
        if namespace.kind() == Kind::User {
            return self.of_user(namespace);
        }
        let owner = match namespace.owner() {
            Err(Errno::PERM) => return Ok(Some(Obstacle::OutOfSight)),
            owner => owner?,
        };
        if !self.reach(&owner)? {
            return Ok(Some(self.missing("CAP_SYS_ADMIN", &owner)?));
        }
        // The kernel asks the process's own user namespace as well.
        let needed = [
            (CAP_SYS_ADMIN, "CAP_SYS_ADMIN"),
            (CAP_SYS_CHROOT, "CAP_SYS_CHROOT"),
        ];
        let needed = &needed[..if namespace.kind() == Kind::Mnt { 2 } else { 1 }];
        for (capability, name) in needed {
            if !self.has(*capability) {
                let place = format!("user:[{}]", self.user.inode);
                let capability = *name;
                return Ok(Some(Obstacle::Missing {
                    capability,
                    place,
                    own: true,
                }));
            }
        }
        if namespace.kind() == Kind::Pid {
            return of_pid(namespace);
        }
        Ok(None)
    }

    fn of_user(&self, namespace: &NsFd) -> Result<Option<Obstacle>, Errno> {
        if namespace.id()? == self.user {
            return Ok(Some(Obstacle::OwnUserNamespace));
        }
        if self.reach(namespace)? {
            return Ok(None);
        }
        Ok(Some(self.missing("CAP_SYS_ADMIN", namespace)?))
    }

    fn missing(&self, capability: &'static str, place: &NsFd) -> Result<Obstacle, Errno> {
        Ok(Obstacle::Missing {
            capability,
            place: place.to_string(),
            own: place.id()? == self.user,
        })
    }
}

/// A pid namespace must be the caller's own or below it, and have an init.
fn of_pid(namespace: &NsFd) -> Result<Option<Obstacle>, Errno> {
    let own = NsFd::open("/proc/self/ns/pid".as_ref())?.id()?;
    let mut here = namespace.try_clone()?;
    while here.id()? != own {
        here = match here.parent() {
            Err(Errno::PERM) => return Ok(Some(Obstacle::NotBelow)),
            parent => parent?,
        };
    }
    Ok(match namespace.has_init() {
        Some(false) => Some(Obstacle::Dead),
        Some(true) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(kind: Kind) -> NsFd {
        NsFd::open(format!("/proc/self/ns/{kind}").as_ref()).expect("one's own")
    }

    fn rights(capabilities: u64) -> Rights {
        let proc = ProcRoot::open().expect("/proc");
        Rights {
            capabilities,
            ..Rights::own(&proc).expect("one's own")
        }
    }

    #[test]
    fn ones_own_user_namespace_cannot_be_entered_again() {
        let obstacle = rights(u64::MAX).obstacle(&own(Kind::User)).expect("asked");
        assert_eq!(obstacle, Some(Obstacle::OwnUserNamespace));
        assert_eq!(Obstacle::OwnUserNamespace.errno(), Errno::INVAL);
    }

    #[test]
    fn with_all_capabilities_ones_own_namespaces_can_be_entered_without_none() {
        for kind in [Kind::Net, Kind::Mnt, Kind::Pid] {
            let namespace = own(kind);
            // In a container the owner may be out of sight, which is another obstacle.
            if namespace.owner().map(|owner| owner.id()) != Ok(own(Kind::User).id()) {
                continue;
            }
            assert_eq!(rights(u64::MAX).obstacle(&namespace), Ok(None), "{kind}");
            let obstacle = rights(0).obstacle(&namespace).expect("asked");
            let Some(Obstacle::Missing { own: true, .. }) = obstacle else {
                panic!("{kind}: {obstacle:?}");
            };
        }
    }

    #[test]
    fn a_mount_namespace_takes_the_right_to_chroot_too() {
        let without = rights(!(1 << CAP_SYS_CHROOT));
        let namespace = own(Kind::Mnt);
        if namespace.owner().map(|owner| owner.id()) == Ok(own(Kind::User).id()) {
            let obstacle = without.obstacle(&namespace).expect("asked");
            let words = obstacle.expect("refused").to_string();
            assert!(
                words.starts_with("the caller lacks CAP_SYS_CHROOT in"),
                "{words}"
            );
        }
    }
}
