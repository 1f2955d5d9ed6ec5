//! config.json to a Spec and back.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use warren_cgroups::Place;
use warren_cgroups::limits::Most;
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_oci::{Config, Unsupported, to_config, to_spec};
use warren_spawn::{
    Access, CapabilitySets, DetailedMount, DeviceKind, FlagChange, Forbidden, IdMapping,
    IoClass, Join, Mount, MountIds, Mounted, Namespace, Namespaces, Policy, ProcMasks,
    Root, Seccomp, Spec, Terminal, Tree, User, system,
};

/// As `runc spec` writes it.
fn usual() -> Value {
    let text = include_str!("data/runc-spec.json");
    let mut json: Value = serde_json::from_str(text).expect("JSON");
    // What old ones wrote cannot be had, and newer ones no longer write it.
    json["process"]["capabilities"]["ambient"] = json!([]);
    json
}

/// A folder with a root that has the usual folders, removed in the end.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Self {
        let name = format!("warren-oci-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for inner in ["proc", "dev", "sys", "tmp"] {
            let inner = folder.join("rootfs").join(inner);
            std::fs::create_dir_all(inner).expect("a bundle");
        }
        Self(folder)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(json: &Value, bundle: &Path) -> (Spec, Vec<Unsupported>) {
    let config = Config::parse(&json.to_string()).expect("a good config.json");
    to_spec(&config, bundle).expect("a config.json that can be understood")
}

fn refusal(json: &Value) -> String {
    let config = Config::parse(&json.to_string()).expect("a good config.json");
    match to_spec(&config, "/no/such".as_ref()) {
        Ok(_) => panic!("{json} is taken"),
        Err(error) => error.to_string(),
    }
}

/// The usual one with something else at some place.
fn with(pointer: &str, value: Value) -> Value {
    let mut json = usual();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = json.pointer_mut(parent).expect("a place");
    match parent {
        Value::Array(items) => items.push(value),
        object => object[key] = value,
    }
    json
}

fn paths(losses: &[Unsupported]) -> Vec<&str> {
    losses.iter().map(|loss| loss.path.as_str()).collect()
}

fn detailed<'a>(spec: &'a Spec, target: &str) -> &'a DetailedMount {
    let mut mounts = spec.mounts.iter();
    let found = mounts.find_map(|mount| match mount {
        Mount::Detailed(mount) if mount.target == Path::new(target) => Some(&**mount),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("a mount at {target} in {:?}", spec.mounts))
}

#[test]
fn the_usual_container_is_a_spec_that_lacks_nothing() {
    let bundle = Bundle::new("usual");
    let (spec, losses) = read(&usual(), &bundle.0);
    assert_eq!(losses, []);
    assert_eq!(spec.argv, ["sh"]);
    assert_eq!(spec.hostname, Some("runc".into()));
    assert_eq!(spec.namespaces.created().to_string(), "mnt,net,ipc,pid,uts");
    assert!(spec.loopback && spec.no_new_privs && spec.no_init);
    assert!(spec.follows_host_mounts && spec.readable_masks);
    let root = Mounted::Tree {
        source: bundle.0.join("rootfs").into(),
        recursive: true,
        ids: None,
    };
    assert_eq!(
        (&spec.root, &detailed(&spec, "/").what),
        (&Root::Scratch, &root)
    );
    let targets: Vec<_> = spec.mounts.iter().map(|mount| mount.target()).collect();
    let targets: Vec<_> = targets.iter().map(|path| path.to_str()).collect();
    let expected = [
        "/",
        "/proc",
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/sys",
        "/sys/fs/cgroup",
        "/dev",
    ];
    assert_eq!(targets[..expected.len()], expected.map(Some));
    assert_eq!(spec.mounts.last(), Some(&sealed("/")));
    assert_eq!(detailed(&spec, "/sys/fs/cgroup").what, Mounted::Cgroup);
    let dev = Mounted::Filesystem {
        kind: "tmpfs".to_owned(),
        source: "tmpfs".into(),
        super_flags: 0,
        data: "mode=755,size=65536k".into(),
        copy_up: false,
    };
    assert_eq!(detailed(&spec, "/dev").what, dev);
}

fn sealed(target: &str) -> Mount {
    Mount::Forbid {
        target: target.into(),
        what: Forbidden {
            write: true,
            ..Forbidden::default()
        },
    }
}

