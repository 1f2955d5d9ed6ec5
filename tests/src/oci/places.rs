//! Where the root of a container and its mounts are while it is made, and where they stay.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use warren_testkit::{Output, Test, program, run, scratch, tests, without_call};

use super::{BOTH, Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        what_an_earlier_mount_brings_can_be_bound,
        what_an_earlier_mount_brings_has_the_owners_that_are_asked_for,
        a_destination_may_begin_with_the_roots_own_path,
        a_hook_outside_finds_the_root_at_its_place,
        a_hook_inside_stands_in_the_root,
        without_a_mount_namespace_the_mounts_are_the_makers,
        without_a_mount_namespace_nothing_is_masked,
        a_root_that_cannot_be_exchanged_is_covered;
};

/// A folder of the host with one file.
fn with_file(name: &str, text: &str) -> String {
    let folder = scratch().join(name);
    fs::create_dir_all(folder.join("below")).expect("make a folder");
    fs::write(folder.join("below/file"), text).expect("write a file");
    folder.to_str().expect("it is text").to_owned()
}

/// What an earlier mount brings.
fn brought() -> String {
    with_file("brought", "burrow\n")
}

fn bind(config: &mut Value, source: &str, target: &str) {
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.push(
        json!({"destination": target, "source": source, "type": "bind",
        "options": ["rbind"]}),
    );
}

fn what_an_earlier_mount_brings_can_be_bound() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["cat", "/final/file", "/one"]);
        let folder = brought();
        let root = bundle.root().display().to_string();
        bundle.set(|config| {
            bind(config, &folder, "/tmp/brought");
            // On the host there is nothing at either.
            bind(config, &format!("{root}/tmp/brought/below"), "/final");
            bind(config, &format!("{root}/final/file"), "/one");
        });
        runtime.run_bundle(&bundle, "web").says("burrow\nburrow");
        // A link in what is brought leads to a place of the root, never of the host.
        let link = Path::new(&folder).join("link");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("/etc", &link).expect("make a link");
    }
    let mut bundle = Bundle::new(&["stat", "-c", "%u:%g", "/final/file"]);
    let root = bundle.root().display().to_string();
    bundle.set(|config| {
        bind(config, &brought(), "/tmp/brought");
        bind(config, &format!("{root}/tmp/brought/below"), "/final");
        let map = json!([{"containerID": 0, "hostID": 4321, "size": 1000}]);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        let last = mounts.last_mut().expect("it was added");
        last["options"] = json!(["rbind", "idmap"]);
        last["uidMappings"] = map.clone();
        last["gidMappings"] = map;
    });
    Runtime::Warren.run_bundle(&bundle, "web").says("4321:4321");
    let mut bundle = Bundle::new(&["ls", "/final"]);
    fs::write(bundle.root().join("etc/inside"), "").expect("write a file");
    let root = bundle.root().display().to_string();
    bundle.set(|config| {
        bind(config, &brought(), "/tmp/brought");
        bind(config, &format!("{root}/tmp/brought/link"), "/final");
    });
    Runtime::Warren.run_bundle(&bundle, "web").says("inside");
}

