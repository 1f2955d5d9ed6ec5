//! Capabilities that nobody here can be given.

use warren_confine::CapabilitySet;
use warren_namespaces::Kind;
use warren_spawn::{Host, Namespace, Spec};

use crate::unsupported::Unsupported;

/// Takes from `spec` what the caller has not itself, and notes it: the specification wants a
/// warning, and no failure. A new user namespace has them all.
pub(super) fn leave_out(spec: &mut Spec, host: &Host) -> Vec<Unsupported> {
    if *spec.namespaces.get(Kind::User) != Namespace::Inherit {
        return Vec::new();
    }
    let own = host.capabilities;
    let mut missing = CapabilitySet::EMPTY;
    let mut restrict = |set: &mut CapabilitySet| {
        let (had, lacked): (Vec<_>, Vec<_>) =
            set.iter().partition(|one| own.contains(*one));
        missing = lacked.into_iter().chain(missing.iter()).collect();
        *set = had.into_iter().collect();
    };
    if let Some(set) = &mut spec.capabilities {
        restrict(set);
    }
    if let Some(sets) = &mut spec.capability_sets {
        restrict(&mut sets.bounding);
        restrict(&mut sets.permitted);
        restrict(&mut sets.effective);
        restrict(&mut sets.inheritable);
        restrict(&mut sets.ambient);
    }
    let note = |one: warren_confine::Capability| Unsupported {
        path: "process.capabilities".to_owned(),
        what: format!(
            "nobody can be given {} here",
            one.to_string().to_uppercase()
        ),
        weakens: false,
    };
    missing.iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use warren_confine::Capability;
    use warren_spawn::CapabilitySets;

    use super::*;

    #[test]
    fn what_the_caller_lacks_is_left_out_and_told() {
        let host = Host {
            capabilities: [Capability::SYS_ADMIN].into_iter().collect(),
            ..Host::probe()
        };
        let mut spec = Spec {
            capability_sets: Some(CapabilitySets {
                bounding: CapabilitySet::ALL,
                permitted: [Capability::SETUID].into_iter().collect(),
                ..CapabilitySets::default()
            }),
            ..Spec::default()
        };
        let notes = leave_out(&mut spec, &host);
        let sets = spec.capability_sets.as_ref().expect("they are there");
        assert_eq!(sets.bounding, host.capabilities);
        assert!(sets.permitted.is_empty());
        assert!(notes.iter().any(|note| note.what.contains("CAP_SETUID")));
        spec.namespaces.set(Kind::User, Namespace::New);
        assert!(leave_out(&mut spec, &host).is_empty());
    }
}
