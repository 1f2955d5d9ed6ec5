//! The plan of each kind of Spec, to the letter: no privilege and no namespace is needed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p warren-spawn --test plans` writes them anew.

use std::path::Path;

use warren_confine::landlock::{Abi, Landlock, Missing, Ports};
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{IdMap, Kind, NamespaceSet};
use warren_spawn::{
    Access, CapabilitySets, Change, Content, DetailedMount, Error, FlagChange, Folder,
    Forbidden, Graft, Hop, Host, IdMapping, Join, Layer, Mount, MountIds, Mounted,
    Namespace, Namespaces, Open, Plan, ProcMasks, Ranges, RawFilter, Role, Root, Seccomp,
    Spec, Terminal, Tree, Upper, User, system,
};

/// Somebody without privilege, and without id ranges.
fn ordinary() -> Host {
    Host {
        uid: 1000,
        gid: 1000,
        has_no_other_ids: true,
        capabilities: CapabilitySet::EMPTY,
        has_all_ids: false,
        sets_groups: true,
        ranges: Ranges::None,
        landlock: Some(Ok(Abi::new(7))),
        ground: None,
    }
}

/// The same with ranges for newuidmap.
fn ordinary_with_ranges() -> Host {
    let map = || {
        vec![
            IdMap::single(0, 1000),
            IdMap {
                inside: 1,
                outside: 100_000,
                count: 65_535,
            },
        ]
    };
    Host {
        ranges: Ranges::Known {
            uids: map(),
            gids: map(),
        },
        ..ordinary()
    }
}

/// Root of the host.
fn root() -> Host {
    Host {
        uid: 0,
        gid: 0,
        has_no_other_ids: true,
        capabilities: CapabilitySet::ALL,
        has_all_ids: true,
        sets_groups: true,
        ranges: Ranges::None,
        landlock: Some(Ok(Abi::new(7))),
        ground: None,
    }
}

/// Root of a container that has few ids.
fn contained_root() -> Host {
    Host {
        has_all_ids: false,
        sets_groups: false,
        ..root()
    }
}

/// All that `warren run` asks of a process, on the host's whole tree.
fn sandbox() -> Spec {
    let tmp = Mount::Tmpfs {
        target: "/tmp".into(),
        mode: 0o1777,
        size: None,
    };
    Spec {
        namespaces: Namespaces::new_of(NamespaceSet::ALL),
        root: Root::Tree {
            path: "/".into(),
            access: Access::ReadOnly,
        },
        mounts: system::kernel().into_iter().chain([tmp]).collect(),
        hostname: Some("burrow".into()),
        loopback: true,
        no_nested_user_namespaces: true,
        cwd: Some("/".into()),
        env: vec![("PATH".into(), "/usr/bin".into())],
        argv: vec!["true".into()],
        user: Some(User::ROOT),
        capabilities: Some(CapabilitySet::EMPTY),
        no_new_privs: true,
        seccomp: Seccomp::Sandbox,
        parent_death_signal: Some(9),
        ..Spec::default()
    }
}

fn bind(source: &str, target: &str, access: Access) -> Mount {
    Mount::bind(source, target, access)
}

/// Compares the plan with the file of that name, and with itself.
#[track_caller]
fn is_as_kept(name: &str, spec: &Spec, host: &Host) {
    let plan = || {
        Plan::new(spec, host)
            .expect("the Spec can be planned")
            .to_string()
    };
    let text = plan();
    assert_eq!(text, plan(), "the same Spec gave two plans");
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plans/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).expect("write the golden file");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text,
        kept,
        "{} differs; UPDATE_GOLDEN=1 writes it",
        file.display()
    );
}

#[test]
fn a_plain_process() {
    is_as_kept("plain", &Spec::new("/bin/true"), &ordinary());
}

#[test]
fn a_sandbox_of_an_ordinary_user() {
    is_as_kept("sandbox_ordinary", &sandbox(), &ordinary());
}

#[test]
fn a_sandbox_with_ranges_of_ids() {
    is_as_kept("sandbox_ranges", &sandbox(), &ordinary_with_ranges());
}

#[test]
fn a_sandbox_of_root() {
    is_as_kept("sandbox_root", &sandbox(), &root());
}

#[test]
fn a_sandbox_of_a_contained_root() {
    is_as_kept("sandbox_contained_root", &sandbox(), &contained_root());
}

