//! The mounts of any mount namespace, one by one: listmount(2) and statmount(2).

use std::ffi::CStr;
use std::mem::offset_of;

use linux_raw_sys::general as raw;

use crate::{Errno, Result, check};

/// Fills `mounts` with the numbers of mounts of the mount namespace with the number
/// `namespace` ([`MountNamespaceInfo::id`]), those after `after` (0 for the first), and
/// says how many: listmount(2), Linux 6.11. Fewer than fit means that there are no more.
///
/// [`MountNamespaceInfo::id`]: crate::MountNamespaceInfo::id
///
/// # Errors
/// `ENOENT` where there is no such mount namespace, or the caller lacks `CAP_SYS_ADMIN`
/// in its owner; `ENOSYS` before Linux 6.8, `EINVAL` before 6.11.
pub fn list_mounts(namespace: u64, after: u64, mounts: &mut [u64]) -> Result<usize> {
    /// `LSMT_ROOT`: all below the root of the namespace.
    const ALL: u64 = u64::MAX;
    let request = request(ALL, after, namespace);
    // SAFETY: a whole mnt_id_req of the size that it says, and room for as many numbers
    // as the call is told; both live across it.
    let result = unsafe {
        libc::syscall(
            raw::__NR_listmount.into(),
            &raw const request,
            mounts.as_mut_ptr(),
            mounts.len(),
            0,
        )
    };
    check(result).map(|count| count as usize)
}

/// What [`describe_mount`] says of a mount, as far as the kernel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountWords<'b> {
    /// Type of the filesystem: `nsfs`.
    pub filesystem: Option<&'b CStr>,
    /// What of the filesystem is mounted: a path, or `net:[4026531840]`.
    pub root: Option<&'b CStr>,
    /// Where, below the root of the mount namespace.
    pub mount_point: Option<&'b CStr>,
}

/// Describes the mount with the number `mount` of a mount namespace: statmount(2),
/// Linux 6.11.
///
/// # Errors
/// `EOVERFLOW` where `buffer` is too small: at least 512 bytes and the text;
/// `ENOENT` where the mount is gone, else as [`list_mounts`].
pub fn describe_mount(
    namespace: u64,
    mount: u64,
    buffer: &mut [u8],
) -> Result<MountWords<'_>> {
    let wanted =
        raw::STATMOUNT_FS_TYPE | raw::STATMOUNT_MNT_ROOT | raw::STATMOUNT_MNT_POINT;
    let request = request(mount, wanted.into(), namespace);
    // SAFETY: a whole mnt_id_req of the size that it says, and a buffer of the length
    // given; both live across the call.
    let result = unsafe {
        libc::syscall(
            raw::__NR_statmount.into(),
            &raw const request,
            buffer.as_mut_ptr(),
            buffer.len(),
            0,
        )
    };
    check(result)?;
    words(buffer).ok_or(Errno::OVERFLOW)
}

fn request(mnt_id: u64, param: u64, mnt_ns_id: u64) -> raw::mnt_id_req {
    raw::mnt_id_req {
        size: size_of::<raw::mnt_id_req>() as u32,
        spare: 0,
        mnt_id,
        param,
        mnt_ns_id,
    }
}

/// Finds the texts of a `struct statmount`; `None` where it is not whole.
fn words(buffer: &[u8]) -> Option<MountWords<'_>> {
    let mask = u64::from_ne_bytes(array(buffer, offset_of!(raw::statmount, mask))?);
    let word = |flag: u32, field: usize| {
        if mask & u64::from(flag) == 0 {
            return Some(None);
        }
        let offset = u32::from_ne_bytes(array(buffer, field)?) as usize;
        let text = buffer.get(size_of::<raw::statmount>()..)?.get(offset..)?;
        CStr::from_bytes_until_nul(text).ok().map(Some)
    };
    Some(MountWords {
        filesystem: word(raw::STATMOUNT_FS_TYPE, offset_of!(raw::statmount, fs_type))?,
        root: word(
            raw::STATMOUNT_MNT_ROOT,
            offset_of!(raw::statmount, mnt_root),
        )?,
        mount_point: word(
            raw::STATMOUNT_MNT_POINT,
            offset_of!(raw::statmount, mnt_point),
        )?,
    })
}

fn array<const N: usize>(buffer: &[u8], offset: usize) -> Option<[u8; N]> {
    buffer.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::mount_namespace_info;

    #[test]
    fn the_callers_mounts_are_those_of_its_mountinfo() {
        let own = File::open("/proc/self/ns/mnt").expect("own namespace");
        let info = mount_namespace_info(own.as_fd()).expect("Linux 6.12");
        let mut mounts = [0; 1024];
        let count = list_mounts(info.id, 0, &mut mounts).expect("Linux 6.11");
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        assert_eq!(count, mountinfo.lines().count());
        let mut buffer = [0; 4096];
        let is_proc = |mount: &u64| {
            let words = describe_mount(info.id, *mount, &mut buffer).expect("a mount");
            words.filesystem == Some(c"proc") && words.mount_point == Some(c"/proc")
        };
        assert!(mounts[..count].iter().any(is_proc));
        let error = describe_mount(info.id, mounts[0], &mut buffer[..512]);
        assert_eq!(error, Err(Errno::OVERFLOW));
    }

    #[test]
    fn a_buffer_that_is_not_whole_has_no_words() {
        assert_eq!(words(&[0; 8]), None);
        let mut buffer = vec![0xff; size_of::<raw::statmount>()];
        assert_eq!(words(&buffer), None);
        buffer.fill(0);
        let none = MountWords {
            filesystem: None,
            root: None,
            mount_point: None,
        };
        assert_eq!(words(&buffer), Some(none));
    }
}
