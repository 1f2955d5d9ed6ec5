//! What the numbers of system calls mean.

use warren_confine::seccomp::Architecture;
use warren_confine::seccomp::table::Call;

use crate::shape::{self, Shape};

/// A system call of this architecture, by number.
#[derive(Clone, Copy, Debug)]
struct Known {
    name: &'static str,
    shape: Option<&'static Shape>,
}

/// The calls of this architecture, by number.
#[derive(Debug)]
pub struct Names(Vec<Option<Known>>);

impl Names {
    /// All that the table has.
    #[must_use]
    pub fn new() -> Self {
        let mut names = Vec::new();
        for call in Call::all() {
            let Some(number) = call.number(Architecture::NATIVE) else {
                continue;
            };
            let number = number as usize;
            if names.len() <= number {
                names.resize(number + 1, None);
            }
            names[number] = Some(Known {
                name: call.name(),
                shape: shape::of(call.name()),
            });
        }
        Self(names)
    }

    /// The name of a native call.
    #[must_use]
    pub fn name(&self, number: u64) -> Option<&'static str> {
        self.known(number).map(|known| known.name)
    }

    /// What a native call names.
    #[must_use]
    pub fn shape(&self, number: u64) -> Option<&'static Shape> {
        self.known(number)?.shape
    }

    fn known(&self, number: u64) -> Option<Known> {
        *self.0.get(usize::try_from(number).ok()?)?
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of a call of whatever architecture, for who reads of it: `i386:write`,
/// `x86_64:1000` where the table has none.
#[must_use]
pub fn foreign(architecture: u32, number: u64) -> String {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let is_x32 = number & Architecture::X32_BIT != 0;
    let known = Architecture::ALL
        .into_iter()
        .find(|one| one.audit() == architecture && (*one == Architecture::X32) == is_x32);
    let Some(known) = known else {
        return format!("{architecture:#x}:{number}");
    };
    let call = Call::all().find(|call| call.number(known) == Some(number));
    match call {
        Some(call) => format!("{}:{}", known.name(), call.name()),
        None => format!("{}:{number}", known.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_table() {
        let names = Names::new();
        let number =
            Call::find("openat").and_then(|call| call.number(Architecture::NATIVE));
        let number = u64::from(number.expect("every architecture has it"));
        assert_eq!(names.name(number), Some("openat"));
        assert_eq!(names.shape(number).map(|shape| shape.name), Some("openat"));
        assert_eq!(names.name(100_000), None);
        assert_eq!(names.name(u64::MAX), None);
    }

    #[test]
    fn a_call_of_another_architecture_is_named_with_it() {
        assert_eq!(foreign(0x4000_0003, 4), "i386:write");
        assert_eq!(foreign(0xc000_003e, 0x4000_0001), "x32:write");
        assert_eq!(foreign(0xc000_003e, 100_000), "x86_64:100000");
        assert_eq!(foreign(0x1234, 7), "0x1234:7");
    }
}