#[test]
fn options_of_a_mount_are_what_they_say() {
    let json = with(
        "/mounts/-",
        json!({"destination": "rel/x/../y", "source": "in", "options":
            ["rbind", "ro", "rnosuid", "noatime", "rslave", "shared"]}),
    );
    let (spec, losses) = read(&json, "/no/such".as_ref());
    assert_eq!(losses, []);
    let mount = detailed(&spec, "/rel/y");
    let source = Tree::Path("/no/such/in".into());
    assert_eq!(
        mount.what,
        Mounted::Tree {
            source,
            recursive: true,
            ids: None
        }
    );
    let flags = FlagChange {
        set: FlagChange::READ_ONLY | FlagChange::NO_ATIME,
        clear: FlagChange::ATIME,
    };
    assert_eq!(mount.flags, flags);
    assert_eq!(mount.flags_below.set, FlagChange::NO_SUID);
    let words: Vec<_> = mount
        .propagation
        .iter()
        .map(|one| one.kind.name())
        .collect();
    assert_eq!(words, ["slave", "shared"]);
}

#[test]
fn what_an_earlier_mount_brings_is_taken_from_the_root() {
    let root = "/no/such/rootfs";
    let mut json = usual();
    let mounts = json["mounts"].as_array_mut().expect("a list");
    for (source, target) in [
        ("/host".to_owned(), "/mnt"),
        (format!("{root}/mnt/x"), "/a"),
        (format!("{root}/mntx"), "/b"),
        (format!("{root}/mnt/../etc"), "/c"),
    ] {
        mounts.push(json!({"destination": target, "source": source,
            "options": ["bind"]}));
    }
    let (spec, losses) = read(&json, "/no/such".as_ref());
    assert_eq!(losses, []);
    let within = Mounted::Within {
        path: "/mnt/x".into(),
        recursive: false,
        ids: None,
    };
    assert_eq!(detailed(&spec, "/a").what, within);
    for other in ["/b", "/c"] {
        let what = &detailed(&spec, other).what;
        assert!(matches!(what, Mounted::Tree { .. }), "{other}: {what:?}");
    }
    // And back.
    let (config, _) = to_config(&spec);
    let bound = config.mounts.iter().find(|one| one.destination == "/a");
    let source = bound.map(|one| one.source.as_str());
    assert_eq!(source, Some("/no/such/rootfs/mnt/x"));
}

#[test]
fn a_tmpfs_becomes_read_only_when_all_is_in_it() {
    let mount =
        json!({"destination": "/a", "type": "tmpfs", "options": ["ro", "noexec"]});
    let (spec, _) = read(&with("/mounts/-", mount), "/no/such".as_ref());
    assert_eq!(detailed(&spec, "/a").flags.set, FlagChange::NO_EXEC);
    let place = spec.mounts.iter().position(|mount| *mount == sealed("/a"));
    let devices = spec
        .mounts
        .iter()
        .position(|mount| matches!(mount, Mount::DeviceFiles { .. }));
    assert!(place > devices, "{:?}", spec.mounts);
}

#[test]
fn other_ids_of_a_mount_are_its_own_or_the_containers() {
    let map = json!([{"containerID": 0, "hostID": 7, "size": 2}]);
    let mount = |options: Value, map: Value| {
        json!({"destination": "/a", "source": "/usr", "options": options,
            "uidMappings": map, "gidMappings": map})
    };
    let read_ids = |json: &Value| {
        let (spec, _) = read(json, "/no/such".as_ref());
        match &detailed(&spec, "/a").what {
            Mounted::Tree { ids: Some(ids), .. } => ids.clone(),
            other => panic!("{other:?}"),
        }
    };
    let own = MountIds {
        uids: vec![IdMap::new(0, 7, 2).expect("a map")],
        gids: vec![IdMap::new(0, 7, 2).expect("a map")],
        recursive: false,
    };
    // The maps say it without a word.
    for options in [json!(["bind"]), json!(["bind", "idmap"])] {
        let json = with("/mounts/-", mount(options, map.clone()));
        assert_eq!(read_ids(&json), own);
    }
    let json = with("/mounts/-", mount(json!(["bind", "ridmap"]), map));
    assert!(read_ids(&json).recursive);
    let of_container = mount(json!(["bind", "idmap"]), json!([]));
    let mut json = with("/mounts/-", of_container);
    assert_eq!(
        refusal(&json),
        "mounts[7].uidMappings: is missing: without a user namespace idmap needs it"
    );
    json["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "user"}]);
    json["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 1, "size": 9}]);
    json["linux"]["gidMappings"] = json["linux"]["uidMappings"].clone();
    json["hostname"] = json!(null);
    assert!(read_ids(&json).uids.is_empty());
}

#[test]
fn devices_are_made_before_the_usual_ones() {
    let devices = json!([
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
        {"path": "/x/pipe", "type": "p", "uid": 5},
    ]);
    let (spec, _) = read(&with("/linux/devices", devices), "/no/such".as_ref());
    let made: Vec<_> = spec
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            Mount::Device(device) => Some((device.kind, device.mode, device.uid)),
            Mount::DeviceFiles { .. } => Some((DeviceKind::Block, 0, 0)),
            _ => None,
        })
        .collect();
    assert_eq!(
        made,
        [
            (DeviceKind::Character, 0o600, 0),
            (DeviceKind::Pipe, 0o666, 5),
            (DeviceKind::Block, 0, 0),
        ]
    );
    // The host's own /dev is left as it is.
    let bound = json!({"destination": "/dev", "source": "/dev", "options": ["rbind"]});
    let (spec, _) = read(&with("/mounts/-", bound), "/no/such".as_ref());
    let is_made = |mount: &Mount| matches!(mount, Mount::DeviceFiles { .. });
    assert!(!spec.mounts.iter().any(is_made));
}

