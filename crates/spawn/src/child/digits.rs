//! Numbers in paths, without a formatter.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The longest text: what stands before the number, ten digits and a NUL.
const LONGEST: usize = 32;

/// A number in decimal behind a prefix.
pub struct Digits([u8; LONGEST]);

impl Digits {
    /// `prefix`, of at most 20 bytes, and then the number.
    pub fn new(prefix: &CStr, number: u32) -> Self {
        let mut text = [0; LONGEST];
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let prefix = prefix.to_bytes();
        let places = text.iter_mut().zip(prefix);
        places.for_each(|(place, byte)| *place = *byte);
        let mut rest = number;
        let end = (prefix.len() + digits).min(LONGEST - 1);
        for place in text[..end].iter_mut().rev().take(digits) {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self(text)
    }

    /// As the kernel takes it.
    pub fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// The path of a descriptor in a procfs, good as long as it is open.
pub struct FdPath<'a> {
    digits: Digits,
    _open: BorrowedFd<'a>,
}

impl<'a> FdPath<'a> {
    /// `prefix` leads to the folder of descriptors.
    pub fn new(prefix: &CStr, open: BorrowedFd<'a>) -> Self {
        Self {
            digits: Digits::new(prefix, open.as_raw_fd() as u32),
            _open: open,
        }
    }

    /// As the kernel takes it.
    pub fn path(&self) -> &CStr {
        self.digits.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_decimal_behind_its_prefix() {
        for (number, text) in [
            (0, c"fd/0"),
            (9, c"fd/9"),
            (10, c"fd/10"),
            (65_535, c"fd/65535"),
            (u32::MAX, c"fd/4294967295"),
        ] {
            assert_eq!(Digits::new(c"fd/", number).text(), text);
        }
        assert_eq!(
            Digits::new(c"/proc/self/fd/", 12).text(),
            c"/proc/self/fd/12"
        );
    }
}
