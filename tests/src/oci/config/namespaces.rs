//! `linux.namespaces` and what belongs to one of them: names, settings, clocks, ids,
//! interfaces; and who answers system calls.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use serde_json::{Value, json};
use warren_testkit::{Test, program, run, scratch, tests};

use super::{Bundle, mapped};

pub const TESTS: &[Test] = tests! {
    Root:
        new_namespaces_are_not_the_callers,
        a_namespace_is_joined_by_its_path,
        names_are_set,
        settings_of_a_namespace_are_set_and_no_other,
        clocks_have_their_offsets,
        ids_are_mapped_as_they_are_given,
        an_interface_is_moved_in_with_its_addresses,
        an_interface_that_cannot_be_moved_is_refused,
        a_supervisor_gets_the_listener_and_the_state,
        a_supervisor_that_is_not_there_is_refused;
};

const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn new_namespaces_are_not_the_callers() {
    for (kind, name) in KINDS {
        let mut bundle = Bundle::with_namespaces(&[kind]);
        bundle.set("hostname", Value::Null);
        // Without a pid namespace the host's processes are seen.
        let script = format!("readlink /proc/self/ns/{name}");
        let inside = bundle.ours(&script).succeeds().trim().to_owned();
        let own =
            std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        assert_ne!(own, PathBuf::from(inside), "{kind}");
    }
}

fn a_namespace_is_joined_by_its_path() {
    for (kind, name) in [
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("time", "time"),
    ] {
        let mut bundle = Bundle::new(&[]);
        let path = scratch().join(name);
        std::fs::write(&path, "").expect("make a file");
        let others =
            json!([{"type": "mount"}, {"type": "pid"}, {"type": kind, "path": path}]);
        bundle.set("linux/namespaces", others);
        bundle.set("hostname", Value::Null);
        bundle.write(&format!("readlink /proc/self/ns/{name}"));
        let flag = format!("--{}={}", name, path.display());
        let script = format!(
            "own=$(readlink {path}); nsenter {flag} readlink /proc/self/ns/{name}; \
             \"$1\" run --from oci \"$2\"",
            path = path.display()
        );
        let kept = format!(
            "touch {0}; unshare {flag} true; {script}; umount {0}",
            path.display()
        );
        let mut shell = program("unshare");
        shell.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &kept,
            "sh",
        ]);
        let output = run(shell
            .arg(warren_testkit::staged("warren"))
            .arg(&bundle.folder));
        let lines: Vec<_> = output.succeeds().lines().collect();
        output.expect("the same twice", lines.len() == 2 && lines[0] == lines[1]);
    }
    let mut bundle = Bundle::new(&[]);
    bundle.set("linux/namespaces/0/path", json!("/etc/passwd"));
    bundle.is_refused_as_by_runc("namespace");
    bundle.set("linux/namespaces/0/path", json!("relative"));
    bundle
        .ours("true")
        .is_refused("linux.namespaces[0].path: expected an absolute path");
}

fn names_are_set() {
    let bundle = Bundle::new(&[
        ("hostname", json!("burrow")),
        ("domainname", json!("warrens.example")),
    ]);
    bundle
        .ours("hostname; cat /proc/sys/kernel/domainname")
        .says("burrow\nwarrens.example");
    Bundle::new(&[("hostname", json!("burrow"))]).as_runc("hostname");
}

