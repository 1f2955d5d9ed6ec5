//! From verdicts to instructions.

use std::collections::BTreeMap;

use warren_sys::BpfInstruction;

use super::action::Action;
use super::condition::{Comparison, Condition};
use super::rules::Verdict;

// BPF_LD|BPF_W|BPF_ABS and the like, linux/bpf_common.h.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

// Places in struct seccomp_data, on a little-endian machine.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The program that finds the segment of the call's number among those of its
/// architecture, as the kernel names it, and answers `foreign` for all others.
pub(super) fn assemble(
    architectures: &[(u32, Vec<(u32, Verdict)>)],
    foreign: Action,
) -> Vec<BpfInstruction> {
    let mut program = Assembler::default();
    let bodies: Vec<_> = architectures
        .iter()
        .map(|(architecture, segments)| {
            let search = program.search(segments);
            (*architecture, program.load(NUMBER, search))
        })
        .collect();
    let mut next = program.action(foreign);
    for (architecture, body) in bodies.into_iter().rev() {
        next = program.branch(JUMP_EQUAL, architecture, body, next);
    }
    program.load(ARCHITECTURE, next);
    program.finish()
}

/// How many instructions there are from a place to the end of the program.
type Label = usize;

/// Builds a program from its end: all jumps of classic BPF go forward, so that each
/// jump's goal is there before the jump is.
#[derive(Default)]
struct Assembler {
    reversed: Vec<BpfInstruction>,
    actions: BTreeMap<u32, Label>,
}

/// Half of an argument, what counts of it, and what it is compared with.
#[derive(Clone, Copy)]
struct Half {
    offset: u32,
    mask: u32,
    value: u32,
}

impl Half {
    fn low(condition: &Condition) -> Self {
        Self {
            offset: ARGUMENTS + 8 * u32::from(condition.argument),
            mask: condition.mask as u32,
            value: condition.value as u32,
        }
    }

    fn high(condition: &Condition) -> Self {
        Self {
            offset: ARGUMENTS + 8 * u32::from(condition.argument) + 4,
            mask: (condition.mask >> 32) as u32,
            value: (condition.value >> 32) as u32,
        }
    }

    /// Whether the comparison is of nothing with nothing.
    fn is_void(self) -> bool {
        self.mask == 0 && self.value == 0
    }
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
        if self.here() - label <= Self::NEAR {
            return label;
        }
        self.jump(label)
    }

    fn jump(&mut self, label: Label) -> Label {
        // The kernel refuses 4096 instructions, so the distance fits by far.
        let distance = self.here() - label;
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
            self.jump(next);
        }
        self.push(LOAD_WORD, offset)
    }

    /// Goes on at `yes` where `condition` holds, else at `no`.
    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) -> Label {
        match condition.comparison {
            Comparison::Equal => self.equal(condition, yes, no),
            Comparison::NotEqual => self.equal(condition, no, yes),
            Comparison::Greater => self.order(JUMP_GREATER, condition, yes, no),
            Comparison::GreaterOrEqual => {
                self.order(JUMP_GREATER_OR_EQUAL, condition, yes, no)
            }
            Comparison::LessOrEqual => self.order(JUMP_GREATER, condition, no, yes),
            Comparison::Less => self.order(JUMP_GREATER_OR_EQUAL, condition, no, yes),
        }
    }

    fn equal(&mut self, condition: &Condition, equal: Label, different: Label) -> Label {
        let mut next = equal;
        for half in [Half::low(condition), Half::high(condition)] {
            if !half.is_void() {
                self.branch(JUMP_EQUAL, half.value, next, different);
                next = self.load_half(half);
            }
        }
        next
    }

    /// The upper half decides unless it is equal: then the lower does, by `code`.
    fn order(
        &mut self,
        code: u16,
        condition: &Condition,
        yes: Label,
        no: Label,
    ) -> Label {
        let (low, high) = (Half::low(condition), Half::high(condition));
        self.branch(code, low.value, yes, no);
        let next = self.load_half(low);
        if high.is_void() {
            return next;
        }
        let no_more = self.branch(JUMP_EQUAL, high.value, next, no);
        self.branch(JUMP_GREATER, high.value, yes, no_more);
        self.load_half(high)
    }

    fn load_half(&mut self, half: Half) -> Label {
        if half.mask != u32::MAX {
            self.push(AND, half.mask);
        }
        self.push(LOAD_WORD, half.offset)
    }

    fn verdict(&mut self, verdict: &Verdict) -> Label {
        let mut next = self.action(verdict.otherwise);
        for (conditions, action) in verdict.cases.iter().rev() {
            let mut held = self.action(*action);
            for condition in conditions.iter().rev() {
                held = self.condition(condition, held, next);
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
