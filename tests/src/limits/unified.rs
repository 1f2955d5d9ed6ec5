//! The tree of v2 alone, by the library: also on a hybrid machine, where it is beside v1 and
//! has few controllers, but all that each group of v2 has.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use warren::cgroups::limits::{DeviceKind, DeviceRule};
use warren::cgroups::{Frozen, Ground, Hierarchies, Place, Placement};
use warren::namespaces::ProcRoot;
use warren::{Child, Host, Plan, Spec};
use warren_testkit::{Test, eventually, tests};

pub const TESTS: &[Test] = tests! {
    Root:
        a_process_is_born_in_its_group,
        device_files_are_guarded_by_a_program,
        a_group_is_frozen_thawed_and_killed,
        groups_below_are_removed_too,
        a_group_that_was_written_down_is_found_again;
};

/// The ground of v2's first group, which may have processes.
fn host() -> Host {
    let mut ground = Ground::probe(&Place::Below(Some("/".into()))).expect("looked at");
    ground.parents.retain(|parent| parent.hierarchy.is_v2());
    assert_eq!(ground.parents.len(), 1, "v2 is mounted");
    Host {
        ground: Some(ground),
        ..Host::probe()
    }
}

fn start(words: &[&str], devices: Vec<DeviceRule>) -> Child {
    let mut spec = Spec::new(words[0]);
    spec.argv = words.iter().map(Into::into).collect();
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.limits.devices = devices;
    spec.cgroup = Some(Placement {
        place: Place::Below(Some("/".into())),
        ..Placement::default()
    });
    let plan = Plan::new(&spec, &host()).expect("it can be had");
    plan.launch().expect("launched")
}

fn group_of(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.expect("v2").to_owned()
}

fn a_process_is_born_in_its_group() {
    let mut child = start(&["sleep", "1000"], Vec::new());
    let own = group_of(child.id());
    assert!(own.starts_with("/warren-"), "{own}");
    let group = child.cgroup().expect("its own");
    assert_eq!(group.procs().expect("listed"), [child.id()]);
    let folder = group.paths().remove(0);
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert!(!folder.exists());
    assert!(child.cgroup_end().expect("counted").left.is_none());
}

fn device_files_are_guarded_by_a_program() {
    let null = DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(3),
        read: true,
        ..DeviceRule::default()
    };
    let rules = vec![DeviceRule::everything(false), null];
    let opens = |script: &str| {
        let mut child = start(&["sh", "-c", script], rules.clone());
        child.wait().expect("it ends").code()
    };
    assert_eq!(opens(": </dev/null"), Some(0));
    assert_ne!(opens(": >/dev/null"), Some(0));
    assert_ne!(opens(": </dev/zero"), Some(0));
    // Without rules all is as before.
    let mut child = start(&["sh", "-c", ": >/dev/null </dev/zero"], Vec::new());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

fn a_group_is_frozen_thawed_and_killed() {
    let script = "sleep 1000 & sleep 1000 & wait";
    let mut child = start(&["sh", "-c", script], Vec::new());
    let group = child.cgroup().expect("its own");
    eventually("three processes", || {
        group.procs().is_ok_and(|pids| pids.len() == 3)
    });
    group.freeze().expect("frozen");
    assert_eq!(group.frozen(), Frozen::Yes);
    assert!(!group.shares_freezer().expect("looked at"));
    group.thaw().expect("thawed");
    eventually("running processes", || group.frozen() == Frozen::No);
    group.freeze().expect("frozen");
    group.kill().expect("killed, though frozen");
    assert_eq!(group.procs().expect("listed"), []);
    assert_eq!(child.wait().expect("it ended").signal(), Some(9));
}

/// As somebody makes them to whom the group was handed.
fn groups_below_are_removed_too() {
    let mut child = start(&["sleep", "1000"], Vec::new());
    let folder = child.cgroup().expect("its own").paths().remove(0);
    let mut deep = folder.clone();
    for _ in 0..20 {
        deep.push("below");
        fs::create_dir(&deep).expect("made");
    }
    fs::write(deep.join("cgroup.procs"), child.id().to_string()).expect("moved");
    assert_eq!(
        child.cgroup().expect("its own").procs().expect("listed"),
        [child.id()]
    );
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert!(!folder.exists());
}

fn a_group_that_was_written_down_is_found_again() {
    let mut child = start(&["sleep", "1000"], Vec::new());
    let record = child.cgroup().expect("its own").record();
    let text = serde_json::to_string(&record).expect("JSON");
    let record = serde_json::from_str(&text).expect("the same");
    let proc = ProcRoot::open().expect("/proc");
    let hierarchies = Hierarchies::detect(&proc).expect("mountinfo");
    let again = warren::cgroups::Cgroup::reopen(&hierarchies, &record).expect("there");
    assert_eq!(again.procs().expect("listed"), [child.id()]);
    again.kill().expect("killed");
    // Who found it does not take it away; who made it does.
    again.remove().expect("left alone");
    assert!(again.paths()[0].exists());
    child.wait().expect("it ended");
    assert!(!again.paths()[0].exists());
}
