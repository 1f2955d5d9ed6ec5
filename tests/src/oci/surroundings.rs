//! What a container has of its maker's surroundings, and what it has not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use warren_testkit::{Test, eventually, program, run, scratch, tests};

use super::{BOTH, Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        what_waits_holds_nothing_of_its_makers,
        what_waits_is_ended_by_a_signal,
        a_session_keyring_is_the_containers_own,
        its_user_owns_the_pipes_that_are_its_streams,
        it_runs_where_its_group_may_and_not_where_its_maker_does,
        namespaces_beside_a_joined_user_namespace_belong_to_that,
        a_group_that_is_frozen_is_refused,
        what_a_hook_inside_says_is_told_with_its_failure,
        a_mount_point_is_made_where_a_link_leads,
        a_group_that_nobody_has_filled_is_filled;
};

fn end(runtime: Runtime, id: &str) {
    runtime.run(&["delete", "--force", id]).succeeds();
}

/// Somebody may wait for the end of a pipe that the maker was handed.
fn what_waits_holds_nothing_of_its_makers() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["true"]);
        let command = runtime.command(&["create", "-b", bundle.path(), "web"]);
        let mut shell = program("sh");
        let script = "exec 7</etc 8<&7; \"$@\" >/dev/null 2>&1 </dev/null";
        shell
            .args(["-c", script, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        run(&mut shell).succeeds();
        let pid = runtime.state_of("web")["pid"].as_u64().expect("a number");
        let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("it waits");
        let links = links
            .flatten()
            .filter_map(|one| fs::read_link(one.path()).ok());
        let held: Vec<_> = links
            .filter(|to| to.starts_with("/etc") || to.starts_with("/sys/fs/cgroup"))
            .collect();
        assert!(held.is_empty(), "{runtime:?} holds {held:?}");
        end(runtime, "web");
    }
}

fn what_waits_is_ended_by_a_signal() {
    let runtime = Runtime::Warren;
    let bundle = Bundle::new(&["true"]);
    runtime
        .run(&["create", "-b", bundle.path(), "web"])
        .succeeds();
    runtime.run(&["kill", "web"]).succeeds();
    eventually("its end", || runtime.status("web") == "stopped");
    end(runtime, "web");
}

fn a_session_keyring_is_the_containers_own() {
    let id = format!("keys-{}", std::process::id());
    let name = format!("_ses.{id}");
    if !Path::new("/proc/keys").exists() {
        return;
    }
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["sleep", "100"]);
        bundle.set(|config| config["linux"]["maskedPaths"] = json!([]));
        runtime
            .run(&["run", "-d", "-b", bundle.path(), &id])
            .succeeds();
        let count = ["exec", &id, "grep", "-c", &name, "/proc/keys"];
        runtime.run(&count).says("1");
        end(runtime, &id);
    }
    let runtime = Runtime::Warren;
    let other = format!("{id}-none");
    let mut bundle = Bundle::new(&["sleep", "100"]);
    bundle.set(|config| config["linux"]["maskedPaths"] = json!([]));
    let words = ["run", "-d", "--no-new-keyring", "-b", bundle.path(), &other];
    runtime.run(&words).succeeds();
    let name = format!("_ses.{other}");
    let script = format!("grep -c {name} /proc/keys; true");
    let count = ["exec", &other, "sh", "-c", &script];
    runtime.run(&count).says("0");
    end(runtime, &other);
}

fn its_user_owns_the_pipes_that_are_its_streams() {
    for runtime in BOTH {
        let script = "stat -L -c %u /proc/self/fd/1; echo again >/proc/self/fd/1";
        let mut bundle = Bundle::new(&["sh", "-c", script]);
        bundle.set(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 7}));
        let command = runtime.command(&["run", "-b", bundle.path(), "web"]);
        let mut shell = program("sh");
        shell
            .args(["-c", "\"$@\" | cat", "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        run(&mut shell).says("1000\nagain");
    }
    // What may be everybody's stays as it is.
    let bundle = Bundle::new(&["stat", "-L", "-c", "%u", "/proc/self/fd/0"]);
    Runtime::Warren.run_bundle(&bundle, "web").says("0");
}

