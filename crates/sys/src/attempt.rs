//! System calls made to see whether they are refused: by the kernel, or by a filter
//! before the kernel looks at them.
//!
//! Each has its arguments fixed here, so that it changes nothing that outlives the
//! calling process even where it is allowed: a kernel that would carry it out finds an
//! argument that it must refuse, but only after it has asked whether the caller may.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_long;
use rustix::process::Pid;

use crate::{Errno, Result, check, exit_now, has_one_thread};

/// A system call with arguments that do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// mount(2) of a filesystem that no kernel has: `ENODEV`.
    Mount,
    /// umount2(2) of a folder that is no mount: `EINVAL`.
    Umount,
    /// pivot_root(2) to a folder that is not there: `ENOENT`.
    PivotRoot,
    /// open_tree(2) of a copy of the root, which is closed again.
    OpenTree,
    /// open_tree_attr(2), the same.
    OpenTreeAttr,
    /// move_mount(2) of a descriptor that is not open.
    MoveMount,
    /// fsopen(2) of a tmpfs, which is closed again.
    Fsopen,
    /// fsmount(2) of a descriptor that is not open.
    Fsmount,
    /// fspick(2) of a descriptor that is not open.
    Fspick,
    /// mount_setattr(2) that sets nothing.
    MountSetattr,
    /// chroot(2) to the root.
    Chroot,
    /// keyctl(2): the number of the session's keyring.
    Keyctl,
    /// add_key(2) to the keyring of the process.
    AddKey,
    /// request_key(2) of a key that is not there: `ENOKEY`.
    RequestKey,
    /// io_uring_setup(2) of one entry.
    IoUringSetup,
    /// userfaultfd(2) for faults of user mode.
    Userfaultfd,
    /// bpf(2): an array of one element.
    Bpf,
    /// perf_event_open(2): the CPU time of the caller.
    PerfEventOpen,
    /// kexec_load(2) of more segments than there can be: `EINVAL`.
    KexecLoad,
    /// kexec_file_load(2) with a flag that there is not: `EINVAL`.
    KexecFileLoad,
    /// init_module(2) of no bytes: `ENOEXEC`.
    InitModule,
    /// finit_module(2) of a descriptor that is not open: `EBADF`.
    FinitModule,
    /// delete_module(2) of a module that is not there: `ENOENT`.
    DeleteModule,
    /// swapon(2) of a file that is not there: `ENOENT`.
    Swapon,
    /// swapoff(2) of a file that is not there: `ENOENT`.
    Swapoff,
    /// quotactl(2) of a device that is not there: `ENOENT`.
    Quotactl,
    /// reboot(2) without the numbers that it must be called with: `EINVAL`.
    Reboot,
    /// settimeofday(2) to no time.
    Settimeofday,
    /// acct(2) to a file that is not there: `ENOENT`.
    Acct,
    /// syslog(2): the size of the kernel's log.
    Syslog,
    /// sethostname(2) to a name of impossible length: `EINVAL`.
    Sethostname,
    /// open_by_handle_at(2) with a handle of zeros: `ESTALE`.
    OpenByHandle,
    /// fanotify_init(2) of a group that decides on accesses.
    FanotifyInit,
    /// kcmp(2) of the caller with itself.
    Kcmp,
    /// personality(2) of `ADDR_NO_RANDOMIZE`, which ends with the caller.
    NoRandomAddresses,
    /// iopl(2) to level 3, which ends with the caller.
    #[cfg(target_arch = "x86_64")]
    Iopl,
    /// modify_ldt(2) that reads.
    #[cfg(target_arch = "x86_64")]
    ModifyLdt,
    /// getpid(2) by its number of the x32 architecture.
    #[cfg(target_arch = "x86_64")]
    X32,
}

/// linux/mount.h and linux/fcntl.h.
const OPEN_TREE_CLONE: u64 = 1;
const O_CLOEXEC: u64 = libc::O_CLOEXEC as u64;
const AT_FDCWD: u64 = libc::AT_FDCWD as u64;
/// No descriptor, and no length.
const NONE: u64 = u64::MAX;
const ABSENT: &std::ffi::CStr = c"/warren-none";

/// What the kernel may read or write: as long as any structure that is used here.
type Memory = [u64; 32];

