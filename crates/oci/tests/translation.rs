//! config.json to a Spec and back.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_oci::{Config, Unsupported, to_config, to_spec};
use warren_spawn::{
    Access, CapabilitySets, Forbidden, IdMapping, Join, Mount, Namespace, Namespaces,
    ProcMasks, Root, Seccomp, Spec, Terminal, User, system,
};

/// As `runc spec` writes it.
fn usual() -> Value {
    serde_json::from_str(include_str!("data/runc-spec.json")).expect("JSON")
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

#[test]
fn the_usual_container_is_a_spec_that_lacks_nothing_of_isolation() {
    let bundle = Bundle::new("usual");
    let (spec, losses) = read(&usual(), &bundle.0);
    assert_eq!(spec.argv, ["sh"]);
    assert_eq!(spec.hostname, Some("runc".into()));
    assert_eq!(spec.namespaces.created().to_string(), "mnt,net,ipc,pid,uts");
    assert_eq!(
        spec.root,
        Root::Tree {
            path: bundle.0.join("rootfs"),
            access: Access::ReadOnly
        }
    );
    assert!(spec.loopback && spec.no_new_privs && spec.no_init);
    let targets: Vec<_> = spec.mounts.iter().map(|mount| mount.target()).collect();
    for wanted in [
        "/proc",
        "/dev",
        "/dev/shm",
        "/dev/mqueue",
        "/sys",
        "/proc/kcore",
    ] {
        assert!(
            targets.contains(&&PathBuf::from(wanted)),
            "{wanted} in {targets:?}"
        );
    }
    let weaker: Vec<_> = losses.iter().filter(|loss| loss.weakens).collect();
    assert!(weaker.is_empty(), "{weaker:?}");
    assert_eq!(
        paths(&losses),
        [
            "mounts[1].options[3]",
            "mounts[2].options[5]",
            "mounts[6].type"
        ]
    );
}

#[test]
fn what_would_weaken_is_told_from_what_would_not() {
    for (pointer, value, path) in [
        (
            "/process/apparmorProfile",
            json!("docker-default"),
            "process.apparmorProfile",
        ),
        (
            "/process/selinuxLabel",
            json!("a:b:c"),
            "process.selinuxLabel",
        ),
        (
            "/hooks",
            json!({"prestart": [{"path": "/bin/true"}]}),
            "hooks.prestart",
        ),
        (
            "/linux/resources",
            json!({"memory": {"limit": 1}}),
            "linux.resources.memory",
        ),
        (
            "/linux/resources",
            json!({"pids": {"limit": 1}}),
            "linux.resources.pids",
        ),
        ("/linux/mountLabel", json!("x"), "linux.mountLabel"),
        (
            "/mounts/-",
            json!({"destination": "/a", "source": "/usr", "options": ["bind", "nosymfollow"]}),
            "mounts[7].options[1]",
        ),
        (
            "/mounts/-",
            json!({"destination": "/a", "source": "/usr", "options": ["bind", "idmap"]}),
            "mounts[7]",
        ),
        (
            "/mounts/-",
            json!({"destination": "/a", "source": "/", "options": ["bind"]}),
            "mounts[7].options",
        ),
    ] {
        let (_, losses) = read(&with(pointer, value), "/no/such".as_ref());
        let weaker: Vec<_> = losses.into_iter().filter(|loss| loss.weakens).collect();
        assert_eq!(paths(&weaker), [path]);
    }
    for (pointer, value, path) in [
        (
            "/process/scheduler",
            json!({"policy": "SCHED_IDLE"}),
            "process.scheduler",
        ),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE"}),
            "process.ioPriority",
        ),
        (
            "/linux/personality",
            json!({"domain": "LINUX"}),
            "linux.personality",
        ),
        (
            "/linux/rootfsPropagation",
            json!("rslave"),
            "linux.rootfsPropagation",
        ),
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt"),
        ("/linux/cgroupsPath", json!("/x"), "linux.cgroupsPath"),
        (
            "/linux/netDevices",
            json!({"eth0": {}}),
            "linux.netDevices.eth0",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/fuse", "type": "c", "major": 1, "minor": 999}]),
            "linux.devices[0]",
        ),
    ] {
        let (_, losses) = read(&with(pointer, value), "/no/such".as_ref());
        assert!(losses.iter().all(|loss| !loss.weakens), "{losses:?}");
        assert!(paths(&losses).contains(&path), "{path} in {losses:?}");
    }
}

