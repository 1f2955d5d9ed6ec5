//! Reading a file that may be anything: a device, a fifo, a folder, a terabyte.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use warren_namespaces::io_error_text;

use crate::error::Error;
use crate::parse::{MAX_LENGTH, too_long};

/// Which file it is, whatever its path.
pub(crate) type Identity = (u64, u64);

/// The text of a file, and which one it is; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<(String, Identity)>, Error> {
    match open(path).and_then(|(file, stat)| Ok((text(file)?, stat))) {
        Ok((Some(text), stat)) => Ok(Some((text, (stat.st_dev, stat.st_ino)))),
        Ok((None, _)) => Err(too_long().file(path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let what = match error.kind() {
                io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
                io::ErrorKind::InvalidInput => "it is no regular file".to_owned(),
                _ => io_error_text(&error),
            };
            Err(Error::new(what).file(path.display()))
        }
    }
}

/// Opens a regular file. Another kind is not opened if it can be told before, and never
/// waited for.
fn open(path: &Path) -> io::Result<(File, Stat)> {
    regular(&rustix::fs::stat(path)?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    regular(&stat)?;
    Ok((fd.into(), stat))
}

fn regular(stat: &Stat) -> io::Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// What is in it, unless that is too long.
fn text(file: File) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LENGTH {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(text))
}
