//! The system calls: names and numbers, of Linux 6.17.
//!
//! `syscalls.txt` has a line for each name, in order, with its number on x86_64, x32
//! (without its bit), i386, aarch64 and arm. It is parsed by the compiler, to rows
//! without a pointer: a table of strings would have to be relocated at each start.

use std::ops::RangeInclusive;

use super::architecture::Architecture;

const TEXT: &str = include_str!("syscalls.txt");

static ROWS: [Row; count_lines(TEXT.as_bytes())] = parse(TEXT.as_bytes());

/// The architectures' columns.
const COLUMNS: usize = Architecture::ALL.len();

/// In a column: there is no such call.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Row {
    /// Where its name is in the text.
    start: u16,
    length: u8,
    numbers: [u32; COLUMNS],
}

impl Row {
    fn name(self) -> &'static str {
        let start = usize::from(self.start);
        &TEXT[start..start + usize::from(self.length)]
    }
}

/// A system call that exists on at least one architecture.
#[derive(Clone, Copy)]
pub struct Call(&'static Row);

impl Call {
    /// The call of that name, as the kernel's headers have it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let place = ROWS.binary_search_by(|row| row.name().cmp(name)).ok()?;
        ROWS.get(place).map(Self)
    }

    /// All calls, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Its number, for x32 with the bit.
    #[must_use]
    pub fn number(self, architecture: Architecture) -> Option<u32> {
        let number = self.0.numbers[architecture as usize];
        match architecture {
            _ if number == NONE => None,
            Architecture::X32 => Some(number | Architecture::X32_BIT),
            _ => Some(number),
        }
    }

    /// Its place in a call of i386 that stands for many, if there is one.
    #[must_use]
    pub fn multiplexed(self) -> Option<Multiplexed> {
        Multiplexed::find(self.name())
    }
}

/// The newest number of `architecture` in this table, but for its [own](own_numbers).
#[must_use]
pub fn newest(architecture: Architecture) -> u32 {
    let own = own_numbers(architecture);
    Call::all()
        .filter_map(|call| call.number(architecture))
        .filter(|number| !own.as_ref().is_some_and(|own| own.contains(number)))
        .max()
        .unwrap_or(0)
}

/// Numbers above all others that are not newer: those of x32's own variants of calls,
/// and of ARM's own calls, cacheflush(2) and the like.
#[must_use]
pub fn own_numbers(architecture: Architecture) -> Option<RangeInclusive<u32>> {
    match architecture {
        Architecture::X32 => {
            Some(Architecture::X32_BIT | 512..=Architecture::X32_BIT | 547)
        }
        // __ARM_NR_BASE.
        Architecture::Arm => Some(0x000f_0000..=u32::MAX),
        _ => None,
    }
}

/// Which of the calls that i386 makes through socketcall(2) or ipc(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplexed {
    /// The number of socketcall or ipc.
    pub number: u32,
    /// Its first argument.
    pub operation: u32,
    /// The bits of it that the kernel looks at: ipc has a version above them.
    pub mask: u32,
}

impl Multiplexed {
    fn find(name: &str) -> Option<Self> {
        let place = |list: &[&str]| list.iter().position(|one| *one == name);
        if let Some(place) = place(&SOCKETCALL) {
            return Some(Self {
                number: 102,
                operation: place as u32 + 1,
                mask: u32::MAX,
            });
        }
        let (_, operation) = IPC.iter().find(|(one, _)| *one == name)?;
        Some(Self {
            number: 117,
            operation: *operation,
            mask: 0xffff,
        })
    }
}

/// The operations of socketcall(2), from 1: linux/net.h.
const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The operations of ipc(2): linux/ipc.h.
const IPC: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

const fn count_lines(text: &[u8]) -> usize {
    let (mut place, mut lines) = (0, 0);
    while place < text.len() {
        if text[place] == b'\n' {
            lines += 1;
        }
        place += 1;
    }
    lines
}

#[allow(
    long_running_const_eval,
    reason = "ten thousand characters, one by one"
)]
const fn parse<const N: usize>(text: &[u8]) -> [Row; N] {
    let mut rows = [Row {
        start: 0,
        length: 0,
        numbers: [NONE; COLUMNS],
    }; N];
    let (mut place, mut line) = (0, 0);
    while line < N {
        let start = place;
        while text[place] != b' ' {
            place += 1;
        }
        rows[line].start = start as u16;
        rows[line].length = (place - start) as u8;
        let mut column = 0;
        while column < COLUMNS {
            // The space before it.
            place += 1;
            let mut number = 0;
            while text[place] != b' ' && text[place] != b'\n' {
                number = match text[place] {
                    b'-' => NONE,
                    digit => number * 10 + (digit - b'0') as u32,
                };
                place += 1;
            }
            rows[line].numbers[column] = number;
            column += 1;
        }
        // The end of the line.
        place += 1;
        line += 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order() {
        let names: Vec<_> = Call::all().map(Call::name).collect();
        assert!(names.is_sorted());
        assert!(names.len() > 450, "{}", names.len());
        for name in names {
            assert_eq!(Call::find(name).expect(name).name(), name);
        }
        for name in ["", "a", "zzz", "read ", "READ", "SYSCALL_BASE"] {
            assert!(Call::find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn no_two_calls_of_an_architecture_have_one_number() {
        for architecture in Architecture::ALL {
            let mut numbers: Vec<_> = Call::all()
                .filter(|call| call.name() != "arm_sync_file_range")
                .filter_map(|call| call.number(architecture))
                .collect();
            let length = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), length, "{architecture:?}");
        }
    }

    #[test]
    fn the_newest_call_is_that_of_linux_6_17() {
        for architecture in Architecture::ALL {
            let newest = newest(architecture) & !Architecture::X32_BIT;
            assert_eq!(newest, 469, "{architecture:?}");
        }
    }

    /// linux-libc-dev's headers, whatever their version: each number that they have.
    fn assert_header(path: &str, architecture: Architecture) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
            panic!("{path}: {error}; on Debian: apt-get install linux-libc-dev")
        });
        let mut seen = 0;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("#define __NR_") else {
                continue;
            };
            let Some((name, value)) = rest.split_once(' ') else {
                continue;
            };
            let value = value.trim_start_matches("(__X32_SYSCALL_BIT + ");
            let Ok(number) = value.trim_end_matches(')').parse::<u32>() else {
                continue;
            };
            let ours = Call::find(name).and_then(|call| call.number(architecture));
            let number = match architecture {
                Architecture::X32 => number | Architecture::X32_BIT,
                _ => number,
            };
            assert_eq!(ours, Some(number), "{name} in {path}");
            seen += 1;
        }
        assert!(seen > 300, "{seen} numbers in {path}");
    }

    #[test]
    fn the_numbers_are_those_of_the_installed_headers() {
        let folder = "/usr/include/x86_64-linux-gnu/asm";
        assert_header(&format!("{folder}/unistd_64.h"), Architecture::X86_64);
        assert_header(&format!("{folder}/unistd_x32.h"), Architecture::X32);
        assert_header(&format!("{folder}/unistd_32.h"), Architecture::I386);
    }
}
