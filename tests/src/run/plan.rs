//! `--plan`: the same words every time, and nothing done.

use std::fs;

use warren_testkit::{Test, golden, normalised, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_plan_is_the_same_twice,
        a_plan_runs_nothing,
        a_plan_of_something_impossible_fails_as_the_run_would,
        the_plan_of_the_default_shows_the_hosts_system_and_no_more;
    User:
        the_plan_of_a_read_only_host_is_as_kept,
        the_plan_of_shared_namespaces_is_as_kept,
        the_plan_of_another_root_is_as_kept;
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

/// What is in / differs from machine to machine, so this one is not kept whole.
fn the_plan_of_the_default_shows_the_hosts_system_and_no_more() {
    let text = plan(&[]);
    for part in [
        " clone a process into new namespaces mnt,net,ipc,user,pid,uts,cgroup,time\n",
        " make an empty root\n",
        " /usr, read-only\n",
        " /etc, read-only\n",
        " make the root itself read-only\n",
        " set the capabilities none\n",
        " give up new privileges (no_new_privs)\n",
        " load the system-call filter\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.ends_with(" execute sh"), "{text}");
    for private in ["home", "root", "run", "srv", "tmp", "var"] {
        let made = format!(" make the writable folder /{private}, mode ");
        let [bind, tree] = ["bind", "tree"].map(|how| format!("{how} /{private}"));
        let shown = text.contains(&bind) || text.contains(&tree);
        assert!(text.contains(&made) && !shown, "/{private} in\n{text}");
    }
}

fn the_plan_of_a_read_only_host_is_as_kept() {
    let options = ["--map", "single", "--host-root", "--workdir", "/usr"];
    golden("run_host_root", &stable(&options));
}

fn the_plan_of_shared_namespaces_is_as_kept() {
    let kinds = "net,ipc,uts,cgroup,time";
    let options = ["--map", "single", "--host-root", "--workdir", "/usr"];
    let shared = [&options[..], &["--share", kinds]].concat();
    golden("run_shared", &stable(&shared));
}

fn the_plan_of_another_root_is_as_kept() {
    let root = scratch().join("root");
    for folder in ["dev", "proc", "srv", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("make a root");
    }
    let root = root.display().to_string();
    let words = "--map single --ro-bind /usr /srv --tmpfs /tmp/a --symlink a /tmp/b \
        --env K=V --user 0:0 --cap-add NET_RAW --workdir /tmp";
    let options = [
        &["--root", &root][..],
        &words.split_whitespace().collect::<Vec<_>>(),
    ];
    golden("run_root", &stable(&options.concat()));
}
