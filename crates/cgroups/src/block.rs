//! Which block device a file is on, and which whole disk that is: the kernel limits no
//! partition by itself.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;
use warren_namespaces::mountinfo;

use crate::Error;
use crate::limits::DeviceNumber;

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its numbers.
    pub number: DeviceNumber,
    /// Its name below /dev.
    pub name: String,
}

/// The disk of a device file, or the one on which the file or folder is.
///
/// # Errors
/// `ENOENT` where there is no such file, `ENODEV` where it is in memory, on the network, or
/// in a filesystem of several disks.
pub fn disk_of(path: &Path) -> Result<Disk, Error> {
    let wrap = |errno| Error::new("find the disk of", path.to_string_lossy(), errno);
    let stat = rustix::fs::stat(path).map_err(wrap)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
    let raw = if is_device { stat.st_rdev } else { stat.st_dev };
    let number = DeviceNumber {
        major: rustix::fs::major(raw),
        minor: rustix::fs::minor(raw),
    };
    whole(number)
        .or_else(|| whole(source_of(path)?))
        .ok_or_else(|| wrap(Errno::NODEV))
}

/// A filesystem such as btrfs has a device number of its own, which is no disk's: its mount
/// names the disk.
fn source_of(path: &Path) -> Option<DeviceNumber> {
    let path = path.canonicalize().ok()?;
    let mounts = mountinfo::own(&warren_namespaces::ProcRoot::open().ok()?).ok()?;
    let above = mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.mount_point));
    let nearest = above.max_by_key(|mount| mount.mount_point.as_os_str().len())?;
    let stat = rustix::fs::stat(&nearest.source).ok()?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
    is_device.then(|| DeviceNumber {
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
    })
}

/// The disk that a device is, or is a part of: a partition's folder in sysfs(5) is in that
/// of its disk.
fn whole(number: DeviceNumber) -> Option<Disk> {
    let folder = PathBuf::from(format!("/sys/dev/block/{number}"));
    let folder = folder.canonicalize().ok()?;
    let disk = if folder.join("partition").exists() {
        folder.parent()?.to_owned()
    } else {
        folder
    };
    let text = std::fs::read_to_string(disk.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(Disk {
        number: DeviceNumber {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        },
        name: disk.file_name()?.to_string_lossy().into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_on_no_disk() {
        let error = disk_of(Path::new("/proc/self")).expect_err("no disk");
        assert_eq!(error.errno(), Errno::NODEV);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = disk_of(Path::new("/no/such")).expect_err("no file");
        assert_eq!(
            error.to_string(),
            "find the disk of /no/such: No such file or directory"
        );
    }
}
