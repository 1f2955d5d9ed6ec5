//! System calls, and the ways in which each can fail.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Stdio};

use crate::Result;
use crate::command::output;

/// The names of this machine's system calls, by number.
pub struct Names(BTreeMap<u64, String>);

impl Names {
    /// Has the preprocessor list the headers' `__NR_` macros.
    pub fn of_kernel_headers() -> Result<Self> {
        let mut gcc = Command::new("gcc");
        gcc.args([
            "-E",
            "-dM",
            "-x",
            "c",
            "-include",
            "asm/unistd.h",
            "/dev/null",
        ]);
        Ok(Self::parse(&output(gcc.stdin(Stdio::null()))?))
    }

    fn parse(macros: &str) -> Self {
        let pair = |line: &str| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((number.trim().parse().ok()?, name.to_owned()))
        };
        Self(macros.lines().filter_map(pair).collect())
    }

    /// The name, or the number of a call that is newer than the headers.
    pub fn name(&self, number: u64) -> String {
        let name = self.0.get(&number).cloned();
        name.unwrap_or_else(|| number.to_string())
    }
}

/// One call of one process of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The process, from 1 in the order in which they come to be.
    pub process: u32,
    pub number: u64,
    pub name: String,
    /// Which of the process's calls of this name, from 1.
    pub nth: u32,
    /// The process of the contained program.
    pub payload: u32,
    /// Whether the contained program had ended well when it came.
    pub after_payload: bool,
}

impl Target {
    /// The tracer's `-i`.
    pub fn injection(&self, fault: Fault) -> String {
        let fault = match fault {
            Fault::Fails(errno) => format!("e{}", errno.number),
            Fault::FailsAfter(errno) => format!("a{}", errno.number),
            Fault::Refused => "z".to_owned(),
            Fault::Kill => "k".to_owned(),
        };
        format!("{}:{}:{}:{fault}", self.process, self.number, self.nth)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.process {
            1 => "supervisor",
            number if number == self.payload => "payload",
            2 => "init",
            _ => "helper",
        };
        write!(f, "{who} {} {}", self.name, self.nth)
    }
}

/// An error number with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno {
    name: &'static str,
    pub number: i32,
}

const fn errno(name: &'static str, number: i32) -> Errno {
    Errno { name, number }
}

const EPERM: Errno = errno("EPERM", 1);
const ENOENT: Errno = errno("ENOENT", 2);
const EINTR: Errno = errno("EINTR", 4);
const EIO: Errno = errno("EIO", 5);
const ECHILD: Errno = errno("ECHILD", 10);
const EAGAIN: Errno = errno("EAGAIN", 11);
const ENOMEM: Errno = errno("ENOMEM", 12);
const EACCES: Errno = errno("EACCES", 13);
const EBUSY: Errno = errno("EBUSY", 16);
const EINVAL: Errno = errno("EINVAL", 22);
const EMFILE: Errno = errno("EMFILE", 24);
const ENOSPC: Errno = errno("ENOSPC", 28);
const ENOSYS: Errno = errno("ENOSYS", 38);

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not made, and returns an error.
    Fails(Errno),
    /// It is made, and returns an error all the same.
    FailsAfter(Errno),
    /// It is made with 0 as its argument. So brk(2), which has no errno, fails: it
    /// returns the end of the heap, and that has not moved.
    Refused,
    /// The process is killed just before it.
    Kill,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(errno) | Self::FailsAfter(errno) => f.write_str(errno.name),
            Self::Refused => f.write_str("refused"),
            Self::Kill => f.write_str("SIGKILL"),
        }
    }
}

/// What can go wrong at a call of this name, as its manual page has it.
pub fn faults_of(name: &str) -> Vec<Fault> {
    let mut faults: Vec<Fault> = match name {
        // The kernel frees the descriptor first and complains then.
        "close" => vec![Fault::FailsAfter(EIO)],
        "brk" => vec![Fault::Refused],
        _ => errors_of(name).iter().copied().map(Fault::Fails).collect(),
    };
    faults.push(Fault::Kill);
    faults
}

