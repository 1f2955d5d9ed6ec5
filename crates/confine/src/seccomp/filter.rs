//! A compiled filter.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::OwnedFd;

pub use warren_sys::SeccompFlags as LoadFlags;
use warren_sys::{BpfInstruction, Errno};

/// The longest program that the kernel takes: `BPF_MAXINSNS`.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// The rules need a longer program than the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How many instructions they need.
    pub instructions: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the filter has {} instructions, and the kernel takes {MAX_INSTRUCTIONS}",
            self.instructions
        )
    }
}

impl std::error::Error for TooLong {}

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

    pub(crate) fn new(program: Vec<BpfInstruction>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// The filter, unless the kernel would refuse it for its length.
    pub(crate) fn checked(self) -> Result<Self, TooLong> {
        let instructions = self.program.len();
        match instructions > MAX_INSTRUCTIONS {
            true => Err(TooLong { instructions }),
            false => Ok(self),
        }
    }

    /// A program as seccomp(2) takes it: eight bytes an instruction, in the machine's byte
    /// order. The kernel alone knows whether it is a valid one.
    ///
    /// # Errors
    /// In words, where its length cannot be one of a program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let (instructions, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("its length is not a multiple of eight bytes");
        }
        if instructions.is_empty() || instructions.len() > MAX_INSTRUCTIONS {
            return Err("a program has 1 to 4096 instructions");
        }
        let program = instructions
            .iter()
            .map(|[a, b, jt, jf, k @ ..]| BpfInstruction {
                code: u16::from_ne_bytes([*a, *b]),
                jump_true: *jt,
                jump_false: *jf,
                k: u32::from_ne_bytes(*k),
            });
        Ok(Self::new(program.collect()))
    }

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

    /// The same by prctl(2), which a filter that is loaded already may allow alone.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_by_prctl(&self) -> Result<(), Errno> {
        warren_sys::seccomp_load_by_prctl(&self.program)
    }

    /// The same with `flags`.
    ///
    /// # Errors
    /// As [`warren_sys::seccomp_load_with`].
    pub fn load_with(&self, flags: LoadFlags) -> Result<(), Errno> {
        warren_sys::seccomp_load_with(&self.program, flags)
    }

    /// The same, and the descriptor on which a supervisor receives the calls that
    /// [`Action::Notify`](crate::seccomp::Action::Notify) leaves to it.
    ///
    /// # Errors
    /// As [`warren_sys::seccomp_load_listener`].
    pub fn load_listener(&self, flags: LoadFlags) -> Result<OwnedFd, Errno> {
        warren_sys::seccomp_load_listener(&self.program, flags)
    }
}
