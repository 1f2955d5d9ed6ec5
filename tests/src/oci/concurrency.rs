//! Many at once, and ends at any moment.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use warren_testkit::{Test, run, tests};

use super::{Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        two_hundred_containers_by_sixteen_processes,
        a_create_that_is_killed_leaves_nothing_that_delete_does_not_find,
        two_commands_on_one_container_do_not_meet;
};

const WARREN: Runtime = Runtime::Warren;

fn two_hundred_containers_by_sixteen_processes() {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    // Each in a group of its own name.
    bundle.set(|config| config["linux"]["cgroupsPath"] = json!(""));
    let program = WARREN.command(&[]);
    let base: Vec<String> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = "set -e; bundle=$1; part=$2; shift 2; \
        for n in 1 2 3 4 5 6 7 8 9 10 11 12 13; do \
            [ $((part * 13 + n)) -le 200 ] || continue; id=warren-oci-many-$part-$n; \
            \"$@\" create -b $bundle $id; \"$@\" start $id; \
            \"$@\" kill $id KILL; \"$@\" delete -f $id; done";
    let start = |part: usize| {
        Command::new("sh")
            .args(["-c", script, "sh", bundle.path(), &part.to_string()])
            .args(&base)
            .stdin(Stdio::null())
            .spawn()
            .expect("start a shell")
    };
    let mut shells: Vec<_> = (0..16).map(start).collect();
    // Meanwhile every list is one, and every state in it is one that there is.
    let known: BTreeSet<&str> = ["creating", "created", "running", "stopped"].into();
    while shells
        .iter_mut()
        .any(|shell| shell.try_wait().is_ok_and(|end| end.is_none()))
    {
        let output = WARREN.run(&["list", "-f", "json"]);
        let list: Vec<Value> = serde_json::from_str(output.succeeds()).expect("a list");
        for one in &list {
            let status = one["status"].as_str().unwrap_or_default();
            assert!(known.contains(status), "{one}");
            assert!(status != "stopped" || one["pid"] == 0, "{one}");
        }
    }
    for mut shell in shells {
        assert!(shell.wait().expect("wait for it").success());
    }
    assert!(WARREN.is_empty());
}

fn a_create_that_is_killed_leaves_nothing_that_delete_does_not_find() {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    bundle.set(|config| {
        config["linux"]["cgroupsPath"] =
            json!(format!("/warren-oci-killed-{}", std::process::id()));
    });
    let create = || {
        let mut command = WARREN.command(&["create", "-b", bundle.path(), "web"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().expect("start it")
    };
    // How long one takes, to kill the others on their way.
    let since = Instant::now();
    assert!(create().wait().expect("wait for it").success());
    let whole = since.elapsed();
    WARREN.run(&["delete", "-f", "web"]).succeeds();
    let mut left = 0;
    for moment in 0..200 {
        let mut child = create();
        std::thread::sleep(whole * moment / 190);
        child.kill().expect("kill it");
        child.wait().expect("wait for it");
        left += usize::from(!WARREN.is_empty());
        WARREN.run(&["delete", "--force", "web"]).succeeds();
        assert!(WARREN.is_empty(), "moment {moment}");
    }
    // Else they were all too early or too late.
    assert!(left > 20, "{left}");
}

fn two_commands_on_one_container_do_not_meet() {
    let bundle = Bundle::new(&["sleep", "100"]);
    for _ in 0..10 {
        WARREN
            .run(&["create", "-b", bundle.path(), "web"])
            .succeeds();
        let start = |words: &[&str]| {
            let mut command = WARREN.command(words);
            command.stdin(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("start it")
        };
        let mut starts: Vec<_> = (0..4).map(|_| start(&["start", "web"])).collect();
        let ended = starts
            .iter_mut()
            .map(|one| one.wait().expect("wait for it"));
        assert_eq!(ended.filter(|status| status.success()).count(), 1);
        let mut deletes: Vec<_> =
            (0..4).map(|_| start(&["delete", "-f", "web"])).collect();
        for one in &mut deletes {
            assert!(one.wait().expect("wait for it").success());
        }
        assert!(WARREN.is_empty());
        let mut creates: Vec<_> = (0..4)
            .map(|_| start(&["create", "-b", bundle.path(), "web"]))
            .collect();
        let ended = creates
            .iter_mut()
            .map(|one| one.wait().expect("wait for it"));
        assert_eq!(ended.filter(|status| status.success()).count(), 1);
        assert_eq!(WARREN.status("web"), "created");
        run(&mut WARREN.command(&["delete", "-f", "web"])).succeeds();
    }
}
