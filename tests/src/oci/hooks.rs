//! Hooks: their order, what they read, where they are, and what becomes of a failure.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use warren_testkit::{Test, eventually, scratch, tests};

use super::{BOTH, Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        each_runs_at_its_moment_and_reads_the_state,
        each_is_where_it_belongs,
        one_that_fails_ends_the_container,
        one_that_takes_too_long_is_ended,
        none_has_the_environment_of_the_container,
        those_after_the_end_see_that_all_is_gone;
};

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// A script on the host that notes what it is given.
fn script(text: &str) -> String {
    let path = (0..).map(|number| scratch().join(format!("hook{number}")));
    let path = path
        .into_iter()
        .find(|path| !path.exists())
        .expect("a free name");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("write a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path.to_str().expect("it is text").to_owned()
}

/// A bundle with a log at the same place inside and outside, and a hook of each kind.
fn with_hooks(hook: impl Fn(&str) -> Value) -> Bundle {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    let log = scratch();
    fs::write(log.join("log"), "").expect("make a log");
    bundle.set(|config| {
        for kind in KINDS {
            let hook = hook(kind);
            if !hook.is_null() {
                config["hooks"][kind] = json!([hook]);
            }
        }
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({
            "destination": log, "source": log, "type": "bind", "options": ["rbind", "rw"],
        }));
    });
    bundle
}

fn log() -> String {
    let text = fs::read_to_string(scratch().join("log")).expect("there is a log");
    fs::write(scratch().join("log"), "").expect("empty it");
    text
}

fn each_runs_at_its_moment_and_reads_the_state() {
    let folder = scratch().display().to_string();
    let text = format!(
        "read -r line; echo \"$1 $line\" | sed 's/\"annotations.*//' >> {folder}/log"
    );
    // Inside there is no sed(1).
    let inside = format!("read -r line; echo \"$1 $line\" >> {folder}/log");
    let (outside, inside) = (script(&text), script(&inside));
    let status = |line: &str| {
        let word = line.split("\"status\":\"").nth(1).unwrap_or_default();
        let status = word.split('"').next().unwrap_or_default().to_owned();
        let has_pid = !line.contains("\"pid\":0") && line.contains("\"pid\":");
        (
            line.split(' ').next().unwrap_or_default().to_owned(),
            status,
            has_pid,
        )
    };
    for runtime in BOTH {
        // runc 1.1 has the hooks of poststart run at create.
        if runtime == Runtime::Runc {
            continue;
        }
        let bundle = with_hooks(|kind| {
            let path = if kind == "startContainer" {
                &inside
            } else {
                &outside
            };
            json!({"path": path, "args": ["hook", kind], "env": ["PATH=/usr/bin:/bin"]})
        });
        runtime
            .run(&["create", "-b", bundle.path(), "web"])
            .succeeds();
        let text = log();
        let lines: Vec<_> = text.lines().map(status).collect();
        let names: Vec<&str> = lines.iter().map(|line| line.0.as_str()).collect();
        assert_eq!(names, KINDS[..3], "{runtime:?}: {text}");
        assert!(lines.iter().all(|line| line.1 == "creating"));
        assert!(lines[0].2 && lines[1].2, "{text}");
        runtime.run(&["start", "web"]).succeeds();
        let text = log();
        let lines: Vec<_> = text.lines().map(status).collect();
        let names: Vec<&str> = lines.iter().map(|line| line.0.as_str()).collect();
        assert_eq!(names, KINDS[3..5], "{runtime:?}: {text}");
        assert_eq!(lines[1].1, "running");
        assert!(text.contains("\"id\":\"web\"") && text.contains(bundle.path()));
        runtime.run(&["kill", "web", "KILL"]).succeeds();
        eventually("its end", || runtime.status("web") == "stopped");
        runtime.run(&["delete", "web"]).succeeds();
        let text = log();
        let lines: Vec<_> = text.lines().map(status).collect();
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (lines[0].0.as_str(), lines[0].1.as_str()),
            ("poststop", "stopped")
        );
    }
}

