//! `process.capabilities`.

use warren_confine::{Capability, CapabilitySet};

use warren_spawn::CapabilitySets;

use super::Reader;
use crate::config::Capabilities;
use crate::error::Error;

impl Reader<'_> {
    pub(super) fn capabilities(
        &mut self,
        sets: Option<&Capabilities>,
    ) -> Result<(), Error> {
        let none = Capabilities::default();
        let sets = sets.unwrap_or(&none);
        let bounding = self.set("bounding", &sets.bounding)?;
        let effective = self.set("effective", &sets.effective)?;
        let inheritable = self.set("inheritable", &sets.inheritable)?;
        let permitted = self.set("permitted", &sets.permitted)?;
        let ambient = self.set("ambient", &sets.ambient)?;
        let sets = CapabilitySets {
            bounding,
            effective,
            permitted,
            inheritable,
            // One that is not both could not be raised, and runtimes pass it over.
            ambient: ambient
                .iter()
                .filter(|one| permitted.contains(*one) && inheritable.contains(*one))
                .collect(),
        };
        match sets.one() {
            Some(set) => self.spec.capabilities = Some(set),
            None => self.spec.capability_sets = Some(sets),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, words: &[String]) -> Result<CapabilitySet, Error> {
        let mut set = CapabilitySet::EMPTY;
        for (index, word) in words.iter().enumerate() {
            let path = || format!("process.capabilities.{name}[{index}]");
            match word.parse::<Capability>() {
                Ok(capability) if word.starts_with("CAP_") => set = set.with(capability),
                // One of a newer kernel, which nobody can be given here.
                _ if is_name(word) => {
                    self.losses.note(path(), format!("{word} is not known"));
                }
                _ => {
                    let message = format!("expected CAP_NAME, found {word:?}");
                    return Err(Error::new(path(), message));
                }
            }
        }
        Ok(set)
    }
}

fn is_name(word: &str) -> bool {
    let name = word.strip_prefix("CAP_").unwrap_or_default();
    let is_of_name = |byte: u8| byte == b'_' || byte.is_ascii_uppercase();
    !name.is_empty() && name.bytes().all(is_of_name)
}
