//! When a process runs, where its memory lies, and as what machine it appears.

use crate::{Result, check};

/// What sched_setattr(2) sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    /// `SCHED_OTHER`, ... by its number.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// The nice value, of `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// The static priority, of `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// Nanoseconds per period, of `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds until the deadline.
    pub deadline: u64,
    /// Nanoseconds of a period.
    pub period: u64,
}

/// Sets the policy of the calling thread: sched_setattr(2), Linux 3.14.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, or where the control group has no real-time budget;
/// `EINVAL` for values that the policy does not take; `EBUSY` where the deadlines
/// cannot be met.
pub fn sched_setattr(attributes: SchedulerAttributes) -> Result<()> {
    let raw = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: attributes.policy,
        sched_flags: attributes.flags,
        sched_nice: attributes.nice,
        sched_priority: attributes.priority,
        sched_runtime: attributes.runtime,
        sched_deadline: attributes.deadline,
        sched_period: attributes.period,
    };
    // SAFETY: `raw` is a whole sched_attr, says its size, and lives across the call.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0_u32) };
    check(result).map(drop)
}

/// Sets the class and priority of the calling thread's input and output: ioprio_set(2).
///
/// # Errors
/// `EPERM` for the real-time class without `CAP_SYS_NICE` or `CAP_SYS_ADMIN`; `EINVAL`
/// for a class that there is not.
pub fn set_io_priority(class: u32, priority: u32) -> Result<()> {
    const WHO_PROCESS: u32 = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = class << CLASS_SHIFT | priority;
    // SAFETY: three numbers.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) };
    check(result).map(drop)
}

/// Sets on which nodes the calling thread's memory is taken: set_mempolicy(2). `nodes`
/// is a set of bits, the lowest of the first word being node 0.
///
/// # Errors
/// `EINVAL` for nodes that there are not, or a mode that takes none; `ENOSYS` without
/// `CONFIG_NUMA`.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    let most = nodes.len() * u64::BITS as usize;
    // The kernel reads one bit less than it is told of.
    let (nodes, most) = match nodes {
        [] => (std::ptr::null(), 0),
        nodes => (nodes.as_ptr(), most + 1),
    };
    // SAFETY: `nodes` is live and has as many bits as the kernel reads, or is null.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes, most) };
    check(result).map(drop)
}

/// Sets the execution domain of the calling process: personality(2).
///
/// # Errors
/// None that the kernel documents.
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: one number.
    let result =
        unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) };
    check(result).map(drop)
}
