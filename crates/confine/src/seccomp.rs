//! A compiler from rules on system calls to a classic BPF program: seccomp(2).
//!
//! The program's first question is the architecture: a 64-bit process can make calls
//! of another one (`int 0x80` on x86_64), where the numbers mean other things, and
//! not one of those may pass unseen. Then it searches the number by halves, and only
//! then looks at arguments. While it looks at nothing but number and architecture,
//! Linux 5.11 and later remember at load time which numbers are always allowed and
//! skip the program for them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use warren_sys::{BpfInstruction, Errno};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The kernel carries it out.
    Allow,
    /// It returns this error and does nothing.
    Fail(Errno),
    /// The whole process dies, as by `SIGSYS`.
    Kill,
}

impl Action {
    /// The program's return value: `SECCOMP_RET_*`.
    const fn code(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Fail(errno) => 0x0005_0000 | (errno.raw_os_error() as u32 & 0xfff),
            Self::Kill => 0x8000_0000,
        }
    }
}

/// A question about one 32-bit half of an argument: is `half & mask` equal to `value`?
///
/// The halves are apart since the kernel takes many arguments as 32-bit numbers and
/// drops the rest: whoever compares all 64 bits of `ioctl`'s request lets
/// `TIOCSTI + (1 << 32)` pass (CVE-2019-10063).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// Whether it is about the upper half.
    pub high: bool,
    /// The bits that count.
    pub mask: u32,
    /// What they are compared with.
    pub value: u32,
    /// The answer for which the condition holds.
    pub equal: bool,
}

impl Condition {
    /// The lower half of `argument` is `value`.
    #[must_use]
    pub const fn is(argument: u8, value: u32) -> Self {
        Self {
            argument,
            high: false,
            mask: u32::MAX,
            value,
            equal: true,
        }
    }

    /// The lower half of `argument` has at least one bit of `mask`.
    #[must_use]
    pub const fn has_any(argument: u8, mask: u32) -> Self {
        Self {
            argument,
            high: false,
            mask,
            value: 0,
            equal: false,
        }
    }

    /// Its place in `struct seccomp_data`, on a little-endian machine.
    fn offset(self) -> u32 {
        16 + 8 * u32::from(self.argument) + 4 * u32::from(self.high)
    }
}

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
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        Self::always(action)
    }
}

/// Rules by system call number, for the architecture that this was built for.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The numbers whose meaning the author of the rules knew.
    pub known: Vec<RangeInclusive<u32>>,
    /// The rule of a known number that has none of its own.
    pub otherwise: Verdict,
    /// The rule of all other numbers, and of all calls of other architectures.
    pub unknown: Action,
    /// The rules of single numbers.
    pub calls: BTreeMap<u32, Verdict>,
}

impl Rules {
    /// The rule for `number`.
    #[must_use]
    pub fn verdict(&self, number: u32) -> Verdict {
        let known = || self.known.iter().any(|range| range.contains(&number));
        match self.calls.get(&number) {
            Some(verdict) => verdict.clone(),
            None if known() => self.otherwise.clone(),
            None => self.unknown.into(),
        }
    }

    /// The program that carries them out.
    #[must_use]
    pub fn compile(&self) -> Filter {
        let mut program = Assembler::default();
        let search = program.search(&self.segments());
        program.load(NUMBER, search);
        let native = program.here();
        let foreign = program.action(self.unknown);
        program.branch(JUMP_EQUAL, ARCHITECTURE, native, foreign);
        program.fall_through_load(ARCH);
        Filter {
            program: program.finish().into(),
        }
    }

