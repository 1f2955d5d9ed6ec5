//! The fixed policy of a sandbox: what a container has no business with.
//!
//! Everything else is allowed, as long as its number is known here: a call that a
//! newer kernel adds answers `ENOSYS`, as on the kernels before it, until somebody has
//! thought about it (CVE-2021-41133 was a list that new mount calls were not on).

use std::ops::RangeInclusive;

use linux_raw_sys::general as nr;
use warren_sys::{BpfInstruction, Errno};

use crate::caps::{Capability, CapabilitySet};
use crate::seccomp::{Action, Condition, Filter, Rules, Verdict};

/// The numbers that exist. The gaps are those that no kernel used; uretprobe(2), 335,
/// is put into traced programs by the kernel itself and must pass.
#[cfg(target_arch = "x86_64")]
const KNOWN: [RangeInclusive<u32>; 2] =
    [0..=nr::__NR_uretprobe, nr::__NR_pidfd_send_signal..=NEWEST];
#[cfg(target_arch = "aarch64")]
const KNOWN: [RangeInclusive<u32>; 3] = [
    0..=nr::__NR_recvmmsg,
    nr::__NR_wait4..=nr::__NR_kexec_file_load,
    nr::__NR_pidfd_send_signal..=NEWEST,
];

/// The newest call that this policy has an opinion on (Linux 6.17).
const NEWEST: u32 = nr::__NR_file_setattr;

/// What all other numbers get, and all calls of other architectures.
const UNKNOWN: Action = Action::fail(Errno::NOSYS);

/// Calls that are refused for one reason.
struct Group {
    /// In words.
    what: &'static str,
    answer: Errno,
    /// The capability whose holder may make them all the same.
    unless: Option<Capability>,
    calls: &'static [u32],
}

impl Group {
    const fn never(what: &'static str, calls: &'static [u32]) -> Self {
        Self {
            what,
            answer: Errno::PERM,
            unless: None,
            calls,
        }
    }

    const fn absent(what: &'static str, calls: &'static [u32]) -> Self {
        Self {
            what,
            answer: Errno::NOSYS,
            unless: None,
            calls,
        }
    }

    const fn unless(
        what: &'static str,
        capability: Capability,
        calls: &'static [u32],
    ) -> Self {
        Self {
            what,
            answer: Errno::PERM,
            unless: Some(capability),
            calls,
        }
    }
}

