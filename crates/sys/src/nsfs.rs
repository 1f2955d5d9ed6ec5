//! Namespace descriptors: the ioctls of ioctl_nsfs(2), and the namespaces that only the
//! kernel's own list has.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check};
use libc::{c_int, c_long, c_void};

const NS_GET_USERNS: u64 = 0xb701;
const NS_GET_PARENT: u64 = 0xb702;
const NS_GET_NSTYPE: u64 = 0xb703;
const NS_GET_OWNER_UID: u64 = 0xb704;
const NS_GET_PID_FROM_PIDNS: u64 = 0x8004_b706;
const NS_MNT_GET_INFO: u64 = 0x8010_b70a;
const NS_MNT_GET_NEXT: u64 = 0x8010_b70b;
const NS_MNT_GET_PREV: u64 = 0x8010_b70c;
const NS_GET_ID: u64 = 0x8008_b70d;

/// The user namespace that owns the namespace `fd`: `NS_GET_USERNS`, Linux 4.9.
///
/// # Errors
/// `EPERM` where the owner is outside of the caller's own user namespace.
pub fn namespace_user(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    new_fd(fd, NS_GET_USERNS)
}

/// The parent of the pid or user namespace `fd`: `NS_GET_PARENT`, Linux 4.9.
///
/// # Errors
/// `EPERM` where the parent is out of the caller's sight, as the initial namespace's
/// is; `EINVAL` for a kind without hierarchy.
pub fn namespace_parent(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    new_fd(fd, NS_GET_PARENT)
}

/// The number, as the caller's pid namespace counts, of the process that is `pid` in the
/// pid namespace `fd`: `NS_GET_PID_FROM_PIDNS`, Linux 6.11.
///
/// # Errors
/// `ESRCH` where it has no such process, `ENOTTY` before Linux 6.11.
pub fn pid_from_namespace(fd: BorrowedFd<'_>, pid: u32) -> Result<u32> {
    // SAFETY: the request takes its argument as a number.
    check(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            fd.as_raw_fd(),
            NS_GET_PID_FROM_PIDNS,
            pid as c_long,
        )
    })
    .map(|pid| pid as u32)
}

/// The `CLONE_NEW*` bit of the namespace `fd`: `NS_GET_NSTYPE`, Linux 4.11.
///
/// # Errors
/// `ENOTTY` where `fd` is no namespace.
pub fn namespace_kind(fd: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: the request has no argument.
    unsafe { ioctl::<()>(fd, NS_GET_NSTYPE, std::ptr::null_mut()) }
        .map(|kind| kind as u64)
}

/// The user id, as the caller's user namespace sees it, that made the user namespace
/// `fd`: `NS_GET_OWNER_UID`, Linux 4.11.
///
/// # Errors
/// `EINVAL` where `fd` is no user namespace.
pub fn namespace_owner_uid(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut uid = 0_u32;
    // SAFETY: the request writes one uid_t, to a live one.
    unsafe { ioctl(fd, NS_GET_OWNER_UID, &raw mut uid) }.map(|_| uid)
}

/// The number of the namespace `fd`, which no other ever had since the machine was
/// started: `NS_GET_ID`, Linux 6.18.
///
/// # Errors
/// `ENOTTY` on an older kernel.
pub fn namespace_id(fd: BorrowedFd<'_>) -> Result<u64> {
    let mut id = 0_u64;
    // SAFETY: the request writes one u64, to a live one.
    unsafe { ioctl(fd, NS_GET_ID, &raw mut id) }.map(|_| id)
}

/// What a mount namespace tells of itself: `struct mnt_ns_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MountNamespaceInfo {
    size: u32,
    /// How many mounts are in it.
    pub mounts: u32,
    /// Its number for listmount(2) and statmount(2).
    pub id: u64,
}

impl MountNamespaceInfo {
    const fn empty() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            mounts: 0,
            id: 0,
        }
    }
}

/// The number of the mount namespace `fd` and how many mounts it has:
/// `NS_MNT_GET_INFO`, Linux 6.12.
///
/// # Errors
/// `ENOTTY` on an older kernel, `EINVAL` where `fd` is another kind of namespace.
pub fn mount_namespace_info(fd: BorrowedFd<'_>) -> Result<MountNamespaceInfo> {
    let mut info = MountNamespaceInfo::empty();
    // SAFETY: the request writes one mnt_ns_info, to a live one.
    unsafe { ioctl(fd, NS_MNT_GET_INFO, &raw mut info) }.map(|_| info)
}

/// The mount namespace that was made next after `fd`, among those in whose owner the
/// caller has `CAP_SYS_ADMIN`: `NS_MNT_GET_NEXT`, Linux 6.12.
///
/// # Errors
/// `ENOENT` where `fd` is the last, `ENOTTY` on an older kernel.
pub fn mount_namespace_next(fd: BorrowedFd<'_>) -> Result<(OwnedFd, MountNamespaceInfo)> {
    mount_namespace_beside(fd, NS_MNT_GET_NEXT)
}

/// The one that was made before: `NS_MNT_GET_PREV`, Linux 6.12.
///
/// # Errors
/// As [`mount_namespace_next`].
pub fn mount_namespace_previous(
    fd: BorrowedFd<'_>,
) -> Result<(OwnedFd, MountNamespaceInfo)> {
    mount_namespace_beside(fd, NS_MNT_GET_PREV)
}

