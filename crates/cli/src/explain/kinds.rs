//! The texts.

use warren_namespaces::Kind;

/// What there is to say of a kind on every machine.
pub struct Explanation {
    /// What each namespace of the kind has of its own, in a line.
    pub about: &'static str,
    pub isolates: &'static [&'static str],
    /// What is still shared, where one could think that it is not.
    pub shares: &'static [&'static str],
    pub example: Example,
    /// What fails with which error, and why.
    pub errors: &'static [(&'static str, &'static str)],
    pub pages: &'static [&'static str],
}

/// A command that works as it stands, for root and for an ordinary user; the end-to-end
/// tests run it.
pub struct Example {
    pub command: &'static str,
    pub shows: &'static str,
}

/// The explanation of a kind.
pub fn of(kind: Kind) -> &'static Explanation {
    match kind {
        Kind::Mnt => &MNT,
        Kind::Net => &NET,
        Kind::Ipc => &IPC,
        Kind::User => &USER,
        Kind::Pid => &PID,
        Kind::Uts => &UTS,
        Kind::Cgroup => &CGROUP,
        Kind::Time => &TIME,
    }
}

const MNT: Explanation = Explanation {
    about: "the list of mounts: what is mounted where, with which options",
    isolates: &[
        "A new one begins as a copy. What is mounted, unmounted or remounted in it is \
         not seen in others.",
    ],
    shares: &[
        "Files: a copy of the list leads to the same filesystems, so what is written \
         there is seen by all.",
        "Shared mounts: as long as a mount's propagation is shared, mounts made below \
         it appear in the copies too. warren makes the copy private.",
        "The root folder: chroot(2) and pivot_root(2) change what / is, in one \
         namespace or across them.",
    ],
    example: Example {
        command: "warren unshare -rm -- sh -c 'mount -t tmpfs none /mnt; df /mnt'",
        shows: "An empty tmpfs; outside, /mnt is as it was.",
    },
    errors: &[
        (
            "mount: Operation not permitted (EPERM)",
            "It takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace, \
             and a filesystem type that a user namespace may mount: tmpfs, proc, sysfs, \
             overlay, not ext4.",
        ),
        (
            "remount, umount: EPERM, EINVAL",
            "Mounts copied from a more privileged user namespace are locked: read-only \
             stays read-only, and one cannot be taken off alone.",
        ),
        (
            "mount -t proc: EPERM",
            "In a user namespace procfs can be mounted only where one is visible of \
             which nothing is hidden by other mounts; container managers hide parts. It \
             also takes a pid namespace that the same user namespace owns.",
        ),
        (
            "pivot_root: EINVAL",
            "The new root is no mount point, or its parent mount is shared.",
        ),
        (
            "mount: ENOSPC",
            "The namespace has fs.mount-max mounts already.",
        ),
    ],
    pages: &["mount_namespaces(7)", "mount(2)", "pivot_root(2)"],
};

const NET: Explanation = Explanation {
    about: "network interfaces, addresses, routes, firewall rules, ports",
    isolates: &[
        "A new one has the interface lo alone, and that is down. Ports of one \
         namespace are free in another.",
        "Abstract unix sockets (names without a file), /proc/net, and the sysctls \
         below net.",
    ],
    shares: &[
        "Unix sockets that are files: whoever can open the file can connect. That is \
         for a mount namespace to hide.",
        "Sockets that are open already: one belongs to the namespace in which it was \
         made, whoever holds it.",
        "The bandwidth of the hardware.",
    ],
    example: Example {
        command: "warren unshare -r --net -- cat /proc/net/dev",
        shows: "One interface, lo, which has sent nothing.",
    },
    errors: &[
        (
            "connect: Network is unreachable (ENETUNREACH)",
            "A new namespace has no way out: it needs a veth pair and a route, or a \
             helper such as pasta or slirp4netns.",
        ),
        (
            "connect to 127.0.0.1: the same error",
            "lo is still down: ip link set lo up.",
        ),
        (
            "ip link, iptables: Operation not permitted (EPERM)",
            "It takes CAP_NET_ADMIN in the user namespace that owns the network \
             namespace. Root inside a user namespace has it over networks made in that, \
             not over the host's.",
        ),
        (
            "mount -t sysfs: EPERM",
            "sysfs can be mounted in a user namespace only if that owns the network \
             namespace, too.",
        ),
    ],
    pages: &["network_namespaces(7)", "ip-netns(8)", "veth(4)"],
};

