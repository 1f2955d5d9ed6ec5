//! The binary itself: one file, static, small.

use std::fs;

use warren_testkit::{Test, staged, tests};

pub const TESTS: &[Test] = tests! {
    User:
        the_binary_needs_no_loader_and_no_library,
        the_binary_takes_less_than_7_mib;
};

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// Type and size in the file of each program header: elf(5), 64 bits, little endian.
fn program_headers(elf: &[u8]) -> Vec<(u32, u64)> {
    assert_eq!(
        &elf[..6],
        b"\x7fELF\x02\x01",
        "a 64-bit little-endian ELF file"
    );
    let number = |at: usize, length: usize| {
        let bytes = &elf[at..at + length];
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count)
        .map(|index| (start + index * size) as usize)
        .map(|header| (number(header, 4) as u32, number(header + 32, 8)))
        .collect()
}

fn the_binary_needs_no_loader_and_no_library() {
    let elf = fs::read(staged("warren")).expect("read the binary");
    let headers = program_headers(&elf);
    assert!(
        headers.iter().any(|(kind, _)| *kind == PT_LOAD),
        "{headers:?}"
    );
    assert!(
        headers.iter().all(|(kind, _)| *kind != PT_INTERP),
        "it names a loader"
    );
}

/// What is loaded; a release is stripped of all else.
fn the_binary_takes_less_than_7_mib() {
    let elf = fs::read(staged("warren")).expect("read the binary");
    let headers = program_headers(&elf);
    let loaded = headers
        .iter()
        .filter(|(kind, _)| *kind == PT_LOAD)
        .map(|(_, size)| size);
    let loaded: u64 = loaded.sum();
    assert!(loaded < 7 << 20, "{loaded} bytes are loaded");
}
