//! The program of eBPF that guards the device files of a v2 group.
//!
//! The kernel runs it whenever a process of the group opens or makes a device file, with a
//! `struct bpf_cgroup_dev_ctx` (linux/bpf.h), and refuses with `EPERM` if it returns 0. It
//! has a block for each rule, the last rule first, and no loop, so that the verifier sees
//! each instruction once.

use crate::devices::Rules;
use crate::limits::{DeviceKind, DeviceRule};

/// Registers: the context comes in R1, the answer goes out in R0.
const R0: u8 = 0;
const R1: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Opcodes of 32 bits: linux/bpf.h and linux/bpf_common.h.
const LOAD_WORD: u8 = 0x61;
const MOVE_IMMEDIATE: u8 = 0xb4;
const MOVE: u8 = 0xbc;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNLESS_EQUAL: u8 = 0x56;
const JUMP_IF_EQUAL: u8 = 0x16;
const EXIT: u8 = 0x95;

/// linux/bpf.h: BPF_DEVCG_DEV_*.
const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// An instruction as the kernel takes it: opcode, registers, offset, immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    opcode: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: u32,
}

impl Instruction {
    fn encode(self) -> u64 {
        let registers = (self.from << 4) | self.to;
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        u64::from_ne_bytes([self.opcode, registers, o0, o1, i0, i1, i2, i3])
    }
}

/// Compiles rules, as `BPF_PROG_LOAD` takes them. What no rule is about is allowed, as far
/// as the groups above allow it.
#[must_use]
pub fn compile(rules: &Rules) -> Vec<u64> {
    // The verifier refuses what can never be reached: nothing follows a rule about all.
    let everything = rules.list().iter().rposition(|rule| rule.is_default());
    let (begin, last) = match everything {
        Some(at) => (at + 1, rules.list()[at].allow),
        None => (0, true),
    };
    let mut program = prologue();
    for rule in rules.list()[begin..].iter().rev() {
        program.extend(block(rule));
    }
    program.extend(answer(last));
    program.into_iter().map(Instruction::encode).collect()
}

fn instruction(opcode: u8, to: u8, immediate: u32) -> Instruction {
    Instruction {
        opcode,
        to,
        from: 0,
        offset: 0,
        immediate,
    }
}

/// Takes the context apart: `access_type` has the kind in its lower half and the access in
/// the upper one.
fn prologue() -> Vec<Instruction> {
    let load = |to, offset| Instruction {
        from: R1,
        offset,
        ..instruction(LOAD_WORD, to, 0)
    };
    let copy = Instruction {
        from: KIND,
        ..instruction(MOVE, ACCESS, 0)
    };
    vec![
        load(KIND, 0),
        copy,
        instruction(AND_IMMEDIATE, KIND, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ]
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        instruction(MOVE_IMMEDIATE, R0, u32::from(allow)),
        instruction(EXIT, 0, 0),
    ]
}

/// Answers if the rule is about this; falls through to the next if not.
fn block(rule: &DeviceRule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Char => Some(CHAR),
        DeviceKind::Block => Some(BLOCK),
    };
    let wanted = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    for (register, value) in wanted {
        tests.extend(value.map(|value| instruction(JUMP_UNLESS_EQUAL, register, value)));
    }
    tests.extend(access_test(rule));
    // Each jump that fails the rule leads behind its answer.
    let answer = answer(rule.allow);
    let end = tests.len() + answer.len();
    for (position, test) in tests.iter_mut().enumerate() {
        if matches!(test.opcode, JUMP_UNLESS_EQUAL | JUMP_IF_EQUAL) {
            test.offset = (end - position - 1) as i16;
        }
    }
    tests.extend(answer);
    tests
}