#[test]
fn priorities_clocks_and_interfaces_are_read() {
    let mut json = usual();
    json["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    json["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 3});
    json["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "uts"},
        {"type": "time"}, {"type": "network"}]);
    json["linux"]["timeOffsets"] = json!({"boottime": {"secs": -3, "nanosecs": 4}});
    json["linux"]["personality"] = json!({"domain": "LINUX32"});
    json["linux"]["memoryPolicy"] =
        json!({"mode": "MPOL_BIND", "nodes": "0,2", "flags": ["MPOL_F_STATIC_NODES"]});
    json["linux"]["netDevices"] = json!({"eth7": {"name": "eth0"}, "wan": {}});
    json["linux"]["rootfsPropagation"] = json!("rshared");
    json["linux"]["intelRdt"] = json!({"closID": "c", "schemata": ["MB:0=10"],
        "l3CacheSchema": "L3:0=f"});
    let (spec, losses) = read(&json, "/no/such".as_ref());
    assert_eq!(losses, []);
    let scheduler = spec.scheduler.expect("a scheduler");
    assert_eq!((scheduler.policy, scheduler.nice), (Policy::Batch, 5));
    assert_eq!(scheduler.flags, 1);
    let io = spec.io_priority.expect("a priority");
    assert_eq!((io.class, io.priority), (IoClass::Idle, 3));
    assert_eq!(spec.time_offsets.boottime, Some((-3, 4)));
    assert_eq!(spec.personality, Some(8));
    let policy = spec.memory_policy.clone().expect("a policy");
    assert_eq!((policy.mode, &policy.nodes[..]), (2 | 1 << 15, &[5][..]));
    let names = spec.interfaces.iter();
    let names: Vec<_> = names.map(|one| (&*one.outside, &*one.inside)).collect();
    assert_eq!(names, [("eth7", "eth0"), ("wan", "wan")]);
    assert!(spec.root_propagation.is_some_and(|one| one.recursive));
    let class = spec.cache_class.clone().expect("a class");
    assert_eq!(class.schemata, ["MB:0=10", "L3:0=f"]);
    // And back.
    let (config, _) = to_config(&spec);
    let again: Value = serde_json::from_str(&config.text()).expect("JSON");
    for pointer in [
        "/process/scheduler",
        "/process/ioPriority",
        "/linux/timeOffsets",
        "/linux/personality",
        "/linux/memoryPolicy",
        "/linux/netDevices",
        "/linux/rootfsPropagation",
    ] {
        assert_eq!(again.pointer(pointer), json.pointer(pointer), "{pointer}");
    }
}

