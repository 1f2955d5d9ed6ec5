use std::collections::BTreeMap;
use std::path::PathBuf;

use warren_confine::seccomp::table::Call;
use warren_namespaces::NamespaceSet;
use warren_spawn::{Access, Mount, Namespaces, Root};
use warren_sys::Errno;

use super::*;
use crate::event::{Contact, Event, Name, Protocol};
use crate::wants::Use;

/// A machine with these files; what ends in a slash is a folder. It listens at port 80.
struct Files(BTreeMap<PathBuf, bool>);

impl Machine for Files {
    fn is_folder(&self, path: &Path) -> Option<bool> {
        self.0.get(path).copied()
    }
}

impl Host for Files {
    fn exists(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn may(&self, path: &Path, _: Wants) -> bool {
        !path.ends_with("not-mine")
    }

    fn listens(&self, address: &Address) -> bool {
        matches!(address, Address::Inet(address) if address.port() == 80)
    }
}

/// A run without options, but for the project, of a user with one id.
fn spec() -> Spec {
    let folder = |target: &str| Mount::Folder {
        target: target.into(),
        mode: 0o755,
    };
    Spec {
        namespaces: Namespaces::new_of(NamespaceSet::ALL),
        root: Root::Empty,
        mounts: vec![
            Mount::bind("/usr", "/usr", Access::ReadOnly),
            Mount::bind("/etc", "/etc", Access::ReadOnly),
            folder("/home"),
            folder("/tmp"),
            Mount::Proc {
                target: "/proc".into(),
                masks: warren_spawn::ProcMasks::default(),
            },
            Mount::Mask {
                target: "/etc/shadow".into(),
            },
            Mount::bind("/home/u/p", "/home/u/p", Access::ReadWrite),
            Mount::bind("/data/x", "/home/u/x", Access::ReadOnly),
        ],
        capabilities: Some(CapabilitySet::EMPTY),
        seccomp: Seccomp::Sandbox,
        ..Spec::default()
    }
}

fn native(name: &'static str, errno: Errno) -> Failure {
    let call = Call::find(name).and_then(|call| call.number(Architecture::NATIVE));
    Failure {
        event: Event {
            name: Name::Native(name),
            number: call.expect(name).into(),
            arguments: [0; 6],
            uses: Vec::new(),
            contact: None,
            result: Err(errno),
        },
        errno,
    }
}

fn of_files(name: &'static str, uses: &[(&str, Wants)], errno: Errno) -> Failure {
    let mut failure = native(name, errno);
    failure.event.uses = uses
        .iter()
        .map(|(path, wants)| Use {
            path: path.into(),
            existed: false,
            wants: *wants,
        })
        .collect();
    failure
}

fn of_address(name: &'static str, address: &str, errno: Errno) -> Failure {
    let mut failure = native(name, errno);
    failure.event.contact = Some(Contact {
        address: Address::Inet(address.parse().expect("an address")),
        binds: name == "bind",
        protocol: Protocol::Stream,
    });
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, text: Option<&str>) {
    let files = [
        ("/home", true),
        ("/home/u", true),
        ("/home/u/.ssh", true),
        ("/home/u/.ssh/key", false),
        ("/home/u/p", true),
        ("/data", true),
        ("/data/x", true),
        ("/data/x/f", false),
        ("/usr", true),
        ("/usr/lib", true),
        ("/etc", true),
        ("/etc/shadow", false),
        ("/etc/not-mine", false),
    ];
    let files = Files(files.map(|(path, dir)| (path.into(), dir)).into());
    let spec = spec();
    let auditor = Auditor::new(&spec, false, false, &files);
    let said = auditor.explain(failure).map(|refusal| refusal.to_string());
    assert_eq!(said.as_deref(), text);
}

const READ: Wants = Wants::READ;

#[test]
fn what_the_host_has_and_the_run_has_not_is_not_shown() {
    let key = "/home/u/.ssh/key";
    assert_says(
        &of_files("openat", &[(key, READ)], Errno::NOENT),
        Some(
            "open /home/u/.ssh/key to read: not shown \
             (--ro-bind /home/u/.ssh/key /home/u/.ssh/key)",
        ),
    );
    // What is nowhere was only looked for; what is shown is as the host has it.
    let missing = [("/home/u/none", READ)];
    assert_says(&of_files("openat", &missing, Errno::NOENT), None);
    let shown = [("/usr/lib", Wants::LOOK)];
    assert_says(&of_files("stat", &shown, Errno::NOENT), None);
}

#[test]
fn what_is_to_be_made_needs_its_folder() {
    let new = [("/data/new", Wants::CREATE | Wants::WRITE)];
    assert_says(
        &of_files("openat", &new, Errno::NOENT),
        Some("open /data/new to create: not shown (--bind /data /data)"),
    );
    assert_says(
        &of_files("mkdir", &[("/usr/new", Wants::CREATE)], Errno::ROFS),
        Some("mkdir /usr/new: read-only (--bind /usr /usr)"),
    );
}

#[test]
fn what_is_read_only_is_bound_where_it_comes_from() {
    let write = [("/home/u/x/f", Wants::WRITE)];
    assert_says(
        &of_files("openat", &write, Errno::ROFS),
        Some("open /home/u/x/f to write: read-only (--bind /data/x/f /home/u/x/f)"),
    );
    // What the caller may not write on the host either is cured by nothing.
    let not_mine = [("/etc/not-mine", Wants::WRITE)];
    assert_says(
        &of_files("openat", &not_mine, Errno::ROFS),
        Some("open /etc/not-mine to write: read-only (no option allows it)"),
    );
}

#[test]
fn what_is_hidden_can_be_shown_unless_it_is_the_kernels() {
    assert_says(
        &of_files("openat", &[("/etc/shadow", READ)], Errno::ACCESS),
        Some("open /etc/shadow to read: hidden (--ro-bind /etc/shadow /etc/shadow)"),
    );
    assert_says(
        &of_files("openat", &[("/proc/kcore", READ)], Errno::ACCESS),
        Some("open /proc/kcore to read: hidden (no option allows it)"),
    );
}

#[test]
fn a_name_that_crosses_mounts_needs_one_of_both() {
    let uses = [
        ("/home/u/p/a", Wants::REMOVE),
        ("/home/u/x/a", Wants::CREATE),
    ];
    assert_says(
        &of_files("rename", &uses, Errno::XDEV),
        Some(
            "rename /home/u/x/a: shown as a mount of its own \
             (--bind /home/u /home/u)",
        ),
    );
    let busy = [("/home/u/p", Wants::REMOVE)];
    assert_says(
        &of_files("rmdir", &busy, Errno::BUSY),
        Some(
            "rmdir /home/u/p: shown as a mount of its own \
             (--bind /home/u /home/u)",
        ),
    );
}

#[test]
fn an_address_out_of_reach_needs_the_network() {
    assert_says(
        &of_address("connect", "192.0.2.1:443", Errno::NETUNREACH),
        Some("connect 192.0.2.1:443: no network (--share net)"),
    );
    assert_says(
        &of_address("connect", "127.0.0.1:80", Errno::CONNREFUSED),
        Some("connect 127.0.0.1:80: a loopback of its own (--share net)"),
    );
    // Nobody listens there on the host either.
    let nobody = of_address("connect", "127.0.0.1:81", Errno::CONNREFUSED);
    assert_says(&nobody, None);
}

#[test]
fn a_filtered_call_needs_the_capability_that_it_asks_for() {
    assert_says(
        &native("mount", Errno::PERM),
        Some("mount(2): system-call filter (--cap-add SYS_ADMIN)"),
    );
    assert_says(
        &native("keyctl", Errno::PERM),
        Some("keyctl(2): system-call filter (no option allows it)"),
    );
    assert_says(
        &native("clock_settime", Errno::PERM),
        Some(
            "clock_settime(2): system-call filter \
             (--share user --cap-add SYS_TIME, as root)",
        ),
    );
    // libc tries it each time, and does without.
    assert_says(&native("clone3", Errno::NOSYS), None);
    // Another errno than the filter's is the kernel's own.
    assert_says(&native("mount", Errno::BUSY), None);
}

#[test]
fn a_call_of_another_architecture_is_named() {
    let mut failure = native("write", Errno::NOSYS);
    failure.event.name = Name::Foreign("i386:write".into());
    assert_says(
        &failure,
        Some("i386:write(2): system-call filter (no option allows it)"),
    );
}

#[test]
fn a_low_port_needs_its_capability() {
    assert_says(
        &of_address("bind", "127.0.0.1:80", Errno::ACCESS),
        Some(
            "bind 127.0.0.1:80: a capability that the run has not \
             (--cap-add NET_BIND_SERVICE)",
        ),
    );
}

#[test]
fn a_users_profile_is_named_where_it_refuses() {
    let mut spec = spec();
    let policy = "default deny ENOSYS\nallow execve\nkill uname\n";
    let profile = warren_confine::seccomp::policy::parse(policy);
    spec.syscalls = Some(profile.expect("a good policy"));
    let files = Files(BTreeMap::new());
    let auditor = Auditor::new(&spec, false, false, &files);
    let said = |failure: &Failure| auditor.explain(failure).map(|one| one.to_string());
    assert_eq!(
        said(&native("getpid", Errno::NOSYS)).as_deref(),
        Some("getpid(2): system-call filter (--allow-call getpid)")
    );
    assert_eq!(
        said(&native("mount", Errno::NOSYS)).as_deref(),
        Some("mount(2): system-call filter (--cap-add SYS_ADMIN --allow-call mount)")
    );
    assert!(said(&native("uname", Errno::NOSYS)).is_some());
    assert_eq!(said(&native("uname", Errno::FAULT)), None);
}

#[test]
fn a_port_of_no_rule_needs_one_and_a_far_one_the_network_too() {
    let mut spec = spec();
    let ports = warren_confine::landlock::Ports {
        connect: vec![8000],
        bind: Vec::new(),
    };
    spec.landlock = Some(Landlock {
        required: false,
        ports: Some(ports),
    });
    let files = Files(BTreeMap::new());
    let auditor = Auditor::new(&spec, false, false, &files);
    let said = |failure: &Failure| auditor.explain(failure).map(|one| one.to_string());
    assert_eq!(
        said(&native("mount", Errno::PERM)).as_deref(),
        Some("mount(2): system-call filter (no option allows it)")
    );
    assert_eq!(
        said(&of_address("connect", "127.0.0.1:99", Errno::ACCESS)).as_deref(),
        Some("connect 127.0.0.1:99: no port of this run (--connect-port 99)")
    );
    assert_eq!(
        said(&of_address("connect", "192.0.2.1:443", Errno::ACCESS)).as_deref(),
        Some(
            "connect 192.0.2.1:443: no port of this run \
             (--share net --connect-port 443)"
        )
    );
    assert_eq!(
        said(&of_address("bind", "127.0.0.1:8000", Errno::ACCESS)).as_deref(),
        Some("bind 127.0.0.1:8000: no port of this run (--bind-port 8000)")
    );
}

#[test]
fn a_file_that_no_id_inside_owns_needs_the_callers_own() {
    let spec = spec();
    let files = Files([("/home/u/p".into(), true)].into());
    let failure = of_files("mkdir", &[("/home/u/p/d", Wants::CREATE)], Errno::ACCESS);
    let of_root = Auditor::new(&spec, true, true, &files);
    assert_eq!(
        of_root
            .explain(&failure)
            .map(|one| one.to_string())
            .as_deref(),
        Some("mkdir /home/u/p/d: owned by an id that is not in the run (--map single)")
    );
    let of_user = Auditor::new(&spec, false, true, &files);
    assert_eq!(of_user.explain(&failure), None);
}

#[test]
fn one_file_is_told_once() {
    let files = Files([("/data/x".into(), false)].into());
    let spec = spec();
    let auditor = Auditor::new(&spec, false, false, &files);
    let failures = ["stat", "access", "openat"]
        .map(|name| of_files(name, &[("/data/x", READ)], Errno::NOENT));
    assert_eq!(auditor.explain_all(&failures).len(), 1);
}
