//! containerd, whose shim for runc is given this runtime.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::process::Signal;
use warren_testkit::{
    Output, Running, Test, eventually, program, run, scratch, staged, tests,
};

use super::{make_root, remove_groups};

pub const TESTS: &[Test] = tests! {
    Root:
        containerd_runs_and_looks_after_containers;
};

/// A containerd of the test's own, without what it is not asked for.
pub struct Containerd(Option<Running>);

impl Containerd {
    pub fn start() -> Self {
        let folder = |name: &str| scratch().join(name);
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            folder("containerd-root"),
            folder("containerd-state"),
            Self::socket(),
            folder("ttrpc"),
        );
        fs::write("containerd.toml", text).expect("write its configuration");
        let mut command = program("containerd");
        command.args(["--config", "containerd.toml", "--log-level", "error"]);
        let running = Running::start(&mut command);
        eventually("containerd", || {
            run(program("ctr").arg("-a").arg(Self::socket()).arg("version")).code() == 0
        });
        Self(Some(running))
    }

    pub fn socket() -> PathBuf {
        scratch().join("containerd.sock")
    }

    pub fn end(mut self) {
        if let Some(running) = self.0.take() {
            running.signal(Signal::TERM);
            running.ends();
        }
    }
}

#[track_caller]
fn ctr(words: &[&str]) -> Output {
    let mut command = program("ctr");
    run(command.arg("-a").arg(Containerd::socket()).args(words))
}

#[track_caller]
fn runs(words: &[&str]) -> Output {
    let runtime = scratch().join("runc");
    let runtime = runtime.to_str().expect("it is text");
    let mut all = vec!["run", "--runc-binary", runtime, "--rootfs"];
    all.extend(words);
    ctr(&all)
}

fn containerd_runs_and_looks_after_containers() {
    symlink(staged("warren"), scratch().join("runc")).expect("make a link");
    let tree = scratch().join("tree");
    make_root(&tree);
    let tree = tree.to_str().expect("it is text");
    let containerd = Containerd::start();

    runs(&["--rm", tree, "one", "sh", "-c", "echo well; exit 6"])
        .exits(6)
        .has("well");
    runs(&["--rm", "--memory-limit", "33554432", tree, "two", "true"]).succeeds();
    let output = runs(&["--rm", tree, "three", "nowhere"]);
    output
        .exits(1)
        .complains("executable file not found in $PATH");
    ctr(&["container", "rm", "three"]);

    runs(&["-d", tree, "four", "sleep", "100"]).succeeds();
    let status = || {
        let output = ctr(&["task", "ls"]);
        let line = output
            .succeeds()
            .lines()
            .find(|line| line.starts_with("four"));
        line.and_then(|line| line.split_whitespace().nth(2))
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(status(), "RUNNING");
    let words = [
        "task",
        "exec",
        "--exec-id",
        "e",
        "four",
        "sh",
        "-c",
        "echo in; exit 3",
    ];
    ctr(&words).exits(3).has("in");
    ctr(&["task", "pause", "four"]).succeeds();
    assert_eq!(status(), "PAUSED");
    ctr(&["task", "resume", "four"]).succeeds();
    ctr(&["task", "ps", "four"]).succeeds();
    ctr(&["task", "metrics", "four"]).has("pids.current");
    ctr(&["task", "kill", "-s", "KILL", "four"]).succeeds();
    eventually("its end", || status() == "STOPPED");
    ctr(&["task", "rm", "four"]).exits(0);
    ctr(&["container", "rm", "four"]).succeeds();
    containerd.end();
    remove_groups(&["default"]);
}
