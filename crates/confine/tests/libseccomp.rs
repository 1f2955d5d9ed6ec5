//! The compiler beside libseccomp: the same profile given to both, and every call put
//! to both programs.
//!
//! libseccomp is reached through a small C program that this test compiles. What it
//! needs of the machine (docs/testing.md) it asks for in words.

mod oracle;

use oracle::{Edges, Oracle, Random, podman, systemd};
use warren_confine::seccomp::oci::{Arg, Seccomp, Syscall, Target, Template};
use warren_confine::seccomp::table::Call;
use warren_confine::seccomp::{Architecture, Cache, Newer};
use warren_confine::{Capability, CapabilitySet};

/// What Docker and podman leave to a container.
const USUAL: [Capability; 14] = [
    Capability::CHOWN,
    Capability::DAC_OVERRIDE,
    Capability::FSETID,
    Capability::FOWNER,
    Capability::MKNOD,
    Capability::NET_RAW,
    Capability::SETGID,
    Capability::SETUID,
    Capability::SETFCAP,
    Capability::SETPCAP,
    Capability::NET_BIND_SERVICE,
    Capability::SYS_CHROOT,
    Capability::KILL,
    Capability::AUDIT_WRITE,
];

fn usual() -> CapabilitySet {
    let none = CapabilitySet::EMPTY;
    USUAL.into_iter().fold(none, CapabilitySet::with)
}

#[test]
fn the_names_have_libseccomps_numbers() {
    let mut oracle = Oracle::start();
    let newer: Vec<_> = Call::all()
        .filter(|call| !oracle.agrees(*call))
        .map(Call::name)
        .collect();
    for name in &newer {
        let unknown = oracle.numbers(name)[0] == -1;
        // On x32 since Linux 6.7; on arm the kernel's other name of arm_sync_file_range.
        let known = ["map_shadow_stack", "sync_file_range2"].contains(name);
        assert!(unknown || known, "{name}");
    }
    assert!(newer.len() < 40, "{newer:?}");
}

/// Whether libseccomp took the whole profile; then every call gets the same answer.
fn assert_same(oracle: &mut Oracle, profile: &Seccomp, what: &str) -> bool {
    let profile = &oracle.without_newer(profile);
    let theirs = oracle.compile(profile);
    if theirs.refused > 0 {
        return false;
    }
    let ours = profile.profile(Newer::Default).expect(what);
    let ours = ours.compile().expect(what);
    Edges::of(profile).assert_same(ours.instructions(), &theirs.program, what);
    true
}

#[test]
fn podmans_profile_answers_as_libseccomps() {
    let mut oracle = Oracle::start();
    let all = CapabilitySet::ALL;
    let audit = CapabilitySet::EMPTY.with(Capability::AUDIT_WRITE);
    let one_by_one = all.iter().map(|one| audit.with(one));
    for capabilities in [usual(), all, audit].into_iter().chain(one_by_one) {
        let profile = podman(capabilities, (6, 1));
        let accepted = assert_same(&mut oracle, &profile, &capabilities.to_string());
        assert!(accepted, "libseccomp refuses it");
    }
    // Without that one libseccomp refuses a rule for i386: two on socket become one.
    let mut profile = podman(CapabilitySet::EMPTY, (6, 1));
    profile.architectures.retain(|name| name != "SCMP_ARCH_X86");
    assert!(assert_same(&mut oracle, &profile, "no capabilities"));
}

#[test]
fn profiles_of_systemds_groups_answer_as_libseccomps() {
    let mut oracle = Oracle::start();
    let groups = systemd();
    assert!(groups.len() > 20, "{} groups", groups.len());
    let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    for (name, calls) in &groups {
        for (default, action) in [
            ("SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS"),
            ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"),
            ("SCMP_ACT_KILL", "SCMP_ACT_LOG"),
        ] {
            let profile = Seccomp {
                architectures: architectures.map(str::to_owned).to_vec(),
                syscalls: vec![Syscall {
                    names: calls.clone(),
                    action: action.to_owned(),
                    ..Syscall::default()
                }],
                ..plain(default)
            };
            assert!(assert_same(&mut oracle, &profile, name), "{name}");
        }
    }
}

