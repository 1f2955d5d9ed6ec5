//! `--disk`: what vanishes with a run has one limit.

use std::process::Command;

use warren_testkit::{Test, eventually, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_disk_is_full_at_its_limit_and_not_before,
        all_that_vanishes_shares_the_limit,
        the_root_itself_shares_the_limit,
        a_size_of_its_own_stays_its_own,
        shared_memory_has_the_same_limit,
        what_is_removed_is_free_again,
        one_folder_leads_to_no_other,
        changes_in_a_limited_layer_are_told,
        a_full_layer_is_kept_as_far_as_it_came,
        a_layer_on_the_host_is_refused,
        no_size_is_refused,
        a_disk_has_a_size_and_a_folder;
    User:
        a_disk_in_a_folder_is_roots;
    Root:
        what_vanishes_can_lie_on_a_disk,
        changes_on_a_disk_are_told,
        a_killed_run_leaves_no_loop_device,
        a_disk_without_its_maker_says_what_is_missing;
};

/// `warren run --disk SIZE OPTIONS -- sh -c SCRIPT`
fn limited(size: &str, options: &[&str], script: &str) -> Command {
    let mut command = warren(["run", "--disk", size]);
    command.args(options).args(["--", "sh", "-c", script]);
    command
}

fn the_disk_is_full_at_its_limit_and_not_before() {
    let script = "head -c 8388608 /dev/zero > /tmp/x && echo whole; \
                  head -c 1 /dev/zero > /tmp/y || stat -c %s /tmp/x";
    let output = run(&mut limited("8M", &[], script));
    output.exits(0);
    assert_eq!(output.stdout, "whole\n8388608\n", "{output}");
    assert!(
        output.stderr.contains("No space left on device"),
        "{output}"
    );
}

fn all_that_vanishes_shares_the_limit() {
    let options = ["--tmpfs", "/a", "--overlay", "/etc", "/b"];
    let script = "for place in /tmp /a /b; do \
                  head -c 4M /dev/zero > $place/x && echo $place; done 2>/dev/null";
    let output = run(&mut limited("9M", &options, script));
    output.exits(1);
    assert_eq!(output.stdout, "/tmp\n/a\n", "{output}");
}

/// Beside overlays the root stays writable.
fn the_root_itself_shares_the_limit() {
    for options in [&["--host-root=overlay"][..], &["--overlay", "/etc", "/b"]] {
        let script = "head -c 4M /dev/zero > /tmp/x; head -c 4M /dev/zero > /x; \
                      stat -c %s /tmp/x; [ $(stat -c %s /x) -lt 4194304 ] && echo less";
        let output = run(&mut limited("6M", options, script));
        output.exits(0);
        assert_eq!(output.stdout, "4194304\nless\n", "{output}");
    }
}

fn a_size_of_its_own_stays_its_own() {
    let options = ["--tmpfs", "/a:size=2M"];
    let script =
        "head -c 2M /dev/zero > /a/x && head -c 1M /dev/zero > /tmp/x && echo whole";
    let output = run(&mut limited("1M", &options, script));
    output.exits(0);
    assert_eq!(output.stdout, "whole\n", "{output}");
}

fn shared_memory_has_the_same_limit() {
    let script = "head -c 2M /dev/zero > /dev/shm/x || stat -c %s /dev/shm/x";
    let output = run(&mut limited("1M", &[], script));
    output.exits(0);
    assert_eq!(output.stdout, "1048576\n", "{output}");
}

fn what_is_removed_is_free_again() {
    let script =
        "for i in 1 2 3; do head -c 1M /dev/zero > /tmp/$i && rm /tmp/$i || exit 1; done";
    run(&mut limited("1M", &[], script)).exits(0);
}

/// The layers lie beside each other in one filesystem, of which each mount shows one folder.
fn one_folder_leads_to_no_other() {
    let options = ["--tmpfs", "/a", "--overlay", "/etc", "/b"];
    let script = "touch /tmp/x; ls -A /a /tmp/.. | grep -c upper; stat -c %a /tmp /a";
    let output = run(&mut limited("1M", &options, script));
    output.exits(0);
    assert_eq!(output.stdout, "0\n1777\n755\n", "{output}");
}

/// The folders of layers are numbered, those of /tmp and the like among them.
fn changes_in_a_limited_layer_are_told() {
    let folder = scratch().join("work");
    std::fs::create_dir(&folder).expect("a folder of one's own");
    let folder = folder.display().to_string();
    let options = ["--tmpfs", "/a", "--overlay", &folder, "/b", "--changes"];
    let output = run(&mut limited("1M", &options, "echo > /b/new"));
    output.exits(0);
    assert!(
        output.stdout.contains("new") || output.stderr.contains("new"),
        "{output}"
    );
}

