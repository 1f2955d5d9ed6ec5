//! Ways out that other tools have had, each tried.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use warren_testkit::{Test, program, run, scratch, staged, tests, warren};

use super::inside_with;

pub const TESTS: &[Test] = tests! {
    Both:
        a_working_folder_behind_a_magic_link_is_refused,
        a_link_in_the_tree_leads_no_mount_out_of_it,
        a_dev_that_is_a_link_makes_nothing_on_the_host,
        the_callers_arguments_are_not_to_be_read,
        the_callers_process_group_is_out_of_reach,
        a_descriptor_to_keep_is_the_callers_or_none,
        a_kept_descriptor_is_the_only_one;
    Root:
        a_mount_inside_does_not_spread_to_a_shared_host,
        the_hosts_devices_stay_as_they_are;
};

/// A root folder that a hostile hand has made, with the system bound into it.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        let path = scratch().join("tree");
        for name in ["usr", "proc", "dev", "tmp"] {
            fs::create_dir_all(path.join(name)).expect("make the tree");
        }
        for name in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), path.join(name)).expect("make a link");
        }
        Self(path)
    }

    fn options(&self) -> [String; 5] {
        let root = self.0.display().to_string();
        ["--root", &root, "--ro-bind", "/usr", "/usr"].map(str::to_owned)
    }

    fn inside(&self, options: &[&str], script: &str) -> warren_testkit::Output {
        let own = self.options();
        let all: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain(options.iter().copied())
            .collect();
        inside_with(&all, script)
    }
}

/// A device that is shown is the host's own inode: who is its owner inside, or covers a file
/// with it, could change it for everybody.
fn the_hosts_devices_stay_as_they_are() {
    let mode = |path: &str| {
        let metadata = fs::metadata(path).expect("every machine has it");
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions())
    };
    let before = [mode("/dev/full"), mode("/dev/null")];
    for options in [&["--share", "user"][..], &["--map", "0:0:65536"]] {
        let script = "for f in /dev/full /proc/keys /proc/kcore; do chmod g-w $f; done; \
                      echo x > /dev/null && ! echo x 2>&- > /dev/full";
        let output = inside_with(options, script);
        output.exits(0).complains("Read-only file system");
        assert_eq!(
            [mode("/dev/full"), mode("/dev/null")],
            before,
            "{options:?}"
        );
    }
}

/// CVE-2024-21626.
fn a_working_folder_behind_a_magic_link_is_refused() {
    let tree = Tree::new();
    for fd in 3..12 {
        let link = tree.0.join("work");
        let _ = fs::remove_file(&link);
        symlink(format!("/proc/self/fd/{fd}"), &link).expect("make a link");
        tree.inside(&["--workdir", "/work"], "pwd")
            .is_refused("/work");
    }
}

/// CVE-2021-30465 and bubblewrap's of 2026, without the race.
fn a_link_in_the_tree_leads_no_mount_out_of_it() {
    let tree = Tree::new();
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    symlink(&outside, tree.0.join("usr-link")).expect("make a link");
    symlink("../../../../../../..", tree.0.join("up")).expect("make a link");
    let own = outside.display().to_string();
    let up = format!("/up{own}/made");
    for target in ["/usr-link/made", &up] {
        // Resolved inside, the way may lead to a place that can be made or not.
        tree.inside(&["--bind", "/usr", target], "true");
        assert!(
            !outside.join("made").exists(),
            "{target} was made on the host"
        );
    }
}

/// CVE-2026-41579 of runc, CVE-2026-47766 of crun.
fn a_dev_that_is_a_link_makes_nothing_on_the_host() {
    let tree = Tree::new();
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    fs::remove_dir(tree.0.join("dev")).expect("remove dev");
    symlink(&outside, tree.0.join("dev")).expect("make a link");
    let output = tree.inside(&[], "true");
    output.expect("125", output.code() == 125);
    let made: Vec<_> = fs::read_dir(&outside).expect("the folder").collect();
    assert!(made.is_empty(), "{made:?}");
}

fn the_callers_arguments_are_not_to_be_read() {
    let output = inside_with(&["--env", "TOKEN=secret"], "tr '\\0' ' ' </proc/1/cmdline");
    assert_eq!(output.succeeds().trim(), "warren-init", "{output}");
}

/// kill(0) is for the whole process group, whatever pid namespace its members are in.
fn the_callers_process_group_is_out_of_reach() {
    let warren = staged("warren");
    let script = format!(
        "trap 'echo hit' TERM; {} run -- sh -c 'kill -TERM 0; sleep 5'; echo code $?",
        warren.display()
    );
    let mut shell = program("setsid");
    let output = run(shell.args(["--wait", "sh", "-c", &script]));
    assert_eq!(output.succeeds().trim(), "code 143", "{output}");
}

fn a_descriptor_to_keep_is_the_callers_or_none() {
    for number in 3..16 {
        let mut command = warren(["run", "--keep-fd"]);
        command.args([&number.to_string(), "--", "sh", "-c", "ls -l /proc/$$/fd"]);
        let output = run(&mut command);
        // The harness may have one open itself, which the program may then have.
        let own = Path::new("/proc/self/fd").join(number.to_string()).exists();
        output.expect("refused", own || output.code() == 125);
        output.expect("no procfs of the host", !output.stdout.contains(" /proc\n"));
    }
}

fn a_kept_descriptor_is_the_only_one() {
    let warren = staged("warren");
    let script = format!(
        "exec 7</etc/passwd 8</etc/group; \
         {} run --keep-fd 7 -- sh -c 'ls /proc/$$/fd; head -c 4 <&7 >/dev/null'",
        warren.display()
    );
    run(program("sh").args(["-c", &script])).says("0\n1\n2\n7");
}

fn a_mount_inside_does_not_spread_to_a_shared_host() {
    let warren = staged("warren").display().to_string();
    let script = format!(
        "mount --make-rshared /; before=$(wc -l </proc/self/mountinfo); cd /; \
         for root in '' --host-root --host-root=overlay '--share user'; do \
         {warren} run $root -- grep -E ' (shared|master):' /proc/self/mountinfo && echo spreads; \
         done; [ $before = $(wc -l </proc/self/mountinfo) ] && echo same"
    );
    let output = run(program("unshare").args(["--mount", "sh", "-c", &script]));
    assert_eq!(output.succeeds().trim(), "same", "{output}");
}
