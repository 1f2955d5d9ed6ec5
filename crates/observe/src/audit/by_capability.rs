//! Refused for want of a capability.

use warren_confine::Capability;
use warren_sys::Errno;

use super::Auditor;
use super::refusal::{Cure, Refusal};
use crate::event::Event;
use crate::needs;
use crate::observed::Failure;
use crate::view::Seen;
use crate::wants::Wants;

/// Those that the kernel asks for in the first user namespace alone: nobody has them in
/// another.
const OF_THE_MACHINE: [Capability; 17] = [
    Capability::AUDIT_CONTROL,
    Capability::AUDIT_READ,
    Capability::BPF,
    Capability::DAC_READ_SEARCH,
    Capability::IPC_LOCK,
    Capability::LINUX_IMMUTABLE,
    Capability::MAC_ADMIN,
    Capability::MKNOD,
    Capability::PERFMON,
    Capability::SYSLOG,
    Capability::SYS_MODULE,
    Capability::SYS_NICE,
    Capability::SYS_PACCT,
    Capability::SYS_RAWIO,
    Capability::SYS_RESOURCE,
    Capability::SYS_TIME,
    Capability::SYS_TTY_CONFIG,
];

/// Calls under `CAP_SYS_ADMIN` that are so too.
const CALLS_OF_THE_MACHINE: [&str; 5] = [
    "lookup_dcookie",
    "quotactl",
    "quotactl_fd",
    "swapoff",
    "swapon",
];

const REASON: &str = "a capability that the run has not";

impl Auditor<'_> {
    pub(super) fn by_capability(&self, failure: &Failure) -> Option<Refusal> {
        let event = &failure.event;
        if !matches!(failure.errno, Errno::PERM | Errno::ACCESS) {
            return None;
        }
        let capability = needs::capability(event)?;
        if self.capabilities.contains(capability) || !self.would_help(capability, event) {
            return None;
        }
        let call = event.name.to_string();
        let uses = event.uses.iter().find(|one| one.wants != Wants::PASS);
        let about = match (&event.contact, uses) {
            (Some(contact), _) => format!("{call} {}", contact.address),
            (None, Some(one)) => format!("{call} {}", one.path.display()),
            (None, None) => format!("{call}(2)"),
        };
        Some(Refusal {
            action: about,
            call,
            path: uses.map(|one| one.path.clone()),
            reason: REASON,
            errno: failure.errno.raw_os_error(),
            cure: cure(self, capability, event),
        })
    }

    /// Whether the answer would be another with the capability. Over files it is one only
    /// over those whose owners have ids inside: with one id, those that are the
    /// program's own. Those of the host have none, or the caller's.
    fn would_help(&self, capability: Capability, event: &Event) -> bool {
        let over_files = matches!(
            capability,
            Capability::CHOWN | Capability::FOWNER | Capability::DAC_OVERRIDE
        );
        let is_groups = event.name == crate::event::Name::Native("setgroups");
        let of_run = event
            .uses
            .iter()
            .all(|one| self.view.at(&one.path) == Seen::Private);
        let has_ids = self.has_ids && (of_run || !over_files);
        // Who is watched cannot watch: it has a tracer.
        capability != Capability::SYS_PTRACE && (has_ids || !(over_files || is_groups))
    }
}

/// The option that gives a capability, where that is of use.
pub(super) fn cure(auditor: &Auditor<'_>, one: Capability, event: &Event) -> Cure {
    let name = one.to_string().to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    let call = event.name.to_string();
    let of_the_machine = OF_THE_MACHINE.contains(&one)
        || CALLS_OF_THE_MACHINE.contains(&call.as_str())
        || (one == Capability::NET_BIND_SERVICE && !auditor.own_network);
    if !of_the_machine || !auditor.own_user {
        return Cure::options(["--cap-add", name]);
    }
    let words = ["--share", "user", "--cap-add", name].map(str::to_owned);
    match auditor.is_root {
        true => Cure::Options(words.to_vec()),
        false => Cure::RootsOptions(words.to_vec()),
    }
}
