//! Which capability a call asks for.

use warren_confine::Capability;

use crate::address::Address;
use crate::event::{Event, Name};
use crate::wants::Wants;

/// Ports below need a capability to be taken: `net.ipv4.ip_unprivileged_port_start`.
const FIRST_FREE_PORT: u16 = 1024;

/// The capability that the kernel asks for, or may: whether it does can depend on who
/// owns what. capabilities(7) has them all.
#[must_use]
pub fn capability(event: &Event) -> Option<Capability> {
    let Name::Native(name) = event.name else {
        return None;
    };
    let argument = |number: usize| event.arguments[number] as u32;
    Some(match name {
        "chown" | "lchown" | "fchown" | "fchownat" => Capability::CHOWN,
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "utime" | "utimes"
        | "futimesat" | "utimensat" => Capability::FOWNER,
        "bind" => match &event.contact.as_ref()?.address {
            Address::Inet(address) if (1..FIRST_FREE_PORT).contains(&address.port()) => {
                Capability::NET_BIND_SERVICE
            }
            _ => return None,
        },
        "socket" if is_raw_socket(argument(0), argument(1)) => Capability::NET_RAW,
        "setsockopt" | "ioctl" => return None,
        "chroot" => Capability::SYS_CHROOT,
        "mknod" | "mknodat" if makes_device(name, event) => Capability::MKNOD,
        "setuid" | "setreuid" | "setresuid" | "setfsuid" => Capability::SETUID,
        "setgid" | "setregid" | "setresgid" | "setfsgid" | "setgroups" => {
            Capability::SETGID
        }
        "capset" => Capability::SETPCAP,
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "pidfd_send_signal" => {
            Capability::KILL
        }
        "mlock" | "mlock2" | "mlockall" => Capability::IPC_LOCK,
        "ptrace" | "process_vm_readv" | "process_vm_writev" | "kcmp" => {
            Capability::SYS_PTRACE
        }
        "setpriority" | "sched_setscheduler" | "sched_setparam" | "sched_setattr"
        | "ioprio_set" => Capability::SYS_NICE,
        "setrlimit" | "prlimit64" => Capability::SYS_RESOURCE,
        "mount" | "umount2" | "move_mount" | "open_tree" | "fsopen" | "fsmount"
        | "mount_setattr" | "pivot_root" | "setns" | "unshare" | "sethostname"
        | "setdomainname" => Capability::SYS_ADMIN,
        "settimeofday" | "clock_settime" | "adjtimex" | "clock_adjtime" => {
            Capability::SYS_TIME
        }
        "open_by_handle_at" => Capability::DAC_READ_SEARCH,
        _ if fails_by_mode(event) => Capability::DAC_OVERRIDE,
        _ => return None,
    })
}

/// `AF_PACKET`, and `SOCK_RAW` of the internet's families.
fn is_raw_socket(family: u32, kind: u32) -> bool {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    const AF_PACKET: u32 = 17;
    const SOCK_RAW: u32 = 3;
    /// Without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
    const KIND: u32 = 0xf;
    let internet = matches!(family, AF_INET | AF_INET6);
    family == AF_PACKET || (internet && kind & KIND == SOCK_RAW)
}

fn makes_device(name: &str, event: &Event) -> bool {
    use rustix::fs::FileType;
    let mode = event.arguments[if name == "mknodat" { 2 } else { 1 }] as u32;
    matches!(
        FileType::from_raw_mode(mode),
        FileType::BlockDevice | FileType::CharacterDevice
    )
}

/// Whether the call failed where the modes of files are asked.
fn fails_by_mode(event: &Event) -> bool {
    let used = event.uses.iter().any(|one| one.wants != Wants::PASS);
    used && event.result == Err(warren_sys::Errno::ACCESS)
}

#[cfg(test)]
mod tests {
    use warren_sys::Errno;

    use super::*;
    use crate::event::{Contact, Protocol};
    use crate::wants::Use;

    fn event(name: &'static str, arguments: &[u64]) -> Event {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Event {
            name: Name::Native(name),
            number: 0,
            arguments: all,
            uses: Vec::new(),
            contact: None,
            result: Err(Errno::PERM),
        }
    }

    #[test]
    fn arguments_decide_where_the_call_alone_does_not() {
        assert_eq!(
            capability(&event("socket", &[2, 3])),
            Some(Capability::NET_RAW)
        );
        assert_eq!(
            capability(&event("socket", &[17, 0x80002])),
            Some(Capability::NET_RAW)
        );
        assert_eq!(capability(&event("socket", &[2, 0x80001])), None);
        assert_eq!(
            capability(&event("mknod", &[0, 0o20_666])),
            Some(Capability::MKNOD)
        );
        assert_eq!(capability(&event("mknod", &[0, 0o10_666])), None);
        let bind = |port: u16| Event {
            contact: Some(Contact {
                address: Address::Inet(([127, 0, 0, 1], port).into()),
                binds: true,
                protocol: Protocol::Stream,
            }),
            ..event("bind", &[])
        };
        assert_eq!(capability(&bind(80)), Some(Capability::NET_BIND_SERVICE));
        assert_eq!(capability(&bind(8080)), None);
        assert_eq!(capability(&bind(0)), None);
    }

    #[test]
    fn a_mode_in_the_way_is_told_by_the_errno() {
        let mut open = event("openat", &[]);
        open.uses.push(Use {
            path: "/a".into(),
            existed: true,
            wants: Wants::READ,
        });
        assert_eq!(capability(&open), None);
        open.result = Err(Errno::ACCESS);
        assert_eq!(capability(&open), Some(Capability::DAC_OVERRIDE));
    }
}
