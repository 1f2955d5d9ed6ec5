//! `process.capabilities`.

use warren_confine::{Capability, CapabilitySet};

use warren_spawn::CapabilitySets;

use super::Reader;
use crate::config::Capabilities;

impl Reader<'_> {
    pub(super) fn capabilities(&mut self, sets: Option<&Capabilities>) {
        let none = Capabilities::default();
        let sets = sets.unwrap_or(&none);
        let bounding = self.set("bounding", &sets.bounding);
        let effective = self.set("effective", &sets.effective);
        let inheritable = self.set("inheritable", &sets.inheritable);
        let permitted = self.set("permitted", &sets.permitted);
        let ambient = self.set("ambient", &sets.ambient);
        let sets = CapabilitySets {
            bounding,
            effective,
            permitted,
            inheritable,
            ambient: self.raisable(ambient, permitted, inheritable),
        };
        match sets.one() {
            Some(set) => self.spec.capabilities = Some(set),
            None => self.spec.capability_sets = Some(sets),
        }
    }

    /// Those of the ambient set that the kernel takes: no others could be raised.
    fn raisable(
        &mut self,
        ambient: CapabilitySet,
        permitted: CapabilitySet,
        inheritable: CapabilitySet,
    ) -> CapabilitySet {
        let (can, cannot): (Vec<_>, Vec<_>) = ambient
            .iter()
            .partition(|one| permitted.contains(*one) && inheritable.contains(*one));
        for one in cannot {
            let what = format!(
                "can't raise ambient capability {}: it is not both permitted and inheritable",
                one.to_string().to_uppercase()
            );
            self.losses.note("process.capabilities.ambient", what);
        }
        can.into_iter().collect()
    }

    fn set(&mut self, name: &str, words: &[String]) -> CapabilitySet {
        let mut set = CapabilitySet::EMPTY;
        for (index, word) in words.iter().enumerate() {
            let path = || format!("process.capabilities.{name}[{index}]");
            match word.parse::<Capability>() {
                Ok(capability) if word.starts_with("CAP_") => set = set.with(capability),
                // Of a newer kernel, or of none: nobody can be given it, and the
                // specification wants no more than a warning.
                _ => self.losses.note(path(), format!("{word} is not known")),
            }
        }
        set
    }
}
