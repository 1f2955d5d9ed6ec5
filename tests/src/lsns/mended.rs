//! What is not as in the original, by decision: each is in docs/compatibility.md.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use warren::{Kind, NsFd};
use warren_testkit::{Output, Running, Test, program, run, tests, warren};

use super::{Burrow, inode, ours, theirs};

pub const TESTS: &[Test] = tests! {
    Both:
        no_look_fails_while_processes_die,
        a_namespace_held_by_a_descriptor_is_listed_with_its_maker,
        an_owner_without_processes_is_listed,
        the_next_childrens_namespace_is_listed,
        raw_output_has_no_branches,
        a_process_that_is_missing_is_told_and_no_failure,
        zero_is_no_namespace,
        an_empty_list_of_columns_is_told,
        a_command_line_cannot_turn_the_text_around,
        json_is_json_whatever_the_command_line;
    User:
        a_process_that_may_not_be_read_is_told,
        nothing_is_told_of_others_but_at_a_terminal;
    Root:
        a_namespace_held_by_a_thread_is_listed,
        a_namespace_held_by_a_socket_is_listed,
        a_mount_in_another_mount_namespace_is_listed;
};

#[track_caller]
fn lsns(words: &[&str]) -> Output {
    run(warren(["lsns"]).args(words))
}

#[track_caller]
fn only(namespace: &str, columns: &str) -> String {
    let filter = format!("NS == {namespace}");
    let output = lsns(&["-n", "-r", "-o", columns, "-Q", &filter]);
    output.succeeds().to_owned()
}

/// The user of the test as its columns show it.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 {
        "root".to_owned()
    } else {
        uid.to_string()
    }
}

fn no_look_fails_while_processes_die() {
    let script = "while :; do /bin/true & /bin/true & /bin/true & wait; done";
    let churn: Vec<Running> = (0..2)
        .map(|_| Running::start(program("sh").args(["-c", script])))
        .collect();
    for _ in 0..50 {
        let output = lsns(&["-n", "-o", "TYPE"]);
        output.expect("every kind", output.succeeds().lines().count() >= 8);
    }
    drop(churn);
}

fn a_namespace_held_by_a_descriptor_is_listed_with_its_maker() {
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "sh", "-c"]);
    let mut shell = Running::start(unshare.arg("echo ready; exec sleep 1000"));
    assert_eq!(shell.line(), "ready");
    let pid = shell.pid().as_raw_nonzero().get().unsigned_abs();
    let (net, number) = (open(pid, "net"), inode(pid, "net"));
    drop(shell);
    let holder = std::os::fd::AsRawFd::as_raw_fd(&net.as_fd());
    let wanted = format!(
        "net 0 {} descriptor:{}/{holder}",
        user(),
        std::process::id()
    );
    assert_eq!(only(&number, "TYPE,NPROCS,USER,HELDBY"), wanted);
    // Its owner too, which only it keeps.
    let owner = only(&number, "ONS");
    assert_eq!(only(&owner, "HELDBY"), format!("child:net:{number}"));
    let theirs = run(&mut theirs(&["-o".into(), "NS".into()]));
    theirs.expect(
        "the original not to find it",
        !theirs.stdout.contains(&number),
    );
}

#[track_caller]
fn open(pid: u32, kind: &str) -> NsFd {
    let path = format!("/proc/{pid}/ns/{kind}");
    NsFd::open(Path::new(&path)).expect("open a namespace")
}

fn an_owner_without_processes_is_listed() {
    let script = "exec unshare --user --map-root-user unshare --user --map-root-user \
        sh -c 'sleep 1000 & echo ready; wait'";
    let burrow = Burrow::with(&["--user", "--map-root-user"], script, 1);
    let inner = super::children(burrow.pid)[0];
    let between = only(&inode(inner, "user"), "PNS");
    assert_eq!(
        only(&between, "TYPE,NPROCS,PID,USER"),
        format!("user 0  {}", user())
    );
}

fn the_next_childrens_namespace_is_listed() {
    // The first child begins the namespace, and it ends; what holds it is the shell.
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "--pid", "sh", "-c"]);
    let mut shell = Running::start(unshare.arg("/bin/true; echo ready; exec sleep 1000"));
    assert_eq!(shell.line(), "ready");
    let pid = shell.pid().as_raw_nonzero().get().unsigned_abs();
    let number = inode(pid, "pid_for_children");
    let path = format!("/proc/{pid}/task/{pid}/ns/pid_for_children");
    assert_eq!(only(&number, "TYPE,NPROCS,PATH"), format!("pid 0 {path}"));
}

fn raw_output_has_no_branches() {
    let burrow = Burrow::dig();
    for words in [
        "-r {pid}",
        "-r -T -p {P}",
        "-r -Tparent -p {P}",
        "-r -p {P}",
    ] {
        let output = run(&mut ours(&burrow.fill(words)));
        output.succeeds();
        output.lacks("\\xe2").lacks("`-").lacks("|-");
    }
    let output = run(&mut ours(&burrow.fill("-rn -o NS -T -p {P}")));
    for number in output.succeeds().lines() {
        output.expect("numbers", number.parse::<u64>().is_ok());
    }
}