/// The calls that are refused whatever their arguments. One that an architecture
/// lacks is not on its list.
const GROUPS: &[Group] = &[
    // The mounts are what the container was given, unless it may change them.
    Group::unless(
        "changing mounts",
        Capability::SYS_ADMIN,
        &[
            nr::__NR_mount,
            nr::__NR_umount2,
            nr::__NR_pivot_root,
            nr::__NR_open_tree,
            nr::__NR_open_tree_attr,
            nr::__NR_move_mount,
            nr::__NR_fsopen,
            nr::__NR_fsconfig,
            nr::__NR_fsmount,
            nr::__NR_fspick,
            nr::__NR_mount_setattr,
        ],
    ),
    // Another root folder inside the root: the usual first step out of a plain chroot.
    Group::unless("chroot", Capability::SYS_CHROOT, &[nr::__NR_chroot]),
    // Other namespaces, by a descriptor that slipped in.
    Group::unless(
        "entering namespaces",
        Capability::SYS_ADMIN,
        &[nr::__NR_setns],
    ),
    // Its flags lie in memory, where a filter cannot look: libc falls back to clone.
    Group::absent("clone3", &[nr::__NR_clone3]),
    // Keyrings are not namespaced: a session's keys would be shared with the host.
    Group::never(
        "keyrings",
        &[nr::__NR_add_key, nr::__NR_keyctl, nr::__NR_request_key],
    ),
    // A second way to make most calls, which no filter sees; long a source of holes.
    Group::absent(
        "io_uring",
        &[
            nr::__NR_io_uring_setup,
            nr::__NR_io_uring_enter,
            nr::__NR_io_uring_register,
        ],
    ),
    // Stops the kernel at a chosen access to memory: what exploits win races with.
    Group::never("userfaultfd", &[nr::__NR_userfaultfd]),
    // Programs in the kernel.
    Group::unless("bpf", Capability::BPF, &[nr::__NR_bpf]),
    // Counters of the whole machine, and a large surface.
    Group::unless(
        "perf events",
        Capability::PERFMON,
        &[nr::__NR_perf_event_open],
    ),
    // Compares the kernel's pointers of two processes.
    Group::unless("kcmp", Capability::SYS_PTRACE, &[nr::__NR_kcmp]),
    // Another kernel, or none.
    Group::unless(
        "kexec, reboot",
        Capability::SYS_BOOT,
        &[
            nr::__NR_kexec_load,
            nr::__NR_kexec_file_load,
            nr::__NR_reboot,
        ],
    ),
    // Code in the kernel.
    Group::unless(
        "kernel modules",
        Capability::SYS_MODULE,
        &[
            nr::__NR_init_module,
            nr::__NR_finit_module,
            nr::__NR_delete_module,
        ],
    ),
    // Swap and disk quotas belong to the machine.
    Group::unless(
        "swap, quotas",
        Capability::SYS_ADMIN,
        &[
            nr::__NR_swapon,
            nr::__NR_swapoff,
            nr::__NR_quotactl,
            nr::__NR_quotactl_fd,
        ],
    ),
    // So does the log of all processes that ended.
    Group::unless(
        "process accounting",
        Capability::SYS_PACCT,
        &[nr::__NR_acct],
    ),
    // So does the kernel's log, which has addresses and other people's business.
    Group::unless("the kernel's log", Capability::SYSLOG, &[nr::__NR_syslog]),
    // So does the clock. adjtimex(2) and clock_adjtime(2) read it too, and what they
    // change lies in memory: they pass, and the kernel asks for the capability.
    Group::unless(
        "setting the clock",
        Capability::SYS_TIME,
        &[nr::__NR_settimeofday, nr::__NR_clock_settime],
    ),
    // Files by number on the disk, past every folder's permissions (CVE-2014-3519 and
    // the "shocker" way out of a container).
    Group::unless(
        "files by handle",
        Capability::DAC_READ_SEARCH,
        &[nr::__NR_open_by_handle_at],
    ),
    // Events of whole mounts and file systems.
    Group::unless("fanotify", Capability::SYS_ADMIN, &[nr::__NR_fanotify_init]),
    // Addresses in programs as a profiler of the whole machine saw them.
    Group::unless(
        "lookup_dcookie",
        Capability::SYS_ADMIN,
        &[nr::__NR_lookup_dcookie],
    ),
    // Hangs up the terminal for everybody on it.
    Group::unless("vhangup", Capability::SYS_TTY_CONFIG, &[nr::__NR_vhangup]),
    // The machine's ports.
    #[cfg(target_arch = "x86_64")]
    Group::unless(
        "I/O ports",
        Capability::SYS_RAWIO,
        &[nr::__NR_iopl, nr::__NR_ioperm],
    ),
    // The processor's segment tables, of which 64-bit programs have no use and the kernel
    // has had many a defect (CVE-2017-17053); 32-bit ones are refused anyhow.
    #[cfg(target_arch = "x86_64")]
    Group::never("segment tables", &[nr::__NR_modify_ldt]),
    // Relics, most of which kernels no longer have.
    Group::absent(
        "relics",
        &[
            nr::__NR_nfsservctl,
            #[cfg(target_arch = "x86_64")]
            nr::__NR__sysctl,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_create_module,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_get_kernel_syms,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_query_module,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_sysfs,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_uselib,
            #[cfg(target_arch = "x86_64")]
            nr::__NR_ustat,
        ],
    ),
];

const CLONE_NEWUSER: u32 = nr::CLONE_NEWUSER;
/// All `CLONE_NEW*` bits of clone(2). `CLONE_NEWTIME` is none of them: clone has the
/// number of the child's exit signal there.
const CLONE_NEW: u32 = 0x7e02_0000;
/// Those of unshare(2).
const UNSHARE_NEW: u32 = CLONE_NEW | nr::CLONE_NEWTIME;

// asm-generic/ioctls.h.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

// linux/socket.h.
const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;

/// Linux, `UNAME26`, 32-bit `uname` with and without it, and the question which it is.
const HARMLESS_PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, u32::MAX];