impl Attempt {
    /// Its name, as in section 2 of the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Umount => "umount2",
            Self::PivotRoot => "pivot_root",
            Self::OpenTree => "open_tree",
            Self::OpenTreeAttr => "open_tree_attr",
            Self::MoveMount => "move_mount",
            Self::Fsopen => "fsopen",
            Self::Fsmount => "fsmount",
            Self::Fspick => "fspick",
            Self::MountSetattr => "mount_setattr",
            Self::Chroot => "chroot",
            Self::Keyctl => "keyctl",
            Self::AddKey => "add_key",
            Self::RequestKey => "request_key",
            Self::IoUringSetup => "io_uring_setup",
            Self::Userfaultfd => "userfaultfd",
            Self::Bpf => "bpf",
            Self::PerfEventOpen => "perf_event_open",
            Self::KexecLoad => "kexec_load",
            Self::KexecFileLoad => "kexec_file_load",
            Self::InitModule => "init_module",
            Self::FinitModule => "finit_module",
            Self::DeleteModule => "delete_module",
            Self::Swapon => "swapon",
            Self::Swapoff => "swapoff",
            Self::Quotactl => "quotactl",
            Self::Reboot => "reboot",
            Self::Settimeofday => "settimeofday",
            Self::Acct => "acct",
            Self::Syslog => "syslog",
            Self::Sethostname => "sethostname",
            Self::OpenByHandle => "open_by_handle_at",
            Self::FanotifyInit => "fanotify_init",
            Self::Kcmp => "kcmp",
            Self::NoRandomAddresses => "personality",
            #[cfg(target_arch = "x86_64")]
            Self::Iopl => "iopl",
            #[cfg(target_arch = "x86_64")]
            Self::ModifyLdt => "modify_ldt",
            #[cfg(target_arch = "x86_64")]
            Self::X32 => "getpid of x32",
        }
    }

    /// Its number and arguments, with what the kernel may read put into `memory`.
    fn call(self, memory: &mut Memory) -> (c_long, [u64; 6]) {
        let at = memory.as_mut_ptr() as u64;
        let root = c"/".as_ptr() as u64;
        let absent = ABSENT.as_ptr() as u64;
        let empty = c"".as_ptr() as u64;
        let word = c"warren-none".as_ptr() as u64;
        let kind = c"user".as_ptr() as u64;
        // keyctl(2): KEY_SPEC_PROCESS_KEYRING and KEY_SPEC_SESSION_KEYRING.
        let (process, session) = (-2_i64 as u64, -3_i64 as u64);
        match self {
            Self::Mount => (libc::SYS_mount, [word, root, word, 0, 0, 0]),
            Self::Umount => (
                libc::SYS_umount2,
                [c"/proc/self".as_ptr() as u64, 0, 0, 0, 0, 0],
            ),
            Self::PivotRoot => (libc::SYS_pivot_root, [absent, absent, 0, 0, 0, 0]),
            Self::OpenTree => (
                libc::SYS_open_tree,
                [AT_FDCWD, root, OPEN_TREE_CLONE | O_CLOEXEC, 0, 0, 0],
            ),
            Self::OpenTreeAttr => (
                c_long::from(linux_raw_sys::general::__NR_open_tree_attr as i32),
                [AT_FDCWD, root, OPEN_TREE_CLONE | O_CLOEXEC, 0, 0, 0],
            ),
            Self::MoveMount => (libc::SYS_move_mount, [NONE, empty, NONE, empty, 0, 0]),
            Self::Fsopen => (libc::SYS_fsopen, [c"tmpfs".as_ptr() as u64, 1, 0, 0, 0, 0]),
            Self::Fsmount => (libc::SYS_fsmount, [NONE, 0, 0, 0, 0, 0]),
            Self::Fspick => (libc::SYS_fspick, [NONE, empty, 0, 0, 0, 0]),
            // The first 32 bytes are struct mount_attr of zeros: nothing is set.
            Self::MountSetattr => {
                (libc::SYS_mount_setattr, [AT_FDCWD, root, 0, at, 32, 0])
            }
            Self::Chroot => (libc::SYS_chroot, [root, 0, 0, 0, 0, 0]),
            // KEYCTL_GET_KEYRING_ID, without making one.
            Self::Keyctl => (libc::SYS_keyctl, [0, session, 0, 0, 0, 0]),
            Self::AddKey => (libc::SYS_add_key, [kind, word, word, 6, process, 0]),
            Self::RequestKey => (libc::SYS_request_key, [kind, word, 0, 0, 0, 0]),
            Self::IoUringSetup => (libc::SYS_io_uring_setup, [1, at, 0, 0, 0, 0]),
            // UFFD_USER_MODE_ONLY.
            Self::Userfaultfd => (libc::SYS_userfaultfd, [1 | O_CLOEXEC, 0, 0, 0, 0, 0]),
            Self::Bpf => {
                // BPF_MAP_CREATE: BPF_MAP_TYPE_ARRAY, with keys and values of 4 bytes, one.
                memory[0] = 2 | 4 << 32;
                memory[1] = 4 | 1 << 32;
                (libc::SYS_bpf, [0, at, 72, 0, 0, 0])
            }
            Self::PerfEventOpen => {
                // struct perf_event_attr of 64 bytes: PERF_TYPE_SOFTWARE,
                // PERF_COUNT_SW_CPU_CLOCK; disabled, exclude_kernel, exclude_hv.
                memory[0] = 1 | 64 << 32;
                memory[5] = 1 | 1 << 5 | 1 << 6;
                (libc::SYS_perf_event_open, [at, 0, NONE, NONE, 8, 0])
            }
            Self::KexecLoad => (libc::SYS_kexec_load, [0, 0xffff, 0, 0xffff, 0, 0]),
            Self::KexecFileLoad => {
                (libc::SYS_kexec_file_load, [NONE, NONE, 0, 0, 0x8000, 0])
            }
            Self::InitModule => (libc::SYS_init_module, [0, 0, empty, 0, 0, 0]),
            Self::FinitModule => (libc::SYS_finit_module, [NONE, empty, 0, 0, 0, 0]),
            Self::DeleteModule => (
                libc::SYS_delete_module,
                [word, libc::O_NONBLOCK as u64, 0, 0, 0, 0],
            ),
            Self::Swapon => (libc::SYS_swapon, [absent, 0, 0, 0, 0, 0]),
            Self::Swapoff => (libc::SYS_swapoff, [absent, 0, 0, 0, 0, 0]),
            // Q_GETFMT for users.
            Self::Quotactl => {
                (libc::SYS_quotactl, [0x0080_0004 << 8, absent, 0, at, 0, 0])
            }
            Self::Reboot => (libc::SYS_reboot, [0, 0, 0, 0, 0, 0]),
            Self::Settimeofday => (libc::SYS_settimeofday, [0, 0, 0, 0, 0, 0]),
            Self::Acct => (libc::SYS_acct, [absent, 0, 0, 0, 0, 0]),
            // SYSLOG_ACTION_SIZE_BUFFER.
            Self::Syslog => (libc::SYS_syslog, [10, 0, 0, 0, 0, 0]),
            Self::Sethostname => (libc::SYS_sethostname, [empty, NONE, 0, 0, 0, 0]),
            Self::OpenByHandle => {
                // struct file_handle: 8 bytes, FILEID_INO32_GEN.
                memory[0] = 8 | 1 << 32;
                (
                    libc::SYS_open_by_handle_at,
                    [AT_FDCWD, at, O_CLOEXEC, 0, 0, 0],
                )
            }
            // FAN_CLASS_CONTENT, FAN_CLOEXEC.
            Self::FanotifyInit => (libc::SYS_fanotify_init, [4 | 1, 0, 0, 0, 0, 0]),
            Self::Kcmp => {
                let own = u64::from(std::process::id());
                // KCMP_VM.
                (libc::SYS_kcmp, [own, own, 1, 0, 0, 0])
            }
            Self::NoRandomAddresses => (
                libc::SYS_personality,
                [libc::ADDR_NO_RANDOMIZE as u64, 0, 0, 0, 0, 0],
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Iopl => (libc::SYS_iopl, [3, 0, 0, 0, 0, 0]),
            #[cfg(target_arch = "x86_64")]
            Self::ModifyLdt => (
                libc::SYS_modify_ldt,
                [0, at, size_of::<Memory>() as u64, 0, 0, 0],
            ),
            #[cfg(target_arch = "x86_64")]
            Self::X32 => (0x4000_0000 | libc::SYS_getpid, [0; 6]),
        }
    }

    const fn gives_a_descriptor(self) -> bool {
        matches!(
            self,
            Self::OpenTree
                | Self::OpenTreeAttr
                | Self::Fsopen
                | Self::IoUringSetup
                | Self::Userfaultfd
                | Self::Bpf
                | Self::PerfEventOpen
                | Self::OpenByHandle
                | Self::FanotifyInit
        )
    }
}

