//! System calls that are no business of a contained program.

use warren_namespaces::Kind;
use warren_sys::{Attempt, attempt};

use super::super::probe::{Finding, Probe, calls};
use super::inherited::is_callers;

const FILTER: &str = "the filter of every run refuses it; no option of `warren run` opens \
                      it";

/// A row of calls that must all be refused.
const fn row(
    name: &'static str,
    tries: &'static str,
    hint: &'static str,
    run: fn(&super::super::outside::Outside) -> Finding,
) -> Probe {
    Probe {
        name,
        about: "calls",
        tries,
        hint,
        cve: None,
        run,
    }
}

pub const PROBES: &[Probe] = &[
    row(
        "mount",
        "changes its mounts: mount, umount2, pivot_root",
        "--cap-add SYS_ADMIN lets it",
        |_| calls(&[Attempt::Mount, Attempt::Umount, Attempt::PivotRoot]),
    ),
    Probe {
        name: "newer mount calls",
        about: "calls",
        tries: "the same by the calls that a list of refused ones may lack: open_tree, \
                open_tree_attr, move_mount, fsopen, fsmount, fspick, mount_setattr",
        hint: "--cap-add SYS_ADMIN lets it",
        cve: Some("CVE-2021-41133"),
        run: |_| {
            calls(&[
                Attempt::OpenTree,
                Attempt::OpenTreeAttr,
                Attempt::MoveMount,
                Attempt::Fsopen,
                Attempt::Fsmount,
                Attempt::Fspick,
                Attempt::MountSetattr,
            ])
        },
    },
    row(
        "chroot",
        "makes another folder its root, the first step out of one",
        "--cap-add SYS_CHROOT lets it",
        |_| calls(&[Attempt::Chroot]),
    ),
    row(
        "io_uring",
        "makes calls that no filter sees",
        FILTER,
        |_| calls(&[Attempt::IoUringSetup]),
    ),
    row(
        "keyrings",
        "reads and adds keys, which no namespace separates",
        FILTER,
        |_| calls(&[Attempt::Keyctl, Attempt::AddKey, Attempt::RequestKey]),
    ),
    row(
        "userfaultfd",
        "stops the kernel at an access to memory, by which races are won",
        FILTER,
        |_| calls(&[Attempt::Userfaultfd]),
    ),
    row(
        "bpf",
        "makes a map for programs in the kernel",
        "--cap-add BPF lets it as far as the kernel does",
        |_| calls(&[Attempt::Bpf]),
    ),
    row(
        "perf_event_open",
        "measures the processor",
        "--cap-add PERFMON lets it as far as the kernel does",
        |_| calls(&[Attempt::PerfEventOpen]),
    ),
    row(
        "kexec",
        "loads another kernel",
        "root with --share user and --cap-add SYS_BOOT may",
        |_| calls(&[Attempt::KexecLoad, Attempt::KexecFileLoad]),
    ),
    row(
        "reboot",
        "reboots: in a pid namespace of its own, ends its init",
        "--cap-add SYS_BOOT lets it",
        |_| calls(&[Attempt::Reboot]),
    ),
    row(
        "kernel modules",
        "loads and removes code of the kernel",
        "root with --share user and --cap-add SYS_MODULE may",
        |_| {
            calls(&[
                Attempt::InitModule,
                Attempt::FinitModule,
                Attempt::DeleteModule,
            ])
        },
    ),
    row(
        "swap, quotas",
        "turns swap on and off, reads the quotas of disks",
        "--cap-add SYS_ADMIN lets it call, and the kernel asks for more",
        |_| calls(&[Attempt::Swapon, Attempt::Swapoff, Attempt::Quotactl]),
    ),
    row(
        "clock",
        "sets the time of day",
        "root with --share user and --cap-add SYS_TIME may",
        |_| calls(&[Attempt::Settimeofday]),
    ),
    row(
        "process accounting",
        "has the kernel log all processes that end",
        "root with --share user and --cap-add SYS_PACCT may",
        |_| calls(&[Attempt::Acct]),
    ),
    row(
        "log of the kernel",
        "reads it by syslog(2)",
        "root with --share user and --cap-add SYSLOG may",
        |_| calls(&[Attempt::Syslog]),
    ),
    row(
        "files by handle",
        "opens files by their number, past every folder",
        "--cap-add DAC_READ_SEARCH lets it as far as the kernel does",
        |_| calls(&[Attempt::OpenByHandle]),
    ),
    row(
        "fanotify",
        "decides on accesses to a whole filesystem",
        "root with --share user and --cap-add SYS_ADMIN may",
        |_| calls(&[Attempt::FanotifyInit]),
    ),
    row(
        "kcmp",
        "compares pointers of the kernel",
        "--cap-add SYS_PTRACE lets it",
        |_| calls(&[Attempt::Kcmp]),
    ),
    row(
        "host name",
        "names the host",
        "root with --share uts,user and --cap-add SYS_ADMIN may",
        |outside| match is_callers(outside, Kind::Uts) {
            Some(false) => match attempt(Attempt::Sethostname) {
                Err(errno) if super::super::probe::is_refusal(errno) => {
                    Finding::holds(warren_namespaces::errno_text(errno))
                }
                _ => Finding::holds("its own alone"),
            },
            _ => calls(&[Attempt::Sethostname]),
        },
    ),
    row(
        "personality",
        "gives up the random addresses of programs that it runs",
        FILTER,
        |_| calls(&[Attempt::NoRandomAddresses]),
    ),
    row(
        "I/O ports",
        "talks to the machine past the kernel",
        "root with --share user and --cap-add SYS_RAWIO may",
        |_| machine::ports(),
    ),
    row(
        "modify_ldt",
        "changes the processor's segment tables",
        FILTER,
        |_| machine::segments(),
    ),
    row(
        "calls of i386",
        "makes calls by int 0x80, with the numbers of another architecture",
        FILTER,
        |_| machine::i386(),
    ),
    row(
        "calls of x32",
        "makes calls with the bit of the x32 architecture",
        FILTER,
        |_| machine::x32(),
    ),
];

/// What only x86-64 has.
#[cfg(target_arch = "x86_64")]
mod machine {
    use super::*;

    pub fn ports() -> Finding {
        calls(&[Attempt::Iopl])
    }

    pub fn segments() -> Finding {
        calls(&[Attempt::ModifyLdt])
    }

    pub fn i386() -> Finding {
        Finding::of_call(warren_sys::i386_getpid(), "answered")
    }

    pub fn x32() -> Finding {
        calls(&[Attempt::X32])
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod machine {
    use super::*;

    const NONE: &str = "this architecture has none";

    pub fn ports() -> Finding {
        Finding::holds(NONE)
    }

    pub fn segments() -> Finding {
        Finding::holds(NONE)
    }

    pub fn i386() -> Finding {
        Finding::holds(NONE)
    }

    pub fn x32() -> Finding {
        Finding::holds(NONE)
    }
}
