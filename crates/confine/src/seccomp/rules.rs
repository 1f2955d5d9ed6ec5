//! Rules by number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::action::Action;
use super::architecture::Architecture;
use super::assembler::assemble;
use super::condition::Condition;
use super::filter::Filter;

/// What happens to a call, by its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Conditions that must all hold, and the action if they do; the first counts.
    pub cases: Vec<(Vec<Condition>, Action)>,
    /// The action where no case holds.
    pub otherwise: Action,
}

impl Verdict {
    /// The same for all arguments.
    #[must_use]
    pub const fn always(action: Action) -> Self {
        Self {
            cases: Vec::new(),
            otherwise: action,
        }
    }

    /// `action` where one of `conditions` holds, else `otherwise`.
    #[must_use]
    pub fn any_of(conditions: &[Condition], action: Action, otherwise: Action) -> Self {
        Self {
            cases: conditions
                .iter()
                .map(|condition| (vec![*condition], action))
                .collect(),
            otherwise,
        }
    }

    /// The action for a call with these arguments.
    #[must_use]
    pub fn action(&self, arguments: &[u64; 6]) -> Action {
        self.cases
            .iter()
            .find(|(conditions, _)| conditions.iter().all(|one| one.holds(arguments)))
            .map_or(self.otherwise, |(_, action)| *action)
    }
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        Self::always(action)
    }
}

/// What happens to each number of one architecture, as the kernel tells them apart:
/// x32 is in the rules of x86_64, with its bit.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What happens to runs of numbers; the first run that has the number counts.
    pub ranges: Vec<(RangeInclusive<u32>, Action)>,
    /// What happens to numbers of no run.
    pub otherwise: Action,
    /// The rules of single numbers, which come before both.
    pub calls: BTreeMap<u32, Verdict>,
}

impl Rules {
    /// The rule for `number`.
    #[must_use]
    pub fn verdict(&self, number: u32) -> Verdict {
        match self.calls.get(&number) {
            Some(verdict) => verdict.clone(),
            None => self.of_range(number).into(),
        }
    }

    fn of_range(&self, number: u32) -> Action {
        self.ranges
            .iter()
            .find(|(range, _)| range.contains(&number))
            .map_or(self.otherwise, |(_, action)| *action)
    }

    /// The program that carries them out for the architecture of this program, and
    /// answers `foreign` to the calls of all others.
    #[must_use]
    pub fn compile(&self, foreign: Action) -> Filter {
        let native = Architecture::NATIVE.audit();
        Filter::new(assemble(&[(native, self.segments())], foreign))
    }

