//! What a tracee's memory says.

use warren_sys::ptrace::read_memory;
use warren_sys::{Errno, Result};

/// The longest path of the kernel, with its NUL.
const LONGEST_PATH: usize = 4096;

/// A page: what is readable at its begin is so to its end.
const PAGE: u64 = 4096;

/// The path at `address`, without its NUL.
///
/// # Errors
/// As the call itself: `EFAULT`, `ENAMETOOLONG`; `EPERM` where the program's file may
/// not be read, so that nor may its memory.
pub fn path(tid: i32, address: u64) -> Result<Vec<u8>> {
    let mut path = Vec::new();
    let mut page = [0; PAGE as usize];
    let mut at = address;
    while path.len() < LONGEST_PATH {
        let left = (PAGE - at % PAGE) as usize;
        // Most paths are short.
        let wanted = left.min(if path.is_empty() { 256 } else { left });
        let length = read_memory(tid, at, &mut page[..wanted])?;
        let read = &page[..length];
        if let Some(end) = read.iter().position(|byte| *byte == 0) {
            path.extend_from_slice(&read[..end]);
            return Ok(path);
        }
        if length < wanted {
            return Err(Errno::FAULT);
        }
        path.extend_from_slice(read);
        at = at.wrapping_add(length as u64);
    }
    Err(Errno::NAMETOOLONG)
}

/// The 64-bit number at `address`.
///
/// # Errors
/// As [`path`].
pub fn number(tid: i32, address: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    exactly(tid, address, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Reads as many bytes as there is space.
///
/// # Errors
/// As [`path`].
pub fn exactly(tid: i32, address: u64, into: &mut [u8]) -> Result<()> {
    match read_memory(tid, address, into)? {
        length if length == into.len() => Ok(()),
        _ => Err(Errno::FAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        std::process::id() as i32
    }

    #[test]
    fn a_path_ends_at_its_nul_on_whatever_page() {
        let mut text = vec![b'a'; 3000];
        text.push(0);
        text.extend_from_slice(b"after");
        let read = path(own(), text.as_ptr() as u64);
        assert_eq!(read, Ok(vec![b'a'; 3000]));
        let endless = vec![b'a'; 3 * LONGEST_PATH];
        let read = path(own(), endless.as_ptr() as u64);
        assert_eq!(read, Err(Errno::NAMETOOLONG));
        assert_eq!(path(own(), 8), Err(Errno::FAULT));
    }

    #[test]
    fn a_number_is_as_it_lies_in_memory() {
        let value = 0x0123_4567_89ab_cdef_u64;
        assert_eq!(number(own(), &raw const value as u64), Ok(value));
    }
}
