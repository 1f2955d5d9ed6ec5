//! The file that a process is executed from, exchanged while it runs.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;
use std::sync::atomic::{Ordering, compiler_fence};

use libc::Elf64_Phdr as Header;

use crate::{Errno, Result, arguments, check, has_one_thread};

/// Makes `file`, the program that this process executes, opened for reading by way of
/// another mount, the one that /proc/PID/exe leads to, and has no memory of the other left:
/// mmap(2), mremap(2) and `PR_SET_MM` of prctl(2).
///
/// What is mapped of the program's file and cannot be written is mapped of `file` in its
/// place, and what can be written is copied. The program goes on with the same bytes at the
/// same addresses.
///
/// # Errors
/// `EPERM` without `CAP_CHECKPOINT_RESTORE`, `EBUSY` for a process with threads, `EINVAL`
/// where `file` is another one, or the kernel cannot checkpoint; the process goes on then
/// with what it had, or with some of it mapped of `file`.
pub fn exchange_image(file: BorrowedFd<'_>) -> Result<()> {
    // What another thread writes while it is copied would be lost.
    if !has_one_thread() {
        return Err(Errno::BUSY);
    }
    check_is_own(file)?;
    let image = Image::own().ok_or(Errno::INVAL)?;
    let (written, kept): (Vec<_>, Vec<_>) = image
        .parts(libc::PT_LOAD)
        .partition(|part| part.p_flags & libc::PF_W != 0);
    kept.into_iter()
        .try_for_each(|part| image.map(part, file))?;
    image.copy(&written)?;
    for part in image.parts(libc::PT_GNU_RELRO) {
        image.close(part)?;
    }
    lead_to(file, &image)
}

/// Has /proc/PID/exe lead to `file`: `PR_SET_MM_MAP`, which takes less of a privilege than
/// `PR_SET_MM_EXE_FILE`, and with it all that the kernel notes of the places of a program.
fn lead_to(file: BorrowedFd<'_>, image: &Image) -> Result<()> {
    let mut places = Places::of(image).ok_or(Errno::INVAL)?;
    places.exe_fd = file.as_raw_fd() as u32;
    // SAFETY: the kernel reads as much as `Places` has, and notes it.
    let noted = unsafe {
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const places,
            size_of::<Places>(),
            0,
        )
    };
    check(noted).map(drop)
}

/// `struct prctl_mm_map` of linux/prctl.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    /// The auxiliary vector stays what it is if there is none.
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl Places {
    /// What this process knows of them without asking. What the heap has by now counts as
    /// if it had been there at the start: only what brk(2) takes back would come below.
    fn of(image: &Image) -> Option<Self> {
        // SAFETY: by 0 nothing is moved.
        let brk = unsafe { libc::sbrk(0) } as u64;
        let (arguments, environment) = arguments::places()?;
        let span = |flag| {
            let mut parts = image.parts(libc::PT_LOAD);
            let part = parts.find(|part| part.p_flags & flag != 0)?;
            let start = image.base as u64 + part.p_vaddr;
            Some((start, start + part.p_filesz))
        };
        let (start_code, end_code) = span(libc::PF_X)?;
        let (start_data, end_data) = span(libc::PF_W)?;
        Some(Self {
            start_code,
            end_code,
            start_data,
            end_data,
            start_brk: brk,
            brk,
            start_stack: arguments.start,
            arg_start: arguments.start,
            arg_end: arguments.end,
            env_start: environment.start,
            env_end: environment.end,
            ..Self::default()
        })
    }
}

/// Whether `file` is what this process executes, by device and inode.
fn check_is_own(file: BorrowedFd<'_>) -> Result<()> {
    let own = rustix::fs::stat(c"/proc/self/exe")?;
    let other = rustix::fs::fstat(file)?;
    match (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino) {
        true => Ok(()),
        false => Err(Errno::INVAL),
    }
}

/// Where the kernel has mapped this program.
struct Image {
    /// What is added to the addresses in its file.
    base: usize,
    headers: &'static [Header],
    page: usize,
}

impl Image {
    fn own() -> Option<Self> {
        // SAFETY: getauxval(3) reads what the kernel has passed.
        let at = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
        // SAFETY: as above.
        let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
        // SAFETY: as above.
        let count = unsafe { libc::getauxval(libc::AT_PHNUM) } as usize;
        if at == 0 || count == 0 || page == 0 {
            return None;
        }
        // SAFETY: the kernel says that the headers are there; they are in a part of the file
        // that nobody can write, stay mapped and keep their bytes.
        let headers = unsafe { std::slice::from_raw_parts(at as *const Header, count) };
        let own = headers.iter().find(|it| it.p_type == libc::PT_PHDR)?;
        Some(Self {
            base: at.checked_sub(own.p_vaddr as usize)?,
            headers,
            page,
        })
    }