#[test]
fn limits_are_those_of_a_control_group() {
    let resources = json!({
        "memory": {"limit": 1000, "swap": 1500, "reservation": -1, "swappiness": 10,
            "checkBeforeUpdate": true},
        "cpu": {"shares": 512, "quota": -1, "period": 1000, "idle": 1, "cpus": "0-1"},
        "pids": {"limit": -1},
        "blockIO": {"weight": 100, "throttleReadBpsDevice":
            [{"major": 8, "minor": 0, "rate": 7}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 9}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4096}],
        "rdma": {"mlx5_0": {"hcaHandles": 3}},
        "network": {"classID": 5, "priorities": [{"name": "lo", "priority": 2}]},
        "unified": {"memory.high": "1M"},
    });
    let mut json = with("/linux/resources", resources);
    json["linux"]["cgroupsPath"] = json!("/a/b");
    let (spec, losses) = read(&json, "/no/such".as_ref());
    assert_eq!(losses, []);
    let limits = &spec.limits;
    assert_eq!(limits.memory.max, Some(Most::Of(1000)));
    assert_eq!(limits.memory.swap, Some(Most::Of(500)));
    assert_eq!(limits.memory.low, Some(Most::Max));
    assert!(limits.memory.check_before_update);
    assert_eq!(limits.cpu.quota_us, Some(Most::Max));
    assert_eq!(limits.cpu.idle, Some(true));
    assert_eq!(limits.pids, Some(Most::Max));
    assert_eq!(limits.io.throttles.len(), 1);
    assert_eq!(limits.io.throttles[0].write_iops, Some(Most::Of(9)));
    assert_eq!(
        limits.unified,
        [("memory.high".to_owned(), "1M".to_owned())]
    );
    let place = spec.cgroup.clone().expect("a group").place;
    assert_eq!(place, Place::Path("/a/b".into()));
    // And back.
    let (config, _) = to_config(&spec);
    let again = Config::parse(&config.text()).expect("what we write");
    let (again, _) = to_spec(&again, "/no/such".as_ref()).expect("what we write");
    assert_eq!((&again.limits, &again.cgroup), (limits, &spec.cgroup));
}

#[test]
fn no_process_at_all_is_one() {
    let json = with("/linux/resources", json!({"pids": {"limit": 0}}));
    let (spec, _) = read(&json, "/no/such".as_ref());
    assert_eq!(spec.limits.pids, Some(Most::Of(1)));
}

#[test]
fn of_a_variable_that_is_there_twice_the_last_counts() {
    let env = json!(["A=1", "HOME=", "B=2", "A=3"]);
    let (spec, _) = read(&with("/process/env", env), "/no/such".as_ref());
    let pairs = [("A", "3"), ("B", "2"), ("HOME", "/")];
    let pairs = pairs.map(|(key, value)| (key.into(), value.into()));
    assert_eq!(spec.env, pairs);
}

#[test]
fn a_capability_that_cannot_be_had_is_noted() {
    let sets = json!({"bounding": ["CAP_CHOWN", "CAP_KILL", "CHOWN"], "effective": ["CAP_X"],
        "inheritable": ["CAP_KILL", "CAP_SYSLOG"], "permitted": ["CAP_KILL", "CAP_X"],
        "ambient": ["CAP_KILL", "CAP_CHOWN"]});
    let json = with("/process/capabilities", sets);
    let (spec, losses) = read(&json, "/no/such".as_ref());
    let said: Vec<String> = losses.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "process.capabilities: ignoring unknown or unavailable capabilities: [CAP_X CHOWN]",
            "process.capabilities.inheritable: can't raise inheritable capability CAP_SYSLOG: \
             operation not permitted: it is not in the bounding set",
            "process.capabilities.ambient: can't raise ambient capability CAP_CHOWN: \
             it is not both permitted and inheritable",
        ]
    );
    let sets = spec.capability_sets.expect("they differ");
    assert_eq!(sets.ambient, sets.inheritable);
    assert_eq!(sets.ambient.iter().count(), 1);
}

#[test]
fn a_zero_is_nothing_and_a_scope_is_systemds() {
    let zeros = json!({"memory": {"limit": 0, "swap": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0}, "blockIO": {"weight": 0}});
    let mut json = with("/linux/resources", zeros);
    json["linux"]["cgroupsPath"] = json!("machine.slice:libpod:x-1");
    let (spec, _) = read(&json, "/no/such".as_ref());
    assert!(spec.limits.is_empty(), "{:?}", spec.limits);
    let place = Place::Scope {
        slice: Some("machine.slice".to_owned()),
        name: Some("libpod-x-1.scope".to_owned()),
    };
    assert_eq!(spec.cgroup.expect("a group").place, place);
}

#[test]
fn rules_on_devices_end_with_what_every_container_may() {
    let rules = json!({"devices": [{"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": 8, "minor": -1, "access": "r"}]});
    let (spec, _) = read(&with("/linux/resources", rules), "/no/such".as_ref());
    let devices = &spec.limits.devices;
    assert!(!devices[0].allow && devices[0].major.is_none() && devices[0].mknod);
    assert!(devices[1].read && !devices[1].write && devices[1].minor.is_none());
    let null = devices
        .iter()
        .find(|rule| rule.major == Some(1) && rule.minor == Some(3));
    assert!(null.is_some_and(|rule| rule.allow && rule.write));
    let (spec, _) = read(&with("/linux/resources", json!({})), "/no/such".as_ref());
    assert!(
        spec.limits.devices.is_empty(),
        "without rules none is added"
    );
}

