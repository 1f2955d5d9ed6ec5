//! The Linux system calls that [`rustix`] lacks, each wrapped once, without policy.
//!
//! This is the first of the two crates that contain `unsafe` (the other is
//! `warren-spawn`, which forks). A wrapper here takes borrowed, typed arguments,
//! makes exactly one system call where it can, and returns the kernel's errno
//! untouched; what the errno *means* is said by the crates above.
//!
//! Everything here can be called between `clone` and `exec`: nothing allocates, locks or
//! panics, but for [`CStringArray::new`], which allocates.
//!
//! [`rustix`]: https://docs.rs/rustix

pub mod arguments;
mod attempt;
pub mod bpf;
mod clone;
mod core_sched;
mod entry;
mod exec;
mod fd;
mod image;
mod inherited;
mod keyring;
mod landlock;
mod loop_device;
mod mount;
mod nsfs;
mod probe;
pub mod ptrace;
mod scheduling;
mod seccomp;
mod shared;
pub mod signal;
pub mod socket;
mod statmount;
mod wait;
mod worker;

#[cfg(target_arch = "x86_64")]
pub use attempt::i386_getpid;
pub use attempt::{
    Attempt, Push, attempt, clone_user_namespace, clone3_user_namespace, in_child, push,
};
pub use clone::{
    CloneArgs, Forked, clone3, fork, fork_sibling, has_one_thread, setns, unshare,
};
pub use core_sched::{has_core_scheduling, share_cores_with_none};
pub use exec::{CStringArray, execve, execveat, exit_now};
pub use fd::{
    close_range, close_range_on_exec, duplicate, is_alive, is_below_root, is_open,
    leave_terminal, lock_for_reading, loopback_up, open_standard_streams,
    signal_when_readable,
};
pub use image::exchange_image;
pub use inherited::{is_inherited, take_inherited};
pub use keyring::join_session_keyring;
pub use landlock::{
    LandlockRuleset, landlock_abi, landlock_add_path, landlock_add_port, landlock_create,
    landlock_restrict_self,
};
pub use loop_device::attach_loop_device;
pub use mount::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MountAttr, mount_setattr, pivot_root,
};
pub use nsfs::{
    MountNamespaceInfo, NamespaceHandle, list_namespaces, mount_namespace_info,
    mount_namespace_next, mount_namespace_previous, namespace_handle, namespace_id,
    namespace_kind, namespace_owner_uid, namespace_parent, namespace_user,
    open_namespace_handle, pid_from_namespace, socket_namespace, socket_namespace_cookie,
};
pub use probe::{Call, probe};
pub use rustix::io::Errno;
pub use scheduling::{
    SchedulerAttributes, sched_setattr, set_io_priority, set_memory_policy,
    set_personality,
};
pub use seccomp::{
    BpfInstruction, SeccompFlags, seccomp_load, seccomp_load_by_prctl,
    seccomp_load_listener, seccomp_load_with,
};
pub use shared::{SharedPage, Zeroed};
pub use statmount::{MountWords, describe_mount, list_mounts};
pub use wait::{Usage, wait4};
pub use worker::{die_with_maker, worker};

/// The result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// Turns the return value of [`libc::syscall`] into a [`Result`].
fn check(value: libc::c_long) -> Result<libc::c_long> {
    if value == -1 {
        // glibc keeps errno in thread-local storage: reading it allocates nothing,
        // and a forked child has its own copy.
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(value)
}
