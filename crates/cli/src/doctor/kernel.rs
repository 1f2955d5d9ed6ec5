//! The kernel's version and its newer system calls.

use rustix::io::Errno;
use warren_namespaces::limits::KernelVersion;
use warren_sys::{Call, probe};

use super::facts::Facts;
use super::{Check, Section, State};

pub fn section(facts: &Facts) -> Section {
    let mut checks = vec![version(facts)];
    checks.extend(Call::ALL.into_iter().map(|call| {
        let answer = probe(call);
        system_call(call, answer, facts)
    }));
    Section {
        name: "kernel",
        checks,
    }
}

fn version(facts: &Facts) -> Check {
    let floor = KernelVersion::FLOOR;
    let release = facts.words("sys/kernel/osrelease").join(" ");
    let why = "older kernels lack calls that have no substitute";
    let check = Check::ok("version", format!("Linux {release}"), why);
    if facts.kernel < floor {
        return check.but(State::Fails, format!("install Linux {floor} or newer"));
    }
    check
}

fn system_call(call: Call, answer: Result<(), Errno>, facts: &Facts) -> Check {
    let (major, minor) = call.since();
    let why = match call {
        Call::Clone3 => "without it a time namespace costs one more step",
        Call::PidfdOpen => "without it a process can be mistaken for a later one",
        Call::Openat2 => "without it paths inside of a root cannot be walked safely",
        Call::CloseRange => "without it descriptors are closed one by one",
        Call::OpenTree | Call::MoveMount => {
            "without it mounts are made by path, which is slower"
        }
        Call::Fsopen => "without it filesystems are mounted by path",
        Call::MountSetattr => {
            "without it there are no idmapped mounts, and a tree is \
                               made read-only mount by mount"
        }
    };
    let Err(errno) = answer else {
        return Check::ok(call.name(), "there", why);
    };
    let is_new_enough = facts.kernel >= KernelVersion { major, minor };
    let (found, fix) = if is_new_enough && facts.own.seccomp_filter {
        (
            "refused by the seccomp filter that this process runs under",
            "allow it in the container manager's seccomp profile".to_owned(),
        )
    } else {
        (
            "this kernel does not have it",
            format!("it came with Linux {major}.{minor}"),
        )
    };
    Check::ok(
        call.name(),
        format!("{found} ({})", warren_namespaces::errno_text(errno)),
        why,
    )
    .but(State::Missing, fix)
}
