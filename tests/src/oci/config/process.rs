//! `process`: who the program is, and with which rights and priorities it runs.

use serde_json::json;
use warren_testkit::{Test, program, run, tests, warren};

use super::Bundle;

pub const TESTS: &[Test] = tests! {
    Root:
        ids_groups_and_umask_are_those_given,
        home_is_that_of_the_containers_passwd,
        the_callers_groups_are_kept_where_an_engine_asks_for_it,
        each_set_of_capabilities_is_its_own,
        limits_and_scores_are_set,
        a_scheduling_policy_is_set,
        a_priority_of_input_and_output_is_set,
        a_console_is_the_containers_own,
        a_filter_needs_no_no_new_privs,
        a_filter_is_loaded_with_its_flags,
        the_personality_is_another_machines,
        memory_comes_from_the_nodes_that_are_given,
        a_label_that_no_module_knows_is_refused,
        a_wrong_property_is_refused_with_its_path;
};

fn ids_groups_and_umask_are_those_given() {
    let user =
        json!({"uid": 1234, "gid": 2345, "additionalGids": [5, 44], "umask": 0o27});
    let bundle = Bundle::new(&[("process/user", user)]);
    let script = "grep -E '^(Uid|Gid|Groups):' /proc/self/status; umask; id -u";
    bundle.as_runc(script).has("Groups:\t5 44");
}

fn home_is_that_of_the_containers_passwd() {
    let bundle = Bundle::new(&[("process/user", json!({"uid": 7, "gid": 7}))]);
    bundle.as_runc("echo $HOME").says("/");
    let passwd = bundle.root().join("etc/passwd");
    std::fs::write(passwd, "seven:x:7:7::/home/seven:/bin/sh\n").expect("a passwd");
    bundle.as_runc("echo $HOME").says("/home/seven");
}

/// As podman asks for with `--group-add keep-groups`.
fn the_callers_groups_are_kept_where_an_engine_asks_for_it() {
    let mut bundle = Bundle::new(&[("process/user/additionalGids", json!([9]))]);
    let groups = |bundle: &Bundle| {
        bundle.write("id -G");
        let mut setpriv = program("setpriv");
        setpriv.args(["--groups", "7", "--"]);
        setpriv.arg(warren(["run"]).get_program());
        let output = run(setpriv.args(["run", "--from", "oci"]).arg(&bundle.folder));
        output.succeeds().to_owned()
    };
    assert_eq!(groups(&bundle), "0 9");
    bundle.set("annotations", json!({"run.oci.keep_original_groups": "1"}));
    assert_eq!(groups(&bundle), "0 7");
}

fn each_set_of_capabilities_is_its_own() {
    let sets = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"],
        "permitted": ["CAP_KILL", "CAP_CHOWN"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    });
    let script = "grep Cap /proc/self/status";
    for uid in [0, 1000] {
        let bundle = Bundle::new(&[
            ("process/capabilities", sets.clone()),
            ("process/user/uid", json!(uid)),
        ]);
        bundle.as_runc(script);
    }
    // Nothing is inherited that was not asked for (CVE-2022-29162).
    Bundle::new(&[])
        .as_runc(script)
        .has("CapInh:\t0000000000000000");
    let unknown =
        Bundle::new(&[("process/capabilities/bounding", json!(["CAP_FUTURE"]))]);
    unknown
        .ours("echo ran")
        .says("ran")
        .complains("ignoring unknown or unavailable capabilities: [CAP_FUTURE]");
    let inheritable = Bundle::new(&[
        (
            "process/capabilities",
            json!({"inheritable": ["CAP_KILL"], "bounding": ["CAP_KILL"]}),
        ),
        ("process/user/uid", json!(1000)),
    ]);
    inheritable
        .as_runc(script)
        .has("CapInh:\t0000000000000020\nCapPrm:\t0000000000000000");
    // The kernel makes none inheritable that is not in the bounding set.
    let outside = Bundle::new(&[
        ("process/capabilities/bounding", json!(["CAP_KILL"])),
        (
            "process/capabilities/inheritable",
            json!(["CAP_KILL", "CAP_CHOWN"]),
        ),
    ]);
    outside
        .ours("grep CapInh /proc/self/status")
        .says("CapInh:\t0000000000000020")
        .complains("can't raise inheritable capability CAP_CHOWN");
}

