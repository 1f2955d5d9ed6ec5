//! `process`.

use super::object::object;

object! {
    /// What is run.
    pub struct Process {
        always {
            /// Who it is.
            user: User = "user",
            /// The working folder: an absolute path in the container.
            cwd: String = "cwd",
        }
        sometimes {
            /// Whether it gets a terminal of its own.
            terminal: bool = "terminal",
            /// How large that is.
            console_size: Option<ConsoleSize> = "consoleSize",
            /// The environment, `KEY=VALUE`.
            env: Vec<String> = "env",
            /// The program and its arguments.
            args: Vec<String> = "args",
            /// Of Windows.
            command_line: String = "commandLine",
            /// Resource limits.
            rlimits: Vec<Rlimit> = "rlimits",
            /// The profile of AppArmor.
            apparmor_profile: String = "apparmorProfile",
            /// The sets of capabilities.
            capabilities: Option<Capabilities> = "capabilities",
            /// Whether execve(2) can never give more privilege.
            no_new_privileges: bool = "noNewPrivileges",
            /// oom_score_adj of proc(5), -1000 to 1000.
            oom_score_adj: Option<i32> = "oomScoreAdj",
            /// sched_setattr(2).
            scheduler: Option<Scheduler> = "scheduler",
            /// The label of SELinux.
            selinux_label: String = "selinuxLabel",
            /// ioprio_set(2).
            io_priority: Option<IoPriority> = "ioPriority",
            /// Processors for a process that joins later.
            exec_cpu_affinity: Option<CpuAffinity> = "execCPUAffinity",
        }
    }
}

object! {
    /// The size of a terminal, in characters.
    pub struct ConsoleSize {
        always {
            /// Its rows.
            height: u16 = "height",
            /// Its columns.
            width: u16 = "width",
        }
    }
}

object! {
    /// Who the process is, in the ids of its user namespace.
    pub struct User {
        always {
            /// User id.
            uid: u32 = "uid",
            /// Group id.
            gid: u32 = "gid",
        }
        sometimes {
            /// Bits that new files do not get.
            umask: Option<u32> = "umask",
            /// Supplementary groups.
            additional_gids: Vec<u32> = "additionalGids",
            /// Of Windows.
            username: String = "username",
        }
    }
}

object! {
    /// A resource limit: getrlimit(2).
    pub struct Rlimit {
        always {
            /// `RLIMIT_NOFILE`, ...
            r#type: String = "type",
            /// What counts.
            soft: u64 = "soft",
            /// How far the process may raise that.
            hard: u64 = "hard",
        }
    }
}

object! {
    /// The five sets of a thread, `CAP_CHOWN`, ...: capabilities(7).
    pub struct Capabilities {
        sometimes {
            /// Beyond which execve(2) gives none.
            bounding: Vec<String> = "bounding",
            /// Those that count.
            effective: Vec<String> = "effective",
            /// Those that a file may ask for as inheritable.
            inheritable: Vec<String> = "inheritable",
            /// Those that can be made effective.
            permitted: Vec<String> = "permitted",
            /// Those that a program of another user than root keeps.
            ambient: Vec<String> = "ambient",
        }
    }
}

object! {
    /// sched_setattr(2).
    pub struct Scheduler {
        always {
            /// `SCHED_OTHER`, `SCHED_BATCH`, ...
            policy: String = "policy",
        }
        sometimes {
            /// The nice value.
            nice: i32 = "nice",
            /// The static priority.
            priority: i32 = "priority",
            /// `SCHED_FLAG_RESET_ON_FORK`, ...
            flags: Vec<String> = "flags",
            /// Nanoseconds per period, of `SCHED_DEADLINE`.
            runtime: u64 = "runtime",
            /// Nanoseconds until the deadline.
            deadline: u64 = "deadline",
            /// Nanoseconds of a period.
            period: u64 = "period",
        }
    }
}

object! {
    /// ioprio_set(2).
    pub struct IoPriority {
        always {
            /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
            class: String = "class",
            /// 0, the highest, to 7.
            priority: i32 = "priority",
        }
    }
}

object! {
    /// Processors for a process that joins a running container, as `0-3,7`.
    pub struct CpuAffinity {
        sometimes {
            /// While it has not been moved to the container's control group.
            initial: String = "initial",
            /// After that.
            r#final: String = "final",
        }
    }
}
