//! Numbers of the command line.

use std::ffi::OsStr;

use crate::failure::Failure;

/// A decimal number; nothing that merely begins like one.
pub fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A mode in octal.
pub fn mode(option: &str, text: &OsStr) -> Result<u32, Failure> {
    let digits = text.to_str().filter(|text| {
        !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
    });
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok());
    mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        let text = text.display();
        Failure::usage(format!(
            "{option}: '{text}' is no mode in octal, such as 755"
        ))
    })
}

/// Bytes: a number, and K, M, G or T for powers of 1024.
pub fn size(option: &str, text: &str) -> Result<u64, Failure> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        Some(b'T' | b't') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let all_digits =
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = all_digits.then(|| digits.parse::<u64>().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    // What overflows when the kernel rounds it up to pages is none either.
    bytes
        .filter(|bytes| (1..=u64::MAX / 2).contains(bytes))
        .ok_or_else(|| {
            Failure::usage(format!("{option}: '{text}' is no size, such as 64M or 1G"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_nothing_but_digits() {
        assert_eq!(number("1000"), Some(1000));
        for text in ["", "+1", "-1", "1 ", "1000:", "4294967296", "0x10"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_numbers_with_a_letter() {
        let is = |text: &str| size("--tmpfs", text).ok();
        assert_eq!(is("1"), Some(1));
        assert_eq!(is("64k"), Some(65_536));
        assert_eq!(is("3G"), Some(3 << 30));
        for wrong in ["", "0", "M", "1.5G", "-1", "1MB", "99999999999T"] {
            assert_eq!(is(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn modes_are_octal() {
        let is = |text: &str| mode("--chmod", text.as_ref()).ok();
        assert_eq!(is("1777"), Some(0o1777));
        for wrong in ["", "8", "u+x", "77777", "-1"] {
            assert_eq!(is(wrong), None, "{wrong}");
        }
    }
}