#[test]
fn rules_on_devices_are_held_where_nobody_can_make_one() {
    let denies = json!({"devices": [{"allow": false, "access": "rwm"}]});
    let mut json = with("/linux/resources", denies);
    let (_, losses) = read(&json, "/no/such".as_ref());
    assert!(losses.iter().all(|loss| !loss.weakens), "{losses:?}");
    json["process"]["capabilities"]["bounding"] = json!(["CAP_MKNOD"]);
    let (_, losses) = read(&json, "/no/such".as_ref());
    assert!(losses.iter().any(|loss| loss.weakens), "{losses:?}");
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
        (
            "/process/capabilities",
            json!({"bounding": ["chown"]}),
            "process.capabilities.bounding[0]: expected CAP_NAME, found \"chown\"",
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
            json!([{"destination": "/a/../b", "type": "proc"}]),
            "mounts[0].destination: expected a path without .., found \"/a/../b\"",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "tmpfs", "options": ["mode=9"]}]),
            "mounts[0].options[0]: expected an octal mode, found \"9\"",
        ),
        (
            "/mounts",
            json!([{"destination": "/a", "type": "bind"}]),
            "mounts[0].source: is missing: a bind needs it",
        ),
        (
            "/linux/maskedPaths",
            json!(["proc"]),
            "linux.maskedPaths[0]: expected an absolute path, found \"proc\"",
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
fn missing_mount_points_are_made_before_the_root_is_read_only() {
    let bundle = Bundle::new("places");
    let mount = json!({"destination": "/new/place", "type": "tmpfs"});
    let (spec, _) = read(&with("/mounts/-", mount), &bundle.0);
    assert_eq!(spec.root, Root::Scratch);
    let root = Mount::bind(bundle.0.join("rootfs"), "/", Access::ReadWrite);
    assert_eq!(spec.mounts.first(), Some(&root));
    let sealed = Mount::Forbid {
        target: "/".into(),
        what: Forbidden {
            write: true,
            ..Forbidden::default()
        },
    };
    assert!(spec.mounts.contains(&sealed));
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
    let writable = bundle.0.join("other");
    for folder in ["proc", "dev", "sys", "tmp", "usr", "etc", "over"] {
        std::fs::create_dir_all(writable.join(folder)).expect("a folder");
    }
    for file in ["etc/passwd", "null"] {
        std::fs::write(writable.join(file), "").expect("a file");
    }
    let read_only = Spec {
        root: Root::Tree {
            path: writable.clone(),
            access: Access::ReadOnly,
        },
        ..sandbox()
    };
    let as_it_is = Spec {
        root: Root::Scratch,
        mounts: [Mount::bind(writable, "/", Access::ReadWrite)]
            .into_iter()
            .chain(sandbox().mounts)
            .collect(),
        ..sandbox()
    };
    for spec in [empty, read_only, as_it_is] {
        let (again, losses) = there_and_back(&spec, &bundle.0);
        assert_eq!(losses, [], "nothing is lost on the way");
        assert_eq!(again, spec);
    }
}

#[test]
fn each_kind_of_masks_of_a_procfs_goes_there_and_back() {
    let bundle = Bundle::new("masks");
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
                root: Root::Tree {
                    path: bundle.0.join("rootfs"),
                    access: Access::ReadOnly,
                },
                mounts: vec![Mount::Proc { target, masks }],
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
