//! The files of a group: small texts, read and written whole.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::Errno;

use crate::delegation::open_inside;

/// Reads a file of an open group, up to its end.
pub fn read(folder: impl AsFd, name: &str) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = open_inside(folder, Path::new(name), flags)?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(&fd, &mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads a file of an open group that is no list, which the kernel gives in one call.
pub fn read_value(folder: impl AsFd, name: &str) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = open_inside(folder, Path::new(name), flags)?;
    let mut buffer = [0; 1024];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut buffer))?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Writes a file of an open group, in one call: the kernel takes each as a command.
pub fn write(folder: impl AsFd, name: &str, value: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = open_inside(folder, Path::new(name), flags)?;
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).map(drop)
}

/// Whether an open group has a file, and so is still there.
pub fn exists(folder: impl AsFd, name: &str) -> bool {
    rustix::fs::accessat(folder, name, Access::EXISTS, AtFlags::empty()).is_ok()
}

/// A file that has one number, or `max`.
pub fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
