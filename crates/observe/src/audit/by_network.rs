//! Refused since the run has a network of its own.

use warren_sys::Errno;

use super::Auditor;
use super::refusal::{Cure, Refusal};
use crate::address::Address;
use crate::event::Contact;
use crate::observed::Failure;

impl Auditor<'_> {
    pub(super) fn by_network(&self, failure: &Failure) -> Option<Refusal> {
        let contact = failure.event.contact.as_ref()?;
        if !self.own_network {
            return None;
        }
        let reason = self.why_not_reached(contact, failure.errno)?;
        let call = failure.event.name.to_string();
        let verb = if contact.binds { "bind" } else { "connect" };
        Some(Refusal {
            action: format!("{verb} {}", contact.address),
            call,
            path: None,
            reason,
            errno: failure.errno.raw_os_error(),
            cure: Cure::options(["--share", "net"]),
        })
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