/// A rule that allows is about what needs no other access; one that forbids about what
/// needs any of its access.
fn access_test(rule: &DeviceRule) -> Vec<Instruction> {
    const WHOLE: u32 = 7;
    let access = rule.access();
    if access == WHOLE {
        return Vec::new();
    }
    let copy = Instruction {
        from: ACCESS,
        ..instruction(MOVE, SCRATCH, 0)
    };
    let (mask, jump) = if rule.allow {
        (WHOLE & !access, JUMP_UNLESS_EQUAL)
    } else {
        (access, JUMP_IF_EQUAL)
    };
    vec![
        copy,
        instruction(AND_IMMEDIATE, SCRATCH, mask),
        instruction(jump, SCRATCH, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::tests::rule;
    use crate::devices::{MKNOD, READ, WRITE};

    /// What the program answers, worked out as the kernel would.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
        let context = [(access << 16) | kind, major, minor];
        let mut registers = [0u32; 10];
        let mut at = 0usize;
        for _ in 0..=program.len() {
            let [opcode, both, o0, o1, i0, i1, i2, i3] = program[at].to_ne_bytes();
            let (to, from) = ((both & 15) as usize, (both >> 4) as usize);
            let offset = i16::from_ne_bytes([o0, o1]);
            let immediate = u32::from_ne_bytes([i0, i1, i2, i3]);
            at += 1;
            let jump = match opcode {
                LOAD_WORD => {
                    registers[to] = context[offset as usize / 4];
                    false
                }
                MOVE => {
                    registers[to] = registers[from];
                    false
                }
                MOVE_IMMEDIATE => {
                    registers[to] = immediate;
                    false
                }
                AND_IMMEDIATE => {
                    registers[to] &= immediate;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= immediate;
                    false
                }
                JUMP_UNLESS_EQUAL => registers[to] != immediate,
                JUMP_IF_EQUAL => registers[to] == immediate,
                EXIT => return registers[R0 as usize],
                other => panic!("opcode {other:#x}"),
            };
            if jump {
                at += offset as usize;
            }
        }
        panic!("the program does not end");
    }

    fn answers(rules: &[(bool, &str)], what: (u32, u32, u32, u32)) -> bool {
        let rules: Vec<_> = rules
            .iter()
            .map(|(allow, text)| rule(*allow, text))
            .collect();
        let program = compile(&Rules::new(&rules));
        let (kind, major, minor, access) = what;
        run(&program, kind, access, major, minor) == 1
    }

    /// Each block but the last has a test that leads behind it.
    #[test]
    fn every_instruction_can_be_reached() {
        let rules = [
            (true, "c 1:3 r"),
            (false, "a"),
            (true, "c 1:3 r"),
            (true, "c *:* m"),
        ];
        let rules: Vec<_> = rules
            .iter()
            .map(|(allow, text)| rule(*allow, text))
            .collect();
        let program = compile(&Rules::new(&rules));
        let opcode = |at: usize| program[at].to_ne_bytes()[0];
        let mut reached = vec![false; program.len()];
        let mut next = vec![0];
        while let Some(at) = next.pop() {
            if std::mem::replace(&mut reached[at], true) || opcode(at) == EXIT {
                continue;
            }
            next.push(at + 1);
            if matches!(opcode(at), JUMP_UNLESS_EQUAL | JUMP_IF_EQUAL) {
                let [_, _, o0, o1, ..] = program[at].to_ne_bytes();
                next.push(at + 1 + i16::from_ne_bytes([o0, o1]) as usize);
            }
        }
        assert!(reached.iter().all(|it| *it), "{reached:?}");
    }

    #[test]
    fn what_no_rule_is_about_is_allowed() {
        assert!(answers(&[], (CHAR, 1, 3, READ)));
        assert!(answers(&[(false, "b 8:* rwm")], (CHAR, 8, 3, READ)));
    }

    #[test]
    fn the_last_rule_decides() {
        let rules = [(false, "a"), (true, "c 1:3 rw"), (false, "c 1:3 w")];
        assert!(answers(&rules, (CHAR, 1, 3, READ)));
        assert!(!answers(&rules, (CHAR, 1, 3, WRITE)));
        assert!(!answers(&rules, (CHAR, 1, 3, READ | WRITE)));
        assert!(!answers(&rules, (CHAR, 1, 5, READ)));
        assert!(!answers(&rules, (BLOCK, 1, 3, READ)));
    }

    #[test]
    fn a_rule_that_allows_some_does_not_allow_more_at_once() {
        let rules = [(false, "a"), (true, "c 1:3 r")];
        assert!(answers(&rules, (CHAR, 1, 3, READ)));
        assert!(!answers(&rules, (CHAR, 1, 3, READ | WRITE)));
        assert!(!answers(&rules, (CHAR, 1, 3, MKNOD)));
    }

    #[test]
    fn numbers_may_be_left_open() {
        let rules = [(false, "a"), (true, "c *:* m"), (true, "c 136:* rwm")];
        assert!(answers(&rules, (CHAR, 7, 7, MKNOD)));
        assert!(!answers(&rules, (CHAR, 7, 7, READ)));
        assert!(answers(&rules, (CHAR, 136, 9, READ | WRITE)));
    }
}