    /// The first number of each run of numbers with the same rule, and that rule.
    fn segments(&self) -> Vec<(u32, Verdict)> {
        let starts: BTreeSet<u32> = std::iter::once(0)
            .chain(
                self.calls
                    .keys()
                    .flat_map(|number| [Some(*number), number.checked_add(1)])
                    .flatten(),
            )
            .chain(
                self.known
                    .iter()
                    .flat_map(|range| [Some(*range.start()), range.end().checked_add(1)])
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

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    program: Cow<'static, [BpfInstruction]>,
}

impl Filter {
    /// A program that was compiled before.
    pub(crate) const fn precompiled(program: &'static [BpfInstruction]) -> Self {
        Self {
            program: Cow::Borrowed(program),
        }
    }
}

impl Filter {
    /// The program.
    #[must_use]
    pub fn instructions(&self) -> &[BpfInstruction] {
        &self.program
    }

    /// Puts the calling thread under the filter for good, with all that it forks.
    /// Allocates nothing.
    ///
    /// # Errors
    /// As [`warren_sys::seccomp_load`]: `EACCES` without no_new_privs or
    /// `CAP_SYS_ADMIN`.
    pub fn load(&self) -> Result<(), Errno> {
        warren_sys::seccomp_load(&self.program)
    }
}

// BPF_LD|BPF_W|BPF_ABS and the like, linux/bpf_common.h.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

// Places in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

// AUDIT_ARCH_*, linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// How many instructions there are from a place to the end of the program.
type Label = usize;

/// Builds a program from its end: all jumps of classic BPF go forward, so that each
/// jump's goal is there before the jump is.
#[derive(Default)]
struct Assembler {
    reversed: Vec<BpfInstruction>,
    actions: BTreeMap<u32, Label>,
}

impl Assembler {
    /// A conditional jump skips at most 255 instructions; the margin is for the
    /// unconditional ones that may come between.
    const NEAR: usize = 250;

    fn here(&self) -> Label {
        self.reversed.len()
    }

    fn push(&mut self, code: u16, k: u32) -> Label {
        self.push_jump(code, k, 0, 0)
    }

    fn push_jump(&mut self, code: u16, k: u32, jump_true: u8, jump_false: u8) -> Label {
        self.reversed.push(BpfInstruction {
            code,
            jump_true,
            jump_false,
            k,
        });
        self.here()
    }

    /// `label`, or a place near by that jumps to it.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.here() - label;
        if distance <= Self::NEAR {
            return label;
        }
        // The kernel refuses 4096 instructions, so the distance fits by far.
        self.push(JUMP, u32::try_from(distance).unwrap_or(u32::MAX))
    }

    /// Goes on at `yes` or `no`, by the comparison of the accumulator with `k`.
    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let skip = |label: Label| u8::try_from(self.here() - label).unwrap_or(u8::MAX);
        let (jump_true, jump_false) = (skip(yes), skip(no));
        self.push_jump(code, k, jump_true, jump_false)
    }

    /// Ends the program with `action`.
    fn action(&mut self, action: Action) -> Label {
        let code = action.code();
        if let Some(label) = self.actions.get(&code)
            && self.here() - label <= Self::NEAR
        {
            return *label;
        }
        let label = self.push(RETURN, code);
        self.actions.insert(code, label);
        label
    }

    /// Loads a word of the call's data and goes on at `next`.
    fn load(&mut self, offset: u32, next: Label) -> Label {
        if next != self.here() {
            let distance = self.here() - next;
            self.push(JUMP, u32::try_from(distance).unwrap_or(u32::MAX));
        }
        self.fall_through_load(offset)
    }

    fn fall_through_load(&mut self, offset: u32) -> Label {
        self.push(LOAD_WORD, offset)
    }

    /// Goes on at `yes` where `condition` holds, else at `no`.
    fn condition(&mut self, condition: Condition, yes: Label, no: Label) -> Label {
        let (equal, different) = match condition.equal {
            true => (yes, no),
            false => (no, yes),
        };
        self.branch(JUMP_EQUAL, condition.value, equal, different);
        if condition.mask != u32::MAX {
            self.push(AND, condition.mask);
        }
        self.fall_through_load(condition.offset())
    }

    fn verdict(&mut self, verdict: &Verdict) -> Label {
        let mut next = self.action(verdict.otherwise);
        for (conditions, action) in verdict.cases.iter().rev() {
            let mut held = self.action(*action);
            for condition in conditions.iter().rev() {
                held = self.condition(*condition, held, next);
            }
            next = held;
        }
        next
    }

    /// Finds the segment of the number in the accumulator by halves.
    fn search(&mut self, segments: &[(u32, Verdict)]) -> Label {
        match segments {
            [] => self.here(),
            [(_, verdict)] => self.verdict(verdict),
            _ => {
                let (lower, upper) = segments.split_at(segments.len() / 2);
                let from = upper[0].0;
                let upper = self.search(upper);
                let lower = self.search(lower);
                self.branch(JUMP_GREATER_OR_EQUAL, from, upper, lower)
            }
        }
    }

