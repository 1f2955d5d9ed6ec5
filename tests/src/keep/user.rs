//! Without root one process of the user's holds everything.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use warren_testkit::{Running, Test, program, run, scratch, tests};

use super::{Name, store, told};

pub const TESTS: &[Test] = tests! {
    User:
        a_user_namespace_comes_with_every_kind,
        the_namespaces_of_ones_own_process_are_kept,
        a_pid_namespace_that_exists_cannot_be_held,
        a_store_that_others_can_write_is_not_used,
        without_a_place_for_the_store_it_is_told_what_to_set,
        nsenter_enters_what_is_kept;
};

fn a_user_namespace_comes_with_every_kind() {
    let name = Name::kept("burrow", &["--kinds", "net"]);
    let listed = name.listed().expect("kept");
    assert_eq!(listed[2..], ["kept", "net,user"]);
    assert!(!store().join(&name.0).join("net").exists());
    name.remove();
    assert!(!scratch().join("run/warren").exists());
}

fn the_namespaces_of_ones_own_process_are_kept() {
    let mut member = program("unshare");
    let script = "readlink /proc/self/ns/uts; exec sleep 1000";
    member.args(["--user", "--map-root-user", "--uts", "sh", "-c", script]);
    let mut member = Running::start(&mut member);
    let uts = member.line();
    let pid = member.pid().as_raw_nonzero().to_string();
    let name = Name::kept("burrow", &["--from", &pid]);
    drop(member);
    let holder = name.holder();
    let held = fs::read_link(format!("/proc/{holder}/ns/uts")).expect("the holder's");
    assert_eq!(held.to_str(), Some(uts.as_str()));
    assert_eq!(name.listed().expect("kept")[2..], ["kept", "user,uts"]);
    name.remove();
}

fn a_pid_namespace_that_exists_cannot_be_held() {
    let own = std::process::id().to_string();
    let words = ["keep", "burrow", "--from", &own, "--kinds", "pid"];
    run(&mut told(&words)).is_refused("it ends with its init");
}

fn a_store_that_others_can_write_is_not_used() {
    let name = Name::new("burrow");
    // Makes the folder.
    run(&mut told(&["keep"])).succeeds();
    let folder = scratch().join("run");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("chmod");
    run(&mut told(&["keep", &name.0])).is_refused("others than its owner can write it");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("chmod");
}

fn without_a_place_for_the_store_it_is_told_what_to_set() {
    let mut keep = told(&["keep", "burrow"]);
    keep.env("XDG_RUNTIME_DIR", "/no/such/folder");
    run(&mut keep).is_refused("/no/such");
    let mut keep = told(&["keep", "burrow"]);
    keep.env("XDG_RUNTIME_DIR", "not/absolute");
    let uid = rustix::process::geteuid().as_raw();
    // A machine with a session of this user has another place.
    if !std::path::Path::new(&format!("/run/user/{uid}")).exists() {
        run(&mut keep).is_refused("XDG_RUNTIME_DIR");
    }
}

fn nsenter_enters_what_is_kept() {
    let name = Name::kept("burrow", &[]);
    let mut nsenter = program("nsenter");
    nsenter.args([
        "--user",
        "--preserve-credentials",
        "--net",
        "--pid",
        "--mount",
    ]);
    nsenter.args(["--target", &name.holder().to_string()]);
    let script = "readlink /proc/self; ps -e -o comm= | head -1";
    run(nsenter.args(["sh", "-c", script])).has("warren-keep");
    name.remove();
}
