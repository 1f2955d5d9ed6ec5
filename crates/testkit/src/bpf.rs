//! What a seccomp filter says of a call: an interpreter of the classic BPF that the
//! kernel takes for filters.

use warren_sys::BpfInstruction;

/// What a filter sees of a call: `struct seccomp_data`, but for the address.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// Its architecture: `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Call {
    /// The call of `architecture`; arguments that are not given are 0.
    #[must_use]
    pub fn new(architecture: u32, number: u32, arguments: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Self {
            number,
            architecture,
            arguments: all,
        }
    }

    /// The word at `offset` of its struct seccomp_data, on a little-endian machine.
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                (argument >> (offset % 8 * 8)) as u32
            }
            _ => panic!("the program reads at {offset}"),
        }
    }
}

/// What the program returns, and after how many instructions.
///
/// # Panics
/// For an instruction that no filter needs, and a jump out of the program.
#[must_use]
pub fn interpret(program: &[BpfInstruction], call: &Call) -> (u32, usize) {
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
            // ld [k], and #k, ja k, ret #k.
            0x20 => {
                accumulator = call.word(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                place += k as usize;
                continue;
            }
            0x06 => return (k, steps),
            // jeq, jgt, jge, jset.
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            0x45 => accumulator & k != 0,
            _ => panic!("instruction {code:#x}"),
        };
        place += usize::from(if holds { jump_true } else { jump_false });
    }
    unreachable!("a program ends with a return")
}