fn errors_of(name: &str) -> &'static [Errno] {
    match name {
        // These cannot fail.
        "exit" | "exit_group" | "rt_sigreturn" | "getpid" | "gettid" | "getppid"
        | "getuid" | "geteuid" | "getgid" | "getegid" | "umask" | "sched_yield"
        | "set_tid_address" | "rt_sigprocmask" => &[],
        "clone3" => &[EPERM, ENOSPC, ENOSYS],
        "clone" | "fork" | "vfork" => &[EAGAIN],
        "mmap" | "mremap" | "mprotect" => &[ENOMEM],
        "munmap" | "madvise" | "sigaltstack" | "rt_sigaction" | "pivot_root"
        | "seccomp" | "futex" => &[EINVAL],
        // A signal that is forwarded may come while they wait.
        "wait4" | "waitid" => &[EINTR, ECHILD],
        "read" => &[EINTR, EIO],
        "poll" | "ppoll" | "epoll_wait" | "epoll_pwait" | "rt_sigtimedwait" => &[EINTR],
        "write" | "writev" | "pread64" | "pwrite64" | "fstat" | "getdents64"
        | "lseek" | "unlink" | "unlinkat" | "rmdir" | "rename" | "renameat"
        | "renameat2" | "ftruncate" => &[EIO],
        "open_tree" | "move_mount" | "mount_setattr" | "fsopen" | "fsconfig"
        | "fsmount" | "fspick" => &[EPERM, ENOSYS],
        "openat2" | "statx" | "faccessat2" => &[EACCES, ENOSYS],
        "close_range" | "pidfd_open" | "pidfd_send_signal" | "getrandom" => &[ENOSYS],
        "open" | "openat" | "stat" | "lstat" | "newfstatat" | "access" | "faccessat"
        | "readlink" | "readlinkat" | "chdir" | "fchdir" | "mkdir" | "mkdirat"
        | "mknodat" | "symlinkat" | "linkat" | "fchmod" | "fchmodat" => &[EACCES],
        "execve" | "execveat" => &[ENOENT, EACCES],
        "umount2" => &[EBUSY],
        "pipe2" | "eventfd2" | "memfd_create" | "signalfd4" | "timerfd_create"
        | "epoll_create1" | "dup" | "dup2" | "dup3" | "fcntl" | "socket"
        | "socketpair" => &[EMFILE],
        _ => &[EPERM],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_headers() {
        let names = Names::parse(
            "#define __NR_read 0\n#define __NR_openat2 437\n#define O_RDONLY 00\n\
             #define __NR_syscalls\n#define __NR_arch_specific_syscall 244 \n",
        );
        assert_eq!(names.name(0), "read");
        assert_eq!(names.name(437), "openat2");
        assert_eq!(names.name(999), "999");
    }

    #[test]
    fn every_call_is_a_place_to_be_killed_at() {
        for name in ["read", "exit_group", "close", "999"] {
            assert!(faults_of(name).contains(&Fault::Kill), "{name}");
        }
        assert_eq!(faults_of("exit_group"), [Fault::Kill]);
    }

    #[test]
    fn an_injection_names_process_number_and_turn() {
        let target = Target {
            process: 2,
            number: 257,
            name: "openat".to_owned(),
            nth: 3,
            payload: 3,
            after_payload: false,
        };
        assert_eq!(target.injection(Fault::Fails(EACCES)), "2:257:3:e13");
        assert_eq!(target.injection(Fault::FailsAfter(EIO)), "2:257:3:a5");
        assert_eq!(target.injection(Fault::Refused), "2:257:3:z");
        assert_eq!(target.injection(Fault::Kill), "2:257:3:k");
        assert_eq!(target.to_string(), "init openat 3");
    }
}
