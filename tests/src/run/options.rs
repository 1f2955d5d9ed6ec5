//! Names, folders, environment, users and capabilities that are asked for.

use std::fs;

use warren_testkit::{Test, program, run, scratch, tests, warren};

use super::{inside_with, shell};

pub const TESTS: &[Test] = tests! {
    Both:
        the_working_folder_is_as_asked,
        env_sets_and_passes_and_clear_env_empties,
        a_shared_namespace_is_the_callers,
        an_asked_capability_is_held_and_no_other,
        a_kept_fd_reaches_the_command,
        trace_tells_each_step_and_its_time,
        a_single_map_has_one_id,
        a_policy_refuses_what_it_says_and_no_more,
        a_profile_of_a_container_runtime_is_taken,
        a_wrong_profile_is_refused_before_anything_is_made,
        an_unknown_capability_or_kind_is_refused_by_name,
        the_numbered_user_is_as_asked;
    Root:
        another_user_inside_has_another_id_outside;
};

fn the_working_folder_is_as_asked() {
    inside_with(&["--workdir", "/usr/lib"], "pwd").says("/usr/lib");
    run(&mut warren(["run", "--workdir", "/no/such", "--", "true"]))
        .is_refused("/no/such");
}

fn env_sets_and_passes_and_clear_env_empties() {
    let mut command = warren(["run", "--clear-env", "--env", "A=b c", "--env", "GIVEN"]);
    command
        .args(["--", "/usr/bin/env"])
        .env("GIVEN", "given")
        .env("SECRET", "secret");
    let output = run(&mut command);
    let mut lines: Vec<&str> = output.succeeds().lines().collect();
    lines.sort_unstable();
    output.expect("exactly two variables", lines == ["A=b c", "GIVEN=given"]);
}

fn a_shared_namespace_is_the_callers() {
    let output = inside_with(
        &["--share", "net,uts"],
        "readlink /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/ipc",
    );
    let lines: Vec<&str> = output.succeeds().lines().collect();
    let own = |kind: &str| {
        let link =
            fs::read_link(format!("/proc/self/ns/{kind}")).expect("read own namespace");
        link.to_string_lossy().into_owned()
    };
    output.expect("the caller's net", lines[0] == own("net"));
    output.expect("the caller's uts", lines[1] == own("uts"));
    output.expect("another ipc", lines[2] != own("ipc"));
}

fn an_asked_capability_is_held_and_no_other() {
    let output = inside_with(&["--cap-add", "CHOWN"], "cat /proc/self/status");
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        output.expect("CAP_CHOWN alone", output.field(set) == "0000000000000001");
    }
    let both = [
        "--cap-add",
        "CHOWN",
        "--cap-add",
        "KILL",
        "--cap-drop",
        "CHOWN",
    ];
    let output = inside_with(&both, "cat /proc/self/status");
    output.expect(
        "CAP_KILL alone",
        output.field("CapEff:") == "0000000000000020",
    );
}

fn a_kept_fd_reaches_the_command() {
    let file = scratch().join("kept");
    fs::write(&file, "kept\n").expect("write a file");
    let warren = warren_testkit::staged("warren");
    let script = format!(
        "exec 7<{} 8</etc/passwd; {} run --keep-fd 7 -- sh -c 'cat <&7; ls /proc/$$/fd; true'",
        file.display(),
        warren.display()
    );
    run(program("sh").args(["-c", &script])).says("kept\n0\n1\n2\n7");
}

fn trace_tells_each_step_and_its_time() {
    let output = run(&mut warren(["run", "--trace", "--", "echo", "said"]));
    output.says("said");
    output.complains("clone").complains("exec");
}

fn a_single_map_has_one_id() {
    let output = inside_with(&["--map", "single"], "cat /proc/self/uid_map");
    let numbers: Vec<&str> = output.succeeds().split_whitespace().collect();
    output.expect("one line from 0 for one id", numbers.len() == 3);
    output.expect(
        "one line from 0 for one id",
        numbers[0] == "0" && numbers[2] == "1",
    );
}

fn an_unknown_capability_or_kind_is_refused_by_name() {
    run(&mut warren(["run", "--cap-add", "FLY", "--", "true"]))
        .exits(125)
        .complains("FLY");
    run(&mut warren(["run", "--share", "sky", "--", "true"]))
        .exits(125)
        .complains("sky");
}

fn the_numbered_user_is_as_asked() {
    inside_with(&["--user", "0:0"], "id -u; id -g").says("0\n0");
}

fn another_user_inside_has_another_id_outside() {
    let folder = scratch().join("data");
    fs::create_dir(&folder).expect("make a folder");
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("open the folder");
    let source = folder.display().to_string();
    let options = ["--user", "1000:1000", "--bind", &source, "/srv"];
    let output = run(&mut shell(
        &options,
        "id -u; id -g; touch /srv/x; cut -c1-30 /proc/self/uid_map",
    ));
    let lines: Vec<&str> = output.succeeds().lines().collect();
    output.expect("user and group 1000", lines[..2] == ["1000", "1000"]);
    let outside: u32 = lines[2]
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("the map's second number");
    let metadata = fs::metadata(folder.join("x")).expect("look at the file");
    let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
    assert_eq!(
        owner,
        outside + 1000,
        "the file's owner on the host\n{output}"
    );
}

/// The folder of the test, with a profile in it.
fn with_profile(text: &str, script: &str) -> warren_testkit::Output {
    let file = scratch().join("profile");
    fs::write(&file, text).expect("write the profile");
    let mut command = warren(["run", "--seccomp"]);
    command.arg(file).args(["--", "/bin/sh", "-c", script]);
    run(&mut command)
}

fn a_policy_refuses_what_it_says_and_no_more() {
    let policy = "default allow\ndeny EXDEV mkdir mkdirat\nkill uname\n";
    let refused = with_profile(policy, "mkdir /tmp/a; echo $?");
    refused.says("1").complains("Invalid cross-device link");
    with_profile(policy, "uname; echo $?").says("159");
    with_profile(policy, "grep -c 'Seccomp_filters:.2' /proc/self/status").says("1");
    // What the fixed filter refuses stays refused, and the init has that alone.
    let refused = with_profile("default allow", "unshare -U true 2>&1; true");
    refused.says("unshare: unshare failed: Operation not permitted");
}

fn a_profile_of_a_container_runtime_is_taken() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [], "syscalls": [
        {"names": ["mkdir", "mkdirat", "a_call_of_tomorrow"], "errnoRet": 18,
         "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_NET_RAW"]}}]}"#;
    with_profile(json, "mkdir /tmp/a 2>/dev/null; echo $?").says("1");
    let file = scratch().join("profile");
    let mut command = warren(["run", "--cap-add", "NET_RAW", "--seccomp"]);
    command.arg(file).args(["--", "/bin/mkdir", "/tmp/a"]);
    run(&mut command).succeeds();
}

fn a_wrong_profile_is_refused_before_anything_is_made() {
    with_profile("default allow\nallow raed", "true")
        .is_refused("line 2: unknown system call");
    with_profile("{}", "true").is_refused("missing field `defaultAction`");
    with_profile("default allow\nnotify connect", "true")
        .is_refused("needs a supervisor");
    run(&mut warren(["run", "--seccomp", "/no/such", "--", "true"]))
        .is_refused("/no/such");
}
