//! The plan of each kind of transition, to the letter: no privilege is needed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p warren-spawn --test transitions` writes them anew.

use std::path::Path;

use warren_namespaces::{IdMap, Kind};
use warren_spawn::transition::{
    Caller, Clock, Create, Enter, Environment, Fork, Identity, Map, Pin, Place, Plan,
    Propagation, Relay, SetGroups, Source, Target, Transition,
};

const ORDINARY: Caller = Caller {
    uid: 1000,
    gid: 100,
};
const ROOT: Caller = Caller { uid: 0, gid: 0 };

fn of(program: &str) -> Transition {
    Transition {
        argv: vec![program.into()],
        ..Transition::default()
    }
}

fn creating(create: Create) -> Transition {
    Transition {
        create,
        ..of("true")
    }
}

fn entering(kinds: &[Kind]) -> Transition {
    let target = Target {
        pid: 4242,
        pidfd_inode: None,
    };
    Transition {
        enter: Enter {
            target: Some(target),
            kinds: kinds.to_vec(),
            ..Enter::default()
        },
        ..of("true")
    }
}

fn pin(kind: Kind, path: &str) -> Pin {
    Pin {
        kind,
        path: path.into(),
    }
}

/// Compares the plan with the file of that name.
#[track_caller]
fn is_as_kept(name: &str, wanted: &Transition, caller: Caller) {
    let plan = Plan::new(wanted, caller).expect("it can be planned");
    let text = plan.to_string();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/transitions/{name}.txt"));
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
fn nothing_but_a_program() {
    is_as_kept("program", &of("true"), ORDINARY);
}

#[test]
fn root_of_a_user_namespace_with_its_processes() {
    let mut wanted = creating(Create {
        kinds: vec![Kind::User, Kind::Mnt, Kind::Pid],
        uids: Some(Map::Own(0)),
        gids: Some(Map::Own(0)),
        setgroups: Some(SetGroups::Deny),
        propagation: Some(Propagation::Private),
        proc: Some("/proc".into()),
        ..Create::default()
    });
    wanted.fork = Some(Fork {
        death_signal: Some(9),
        ..Fork::default()
    });
    is_as_kept("rootless", &wanted, ORDINARY);
}

#[test]
fn ranges_pins_and_a_root() {
    let mut wanted = creating(Create {
        kinds: vec![Kind::User, Kind::Mnt, Kind::Uts, Kind::Pid],
        pins: vec![pin(Kind::Uts, "/run/uts"), pin(Kind::Pid, "/run/pid")],
        uids: Some(Map::Lines(vec![
            IdMap::single(0, 1000),
            IdMap {
                inside: 1,
                outside: 100_000,
                count: 65_535,
            },
        ])),
        gids: Some(Map::Lines(vec![IdMap::single(0, 100)])),
        propagation: Some(Propagation::Slave),
        ..Create::default()
    });
    wanted.fork = Some(Fork::default());
    wanted.root = Some(Place::After("/srv/root".into()));
    wanted.uid = Some(Identity::Known(5));
    wanted.gid = Some(Identity::Known(6));
    wanted.keep_capabilities = true;
    is_as_kept("ranges", &wanted, ORDINARY);
    is_as_kept("ranges_of_root", &wanted, ROOT);
}

#[test]
fn pins_without_a_helper() {
    let wanted = creating(Create {
        kinds: vec![Kind::Net],
        pins: vec![pin(Kind::Net, "/run/net")],
        ..Create::default()
    });
    is_as_kept("pin", &wanted, ROOT);
}

#[test]
fn an_owner() {
    let wanted = creating(Create {
        kinds: vec![Kind::User],
        owner: Some((7, 8)),
        uids: Some(Map::Own(0)),
        gids: Some(Map::Own(0)),
        setgroups: Some(SetGroups::Deny),
        ..Create::default()
    });
    is_as_kept("owner", &wanted, ROOT);
}

#[test]
fn clocks_an_interpreter_and_an_init() {
    let mut wanted = creating(Create {
        kinds: vec![Kind::User, Kind::Mnt, Kind::Time, Kind::Pid],
        offsets: vec![(Clock::Boottime, -1), (Clock::Monotonic, 7)],
        proc: Some("/proc".into()),
        binfmt: Some("/proc/sys/fs/binfmt_misc".into()),
        interpreter: Some(":foo:M::FOO::/bin/cat:F".into()),
        ..Create::default()
    });
    wanted.root = Some(Place::After("/srv/root".into()));
    wanted.cwd = Some(Place::After("/tmp".into()));
    wanted.fork = Some(Fork {
        init: true,
        ..Fork::default()
    });
    is_as_kept("interpreter", &wanted, ROOT);
}

#[test]
fn a_target_without_its_user_namespace() {
    let wanted = entering(&[Kind::Mnt, Kind::Net]);
    is_as_kept("enter", &wanted, ROOT);
}

#[test]
fn all_of_a_target() {
    let mut wanted = entering(&Kind::ALL);
    wanted.enter.cgroups = true;
    wanted.enter.context = true;
    wanted.root = Some(Place::OfTarget);
    wanted.cwd = Some(Place::OfTarget);
    wanted.env = Environment::OfTarget;
    wanted.uid = Some(Identity::OfTarget);
    wanted.gid = Some(Identity::OfTarget);
    wanted.keep_capabilities = true;
    wanted.fork = Some(Fork {
        death_signal: Some(9),
        relay: Relay::All,
        init: false,
    });
    is_as_kept("enter_all", &wanted, ROOT);
    wanted.keep_groups = true;
    wanted.cwd = None;
    is_as_kept("enter_all_with_groups", &wanted, ROOT);
}

#[test]
fn namespaces_from_everywhere() {
    let mut wanted = entering(&[Kind::Ipc]);
    wanted.enter.others = vec![
        (Kind::User, Source::Owner),
        (Kind::Mnt, Source::Path("/run/mnt".into())),
        (Kind::Uts, Source::Id(4711)),
        (Kind::Net, Source::Socket(3)),
    ];
    is_as_kept("enter_others", &wanted, ORDINARY);
}

#[test]
fn a_transition_survives_json() {
    let mut wanted = entering(&[Kind::Ipc]);
    wanted.enter.others = vec![(Kind::Mnt, Source::Path("/run/mnt".into()))];
    wanted.create.uids = Some(Map::Own(5));
    wanted.create.kinds = vec![Kind::User];
    let text = serde_json::to_string(&wanted).expect("to JSON");
    let back: Transition = serde_json::from_str(&text).expect("from JSON");
    assert_eq!(back, wanted);
}

#[test]
fn contradictions_are_refused_before_anything_is_made() {
    let refused = |change: fn(&mut Transition)| {
        let mut wanted = of("true");
        change(&mut wanted);
        let error = Plan::new(&wanted, ROOT).expect_err("it cannot be");
        error.to_string()
    };
    assert_eq!(refused(|wanted| wanted.argv.clear()), "no program is given");
    assert_eq!(
        refused(|wanted| wanted.root = Some(Place::OfTarget)),
        "what is the target's needs a target"
    );
    assert_eq!(
        refused(|wanted| wanted.create.uids = Some(Map::Own(0))),
        "an id map needs a new user namespace"
    );
    assert_eq!(
        refused(|wanted| wanted.create.offsets = vec![(Clock::Boottime, 1)]),
        "an offset of a clock needs a new time namespace"
    );
    assert_eq!(
        refused(|wanted| wanted.create.interpreter = Some("x".into())),
        "an interpreter needs a binfmt_misc"
    );
}
