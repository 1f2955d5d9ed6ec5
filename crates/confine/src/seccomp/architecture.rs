//! Whose system calls.

use serde::{Deserialize, Serialize};

/// A set of system calls with numbers of its own.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// AMD64.
    X86_64,
    /// AMD64 with 32-bit pointers. The kernel calls it x86_64 and marks its numbers.
    X32,
    /// 32-bit x86.
    I386,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, with its EABI.
    Arm,
}

impl Architecture {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::X86_64,
        Self::X32,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
    ];

    /// That of this program.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// That of this program.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// The bit that marks the numbers of x32: `__X32_SYSCALL_BIT`.
    pub const X32_BIT: u32 = 0x4000_0000;

    /// What the kernel tells a filter: `AUDIT_ARCH_*`, linux/audit.h.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether only the lower half of an argument counts.
    #[must_use]
    pub const fn is_32_bit(self) -> bool {
        matches!(self, Self::X32 | Self::I386 | Self::Arm)
    }

    /// Its name in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::X32 => "x32",
            Self::I386 => "i386",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
        }
    }

    /// The architecture of that [name](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}
