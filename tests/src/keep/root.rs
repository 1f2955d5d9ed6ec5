//! Root keeps by bind mounts, as `ip netns` and `unshare --net=FILE` do.

use std::fs;
use std::path::Path;

use warren_testkit::{Running, Test, program, run, tests, warren};

use crate::enter::NetnsFolder;

use super::{Name, store, told};

pub const TESTS: &[Test] = tests! {
    Root:
        ip_netns_knows_a_kept_net_namespace,
        nsenter_enters_each_kept_file,
        a_name_of_ip_netns_is_not_taken_over,
        a_name_that_ip_netns_gave_again_is_not_removed,
        only_a_pid_or_user_namespace_needs_a_holder,
        what_a_process_is_in_outlives_its_name,
        the_hosts_tree_can_be_shown_while_a_mount_namespace_is_kept,
        copies_in_other_mount_namespaces_go_with_the_name,
        the_namespaces_of_a_process_are_kept,
        a_mount_namespace_cannot_be_kept_in_itself,
        the_ids_of_a_kept_user_namespace_are_nobody_elses;
};

fn file(name: &Name, kind: &str) -> String {
    store().join(&name.0).join(kind).display().to_string()
}

fn ip_netns_knows_a_kept_net_namespace() {
    let name = Name::kept("burrow", &["--kinds", "net"]);
    run(program("ip").args(["netns", "list"])).has(&name.0);
    let script = ["netns", "exec", &name.0, "readlink", "/proc/self/ns/net"];
    let by_ip = run(program("ip").args(script)).succeeds().to_owned();
    let mut nsenter = program("nsenter");
    nsenter.arg(format!("--net={}", file(&name, "net")));
    run(nsenter.args(["readlink", "/proc/self/ns/net"])).says(&by_ip);
    name.remove();
    run(program("ip").args(["netns", "list"])).lacks(&name.0);
}

fn nsenter_enters_each_kept_file() {
    const KINDS: [&str; 6] = ["mnt", "net", "ipc", "uts", "cgroup", "time"];
    let name = Name::kept("burrow", &["--kinds", &KINDS.join(",")]);
    for kind in KINDS {
        let option = if kind == "mnt" { "mount" } else { kind };
        let path = file(&name, kind);
        let mut nsenter = program("nsenter");
        nsenter.arg(format!("--{option}={path}"));
        let link = format!("/proc/self/ns/{kind}");
        let inside = run(nsenter.args(["readlink", &link])).succeeds().to_owned();
        let inode = {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(&path).expect("a namespace").ino()
        };
        assert_eq!(inside, format!("{kind}:[{inode}]"));
    }
    name.remove();
    let name = Name::kept("burrow", &["--kinds", "pid"]);
    let mut nsenter = program("nsenter");
    nsenter.arg(format!("--pid={}", file(&name, "pid")));
    run(nsenter.args(["sh", "-c", "test $$ -lt 9 && exit 7"])).exits(7);
    name.remove();
}

fn a_name_of_ip_netns_is_not_taken_over() {
    let _folder = NetnsFolder::before_ip();
    let name = Name::new("burrow");
    run(program("ip").args(["netns", "add", &name.0])).succeeds();
    let refused = run(&mut told(&["keep", &name.0, "--kinds", "net"]));
    let other = run(&mut told(&["keep", &name.0, "--kinds", "uts"]));
    let removed = run(&mut told(&["rm", &name.0]));
    run(program("ip").args(["netns", "list"])).has(&name.0);
    run(program("ip").args(["netns", "delete", &name.0])).succeeds();
    refused.is_refused("a net namespace of that name is there");
    other.succeeds();
    removed.succeeds();
}

fn a_name_that_ip_netns_gave_again_is_not_removed() {
    let _folder = NetnsFolder::before_ip();
    let name = Name::kept("burrow", &["--kinds", "net"]);
    run(program("ip").args(["netns", "delete", &name.0])).succeeds();
    run(program("ip").args(["netns", "add", &name.0])).succeeds();
    name.remove();
    run(program("ip").args(["netns", "list"])).has(&name.0);
    run(program("ip").args(["netns", "delete", &name.0])).succeeds();
}