#[test]
fn a_filter_is_loaded_as_it_is_told() {
    let filter = |more: Value| {
        let mut filter = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
        for (key, value) in more.as_object().expect("an object") {
            filter[key] = value.clone();
        }
        let mut json = with("/linux/seccomp", filter);
        json["process"]["noNewPrivileges"] = json!(false);
        json
    };
    let json = filter(json!({"flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": "/run/agent", "listenerMetadata": "a\"b"}));
    let (spec, losses) = read(&json, "/no/such".as_ref());
    assert_eq!((losses, spec.no_new_privs), (vec![], false));
    assert_eq!(spec.syscalls_flags, 2);
    // No list is that of runtimes, and an empty one is empty.
    let socket = "/run/agent";
    for (flags, bits) in [
        (json!({"listenerPath": socket}), 4),
        (json!({"listenerPath": socket, "flags": []}), 0),
    ] {
        let (spec, _) = read(&filter(flags.clone()), "/no/such".as_ref());
        assert_eq!(spec.syscalls_flags, bits, "{flags}");
    }
    let listener = spec.listener.expect("a listener");
    assert_eq!(listener.socket, Path::new("/run/agent"));
    let sent: Value = serde_json::from_str(&listener.message.join("17")).expect("JSON");
    assert_eq!(sent["pid"], 17);
    assert_eq!(sent["state"]["pid"], 17);
    assert_eq!(sent["metadata"], "a\"b");
    assert_eq!(sent["fds"], json!(["seccompFd"]));
    assert_eq!(
        refusal(&filter(json!({"listenerMetadata": "x"}))),
        "linux.seccomp.listenerMetadata: needs a linux.seccomp.listenerPath"
    );
}

#[test]
fn home_is_that_of_the_containers_passwd() {
    let bundle = Bundle::new("home");
    let home = |json: &Value| {
        let (spec, _) = read(json, &bundle.0);
        let found = spec.env.iter().find(|(key, _)| key == "HOME");
        found.map(|(_, value)| value.display().to_string())
    };
    assert_eq!(home(&usual()).as_deref(), Some("/"));
    let etc = bundle.0.join("rootfs/etc");
    std::fs::create_dir(&etc).expect("a folder");
    std::fs::write(etc.join("passwd"), "r:x:0:0::/root:\n").expect("a file");
    assert_eq!(home(&usual()).as_deref(), Some("/root"));
    let own = with("/process/env/-", json!("HOME=/h"));
    assert_eq!(home(&own).as_deref(), Some("/h"));
    std::fs::write(bundle.0.join("other"), "r:x:0:0::/bound:\n").expect("a file");
    let bound = json!({"destination": "/etc/passwd", "source": "other",
        "options": ["bind"]});
    assert_eq!(home(&with("/mounts/-", bound)).as_deref(), Some("/bound"));
}

