//! Questions about arguments.

use serde::{Deserialize, Serialize};

/// How two numbers, without sign, are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A question about an argument: `argument & mask` compared with `value`.
///
/// The kernel takes many arguments as 32-bit numbers and drops the rest: whoever
/// compares all 64 bits of `ioctl`'s request lets `TIOCSTI + (1 << 32)` pass
/// (CVE-2019-10063). A mask without the upper half compares the lower alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// The bits that count.
    pub mask: u64,
    /// The comparison.
    pub comparison: Comparison,
    /// What they are compared with.
    pub value: u64,
}

impl Condition {
    /// The lower half of `argument` is `value`.
    #[must_use]
    pub const fn is(argument: u8, value: u32) -> Self {
        Self {
            argument,
            mask: u32::MAX as u64,
            comparison: Comparison::Equal,
            value: value as u64,
        }
    }

    /// The lower half of `argument` has at least one bit of `mask`.
    #[must_use]
    pub const fn has_any(argument: u8, mask: u32) -> Self {
        Self {
            argument,
            mask: mask as u64,
            comparison: Comparison::NotEqual,
            value: 0,
        }
    }

    /// The same about the lower half alone, as 32-bit programs pass it.
    #[must_use]
    pub const fn low(self) -> Self {
        Self {
            mask: self.mask & u32::MAX as u64,
            value: self.value & u32::MAX as u64,
            ..self
        }
    }

    /// Whether it holds for a call with these arguments.
    #[must_use]
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let argument = arguments.get(usize::from(self.argument)).copied();
        let bits = argument.unwrap_or(0) & self.mask;
        match self.comparison {
            Comparison::Equal => bits == self.value,
            Comparison::NotEqual => bits != self.value,
            Comparison::Less => bits < self.value,
            Comparison::LessOrEqual => bits <= self.value,
            Comparison::Greater => bits > self.value,
            Comparison::GreaterOrEqual => bits >= self.value,
        }
    }
}