#[test]
fn a_sandbox_of_root_without_a_user_namespace() {
    let mut spec = sandbox();
    spec.namespaces.set(Kind::User, Namespace::Inherit);
    spec.no_nested_user_namespaces = false;
    is_as_kept("sandbox_share_user", &spec, &root());
}

#[test]
fn an_empty_root_with_binds_in_order() {
    let mut spec = sandbox();
    spec.root = Root::Empty;
    spec.mounts = vec![
        bind("/usr", "/usr", Access::ReadOnly),
        Mount::Symlink {
            content: "usr/bin".into(),
            target: "/bin".into(),
        },
        Mount::Folder {
            target: "/home".into(),
            mode: 0o755,
        },
        Mount::Folder {
            target: "/home/own/deep".into(),
            mode: 0o700,
        },
        bind("/etc/passwd", "/home/own/passwd", Access::ReadWrite),
        Mount::Tmpfs {
            target: "/big".into(),
            mode: 0o755,
            size: Some(1 << 20),
        },
        Mount::Mask {
            target: "/usr/share".into(),
        },
    ];
    spec.cwd = Some("/home/own".into());
    is_as_kept("empty_root", &spec, &ordinary());
    is_as_kept("empty_root_of_root", &spec, &root());
}

#[test]
fn overlays() {
    let mut spec = sandbox();
    spec.root = Root::Overlay {
        path: "/usr".into(),
    };
    is_as_kept("overlay_root", &spec, &root());
    spec.root = Root::Empty;
    let overlay = Mount::Overlay {
        lower: vec!["/usr".into()],
        upper: Upper::Memory,
        target: "/usr".into(),
    };
    spec.mounts.insert(0, overlay);
    is_as_kept("overlay_mount", &spec, &ordinary());
    spec.keep_layers = true;
    is_as_kept("overlay_kept", &spec, &ordinary());
}

