//! Docker with this runtime as its default.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use warren_testkit::{
    Output, Running, Test, eventually, program, run, scratch, staged, tests,
};

use super::containerd::Containerd;
use super::{make_root, remove_groups};

pub const TESTS: &[Test] = tests! {
    Root:
        docker_runs_and_looks_after_containers;
};

fn dockerd() -> Running {
    let folder = |name: &str| scratch().join(name);
    let mut command = program("dockerd");
    command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
    command.args(["--storage-driver", "vfs", "--log-level", "error"]);
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
    for (option, name) in [
        ("--data-root", "data"),
        ("--exec-root", "exec"),
        ("--pidfile", "pid"),
    ] {
        command.arg(option).arg(folder(name));
    }
    command.arg("--containerd").arg(Containerd::socket());
    command
        .arg("-H")
        .arg(format!("unix://{}", folder("docker.sock").display()));
    let runtime = format!("warren={}", folder("runc").display());
    command.args(["--add-runtime", &runtime, "--default-runtime", "warren"]);
    let running = Running::start(&mut command);
    eventually("dockerd", || docker(&["version"]).code() == 0);
    running
}

#[track_caller]
fn docker(words: &[&str]) -> Output {
    let mut command = program("/usr/bin/docker");
    let socket = format!("unix://{}", scratch().join("docker.sock").display());
    run(command.args(["-H", &socket]).args(words))
}

#[track_caller]
fn runs(words: &[&str]) -> Output {
    let mut all = vec!["run", "--network", "none"];
    all.extend(words);
    docker(&all)
}

fn docker_runs_and_looks_after_containers() {
    symlink(staged("warren"), scratch().join("runc")).expect("make a link");
    make_root(&scratch().join("tree"));
    run(program("tar").args(["-C", "tree", "-cf", "image.tar", "."])).succeeds();
    fs::create_dir(scratch().join("data")).expect("make a folder");
    let containerd = Containerd::start();
    let daemon = dockerd();
    docker(&["import", "image.tar", "box"]).succeeds();

    runs(&["--rm", "box", "sh", "-c", "echo well; exit 4"])
        .exits(4)
        .has("well");
    runs(&["--rm", "box", "nowhere"]).exits(127);
    runs(&["--rm", "-t", "box", "tty"])
        .exits(0)
        .has("/dev/pts/0");
    runs(&["--rm", "--init", "box", "ps"]).has("docker-init");

    runs(&[
        "-d",
        "--name",
        "one",
        "box",
        "sh",
        "-c",
        "echo out; sleep 100",
    ])
    .succeeds();
    docker(&["exec", "one", "sh", "-c", "echo in; exit 9"])
        .exits(9)
        .has("in");
    let inspect = |what: &str| {
        let format = format!("{{{{{what}}}}}");
        docker(&["inspect", "-f", &format, "one"])
            .succeeds()
            .trim()
            .to_owned()
    };
    assert_eq!(inspect(".HostConfig.Runtime"), "warren");
    docker(&["pause", "one"]).succeeds();
    assert_eq!(inspect(".State.Status"), "paused");
    docker(&["unpause", "one"]).succeeds();
    docker(&["update", "--pids-limit", "77", "one"]).succeeds();
    docker(&["top", "one"]).has("sleep 100");
    docker(&["stats", "--no-stream", "one"]).has("one");
    docker(&["stop", "-t", "1", "one"]).succeeds();
    assert_eq!(inspect(".State.ExitCode"), "137");
    assert_eq!(docker(&["logs", "one"]).succeeds(), "out");
    docker(&["rm", "one"]).succeeds();
    daemon.signal(Signal::TERM);
    daemon.ends();
    containerd.end();
    remove_groups(&["docker"]);
}