const IPC: Explanation = Explanation {
    about: "System V shared memory, semaphores, queues; POSIX message queues",
    isolates: &[
        "The objects of shmget(2), semget(2), msgget(2) with their keys, and those of \
         mq_open(3). They end with the namespace.",
        "Their limits: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*.",
    ],
    shares: &[
        "POSIX shared memory and semaphores (shm_open(3), sem_open(3)): they are files \
         in /dev/shm, so a mount namespace separates them.",
        "Pipes, sockets, signals, and memory that was mapped before.",
        "/dev/mqueue shows the queues of the namespace in which it was mounted.",
    ],
    example: Example {
        command: "warren unshare -r --ipc -- sh -c 'ipcmk -M 4096; ipcs -m'",
        shows: "One segment, which is gone when the command has ended.",
    },
    errors: &[
        (
            "shmget, semget, msgget: No such file or directory (ENOENT)",
            "The key belongs to an object in another namespace.",
        ),
        (
            "shmget: No space left on device (ENOSPC)",
            "This namespace's own kernel.shmmni or kernel.shmall is reached.",
        ),
        (
            "mount -t mqueue: EPERM",
            "It takes CAP_SYS_ADMIN in the user namespaces that own the ipc and the \
             mount namespace.",
        ),
    ],
    pages: &["ipc_namespaces(7)", "sysvipc(7)", "mq_overview(7)"],
};

const USER: Explanation = Explanation {
    about: "user and group ids, capabilities",
    isolates: &[
        "Ids: each id inside stands for one outside, by /proc/PID/uid_map and gid_map. \
         One that is not mapped is shown as 65534, nobody.",
        "Capabilities: the first process has all of them, over this namespace and what \
         it owns, none over anything outside.",
        "It owns every other namespace made in it, and rules over those.",
    ],
    shares: &[
        "Files: on disk lies the outer id, and that is what permissions go by.",
        "Everything that is not another namespace: with a user namespace alone a \
         process sees the same mounts, network and processes as before.",
    ],
    example: Example {
        command: "warren unshare -r -- sh -c 'id -u; cat /proc/self/uid_map'",
        shows: "0, and a line that says which outer id that is.",
    },
    errors: &[
        (
            "unshare, clone: Operation not permitted (EPERM)",
            "A gate is shut (see above), the caller is in a chroot, or its uid or gid is \
             not mapped in its own user namespace.",
        ),
        (
            "unshare, clone: No space left on device (ENOSPC)",
            "user.max_user_namespaces is reached, here or in a user namespace above; or \
             they are nested more than 32 deep.",
        ),
        (
            "unshare, setns: Invalid argument (EINVAL)",
            "The process has threads; or setns was to enter the namespace that it is in.",
        ),
        (
            "write uid_map: EPERM",
            "Other ids than one's own take CAP_SETUID in the parent: newuidmap(1) has it \
             and goes by /etc/subuid. A map can be written once.",
        ),
        (
            "write gid_map: EPERM",
            "Without that right /proc/PID/setgroups must say deny first.",
        ),
        (
            "chown, setuid: Invalid argument (EINVAL)",
            "The id is not mapped in this namespace.",
        ),
        (
            "mount and others, after a good unshare: EPERM, EACCES",
            "AppArmor may take the capabilities away again: \
             kernel.apparmor_restrict_unprivileged_userns.",
        ),
    ],
    pages: &[
        "user_namespaces(7)",
        "capabilities(7)",
        "newuidmap(1)",
        "subuid(5)",
    ],
};

const PID: Explanation = Explanation {
    about: "process ids",
    isolates: &[
        "Processes inside see and signal only each other. The first is pid 1: it \
         adopts orphans, and its end kills all others.",
        "They nest: a process has a pid in its own namespace and in each one above, \
         where it can be seen.",
    ],
    shares: &[
        "/proc: a procfs shows the pid namespace for which it was mounted, so a new one \
         must be mounted to see the new pids.",
        "Processes above: they see, signal and trace those inside.",
        "CPU time, memory and the number of processes: that is for cgroups.",
    ],
    example: Example {
        command: "warren unshare -r --pid --fork -- sh -c 'echo $$'",
        shows: "1. `warren run` and --add-init put an init there, which reaps.",
    },
    errors: &[
        (
            "fork: Cannot allocate memory (ENOMEM)",
            "Pid 1 of the namespace has ended: nothing can be started in it any more. \
             unshare without --fork ends so after its first command.",
        ),
        (
            "setns: Invalid argument (EINVAL)",
            "One can enter one's own namespace and those below it, no other.",
        ),
        (
            "kill pid 1: nothing happens",
            "From inside, pid 1 gets only signals for which it has a handler. From \
             above, SIGKILL and SIGSTOP always work.",
        ),
        (
            "unshare, clone: No space left on device (ENOSPC)",
            "user.max_pid_namespaces is reached, or they are nested more than 32 deep.",
        ),
    ],
    pages: &["pid_namespaces(7)", "clone(2)", "procfs(5)"],
};