fn plain(default: &str) -> Seccomp {
    let json = format!(r#"{{"defaultAction": "{default}"}}"#);
    Seccomp::parse(&json).expect("a minimal profile")
}

#[test]
fn a_thousand_random_profiles_answer_as_libseccomps() {
    let mut oracle = Oracle::start();
    let mut random = Random(0x5ecc_0339_1e57_ab1e);
    let mut compared = 0;
    let mut tried = 0;
    while compared < 1000 {
        tried += 1;
        let profile = random.profile();
        let what = format!("profile {tried}");
        compared += usize::from(assert_same(&mut oracle, &profile, &what));
    }
    assert!(tried < 1300, "libseccomp refused {} profiles", tried - 1000);
}

/// Where libseccomp (2.5 and 2.6) is wrong about what a profile says: several rules on
/// one call of which one has an inequality. Ours says what is written.
#[test]
fn inequalities_beside_other_rules_are_right_where_libseccomp_is_not() {
    let arg = |index, op: &str, value| Arg {
        index,
        value,
        value_two: 0,
        op: format!("SCMP_CMP_{op}"),
    };
    let cases = [
        // 0xffffffff is neither at least 0x1ffffffff nor at most 3.
        (
            vec![vec![arg(0, "GE", 0x1_ffff_ffff)], vec![arg(0, "LE", 3)]],
            [0xffff_ffff, 0, 0],
            false,
        ),
        // The first rule holds.
        (
            vec![
                vec![arg(0, "EQ", 0), arg(1, "EQ", 3)],
                vec![arg(0, "NE", 1), arg(1, "EQ", 0), arg(2, "NE", 2)],
            ],
            [0, 3, 2],
            true,
        ),
    ];
    for (rules, arguments, allowed) in cases {
        let rule = |args| Syscall {
            names: vec!["read".to_owned()],
            action: "SCMP_ACT_ALLOW".to_owned(),
            errno_ret: None,
            args,
        };
        let profile = Seccomp {
            syscalls: rules.into_iter().map(rule).collect(),
            ..plain("SCMP_ACT_ERRNO")
        };
        let ours = profile.profile(Newer::Default).expect("a profile");
        let filter = ours.compile().expect("a filter");
        let call = oracle::native("read", &arguments);
        let (answer, _) = oracle::interpret(filter.instructions(), &call);
        assert_eq!(answer == 0x7fff_0000, allowed, "{call:x?}");
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn compiling_takes_a_fraction_of_libseccomps_time() {
    let mut oracle = Oracle::start();
    let profile = podman(usual(), (6, 1));
    let theirs = (0..5).map(|_| oracle.compile(&profile));
    let theirs = theirs.min_by_key(|one| one.microseconds).expect("five");
    let ours = profile.profile(Newer::Default).expect("a profile");
    let filter = ours.compile().expect("a filter");
    let took = (0..20)
        .map(|_| {
            let start = std::time::Instant::now();
            let profile = profile.profile(Newer::Default).expect("a profile");
            profile.compile().expect("a filter");
            start.elapsed()
        })
        .min()
        .expect("twenty");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    std::fs::create_dir_all(&folder).expect("a folder");
    let cache = Cache::open(&folder).expect("a folder of our own");
    let source = serde_json::to_vec(&profile).expect("JSON");
    cache.store(&source, &filter).expect("kept");
    let cached = (0..20)
        .map(|_| {
            let start = std::time::Instant::now();
            let found = cache.load(&source).expect("kept");
            let took = start.elapsed();
            assert_eq!(found, filter);
            took
        })
        .min()
        .expect("twenty");
    std::fs::remove_dir_all(&folder).expect("remove the folder");
    let edges = Edges::of(&profile);
    let (mean, most) = edges.steps(filter.instructions());
    let (their_mean, their_most) = edges.steps(&theirs.program);
    println!(
        "libseccomp: {} instructions, {their_mean:.1} steps a call, {their_most} at most, \
         {} us",
        theirs.program.len(),
        theirs.microseconds
    );
    println!(
        "warren: {} instructions, {mean:.1} steps a call, {most} at most, {} us, {} cached",
        filter.instructions().len(),
        took.as_micros(),
        cached.as_micros()
    );
    assert!(filter.instructions().len() <= theirs.program.len());
    assert!(mean < their_mean);
    assert!(took.as_micros() < u128::from(theirs.microseconds));
    assert!(cached < took);
}

#[test]
fn the_kernel_answers_as_the_interpreter() {
    let profile = podman(usual(), (6, 1));
    let refused = Seccomp {
        default_errno_ret: Some(999),
        ..profile
    };
    let filter = refused.profile(Newer::Default).expect("a profile");
    let filter = filter.compile().expect("a filter");
    oracle::assert_kernel_agrees(filter.instructions());
}

#[test]
fn a_template_is_rendered_as_its_engine_does() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "archMap": null, "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"name": "b", "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["d"], "action": "SCMP_ACT_ALLOW",
         "includes": {"caps": ["CAP_KILL", "CAP_CHOWN"]}},
        {"names": ["e"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_KILL"]}}]}"#;
    let rendered = |capabilities, architecture, kernel| {
        let target = Target {
            capabilities,
            architecture,
            kernel,
        };
        let template = Template::parse(json).expect("a template");
        let rendered = template.render(&target).expect("a profile");
        let names = rendered.syscalls.into_iter().flat_map(|one| one.names);
        names.collect::<Vec<_>>().join("")
    };
    let none = CapabilitySet::EMPTY;
    assert_eq!(rendered(none, Architecture::X86_64, (4, 7)), "be");
    assert_eq!(rendered(none, Architecture::X86_64, (4, 10)), "ae");
    assert_eq!(rendered(none, Architecture::Aarch64, (6, 0)), "ace");
    let kill = none.with(Capability::KILL);
    assert_eq!(rendered(kill, Architecture::X86_64, (6, 0)), "a");
    let both = kill.with(Capability::CHOWN);
    assert_eq!(rendered(both, Architecture::X86_64, (6, 0)), "ad");
}
