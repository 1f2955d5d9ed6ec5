use std::path::PathBuf;

use super::*;
use crate::limits::{
    CpuWeight, DeviceRule, DeviceWeight, HugePages, IoWeight, Most, Rdma, Throttle,
};
use crate::{Hierarchy, Placement};

fn parent(v2: bool, controllers: &[&str]) -> Parent {
    let controllers: Vec<String> =
        controllers.iter().map(|it| (*it).to_owned()).collect();
    Parent {
        hierarchy: Hierarchy::new(
            if v2 { Vec::new() } else { controllers.clone() },
            PathBuf::from("/sys/fs/cgroup"),
            PathBuf::from("/"),
        ),
        below: PathBuf::new(),
        controllers,
        handed_down: Vec::new(),
        closed: None,
        occupied: false,
    }
}

fn v1() -> Ground {
    let controllers = [
        "cpu", "cpuset", "memory", "pids", "blkio", "devices", "hugetlb", "rdma",
        "net_cls", "net_prio",
    ];
    Ground {
        parents: controllers.iter().map(|it| parent(false, &[it])).collect(),
        ..Ground::default()
    }
}

fn v2() -> Ground {
    let all = [
        "cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma", "misc",
    ];
    Ground {
        parents: vec![parent(true, &all)],
        ..Ground::default()
    }
}

fn written(limits: &Limits, ground: &Ground) -> (Vec<String>, Vec<String>) {
    let settings = Settings::of(limits, ground, Present::default());
    let list = settings.list.iter().map(|setting| match &setting.action {
        Action::Write { file, value } => format!("{file}={value}"),
        Action::Guard(rules) => format!("guard {}", rules.list().len()),
    });
    let refused = settings.refused.iter().map(|it| it.limit.clone());
    (list.collect(), refused.collect())
}

fn both(change: impl Fn(&mut Limits)) -> [Vec<String>; 2] {
    let mut limits = Limits::default();
    change(&mut limits);
    [v1(), v2()].map(|ground| {
        let (list, refused) = written(&limits, &ground);
        assert_eq!(refused, Vec::<String>::new());
        list
    })
}