/// Makes the call.
///
/// # Errors
/// What refused it says why: the caller's rights (`EPERM`, `EACCES`), a filter (whatever
/// it answers), or, past both, the kernel because of the arguments.
pub fn attempt(attempt: Attempt) -> Result<()> {
    let mut memory: Memory = [0; 32];
    let (number, [a, b, c, d, e, f]) = attempt.call(&mut memory);
    // SAFETY: call() gives numbers, static C strings, and the address of `memory`, which
    // is live, exclusively borrowed and at least as long as the structure that the call
    // reads or writes; each of its calls leaves all other memory of the process alone,
    // and closes or replaces no descriptor.
    let value = check(unsafe { libc::syscall(number, a, b, c, d, e, f) })?;
    if attempt.gives_a_descriptor() {
        // SAFETY: the kernel has just made it; nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(value as RawFd) });
    }
    Ok(())
}

/// A request by which a terminal gets input that nobody typed, and the way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// `TIOCSTI`: one character.
    Sti,
    /// The same with bits set above those that the kernel looks at (CVE-2019-10063).
    StiHigh,
    /// `TIOCLINUX`: what is selected on a virtual console.
    Linux,
    /// The same with bits set above those that the kernel looks at.
    LinuxHigh,
}

/// Has a terminal take a line feed for input, or paste: ioctl_tty(2), ioctl_console(2).
///
/// # Errors
/// `EPERM` from a filter, or where the terminal is not the caller's own; `EIO` where the
/// kernel has it switched off (`dev.tty.legacy_tiocsti`, Linux 6.2); `ENOTTY` and `EINVAL`
/// where `terminal` cannot do it.
pub fn push(terminal: BorrowedFd<'_>, how: Push) -> Result<()> {
    const TIOCLINUX: u64 = 0x541c;
    const HIGH: u64 = 1 << 32;
    let request = match how {
        Push::Sti => libc::TIOCSTI,
        Push::StiHigh => libc::TIOCSTI | HIGH,
        Push::Linux => TIOCLINUX,
        Push::LinuxHigh => TIOCLINUX | HIGH,
    };
    // To TIOCLINUX the first byte is TIOCL_PASTESEL (3).
    let mut bytes: [u8; 64] = [0; 64];
    bytes[0] = match how {
        Push::Sti | Push::StiHigh => b'\n',
        Push::Linux | Push::LinuxHigh => 3,
    };
    // SAFETY: both requests read one byte, and answer into no more than a few, of a
    // live buffer. The system call itself, since libc's type for requests may be narrower.
    check(unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            terminal.as_raw_fd(),
            request,
            bytes.as_mut_ptr(),
        )
    })
    .map(drop)
}

