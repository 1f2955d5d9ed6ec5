//! Refused by a filter on system calls.

use warren_confine::seccomp::{Action, Rules};
use warren_confine::{Capability, CapabilitySet};
use warren_sys::Errno;

use super::refusal::{Cure, Refusal};
use super::{Auditor, by_capability};
use crate::event::{Event, Name};
use crate::observed::Failure;

const REASON: &str = "system-call filter";

/// Calls that every libc tries and does without: their refusal changes nothing.
const TRIED: [&str; 2] = ["clone3", "rseq"];

/// Calls that change mounts.
const MOUNTS: [&str; 5] = ["mount", "move_mount", "pivot_root", "umount", "umount2"];

impl Auditor<'_> {
    /// `None` where no filter has refused it; `Some(None)` where one has, and that is
    /// nothing to speak of.
    pub(super) fn by_filter(&self, failure: &Failure) -> Option<Option<Refusal>> {
        let event = &failure.event;
        let Name::Native(name) = event.name else {
            // The fixed filter refuses all calls of other architectures.
            let refused = self.sandbox.is_some() && failure.errno == Errno::NOSYS;
            return refused.then(|| Some(refusal(failure, Cure::None)));
        };
        let of = |rules: &Option<Rules>| Some(action(rules.as_ref()?, event));
        let (sandbox, profile) = (of(&self.sandbox), of(&self.profile));
        if ![sandbox, profile]
            .into_iter()
            .flatten()
            .any(|one| answers(one, failure))
        {
            return None;
        }
        // Both have to let it pass, whichever answered.
        let mut cure = Cure::Options(Vec::new());
        if sandbox.is_some_and(refuses) {
            cure = cure.and(self.capability_for(event));
        }
        if profile.is_some_and(refuses) {
            cure = cure.and(Cure::options(["--allow-call", name]));
        }
        // Who is under Landlock changes no mount, whatever else lets the call pass.
        if self.landlock.is_some() && MOUNTS.contains(&name) {
            cure = Cure::None;
        }
        let tried = TRIED.contains(&name);
        Some((!tried).then(|| refusal(failure, cure)))
    }

    /// The capability whose holder may make the call.
    fn capability_for(&self, event: &Event) -> Cure {
        let with = |one: &Capability| {
            let rules = Rules::sandbox(self.capabilities.with(*one));
            action(&rules, event) == Action::Allow
        };
        let found = CapabilitySet::ALL.iter().find(with);
        match found {
            Some(one) => by_capability::cure(self, one, event),
            None => Cure::None,
        }
    }
}

fn refuses(action: Action) -> bool {
    !matches!(action, Action::Allow | Action::Log)
}

/// Whether the call failed as this makes it fail.
fn answers(action: Action, failure: &Failure) -> bool {
    match action {
        Action::Fail(errno) => i32::from(errno) == failure.errno.raw_os_error(),
        // The kernel skips the call that it kills for, and says so to a tracer.
        other => refuses(other) && failure.errno == Errno::NOSYS,
    }
}

fn action(rules: &Rules, event: &Event) -> Action {
    let number = u32::try_from(event.number).unwrap_or(u32::MAX);
    rules.verdict(number).action(&event.arguments)
}

fn refusal(failure: &Failure, cure: Cure) -> Refusal {
    let name = failure.event.name.to_string();
    Refusal {
        action: format!("{name}(2)"),
        call: name,
        path: None,
        reason: REASON,
        errno: failure.errno.raw_os_error(),
        cure,
    }
}