#[test]
fn a_contradiction_is_refused_with_its_path() {
    for (pointer, value, words) in [
        (
            "/ociVersion",
            json!("2.0.0"),
            "ociVersion: expected a version 1, found \"2.0.0\"",
        ),
        (
            "/process",
            json!(null),
            "process: is missing: there is nothing to run",
        ),
        (
            "/process/args",
            json!([]),
            "process.args: is empty: there is nothing to run",
        ),
        (
            "/process/cwd",
            json!("a"),
            "process.cwd: expected an absolute path, found \"a\"",
        ),
        (
            "/process/env",
            json!(["A=b", "=c"]),
            "process.env[1]: expected KEY=VALUE, found \"=c\"",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_FLY", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type: unknown resource \"RLIMIT_FLY\"",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]),
            "process.rlimits[0].soft: 2 is above the hard limit 1",
        ),
        ("/root/path", json!(""), "root.path: is missing"),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "sky"}]),
            "linux.namespaces[1].type: unknown namespace \"sky\"",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "mount"}]),
            "linux.namespaces[1].type: mount is there twice",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "pid"}]),
            "linux.namespaces: a root of its own needs a new mount namespace",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "user"}]),
            "linux.uidMappings: is missing: a new user namespace needs it",
        ),
        (
            "/linux/namespaces",
            json!([{"type": "mount"}]),
            "hostname: needs a uts namespace",
        ),
        (
            "/mounts",
            json!([{"destination": "/a/..", "type": "proc"}]),
            "mounts[0].destination: expected a path below the root, found \"/a/..\"",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "tmpfs", "options": ["idmap"]}]),
            "mounts[0].options: only a bind can be shown under other ids",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "proc", "options": ["tmpcopyup"]}]),
            "mounts[0].options: tmpcopyup is of a tmpfs alone",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "q"}]),
            "linux.devices[0].type: unknown type \"q\"",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "c", "major": -1}]),
            "linux.devices[0].major: -1 is no number of a device",
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_FLY"}),
            "process.scheduler.policy: unknown policy \"SCHED_FLY\"",
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "priority": 5}),
            "process.scheduler.priority: 5 is none of the policy: SCHED_FIFO and SCHED_RR \
             have 1 to 99",
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "nice": 20}),
            "process.scheduler.nice: 20 is not between -20 and 19",
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "process.ioPriority.priority: 8 is not between 0 and 7",
        ),
        (
            "/process/execCPUAffinity",
            json!({"final": "3-1"}),
            "process.execCPUAffinity.final: expected a list such as 0-3,7, found \"3-1\"",
        ),
        (
            "/linux/timeOffsets",
            json!({"boottime": {"secs": 1}}),
            "linux.timeOffsets.boottime: needs a new time namespace",
        ),
        (
            "/linux/personality",
            json!({"domain": "MARS"}),
            "linux.personality.domain: unknown domain \"MARS\"",
        ),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_FLY"}),
            "linux.memoryPolicy.mode: invalid memory policy mode \"MPOL_FLY\"",
        ),
        (
            "/linux/netDevices",
            json!({"eth0": {"name": "a/b"}}),
            "linux.netDevices.eth0: no interface can be called \"a/b\"",
        ),
        (
            "/linux/netDevices",
            json!({"eth0": {"name": "x"}, "eth1": {"name": "x"}}),
            "linux.netDevices.eth1: two interfaces would be called \"x\"",
        ),
        (
            "/linux/intelRdt",
            json!({"closID": "../x"}),
            "linux.intelRdt.closID: expected the name of a class, found \"../x\"",
        ),
        (
            "/linux/cgroupsPath",
            json!("/a/../b"),
            "linux.cgroupsPath: expected a path without .., found \"/a/../b\"",
        ),
        (
            "/linux/resources",
            json!({"memory": {"limit": 10, "swap": 5}}),
            "linux.resources.memory.swap: counts memory too: at least 10",
        ),
        (
            "/linux/resources",
            json!({"hugepageLimits": [{"pagesize": "2MB", "limit": 4096}]}),
            "linux.resources.hugepageLimits[0].pageSize: is missing",
        ),
        (
            "/linux/resources",
            json!({"pids": {"limit": -7}}),
            "linux.resources.pids.limit: -7 is neither a limit nor -1",
        ),
        (
            "/linux/resources",
            json!({"devices": [{"allow": true, "type": "x"}]}),
            "linux.resources.devices[0].type: unknown type \"x\"",
        ),
        (
            "/linux/mountLabel",
            json!("system_u:object_r:x:s0"),
            "linux.mountLabel: SELinux is not enabled on this host",
        ),
        (
            "/process/selinuxLabel",
            json!("system_u:object_r:x:s0"),
            "process.selinuxLabel: SELinux is not enabled on this host",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "bind"}]),
            "mounts[0].source: is missing: a bind needs it",
        ),
        (
            "/linux/maskedPaths",
            json!(["/.."]),
            "linux.maskedPaths[0]: expected a path below the root, found \"/..\"",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_FLY"}),
            "linux.seccomp: unknown action \"SCMP_ACT_FLY\"",
        ),
        (
            "/linux/rootfsPropagation",
            json!("upwards"),
            "linux.rootfsPropagation: unknown propagation \"upwards\"",
        ),
    ] {
        assert_eq!(refusal(&with(pointer, value)), words);
    }
}

#[test]
fn an_empty_root_that_is_read_only_needs_no_folder_to_mount_on() {
    let bundle = Bundle::new("empty");
    let empty = bundle.0.join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let root = json!({"path": "empty", "readonly": true});
    let (spec, _) = read(&with("/root", root), &bundle.0);
    assert_eq!(spec.root, Root::Empty);
}

