//! Refused since the run has a network of its own.

use warren_sys::Errno;

use super::Auditor;
use super::refusal::{Cure, Refusal};
use crate::address::Address;
use crate::event::{Contact, Protocol};
use crate::observed::Failure;

const PORT: &str = "no port of this run";

impl Auditor<'_> {
    pub(super) fn by_network(&self, failure: &Failure) -> Option<Refusal> {
        let contact = failure.event.contact.as_ref()?;
        let port = self.port_of_landlock(contact);
        let (reason, cure) = match port {
            Some(cure) if failure.errno == Errno::ACCESS => {
                // It has to be reached as well.
                let outside = !is_near(contact) || self.host.listens(&contact.address);
                let far = self.own_network && !contact.binds && outside;
                let network = Cure::options(["--share", "net"]);
                (PORT, if far { network.and(cure) } else { cure })
            }
            _ if !self.own_network => return None,
            _ => {
                let reason = self.why_not_reached(contact, failure.errno)?;
                (reason, Cure::options(["--share", "net"]))
            }
        };
        let call = failure.event.name.to_string();
        let verb = if contact.binds { "bind" } else { "connect" };
        Some(Refusal {
            action: format!("{verb} {}", contact.address),
            call,
            path: None,
            reason,
            errno: failure.errno.raw_os_error(),
            cure,
        })
    }

    /// What lets a port be used that Landlock keeps from the run.
    fn port_of_landlock(&self, contact: &Contact) -> Option<Cure> {
        let ports = self.landlock.as_ref()?.ports.as_ref()?;
        let Address::Inet(address) = contact.address else {
            return None;
        };
        let (allowed, option) = match contact.binds {
            true => (&ports.bind, "--bind-port"),
            false => (&ports.connect, "--connect-port"),
        };
        let refused =
            contact.protocol == Protocol::Stream && !allowed.contains(&address.port());
        refused.then(|| Cure::options([option, &address.port().to_string()]))
    }

    fn why_not_reached(&self, contact: &Contact, errno: Errno) -> Option<&'static str> {
        const NONE: &str = "no network";
        const OWN: &str = "a loopback of its own";
        match (&contact.address, errno) {
            (Address::Inet(_), Errno::NETUNREACH | Errno::HOSTUNREACH) => Some(NONE),
            // An address that the host has, and the run has not.
            (Address::Inet(_), Errno::ADDRNOTAVAIL) if contact.binds => Some(NONE),
            (Address::Inet(_) | Address::Abstract(_), Errno::CONNREFUSED)
                if self.host.listens(&contact.address) =>
            {
                Some(OWN)
            }
            _ => None,
        }
    }
}

/// Whether an address is in a network that has but a loopback.
fn is_near(contact: &Contact) -> bool {
    let Address::Inet(address) = contact.address else {
        return true;
    };
    address.ip().is_loopback() || address.ip().is_unspecified()
}