/// Also where the process that makes the mounts is in a user namespace, in which it can give
/// no file another owner.
fn what_an_earlier_mount_brings_has_the_owners_that_are_asked_for() {
    let owners = |options: Value, own: Value| {
        let mut bundle =
            Bundle::new(&["stat", "-c", "%u:%g", "/final/file", "/final/in/x"]);
        run(program("chown")
            .args(["-R", "100000:100000"])
            .arg(bundle.root()))
        .succeeds();
        let root = bundle.root().display().to_string();
        let inner = with_file("inner", "");
        let folder = brought();
        // Who is root inside can make nothing there.
        fs::create_dir_all(Path::new(&folder).join("below/in")).expect("make a folder");
        fs::write(Path::new(&inner).join("x"), "").expect("write a file");
        bundle.set(|config| {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            let namespaces = config["linux"]["namespaces"].as_array_mut();
            namespaces.expect("a list").push(json!({"type": "user"}));
            bind(config, &folder, "/tmp/brought");
            bind(config, &inner, "/tmp/brought/below/in");
            bind(config, &format!("{root}/tmp/brought/below"), "/final");
            let mounts = config["mounts"].as_array_mut().expect("a list");
            let last = mounts.last_mut().expect("it was added");
            last["options"] = options;
            last["uidMappings"] = own.clone();
            last["gidMappings"] = own;
        });
        let output = Runtime::Warren.run_bundle(&bundle, "web");
        output.succeeds().to_owned()
    };
    // The files are root's. By the map of the container they are root's inside.
    let none = json!([]);
    assert_eq!(
        owners(json!(["rbind"]), none.clone()),
        "65534:65534\n65534:65534"
    );
    assert_eq!(
        owners(json!(["rbind", "idmap"]), none.clone()),
        "0:0\n65534:65534"
    );
    assert_eq!(owners(json!(["rbind", "ridmap"]), none), "0:0\n0:0");
    // By one of the mount's own they are somebody's of the host, who is 7 inside.
    let own = json!([{"containerID": 0, "hostID": 100_007, "size": 1000}]);
    assert_eq!(owners(json!(["rbind", "ridmap"]), own), "7:7\n7:7");
}

fn a_destination_may_begin_with_the_roots_own_path() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["cat", "/mnt/below/file"]);
        let folder = with_file("shown", "burrow");
        fs::create_dir(bundle.root().join("mnt")).expect("make a folder");
        let target = bundle.root().join("mnt").display().to_string();
        bundle.set(|config| bind(config, &folder, &target));
        runtime.run_bundle(&bundle, "web").says("burrow");
    }
}

/// As hooks of graphics drivers do: into the mount namespace, and to the host's path there.
fn a_hook_outside_finds_the_root_at_its_place() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["cat", "/etc/driver"]);
        let folder = with_file("driver", "burrow");
        let place = bundle.root().join("etc/driver");
        fs::write(&place, "").expect("write a file");
        let script = format!(
            "read -r state; pid=${{state#*\\\"pid\\\":}}; pid=${{pid%%[!0-9]*}}
             nsenter --mount --target $pid mount --bind {folder}/below/file {}",
            place.display()
        );
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]}]);
        bundle.set(|config| config["hooks"] = json!({"createRuntime": hook}));
        runtime.run_bundle(&bundle, "web").says("burrow");
        assert_eq!(
            fs::read(&place).expect("it is there"),
            b"",
            "the host's own"
        );
    }
}

fn a_hook_inside_stands_in_the_root() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(&["sh", "-c", "cat /etc/made; echo > /etc/new"]);
        let hook =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo here > ./etc/made"]}]);
        bundle.set(|config| {
            config["hooks"] = json!({"createContainer": hook});
            // It becomes so after the hooks.
            config["root"]["readonly"] = json!(true);
        });
        runtime
            .run_bundle(&bundle, "web")
            .exits(1)
            .has("here")
            .complains("Read-only file system");
    }
}

/// A bundle without a mount namespace.
fn in_makers_mounts(args: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(args);
    bundle.set(|config| {
        let linux = &mut config["linux"];
        linux["maskedPaths"] = json!([]);
        linux["readonlyPaths"] = json!([]);
        let namespaces = linux["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|one| one["type"] != "mount");
    });
    bundle
}

/// A script that calls the runtime as `$@`, where mounts are nobody else's.
fn apart(runtime: Runtime, script: &str) -> Output {
    let command = runtime.command(&[]);
    let mut shell = program("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh"]);
    run(shell.arg(command.get_program()).args(command.get_args()))
}

