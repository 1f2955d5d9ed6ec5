//! A run where another tool has put its caller: root of few ids, or under masks.

use warren_testkit::{Output, Test, program, run, staged, tests};

pub const TESTS: &[Test] = tests! {
    Both:
        root_of_a_user_namespace_can_run,
        root_of_all_namespaces_of_its_own_can_run,
        a_covered_proc_is_named_with_the_way_out,
        a_run_in_a_run_is_refused_with_the_reason;
};

/// `PROGRAM OPTIONS warren run -- id -u`.
fn under(tool: &str, options: &[&str]) -> Output {
    let mut command = program(tool);
    command.args(options).arg(staged("warren"));
    run(command.args(["run", "--", "id", "-u"]))
}

fn root_of_a_user_namespace_can_run() {
    under("unshare", &["--user", "--map-root-user"]).says("0");
}

fn root_of_all_namespaces_of_its_own_can_run() {
    let options = ["--map-root-user", "--mount", "--net", "--ipc", "--uts"];
    let more = ["--cgroup", "--pid", "--fork", "--mount-proc"];
    under("unshare", &[&options[..], &more].concat()).says("0");
}

fn a_covered_proc_is_named_with_the_way_out() {
    let options = ["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/"];
    let more = [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/proc/tty",
        "--",
    ];
    let output = under("bwrap", &[&options[..], &more].concat());
    output.is_refused("mount a procfs at /proc: Operation not permitted");
    output
        .complains("parts of /proc are covered")
        .complains("--share pid");
}

fn a_run_in_a_run_is_refused_with_the_reason() {
    let warren = staged("warren").display().to_string();
    let mut outer = warren_testkit::warren(["run", "--ro-bind", &warren, "/srv/warren"]);
    let output = run(outer.args(["--", "/srv/warren", "run", "--", "true"]));
    output.is_refused("clone a process into new namespaces");
    output.complains("this process runs under a seccomp filter");
}