#[test]
fn each_set_of_capabilities_is_its_own() {
    let (spec, _) = read(&usual(), "/no/such".as_ref());
    let three = [
        Capability::AUDIT_WRITE,
        Capability::KILL,
        Capability::NET_BIND_SERVICE,
    ];
    let three: CapabilitySet = three.into_iter().collect();
    let sets = CapabilitySets {
        inheritable: CapabilitySet::EMPTY,
        ambient: CapabilitySet::EMPTY,
        ..CapabilitySets::all(three)
    };
    assert_eq!(spec.capability_sets, Some(sets));
    let none = with("/process/capabilities", json!(null));
    let (spec, _) = read(&none, "/no/such".as_ref());
    assert_eq!(spec.capabilities, Some(CapabilitySet::EMPTY));
}

/// As `warren run` makes it, without what no config.json can say.
fn sandbox() -> Spec {
    let path = |text: &str| PathBuf::from(text);
    let map = vec![IdMap::single(0, 1000)];
    let kinds = NamespaceSet::ALL.without(Kind::Time);
    let mut namespaces = Namespaces::new_of(kinds);
    namespaces.set(
        Kind::Net,
        Namespace::Join(Join::Path("/run/netns/x".into())),
    );
    Spec {
        namespaces,
        id_map: IdMapping::Explicit {
            uids: map.clone(),
            gids: map,
        },
        mounts: vec![
            Mount::bind("/usr", "/usr", Access::ReadOnly),
            Mount::bind("/etc/passwd", "/etc/passwd", Access::ReadWrite),
            Mount::Bind {
                source: "/dev/null".into(),
                target: path("/null"),
                access: Access::ReadWrite,
                devices: true,
            },
            Mount::Tmpfs {
                target: path("/tmp"),
                mode: 0o1777,
                size: Some(1 << 20),
            },
            Mount::Proc {
                target: path("/proc"),
                masks: ProcMasks::All,
            },
            Mount::Dev {
                target: path("/dev"),
            },
            Mount::Mqueue {
                target: path("/dev/mqueue"),
            },
            Mount::Sys {
                target: path("/sys"),
            },
            Mount::Overlay {
                lower: vec![path("/usr/a:b"), path("/etc")],
                upper: warren_spawn::Upper::None,
                target: path("/over"),
            },
            Mount::ReadOnly {
                target: path("/tmp/r"),
            },
            Mount::Mask {
                target: path("/etc/shadow"),
            },
        ],
        hostname: Some("burrow".into()),
        domainname: Some("warrens".into()),
        sysctl: vec![("net.core.somaxconn".into(), "256".into())],
        cwd: Some(path("/tmp")),
        env: vec![
            ("PATH".into(), "/usr/bin".into()),
            ("A".into(), "b=c".into()),
            ("HOME".into(), "/h".into()),
        ],
        argv: vec!["sh".into(), "-c".into(), "true".into()],
        user: Some(User {
            uid: 0,
            gid: 0,
            groups: Some(vec![]),
        }),
        umask: Some(0o22),
        capabilities: Some(CapabilitySet::EMPTY.with(Capability::KILL)),
        no_new_privs: true,
        seccomp: Seccomp::Sandbox,
        rlimits: vec!["nofile=64:unlimited".parse().expect("a limit")],
        oom_score_adj: Some(-5),
        terminal: Terminal::New {
            rows: 24,
            columns: 80,
        },
        no_init: true,
        readable_masks: true,
        follows_host_mounts: true,
        ..Spec::default()
    }
}

/// Through the text of a config.json.
fn there_and_back(spec: &Spec, bundle: &Path) -> (Spec, Vec<Unsupported>) {
    let (config, losses) = to_config(spec);
    let config = Config::parse(&config.text()).expect("what we write");
    let (again, back) = to_spec(&config, bundle).expect("what we write");
    assert_eq!(back, [], "nothing is lost on the way back");
    (again, losses)
}

#[test]
fn a_spec_goes_there_and_back() {
    let bundle = Bundle::new("back");
    std::fs::remove_dir_all(bundle.0.join("rootfs")).expect("a folder");
    std::fs::create_dir(bundle.0.join("rootfs")).expect("a folder");
    let empty = Spec {
        root: Root::Empty,
        ..sandbox()
    };
    let (again, losses) = there_and_back(&empty, &bundle.0);
    assert_eq!(losses, [], "nothing is lost on the way");
    assert_eq!(again, empty);
}

/// A tree is read as runtimes take it, which says more; but it is the same text again.
#[test]
fn a_tree_as_the_root_is_the_same_text_again() {
    let path = PathBuf::from("/no/such/tree");
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let as_root = Spec {
            root: Root::Tree {
                path: path.clone(),
                access,
            },
            ..sandbox()
        };
        let as_mount = Spec {
            root: Root::Scratch,
            mounts: [Mount::bind(path.clone(), "/", access)]
                .into_iter()
                .chain(sandbox().mounts)
                .collect(),
            ..sandbox()
        };
        for spec in [as_root, as_mount] {
            let (again, losses) = there_and_back(&spec, "/".as_ref());
            assert_eq!(losses, [], "nothing is lost on the way");
            assert_eq!(to_config(&again).0.text(), to_config(&spec).0.text());
        }
    }
}

