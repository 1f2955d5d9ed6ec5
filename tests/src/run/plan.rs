//! `--plan`: the same words every time, and nothing done.

use warren_testkit::{Test, golden, normalised, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_plan_is_the_same_twice,
        a_plan_runs_nothing,
        a_plan_of_something_impossible_fails_as_the_run_would;
    User:
        the_plan_of_the_default_is_as_kept,
        the_plan_of_a_read_only_host_is_as_kept,
        the_plan_of_binds_is_as_kept,
        the_plan_of_shared_namespaces_is_as_kept;
};

fn plan(options: &[&str]) -> String {
    let mut command = warren(["run", "--plan"]);
    command.args(options).args(["--", "sh", "-c", "exit 7"]);
    run(&mut command).succeeds().to_owned()
}

/// The plan, without what depends on the machine: ids, host name and the scratch folder.
fn stable(options: &[&str]) -> String {
    let user = rustix::process::geteuid().as_raw().to_string();
    let folder = scratch().display().to_string();
    let text = normalised(&plan(options), &[(&folder, "FOLDER"), (&user, "USER")]);
    format!("{text}\n")
}

fn a_plan_is_the_same_twice() {
    for options in [
        &[][..],
        &["--host-root"],
        &["--here", "--hostname", "burrow"],
    ] {
        assert_eq!(plan(options), plan(options));
    }
}

fn a_plan_runs_nothing() {
    let mut command = warren(["run", "--plan", "--here", "--", "touch", "made"]);
    run(&mut command).succeeds();
    assert!(!scratch().join("made").exists());
}

fn a_plan_of_something_impossible_fails_as_the_run_would() {
    let words = ["run", "--plan", "--bind", "/no/such", "/srv", "--", "true"];
    run(&mut warren(words)).is_refused("/no/such");
}

fn the_plan_of_the_default_is_as_kept() {
    golden("run_default", &stable(&["--map", "single"]));
}

fn the_plan_of_a_read_only_host_is_as_kept() {
    golden(
        "run_host_root",
        &stable(&["--map", "single", "--host-root"]),
    );
}

fn the_plan_of_binds_is_as_kept() {
    let options = [
        "--map",
        "single",
        "--here",
        "--tmpfs",
        "/srv/a",
        "--symlink",
        "a",
        "/srv/b",
    ];
    golden("run_binds", &stable(&options));
}

fn the_plan_of_shared_namespaces_is_as_kept() {
    let options = [
        "--map",
        "single",
        "--host-root",
        "--share",
        "net,ipc,uts,cgroup,time",
    ];
    golden("run_shared", &stable(&options));
}
