//! What of the host is shown and how, beyond plain binds.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use warren_testkit::{Output, Test, program, run, scratch, tests, warren};

use super::inside_with;

pub const TESTS: &[Test] = tests! {
    Both:
        an_overlay_takes_all_changes_and_the_host_none,
        a_lower_folder_lies_under_the_overlay,
        a_read_only_overlay_cannot_be_written,
        a_tmpfs_has_the_size_and_mode_asked_for,
        a_file_has_what_a_descriptor_gives,
        a_file_has_the_text_given,
        a_folder_is_shown_by_its_descriptor,
        a_folder_by_descriptor_stays_the_same_when_its_path_is_swapped,
        a_mount_forbids_what_it_is_told_to,
        a_mode_is_changed_inside_alone,
        a_mode_does_not_reach_through_a_symlink_out_of_the_root,
        bad_words_are_refused_by_name,
        two_thousand_binds_are_linear;
    User:
        changes_of_an_overlay_stay_in_the_folder_asked_for;
    Root:
        a_device_opens_only_where_it_is_bound_as_one;
};

/// A folder of the scratch folder that everybody may use.
fn folder(name: &str) -> PathBuf {
    let path = scratch().join(name);
    fs::DirBuilder::new()
        .mode(0o777)
        .create(&path)
        .expect("a new folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("its mode");
    path
}

fn folder_with(name: &str, file: &str, text: &str) -> String {
    let path = folder(name);
    fs::write(path.join(file), text).expect("a file");
    path.display().to_string()
}

fn an_overlay_takes_all_changes_and_the_host_none() {
    let tree = folder_with("tree", "old", "old\n");
    let script = "cd /srv/t; cat old; echo new > new; echo changed > old; cat old new; \
                  rm old; ls";
    inside_with(&["--overlay", &tree, "/srv/t"], script).says("old\nchanged\nnew\nnew");
    let names: Vec<_> = fs::read_dir(&tree).expect("the tree").collect();
    assert_eq!(names.len(), 1);
    let old = fs::read_to_string(format!("{tree}/old")).expect("the file");
    assert_eq!(old, "old\n");
}

fn a_lower_folder_lies_under_the_overlay() {
    let below = folder_with("below", "both", "below\n");
    fs::write(format!("{below}/only"), "only below\n").expect("a file");
    let above = folder_with("above", "both", "above\n");
    let options = ["--lower", &below, "--overlay", &above, "/srv/t"];
    inside_with(&options, "cat /srv/t/both /srv/t/only").says("above\nonly below");
    run(&mut warren(["run", "--lower", &below, "--", "true"]))
        .is_refused("--lower: no overlay follows it");
}

fn a_read_only_overlay_cannot_be_written() {
    let below = folder_with("below", "a", "a\n");
    let above = folder_with("above", "b", "b\n");
    let options = ["--lower", &below, "--ro-overlay", &above, "/srv/t"];
    inside_with(
        &options,
        "cat /srv/t/a /srv/t/b; touch /srv/t/c 2>&1 || true",
    )
    .says("a\nb\ntouch: cannot touch '/srv/t/c': Read-only file system");
}

fn changes_of_an_overlay_stay_in_the_folder_asked_for() {
    let tree = folder_with("tree", "old", "old\n");
    // Characters that overlayfs takes for its own in a path.
    let upper = folder("up:pe,r\\").display().to_string();
    let work = folder("work").display().to_string();
    let options = ["--overlay-into", &tree, &upper, &work, "/srv/t"];
    inside_with(&options, "echo new > /srv/t/new; cat /srv/t/old").says("old");
    inside_with(&options, "cat /srv/t/new").says("new");
    assert!(fs::exists(format!("{upper}/new")).expect("a look"));
    assert!(!fs::exists(format!("{tree}/new")).expect("a look"));
    // What overlayfs left there has no mode by which anybody but root could remove it.
    let inner = format!("{work}/work");
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).expect("its mode");
}

fn a_tmpfs_has_the_size_and_mode_asked_for() {
    let script = "stat -c %a /srv/t; dd if=/dev/zero of=/srv/t/f bs=1K count=65 2>&1 | \
                  grep -o 'No space left on device'; stat -c %s /srv/t/f";
    inside_with(&["--tmpfs", "/srv/t:size=64K,mode=1770"], script)
        .says("1770\nNo space left on device\n65536");
    let wrong = run(&mut warren([
        "run",
        "--tmpfs",
        "/srv/t:noexec",
        "--",
        "true",
    ]));
    wrong.is_refused("no option 'noexec'");
}

/// What a shell says that has opened `path` as descriptor 7 for Warren.
#[track_caller]
fn with_seven(path: &str, options: &str, script: &str) -> Output {
    let warren = warren_testkit::staged("warren");
    let warren = warren.display();
    let line = format!("exec {warren} run {options} -- sh -c '{script}' 7<'{path}'");
    run(program("sh").args(["-c", &line]))
}

fn a_file_has_what_a_descriptor_gives() {
    let tree = folder_with("tree", "file", "text\n");
    let script = "cat /srv/f; stat -c %a /srv/f; ls /proc/self/fd | wc -l";
    with_seven(&format!("{tree}/file"), "--file 7 /srv/f", script).says("text\n644\n4");
    run(&mut warren(["run", "--file", "7", "/srv/f", "--", "true"]))
        .is_refused("--file 7: the descriptor is not open");
}

