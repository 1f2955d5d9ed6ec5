//! ptrace(2): watching another process's system calls.
//!
//! All requests but [`seize`] and [`interrupt`] are for a tracee of the calling thread
//! that is stopped, so that its number cannot have gone to another; `ESRCH` means that it
//! was killed meanwhile, and that its end is to be waited for.

use libc::{c_int, c_long, c_uint};

use crate::{Errno, Result, check};

bitflags::bitflags! {
    /// What of a tracee stops it, and what becomes of its children: `PTRACE_O_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TraceOptions: u32 {
        /// Stops at system calls are told from those of a signal.
        const SYSCALLS_MARKED = libc::PTRACE_O_TRACESYSGOOD as u32;
        /// What fork(2) makes is traced too.
        const FORK = libc::PTRACE_O_TRACEFORK as u32;
        /// What vfork(2) makes is traced too.
        const VFORK = libc::PTRACE_O_TRACEVFORK as u32;
        /// What clone(2) makes is traced too, threads among it.
        const CLONE = libc::PTRACE_O_TRACECLONE as u32;
        /// A stop when a program was executed.
        const EXEC = libc::PTRACE_O_TRACEEXEC as u32;
        /// The tracee is killed when the tracer ends (Linux 3.8).
        const KILL_WITH_TRACER = libc::PTRACE_O_EXITKILL as u32;
    }
}

/// Where in a system call a tracee stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallStop {
    /// Before it.
    Entry {
        /// The architecture whose numbers it uses: `AUDIT_ARCH_*`.
        architecture: u32,
        /// Its number.
        number: u64,
        /// Its arguments.
        arguments: [u64; 6],
    },
    /// After it.
    Exit {
        /// What it returned, or its errno.
        result: std::result::Result<i64, Errno>,
    },
    /// In none.
    None,
}

/// How a child or tracee has changed, as wait4(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The thread.
    pub tid: i32,
    /// Its wait status.
    pub status: i32,
}

/// Begins to trace a thread, which goes on: `PTRACE_SEIZE`, Linux 3.4.
///
/// # Errors
/// `EPERM` where the caller may not trace it, or somebody does already; `ESRCH`.
pub fn seize(pid: i32, options: TraceOptions) -> Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, options.bits().into()).map(drop)
}

/// Stops a seized thread wherever it is: `PTRACE_INTERRUPT`.
///
/// # Errors
/// `ESRCH`.
pub fn interrupt(pid: i32) -> Result<()> {
    request(libc::PTRACE_INTERRUPT, pid, 0, 0).map(drop)
}

/// Lets a tracee go on to the next begin or end of a system call, with a signal unless
/// that is 0: `PTRACE_SYSCALL`.
///
/// # Errors
/// `ESRCH`.
pub fn go_on(tid: i32, signal: i32) -> Result<()> {
    request(libc::PTRACE_SYSCALL, tid, 0, signal as c_long).map(drop)
}

/// Leaves a tracee stopped that its terminal or a `SIGSTOP` has stopped, until it is
/// continued: `PTRACE_LISTEN`.
///
/// # Errors
/// `ESRCH`.
pub fn stay_stopped(tid: i32) -> Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0).map(drop)
}

/// The number that an event came with: after an exec, the thread's former one.
///
/// # Errors
/// `ESRCH`.
pub fn event_message(tid: i32) -> Result<u64> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: PTRACE_GETEVENTMSG writes one unsigned long, which is live.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            c_long::from(libc::PTRACE_GETEVENTMSG),
            c_long::from(tid),
            0,
            &raw mut message,
        )
    };
    check(result).map(|_| message)
}