fn a_process_that_is_missing_is_told_and_no_failure() {
    let last = fs::read_to_string("/proc/sys/kernel/pid_max").expect("read pid_max");
    let beyond = last.trim().parse::<u32>().expect("a number") + 1;
    for (pid, words) in [(beyond.to_string(), "NS"), (beyond.to_string(), "PID")] {
        let output = lsns(&["-p", &pid, "-o", words]);
        output.says("");
        assert_eq!(output.stderr, format!("lsns: no process {pid}\n"));
    }
    let output = lsns(&["-p", "-7", "-J"]);
    output.says("{\n   \"namespaces\": [\n\n   ]\n}");
    assert_eq!(output.stderr, "lsns: no process -7\n");
}

fn a_process_that_may_not_be_read_is_told() {
    let output = lsns(&["-p", "1"]);
    output
        .says("")
        .complains("lsns: read the namespaces of process 1: Permission denied");
    output.complains("hint: ");
}

fn nothing_is_told_of_others_but_at_a_terminal() {
    let output = lsns(&[]);
    output.succeeds();
    assert_eq!(output.stderr, "");
}

fn zero_is_no_namespace() {
    let output = lsns(&["0"]);
    output.exits(1);
    assert_eq!(output.stderr, "lsns: not found namespace: 0\n");
}

fn an_empty_list_of_columns_is_told() {
    for list in ["", "+"] {
        let output = lsns(&["-o", list]);
        output.exits(1);
        assert_eq!(output.stderr, "lsns: unknown column: \n");
    }
}

/// A sleeper with these bytes, in the words of printf(1), in its command line.
fn with_argument(bytes: &str) -> Burrow {
    let script = format!(
        "bash -c 'exec sh -c \"sleep 1000; :\" \"$(printf \"{bytes}\")\"' & echo ready; wait"
    );
    Burrow::with(&["--user", "--map-root-user"], &script, 1)
}

fn a_command_line_cannot_turn_the_text_around() {
    let burrow = with_argument("a\\342\\200\\256b\\342\\200\\213c");
    let output = run(&mut ours(&burrow.fill("{pid} -o COMMAND")));
    output.has("a\\xe2\\x80\\xaeb\\xe2\\x80\\x8bc");
    assert!(!output.succeeds().contains('\u{202e}'));
}

fn json_is_json_whatever_the_command_line() {
    let burrow = with_argument("a\\377\\033b");
    let output = run(&mut ours(&burrow.fill("{pid} -J -o COMMAND")));
    output.has("a\u{fffd}\\u001bb");
    let json: Value = serde_json::from_str(output.succeeds()).expect("JSON");
    assert!(json["namespaces"].is_array());
}

#[track_caller]
fn unshare_net() {
    warren_sys::unshare(Kind::Net.clone_flag()).expect("unshare");
}

fn a_namespace_held_by_a_thread_is_listed() {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            unshare_net();
            let tid = rustix::thread::gettid().as_raw_nonzero().get();
            let link = fs::read_link("/proc/thread-self/ns/net").expect("own link");
            tell.send((tid, link)).expect("send");
            let _ = ended.recv();
        });
        let (tid, link) = told.recv().expect("the thread says it");
        let number: String = link
            .to_string_lossy()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let pid = std::process::id();
        let wanted =
            format!("net 0 root /proc/{pid}/task/{tid}/ns/net thread:{pid}/{tid}");
        assert_eq!(only(&number, "TYPE,NPROCS,USER,PATH,HELDBY"), wanted);
        drop(end);
    });
}

/// As the newer originals list it.
fn a_namespace_held_by_a_socket_is_listed() {
    let own = open(std::process::id(), "net");
    unshare_net();
    let number = inode(std::process::id(), "net");
    let socket = UnixStream::pair().expect("socketpair");
    warren_sys::setns(own.as_fd(), 0).expect("setns");
    assert_eq!(
        only(&number, "TYPE,NPROCS,PID,USER,COMMAND"),
        "net 0  root "
    );
    assert!(only(&number, "HELDBY").starts_with("socket:"));
    drop(socket);
}

fn a_mount_in_another_mount_namespace_is_listed() {
    let script = "mount -t tmpfs none /mnt; touch /mnt/uts; unshare --uts=/mnt/uts true; \
        stat -c %i /mnt/uts; exec sleep 1000";
    let mut shell =
        Running::start(program("unshare").args(["--mount", "sh", "-ec", script]));
    let number = shell.line();
    let mnt = inode(shell.pid().as_raw_nonzero().get().unsigned_abs(), "mnt");
    assert_eq!(
        only(&number, "TYPE,NPROCS,NSFS,HELDBY"),
        format!("uts 0  mount:mnt:{mnt}:/mnt/uts")
    );
}
