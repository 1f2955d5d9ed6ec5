//! Why something cannot be entered or made, beside what the kernel says.

use std::fs;
use std::os::fd::AsRawFd;

use warren::{Command, Kind, NsFd};
use warren_testkit::{
    Test, eventually, program, run, scratch, staged, tests, warren, without_call,
};

use super::{WAITS, child, target, unshared};

pub const TESTS: &[Test] = tests! {
    Both:
        a_check_agrees_with_what_can_be_entered,
        a_check_is_json_too,
        ones_own_user_namespace_cannot_be_entered,
        a_thread_of_a_program_can_enter_a_user_namespace,
        a_filter_that_refuses_setns_is_named,
        in_a_chroot_a_user_namespace_is_refused_with_the_reason,
        without_a_uid_map_a_user_namespace_is_refused_with_the_reason,
        under_a_filter_that_refuses_user_namespaces_it_is_named,
        a_mount_namespace_on_a_shared_mount_is_refused_with_the_reason,
        a_masked_proc_is_named,
        a_pid_namespace_whose_init_has_ended_is_dead,
        a_pid_namespace_above_cannot_be_entered;
    User:
        the_missing_capability_is_named_with_its_user_namespace,
        a_process_of_another_user_is_told_from_all_other_reasons;
};

fn a_check_agrees_with_what_can_be_entered() {
    let target = target();
    let check = target.enter(&["--check"]);
    check.exits(0);
    for kind in ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"] {
        let row = check.field(kind);
        assert!(row.contains(&target.namespace(kind)), "{check}");
        assert!(row.ends_with("yes"), "{check}");
    }
    target.enter(&["--", "true"]).exits(0);
}

fn a_check_is_json_too() {
    let target = target();
    let output = target.enter(&["--check", "--json"]);
    let answer: serde_json::Value =
        serde_json::from_str(output.succeeds()).expect("JSON");
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["possible"], true);
    assert_eq!(answer["pid"].to_string(), target.pid);
    let kinds = answer["kinds"].as_array().expect("a list");
    assert_eq!(kinds.len(), 8);
    assert!(kinds.iter().all(|row| row["enter"] == "yes"), "{output}");
    assert!(kinds.iter().all(|row| row["inode"].is_u64()), "{output}");
}

fn ones_own_user_namespace_cannot_be_entered() {
    let own = NsFd::open("/proc/self/ns/user".as_ref()).expect("one's own");
    let error = Command::new("true")
        .join(own)
        .status()
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        "enter the user namespace: Invalid argument"
    );
    let hints = error.hints().join("\n");
    assert!(
        hints.contains("the caller is in that user namespace already"),
        "{hints}"
    );
    let own = std::process::id().to_string();
    run(&mut warren(["enter", "--kinds", "user", "--check", &own]))
        .exits(1)
        .has("the caller is in that user namespace already (Invalid argument)");
}

/// setns(2) refuses a user namespace to a process with threads; a Warren's child has one.
fn a_thread_of_a_program_can_enter_a_user_namespace() {
    let target = unshared(&["--uts"], WAITS);
    let path = format!("/proc/{}/ns/{}", target.pid, Kind::User);
    let thread = std::thread::spawn(move || {
        let user = NsFd::open(path.as_ref()).expect("the target's");
        Command::new("true").join(user).status()
    });
    let ended = thread.join().expect("no panic").expect("entered");
    assert!(ended.success(), "{ended}");
}

fn a_filter_that_refuses_setns_is_named() {
    let target = target();
    let enter = warren(["enter", &target.pid, "--", "true"]);
    run(&mut without_call("setns", &enter))
        .is_refused("enter the user namespace: Function not implemented")
        .complains("a filter on this process");
    let check = warren(["enter", &target.pid, "--check"]);
    run(&mut without_call("setns", &check))
        .exits(1)
        .has("a seccomp filter on the caller refuses setns");
}

fn in_a_chroot_a_user_namespace_is_refused_with_the_reason() {
    let root = scratch().join("root");
    fs::create_dir_all(root.join("proc")).expect("make the root");
    fs::copy(staged("warren"), root.join("warren")).expect("copy the binary");
    let script = "mount --rbind /proc root/proc && \
                  exec chroot root /warren unshare --user -- /warren --version";
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    run(&mut unshare)
        .exits(1)
        .complains("unshare failed: Operation not permitted")
        .complains("this process lives in a chroot, where user namespaces are refused");
}

fn without_a_uid_map_a_user_namespace_is_refused_with_the_reason() {
    let mut unshare = program("unshare");
    unshare.arg("--user").arg(staged("warren"));
    run(unshare.args(["unshare", "--user", "--", "true"]))
        .exits(1)
        .complains("unshare failed: Operation not permitted")
        .complains("has no uid_map");
    // The way out.
    let mut unshare = program("unshare");
    unshare
        .args(["--user", "--map-root-user"])
        .arg(staged("warren"));
    run(unshare.args(["unshare", "--user", "--", "true"])).exits(0);
}