#[test]
fn nothing_wanted_is_nothing_written() {
    assert_eq!(both(|_| {}), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn a_quota_is_two_files_of_v1_and_one_of_v2() {
    let found = both(|limits| {
        limits.cpu.quota_us = Some(Most::Of(50_000));
        limits.cpu.period_us = Some(100_000);
    });
    let v1 = vec![
        "cpu.cfs_period_us=100000".to_owned(),
        "cpu.cfs_quota_us=50000".to_owned(),
    ];
    assert_eq!(found, [v1, vec!["cpu.max=50000 100000".to_owned()]]);
}

#[test]
fn a_period_alone_keeps_the_quota() {
    let mut limits = Limits::default();
    limits.cpu.period_us = Some(20_000);
    let present = Present {
        quota_us: Some(7000),
        ..Present::default()
    };
    let settings = Settings::of(&limits, &v2(), present);
    assert_eq!(
        settings.list[0].to_string(),
        "write '7000 20000' to cpu.max"
    );
}

#[test]
fn weights_are_converted_to_the_other_scale() {
    let found = both(|limits| {
        limits.cpu.weight = Some(CpuWeight::Shares(1024));
        limits.io.weight = Some(IoWeight::Blkio(1000));
        limits.io.device_weights = vec![DeviceWeight {
            device: DeviceNumber { major: 8, minor: 0 },
            weight: Some(IoWeight::Weight(1)),
            leaf_weight: None,
        }];
    });
    let v1 = [
        "cpu.shares=1024",
        "blkio.bfq.weight=1000",
        "blkio.bfq.weight_device=8:0 10",
    ];
    let v2 = [
        "cpu.weight=100",
        "io.weight=default 10000",
        "io.weight=8:0 1",
    ];
    assert_eq!(
        found,
        [
            v1.map(str::to_owned).to_vec(),
            v2.map(str::to_owned).to_vec()
        ]
    );
}

#[test]
fn swap_is_counted_with_memory_on_v1_and_alone_on_v2() {
    let found = both(|limits| {
        limits.memory.max = Some(Most::Of(100));
        limits.memory.swap = Some(Most::Of(20));
    });
    let v1 = [
        "memory.limit_in_bytes=100",
        "memory.memsw.limit_in_bytes=120",
    ];
    let v2 = ["memory.max=100", "memory.swap.max=20"];
    assert_eq!(
        found,
        [
            v1.map(str::to_owned).to_vec(),
            v2.map(str::to_owned).to_vec()
        ]
    );
}

#[test]
fn swap_alone_needs_memory_on_v1() {
    let mut limits = Limits::default();
    limits.memory.swap = Some(Most::Of(0));
    assert_eq!(written(&limits, &v1()).1, ["memory.swap.max"]);
    assert_eq!(written(&limits, &v2()).0, ["memory.swap.max=0"]);
}

#[test]
fn no_limit_is_written_as_each_version_has_it() {
    let found = both(|limits| {
        limits.memory.max = Some(Most::Max);
        limits.pids = Some(Most::Max);
        limits.io.throttles = vec![Throttle {
            device: DeviceNumber {
                major: 8,
                minor: 16,
            },
            write_bps: Some(Most::Max),
            read_iops: Some(Most::Of(5)),
            ..Throttle::default()
        }];
    });
    let v1 = [
        "memory.limit_in_bytes=-1",
        "pids.max=max",
        "blkio.throttle.write_bps_device=8:16 0",
        "blkio.throttle.read_iops_device=8:16 5",
    ];
    let v2 = [
        "memory.max=max",
        "pids.max=max",
        "io.max=8:16 wbps=max riops=5",
    ];
    assert_eq!(
        found,
        [
            v1.map(str::to_owned).to_vec(),
            v2.map(str::to_owned).to_vec()
        ]
    );
}

#[test]
fn devices_are_a_list_on_v1_and_a_program_on_v2() {
    let found = both(|limits| limits.devices = vec![DeviceRule::everything(false)]);
    assert_eq!(
        found,
        [
            vec!["devices.deny=a".to_owned()],
            vec!["guard 1".to_owned()]
        ]
    );
}

#[test]
fn the_rarer_controllers_have_their_files() {
    let found = both(|limits| {
        limits.hugetlb = vec![HugePages {
            size: "2MB".to_owned(),
            max: Most::Of(2 << 20),
        }];
        limits.rdma = vec![Rdma {
            device: "mlx".to_owned(),
            handles: Some(Most::Of(2)),
            objects: None,
        }];
    });
    let v1 = [
        "hugetlb.2MB.limit_in_bytes=2097152",
        "rdma.max=mlx hca_handle=2",
    ];
    let v2 = ["hugetlb.2MB.max=2097152", "rdma.max=mlx hca_handle=2"];
    assert_eq!(
        found,
        [
            v1.map(str::to_owned).to_vec(),
            v2.map(str::to_owned).to_vec()
        ]
    );
}

#[test]
fn what_one_version_lacks_is_refused_by_name() {
    let mut limits = Limits::default();
    limits.memory.high = Some(Most::Of(1));
    limits.memory.swappiness = Some(1);
    limits.misc = vec![("sev".to_owned(), Most::Of(1))];
    limits.network.class_id = Some(1);
    assert_eq!(written(&limits, &v1()).1, ["memory.high", "misc.max"]);
    assert_eq!(
        written(&limits, &v2()).1,
        ["memory.swappiness", "net_cls.classid"]
    );
}

#[test]
fn a_raw_file_is_of_v2_and_no_path() {
    let unified = vec![
        ("memory.high".to_owned(), "1G".to_owned()),
        ("cgroup.max.depth".to_owned(), "1".to_owned()),
        ("../x".to_owned(), "1".to_owned()),
        ("memory".to_owned(), "1".to_owned()),
        ("foo.max".to_owned(), "1".to_owned()),
    ];
    let limits = Limits {
        unified,
        ..Limits::default()
    };
    let (list, refused) = written(&limits, &v2());
    assert_eq!(list, ["memory.high=1G", "cgroup.max.depth=1"]);
    assert_eq!(refused, ["../x", "memory", "foo.max"]);
}

#[test]
fn on_a_hybrid_machine_each_limit_goes_where_its_controller_is() {
    let ground = Ground {
        parents: vec![parent(false, &["memory"]), parent(true, &["hugetlb"])],
        ..Ground::default()
    };
    let mut limits = Limits::default();
    limits.memory.max = Some(Most::Of(1));
    limits.hugetlb = vec![HugePages {
        size: "2MB".to_owned(),
        max: Most::Of(0),
    }];
    limits.pids = Some(Most::Of(1));
    let (list, refused) = written(&limits, &ground);
    assert_eq!(list, ["memory.limit_in_bytes=1", "hugetlb.2MB.max=0"]);
    assert_eq!(refused, ["pids.max"]);
}

#[test]
fn a_refusal_says_which_and_why() {
    let limits = Limits {
        pids: Some(Most::Of(1)),
        ..Limits::default()
    };
    let plan = |ground: &Ground| {
        let planned = ground.plan(&Placement::default(), &limits);
        planned.expect_err("refused").to_string()
    };
    assert_eq!(
        plan(&Ground {
            parents: vec![parent(true, &["memory"])],
            ..Ground::default()
        }),
        "limit pids.max: no controller 'pids' on this machine"
    );
    let mut below = v2();
    below.parents[0].below = "user.slice".into();
    below.parents[0].controllers.clear();
    assert_eq!(
        plan(&below),
        "limit pids.max: the controller 'pids' is not delegated to /sys/fs/cgroup/user.slice"
    );
    let mut occupied = v2();
    occupied.parents[0].occupied = true;
    assert_eq!(
        plan(&occupied),
        "limit pids.max: /sys/fs/cgroup has processes, beside which v2 hands down no controller"
    );
    let mut closed = v1();
    closed.parents[3].closed = Some(crate::Closed::Denied);
    assert_eq!(
        plan(&closed),
        "limit pids.max: no group can be made in /sys/fs/cgroup"
    );
}

#[test]
fn best_effort_goes_on_without_what_cannot_be_had() {
    let mut limits = Limits {
        pids: Some(Most::Of(1)),
        ..Limits::default()
    };
    limits.memory.high = Some(Most::Of(1));
    let placement = Placement {
        best_effort: true,
        ..Placement::default()
    };
    let blueprint = v1()
        .plan(&placement, &limits)
        .expect("as far as can be had");
    assert_eq!(blueprint.settings().len(), 1);
    assert_eq!(blueprint.refused()[0].limit, "memory.high");
}