    /// The first number of each run of numbers with the same rule, and that rule.
    pub(super) fn segments(&self) -> Vec<(u32, Verdict)> {
        let after = |number: &u32| number.checked_add(1);
        let calls = self.calls.keys();
        let starts: BTreeSet<u32> = std::iter::once(0)
            .chain(
                calls
                    .flat_map(|number| [Some(*number), after(number)])
                    .flatten(),
            )
            .chain(
                self.ranges
                    .iter()
                    .flat_map(|(range, _)| [Some(*range.start()), after(range.end())])
                    .flatten(),
            )
            .collect();
        let mut segments: Vec<_> = starts
            .into_iter()
            .map(|start| (start, self.verdict(start)))
            .collect();
        segments.dedup_by(|next, before| next.1 == before.1);
        segments
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use warren_sys::Errno;

    use super::*;

    pub(crate) use warren_testkit::bpf::{Call, interpret};

    const ENOSYS: Action = Action::fail(Errno::NOSYS);
    const NATIVE: u32 = Architecture::NATIVE.audit();

    pub(crate) fn native(number: u32, arguments: &[u64]) -> Call {
        Call::new(NATIVE, number, arguments)
    }

    pub(crate) fn answer(filter: &Filter, call: &Call) -> u32 {
        interpret(filter.instructions(), call).0
    }

    /// The answer, read off the rules and not the program.
    pub(crate) fn expected(rules: &Rules, call: &Call) -> u32 {
        rules.verdict(call.number).action(&call.arguments).code()
    }

    fn rules(calls: impl IntoIterator<Item = (u32, Verdict)>) -> Rules {
        Rules {
            ranges: vec![(0..=99, Action::Allow), (200..=299, Action::Allow)],
            otherwise: ENOSYS,
            calls: calls.into_iter().collect(),
        }
    }

    #[test]
    fn a_number_has_the_rule_of_its_range_or_its_own() {
        let filter = rules([
            (0, Action::Kill.into()),
            (50, Action::fail(Errno::PERM).into()),
            (250, Action::fail(Errno::ACCESS).into()),
        ])
        .compile(ENOSYS);
        for (number, code) in [
            (0, 0x8000_0000),
            (1, 0x7fff_0000),
            (49, 0x7fff_0000),
            (50, 0x0005_0001),
            (51, 0x7fff_0000),
            (99, 0x7fff_0000),
            (100, 0x0005_0026),
            (199, 0x0005_0026),
            (200, 0x7fff_0000),
            (250, 0x0005_000d),
            (299, 0x7fff_0000),
            (300, 0x0005_0026),
            (0x4000_0032, 0x0005_0026),
            (u32::MAX, 0x0005_0026),
        ] {
            assert_eq!(answer(&filter, &native(number, &[])), code, "{number}");
        }
    }

    #[test]
    fn all_conditions_of_the_first_case_that_counts_hold() {
        let both = vec![Condition::is(0, 7), Condition::has_any(5, 0b110)];
        let upper = Condition {
            mask: 0xffff_ffff << 32,
            value: 9 << 32,
            ..Condition::is(2, 0)
        };
        let verdict = Verdict {
            cases: vec![
                (both, Action::fail(Errno::PERM)),
                (vec![upper], Action::Kill),
            ],
            otherwise: Action::Allow,
        };
        let filter = rules([(3, verdict)]).compile(ENOSYS);
        for (arguments, code) in [
            ([7, 0, 0, 0, 0, 2], 0x0005_0001),
            ([7, 0, 9 << 32, 0, 0, 2], 0x0005_0001),
            ([7, 0, 0, 0, 0, 1], 0x7fff_0000),
            ([6, 0, 0, 0, 0, 2], 0x7fff_0000),
            ([6, 0, 9 << 32 | 1, 0, 0, 2], 0x8000_0000),
            ([6, 0, 9, 0, 0, 2], 0x7fff_0000),
            ([1 << 32 | 7, 0, 0, 0, 0, 4], 0x0005_0001),
        ] {
            let call = native(3, &arguments);
            assert_eq!(answer(&filter, &call), code, "{arguments:?}");
        }
    }

    #[test]
    fn a_program_longer_than_a_conditional_jump_reaches_is_right_everywhere() {
        let verdict = |number: u32| match number % 3 {
            0 => Action::Fail(1 + number as u16 % 90).into(),
            1 => Verdict::any_of(
                &[Condition::is(0, number), Condition::has_any(1, number)],
                Action::Kill,
                Action::fail(Errno::PERM),
            ),
            _ => Action::Allow.into(),
        };
        let rules = rules((0..300).map(|number| (number, verdict(number))));
        let filter = rules.compile(ENOSYS);
        let length = filter.instructions().len();
        assert!((512..4096).contains(&length), "{length} instructions");
        for number in 0..320 {
            for arguments in [[0, 0], [u64::from(number), 0], [0, u64::from(number)]] {
                let call = native(number, &arguments);
                assert_eq!(answer(&filter, &call), expected(&rules, &call), "{call:?}");
            }
        }
    }

    #[test]
    fn a_call_of_another_architecture_is_refused_whatever_its_number() {
        let filter = rules([]).compile(ENOSYS);
        // i386, 32-bit ARM, big-endian PowerPC.
        for architecture in [0x4000_0003, 0x4000_0028, 0x8000_0015, 0] {
            for number in [0, 1, 99, 250, u32::MAX] {
                let call = Call {
                    architecture,
                    ..native(number, &[])
                };
                assert_eq!(answer(&filter, &call), 0x0005_0026, "{call:?}");
            }
        }
    }
}
