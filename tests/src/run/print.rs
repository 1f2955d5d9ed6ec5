//! `--print`: what others make of it, run with Debian's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use warren_testkit::{Output, Test, program, run, scratch, tests, warren};

use super::inside_with;

pub const TESTS: &[Test] = tests! {
    Both:
        what_is_printed_for_bubblewrap_does_the_same,
        what_is_printed_for_unshare_runs,
        a_unit_of_systemd_is_taken_by_its_checker,
        nothing_is_run_and_every_loss_is_told,
        words_survive_the_shell;
    Root:
        what_is_printed_for_runtimes_does_the_same_with_runc,
        what_is_printed_for_runtimes_does_the_same_with_crun,
        a_tree_of_the_hosts_is_a_root_for_runtimes;
};

/// What tells isolation apart, in lines that are the same wherever it is the same.
const LOOK: &str = "id -u; pwd; hostname; ls /; \
    touch /x 2>/dev/null || echo sealed; touch /tmp/x && echo wrote; \
    wc -c </etc/shadow 2>/dev/null || echo 0; \
    grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; \
    unshare -U true 2>/dev/null || echo no user namespace; \
    grep -c : /proc/net/dev; tr '\\0' '\\n' </proc/self/environ | sort";

/// What is printed in `language` for a run of `script` with `options`.
fn printed(language: &str, options: &[&str], script: &str) -> Output {
    let mut command = warren(["run", "--print", language]);
    command.args(options).args(["--", "sh", "-c", script]);
    let output = run(&mut command);
    output.succeeds();
    output
}

/// Runs a text as a script of `sh`.
fn run_script(text: &str) -> Output {
    let file = scratch().join("script");
    fs::write(&file, text).expect("write the script");
    run(program("sh").arg(&file))
}

/// A bundle of the config.json that is printed.
fn bundle(options: &[&str], script: &str) -> PathBuf {
    let folder = scratch().join("bundle");
    let root = folder.join("rootfs");
    fs::create_dir_all(&root).expect("make a bundle");
    // Whoever the container's root is makes mount points in it.
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).expect("open it");
    let text = printed("oci", options, script).stdout;
    fs::write(folder.join("config.json"), text).expect("write config.json");
    folder
}

fn what_is_printed_for_bubblewrap_does_the_same() {
    for options in [
        &["--map", "single"][..],
        &["--map", "single", "--host-root", "--workdir", "/usr"],
        &[
            "--map",
            "single",
            "--tmpfs",
            "/srv/a",
            "--ro-bind",
            "/etc",
            "/srv/a/b",
        ],
        &[
            "--map",
            "single",
            "--share",
            "net",
            "--cap-add",
            "KILL",
            "--env",
            "A=b c",
        ],
    ] {
        let ours = inside_with(options, LOOK);
        let theirs = run_script(&printed("bwrap", options, LOOK).stdout);
        ours.succeeds();
        theirs.says(ours.stdout.trim_end());
    }
}

fn words_survive_the_shell() {
    let script = "printf '%s|' \"$0\" \"$@\"";
    let words = [
        "it's", "a  b", "$HOME", "\n", "", "\\", "*", "\"q\"", "`id`", "-x",
    ];
    let mut command = warren(["run", "--map", "single", "--print", "bwrap"]);
    command.args(["--", "sh", "-c", script]).args(words);
    let output = run(&mut command);
    output.succeeds();
    let said = run_script(&output.stdout);
    said.expect(
        "each word as it was",
        said.stdout == format!("{}|", words.join("|")),
    );
}

fn what_is_printed_for_unshare_runs() {
    let options = ["--map", "single", "--host-root", "--workdir", "/"];
    let script = "id -u; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; \
        ls /proc | grep -c '^[0-9]'; grep -c : /proc/net/dev; tr '\\0' '\\n' </proc/self/environ";
    let text = printed("unshare", &options, script);
    text.has("# less isolated: no system call is refused");
    let theirs = run_script(&text.stdout);
    theirs.has("0\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n");
    theirs.has("HOME=/root\n");
}

fn a_unit_of_systemd_is_taken_by_its_checker() {
    let options = [
        "--ro-bind",
        "/usr",
        "/srv/a:b c",
        "--env",
        "A=50% \"of\" $HOME",
        "--cap-add",
        "KILL",
    ];
    let text = printed("systemd", &options, "echo $HOME 100%").stdout;
    let file = scratch().join("contained.service");
    fs::write(&file, text).expect("write the unit");
    let output = run(program("systemd-analyze").arg("verify").arg(&file));
    output.succeeds();
    output.expect("no complaint", output.stderr.is_empty());
}

fn nothing_is_run_and_every_loss_is_told() {
    for language in ["bwrap", "oci", "systemd", "unshare"] {
        let mut command = warren(["run", "--here", "--print", language]);
        command.args(["--connect-port", "80", "--", "touch", "made"]);
        let output = run(&mut command);
        output.succeeds();
        let all = format!("{}{}", output.stdout, output.stderr);
        output.expect(
            "ports are a loss",
            all.contains("all TCP ports can be used"),
        );
        assert!(!scratch().join("made").exists(), "{language}");
    }
    run(&mut warren(["run", "--print", "nroff", "--", "true"])).is_refused("nroff");
}

fn runc(folder: &PathBuf) -> Output {
    let state = scratch().join("runc");
    let mut command = program("runc");
    command.arg("--root").arg(state);
    run(command
        .args(["run", "--bundle"])
        .arg(folder)
        .arg("warren-print"))
}

/// crun refuses both hierarchies of control groups at once; it sees the new one alone. It
/// gives its standard input to the container's root, even where that is the machine's
/// /dev/null: a pipe stands in for it.
fn crun(folder: &PathBuf) -> Output {
    let script = "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; : | \"$@\"";
    let state = scratch().join("crun");
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", "crun", "--root"]);
    command.arg(state).arg("--cgroup-manager=disabled");
    run(command
        .args(["run", "--bundle"])
        .arg(folder)
        .arg("warren-print"))
}

fn what_is_printed_for_runtimes_does_the_same_with_runc() {
    for options in [
        &[][..],
        &["--share", "user"],
        &["--tmpfs", "/srv/a", "--env", "A=b c"],
    ] {
        let folder = bundle(options, LOOK);
        runc(&folder).says(inside_with(options, LOOK).stdout.trim_end());
        fs::remove_dir_all(folder).expect("remove the bundle");
    }
}

fn what_is_printed_for_runtimes_does_the_same_with_crun() {
    for options in [
        &[][..],
        &["--share", "user", "--user", "7:8", "--cap-add", "KILL"],
    ] {
        let folder = bundle(options, LOOK);
        crun(&folder).says(inside_with(options, LOOK).stdout.trim_end());
        fs::remove_dir_all(folder).expect("remove the bundle");
    }
}

fn a_tree_of_the_hosts_is_a_root_for_runtimes() {
    let options = ["--host-root", "--share", "user", "--workdir", "/usr"];
    let script = "pwd; ls /usr/bin | wc -l; touch /usr/x 2>/dev/null || echo sealed";
    let folder = bundle(&options, script);
    runc(&folder).says(inside_with(&options, script).stdout.trim_end());
}