fn a_file_has_the_text_given() {
    let options = ["--dir", "/srv/d", "--data", "a = 1", "/srv/d/conf"];
    inside_with(
        &options,
        "cat /srv/d/conf; echo; echo more >> /srv/d/conf; ls /srv",
    )
    .says("a = 1\nd");
}

fn a_folder_is_shown_by_its_descriptor() {
    let tree = folder_with("tree", "file", "text\n");
    let script = "cat /srv/t/file; touch /srv/t/x 2>&1 || true";
    with_seven(&tree, "--ro-bind-fd 7 /srv/t", script)
        .says("text\ntouch: cannot touch '/srv/t/x': Read-only file system");
    with_seven(
        &tree,
        "--bind-fd 7 /srv/t",
        "echo x > /srv/t/x; cat /srv/t/x",
    )
    .says("x");
    run(&mut warren(["run", "--bind-fd", "x", "/srv", "--", "true"]))
        .is_refused("expected the number of a descriptor");
}

/// What a check has looked at is what is mounted: a path could be swapped in between
/// (CVE-2024-42472).
fn a_folder_by_descriptor_stays_the_same_when_its_path_is_swapped() {
    let checked = folder_with("checked", "file", "checked\n");
    let secret = folder_with("secret", "file", "secret\n");
    let warren = warren_testkit::staged("warren");
    let warren = warren.display();
    let attack = |option: &str, source: &str| {
        let line = format!(
            "exec 7<{checked}; mv {checked} {checked}.old; ln -s {secret} {checked}; \
             {warren} run {option} {source} /srv/t -- cat /srv/t/file; \
             rm {checked}; mv {checked}.old {checked}"
        );
        run(program("sh").args(["-c", &line]))
    };
    attack("--ro-bind", &checked).says("secret");
    attack("--ro-bind-fd", "7").says("checked");
}

fn a_mount_forbids_what_it_is_told_to() {
    let tree = folder("tree").display().to_string();
    let script = "cp /usr/bin/true /srv/t/; /srv/t/true 2>&1 || true";
    inside_with(
        &["--bind", &tree, "/srv/t", "--forbid", "exec", "/srv/t"],
        script,
    )
    .says("sh: 1: /srv/t/true: Permission denied");
    let options = [
        "--bind",
        &tree,
        "/srv/t",
        "--forbid",
        "write,exec",
        "/srv/t",
    ];
    inside_with(&options, "touch /srv/t/x 2>&1 || true")
        .says("touch: cannot touch '/srv/t/x': Read-only file system");
    run(&mut warren([
        "run", "--forbid", "reading", "/tmp", "--", "true",
    ]))
    .is_refused("a mount cannot forbid 'reading'");
    run(&mut warren([
        "run", "--forbid", "exec", "/usr/lib", "--", "true",
    ]))
    .is_refused("let the mount at /usr/lib forbid to execute: Invalid argument");
}

fn a_mode_is_changed_inside_alone() {
    let options = ["--data", "x", "/srv/x", "--chmod", "4751", "/srv/x"];
    inside_with(&options, "stat -c %a /srv/x").says("4751");
    run(&mut warren(["run", "--chmod", "u+x", "/srv", "--", "true"]))
        .is_refused("'u+x' is no mode in octal");
}

fn a_mode_does_not_reach_through_a_symlink_out_of_the_root() {
    let outside = folder_with("outside", "file", "x\n");
    let file = format!("{outside}/file");
    let tree = folder("tree");
    std::os::unix::fs::symlink(&file, tree.join("link")).expect("a symlink");
    let tree = tree.display().to_string();
    let options = [
        "run",
        "--bind",
        &tree,
        "/srv/t",
        "--chmod",
        "777",
        "/srv/t/link",
    ];
    run(warren(options).args(["--", "true"]))
        .is_refused("change the mode of /srv/t/link to 777: No such file or directory");
    let mode = fs::metadata(&file).expect("the file").permissions().mode();
    assert_ne!(mode & 0o777, 0o777);
}

fn bad_words_are_refused_by_name() {
    for (words, part) in [
        (
            &["--bind", "/usr", "/"][..],
            "the root itself is no place to mount on",
        ),
        (&["--overlay", "/no/such", "/srv"], "look at /no/such"),
        (&["--overlay", "/etc/passwd", "/srv"], "Not a directory"),
        (&["--tmpfs", "/srv:size=0"], "'0' is no size"),
        (&["--dir", "/a/../b"], "may not have '..'"),
        (&["--hide", "a/../b"], "a pattern may not have '..'"),
    ] {
        let mut command = warren(["run"]);
        run(command.args(words).args(["--", "true"])).is_refused(part);
    }
}

/// At most twice as much a bind for two thousand as for two hundred.
fn two_thousand_binds_are_linear() {
    let took = |count: usize| {
        let mut command = warren(["run"]);
        for number in 0..count {
            let target = format!("/srv/d{number}");
            command.args(["--ro-bind", "/usr/share/doc", &target]);
        }
        command.args(["--", "true"]);
        let begin = std::time::Instant::now();
        run(&mut command).succeeds();
        begin.elapsed()
    };
    let few = (0..3).map(|_| took(200)).min().expect("three runs");
    let many = (0..3).map(|_| took(2000)).min().expect("three runs");
    assert!(many < few * 20, "200 took {few:?}, 2,000 took {many:?}");
}

fn a_device_opens_only_where_it_is_bound_as_one() {
    let read = "head -c 1 /srv/zero 2>/dev/null | wc -c";
    inside_with(&["--bind", "/dev/zero", "/srv/zero"], read).says("0");
    inside_with(&["--dev-bind", "/dev/zero", "/srv/zero"], read).says("1");
}