fn mount_namespace_beside(
    fd: BorrowedFd<'_>,
    request: u64,
) -> Result<(OwnedFd, MountNamespaceInfo)> {
    let mut info = MountNamespaceInfo::empty();
    // SAFETY: both requests write one mnt_ns_info, to a live one.
    let raw = unsafe { ioctl(fd, request, &raw mut info) }?;
    // SAFETY: both return a new descriptor that nobody else knows.
    let beside = unsafe { OwnedFd::from_raw_fd(raw as i32) };
    Ok((beside, info))
}

/// The network namespace of the socket `fd`: `SIOCGSKNS`, Linux 4.10.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` in the namespace's owner; `ENOTTY` where `fd` is no
/// socket.
pub fn socket_namespace(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    const SIOCGSKNS: u64 = 0x894c;
    new_fd(fd, SIOCGSKNS)
}

/// The number of the network namespace of the socket `fd`, for comparing with that of
/// another socket: `SO_NETNS_COOKIE`, socket(7), Linux 5.14. Needs no privilege.
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel, `ENOTSOCK` where `fd` is no socket.
pub fn socket_namespace_cookie(fd: BorrowedFd<'_>) -> Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the option writes one u64, to a live one of the length given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_getsockopt,
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            linux_raw_sys::net::SO_NETNS_COOKIE,
            &raw mut cookie,
            &raw mut length,
        )
    };
    check(result).map(|_| cookie)
}

/// What a namespace's file handle says: `struct nsfs_file_handle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct NamespaceHandle {
    /// As [`namespace_id`] gives it.
    pub id: u64,
    /// Its `CLONE_NEW*` bit.
    pub kind: u32,
    /// Its inode.
    pub inode: u32,
}

#[repr(C)]
struct FileHandle {
    bytes: u32,
    kind: c_int,
    handle: NamespaceHandle,
}

const FILEID_NSFS: c_int = 0xf1;

/// The file handle of the namespace `fd`: name_to_handle_at(2), Linux 6.18.
///
/// # Errors
/// `EOPNOTSUPP` on an older kernel; `EINVAL` where `fd` is no namespace.
pub fn namespace_handle(fd: BorrowedFd<'_>) -> Result<NamespaceHandle> {
    let mut file = FileHandle {
        bytes: size_of::<NamespaceHandle>() as u32,
        kind: 0,
        handle: NamespaceHandle {
            id: 0,
            kind: 0,
            inode: 0,
        },
    };
    let mut mount: c_int = 0;
    // SAFETY: an empty C string; a file_handle with room for as many bytes as it says;
    // and an int for the mount's number. All live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_raw_fd(),
            c"".as_ptr(),
            &raw mut file,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    match check(result) {
        // Another filesystem's handle, longer or not.
        Err(Errno::OVERFLOW) => Err(Errno::INVAL),
        Ok(_) if file.kind != FILEID_NSFS => Err(Errno::INVAL),
        answer => answer.map(|_| file.handle),
    }
}

/// Opens a namespace by its file handle: open_by_handle_at(2) with `FD_NSFS_ROOT`,
/// Linux 6.18. Since 6.19 the kind and the inode may be 0.
///
/// # Errors
/// `ESTALE` where the namespace is gone, or the caller neither is in it nor has
/// `CAP_SYS_ADMIN` in its owner; `EBADF` on an older kernel.
pub fn open_namespace_handle(handle: NamespaceHandle) -> Result<OwnedFd> {
    const FD_NSFS_ROOT: c_int = -10003;
    let file = FileHandle {
        bytes: size_of::<NamespaceHandle>() as u32,
        kind: FILEID_NSFS,
        handle,
    };
    // SAFETY: a whole file_handle of the size that it says, which lives across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            FD_NSFS_ROOT,
            &raw const file,
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    let raw = check(result)?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}

/// `struct ns_id_req`.
#[repr(C)]
struct NamespaceRequest {
    size: u32,
    spare: u32,
    after: u64,
    kind: u32,
    spare2: u32,
    owner: u64,
}

/// Fills `ids` with the numbers of the namespaces that the caller may see and whose
/// number is greater than `after`, lowest first, and says how many: listns(2), Linux
/// 6.19. Fewer than fit means that there are no more.
///
/// # Errors
/// `ENOSYS` on an older kernel.
pub fn list_namespaces(after: u64, ids: &mut [u64]) -> Result<usize> {
    const SYS_LISTNS: c_long = 470;
    let request = NamespaceRequest {
        size: size_of::<NamespaceRequest>() as u32,
        spare: 0,
        after,
        kind: 0,
        spare2: 0,
        owner: 0,
    };
    // SAFETY: a whole ns_id_req of the size that it says, and room for as many numbers
    // as the call is told; both live across it.
    let result = unsafe {
        libc::syscall(
            SYS_LISTNS,
            &raw const request,
            ids.as_mut_ptr(),
            ids.len(),
            0,
        )
    };
    check(result).map(|count| count as usize)
}

fn new_fd(fd: BorrowedFd<'_>, request: u64) -> Result<OwnedFd> {
    // SAFETY: the requests that come here have no argument.
    let raw = unsafe { ioctl::<c_void>(fd, request, std::ptr::null_mut()) }?;
    // SAFETY: all of them return a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}

/// # Safety
/// `argument` must be what the request takes: null where it takes none.
unsafe fn ioctl<T>(fd: BorrowedFd<'_>, request: u64, argument: *mut T) -> Result<c_long> {
    // SAFETY: the caller's promise about the argument; the descriptor is open.
    check(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), request, argument) })
}