fn without_a_mount_namespace_the_mounts_are_the_makers() {
    for runtime in BOTH {
        let bundle = in_makers_mounts(&["sleep", "100"]);
        let root = bundle.root().display().to_string();
        let script = format!(
            "\"$@\" run -d -b {} web >/dev/null 2>&1 </dev/null
             pid=$(\"$@\" state web | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')
             [ $(readlink /proc/$pid/ns/mnt) = $(readlink /proc/self/ns/mnt) ] && echo same
             ls /proc/$pid/root/bin/busybox {root}/proc/1/comm | wc -l
             \"$@\" delete -f web",
            bundle.path()
        );
        apart(runtime, &script).says("same\n2");
    }
    // Here they go with the container, and a further program finds its root.
    let bundle = in_makers_mounts(&["sleep", "100"]);
    let root = bundle.root().display().to_string();
    let script = format!(
        "count() {{ grep -c ' {root}' /proc/self/mountinfo; }}
         \"$@\" run -d -b {} web >/dev/null 2>&1 </dev/null
         [ $(count) -gt 3 ] && echo mounted
         \"$@\" exec web ls /bin/busybox
         \"$@\" delete -f web; count
         \"$@\" run -b {} web >/dev/null 2>&1 & sleep 0.5; \"$@\" kill web KILL; wait; count; true",
        bundle.path(),
        bundle.path()
    );
    apart(Runtime::Warren, &script).says("mounted\n/bin/busybox\n0\n0");
    // What somebody has unmounted before is not looked for where it was.
    let script = format!(
        "mount --bind {root} {root}
         \"$@\" run -d -b {} web >/dev/null 2>&1 </dev/null
         umount -l {root}; \"$@\" delete -f web; grep -c ' {root}' /proc/self/mountinfo",
        bundle.path()
    );
    apart(Runtime::Warren, &script).says("1");
    // Nothing stays of one that could not be made.
    let bundle = in_makers_mounts(&["/nowhere"]);
    let root = bundle.root().display().to_string();
    let script = format!(
        "\"$@\" run -b {} web; grep -c ' {root}' /proc/self/mountinfo; true",
        bundle.path()
    );
    apart(Runtime::Warren, &script).has("0");
}

fn without_a_mount_namespace_nothing_is_masked() {
    for runtime in BOTH {
        let mut bundle = in_makers_mounts(&["true"]);
        bundle.set(|config| config["linux"]["maskedPaths"] = json!(["/proc/kcore"]));
        runtime
            .run_bundle(&bundle, "web")
            .exits(1)
            .complains("unable to restrict sys entries without a private MNT namespace");
    }
}

/// On an initramfs pivot_root(2) is refused.
fn a_root_that_cannot_be_exchanged_is_covered() {
    let refused = |bundle: &Bundle, words: &[&str]| {
        let words = [words, &["--bundle", bundle.path(), "web"]].concat();
        let command: Command = Runtime::Warren.command(&words);
        run(&mut without_call("pivot_root", &command))
    };
    let bundle = Bundle::new(&["sh", "-c", "ls /; cat /proc/1/comm"]);
    refused(&bundle, &["run"])
        .exits(1)
        .complains("enter the new root");
    refused(&bundle, &["run", "--no-pivot"]).says("bin\ndev\netc\nproc\nsys\ntmp\ncat");
    // Of the old root no procfs is left with which a new one could be had.
    let mount = "busybox mount -t proc none /proc && echo mounted";
    let mut bundle = Bundle::new(&["busybox", "unshare", "-mrpf", "sh", "-c", mount]);
    bundle.set(|config| {
        for set in ["bounding", "permitted", "effective"] {
            let list = config["process"]["capabilities"][set].as_array_mut();
            list.expect("a list").push(json!("CAP_SETFCAP"));
        }
    });
    for words in [&["run"][..], &["run", "--no-pivot"]] {
        let output = match words.len() {
            1 => Runtime::Warren.run_bundle(&bundle, "web"),
            _ => refused(&bundle, words),
        };
        output.complains("permission denied");
        output.expect("nothing is mounted", output.stdout.is_empty());
    }
}