#[test]
fn each_kind_of_masks_of_a_procfs_goes_there_and_back() {
    let bundle = Bundle::new("masks");
    std::fs::remove_dir_all(bundle.0.join("rootfs")).expect("a folder");
    std::fs::create_dir(bundle.0.join("rootfs")).expect("a folder");
    for masks in [ProcMasks::None, ProcMasks::Settings, ProcMasks::All] {
        for kinds in [NamespaceSet::ALL, NamespaceSet::ALL.without(Kind::User)] {
            let target = PathBuf::from("/proc");
            let spec = Spec {
                namespaces: Namespaces::new_of(kinds.without(Kind::Time)),
                id_map: match kinds.contains(Kind::User) {
                    true => sandbox().id_map,
                    false => IdMapping::Auto,
                },
                loopback: true,
                root: Root::Empty,
                mounts: vec![
                    Mount::Proc { target, masks },
                    Mount::Dev {
                        target: "/dev".into(),
                    },
                ],
                ..sandbox()
            };
            assert_eq!(there_and_back(&spec, &bundle.0).0, spec);
        }
    }
}

#[test]
fn what_a_config_json_cannot_say_is_told() {
    let mut spec = Spec {
        root: Root::Empty,
        seccomp: Seccomp::Off,
        parent_death_signal: Some(9),
        no_init: false,
        no_nested_user_namespaces: true,
        keep_fds: vec![7],
        ..sandbox()
    };
    spec.namespaces.set(Kind::Time, Namespace::New);
    spec.mounts.push(Mount::Symlink {
        content: "/no/such".into(),
        target: "/link".into(),
    });
    let (_, losses) = to_config(&spec);
    assert_eq!(
        paths(&losses),
        [
            "mounts",
            "linux.namespaces",
            "process",
            "process",
            "process",
            "linux.sysctl"
        ]
    );
    let weaker: Vec<_> = losses.iter().filter(|loss| loss.weakens).collect();
    assert_eq!(weaker.len(), 1, "{weaker:?}");
}

#[test]
fn a_symlink_into_the_host_is_shown_as_what_it_leads_to() {
    let mut spec = sandbox();
    spec.mounts.push(Mount::Symlink {
        content: "usr/bin".into(),
        target: "/bin".into(),
    });
    let (config, losses) = to_config(&spec);
    assert!(
        losses.iter().all(|loss| loss.path != "mounts"),
        "{losses:?}"
    );
    let bin = config.mounts.last().expect("a mount");
    assert_eq!((&*bin.source, &*bin.destination), ("/usr/bin", "/bin"));
    assert!(bin.options.contains(&"ro".to_owned()));
}

/// What the system's own mounts become has each secret masked.
#[test]
fn the_masks_of_the_default_root_are_kept() {
    let spec = Spec {
        root: Root::Empty,
        mounts: system::mounts(),
        ..sandbox()
    };
    let (config, _) = to_config(&spec);
    let masked = config.linux.expect("linux").masked_paths;
    for secret in system::secrets() {
        let path = secret.target().display().to_string();
        assert!(masked.contains(&path), "{path} in {masked:?}");
    }
}

#[test]
fn changed_words_never_panic_and_are_told_with_a_path() {
    let full: Value = serde_json::from_str(include_str!("data/full.json")).expect("JSON");
    let mut pointers = Vec::new();
    walk(&full, String::new(), &mut pointers);
    let mut refusals = 0;
    for pointer in &pointers {
        for word in [
            "", "/", "..", "\0", "-1", "CAP_", "mode=", "size=9e9", "/a/../b", "a:b\\",
        ] {
            let mut json = full.clone();
            *json.pointer_mut(pointer).expect("a place") = json!(word);
            let config = Config::parse(&json.to_string());
            let read = config.and_then(|config| to_spec(&config, "/no/such".as_ref()));
            if let Err(error) = read {
                assert!(!error.path().is_empty(), "{word:?} at {pointer}: {error}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 200, "{refusals}");
}

/// Where there are words.
fn walk(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{pointer}/{index}"), pointers);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(member, format!("{pointer}/{key}"), pointers);
            }
        }
        Value::String(_) => pointers.push(pointer),
        _ => {}
    }
}
