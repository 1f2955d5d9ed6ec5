//! Namespaces, what gates them, and what else confines or refuses.

use rustix::io::Errno;
use warren_confine::landlock::{Abi, Landlock, Missing};
use warren_namespaces::{Kind, limits};

use super::facts::Facts;
use super::trial::Trial;
use super::{Check, Section, State};

pub fn section(facts: &Facts, trial: &Trial) -> Section {
    let mut checks = namespaces(facts, trial);
    checks.push(procfs(facts));
    checks.push(seccomp(facts));
    checks.push(own_filter(facts));
    checks.push(landlock(Abi::probe()));
    checks.push(no_new_privs(facts));
    checks.push(security_modules(facts));
    checks.push(ptrace(facts));
    Section {
        name: "isolation",
        checks,
    }
}

/// The user namespace first; where it cannot be made, the others were not tried and
/// there is nothing to say about them.
fn namespaces(facts: &Facts, trial: &Trial) -> Vec<Check> {
    let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::User);
    [Kind::User]
        .into_iter()
        .chain(others)
        .filter_map(|kind| Some(namespace(facts, kind, trial.answer(kind)?)))
        .collect()
}

fn namespace(facts: &Facts, kind: Kind, answer: Result<(), Errno>) -> Check {
    let why = match kind {
        Kind::Mnt => "own mounts; the root and every bound folder need it",
        Kind::Net => "own network: without it the host's ports and services are open",
        Kind::Ipc => "own shared memory and message queues",
        Kind::User => "own ids: everything else is made inside of one",
        Kind::Pid => "own processes: without it the host's can be seen and signalled",
        Kind::Uts => "own host name",
        Kind::Cgroup => "own view of the cgroup tree",
        Kind::Time => "own monotonic and boot-time clocks",
    };
    let name = format!("{kind} namespace");
    match answer {
        Ok(()) => {
            let limit = facts.limits[kind as usize];
            let found = limit.map_or("can be made".to_owned(), |limit| {
                format!("can be made, at most {limit} for a user")
            });
            Check::ok(name, found, why)
        }
        Err(errno) => {
            let (reason, fix) = refusal(facts, kind, errno);
            Check::ok(
                name,
                format!("{reason} ({})", warren_namespaces::errno_text(errno)),
                why,
            )
            .but(State::Fails, fix)
        }
    }
}

/// Why the kernel said no, as far as this machine shows, and the way out.
fn refusal(facts: &Facts, kind: Kind, errno: Errno) -> (String, String) {
    match errno {
        Errno::NOSPC | Errno::USERS => no_space(facts, kind),
        Errno::PERM | Errno::ACCESS => not_permitted(facts, kind),
        Errno::INVAL | Errno::NOSYS => (
            format!("this kernel has no {kind} namespaces"),
            format!("boot a kernel with {}", config(kind)),
        ),
        _ => (
            "the kernel refuses".to_owned(),
            "look at the kernel's messages: dmesg".to_owned(),
        ),
    }
}

/// The option that a kernel is built with to have the kind.
fn config(kind: Kind) -> String {
    match kind {
        // Older than the option would be.
        Kind::Mnt => "CONFIG_NAMESPACES".to_owned(),
        Kind::Cgroup => "CONFIG_CGROUPS".to_owned(),
        _ => format!("CONFIG_{}_NS", kind.name().to_uppercase()),
    }
}

fn no_space(facts: &Facts, kind: Kind) -> (String, String) {
    let sysctl = format!("user.{}", kind.limit());
    let reason = match facts.limits[kind as usize] {
        Some(0) => format!("{sysctl} is 0"),
        Some(limit) => format!(
            "{sysctl} is {limit} and that many are there, or a limit outside of this \
             user namespace is reached"
        ),
        None => format!("{sysctl} is reached"),
    };
    (reason, format!("sysctl -w {sysctl}=10000"))
}