fn each_is_where_it_belongs() {
    let folder = scratch().display().to_string();
    let text = format!(
        "echo $1 $(readlink /proc/self/ns/uts) $([ -e /bin/busybox ] && echo in) \
         $([ -e /usr/bin/env ] && echo out) >> {folder}/log"
    );
    let path = script(&text);
    for runtime in BOTH {
        let bundle = with_hooks(
            |kind| json!({"path": path, "args": ["hook", kind], "env": ["PATH=/usr/bin:/bin"]}),
        );
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let pid = runtime.state_of("web")["pid"].clone();
        let inside = fs::read_link(format!("/proc/{pid}/ns/uts")).expect("its namespace");
        let own = fs::read_link("/proc/self/ns/uts").expect("own namespace");
        runtime.run(&["delete", "-f", "web"]).succeeds();
        let text = log();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let is_inside = matches!(words[0], "createContainer" | "startContainer");
            let expected = if is_inside { &inside } else { &own };
            assert_eq!(words[1], expected.to_string_lossy(), "{runtime:?}: {line}");
            let in_root = words[0] == "startContainer";
            assert_eq!(!words.contains(&"out"), in_root, "{runtime:?}: {line}");
        }
        assert_eq!(text.lines().count(), 6, "{text}");
    }
}

fn one_that_fails_ends_the_container() {
    let folder = scratch().display().to_string();
    let good = script(&format!("echo $1 >> {folder}/log"));
    let bad = script(&format!(
        "echo $1 >> {folder}/log; echo no luck >&2; exit 3"
    ));
    let runtime = Runtime::Warren;
    for failing in &KINDS[..5] {
        let bundle = with_hooks(|kind| {
            let path = if kind == *failing { &bad } else { &good };
            json!({"path": path, "args": ["hook", kind]})
        });
        let create = runtime.run(&["create", "-b", bundle.path(), "web"]);
        let at_start = matches!(*failing, "startContainer" | "poststart");
        let failed = if at_start {
            create.succeeds();
            runtime.run(&["start", "web"])
        } else {
            create
        };
        failed
            .exits(1)
            .complains(failing)
            .complains("exit status 3");
        let text = log();
        let names: Vec<&str> = text.lines().collect();
        let count = KINDS
            .iter()
            .position(|kind| kind == failing)
            .unwrap_or_default();
        // What was begun is undone: runtime.md, "Lifecycle".
        let mut expected = KINDS[..=count].to_vec();
        expected.push("poststop");
        assert_eq!(names, expected);
        assert!(runtime.is_empty(), "{failing}");
    }
    // After the end nothing can be stopped any more.
    let bundle = with_hooks(|kind| match kind {
        "poststop" => json!({"path": bad, "args": ["hook", kind]}),
        _ => Value::Null,
    });
    runtime
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    runtime
        .run(&["delete", "-f", "web"])
        .exits(0)
        .complains("no luck");
    assert!(runtime.is_empty());
}

fn one_that_takes_too_long_is_ended() {
    let slow = script("exec sleep 60");
    let runtime = Runtime::Warren;
    for kind in ["createRuntime", "createContainer", "poststart"] {
        let bundle = with_hooks(|own| match own == kind {
            true => json!({"path": slow, "timeout": 1, "env": ["PATH=/usr/bin:/bin"]}),
            false => Value::Null,
        });
        let since = std::time::Instant::now();
        runtime.run_bundle(&bundle, "web").exits(1).complains(kind);
        assert!(since.elapsed() < std::time::Duration::from_secs(30));
        assert!(runtime.is_empty(), "{kind}");
    }
    let bundle = with_hooks(|_| json!({"path": slow, "timeout": 0}));
    runtime
        .run_bundle(&bundle, "web")
        .exits(1)
        .complains("timeout");
}

fn none_has_the_environment_of_the_container() {
    let folder = scratch().display().to_string();
    let path = script(&format!("/usr/bin/env >> {folder}/log"));
    let runtime = Runtime::Warren;
    let mut bundle = with_hooks(|kind| match kind {
        "createRuntime" | "createContainer" => json!({"path": path, "env": ["OWN=1"]}),
        _ => Value::Null,
    });
    bundle.set(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "LD_PRELOAD=/evil.so"]);
    });
    runtime
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    runtime.run(&["delete", "-f", "web"]).succeeds();
    let text = log();
    assert_eq!(text.matches("OWN=1").count(), 2, "{text}");
    assert!(!text.contains("LD_PRELOAD"), "{text}");
    // Nor that of who called.
    assert!(!text.contains("HOME="), "{text}");
}

fn those_after_the_end_see_that_all_is_gone() {
    let runtime = Runtime::Warren;
    let folder = runtime.state().join("web").display().to_string();
    let path = script(&format!(
        "[ -e {folder} ] || echo gone >> {}/log",
        scratch().display()
    ));
    let bundle = with_hooks(|kind| match kind {
        "poststop" => json!({"path": path}),
        _ => Value::Null,
    });
    runtime
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    runtime.run(&["delete", "-f", "web"]).succeeds();
    assert_eq!(log(), "gone\n");
}