fn a_full_layer_is_kept_as_far_as_it_came() {
    let folder = scratch().join("work");
    std::fs::create_dir(&folder).expect("a folder of one's own");
    let (from, to) = (folder.display().to_string(), scratch().join("kept"));
    let kept = to.display().to_string();
    let options = ["--overlay", &from, "/b", "--keep-changes", &kept];
    run(&mut limited(
        "1M",
        &options,
        "head -c 2M /dev/zero > /b/big",
    ))
    .exits(1);
    let found = Command::new("find")
        .args([kept.as_str(), "-name", "big", "-size", "1048576c"])
        .output()
        .expect("find is there");
    assert!(!found.stdout.is_empty(), "the file is kept as it was");
}

fn a_layer_on_the_host_is_refused() {
    let folder = scratch().display().to_string();
    let options = ["--overlay-into", &folder, &folder, &folder, "/b"];
    let output = run(&mut limited("1M", &options, "true"));
    output.exits(125);
    assert!(
        output.stderr.contains("is one of what vanishes"),
        "{output}"
    );
}

fn no_size_is_refused() {
    let output = run(&mut limited("1X", &[], "true"));
    output.exits(125);
    assert!(
        output.stderr.starts_with("warren: --disk: '1X' is no size"),
        "{output}"
    );
}

fn a_disk_has_a_size_and_a_folder() {
    let folder = scratch().display().to_string();
    run(&mut warren(["run", "--disk-in", &folder, "true"])).complains("--disk <SIZE>");
    let output = run(&mut limited("1M", &["--disk-in", "/nowhere"], "true"));
    output.is_refused("/nowhere: No such file or directory");
}

fn a_disk_in_a_folder_is_roots() {
    let folder = scratch().display().to_string();
    let output = run(&mut limited("1M", &["--disk-in", &folder], "true"));
    output.is_refused("have a disk in ");
    output.complains("hint: a filesystem on a loop device is made by root alone");
}

fn what_vanishes_can_lie_on_a_disk() {
    let folder = scratch().display().to_string();
    let on_disk = ["--disk-in", &folder, "--tmpfs", "/a", "--host-root=overlay"];
    let script = "for place in /tmp /a /opt /; do stat -f -c %T $place; done; \
                  head -c 8000000 /dev/zero > /opt/x && echo whole; \
                  head -c 1M /dev/zero > /y || rm /opt/x; \
                  head -c 7M /dev/zero > /tmp/z && echo again";
    let output = run(&mut limited("8M", &on_disk, script));
    output.exits(0).complains("No space left on device");
    let kinds = "ext2/ext3\next2/ext3\noverlayfs\next2/ext3\n";
    assert_eq!(output.stdout, format!("{kinds}whole\nagain\n"), "{output}");
    let left = std::fs::read_dir(scratch()).expect("one's own").count();
    assert_eq!(left, 0, "the file has no name");
}

fn changes_on_a_disk_are_told() {
    let folder = scratch().join("work");
    std::fs::create_dir(&folder).expect("a folder of one's own");
    let folder = folder.display().to_string();
    let options = ["--disk-in", &folder, "--overlay", &folder, "/b", "--commit"];
    run(&mut limited("1M", &options, "echo kept > /b/new")).exits(0);
    let path = scratch().join("work/new");
    let new = std::fs::read_to_string(path).expect("it was committed");
    assert_eq!(new, "kept\n");
}

fn a_killed_run_leaves_no_loop_device() {
    let folder = scratch().display().to_string();
    let script = "df --output=source /tmp | tail -1; sleep 60";
    let mut child = limited("1M", &["--disk-in", &folder], script)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("warren starts");
    let mut device = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut device)
        .expect("a line");
    let name = device.trim().trim_start_matches("/dev/");
    let backing = format!("/sys/block/{name}/loop/backing_file");
    assert!(std::fs::exists(&backing).expect("sysfs"), "{device}");
    child.kill().expect("one's own child");
    child.wait().expect("one's own child");
    eventually("the loop device is clear", || {
        !std::fs::exists(&backing).expect("sysfs")
    });
}

fn a_disk_without_its_maker_says_what_is_missing() {
    let folder = scratch().display().to_string();
    let script =
        "mount -t tmpfs none /usr/sbin && mount -t tmpfs none /sbin; exec \"$@\"";
    let mut shell = program("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh"]);
    let command = limited("1M", &["--disk-in", &folder], "true");
    shell.arg(command.get_program()).args(command.get_args());
    let output = run(&mut shell);
    output.exits(125);
    output.complains("make a filesystem by mke2fs: it is not installed");
    output.complains("hint: install it (Debian: e2fsprogs), or let it be in memory");
}