/// The sandbox also sets user.max_user_namespaces to 0, which would answer ENOSPC and is
/// not the reason.
fn under_a_filter_that_refuses_user_namespaces_it_is_named() {
    let binary = staged("warren").display().to_string();
    let mut inside = warren(["run", "--ro-bind", &binary, "/srv/warren", "--"]);
    inside.args(["/srv/warren", "unshare", "--user", "--", "true"]);
    let refused = run(&mut inside);
    refused
        .exits(1)
        .complains("unshare failed: Operation not permitted")
        .complains("this process runs under a seccomp filter");
    refused.expect(
        "no word of the limit",
        !refused.stderr.contains("max_user_namespaces"),
    );
}

fn a_mount_namespace_on_a_shared_mount_is_refused_with_the_reason() {
    let folder = scratch().join("pins");
    fs::create_dir_all(&folder).expect("make a folder");
    let (folder, warren) = (folder.display(), staged("warren"));
    let pin = format!("{} unshare --mount={folder}/file", warren.display());
    // The way out is what the hint says. On one CPU, since the kernel tells the older of
    // two mount namespaces by ids that are given out per CPU (Linux 6.18).
    let script = format!(
        "mount -t tmpfs none {folder} && mount --make-shared {folder} && >{folder}/file
         {pin} true; mount --bind {folder} {folder} && mount --make-private {folder}
         {pin} true && umount {folder}/file && echo pinned"
    );
    let mut unshare = program("taskset");
    unshare.args(["--cpu-list", "0", "unshare", "--user", "--map-root-user"]);
    let output = run(unshare.args(["--mount", "sh", "-c", &script]));
    output
        .says("pinned")
        .complains("failed: Invalid argument")
        .complains("lies on a shared mount");
}

fn a_masked_proc_is_named() {
    // Every procfs of the machine, since one that is whole anywhere is enough.
    let script = format!(
        "sed -n 's/^[^/]*[^ ]* \\([^ ]*\\) .* - proc .*/\\1/p' /proc/self/mountinfo | \
         while read proc; do mount -t tmpfs none $proc/fs || exit; done && \
         exec {} unshare --map-root-user --pid --fork --mount-proc -- true",
        staged("warren").display()
    );
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    run(&mut unshare)
        .exits(1)
        .complains("mount /proc failed: Operation not permitted")
        .complains("\"mount too revealing\"")
        .complains("/proc/fs");
}

/// A pid namespace that a descriptor of the test keeps, after its init has ended.
pub(super) fn dead_pid_namespace() -> (super::Target, NsFd) {
    let target = unshared(
        &["--uts"],
        "unshare --pid --fork sh -c 'echo ready; exec sleep 1000'; exec sleep 1000",
    );
    let unshare = child(&target.pid);
    let init = child(&unshare);
    let path = format!("/proc/{init}/ns/pid");
    let namespace = NsFd::open(path.as_ref()).expect("it lives");
    run(program("kill").args(["-9", &init])).exits(0);
    eventually("the end of the init", || child(&unshare).is_empty());
    (target, namespace)
}

fn a_pid_namespace_whose_init_has_ended_is_dead() {
    let (_target, namespace) = dead_pid_namespace();
    use std::os::fd::AsFd;
    let path = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        namespace.as_fd().as_raw_fd()
    );
    run(&mut warren(["enter", &path, "--", "true"]))
        .is_refused("fork the program and stay as its init: Cannot allocate memory")
        .complains("that pid namespace is dead: its init has ended");
    run(&mut warren(["enter", &path, "--check"]))
        .exits(1)
        .has("that pid namespace is dead");
}

fn a_pid_namespace_above_cannot_be_entered() {
    let own = fs::File::open("/proc/self/ns/pid").expect("one's own");
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--pid", "--fork"]);
    unshare
        .arg(staged("warren"))
        .args(["enter", "/proc/self/fd/0", "--check"]);
    run(unshare.stdin(own)).exits(1).has("  no     ");
}

fn the_missing_capability_is_named_with_its_user_namespace() {
    let target = unshared(&["--net"], WAITS);
    let own = fs::read_link("/proc/self/ns/user").expect("one's own");
    let place = own.display().to_string();
    target
        .enter(&["--kinds", "net", "--", "true"])
        .is_refused("enter the net namespace: Operation not permitted")
        .complains(&format!(
            "lacks CAP_SYS_ADMIN in its own user namespace {place}"
        ));
    target
        .enter(&["--kinds", "net", "--check"])
        .exits(1)
        .has(&format!(
            "lacks CAP_SYS_ADMIN in its own user namespace {place}"
        ));
    // The way out that the hint names.
    target
        .enter(&["--kinds", "net,user", "--", "true"])
        .exits(0);
    target.enter(&["--kinds", "net,user", "--check"]).exits(0);
}

fn a_process_of_another_user_is_told_from_all_other_reasons() {
    run(&mut warren(["enter", "1", "--", "true"]))
        .is_refused("open the namespaces of process 1: Permission denied")
        .complains("takes root");
    run(&mut warren(["enter", "1", "--check"]))
        .exits(1)
        .has("it belongs to uid 0");
}