fn limits_and_scores_are_set() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    let bundle = Bundle::new(&[
        ("process/rlimits", limits),
        ("process/oomScoreAdj", json!(321)),
    ]);
    let script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj";
    bundle.as_runc(script).says("100\n200\n0\n321");
}

/// Nice value and policy of a process, as proc(5) has them.
const POLICY: &str = "sed 's/.*) //' /proc/self/stat | cut -d' ' -f17,39";

fn a_scheduling_policy_is_set() {
    for (scheduler, seen) in [
        (json!({"policy": "SCHED_OTHER", "nice": 7}), "7 0"),
        (json!({"policy": "SCHED_BATCH", "nice": 5}), "5 3"),
        (json!({"policy": "SCHED_IDLE"}), "0 5"),
    ] {
        Bundle::new(&[("process/scheduler", scheduler)])
            .ours(POLICY)
            .says(seen);
    }
    // Whether real time is to be had here the machine says; if not, that is said.
    for scheduler in [
        json!({"policy": "SCHED_FIFO", "priority": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
        json!({"policy": "SCHED_RR", "priority": 99}),
        json!({"policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 30_000_000,
            "period": 30_000_000, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
    ] {
        let output = Bundle::new(&[("process/scheduler", scheduler)]).ours("echo ran");
        let is_said = output.stderr.contains("set the scheduling policy")
            && output.stderr.contains("hint: ");
        output.expect("ran, or said why not", output.stdout == "ran\n" || is_said);
    }
}

fn a_priority_of_input_and_output_is_set() {
    let priority = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    let bundle = Bundle::new(&[("process/ioPriority", priority)]);
    bundle.ours("ionice").says("best-effort: prio 6");
    let idle = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    Bundle::new(&[("process/ioPriority", idle)])
        .ours("ionice")
        .says("idle");
}

fn a_console_is_the_containers_own() {
    let bundle = Bundle::new(&[
        ("process/terminal", json!(true)),
        ("process/consoleSize", json!({"height": 33, "width": 77})),
    ]);
    let script = "tty; stty size; stat -c %t:%T /dev/console /dev/pts/0 | uniq | wc -l; \
        stat -f -c %T /dev/console; ls /dev/pts | tr '\n' ' '";
    let output = bundle.ours(script);
    let said = output.succeeds().replace('\r', "");
    let expected = "/dev/pts/0\n33 77\n1\ndevpts\n0 ptmx ";
    output.expect("its own terminal", said.trim_end() == expected.trim_end());
}

fn a_filter_needs_no_no_new_privs() {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]});
    for no_new_privs in [true, false] {
        let bundle = Bundle::new(&[
            ("linux/seccomp", seccomp.clone()),
            ("process/noNewPrivileges", json!(no_new_privs)),
            ("process/user/uid", json!(1000)),
        ]);
        let script = "grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status; \
            mkdir /tmp/x 2>&1 | grep -o 'not supported'";
        let output = bundle.as_runc(script);
        output.has(&format!("NoNewPrivs:\t{}", u8::from(no_new_privs)));
        output.has("not supported");
    }
}

fn a_filter_is_loaded_with_its_flags() {
    let mut seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [{"names": ["mkdirat", "mkdir", "of_the_future"],
            "action": "SCMP_ACT_ERRNO"}]});
    let bundle = Bundle::new(&[("linux/seccomp", seccomp.clone())]);
    let script =
        "grep Seccomp: /proc/self/status; mkdir /tmp/x 2>&1 | grep -o 'not permitted'";
    bundle.as_crun(script).says("Seccomp:\t2\nnot permitted");
    // Nobody here can make the calls of others.
    seccomp["architectures"] = json!(["SCMP_ARCH_S390X", "SCMP_ARCH_X86_64"]);
    let foreign = Bundle::new(&[("linux/seccomp", seccomp.clone())]);
    foreign.ours(script).says("Seccomp:\t2\nnot permitted");
    seccomp["flags"] = json!(["SECCOMP_FILTER_FLAG_FLY"]);
    let bundle = Bundle::new(&[("linux/seccomp", seccomp)]);
    bundle
        .ours("true")
        .is_refused("linux.seccomp.flags: unknown flag");
}