/// Makes a process in a new user namespace by clone(2), which ends at once.
///
/// # Errors
/// Whatever clone(2) answers.
pub fn clone_user_namespace() -> Result<()> {
    let flags = libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64;
    // SAFETY: without CLONE_VM the child runs on its own copy of this stack, and calls
    // nothing but _exit.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    end_or_reap(pid)
}

/// The same by clone3(2).
///
/// # Errors
/// Whatever clone3(2) answers.
pub fn clone3_user_namespace() -> Result<()> {
    // struct clone_args of 64 bytes: flags first, exit_signal fifth.
    let arguments: [u64; 8] = [
        libc::CLONE_NEWUSER as u64,
        0,
        0,
        0,
        libc::SIGCHLD as u64,
        0,
        0,
        0,
    ];
    // SAFETY: the structure is live and as long as is said; without CLONE_VM the child
    // runs on its own copy of this stack, and calls nothing but _exit.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            arguments.as_ptr(),
            size_of_val(&arguments),
        )
    })?;
    end_or_reap(pid)
}

fn end_or_reap(pid: c_long) -> Result<()> {
    if pid == 0 {
        exit_now(0);
    }
    let pid = Pid::from_raw(pid as i32);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).map(drop)
}

/// Asks for the caller's process id by a call of the i386 architecture.
///
/// # Errors
/// Whatever a filter answers. A kernel without such calls kills the caller by `SIGSEGV`.
#[cfg(target_arch = "x86_64")]
pub fn i386_getpid() -> Result<()> {
    const GETPID: i64 = 20;
    let answer: i64;
    // SAFETY: getpid has no arguments and touches no memory; the kernel keeps all other
    // registers but those of r8 to r11, which older ones clear.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") GETPID => answer,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    match answer as i32 {
        code @ -4095..0 => Err(Errno::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

/// Runs `work` in a copy of the process, which ends with the code that it gives.
///
/// # Errors
/// `EDEADLK` in a process with threads, of which the copy would have only one; whatever
/// clone(2) answers.
pub fn in_child(work: impl FnOnce() -> i32) -> Result<Pid> {
    if !has_one_thread() {
        return Err(Errno::DEADLK);
    }
    // SAFETY: with one thread the child is a copy of the whole process: no lock is held
    // by a thread that it lacks, so that it may do what its parent may.
    match unsafe { crate::clone::fork() }? {
        0 => exit_now(catch_unwind(AssertUnwindSafe(work)).unwrap_or(101)),
        pid => Pid::from_raw(pid).ok_or(Errno::CHILD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_copied() {
        assert_eq!(in_child(|| 0), Err(Errno::DEADLK));
    }

    #[test]
    fn a_call_that_anybody_may_make_succeeds() {
        assert_eq!(attempt(Attempt::Kcmp), Ok(()));
    }

    #[test]
    fn a_file_is_no_terminal() {
        let null = std::fs::File::open("/dev/null").expect("every machine has it");
        let fd = std::os::fd::AsFd::as_fd(&null);
        for how in [Push::Sti, Push::StiHigh, Push::Linux, Push::LinuxHigh] {
            assert_eq!(push(fd, how), Err(Errno::NOTTY), "{how:?}");
        }
    }
}
