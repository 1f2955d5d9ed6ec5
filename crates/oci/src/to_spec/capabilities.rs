//! `process.capabilities`.

use std::collections::BTreeSet;

use warren_confine::{Capability, CapabilitySet};

use warren_spawn::CapabilitySets;

use super::Reader;
use crate::config::Capabilities;

impl Reader<'_> {
    pub(super) fn capabilities(&mut self, sets: Option<&Capabilities>) {
        let none = Capabilities::default();
        let sets = sets.unwrap_or(&none);
        let mut unknown = BTreeSet::new();
        let mut read = |words: &[String]| set(words, &mut unknown);
        let bounding = read(&sets.bounding);
        let effective = read(&sets.effective);
        let permitted = read(&sets.permitted);
        let (inheritable, ambient) = (read(&sets.inheritable), read(&sets.ambient));
        if !unknown.is_empty() {
            let names: Vec<String> = unknown.into_iter().collect();
            let names = names.join(" ");
            let what = format!("ignoring unknown or unavailable capabilities: [{names}]");
            self.losses.note("process.capabilities", what);
        }
        let inheritable = self.only(
            (inheritable, "inheritable"),
            |one| bounding.contains(one),
            "operation not permitted: it is not in the bounding set",
        );
        // Those that the kernel takes: no others could be raised.
        let ambient = self.only(
            (ambient, "ambient"),
            |one| permitted.contains(one) && inheritable.contains(one),
            "it is not both permitted and inheritable",
        );
        let sets = CapabilitySets {
            bounding,
            effective,
            permitted,
            inheritable,
            ambient,
        };
        match sets.one() {
            Some(set) => self.spec.capabilities = Some(set),
            None => self.spec.capability_sets = Some(sets),
        }
    }

    /// Those of a set that can be granted. The specification wants no more than a warning for
    /// the others.
    fn only(
        &mut self,
        (set, name): (CapabilitySet, &str),
        can_be: impl Fn(Capability) -> bool,
        why: &str,
    ) -> CapabilitySet {
        let (can, cannot): (Vec<_>, Vec<_>) = set.iter().partition(|one| can_be(*one));
        for one in cannot {
            let one = one.to_string().to_uppercase();
            let what = format!("can't raise {name} capability {one}: {why}");
            let path = format!("process.capabilities.{name}");
            self.losses.note(path, what);
        }
        can.into_iter().collect()
    }
}

/// Those of a newer kernel, or of none, are unknown: nobody can be given them.
fn set(words: &[String], unknown: &mut BTreeSet<String>) -> CapabilitySet {
    let mut set = CapabilitySet::EMPTY;
    for word in words {
        match word.parse::<Capability>() {
            Ok(capability) if word.starts_with("CAP_") => set = set.with(capability),
            _ => {
                unknown.insert(word.clone());
            }
        }
    }
    set
}