#[test]
fn what_vanishes_shares_one_disk() {
    let mut spec = sandbox();
    let overlay = Mount::Overlay {
        lower: vec!["/usr".into()],
        upper: Upper::Memory,
        target: "/srv".into(),
    };
    let sized = Mount::Tmpfs {
        target: "/big".into(),
        mode: 0o755,
        size: Some(1 << 20),
    };
    spec.root = Root::Empty;
    spec.mounts.extend([sized, overlay]);
    spec.disk = Some(8 << 20);
    is_as_kept("limited_disk", &spec, &ordinary());
    let layers = Plan::new(&spec, &ordinary()).expect("a plan").layers();
    // After the root and the folder of /tmp.
    assert_eq!(layers.iter().map(|it| it.number).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_vanishes_lies_on_a_disk_if_root_says_so() {
    let mut spec = sandbox();
    spec.disk_in = Some("/tmp".into());
    let error = Plan::new(&spec, &root()).expect_err("of no size");
    assert_eq!(error.to_string(), "a disk in a folder needs a size");
    spec.disk = Some(8 << 20);
    is_as_kept("disk_in_a_folder", &spec, &root());
    let error = Plan::new(&spec, &ordinary()).expect_err("root alone makes one");
    assert_eq!(
        error.to_string(),
        "have a disk in /tmp: Operation not permitted"
    );
}

#[test]
fn a_limit_on_disk_space_is_none_of_the_hosts() {
    let mut spec = sandbox();
    spec.disk = Some(8 << 20);
    spec.mounts.push(Mount::Overlay {
        lower: vec!["/usr".into()],
        upper: Upper::Folder {
            upper: "/etc".into(),
            work: "/usr".into(),
        },
        target: "/srv".into(),
    });
    let error = Plan::new(&spec, &ordinary()).expect_err("a contradiction");
    assert!(error.to_string().contains("is the host's"), "{error}");
}

#[test]
fn layers_are_numbered_among_all_that_is_in_memory() {
    let overlay = |target: &str, upper| Mount::Overlay {
        lower: vec!["/etc".into(), "/usr".into()],
        upper,
        target: target.into(),
    };
    let file = Mount::File {
        content: Content::Bytes(Vec::new()),
        target: "/srv/a/file".into(),
        mode: 0o644,
        mounted: Some(Access::ReadOnly),
    };
    let mut spec = sandbox();
    spec.root = Root::Scratch;
    spec.keep_layers = true;
    spec.mounts = vec![
        overlay("/srv/a", Upper::Memory),
        file,
        overlay("/srv/b", Upper::None),
        overlay("/srv/a/c", Upper::Memory),
        bind("/etc", "/srv/a/c/d", Access::ReadOnly),
    ];
    let layer = |number, target: &str, shifted, covered: &[&str]| Layer {
        number,
        lower: vec!["/etc".into(), "/usr".into()],
        target: target.into(),
        shifted,
        covered: covered.iter().map(Into::into).collect(),
    };
    let layers = |host| {
        let plan = Plan::new(&spec, &host);
        plan.expect("the Spec can be planned").layers()
    };
    for (host, shifted) in [(ordinary(), false), (root(), true)] {
        let expected = [
            layer(0, "/srv/a", shifted, &["file", "c", "c/d"]),
            layer(3, "/srv/a/c", shifted, &["d"]),
        ];
        assert_eq!(layers(host), expected);
    }
}

#[test]
fn a_writable_tree_of_root_shows_its_own_ids() {
    let mut spec = sandbox();
    spec.root = Root::Tree {
        path: "/usr".into(),
        access: Access::ReadWrite,
    };
    is_as_kept("writable_tree", &spec, &root());
}

#[test]
fn a_terminal_and_another_user_with_capabilities() {
    let mut spec = sandbox();
    spec.terminal = Terminal::New {
        rows: 24,
        columns: 80,
    };
    spec.user = Some(User {
        uid: 1000,
        gid: 1000,
        groups: Some(vec![5]),
    });
    spec.capabilities = Some(CapabilitySet::EMPTY.with(Capability::NET_BIND_SERVICE));
    spec.keep_fds = vec![7];
    spec.rlimits = vec!["nofile=64".parse().expect("a limit")];
    is_as_kept("terminal_user", &spec, &root());
}

#[test]
fn namespaces_alone() {
    let mut spec = Spec::new("/bin/true");
    spec.namespaces = Namespaces::new_of([Kind::User, Kind::Net].into_iter().collect());
    spec.id_map = IdMapping::Unmapped;
    is_as_kept("namespaces_unmapped", &spec, &ordinary());
    spec.id_map = IdMapping::Explicit {
        uids: vec![IdMap::single(5, 1000)],
        gids: vec![IdMap::single(5, 1000)],
    };
    is_as_kept("namespaces_mapped", &spec, &ordinary());
}

#[test]
fn a_procfs_on_the_inherited_root() {
    let mut spec = Spec::new("/bin/true");
    spec.namespaces = Namespaces::new_of([Kind::Mnt, Kind::Pid].into_iter().collect());
    spec.mounts = vec![Mount::Proc {
        target: "/proc".into(),
        masks: ProcMasks::None,
    }];
    is_as_kept("procfs_here", &spec, &root());
}

#[test]
fn namespaces_of_a_process() {
    let mut spec = Spec::new("/bin/true");
    for kind in [Kind::Mnt, Kind::Net, Kind::User, Kind::Pid] {
        spec.namespaces
            .set(kind, Namespace::Join(Join::Process(4242)));
    }
    spec.user = Some(User {
        groups: None,
        ..User::ROOT
    });
    spec.parent_death_signal = Some(9);
    is_as_kept("join", &spec, &ordinary());
}

fn open(fd: i32, name: &str) -> Open {
    let name = name.to_owned();
    Open { fd, name }
}

/// A way into a container that has a user namespace in a user namespace.
fn way_in() -> Spec {
    let mut spec = Spec::new("sh");
    for (fd, kind) in [
        (20, Kind::User),
        (21, Kind::Net),
        (22, Kind::Mnt),
        (23, Kind::Pid),
    ] {
        let join = Join::Open(open(fd, "of process 4242"));
        spec.namespaces.set(kind, Namespace::Join(join));
    }
    spec.route = vec![
        Hop::Through(open(24, "user:[4026532251]")),
        Hop::Join(Kind::Net),
        Hop::Join(Kind::User),
        Hop::Join(Kind::Pid),
        Hop::Join(Kind::Mnt),
    ];
    spec.cgroups = vec![open(25, "/sys/fs/cgroup/a")];
    spec.chroot = vec![
        Folder::Open(open(26, "the root of process 4242")),
        Folder::Path("/srv".into()),
    ];
    spec.cwd_open = Some(open(27, "the working directory of process 4242"));
    spec.program = Some(open(28, "/bin/busybox"));
    spec.user = Some(User::ROOT);
    spec.parent_death_signal = Some(9);
    spec.terminal = Terminal::New {
        rows: 24,
        columns: 80,
    };
    spec
}

#[test]
fn a_way_through_user_namespaces() {
    is_as_kept("route", &way_in(), &ordinary());
}

#[test]
fn a_visit_with_trees_of_the_callers() {
    let mut spec = way_in();
    spec.root = Root::Visit;
    spec.program = None;
    spec.mounts = vec![
        bind("/usr", "/.tools/usr", Access::ReadOnly),
        Mount::Programs {
            target: "/.tools/bin".into(),
            content: "/.tools/launcher".into(),
            folders: vec!["/.tools/usr/bin".into()],
        },
        Mount::Dev {
            target: "/dev".into(),
        },
        Mount::Proc {
            target: "/proc".into(),
            masks: ProcMasks::None,
        },
    ];
    is_as_kept("visit", &spec, &ordinary());
    // With privilege over the host the trees are taken before any namespace is entered.
    is_as_kept("visit_by_root", &spec, &root());
}

#[test]
fn a_route_must_be_whole_and_a_working_directory_one() {
    let refused = |change: fn(&mut Spec)| {
        let mut spec = way_in();
        change(&mut spec);
        Plan::new(&spec, &ordinary())
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        refused(|spec| drop(spec.route.pop())),
        "a route must lead to each joined namespace once, and to no other"
    );
    assert_eq!(
        refused(|spec| spec.cwd = Some("/".into())),
        "there is one working directory only"
    );
    assert_eq!(
        refused(|spec| {
            spec.root = Root::Visit;
            spec.mounts = vec![bind("/usr", "/x", Access::ReadOnly); 25];
        }),
        "at most 24 trees can be taken along"
    );
}

#[test]
fn a_spec_survives_json() {
    let way_in = way_in();
    let text = serde_json::to_string(&way_in).expect("to JSON");
    assert_eq!(
        serde_json::from_str::<Spec>(&text).expect("from JSON"),
        way_in
    );
    let mut spec = sandbox();
    spec.namespaces.set(
        Kind::Net,
        Namespace::Join(Join::Path("/run/netns/x".into())),
    );
    spec.id_map = IdMapping::Single;
    spec.loopback = false;
    let text = serde_json::to_string(&spec).expect("to JSON");
    let back: Spec = serde_json::from_str(&text).expect("from JSON");
    assert_eq!(back, spec);
}

/// What is wrong with a Spec.
#[track_caller]
fn refused(change: impl FnOnce(&mut Spec)) -> Error {
    let mut spec = sandbox();
    change(&mut spec);
    Plan::new(&spec, &ordinary()).expect_err("a Spec that cannot be")
}

/// Every step that only some front ends ask for.
#[test]
fn a_root_that_is_put_together() {
    let mut spec = sandbox();
    spec.root = Root::Scratch;
    spec.exact_targets = true;
    spec.leave_caller = false;
    spec.new_session = true;
    spec.cwd = Some("/no/such".into());
    spec.cwd_else = vec!["/root".into(), "/".into()];
    spec.tell_cwd = true;
    spec.init_keeps = vec![9, 8];
    spec.lock_files = vec!["/etc/lock".into()];
    spec.await_before_exec = Some(open(7, "descriptor 7"));
    spec.last_user_namespace = Some(open(6, "of descriptor 6"));
    spec.filters = vec![RawFilter(vec![6, 0, 0, 0, 0, 0, 0xff, 0x7f])];
    let path = |text: &str| text.into();
    let forbid_writing = Forbidden {
        write: true,
        ..Forbidden::default()
    };
    spec.mounts = vec![
        bind("/usr", "/", Access::ReadOnly),
        Mount::Bind {
            source: Tree::Path("/dev".into()),
            target: path("/dev"),
            access: Access::ReadWrite,
            devices: true,
        },
        Mount::Overlay {
            lower: vec![path("/etc"), path("/usr")],
            upper: Upper::Folder {
                upper: path("/usr"),
                work: path("/etc"),
            },
            target: path("/a"),
        },
        Mount::Overlay {
            lower: vec![path("/etc"), path("/usr")],
            upper: Upper::None,
            target: path("/b"),
        },
        Mount::File {
            content: Content::Bytes(b"text".into()),
            target: path("/tmp/file"),
            mode: 0o600,
            mounted: None,
        },
        Mount::File {
            content: Content::Open(open(5, "descriptor 5")),
            target: path("/tmp/data"),
            mode: 0o600,
            mounted: Some(Access::ReadOnly),
        },
        Mount::Mode {
            target: path("/tmp/file"),
            mode: 0o644,
        },
        Mount::Mqueue {
            target: path("/dev/mqueue"),
        },
        Mount::Proc {
            target: path("/proc"),
            masks: ProcMasks::Settings,
        },
        Mount::Forbid {
            target: path("/b"),
            what: Forbidden {
                execute: true,
                ..forbid_writing
            },
        },
        Mount::Forbid {
            target: path("/"),
            what: forbid_writing,
        },
    ];
    is_as_kept("put_together", &spec, &ordinary());
    is_as_kept("put_together_root", &spec, &root());
}

#[test]
fn what_container_runtimes_are_asked_for() {
    let capabilities = CapabilitySet::EMPTY.with(Capability::KILL);
    let path = |text: &str| text.into();
    let spec = Spec {
        domainname: Some("warrens.example".into()),
        sysctl: vec![("net.ipv4.ip_forward".into(), "1".into())],
        umask: Some(0o027),
        oom_score_adj: Some(500),
        capabilities: None,
        capability_sets: Some(CapabilitySets {
            inheritable: CapabilitySet::EMPTY,
            ambient: CapabilitySet::EMPTY,
            ..CapabilitySets::all(capabilities)
        }),
        mounts: vec![
            Mount::Sys {
                target: path("/sys"),
            },
            Mount::Proc {
                target: path("/proc"),
                masks: ProcMasks::None,
            },
            Mount::ReadOnly {
                target: path("/proc/sys"),
            },
        ],
        ..sandbox()
    };
    is_as_kept("of_runtimes", &spec, &ordinary());
    is_as_kept("of_runtimes_root", &spec, &root());
}

/// Who is in a user namespace can give no file another owner: the parent does it.
#[test]
fn owners_of_what_the_root_brings_change_by_whom_they_can() {
    let own = [IdMap {
        inside: 0,
        outside: 7,
        count: 1,
    }];
    let within = |uids: &[IdMap]| {
        Mount::Detailed(Box::new(DetailedMount {
            what: Mounted::Within {
                path: "/usr/share".into(),
                recursive: true,
                ids: Some(MountIds {
                    uids: uids.to_vec(),
                    gids: uids.to_vec(),
                    recursive: false,
                }),
            },
            target: "/mnt".into(),
            flags: FlagChange::default(),
            flags_below: FlagChange::default(),
            propagation: Vec::new(),
        }))
    };
    let mut spec = sandbox();
    spec.mounts = vec![bind("/usr", "/usr", Access::ReadOnly), within(&own)];
    is_as_kept("owners_within_users", &spec, &root());
    spec.namespaces.set(Kind::User, Namespace::Inherit);
    spec.no_nested_user_namespaces = false;
    is_as_kept("owners_within", &spec, &root());
    spec.mounts.push(within(&[]));
    let error = Plan::new(&spec, &root()).expect_err("there is no map");
    let said = error.to_string();
    assert!(
        said.contains("a map of its own or a user namespace"),
        "{said}"
    );
}

#[test]
fn maps_that_somebody_else_writes_are_waited_for() {
    let mut spec = sandbox();
    spec.id_map = IdMapping::Unmapped;
    spec.user = None;
    spec.await_maps = Some(open(7, "descriptor 7"));
    is_as_kept("maps_awaited", &spec, &ordinary());
}

#[test]
fn contradictions_are_refused_before_anything_is_made() {
    type Change = fn(&mut Spec);
    let cases: [(&str, Change); 18] = [
        ("a domain name needs a uts namespace", |spec| {
            spec.hostname = None;
            spec.domainname = Some("x".into());
            spec.namespaces.set(Kind::Uts, Namespace::Inherit);
        }),
        (
            "capabilities are given either for all sets or for each",
            |spec| spec.capability_sets = Some(CapabilitySets::default()),
        ),
        ("a umask is at most 0777", |spec| spec.umask = Some(0o1000)),
        (
            "the setting vm.swappiness would be changed for the whole host",
            |spec| spec.sysctl = vec![("vm.swappiness".into(), "1".into())],
        ),
        ("no program is given", |spec| spec.argv.clear()),
        ("a root or a mount needs a new mnt namespace", |spec| {
            spec.namespaces.set(Kind::Mnt, Namespace::Inherit);
        }),
        (
            "mounts in the caller's mnt namespace are those of a root at a place, as it is \
             told, and without a user namespace",
            |spec| spec.callers_mounts = true,
        ),
        ("a host name needs a uts namespace", |spec| {
            spec.namespaces.set(Kind::Uts, Namespace::Inherit);
        }),
        ("loopback up needs a new net namespace", |spec| {
            spec.namespaces.set(Kind::Net, Namespace::Inherit);
        }),
        ("a system-call filter needs no_new_privs", |spec| {
            spec.no_new_privs = false
        }),
        (
            "a terminal of its own has a session of its own already",
            |spec| {
                spec.new_session = true;
                spec.terminal = Terminal::New {
                    rows: 24,
                    columns: 80,
                };
            },
        ),
        (
            "id maps are written either here or by somebody else",
            |spec| spec.await_maps = Some(open(7, "descriptor 7")),
        ),
        ("what the init holds needs an init", |spec| {
            spec.no_init = true;
            spec.init_keeps = vec![9];
        }),
        (
            "take the system-call filter: its length is not a multiple of eight bytes",
            |spec| spec.filters = vec![RawFilter(vec![1, 2, 3])],
        ),
        ("a descriptor to keep must be above 2", |spec| {
            spec.keep_fds = vec![2]
        }),
        ("look at /no/such: No such file or directory", |spec| {
            spec.mounts.push(bind("/no/such", "/x", Access::ReadOnly));
        }),
        (
            "mount at /: the root itself is no place to mount on",
            |spec| {
                spec.mounts.push(bind("/usr", "/", Access::ReadOnly));
            },
        ),
        ("the root /etc/passwd: Not a directory", |spec| {
            spec.root = Root::Tree {
                path: "/etc/passwd".into(),
                access: Access::ReadOnly,
            };
        }),
    ];
    for (words, change) in cases {
        assert_eq!(refused(change).to_string(), words);
    }
}

/// What `warren keep` asks of a process.
fn holder(kinds: NamespaceSet, examinable: bool) -> Spec {
    Spec {
        namespaces: Namespaces::new_of(kinds),
        mounts: vec![Mount::Proc {
            target: "/proc".into(),
            masks: ProcMasks::None,
        }],
        loopback: true,
        capabilities: Some(CapabilitySet::EMPTY),
        parent_death_signal: Some(9),
        role: Role::Holder { examinable },
        ..Spec::default()
    }
}

#[test]
fn a_holder_of_namespaces() {
    let without_user = NamespaceSet::ALL.without(Kind::User);
    is_as_kept("hold_root", &holder(without_user, false), &root());
    is_as_kept("hold", &holder(NamespaceSet::ALL, true), &ordinary());
}

/// What `warren mount` asks of a process, for one that root of a container is to do.
fn grafter(change: Change) -> Spec {
    let mut namespaces = Namespaces::default();
    for (kind, fd) in [(Kind::User, 7), (Kind::Mnt, 8)] {
        let join = Join::Open(open(fd, &format!("{kind}:[42]")));
        namespaces.set(kind, Namespace::Join(join));
    }
    Spec {
        namespaces,
        chroot: vec![Folder::Open(open(9, "the root of process 12"))],
        user: Some(User::ROOT),
        role: Role::Grafter(Graft {
            target: "/srv/tree".into(),
            change,
        }),
        ..Spec::default()
    }
}

#[test]
fn a_mount_into_a_namespace_that_is_in_use() {
    let mount = Change::Mount {
        source: "/usr".into(),
        access: Access::ReadOnly,
        recursive: false,
        ids: Some(open(10, "user:[43]")),
        make: true,
    };
    is_as_kept("graft", &grafter(mount), &root());
    is_as_kept("unmount", &grafter(Change::Unmount), &ordinary());
}

#[test]
fn roles_are_refused_what_they_cannot_do() {
    let words = |spec: Spec| {
        let error = Plan::new(&spec, &root()).expect_err("a Spec that cannot be");
        error.to_string()
    };
    let mut spec = holder(NamespaceSet::EMPTY.with(Kind::Mnt), false);
    spec.namespaces
        .set(Kind::Pid, Namespace::Join(Join::Process(4242)));
    assert_eq!(
        words(spec),
        "a holder cannot join a pid namespace, which ends with its own init"
    );
    let mut spec = grafter(Change::Unmount);
    spec.namespaces.set(Kind::Mnt, Namespace::Inherit);
    assert_eq!(words(spec), "a mount into a namespace needs that namespace");
    let mut spec = grafter(Change::Unmount);
    spec.role = Role::Grafter(Graft {
        target: "/srv/../etc".into(),
        change: Change::Unmount,
    });
    assert_eq!(
        words(spec),
        "mount at /srv/../etc: a path inside the container may not have '..'"
    );
}

#[test]
fn a_user_outside_of_the_map_is_refused() {
    let error = refused(|spec| {
        spec.id_map = IdMapping::Explicit {
            uids: vec![IdMap::single(0, 1000)],
            gids: vec![IdMap::single(0, 1000)],
        };
        spec.user = Some(User {
            uid: 7,
            gid: 0,
            groups: None,
        });
    });
    assert_eq!(error.to_string(), "uid 7 is not in the id map");
}

/// The sandbox on an empty root, behind a second wall.
fn walled(landlock: Landlock) -> Spec {
    let mut mounts = vec![
        bind("/usr", "/usr", Access::ReadOnly),
        bind("/dev/null", "/srv/file", Access::ReadWrite),
        bind("/var", "/home/kept", Access::ReadWrite),
        Mount::Folder {
            target: "/root".into(),
            mode: 0o700,
        },
    ];
    mounts.extend(system::kernel());
    Spec {
        root: Root::Empty,
        mounts,
        landlock: Some(landlock),
        ..sandbox()
    }
}

fn with_landlock(landlock: Result<Abi, Missing>) -> Host {
    Host {
        landlock: Some(landlock),
        ..ordinary()
    }
}

#[test]
fn a_second_wall_has_the_rules_of_the_mounts() {
    let ports = Ports {
        connect: vec![443],
        bind: vec![8000, 0],
    };
    let spec = walled(Landlock {
        required: true,
        ports: Some(ports),
    });
    is_as_kept("landlock", &spec, &with_landlock(Ok(Abi::new(7))));
}

#[test]
fn a_second_wall_of_an_older_kernel_has_less() {
    let spec = walled(Landlock::default());
    is_as_kept("landlock_abi_3", &spec, &with_landlock(Ok(Abi::new(3))));
}

#[test]
fn without_landlock_best_effort_is_the_same_plan() {
    let plain = Spec {
        landlock: None,
        ..walled(Landlock::default())
    };
    let plan =
        |spec: &Spec, host: &Host| Plan::new(spec, host).expect("a plan").to_string();
    let without = plan(&plain, &ordinary());
    for has in [
        Err(Missing::NotBuilt),
        Err(Missing::NotStarted),
        Ok(Abi::new(1)),
    ] {
        let spec = walled(Landlock::default());
        assert_eq!(plan(&spec, &with_landlock(has)), without, "{has:?}");
    }
}

#[test]
fn what_must_hold_and_cannot_is_refused_before_anything_is_made() {
    let required = walled(Landlock {
        required: true,
        ports: None,
    });
    let error = Plan::new(&required, &with_landlock(Err(Missing::NotStarted)));
    let error = error.expect_err("no Landlock");
    assert_eq!(
        error.to_string(),
        "confine by Landlock: this kernel was started without Landlock, which rules on \
         files need"
    );
    assert_eq!(
        error.hints(),
        ["add landlock to the kernel's lsm= parameter"]
    );
    let ports = walled(Landlock {
        required: false,
        ports: Some(Ports::default()),
    });
    let error = Plan::new(&ports, &with_landlock(Ok(Abi::new(3)))).expect_err("too old");
    assert_eq!(
        error.to_string(),
        "confine by Landlock: this kernel has Landlock ABI 3, and rules on TCP ports need \
         ABI 4"
    );
    assert_eq!(error.hints(), ["it came with Linux 6.7"]);
}
