//! Plans with limits, on a ground that is given: what is made, in which order, and what is
//! refused.

use warren_cgroups::limits::Most;
use warren_cgroups::{Ground, Hierarchy, Parent, Placement};
use warren_confine::CapabilitySet;
use warren_namespaces::{Kind, NamespaceSet};
use warren_spawn::{ErrorKind, Host, Namespaces, Plan, Ranges, Spec};

fn parent(controllers: &[&str], v2: bool) -> Parent {
    let controllers: Vec<String> =
        controllers.iter().map(|it| (*it).to_owned()).collect();
    let mount = if v2 {
        "/sys/fs/cgroup".to_owned()
    } else {
        format!("/cg/{}", controllers[0])
    };
    Parent {
        hierarchy: Hierarchy::new(
            if v2 { Vec::new() } else { controllers.clone() },
            mount.into(),
            "/".into(),
        ),
        below: "own".into(),
        controllers,
        handed_down: Vec::new(),
        closed: None,
        occupied: false,
    }
}

fn v1() -> Ground {
    Ground {
        parents: vec![parent(&["memory"], false), parent(&["pids"], false)],
        ..Ground::default()
    }
}

fn v2() -> Ground {
    Ground {
        parents: vec![parent(&["memory", "pids"], true)],
        ..Ground::default()
    }
}

fn host(ground: Ground) -> Host {
    Host {
        uid: 0,
        gid: 0,
        has_no_other_ids: true,
        capabilities: CapabilitySet::ALL,
        has_all_ids: true,
        sets_groups: true,
        ranges: Ranges::None,
        landlock: None,
        ground: Some(ground),
    }
}

fn limited() -> Spec {
    let mut spec = Spec::new("/bin/true");
    let kinds = [Kind::Pid, Kind::Cgroup];
    spec.namespaces = Namespaces::new_of(kinds.into_iter().collect::<NamespaceSet>());
    spec.limits.memory.max = Some(Most::Of(1 << 20));
    spec.limits.pids = Some(Most::Of(5));
    spec
}

fn lines(spec: &Spec, ground: Ground) -> Vec<String> {
    let plan = Plan::new(spec, &host(ground)).expect("it can be had");
    let text = plan.to_string();
    let lines = text.lines().map(|line| line[6..].to_owned());
    lines
        .filter(|line| !line.contains("descriptor") && !line.contains("init"))
        .collect()
}

#[test]
fn a_group_is_made_before_the_clone_and_joined_before_its_namespace() {
    let found = lines(&limited(), v1());
    let expected = [
        "parent   make the control group /cg/memory/own/warren-*, /cg/pids/own/warren-*",
        "parent   limit memory.max: write '1048576' to memory.limit_in_bytes",
        "parent   limit pids.max: write '5' to pids.max",
        "parent   clone a process into new namespaces pid",
        "parent   put the process into the control group",
        "child    wait until it is in the control group",
        "child    make a cgroup namespace with that group as its root",
    ];
    assert_eq!(found[..expected.len()], expected);
}

#[test]
fn systemd_makes_the_group_around_the_process() {
    let mut ground = v2();
    ground.scope = true;
    let found = lines(&limited(), ground);
    let expected = [
        "parent   clone a process into new namespaces pid",
        "parent   make the control group warren-*.scope",
        "parent   limit memory.max: write '1048576' to memory.max",
        "parent   limit pids.max: write '5' to pids.max",
        "parent   put the process into the control group",
    ];
    assert_eq!(found[..expected.len()], expected);
}

#[test]
fn nothing_limited_makes_no_group() {
    let mut spec = limited();
    spec.limits = warren_cgroups::Limits::default();
    let found = lines(&spec, v1());
    assert_eq!(
        found[0],
        "parent   clone a process into new namespaces pid,cgroup"
    );
}

#[test]
fn what_cannot_be_had_is_refused_with_the_way_out() {
    let mut spec = limited();
    spec.limits.memory.high = Some(Most::Of(1));
    let error = Plan::new(&spec, &host(v1())).expect_err("v1 has none");
    assert_eq!(error.kind(), ErrorKind::Spec);
    assert_eq!(
        error.to_string(),
        "limit memory.high: needs cgroup v2, and the controller is on v1"
    );
    assert_eq!(error.hints(), ["--limits best-effort goes on without it"]);
}

#[test]
fn best_effort_plans_the_rest() {
    let mut spec = limited();
    spec.limits.memory.high = Some(Most::Of(1));
    spec.cgroup = Some(Placement {
        best_effort: true,
        ..Placement::default()
    });
    let plan = Plan::new(&spec, &host(v1())).expect("the rest can be had");
    assert_eq!(plan.refused().len(), 1);
    assert!(plan.to_string().contains("limit pids.max"));
}

#[test]
fn processes_beside_it_are_told_with_the_way_out() {
    let mut ground = v2();
    ground.parents[0].occupied = true;
    let error = Plan::new(&limited(), &host(ground)).expect_err("it is occupied");
    assert_eq!(
        error.hints()[0],
        "name a group without processes of its own: --cgroup PATH"
    );
}