    fn finish(mut self) -> Vec<BpfInstruction> {
        self.reversed.reverse();
        self.reversed
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a filter sees of a call.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Call {
        pub(crate) number: u32,
        pub(crate) architecture: u32,
        pub(crate) arguments: [u64; 6],
    }

    impl Call {
        pub(crate) fn native(number: u32, arguments: &[u64]) -> Self {
            let mut all = [0; 6];
            all[..arguments.len()].copy_from_slice(arguments);
            Self {
                number,
                architecture: ARCHITECTURE,
                arguments: all,
            }
        }

        /// The word at `offset` of its struct seccomp_data.
        fn word(&self, offset: u32) -> u32 {
            match offset {
                NUMBER => self.number,
                ARCH => self.architecture,
                16..64 if offset.is_multiple_of(4) => {
                    let argument = self.arguments[(offset as usize - 16) / 8];
                    (argument >> (offset % 8 * 8)) as u32
                }
                _ => panic!("the program reads at {offset}"),
            }
        }
    }

    /// What the program returns, and after how many instructions.
    pub(crate) fn interpret(program: &[BpfInstruction], call: &Call) -> (u32, usize) {
        let (mut place, mut accumulator) = (0, 0);
        for steps in 1.. {
            let BpfInstruction {
                code,
                jump_true,
                jump_false,
                k,
            } = program[place];
            place += 1;
            let holds = match code {
                LOAD_WORD => {
                    accumulator = call.word(k);
                    continue;
                }
                AND => {
                    accumulator &= k;
                    continue;
                }
                JUMP => {
                    place += k as usize;
                    continue;
                }
                RETURN => return (k, steps),
                JUMP_EQUAL => accumulator == k,
                JUMP_GREATER_OR_EQUAL => accumulator >= k,
                _ => panic!("instruction {code:#x}"),
            };
            place += usize::from(if holds { jump_true } else { jump_false });
        }
        unreachable!("a program ends with a return")
    }

    pub(crate) fn answer(filter: &Filter, call: &Call) -> u32 {
        interpret(filter.instructions(), call).0
    }

    /// The verdict, read off the rules and not the program.
    pub(crate) fn expected(rules: &Rules, call: &Call) -> u32 {
        if call.architecture != ARCHITECTURE {
            return rules.unknown.code();
        }
        let verdict = rules.verdict(call.number);
        let holds = |condition: &Condition| {
            let argument = call.arguments[usize::from(condition.argument)];
            let half = (argument >> if condition.high { 32 } else { 0 }) as u32;
            (half & condition.mask == condition.value) == condition.equal
        };
        let case = verdict.cases.iter().find(|case| case.0.iter().all(holds));
        case.map_or(verdict.otherwise, |case| case.1).code()
    }

    fn rules(calls: impl IntoIterator<Item = (u32, Verdict)>) -> Rules {
        Rules {
            known: vec![0..=99, 200..=299],
            otherwise: Action::Allow.into(),
            unknown: Action::Fail(Errno::NOSYS),
            calls: calls.into_iter().collect(),
        }
    }

    #[test]
    fn a_number_has_the_rule_of_its_range_or_its_own() {
        let filter = rules([
            (0, Action::Kill.into()),
            (50, Action::Fail(Errno::PERM).into()),
            (250, Action::Fail(Errno::ACCESS).into()),
        ])
        .compile();
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
            assert_eq!(
                answer(&filter, &Call::native(number, &[])),
                code,
                "{number}"
            );
        }
    }

    #[test]
    fn all_conditions_of_the_first_case_that_counts_hold() {
        let both = vec![Condition::is(0, 7), Condition::has_any(5, 0b110)];
        let upper = Condition {
            high: true,
            ..Condition::is(2, 9)
        };
        let verdict = Verdict {
            cases: vec![
                (both, Action::Fail(Errno::PERM)),
                (vec![upper], Action::Kill),
            ],
            otherwise: Action::Allow,
        };
        let filter = rules([(3, verdict)]).compile();
        for (arguments, code) in [
            ([7, 0, 0, 0, 0, 2], 0x0005_0001),
            ([7, 0, 9 << 32, 0, 0, 2], 0x0005_0001),
            ([7, 0, 0, 0, 0, 1], 0x7fff_0000),
            ([6, 0, 0, 0, 0, 2], 0x7fff_0000),
            ([6, 0, 9 << 32 | 1, 0, 0, 2], 0x8000_0000),
            ([6, 0, 9, 0, 0, 2], 0x7fff_0000),
            ([1 << 32 | 7, 0, 0, 0, 0, 4], 0x0005_0001),
        ] {
            let call = Call::native(3, &arguments);
            assert_eq!(answer(&filter, &call), code, "{arguments:?}");
        }
    }

    #[test]
    fn a_program_longer_than_a_conditional_jump_reaches_is_right_everywhere() {
        let verdict = |number: u32| match number % 3 {
            0 => Action::Fail(Errno::from_raw_os_error(1 + number as i32 % 90)).into(),
            1 => Verdict::any_of(
                &[Condition::is(0, number), Condition::has_any(1, number)],
                Action::Kill,
                Action::Fail(Errno::PERM),
            ),
            _ => Action::Allow.into(),
        };
        let rules = rules((0..300).map(|number| (number, verdict(number))));
        let filter = rules.compile();
        let length = filter.instructions().len();
        assert!((512..4096).contains(&length), "{length} instructions");
        for number in 0..320 {
            for arguments in [[0, 0], [u64::from(number), 0], [0, u64::from(number)]] {
                let call = Call::native(number, &arguments);
                assert_eq!(answer(&filter, &call), expected(&rules, &call), "{call:?}");
            }
        }
    }

    #[test]
    fn a_call_of_another_architecture_is_refused_whatever_its_number() {
        let filter = rules([]).compile();
        // i386, 32-bit ARM, big-endian PowerPC.
        for architecture in [0x4000_0003, 0x4000_0028, 0x8000_0015, 0] {
            for number in [0, 1, 99, 250, u32::MAX] {
                let call = Call {
                    architecture,
                    ..Call::native(number, &[])
                };
                assert_eq!(answer(&filter, &call), 0x0005_0026, "{call:?}");
            }
        }
    }
}