const UTS: Explanation = Explanation {
    about: "host name, NIS domain name",
    isolates: &["The two names that uname(2) tells, and that hostname(1) sets."],
    shares: &[
        "/etc/hostname, /etc/hosts and the resolver: files, which a mount namespace \
         separates. The new name resolves to nothing by itself.",
        "The release and version of the kernel.",
    ],
    example: Example {
        command: "warren unshare -r --uts -- sh -c 'hostname burrow; uname -n'",
        shows: "burrow inside; outside the name is as it was.",
    },
    errors: &[
        (
            "sethostname: Operation not permitted (EPERM)",
            "It takes CAP_SYS_ADMIN in the user namespace that owns the uts namespace.",
        ),
        (
            "sethostname: Invalid argument (EINVAL)",
            "A name has at most 64 bytes.",
        ),
    ],
    pages: &["uts_namespaces(7)", "uname(2)", "sethostname(2)"],
};

const CGROUP: Explanation = Explanation {
    about: "the root of the cgroup tree, as processes see it",
    isolates: &[
        "Paths: the cgroup in which the namespace was made is / in /proc/PID/cgroup and \
         in cgroup filesystems mounted inside.",
    ],
    shares: &[
        "Limits: making or entering one moves no process to another cgroup and limits \
         nothing. Limits come from the cgroup itself.",
        "/sys/fs/cgroup of the host: as long as it is mounted, the whole tree can be \
         read there.",
    ],
    example: Example {
        command: "warren unshare -r --cgroup -- cat /proc/self/cgroup",
        shows: "Every path is /, whatever it is outside.",
    },
    errors: &[
        (
            "a path that begins with /..",
            "The process is outside of the reader's root: entered with setns(2), but \
             not moved to a cgroup below it.",
        ),
        (
            "write cgroup.procs: No such file or directory (ENOENT)",
            "On v2 with nsdelegate a process cannot be moved across the root of the \
             namespace.",
        ),
        (
            "mount -t cgroup: Operation not permitted (EPERM)",
            "v1 hierarchies can be mounted in a user namespace only with a cgroup \
             namespace that it owns, and only where they are mounted outside already.",
        ),
    ],
    pages: &["cgroup_namespaces(7)", "cgroups(7)"],
};

const TIME: Explanation = Explanation {
    about: "offsets of the monotonic and the boot-time clock",
    isolates: &[
        "CLOCK_MONOTONIC and CLOCK_BOOTTIME with their coarse and raw forms, timers on \
         them, and /proc/uptime.",
        "unshare(2) moves only later children into the new one: until the first enters, \
         its offsets can be set in /proc/PID/timens_offsets.",
    ],
    shares: &[
        "The time of day, CLOCK_REALTIME: there is one for the machine, and date(1) \
         says the same everywhere.",
        "CPU time, and the speed of all clocks.",
    ],
    example: Example {
        command: "warren unshare -r --time --boottime 86400 --fork cat /proc/uptime",
        shows: "A day more than outside.",
    },
    errors: &[
        (
            "write timens_offsets: Permission denied (EACCES)",
            "A process is in the namespace already; offsets are fixed from then on.",
        ),
        (
            "write timens_offsets: Numerical result out of range (ERANGE)",
            "The clock would be negative, or beyond 146 years.",
        ),
        ("setns: Too many users (EUSERS)", "The process has threads."),
        (
            "setns: Operation not permitted (EPERM)",
            "It takes CAP_SYS_ADMIN in the owner of the time namespace and in the \
             caller's own user namespace.",
        ),
    ],
    pages: &["time_namespaces(7)", "clock_gettime(2)"],
};
