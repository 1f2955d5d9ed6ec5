//! podman with this runtime.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use warren_testkit::{Output, Test, eventually, program, run, scratch, staged, tests};

use super::{make_root, remove_groups};

pub const TESTS: &[Test] = tests! {
    Root:
        podman_runs_and_looks_after_containers;
};

/// What the defaults ask for takes CAP_SYS_RESOURCE, which not every root has.
const LIMITS: [&str; 6] = [
    "--ulimit",
    "nofile=20000:20000",
    "--ulimit",
    "nproc=32768:32768",
    "--network",
    "none",
];

/// podman, with all that it keeps in the test's own folder.
fn podman(words: &[&str]) -> Command {
    let folder = |name: &str| scratch().join(name);
    let mut command = program("podman");
    for (option, name) in [
        ("--root", "root"),
        ("--runroot", "run"),
        ("--tmpdir", "engine"),
    ] {
        command.arg(option).arg(folder(name));
    }
    command.args(["--storage-driver", "vfs", "--cgroup-manager=cgroupfs"]);
    command
        .args(["--events-backend=file", "--runtime"])
        .arg(folder("runc"));
    command.env("TMPDIR", folder("tmp")).args(words);
    command
}

#[track_caller]
fn engine(words: &[&str]) -> Output {
    run(&mut podman(words))
}

#[track_caller]
fn runs(words: &[&str]) -> Output {
    let mut all = vec!["run"];
    all.extend(LIMITS);
    all.extend(words);
    engine(&all)
}

fn podman_runs_and_looks_after_containers() {
    fs::create_dir(scratch().join("tmp")).expect("make a folder");
    symlink(staged("warren"), scratch().join("runc")).expect("make a link");
    make_root(&scratch().join("tree"));
    run(program("tar").args(["-C", "tree", "-cf", "image.tar", "."])).succeeds();
    engine(&["import", "-q", "image.tar", "box"]).succeeds();

    runs(&["--rm", "box", "sh", "-c", "echo well; exit 4"])
        .exits(4)
        .has("well");
    runs(&["--rm", "box", "nowhere"]).exits(127);
    runs(&["--rm", "box", "/etc"]).exits(126);
    let limited = [
        "--rm",
        "--pids-limit",
        "50",
        "box",
        "sh",
        "-c",
        "cat /sys/fs/cgroup/pids*/pids.max",
    ];
    if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        runs(&limited).says("50");
    }
    runs(&["--rm", "-t", "box", "tty"])
        .exits(0)
        .has("/dev/pts/0");

    let script = "echo out; trap 'exit 3' TERM; while :; do sleep 0.05; done";
    runs(&["-d", "--name", "one", "box", "sh", "-c", script]).succeeds();
    engine(&["exec", "one", "sh", "-c", "echo in; exit 5"])
        .exits(5)
        .has("in");
    let status = || {
        let output = engine(&["inspect", "--format", "{{.State.Status}}", "one"]);
        output.succeeds().trim().to_owned()
    };
    engine(&["pause", "one"]).succeeds();
    assert_eq!(status(), "paused");
    engine(&["unpause", "one"]).succeeds();
    assert_eq!(status(), "running");
    engine(&["top", "one"]).has("sh -c");
    engine(&["stats", "--no-stream", "one"]).has("one");
    eventually("its output", || {
        engine(&["logs", "one"]).succeeds() == "out"
    });
    engine(&["stop", "one"]).succeeds();
    engine(&["inspect", "--format", "{{.State.ExitCode}}", "one"]).says("3");
    engine(&["start", "one"]).succeeds();
    engine(&["kill", "one"]).succeeds();
    engine(&["wait", "one"]).says("137");
    engine(&["rm", "one"]).succeeds();
    engine(&["rmi", "-f", "box"]).succeeds();
    remove_groups(&["libpod_parent/conmon", "libpod_parent"]);
}
