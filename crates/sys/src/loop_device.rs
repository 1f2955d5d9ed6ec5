//! Block devices whose content is a file: loop(4).

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::loop_device::{
    LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LOOP_CONFIGURE, LOOP_CTL_GET_FREE,
    loop_config,
};

use crate::{Errno, Result, check};

/// How often another is asked for where somebody else took the free one.
const TRIES: u32 = 64;
/// Bytes of a block: a page, so that no page of the file is written in parts.
const BLOCK: u32 = 4096;

/// A loop device whose content is `file`, and its number. Nothing of it is left when neither
/// the returned descriptor nor a mount uses it any more (`LO_FLAGS_AUTOCLEAR`), even if
/// nobody is there to clear it. Linux 5.8.
///
/// # Errors
/// `ENOENT` where the machine has no /dev/loop-control; `EACCES` or `EPERM` without the
/// right to it; `EBUSY` where others were faster each time.
pub fn attach_loop_device(file: BorrowedFd<'_>) -> Result<(File, u32)> {
    let control = open("/dev/loop-control")?;
    for _ in 0..TRIES {
        // SAFETY: the request has no argument.
        let number = check(unsafe {
            libc::syscall(libc::SYS_ioctl, control.as_raw_fd(), LOOP_CTL_GET_FREE)
        })?;
        let number = u32::try_from(number).map_err(|_| Errno::INVAL)?;
        let device = open(&format!("/dev/loop{number}"))?;
        match configure(&device, file) {
            Err(Errno::BUSY) => {}
            configured => return configured.map(|()| (device, number)),
        }
    }
    Err(Errno::BUSY)
}

fn open(path: &str) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn configure(device: &File, file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers and arrays of them, for which zero is a value.
    let mut config: loop_config = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd().cast_unsigned();
    config.block_size = BLOCK;
    // What is written is in the page cache of the filesystem on it already.
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR as u32 | LO_FLAGS_DIRECT_IO as u32;
    // SAFETY: the kernel reads a loop_config, which outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            device.as_raw_fd(),
            LOOP_CONFIGURE,
            &raw const config,
        )
    })
    .map(drop)
}