fn not_permitted(facts: &Facts, kind: Kind) -> (String, String) {
    if kind != Kind::User && facts.apparmor_restricts() {
        let apparmor = limits::UsernsGate::AppArmor;
        let reason = "AppArmor gives this program's user namespaces no capabilities";
        return (reason.to_owned(), apparmor.fix().to_owned());
    }
    if let Some(setting) = facts.closed_gate() {
        return (setting.to_string(), setting.gate.fix().to_owned());
    }
    if facts.is_chrooted() {
        return (
            "this process is in a chroot, where the kernel makes none".to_owned(),
            "enter the root by pivot_root(2) instead of chroot(2)".to_owned(),
        );
    }
    if facts.own.seccomp_filter {
        return (
            "the seccomp filter that this process runs under forbids it".to_owned(),
            "allow clone, clone3 and unshare with CLONE_NEWUSER in the container \
             manager's seccomp profile"
                .to_owned(),
        );
    }
    (
        "a security module forbids it".to_owned(),
        "look at the kernel's messages for the rule: dmesg, ausearch".to_owned(),
    )
}

fn procfs(facts: &Facts) -> Check {
    let why = "a new /proc for the new pid namespace; the kernel allows it only where \
               nothing of the present one is hidden";
    let masks = limits::proc_masks(&facts.mounts);
    if masks.is_empty() {
        return Check::ok("new procfs", "can be mounted", why);
    }
    let shown: Vec<_> = masks
        .iter()
        .take(3)
        .map(|mask| mask.to_string_lossy())
        .collect();
    let more = if masks.len() > 3 { " and more" } else { "" };
    let found = format!("parts of /proc are covered: {}{more}", shown.join(" "));
    let fix = "have the container manager leave /proc unmasked: docker run \
               --security-opt systempaths=unconfined, podman run --security-opt \
               unmask=ALL, Kubernetes procMount: Unmasked";
    Check::ok("new procfs", found, why).but(State::Fails, fix)
}

fn seccomp(facts: &Facts) -> Check {
    let why = "the default filter refuses calls that a container has no business with";
    let name = "seccomp filters";
    if !facts.own.seccomp_exists {
        return Check::ok(name, "this kernel has none", why)
            .but(State::Fails, "boot a kernel with CONFIG_SECCOMP_FILTER");
    }
    // Missing where /proc shows processes only (subset=pid).
    let actions = facts.words("sys/kernel/seccomp/actions_avail");
    let found = match actions.as_slice() {
        [] => "there".to_owned(),
        actions => actions.join(" "),
    };
    Check::ok(name, found, why)
}

fn own_filter(facts: &Facts) -> Check {
    let why = "a filter around this shell can refuse what Warren needs";
    let found = if facts.own.seccomp_filter {
        "this process runs under one"
    } else {
        "none"
    };
    Check::ok("own filter", found, why)
}

fn landlock(has: Result<Abi, Missing>) -> Check {
    let why = "a second wall behind the mounts, and rules on TCP ports: `warren run \
               --landlock`, `--connect-port`";
    match has {
        Ok(abi) => {
            let open: Vec<_> = Landlock::lacks(abi).map(|lack| lack.what).collect();
            let found = match open.as_slice() {
                [] => abi.to_string(),
                open => format!("{abi}; it does not hold {}", open.join(", ")),
            };
            let check = Check::ok("landlock", found, why);
            match abi < Abi::TRUNCATE {
                true => check.but(State::Missing, "Linux 6.2 or newer has what is used"),
                false => check,
            }
        }
        Err(missing) => Check::ok("landlock", missing.to_string(), why)
            .but(State::Missing, missing.way_out()),
    }
}

fn no_new_privs(facts: &Facts) -> Check {
    let why = "under it newuidmap(1), which is setuid, maps no ranges of ids";
    if facts.uid != 0 && facts.own.no_new_privs {
        return Check::ok("no_new_privs", "set", why).but(
            State::Missing,
            "start the shell outside of the service or sandbox that sets it \
             (systemd: NoNewPrivileges=no)",
        );
    }
    let found = if facts.own.no_new_privs {
        "set"
    } else {
        "not set"
    };
    Check::ok("no_new_privs", found, why)
}