fn the_personality_is_another_machines() {
    let bundle = Bundle::new(&[("linux/personality", json!({"domain": "LINUX32"}))]);
    bundle.as_crun("uname -m");
    let bundle = Bundle::new(&[("linux/personality", json!({"domain": "LINUX"}))]);
    bundle.as_crun("uname -m");
}

fn memory_comes_from_the_nodes_that_are_given() {
    let policy =
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let output = Bundle::new(&[("linux/memoryPolicy", policy)])
        .ours("grep -q 'bind=static:0' /proc/self/numa_maps && echo bound");
    // A kernel without NUMA has neither the call nor the file.
    let is_said = output.stderr.contains("set the memory policy");
    output.expect(
        "bound, or said why not",
        output.stdout == "bound\n" || is_said,
    );
    let policy = json!({"mode": "MPOL_BIND", "nodes": "60"});
    Bundle::new(&[("linux/memoryPolicy", policy)])
        .ours("true")
        .is_refused("set the memory policy 0x2 of nodes 60");
}

fn a_label_that_no_module_knows_is_refused() {
    let has_apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'));
    let bundle = Bundle::new(&[("process/apparmorProfile", json!("warren-has-no-such"))]);
    bundle.ours("true").is_refused(match has_apparmor {
        true => "ask for the label exec warren-has-no-such",
        false => "process.apparmorProfile: AppArmor is not enabled on this host",
    });
    if has_apparmor {
        let bundle = Bundle::new(&[("process/apparmorProfile", json!("unconfined"))]);
        bundle
            .ours("cat /proc/self/attr/current")
            .says("unconfined");
    }
}

fn a_wrong_property_is_refused_with_its_path() {
    for (place, value, words) in [
        (
            "ociVersion",
            json!("2.0.0"),
            "ociVersion: expected a version 1",
        ),
        (
            "process/scheduler",
            json!({"policy": "SCHED_FLY"}),
            "process.scheduler.policy: unknown policy",
        ),
        (
            "process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "deadline": 20_000_000}),
            "process.scheduler.runtime: SCHED_DEADLINE needs 1024 ns at least",
        ),
        (
            "process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 2_000, "deadline": 1_000}),
            "process.scheduler.deadline: is shorter than the runtime",
        ),
        (
            "process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 2_000, "deadline": 2_000,
                "period": 1_999}),
            "process.scheduler.period: is shorter than the deadline",
        ),
        (
            "process/rlimits",
            json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type: unknown resource",
        ),
        (
            "linux/rootfsPropagation",
            json!("up"),
            "linux.rootfsPropagation: unknown propagation",
        ),
        (
            "linux/devices",
            json!([{"path": "x", "type": "c"}]),
            "linux.devices[0].path: expected an absolute path",
        ),
        (
            "linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_FLY"}),
            "linux.seccomp: unknown action",
        ),
    ] {
        Bundle::new(&[(place, value)])
            .ours("echo ran")
            .is_refused(words);
    }
    // What nobody knows harms nobody.
    let bundle = Bundle::new(&[
        ("linux/future", json!({"a": 1})),
        ("ociVersion", json!("1.9.0")),
    ]);
    bundle.ours("echo ran").says("ran");
}