    fn parts(&self, kind: u32) -> impl Iterator<Item = &'static Header> {
        self.headers.iter().filter(move |it| it.p_type == kind)
    }

    /// The pages of a part that come from the file, and where in the file the first is.
    fn pages(&self, part: &Header) -> (*mut c_void, usize, u64) {
        let address = self.base + part.p_vaddr as usize;
        let within = address % self.page;
        let length = (within + part.p_filesz as usize).next_multiple_of(self.page);
        let start = (address - within) as *mut c_void;
        (start, length, part.p_offset - within as u64)
    }

    /// Maps the same bytes of `file` in place of a part that nobody can write.
    fn map(&self, part: &Header, file: BorrowedFd<'_>) -> Result<()> {
        let (start, length, offset) = self.pages(part);
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        // SAFETY: the same file has been mapped there at the same offset by the kernel, with
        // the same protection, so code and constants stay as they are; the exchange is one
        // step to this process. Its relocations are in the parts that can be written.
        let mapped = unsafe {
            let file = file.as_raw_fd();
            let protection = protection(part);
            libc::syscall(
                libc::SYS_mmap,
                start,
                length,
                protection,
                flags,
                file,
                offset,
            )
        };
        check(mapped).map(drop)
    }

    /// Puts memory of no file with the same bytes in place of the parts that are written,
    /// which lie side by side.
    fn copy(&self, parts: &[&Header]) -> Result<()> {
        let mut all: Option<(*mut c_void, usize)> = None;
        for part in parts {
            let (start, length, _) = self.pages(part);
            all = match all {
                Some((first, before)) if first.wrapping_byte_add(before) == start => {
                    Some((first, before + length))
                }
                Some((first, before)) => {
                    copy(first, before)?;
                    Some((start, length))
                }
                None => Some((start, length)),
            };
        }
        all.map_or(Ok(()), |(start, length)| copy(start, length))
    }

    /// Forbids again to write what the loader has written at the start.
    fn close(&self, part: &Header) -> Result<()> {
        let address = self.base + part.p_vaddr as usize;
        let start = address - address % self.page;
        let end = address + part.p_memsz as usize;
        let length = end - end % self.page - start;
        // SAFETY: the C library has done the same at the start, and nobody has written
        // there since then.
        let closed =
            unsafe { libc::syscall(libc::SYS_mprotect, start, length, libc::PROT_READ) };
        check(closed).map(drop)
    }
}

/// Puts memory of no file with the same bytes in place of pages that can be written.
fn copy(start: *mut c_void, length: usize) -> Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: a new mapping where the kernel likes touches no memory in use.
    let copy = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            null_mut::<c_void>(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    let copy = check(copy)? as *mut c_void;
    // What the compiler keeps of variables in registers is written before.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: both have `length` bytes, and the one was just mapped. No other thread is
    // there to write meanwhile, and neither this nor the next call does: their variables
    // are on the stack.
    unsafe { std::ptr::copy_nonoverlapping(start.cast::<u8>(), copy.cast(), length) };
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: at `start` are the same bytes before and afterwards.
    let moved =
        unsafe { libc::syscall(libc::SYS_mremap, copy, length, length, flags, start) };
    compiler_fence(Ordering::SeqCst);
    check(moved).map(drop)
}

fn protection(part: &Header) -> i32 {
    let allowed = [
        (libc::PF_R, libc::PROT_READ),
        (libc::PF_W, libc::PROT_WRITE),
        (libc::PF_X, libc::PROT_EXEC),
    ];
    let allowed = allowed.into_iter();
    allowed.fold(0, |all, (flag, protection)| match part.p_flags & flag {
        0 => all,
        _ => all | protection,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_process_with_threads_is_left_alone() {
        let file = std::fs::File::open("/proc/self/exe").expect("it is there");
        assert_eq!(exchange_image(file.as_fd()), Err(Errno::BUSY));
    }

    #[test]
    fn another_file_is_refused() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert_eq!(check_is_own(file.as_fd()), Err(Errno::INVAL));
        let file = std::fs::File::open("/proc/self/exe").expect("it is there");
        assert_eq!(check_is_own(file.as_fd()), Ok(()));
    }

    #[test]
    fn the_headers_of_a_program_say_where_its_code_is() {
        let image = Image::own().expect("the kernel has passed it");
        let own = protection as fn(&Header) -> i32 as usize;
        let mut codes = image
            .parts(libc::PT_LOAD)
            .filter(|it| it.p_flags & libc::PF_X != 0);
        assert!(codes.any(|code| {
            let (start, length, _) = image.pages(code);
            (start as usize..start as usize + length).contains(&own)
        }));
    }
}