fn it_runs_where_its_group_may_and_not_where_its_maker_does() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 {
        return;
    }
    let runtime = Runtime::Warren;
    let list = "sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/self/status";
    let mut bundle = Bundle::new(&["sleep", "100"]);
    symlink("busybox", bundle.root().join("bin/sed")).expect("make a link");
    bundle.set(|config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0-1", "final": "0"});
    });
    let command = runtime.command(&["run", "-d", "-b", bundle.path(), "web"]);
    let mut pinned = program("taskset");
    pinned
        .args([
            "-c",
            "0",
            "sh",
            "-c",
            "\"$@\" >/dev/null 2>&1 </dev/null",
            "sh",
        ])
        .arg(command.get_program())
        .args(command.get_args());
    run(&mut pinned).succeeds();
    let first = "sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/1/status";
    let where_it_is = runtime.run(&["exec", "web", "sh", "-c", first]);
    assert_ne!(where_it_is.succeeds().trim(), "0");
    runtime.run(&["exec", "web", "sh", "-c", list]).says("0");
    end(runtime, "web");
}

fn namespaces_beside_a_joined_user_namespace_belong_to_that() {
    let runtime = Runtime::Warren;
    let mut owner = Bundle::new(&["sleep", "100"]);
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let whole = run(program("chmod").args(["-R", "a+rX", owner.path()]));
    whole.succeeds();
    owner.set(|config| {
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        namespaces.push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
    });
    run(program("chown").args(["-R", "100000:100000", owner.path()])).succeeds();
    runtime
        .run(&["run", "-d", "-b", owner.path(), "owner"])
        .succeeds();
    let pid = runtime.state_of("owner")["pid"].as_u64().expect("a number");
    let script = "cat /proc/sys/kernel/hostname; head -n 1 /proc/self/uid_map; echo $$; \
        id -u; mkdir /tmp/made";
    let mut guest = Bundle::new(&["sh", "-c", script]);
    run(program("chown").args(["-R", "100000:100000", guest.path()])).succeeds();
    guest.set(|config| {
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        namespaces.push(json!({"type": "user", "path": format!("/proc/{pid}/ns/user")}));
        config["hostname"] = json!("inner");
    });
    let output = runtime.run_bundle(&guest, "guest");
    let lines: Vec<_> = output.succeeds().lines().map(str::trim).collect();
    assert_eq!([lines[0], lines[2], lines[3]], ["inner", "1", "0"]);
    assert!(lines[1].contains("100000"), "{lines:?}");
    end(runtime, "owner");
}

/// The folder of a group in one hierarchy of v1, or of v2.
fn group_in(bundle: &Bundle, controller: &str) -> std::path::PathBuf {
    let group = bundle.config["linux"]["cgroupsPath"]
        .as_str()
        .expect("a path");
    let root = Path::new("/sys/fs/cgroup");
    let root = match crate::limits::is_v2() {
        true => root.to_owned(),
        false => root.join(controller),
    };
    root.join(group.trim_start_matches('/'))
}

fn a_group_that_is_frozen_is_refused() {
    let bundle = Bundle::new(&["true"]);
    let group = group_in(&bundle, "freezer");
    fs::create_dir(&group).expect("make a group");
    let (file, frozen, thawed) = match group.join("cgroup.freeze").exists() {
        true => ("cgroup.freeze", "1", "0"),
        false => ("freezer.state", "FROZEN", "THAWED"),
    };
    fs::write(group.join(file), frozen).expect("freeze it");
    let output = Runtime::Warren.run_bundle(&bundle, "web");
    fs::write(group.join(file), thawed).expect("thaw it");
    fs::remove_dir(&group).expect("remove the group");
    output
        .exits(1)
        .complains("container's cgroup unexpectedly frozen");
}

fn a_group_that_nobody_has_filled_is_filled() {
    let bundle = Bundle::new(&["echo", "there"]);
    let group = group_in(&bundle, "cpuset");
    fs::create_dir(&group).expect("make a group");
    Runtime::Warren.run_bundle(&bundle, "web").says("there");
    assert!(!group.exists(), "it is removed with the container");
}

fn what_a_hook_inside_says_is_told_with_its_failure() {
    for kind in ["createContainer", "startContainer"] {
        let mut bundle = Bundle::new(&["true"]);
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo no room >&2; exit 3"]}]);
        bundle.set(|config| config["hooks"] = json!({kind: hook}));
        Runtime::Warren
            .run_bundle(&bundle, "web")
            .exits(1)
            .complains("exit status 3, output: no room");
    }
}

fn a_mount_point_is_made_where_a_link_leads() {
    let mut bundle = Bundle::new(&["cat", "/etc/hosts"]);
    symlink("/tmp/a/hosts", bundle.root().join("etc/hosts")).expect("make a link");
    let source = scratch().join("hosts");
    fs::write(&source, "burrow").expect("write a file");
    bundle.set(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(
            json!({"destination": "/etc/hosts", "source": source, "type": "bind",
            "options": ["rbind", "ro"]}),
        );
    });
    Runtime::Warren.run_bundle(&bundle, "web").says("burrow");
    assert!(bundle.root().join("tmp/a/hosts").exists());
}
