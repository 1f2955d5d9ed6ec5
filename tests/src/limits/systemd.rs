//! Scopes of systemd, as its own tools see them.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use warren_testkit::{Running, Test, eventually, program, run, scratch, tests, warren};

use super::{folders_of, init_of, limited};

pub const TESTS: &[Test] = tests! {
    Machine:
        a_scope_is_a_unit_with_the_limits_as_properties,
        a_slice_of_ones_own_is_made,
        a_changed_limit_is_told_to_systemd,
        who_was_killed_is_known_to_a_caller_that_looks_late,
        the_messages_are_those_of_busctl,
        the_group_is_shown_where_sys_is_the_hosts,
        systemd_boots_in_what_was_handed_to_it;
};

const WAITS: [&str; 3] = ["sh", "-c", "echo here; exec sleep 1000"];

/// The name of the unit that a run is in.
fn unit_of(running: &Running) -> String {
    let folder = folders_of(&init_of(running.pid())).pop().expect("a group");
    folder.rsplit('/').next().expect("a name").to_owned()
}

fn property(unit: &str, name: &str) -> String {
    let mut show = program("systemctl");
    let output = run(show.args(["show", "--value", "--property", name, unit]));
    output.succeeds().to_owned()
}

fn end(running: Running) {
    running.signal(Signal::TERM);
    assert_eq!(running.ends(), 143);
}

fn a_scope_is_a_unit_with_the_limits_as_properties() {
    let options = [
        "--memory",
        "64M",
        "--pids",
        "20",
        "--cpus",
        "0.5",
        "--cpu-weight",
        "50",
    ];
    let mut running = Running::start(limited(&[], &options).args(WAITS));
    running.line();
    let unit = unit_of(&running);
    assert!(
        unit.starts_with("warren-") && unit.ends_with(".scope"),
        "{unit}"
    );
    let expected = [
        ("MemoryMax", "67108864"),
        ("TasksMax", "20"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUWeight", "50"),
        ("Delegate", "yes"),
        ("ActiveState", "active"),
    ];
    for (name, value) in expected {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    end(running);
    assert_eq!(property(&unit, "LoadState"), "not-found");
}

fn a_slice_of_ones_own_is_made() {
    let options = ["--slice", "warren-test", "--pids", "20"];
    let mut running = Running::start(limited(&[], &options).args(WAITS));
    running.line();
    let unit = unit_of(&running);
    assert_eq!(property(&unit, "Slice"), "warren-test.slice");
    end(running);
    run(program("systemctl").args(["stop", "warren-test.slice", "warren.slice"]))
        .succeeds();
}

fn a_changed_limit_is_told_to_systemd() {
    let mut running = Running::start(limited(&[], &["--memory", "64M"]).args(WAITS));
    running.line();
    let unit = unit_of(&running);
    let init = init_of(running.pid());
    let words = ["limits", &init, "--set", "memory.max=32M"];
    run(&mut warren(words)).succeeds();
    // Nor does a reload put the old one back.
    run(program("systemctl").arg("daemon-reload")).succeeds();
    assert_eq!(property(&unit, "MemoryMax"), "33554432");
    let output = run(&mut warren(["limits", &init]));
    output.has("32.0M");
    end(running);
}

/// The unit's own record of what was asked for, read over the bus by systemd's tool.
/// systemd removes a scope with its last process, and is quicker than a caller without a
/// processor.
fn who_was_killed_is_known_to_a_caller_that_looks_late() {
    const SCRIPT: &str = "echo here; sleep 2; exec python3 -c 'bytearray(200 << 20)'";
    let said = scratch().join("said");
    let mut command = limited(&[], &["--memory", "64M"]);
    command.stderr(File::create(&said).expect("a file"));
    let mut running = Running::start(command.args(["sh", "-c", SCRIPT]));
    running.line();
    let init = init_of(running.pid());
    running.signal(Signal::STOP);
    eventually("the command's end", || {
        let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children"));
        children.map_or(true, |pids| pids.is_empty())
    });
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::CONT);
    assert_eq!(running.ends(), 137);
    let said = fs::read_to_string(said).expect("a file");
    assert!(
        said.contains("killed: out of memory (memory.max 64M)"),
        "{said:?}"
    );
}

fn the_messages_are_those_of_busctl() {
    let options = ["--memory", "64M", "--cpuset-cpus", "0-1"];
    let mut running = Running::start(limited(&[], &options).args(WAITS));
    running.line();
    let unit = unit_of(&running);
    let object = property(&unit, "Id");
    assert_eq!(object, unit);
    let path = unit.bytes().fold(String::new(), |path, byte| {
        if byte.is_ascii_alphanumeric() {
            path + &char::from(byte).to_string()
        } else {
            path + &format!("_{byte:02x}")
        }
    });
    let path = format!("/org/freedesktop/systemd1/unit/{path}");
    let get = |name: &str| {
        let mut busctl = program("busctl");
        busctl.args(["get-property", "org.freedesktop.systemd1", &path]);
        busctl.args(["org.freedesktop.systemd1.Scope", name]);
        run(&mut busctl).succeeds().to_owned()
    };
    assert_eq!(get("MemoryMax"), "t 67108864");
    // As many bytes as it has, the lowest CPUs first.
    let cpus = get("AllowedCPUs");
    let mask: Vec<&str> = cpus.split(' ').skip(2).collect();
    assert_eq!(mask[0], "3", "{cpus}");
    assert!(mask[1..].iter().all(|byte| *byte == "0"), "{cpus}");
    assert_eq!(get("Delegate"), "b true");
    end(running);
}

/// There v2 is mounted already, and a filesystem is not mounted twice on one place.
fn the_group_is_shown_where_sys_is_the_hosts() {
    let script = "mkdir /sys/fs/cgroup/own && cat /sys/fs/cgroup/own/cgroup.procs && \
        cat /proc/self/cgroup && wc -l < /sys/fs/cgroup/cgroup.procs";
    run(warren([
        "run",
        "--delegate",
        "--no-init",
        "--ro-bind",
        "/sys",
        "/sys",
    ])
    .args(["--", "sh", "-c", script]))
    .says("0::/\n2");
}

fn systemd_boots_in_what_was_handed_to_it() {
    let options = "--root / --ephemeral --delegate --no-init --cap-add all --tmpfs /run \
        --ro-bind /sys /sys --env container=warren";
    let mut command = warren(["run"]);
    command.args(options.split_whitespace());
    command.args(["--", "/lib/systemd/systemd", "--unit=basic.target"]);
    let running = Running::start(&mut command);
    let pid = running.pid().as_raw_nonzero();
    eventually("a manager inside", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let init = children.unwrap_or_default();
        let socket = format!("/proc/{}/root/run/systemd/private", init.trim());
        Path::new(&socket).exists()
    });
    let init = init_of(running.pid());
    let inside = |words: &[&str]| run(warren(["enter", init.as_str(), "--"]).args(words));
    inside(&["systemctl", "is-system-running", "--wait"]).says("running");
    let script = "group=$(cut -d: -f3 /proc/self/cgroup) && echo $group && \
        cat /sys/fs/cgroup$group/memory.max";
    let service = ["systemd-run", "--quiet", "--wait", "--pipe", "--unit=mole"];
    let limited = ["--property=MemoryMax=50M", "sh", "-c", script];
    inside(&[&service[..], &limited].concat())
        .says("/system.slice/mole.service\n52428800");
    // "Power off", as systemd(1) has it; the kernel ends the init of a pid namespace so.
    run(program("kill").args(["-s", "RTMIN+4", init.as_str()])).succeeds();
    assert_eq!(running.ends(), 130);
}