/// The calls whose arguments decide.
fn by_argument(capabilities: CapabilitySet) -> [(u32, Verdict); 5] {
    const REFUSE: Action = Action::fail(Errno::PERM);
    // A nested user namespace has all capabilities again, and with them the kernel's
    // surface: refused always. The other kinds need CAP_SYS_ADMIN without one.
    let refused_kinds = |all: u32| match capabilities.contains(Capability::SYS_ADMIN) {
        true => Condition::has_any(0, CLONE_NEWUSER),
        false => Condition::has_any(0, all),
    };
    let unless = |condition, action| Verdict::any_of(&[condition], action, Action::Allow);
    [
        (nr::__NR_clone, unless(refused_kinds(CLONE_NEW), REFUSE)),
        (nr::__NR_unshare, unless(refused_kinds(UNSHARE_NEW), REFUSE)),
        // Keystrokes into the terminal outside: TIOCSTI types, TIOCLINUX pastes.
        (
            nr::__NR_ioctl,
            Verdict::any_of(
                &[Condition::is(1, TIOCSTI), Condition::is(1, TIOCLINUX)],
                REFUSE,
                Action::Allow,
            ),
        ),
        // The hypervisor's host, past every network namespace; and the kernel's crypto,
        // a surface that few need. The errno is that of a kernel without them.
        (
            nr::__NR_socket,
            Verdict::any_of(
                &[Condition::is(0, AF_VSOCK), Condition::is(0, AF_ALG)],
                Action::fail(Errno::AFNOSUPPORT),
                Action::Allow,
            ),
        ),
        // READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE and the like weaken what runs under them.
        (
            nr::__NR_personality,
            Verdict::any_of(
                &HARMLESS_PERSONALITIES.map(|value| Condition::is(0, value)),
                Action::Allow,
                REFUSE,
            ),
        ),
    ]
}

/// What [`by_argument`] refuses for every set of capabilities, and [`UNKNOWN`], in words.
const BY_ARGUMENT: [&str; 5] = [
    "new user namespaces",
    "typing into terminals",
    "vsock, kernel crypto sockets",
    "personalities",
    "calls that are newer than this filter",
];

impl Group {
    fn is_refused(&self, capabilities: CapabilitySet) -> bool {
        !self.unless.is_some_and(|one| capabilities.contains(one))
    }
}

impl Rules {
    /// The rules of [`Filter::sandbox`].
    #[must_use]
    pub fn sandbox(capabilities: CapabilitySet) -> Self {
        let refused = GROUPS
            .iter()
            .filter(|group| group.is_refused(capabilities))
            .flat_map(|group| group.calls.iter().map(|call| (*call, group.answer)))
            .map(|(call, answer)| (call, Action::fail(answer).into()));
        Self {
            ranges: KNOWN.map(|range| (range, Action::Allow)).to_vec(),
            otherwise: UNKNOWN,
            calls: refused.chain(by_argument(capabilities)).collect(),
        }
    }
}

impl Filter {
    /// What [`Filter::sandbox`] refuses, in words.
    #[must_use]
    pub fn refused(capabilities: CapabilitySet) -> Vec<&'static str> {
        let groups = GROUPS.iter().filter(|group| group.is_refused(capabilities));
        groups.map(|group| group.what).chain(BY_ARGUMENT).collect()
    }

    /// The filter for a contained program that has `capabilities` in its user
    /// namespace.
    ///
    /// Refused with `EPERM`, whatever the capabilities: new user namespaces, keyrings,
    /// userfaultfd(2), typing into a terminal; with `ENOSYS`: clone3(2), io_uring, calls
    /// newer than this library, and all calls of another architecture. Mounts, other
    /// namespaces, the clock, kernel modules and the like are refused unless
    /// `capabilities` has the one that the kernel asks for.
    #[must_use]
    pub fn sandbox(capabilities: CapabilitySet) -> Self {
        match PRECOMPILED {
            Some(program) if capabilities.is_empty() => Self::precompiled(program),
            _ => Rules::sandbox(capabilities).compile(UNKNOWN),
        }
    }
}

/// The filter for no capabilities, which almost every sandbox has: compiling it takes a
/// quarter of the instructions of a start. A test writes the file and holds it to the
/// rules.
#[cfg(target_arch = "x86_64")]
const PRECOMPILED: Option<&[BpfInstruction]> = Some(&include!("sandbox_x86_64.in"));
#[cfg(not(target_arch = "x86_64"))]
const PRECOMPILED: Option<&[BpfInstruction]> = None;