/// Where a stopped tracee stands: `PTRACE_GET_SYSCALL_INFO`, Linux 5.3.
///
/// # Errors
/// `EIO` before Linux 5.3; `ESRCH`.
pub fn syscall_stop(tid: i32) -> Result<SyscallStop> {
    const PTRACE_GET_SYSCALL_INFO: c_long = 0x420e;
    const ENTRY: u8 = 1;
    const EXIT: u8 = 2;

    /// `struct ptrace_syscall_info`: at an exit, `number` is the result and the first
    /// byte of `arguments` says whether that is an error.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        operation: u8,
        padding: [u8; 3],
        architecture: u32,
        instruction: u64,
        stack: u64,
        number: u64,
        arguments: [u64; 6],
        /// Of the stops of a filter, and what later kernels add.
        more: [u64; 2],
    }
    let mut info = Info::default();
    // SAFETY: the kernel writes at most as many bytes as it is told there are.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            PTRACE_GET_SYSCALL_INFO,
            c_long::from(tid),
            size_of::<Info>(),
            &raw mut info,
        )
    };
    check(result)?;
    Ok(match info.operation {
        ENTRY => SyscallStop::Entry {
            architecture: info.architecture,
            number: info.number,
            arguments: info.arguments,
        },
        EXIT if info.arguments[0].to_ne_bytes()[0] != 0 => {
            let errno = i32::try_from(-(info.number as i64)).unwrap_or(libc::EIO);
            SyscallStop::Exit {
                result: Err(Errno::from_raw_os_error(errno)),
            }
        }
        EXIT => SyscallStop::Exit {
            result: Ok(info.number as i64),
        },
        _ => SyscallStop::None,
    })
}

/// A change of a tracee that nobody has been told of, if there is one: wait4(2) with
/// `__WCLONE`, by which the caller's own children are left alone unless it traces them.
///
/// # Errors
/// `ECHILD` where nothing is traced.
pub fn next_change() -> Result<Option<Change>> {
    wait(-1, libc::WNOHANG | libc::__WCLONE)
}

/// Waits for the next change of one tracee.
///
/// # Errors
/// `ECHILD` where it is none.
pub fn await_change(tid: i32) -> Result<Change> {
    wait(tid, libc::__WALL)?.ok_or(Errno::CHILD)
}

fn wait(tid: i32, options: c_int) -> Result<Option<Change>> {
    let mut status: c_int = 0;
    loop {
        // SAFETY: the status is live, and no usage is asked for.
        let result = unsafe {
            libc::syscall(
                libc::SYS_wait4,
                tid,
                &raw mut status,
                options,
                std::ptr::null_mut::<libc::rusage>(),
            )
        };
        match check(result) {
            Ok(0) => return Ok(None),
            Ok(tid) => {
                let tid = tid as i32;
                return Ok(Some(Change { tid, status }));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads memory of another process, and says how many bytes there were:
/// process_vm_readv(2). What reaches into a page that is not mapped ends before it.
///
/// # Errors
/// `EFAULT` where nothing is mapped there; `EPERM`, `ESRCH`.
pub fn read_memory(pid: i32, address: u64, into: &mut [u8]) -> Result<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: `local` is a live buffer that may be written; `remote` is an address of the
    // other process, which the kernel checks.
    let result = unsafe {
        libc::syscall(
            libc::SYS_process_vm_readv,
            pid,
            &raw const local,
            1_usize,
            &raw const remote,
            1_usize,
            0_usize,
        )
    };
    check(result).map(|length| length as usize)
}

fn request(request: c_uint, tid: i32, address: c_long, data: c_long) -> Result<c_long> {
    // SAFETY: the requests of this file that come here take numbers and write nothing.
    check(unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            c_long::from(request),
            c_long::from(tid),
            address,
            data,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_up_to_what_is_mapped() {
        let own = std::process::id() as i32;
        let text = *b"some text";
        let mut read = [0; 9];
        let length = read_memory(own, text.as_ptr() as u64, &mut read);
        assert_eq!((length, read), (Ok(9), text));
        assert_eq!(read_memory(own, 8, &mut read), Err(Errno::FAULT));
    }

    #[test]
    fn nobody_is_traced_who_is_not_there() {
        assert_eq!(seize(i32::MAX, TraceOptions::empty()), Err(Errno::SRCH));
        assert_eq!(syscall_stop(1), Err(Errno::SRCH));
    }
}