fn only_a_pid_or_user_namespace_needs_a_holder() {
    for (kinds, held) in [
        ("mnt,net,ipc,uts,cgroup,time", false),
        ("pid", true),
        ("user", true),
    ] {
        let name = Name::kept("burrow", &["--kinds", kinds]);
        assert_eq!(name.record().contains("holder"), held, "{kinds}");
        name.remove();
    }
}

fn what_a_process_is_in_outlives_its_name() {
    let name = Name::kept("burrow", &["--kinds", "uts"]);
    let mut nsenter = program("nsenter");
    nsenter.arg(format!("--uts={}", file(&name, "uts")));
    let script =
        "hostname warm; echo ready; while [ -e $0 ]; do sleep 0.05; done; uname -n";
    let mut member =
        Running::start(nsenter.args(["sh", "-c", script, &file(&name, "uts")]));
    assert_eq!(member.line(), "ready");
    name.remove();
    assert_eq!(member.line(), "warm");
    assert_eq!(member.ends(), 0);
}

fn copies_in_other_mount_namespaces_go_with_the_name() {
    let name = Name::kept("burrow", &["--kinds", "net,uts"]);
    let mut other = program("unshare");
    let script = "echo ready; exec sleep 1000";
    let mut other = Running::start(other.args(["--mount", "sh", "-c", script]));
    assert_eq!(other.line(), "ready");
    let mounts = || {
        let pid = other.pid().as_raw_nonzero();
        fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("its mounts")
    };
    assert!(mounts().contains(&name.0), "the copy has the mounts");
    name.remove();
    assert!(!mounts().contains(&name.0), "{}", mounts());
}

fn the_namespaces_of_a_process_are_kept() {
    let mut member = program("unshare");
    let script = "hostname warm; readlink /proc/self/ns/uts; exec sleep 1000";
    let mut member = Running::start(member.args(["--uts", "--net", "sh", "-c", script]));
    let uts = member.line();
    let pid = member.pid().as_raw_nonzero().to_string();
    let name = Name::kept("burrow", &["--from", &pid]);
    drop(member);
    let listed = name.listed().expect("kept");
    assert_eq!(listed[2..], ["kept", "net,uts"]);
    let mut nsenter = program("nsenter");
    nsenter.arg(format!("--uts={}", file(&name, "uts")));
    let script = "readlink /proc/self/ns/uts; uname -n";
    run(nsenter.args(["sh", "-c", script])).says(&format!("{uts}\nwarm"));
    name.remove();
}

fn a_mount_namespace_cannot_be_kept_in_itself() {
    let name = Name::new("burrow");
    let own = std::process::id().to_string();
    let words = ["keep", &name.0, "--from", &own, "--kinds", "mnt"];
    run(&mut told(&words))
        .is_refused("keep a namespace at")
        .complains("in itself or in a younger one");
    assert_eq!(name.listed(), None);
    run(&mut told(&["keep", &name.0, "--from", &own])).is_refused("the caller's");
}

fn the_ids_of_a_kept_user_namespace_are_nobody_elses() {
    let name = Name::kept("burrow", &["--kinds", "user"]);
    let map = fs::read_to_string(format!("/proc/{}/uid_map", name.holder()));
    let map = map.expect("a map");
    let first = map.split_whitespace().nth(1).expect("an id");
    let sockets = fs::read_to_string("/proc/net/unix").expect("sockets");
    assert!(sockets.contains(&format!("@warren/ids/{first}")), "{map}");
    assert!(Path::new(&file(&name, "user")).exists());
    name.remove();
    let sockets = fs::read_to_string("/proc/net/unix").expect("sockets");
    assert!(!sockets.contains(&format!("@warren/ids/{first}")));
}

/// A mount namespace in a tree would keep that from being mounted in a younger one.
fn the_hosts_tree_can_be_shown_while_a_mount_namespace_is_kept() {
    let _name = Name::kept("tree", &["--kinds", "mnt"]);
    for options in [
        &["--host-root"][..],
        &["--host-root=overlay"],
        &["--ro-bind", "/run", "/mnt"],
    ] {
        let mut command = warren(["run"]);
        run(command.args(options).args(["--", "true"])).exits(0);
    }
}
