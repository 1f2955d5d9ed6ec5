//! What is kept can be entered when nobody is left in it.

use std::fs;

use warren_testkit::{Test, run, tests};

use super::{Name, store, told};

pub const TESTS: &[Test] = tests! {
    Both:
        all_eight_kinds_are_entered_after_all_members_died,
        what_a_member_changed_is_there_for_the_next,
        each_kind_alone_is_kept_and_entered,
        the_files_of_a_kept_mount_namespace_stay;
};

const KINDS: [&str; 8] = ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"];

fn inside(name: &Name, script: &str) -> String {
    let mut command = told(&["enter", &name.0, "--", "sh", "-c", script]);
    run(&mut command).succeeds().to_owned()
}

/// Which namespaces a shell in `name` is in, in the order of `kinds`.
fn namespaces(name: &Name, kinds: &[&str]) -> Vec<String> {
    let links = kinds.iter().map(|kind| format!("/proc/self/ns/{kind}"));
    let links: Vec<String> = links.collect();
    let text = inside(name, &format!("readlink {}", links.join(" ")));
    text.lines().map(str::to_owned).collect()
}

fn own(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("own namespace");
    link.to_string_lossy().into_owned()
}

fn all_eight_kinds_are_entered_after_all_members_died() {
    let name = Name::kept("burrow", &["--kinds", &KINDS.join(",")]);
    let first = namespaces(&name, &KINDS);
    assert_eq!(first.len(), KINDS.len(), "{first:?}");
    // All whom the first shell started have ended with it.
    assert_eq!(namespaces(&name, &KINDS), first);
    for (kind, inside) in KINDS.iter().zip(&first) {
        assert_ne!(inside, &own(kind), "{kind}");
    }
    name.remove();
}

fn what_a_member_changed_is_there_for_the_next() {
    let name = Name::kept("burrow", &["--kinds", &KINDS.join(",")]);
    inside(&name, "hostname warm");
    inside(&name, "ip link add hole type dummy; ipcmk -Q >/dev/null");
    assert_eq!(inside(&name, "uname -n"), "warm");
    let links = inside(&name, "ip -br link show hole; ip -br link show lo");
    assert!(
        links.starts_with("hole ") && links.contains("LOOPBACK,UP"),
        "{links}"
    );
    assert_eq!(inside(&name, "ipcs -q | grep -c 0x"), "1");
    name.remove();
}

fn each_kind_alone_is_kept_and_entered() {
    for kind in KINDS {
        let name = Name::kept(kind, &["--kinds", kind]);
        let inode = namespaces(&name, &[kind]);
        assert_ne!(inode, [own(kind)], "{kind}");
        assert_eq!(namespaces(&name, &[kind]), inode, "{kind}");
        name.remove();
        assert!(!store().join(&name.0).exists());
    }
}

fn the_files_of_a_kept_mount_namespace_stay() {
    let name = Name::kept("burrow", &["--kinds", "mnt"]);
    inside(&name, "mount -t tmpfs hole /mnt && echo dug > /mnt/file");
    assert_eq!(inside(&name, "cat /mnt/file"), "dug");
    assert!(!std::path::Path::new("/mnt/file").exists());
    name.remove();
}