/// One line of that file.
#[cfg(target_arch = "x86_64")]
const fn bpf(code: u16, jump_true: u8, jump_false: u8, k: u32) -> BpfInstruction {
    BpfInstruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::rules_tests::{Call, answer, expected, interpret, native};

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const EAFNOSUPPORT: u32 = 0x0005_0061;

    const NONE: CapabilitySet = CapabilitySet::EMPTY;

    /// `UPDATE_GOLDEN=1 cargo test -p warren-confine` writes it.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_precompiled_filter_is_what_the_rules_say() {
        use std::fmt::Write;
        let compiled = Rules::sandbox(NONE).compile(UNKNOWN);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let mut text = String::from("[\n");
            for BpfInstruction {
                code,
                jump_true,
                jump_false,
                k,
            } in compiled.instructions()
            {
                writeln!(
                    text,
                    "    bpf({code:#04x}, {jump_true}, {jump_false}, {k:#010x}),"
                )
                .expect("a String takes all");
            }
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sandbox_x86_64.in");
            std::fs::write(file, text + "]\n").expect("write the precompiled filter");
        }
        assert_eq!(
            PRECOMPILED,
            Some(compiled.instructions()),
            "UPDATE_GOLDEN=1 writes it"
        );
    }

    #[track_caller]
    fn assert_answer(
        capabilities: CapabilitySet,
        number: u32,
        arguments: &[u64],
        code: u32,
    ) {
        let call = native(number, arguments);
        let filter = Filter::sandbox(capabilities);
        assert_eq!(
            answer(&filter, &call),
            code,
            "{call:x?} with {capabilities}"
        );
    }

    #[test]
    fn the_program_says_what_the_table_says_for_every_number() {
        let sets = [NONE, CapabilitySet::ALL]
            .into_iter()
            .chain(CapabilitySet::ALL.iter().map(|one| NONE.with(one)));
        for capabilities in sets {
            let rules = Rules::sandbox(capabilities);
            let filter = rules.compile(UNKNOWN);
            for number in (0..=600).chain(0x4000_0000..0x4000_0258).chain([u32::MAX]) {
                for first in [0, 0x1000_0000, u64::from(AF_VSOCK), u64::from(TIOCSTI)] {
                    let call = native(number, &[first, u64::from(TIOCSTI)]);
                    assert_eq!(
                        answer(&filter, &call),
                        expected(&rules, &call),
                        "{call:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_refused_call_is_refused_without_capabilities() {
        for group in GROUPS {
            let code = 0x0005_0000 | group.answer.raw_os_error() as u32;
            for call in group.calls {
                assert_answer(NONE, *call, &[], code);
                if let Some(capability) = group.unless {
                    assert_answer(NONE.with(capability), *call, &[], ALLOW);
                    let others = CapabilitySet::ALL.without(capability);
                    assert_answer(others, *call, &[], code);
                }
            }
        }
    }

    #[test]
    fn no_call_is_in_two_groups() {
        let mut calls: Vec<u32> = GROUPS
            .iter()
            .flat_map(|group| group.calls.iter().copied())
            .chain(by_argument(NONE).into_iter().map(|(call, _)| call))
            .collect();
        let length = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), length);
    }

    #[test]
    fn what_a_capability_opens_is_not_told_as_refused() {
        let refused = Filter::refused(NONE);
        assert!(refused.contains(&"bpf") && refused.contains(&"keyrings"));
        let refused = Filter::refused(CapabilitySet::ALL);
        assert!(!refused.contains(&"bpf") && refused.contains(&"keyrings"));
    }

    #[test]
    fn ordinary_calls_are_allowed() {
        for call in [
            nr::__NR_read,
            nr::__NR_openat,
            nr::__NR_openat2,
            nr::__NR_execve,
            nr::__NR_execveat,
            nr::__NR_exit_group,
            nr::__NR_futex,
            nr::__NR_mmap,
            nr::__NR_ptrace,
            nr::__NR_seccomp,
            nr::__NR_landlock_create_ruleset,
            nr::__NR_adjtimex,
            nr::__NR_statmount,
            nr::__NR_rseq,
            nr::__NR_pidfd_open,
            nr::__NR_file_getattr,
        ] {
            assert_answer(NONE, call, &[], ALLOW);
        }
    }

    #[test]
    fn numbers_that_nobody_thought_about_are_no_calls() {
        for number in [
            350,
            423,
            NEWEST + 1,
            600,
            0x4000_0000,
            0x4000_0202,
            u32::MAX,
        ] {
            assert_answer(CapabilitySet::ALL, number, &[], ENOSYS);
        }
    }

    #[test]
    fn garbage_above_the_request_does_not_hide_typing_into_a_terminal() {
        for capabilities in [NONE, CapabilitySet::ALL] {
            for request in [u64::from(TIOCSTI), u64::from(TIOCLINUX)] {
                for garbage in [0, 1 << 32, 0xffff_ffff << 32] {
                    let arguments = [0, request | garbage];
                    assert_answer(capabilities, nr::__NR_ioctl, &arguments, EPERM);
                }
            }
        }
        // TCGETS, TIOCGWINSZ, and TIOCSTI as another argument.
        assert_answer(NONE, nr::__NR_ioctl, &[0, 0x5401], ALLOW);
        assert_answer(NONE, nr::__NR_ioctl, &[0, 0x5413], ALLOW);
        assert_answer(NONE, nr::__NR_ioctl, &[0x5412, 0x5401, 0x5412], ALLOW);
    }

    #[test]
    fn a_nested_user_namespace_is_refused_whatever_the_capabilities() {
        for capabilities in [NONE, CapabilitySet::ALL] {
            for flags in [0x1000_0000, 0x1000_0011, 0x1002_0011, 0xffff_ffff] {
                assert_answer(capabilities, nr::__NR_clone, &[flags], EPERM);
                assert_answer(capabilities, nr::__NR_unshare, &[flags], EPERM);
            }
            assert_answer(capabilities, nr::__NR_clone3, &[], ENOSYS);
        }
    }

    #[test]
    fn other_namespaces_need_sys_admin() {
        let admin = NONE.with(Capability::SYS_ADMIN);
        for bit in [17, 25, 26, 27, 29, 30] {
            for call in [nr::__NR_clone, nr::__NR_unshare] {
                assert_answer(NONE, call, &[1 << bit], EPERM);
                assert_answer(admin, call, &[1 << bit], ALLOW);
            }
        }
        assert_answer(NONE, nr::__NR_unshare, &[0x80], EPERM);
        assert_answer(admin, nr::__NR_unshare, &[0x80], ALLOW);
    }

    #[test]
    fn forks_and_threads_are_allowed_with_any_exit_signal() {
        // SIGCHLD, glibc's fork, vfork, glibc's threads, and an exit signal with the
        // bit of CLONE_NEWTIME.
        for flags in [17, 0x0120_0011, 0x4111, 0x003d_0f00, 0xff] {
            assert_answer(NONE, nr::__NR_clone, &[flags], ALLOW);
        }
        // CLONE_FILES, CLONE_FS.
        assert_answer(NONE, nr::__NR_unshare, &[0x600], ALLOW);
    }

    #[test]
    fn sockets_of_the_hypervisor_and_of_the_kernels_crypto_do_not_exist() {
        for family in [u64::from(AF_VSOCK), u64::from(AF_ALG), 7 << 32 | 40] {
            assert_answer(CapabilitySet::ALL, nr::__NR_socket, &[family], EAFNOSUPPORT);
        }
        // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK.
        for family in [1, 2, 10, 16] {
            assert_answer(NONE, nr::__NR_socket, &[family], ALLOW);
        }
    }

    #[test]
    fn a_personality_that_weakens_is_refused() {
        for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff, 0xffff_ffff_ffff_ffff] {
            assert_answer(NONE, nr::__NR_personality, &[value], ALLOW);
        }
        // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, MMAP_PAGE_ZERO.
        for value in [0x4_0000, 0x40_0000, 0x10_0000, 0x4_0008] {
            assert_answer(CapabilitySet::ALL, nr::__NR_personality, &[value], EPERM);
        }
    }

    #[test]
    fn an_i386_call_never_passes() {
        let filter = Filter::sandbox(CapabilitySet::ALL);
        for number in 0..=600 {
            let call = Call {
                architecture: 0x4000_0003,
                ..native(number, &[])
            };
            assert_eq!(answer(&filter, &call), ENOSYS, "{number}");
        }
    }

    #[test]
    fn the_program_is_short_and_each_call_takes_few_steps() {
        let filter = Filter::sandbox(NONE);
        let length = filter.instructions().len();
        assert!(length < 400, "{length} instructions");
        let steps = (0..=600)
            .map(|number| interpret(filter.instructions(), &native(number, &[1, 1])).1)
            .max();
        assert!(steps < Some(25), "{steps:?} instructions for one call");
    }
}
