//! Control groups of containers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use warren_testkit::{Test, eventually, program, run, scratch, tests};

use super::{BOTH, Bundle, Runtime, remove_groups};
use crate::limits::is_v2;

pub const TESTS: &[Test] = tests! {
    Root:
        a_limit_holds_and_can_be_changed,
        a_group_is_where_the_path_says,
        a_group_that_is_in_use_is_not_taken,
        half_a_mebibyte_is_enough_for_true,
        who_outlives_the_first_process_is_ended_with_the_container,
        without_processes_of_its_own_kill_ends_all,
        who_joins_a_pid_namespace_is_in_the_group_too;
};

/// The file of a group of this controller, wherever it is mounted.
fn file(group: &str, controller: &str, v1: &str, v2: &str) -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    match is_v2() {
        true => root.join(group).join(v2),
        false => root.join(controller).join(group).join(v1),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn group(name: &str) -> String {
    format!("warren-oci-test-{}-{name}", std::process::id())
}

fn a_limit_holds_and_can_be_changed() {
    for runtime in BOTH {
        let name = group("limit");
        let mut bundle = Bundle::new(&["sleep", "100"]);
        bundle.set(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
            config["linux"]["resources"]["pids"] = json!({"limit": 20});
            config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        });
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let pids = file(&name, "pids", "pids.max", "pids.max");
        let memory = file(&name, "memory", "memory.limit_in_bytes", "memory.max");
        assert_eq!(read(&pids), "20");
        assert_eq!(read(&memory), (64 << 20).to_string());
        runtime
            .run(&["update", "--pids-limit", "30", "web"])
            .succeeds();
        runtime
            .run(&["update", "web", "--memory", "32M"])
            .succeeds();
        assert_eq!(read(&pids), "30");
        assert_eq!(read(&memory), (32 << 20).to_string());
        let resources = json!({"pids": {"limit": 40}});
        fs::write("resources.json", resources.to_string()).expect("write the file");
        runtime
            .run(&["update", "--resources", "resources.json", "web"])
            .succeeds();
        assert_eq!(read(&pids), "40");
        runtime.run(&["delete", "-f", "web"]).succeeds();
        assert!(!pids.exists() && !memory.exists());
    }
}

fn a_group_is_where_the_path_says() {
    for runtime in BOTH {
        let name = group("parent");
        let mut bundle = Bundle::new(&["cat", "/proc/self/cgroup"]);
        bundle.set(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}/web"));
            let namespaces = config["linux"]["namespaces"]
                .as_array_mut()
                .expect("a list");
            namespaces.retain(|one| one["type"] != "cgroup");
        });
        let output = runtime.run_bundle(&bundle, "web");
        assert!(
            output.succeeds().contains(&format!(":/{name}/web\n")),
            "{}",
            output.succeeds()
        );
        // What is above may be another's by now, and is left.
        remove_groups(&[&name]);
        assert!(!file(&name, "pids", "", "").exists());
    }
}

fn a_group_that_is_in_use_is_not_taken() {
    let runtime = Runtime::Warren;
    let mut bundle = Bundle::new(&["sleep", "100"]);
    bundle.set(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("/{}", group("use")));
    });
    runtime
        .run(&["run", "-d", "-b", bundle.path(), "one"])
        .succeeds();
    let output = runtime.run(&["create", "-b", bundle.path(), "two"]);
    output.exits(1).complains("container's cgroup is not empty");
    assert_eq!(runtime.status("one"), "running");
    runtime.run(&["delete", "-f", "one"]).succeeds();
    assert!(runtime.is_empty());
}

fn half_a_mebibyte_is_enough_for_true() {
    let runtime = Runtime::Warren;
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 512 << 10});
    });
    for _ in 0..3 {
        runtime.run_bundle(&bundle, "web").succeeds();
    }
    assert!(runtime.is_empty());
}

fn who_outlives_the_first_process_is_ended_with_the_container() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["sleep", "100"]);
        bundle.set(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut();
            let namespaces = namespaces.expect("a list");
            namespaces.retain(|one| one["type"] != "pid");
        });
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let file = scratch().join("pid");
        let file = file.to_str().expect("it is text");
        let words = ["exec", "-d", "--pid-file", file, "web", "sleep", "200"];
        runtime.run(&words).succeeds();
        let other = fs::read_to_string(file).expect("its number");
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{other}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z"))
        };
        let first = runtime.state_of("web")["pid"].to_string();
        run(program("kill").args(["-KILL", &first])).succeeds();
        eventually("the first's end", || runtime.status("web") == "stopped");
        assert!(lives(), "{runtime:?}");
        runtime.run(&["delete", "--force", "web"]).succeeds();
        eventually("the other's end", || !lives());
        assert!(runtime.is_empty());
    }
}

fn without_processes_of_its_own_kill_ends_all() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["sh", "-c", "sleep 100 & sleep 200; true"]);
        bundle.set(|config| {
            let namespaces = config["linux"]["namespaces"]
                .as_array_mut()
                .expect("a list");
            namespaces.retain(|one| one["type"] != "pid");
        });
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let count = || {
            let output = runtime.run(&["ps", "-f", "json", "web"]);
            let list: Vec<u64> =
                serde_json::from_str(output.succeeds()).unwrap_or_default();
            list.len()
        };
        eventually("its processes", || count() == 3);
        runtime.run(&["kill", "web", "KILL"]).succeeds();
        eventually("its end", || runtime.status("web") == "stopped");
        runtime.run(&["delete", "web"]).succeeds();
        assert!(runtime.is_empty());
    }
}

fn who_joins_a_pid_namespace_is_in_the_group_too() {
    for runtime in BOTH {
        let name = group("joined");
        let mut bundle = Bundle::new(&["sleep", "100"]);
        bundle.set(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
            config["linux"]["resources"]["pids"] = json!({"limit": 20});
            let namespaces = config["linux"]["namespaces"].as_array_mut();
            for one in namespaces.expect("a list") {
                if one["type"] == "pid" {
                    one["path"] = json!("/proc/NUMBER/ns/pid");
                }
            }
        });
        // Whoever waits for the container must not be the one that ends its namespace.
        let run = runtime.command(&["run", "-b", bundle.path(), "web"]);
        let script = "unshare --pid --fork sleep 60 >/dev/null & other=$!
            until inner=$(pgrep -P $other); do sleep 0.05; done
            sed -i s/NUMBER/$inner/ \"$0\"; \"$@\" >out 2>&1 & run=$!
            until pgrep -P $run -x sleep >/dev/null; do sleep 0.05; done
            cat \"$PROCS\" | wc -l; kill -9 $(pgrep -P $run -x sleep); wait $run
            kill -9 $inner; wait 2>/dev/null";
        let mut shell = program("sh");
        shell
            .args(["-c", script])
            .arg(bundle.folder.join("config.json"));
        shell.arg(run.get_program()).args(run.get_args());
        shell.env("PROCS", file(&name, "pids", "cgroup.procs", "cgroup.procs"));
        warren_testkit::run(&mut shell).says("1");
    }
}