fn settings_of_a_namespace_are_set_and_no_other() {
    let settings = json!({"net.ipv4.ip_forward": "1", "kernel.shmmax": "4096",
        "fs.mqueue.msg_max": "20"});
    let bundle = Bundle::new(&[("linux/sysctl", settings)]);
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax \
        /proc/sys/fs/mqueue/msg_max";
    bundle.as_runc(script).says("1\n4096\n20");
    for (name, words) in [
        ("kernel.panic", "would be changed for the whole host"),
        ("vm.swappiness", "would be changed for the whole host"),
        ("net.ipv4/../../kernel/core_pattern", "names no setting"),
        (
            "kernel.hostname",
            "linux.sysctl.kernel.hostname: is what hostname is for",
        ),
    ] {
        let bundle = Bundle::new(&[("linux/sysctl", json!({name: "1"}))]);
        bundle.ours("true").is_refused(words);
    }
    let mut domain = Bundle::new(&[("linux/sysctl", json!({"kernel.domainname": "a"}))]);
    domain.as_runc("cat /proc/sys/kernel/domainname").says("a");
    domain.set("domainname", json!("a"));
    domain.ours("cat /proc/sys/kernel/domainname").says("a");
    domain.set("domainname", json!("b"));
    domain
        .ours("true")
        .is_refused("linux.sysctl.kernel.domainname: is what domainname is for");
    let mut bundle = Bundle::with_namespaces(&["pid", "uts"]);
    bundle.set("linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle.is_refused_as_by_runc("needs a net namespace of its own");
}

fn clocks_have_their_offsets() {
    let mut bundle = Bundle::with_namespaces(&["pid", "uts", "time"]);
    bundle.set(
        "linux/timeOffsets",
        json!({"boottime": {"secs": 5_000_000}, "monotonic": {"secs": 7, "nanosecs": 8}}),
    );
    let script = "mawk '{print $2, $3}' /proc/self/timens_offsets; \
        mawk '{print ($1 > 5000000)}' /proc/uptime; \
        [ $(readlink /proc/self/ns/time) = $(readlink /proc/self/ns/time_for_children) ] \
        && echo entered";
    bundle.ours(script).says("7 8\n5000000 0\n1\nentered");
    bundle.set(
        "linux/timeOffsets",
        json!({"boottime": {"secs": -5_000_000_000_i64}}),
    );
    bundle
        .ours("true")
        .is_refused("with the offsets boottime -5000000000 0");
    bundle.set("linux/timeOffsets", json!({"realtime": {"secs": 1}}));
    bundle
        .ours("true")
        .is_refused("linux.timeOffsets.realtime: there is no such clock");
}

fn ids_are_mapped_as_they_are_given() {
    let mut bundle = Bundle::new(&[]);
    mapped(&mut bundle, 100_000);
    run(program("chown")
        .args(["-R", "100000:100000"])
        .arg(bundle.root()))
    .succeeds();
    let script = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; \
        touch /tmp/own && stat -c %u:%g /tmp/own";
    bundle.as_runc(script).has("0 100000 65536");
    let stat = run(program("stat")
        .args(["-c", "%u"])
        .arg(bundle.root().join("tmp/own")));
    stat.says("100000");
    let lines: Vec<_> = (0..4000)
        .map(|line| json!({"containerID": line * 2, "hostID": line * 2 + 100_000, "size": 1}))
        .collect();
    // 340 lines is what the kernel takes: an error, and no part of them (CVE-2021-43784).
    bundle.set("linux/uidMappings", json!(lines));
    bundle.ours("true").is_refused("write the id maps");
}

/// A pair of interfaces in a network namespace, in which a script runs.
fn with_pair(bundle: &Bundle, script: &str) -> warren_testkit::Output {
    let all = format!(
        "ip link set lo up && ip link add w0 type veth peer name w1 && \
         ip addr add 10.98.0.2/24 dev w0 && ip addr add fd98::2/64 dev w0 nodad && \
         ip link set w0 mtu 1400 && {script}"
    );
    let mut shell = program("unshare");
    shell.args(["--net", "sh", "-c", &all, "sh"]);
    run(shell
        .arg(warren_testkit::staged("warren"))
        .arg(&bundle.folder))
}

fn an_interface_is_moved_in_with_its_addresses() {
    let bundle = Bundle::new(&[("linux/netDevices", json!({"w0": {"name": "eth0"}}))]);
    bundle.write(
        "ip -o link show eth0 | grep -o 'mtu 1400'; ip -o addr show eth0 | grep -o '10.98.0.2/24'; \
         ip -o addr show eth0 | grep -o 'fd98::2/64'; ip -o link show eth0 | grep -o ',UP'",
    );
    let output = with_pair(
        &bundle,
        "\"$1\" run --from oci \"$2\"; ip -o link | grep -c w0",
    );
    output.expect(
        "all of it",
        output.stdout == "mtu 1400\n10.98.0.2/24\nfd98::2/64\n,UP\n0\n",
    );
}

fn an_interface_that_cannot_be_moved_is_refused() {
    for (device, words) in [
        (json!({"no0": {}}), "there is no interface of this name"),
        (
            json!({"w0": {"name": "lo"}}),
            "inside there is one of this name",
        ),
        (
            json!({"lo": {"name": "x0"}}),
            "bound to its network namespace",
        ),
    ] {
        let bundle = Bundle::new(&[("linux/netDevices", device)]);
        bundle.write("true");
        let output = with_pair(&bundle, "\"$1\" run --from oci \"$2\"");
        output.is_refused(words);
    }
}

fn a_supervisor_gets_the_listener_and_the_state() {
    for no_new_privs in [true, false] {
        let socket = scratch().join(format!("agent{no_new_privs}"));
        let listener = UnixListener::bind(&socket).expect("listen");
        let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": socket, "listenerMetadata": "for the agent",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]});
        let bundle = Bundle::new(&[
            ("linux/seccomp", seccomp),
            ("process/noNewPrivileges", json!(no_new_privs)),
        ]);
        let agent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a runtime");
            let mut text = String::new();
            // The descriptor that came along is closed with the message: a call that is
            // left to nobody fails with ENOSYS.
            stream.read_to_string(&mut text).expect("a message");
            text
        });
        let output = bundle.ours("mkdir /tmp/x 2>&1 | grep -o 'not implemented'");
        let text = agent.join().expect("the agent");
        output.says("not implemented");
        let sent: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(sent["metadata"], "for the agent");
        assert_eq!(sent["fds"], json!(["seccompFd"]));
        assert!(sent["pid"].as_i64().is_some_and(|pid| pid > 1), "{sent}");
        assert_eq!(sent["state"]["pid"], sent["pid"]);
    }
}

fn a_supervisor_that_is_not_there_is_refused() {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
    let bundle = Bundle::new(&[("linux/seccomp", seccomp)]);
    bundle
        .ours("true")
        .is_refused("connect to /no/agent: No such file or directory");
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
    let bundle = Bundle::new(&[("linux/seccomp", seccomp)]);
    bundle
        .ours("true")
        .is_refused("needs a supervisor that answers");
}