fn security_modules(facts: &Facts) -> Check {
    let why = "AppArmor and SELinux can refuse mounts and user namespaces; Landlock \
               confines without privilege";
    let list = std::fs::read_to_string("/sys/kernel/security/lsm");
    let found = match list {
        Ok(list) => list.trim().replace(',', " "),
        Err(_) => "not to be seen: securityfs is not mounted or not readable".to_owned(),
    };
    let label = own_label(facts);
    Check::ok("security modules", found + &label, why)
}

fn own_label(facts: &Facts) -> String {
    let Ok(folder) = facts.proc.own_folder() else {
        return String::new();
    };
    let label = facts.words(&format!("{folder}/attr/apparmor/current"));
    if label.is_empty() {
        return String::new();
    }
    format!("; AppArmor profile of this process: {}", label.join(" "))
}

fn ptrace(facts: &Facts) -> Check {
    let why = "`warren ls` and `warren enter` may look only into what ptrace(2) may";
    let scope = facts.proc.sysctl("kernel/yama/ptrace_scope");
    let (found, restricted) = match scope {
        Ok(None) => ("no Yama: own processes may be examined".to_owned(), false),
        Ok(Some(scope @ ..=1)) => (format!("ptrace_scope is {scope}"), false),
        Ok(Some(scope)) => (format!("ptrace_scope is {scope}"), facts.uid != 0),
        Err(error) => (error.to_string(), false),
    };
    let check = Check::ok("ptrace", found, why);
    if restricted {
        return check.but(State::Missing, "sysctl -w kernel.yama.ptrace_scope=1");
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_namespaces::limits::{GateSetting, UsernsGate};

    fn facts() -> Facts {
        let mut facts = Facts::gather().expect("this machine has /proc");
        facts.gates = Vec::new();
        facts.own.seccomp_filter = false;
        facts.own.capabilities = 0;
        facts
    }

    #[test]
    fn a_closed_gate_is_named_with_its_fix() {
        let mut facts = facts();
        facts.gates = vec![GateSetting {
            gate: UsernsGate::UnprivilegedUsernsClone,
            value: 0,
        }];
        let check = namespace(&facts, Kind::User, Err(Errno::PERM));
        assert_eq!(check.state, State::Fails);
        let reason = "kernel.unprivileged_userns_clone is 0";
        assert!(check.found.starts_with(reason), "{}", check.found);
        let fix = check.fix.expect("a fix");
        assert_eq!(fix, "sysctl -w kernel.unprivileged_userns_clone=1");
    }

    #[test]
    fn apparmor_is_named_where_only_the_inner_namespaces_fail() {
        let mut facts = facts();
        facts.gates = vec![GateSetting {
            gate: UsernsGate::AppArmor,
            value: 1,
        }];
        assert_eq!(namespace(&facts, Kind::User, Ok(())).state, State::Ok);
        let check = namespace(&facts, Kind::Net, Err(Errno::PERM));
        assert!(check.found.starts_with("AppArmor"), "{}", check.found);
    }

    #[test]
    fn landlock_tells_its_version_and_what_it_leaves_open() {
        let check = landlock(Ok(Abi::new(7)));
        assert_eq!(check.state, State::Ok);
        let found = "ABI 7; it does not hold unix sockets that have a path";
        assert_eq!(check.found, found);
        assert_eq!(landlock(Ok(Abi::new(2))).state, State::Missing);
        let check = landlock(Err(Missing::NotStarted));
        let fix = "add landlock to the kernel's lsm= parameter";
        assert_eq!(check.fix.as_deref(), Some(fix));
    }

    #[test]
    fn without_a_user_namespace_nothing_else_is_claimed() {
        let trial = Trial::of(|kind| (kind == Kind::User).then_some(Err(Errno::PERM)));
        let checks = namespaces(&facts(), &trial);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].name, "user namespace");
        assert_eq!(checks[0].state, State::Fails);
    }

    #[test]
    fn a_limit_is_named_by_its_sysctl() {
        let mut facts = facts();
        facts.limits = [Some(0); 8];
        let check = namespace(&facts, Kind::Net, Err(Errno::NOSPC));
        let reason = "user.max_net_namespaces is 0 (";
        assert!(check.found.starts_with(reason), "{}", check.found);
    }
}
