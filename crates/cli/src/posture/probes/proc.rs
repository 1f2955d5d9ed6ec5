//! The kernel's files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::mount::UnmountFlags;
use warren_namespaces::{errno_text, io_error_text};
use warren_sys::Errno;

use super::super::probe::{Finding, Probe};

const HOST: &str = "--bind of /proc or /sys, or root with --share user, shows them";

pub const PROBES: &[Probe] = &[
    Probe {
        name: "masks of /proc",
        about: "proc",
        tries: "reads what tells of the whole machine: kcore, keys, kmsg, timer_list and \
                the like",
        hint: HOST,
        cve: None,
        run: |_| masks(),
    },
    Probe {
        name: "unmount of a mask",
        about: "proc",
        tries: "takes off what is mounted over a file of /proc",
        hint: "--cap-add SYS_ADMIN lets it change its mounts",
        cve: Some("CVE-2021-41133"),
        run: |_| unmount(),
    },
    Probe {
        name: "sysctls",
        about: "proc",
        tries: "opens settings below /proc/sys for writing",
        hint: HOST,
        cve: None,
        run: |_| {
            written(&[
                "/proc/sys/kernel/hostname",
                "/proc/sys/kernel/modprobe",
                "/proc/sys/kernel/pid_max",
                "/proc/sys/vm/overcommit_memory",
                "/proc/sys/net/ipv4/ip_forward",
                "/proc/sys/user/max_user_namespaces",
                "/proc/sys/fs/binfmt_misc/register",
            ])
        },
    },
    Probe {
        name: "core_pattern",
        about: "proc",
        tries: "has the host's kernel run a program at the next crash",
        hint: HOST,
        cve: None,
        run: |_| written(&["/proc/sys/kernel/core_pattern"]),
    },
    Probe {
        name: "sysrq-trigger",
        about: "proc",
        tries: "commands the kernel: reboot, kill, crash",
        hint: HOST,
        cve: None,
        run: |_| written(&["/proc/sysrq-trigger"]),
    },
    Probe {
        name: "settings of /sys",
        about: "proc",
        tries: "opens uevent_helper, power state and firmware for writing, and debugfs",
        hint: HOST,
        cve: None,
        run: |_| sys(),
    },
];

const MASKED: &[&str] = &[
    "kcore",
    "keys",
    "kmsg",
    "timer_list",
    "latency_stats",
    "sched_debug",
    "interrupts",
    "acpi/wakeup",
    "scsi/scsi",
    "kpageflags",
];

fn masks() -> Finding {
    let tells = |name: &&&str| {
        let flags = OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        let path = format!("/proc/{name}");
        let file = options.read(true).custom_flags(flags).open(path);
        file.and_then(|mut file| file.read(&mut [0]))
            .is_ok_and(|length| length > 0)
    };
    let found: Vec<&&str> = MASKED.iter().filter(tells).collect();
    Finding::none_of(&found, "nothing is told")
}

/// Only marks the mount: `MNT_EXPIRE` unmounts what is marked and unused since.
fn unmount() -> Finding {
    let Ok(text) = fs::read("/proc/self/mountinfo") else {
        return Finding::unknown("/proc/self/mountinfo cannot be read");
    };
    let masks = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let path = line.split(|byte| *byte == b' ').nth(4)?;
        String::from_utf8(path.to_vec()).ok()
    });
    let Some(mask) = masks.into_iter().find(|path| path.starts_with("/proc/")) else {
        return Finding::holds("nothing is mounted there");
    };
    match rustix::mount::unmount(&mask, UnmountFlags::EXPIRE) {
        // It is not the kernel's to let go: it came with the mount namespace (MNT_LOCKED).
        Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::INVAL)) => {
            Finding::holds(errno_text(errno))
        }
        _ => Finding::open(mask),
    }
}

/// Which of these can be opened for writing. Nothing is written.
fn written(paths: &[&str]) -> Finding {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        match OpenOptions::new().write(true).open(path) {
            Ok(_) => found.push(*path),
            Err(error) => refused.push(error),
        }
    }
    // What is not there on this kernel tells least.
    refused.sort_by_key(|error| error.kind() == ErrorKind::NotFound);
    let why = refused.first().map(io_error_text);
    Finding::none_of(&found, why.unwrap_or_default())
}

fn sys() -> Finding {
    if fs::symlink_metadata("/sys/kernel").is_err() {
        return Finding::holds("no sysfs is there");
    }
    let finding = written(&["/sys/kernel/uevent_helper", "/sys/power/state"]);
    match fs::read_dir("/sys/kernel/debug").map(Iterator::count) {
        Ok(entries) if entries > 0 => Finding::open("/sys/kernel/debug"),
        _ => finding,
    }
}
