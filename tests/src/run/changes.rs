//! `--changes`, `--commit`, `--keep-changes`: what a run wrote in overlays in memory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use warren_testkit::{
    Output, Running, Test, eventually, program, run, scratch, tests, warren,
};

pub const TESTS: &[Test] = tests! {
    Both:
        each_kind_of_change_is_told,
        a_commit_makes_the_folder_what_the_command_saw,
        an_odd_name_is_one_line_and_stays_a_name,
        a_commit_of_nothing_touches_nothing,
        only_success_is_committed_unless_always,
        hostile_links_are_made_and_never_followed,
        a_folder_that_the_host_swaps_for_a_symlink_is_left_alone,
        set_id_bits_and_sockets_are_left_out_and_named,
        what_the_command_locked_away_is_committed_all_the_same,
        ten_thousand_files_are_committed,
        a_big_file_is_committed_and_a_hole_takes_no_room,
        killing_the_supervisor_leaves_the_host_as_it_was,
        an_ephemeral_root_is_committed_without_its_mount_points,
        saved_changes_are_in_a_new_folder,
        json_says_all_of_it,
        a_terminal_and_a_watcher_change_nothing_of_it,
        without_an_overlay_in_memory_there_is_nothing_to_tell,
        what_the_caller_may_not_enter_is_no_matter_where_nothing_was_written,
        a_descriptor_of_warrens_own_is_not_passed_on;
    Root:
        owners_are_those_that_the_command_saw,
        a_full_disk_names_the_file_and_keeps_the_old;
};

/// What a folder has: each name with its kind, mode, target and content. `find` prints the
/// same inside and outside.
const MANIFEST: &str = "find . -mindepth 1 \\( -type f -printf '%p f %m ' -exec md5sum \
    -b {} \\; -o -type l -printf '%p l %l\\n' -o -printf '%p %y %m\\n' \\) | sort";

/// A folder of the host with something of each kind in it.
fn folder() -> PathBuf {
    let folder = scratch().join("work");
    for name in ["kept", "tree/deep/er", "again", "was_folder/in"] {
        fs::create_dir_all(folder.join(name)).expect("make a folder");
    }
    for (name, text) in [
        ("same", "same\n"),
        ("other", "before\n"),
        ("gone", "before\n"),
        ("kept/file", "kept\n"),
        ("tree/deep/er/leaf", "leaf\n"),
        ("tree/stem", "stem\n"),
        ("again/old", "old\n"),
        ("again/both", "both\n"),
        ("was_folder/in/it", "in\n"),
        ("was_file", "file\n"),
    ] {
        fs::write(folder.join(name), text).expect("write a file");
    }
    symlink("same", folder.join("link")).expect("make a symlink");
    folder
}

/// `warren run --overlay FOLDER /srv OPTIONS -- sh -c SCRIPT`, in /srv.
fn over(folder: &Path, options: &[&str], script: &str) -> Command {
    let mut command = warren(["run", "--workdir", "/srv", "--overlay"]);
    command.arg(folder).arg("/srv").args(options);
    command.args(["--", "sh", "-c", script]);
    command
}

fn manifest(folder: &Path) -> String {
    let mut command = program("sh");
    command.args(["-c", MANIFEST]).current_dir(folder);
    run(&mut command).succeeds().to_owned()
}

/// The lines of `--changes`, sorted.
fn told(output: &Output) -> Vec<&str> {
    output.stderr.lines().collect()
}

fn each_kind_of_change_is_told() {
    let folder = folder();
    let script = "echo after > other; rm gone; echo same > same; chmod 600 kept/file; \
        mkfifo pipe; mkdir new; echo new > new/file; ln -sfn other link; \
        mv tree moved; rm -r again; mkdir again; echo both > again/both; \
        rm -r was_folder; echo file > was_folder; rm was_file; mkdir was_file";
    let output = run(&mut over(&folder, &["--changes"], script));
    output.exits(0);
    let expected = [
        "D /srv/again/old",
        "D /srv/gone",
        "M /srv/kept/file",
        "M /srv/link",
        "A /srv/moved",
        "A /srv/moved/deep",
        "A /srv/moved/deep/er",
        "A /srv/moved/deep/er/leaf",
        "A /srv/moved/stem",
        "A /srv/new",
        "A /srv/new/file",
        "M /srv/other",
        "A /srv/pipe",
        "D /srv/tree",
        "M /srv/was_file",
        "M /srv/was_folder",
    ];
    output.expect(&format!("{expected:#?}"), told(&output) == expected);
}

fn a_commit_makes_the_folder_what_the_command_saw() {
    let folder = folder();
    let script = "echo after > other; rm gone; chmod 600 kept/file; chmod 750 kept; \
        mkfifo pipe; mkdir -p new/er; echo new > new/er/file; ln -sfn other link; \
        mv tree moved; rm -r again; mkdir -m 711 again; echo both > again/both; \
        rm -r was_folder; echo file > was_folder; rm was_file; mkdir was_file; \
        echo x > was_file/x; mkdir shut; echo y > shut/y; chmod 555 shut; \
        ln other hard; rm link; mkdir link; touch -d @1000000000 same other;";
    let output = run(&mut over(
        &folder,
        &["--commit"],
        &format!("{script} {MANIFEST}"),
    ));
    output.expect("silence", output.stderr.is_empty());
    assert_eq!(manifest(&folder), output.succeeds());
    let changed = fs::metadata(folder.join("other")).expect("it is there");
    assert_eq!(changed.mtime(), 1_000_000_000);
    // Nothing is left to commit.
    let again = run(&mut over(&folder, &["--changes"], "true"));
    again.exits(0).expect("silence", again.stderr.is_empty());
    fs::set_permissions(folder.join("shut"), Permissions::from_mode(0o755))
        .expect("ours");
}

fn an_odd_name_is_one_line_and_stays_a_name() {
    let folder = folder();
    let script = "printf x > \"$(printf 'a\\nb\\033[31m')\"; printf y > ./-rf; \
        printf z > \"$(printf '\\377')\"";
    let output = run(&mut over(&folder, &["--changes", "--commit"], script));
    output.exits(0);
    let expected = ["A /srv/-rf", r"A /srv/a\x0ab\x1b[31m", r"A /srv/\xff"];
    output.expect(&format!("{expected:#?}"), told(&output) == expected);
    let made = fs::read(folder.join("a\nb\x1b[31m")).expect("it was committed");
    assert_eq!(made, b"x");
}

fn a_commit_of_nothing_touches_nothing() {
    let folder = folder();
    let times = || {
        let mut command = program("find");
        command.args([".", "-printf", "%p %T@ %C@ %i\n"]);
        run(command.current_dir(&folder)).succeeds().to_owned()
    };
    let before = times();
    run(&mut over(&folder, &["--commit"], "ls -lR >/dev/null")).exits(0);
    assert_eq!(times(), before);
}

fn only_success_is_committed_unless_always() {
    let folder = folder();
    let script = "echo after > other; exit 3";
    run(&mut over(&folder, &["--commit"], script))
        .exits(3)
        .complains("nothing is committed: the command ended with 3")
        .complains("hint: --commit=always");
    let text = || fs::read_to_string(folder.join("other")).expect("it is there");
    assert_eq!(text(), "before\n");
    run(&mut over(&folder, &["--commit=always"], script)).exits(3);
    assert_eq!(text(), "after\n");
}

fn hostile_links_are_made_and_never_followed() {
    let folder = folder();
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    fs::write(outside.join("file"), "safe\n").expect("write a file");
    let script = "ln -s /etc/passwd passwd; ln -s ../outside up; ln -s .. kept/up; \
        rm -r tree; ln -s ../../outside tree; ln -sf ../outside/file same; \
        mkdir -p again/x; ln -s /proc/self/fd/0 again/x/fd";
    let output = run(&mut over(
        &folder,
        &["--commit"],
        &format!("{script}; {MANIFEST}"),
    ));
    assert_eq!(manifest(&folder), output.succeeds());
    let names: Vec<_> = fs::read_dir(&outside).expect("ours").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let text = fs::read_to_string(outside.join("file")).expect("ours");
    assert_eq!(text, "safe\n");
    // A second run, over what the first has left.
    let script = "rm up passwd; mkdir up; echo hostile > up/file; echo x > passwd";
    run(&mut over(&folder, &["--commit"], script)).exits(0);
    let text = fs::read_to_string(outside.join("file")).expect("ours");
    assert_eq!(text, "safe\n");
}

fn a_folder_that_the_host_swaps_for_a_symlink_is_left_alone() {
    let folder = folder();
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    fs::write(outside.join("file"), "safe\n").expect("write a file");
    let script = "trap 'exit 0' TERM; echo hostile > kept/file; echo good > other; \
        rm tree/stem; echo ready; while :; do sleep 0.05; done";
    let mut running = Running::start(&mut over(&folder, &["--commit"], script));
    assert_eq!(running.line(), "ready");
    for name in ["kept", "tree"] {
        fs::rename(folder.join(name), scratch().join(name)).expect("move it away");
        symlink(&outside, folder.join(name)).expect("make a symlink");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.ends(), 125);
    let text = fs::read_to_string(outside.join("file")).expect("ours");
    assert_eq!(text, "safe\n");
    let text = fs::read_to_string(folder.join("other")).expect("ours");
    assert_eq!(text, "good\n");
    assert!(folder.join("kept").is_symlink());
}

fn set_id_bits_and_sockets_are_left_out_and_named() {
    let folder = folder();
    let script = "echo x > program; chmod 6755 program; chmod 4755 same; perl -MSocket \
        -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"socket\"))'";
    run(&mut over(&folder, &["--commit"], script))
        .exits(0)
        .complains("left out: /srv/program: its set-id bits")
        .complains("left out: /srv/same: its set-id bits")
        .complains("left out: /srv/socket: a socket");
    for name in ["program", "same"] {
        let made = fs::metadata(folder.join(name)).expect("it is there");
        assert_eq!(made.permissions().mode() & 0o7777, 0o755);
    }
    assert!(!folder.join("socket").exists());
}

fn what_the_command_locked_away_is_committed_all_the_same() {
    let folder = folder();
    let script = "mkdir shut; echo x > shut/x; chmod 0 shut/x shut; chmod 0 other";
    run(&mut over(&folder, &["--commit"], script)).exits(0);
    let mode = |name| {
        let metadata = fs::metadata(folder.join(name)).expect("it is there");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode("shut"), mode("other")), (0, 0));
    fs::set_permissions(folder.join("shut"), Permissions::from_mode(0o755))
        .expect("ours");
    assert_eq!(mode("shut/x"), 0);
}

fn ten_thousand_files_are_committed() {
    let folder = folder();
    let script = "mkdir many; cd many; seq 10000 | xargs touch; echo x > 77";
    run(&mut over(&folder, &["--commit"], script)).exits(0);
    let names = fs::read_dir(folder.join("many")).expect("it was committed");
    assert_eq!(names.count(), 10_000);
    run(&mut over(&folder, &["--commit"], "rm -r many")).exits(0);
    assert!(!folder.join("many").exists());
}

fn a_big_file_is_committed_and_a_hole_takes_no_room() {
    let folder = folder();
    let script =
        "head -c 100000000 /dev/urandom > big; truncate -s 1T hole; md5sum < big";
    let output = run(&mut over(&folder, &["--commit"], script));
    let mut sum = program("md5sum");
    sum.stdin(fs::File::open(folder.join("big")).expect("it was committed"));
    assert_eq!(run(&mut sum).succeeds(), output.succeeds());
    let hole = fs::metadata(folder.join("hole")).expect("it was committed");
    assert_eq!((hole.len(), hole.blocks()), (1 << 40, 0));
}

fn killing_the_supervisor_leaves_the_host_as_it_was() {
    let folder = folder();
    let before = manifest(&folder);
    let script = "rm -r tree; echo x > other; echo ready; sleep 1000";
    let saved = scratch().join("saved");
    let saves = saved.display().to_string();
    let options = ["--commit=always", "--changes", "--keep-changes", &saves];
    let mut running = Running::start(&mut over(&folder, &options, script));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::KILL);
    assert_eq!(running.line_or_end(), None);
    assert_eq!(running.ends(), 137);
    assert_eq!(manifest(&folder), before);
    assert!(!saved.exists());
}

fn an_ephemeral_root_is_committed_without_its_mount_points() {
    let root = scratch().join("root");
    for folder in ["proc", "dev", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).expect("make a small root");
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{link}"), root.join(link)).expect("link");
    }
    let mut command = warren(["run", "--ephemeral", "--changes", "--commit", "--root"]);
    command.arg(&root);
    command.args(["--ro-bind", "/usr", "/usr", "--tmpfs", "/srv/a/b"]);
    command.args(["--", "sh", "-c", "echo x > /etc/x; echo y > /tmp/y"]);
    let output = run(&mut command);
    output.exits(0);
    output.expect("one change", told(&output) == ["A /etc/x"]);
    assert!(root.join("etc/x").exists());
    assert!(!root.join("usr").exists() && !root.join("srv").exists());
}

fn saved_changes_are_in_a_new_folder() {
    let folder = folder();
    let before = manifest(&folder);
    let saved = scratch().join("saved");
    let saves = saved.display().to_string();
    let script = "echo after > other; rm gone; mkdir -p a/b; echo x > a/b/c; \
        ln -s /etc/passwd a/link; chmod 4755 a/b/c";
    run(&mut over(&folder, &["--keep-changes", &saves], script)).exits(0);
    assert_eq!(manifest(&folder), before);
    let files = saved.join("0/files");
    let text = fs::read_to_string(files.join("a/b/c")).expect("it was saved");
    assert_eq!(text, "x\n");
    let link = fs::read_link(files.join("a/link")).expect("it was saved");
    assert_eq!(link, Path::new("/etc/passwd"));
    assert!(!files.join("same").exists() && !files.join("gone").exists());
    let mode = fs::metadata(files.join("a/b/c"))
        .expect("it was saved")
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
    let list = fs::read_to_string(saved.join("changes.json")).expect("the list");
    assert!(list.contains("\"/srv/gone\""), "{list}");
    // Never into what is there.
    run(&mut over(&folder, &["--keep-changes", &saves], "true"))
        .is_refused("Directory not empty")
        .complains("hint: name a new folder");
    run(&mut over(
        &folder,
        &["--keep-changes", "/no/such/saved"],
        "true",
    ))
    .is_refused("No such file or directory");
}

fn json_says_all_of_it() {
    let folder = folder();
    let file = scratch().join("changes.json");
    let path = file.display().to_string();
    let script = "printf 123 > new; chmod 640 new; rm gone; printf x > other; exit 4";
    let options = ["--changes-json", &path, "--commit=always"];
    let output = run(&mut over(&folder, &options, script));
    output.exits(4).expect("silence", output.stderr.is_empty());
    let text = fs::read_to_string(&file).expect("the list");
    let lower = folder.display();
    let item = |path: &str, change: &str, what: &str, mode: u32, size: u64| {
        format!(
            "{{\"path\":\"/srv/{path}\",\"change\":\"{change}\",\"what\":[{what}],\
             \"type\":\"file\",\"mode\":{mode},\"size\":{size}}}"
        )
    };
    let changes = [
        item("gone", "deleted", "", 0o644, 7),
        item("new", "added", "", 0o640, 3),
        item("other", "modified", "\"content\"", 0o644, 1),
    ];
    let expected = format!(
        "{{\"version\":1,\"code\":4,\"overlays\":[{{\"target\":\"/srv\",\
         \"lower\":[\"{lower}\"],\"changes\":[{}],\"unreadable\":[],\"saved\":null,\
         \"committed\":{{\"done\":3,\"left_out\":[],\"failed\":[]}}}}]}}",
        changes.join(",")
    );
    let dense: String = text
        .lines()
        .map(|line| line.trim_start().replacen("\": ", "\":", 1))
        .collect();
    assert_eq!(dense, expected);
}

fn a_terminal_and_a_watcher_change_nothing_of_it() {
    let folder = folder();
    for options in [
        &["--changes", "--tty"][..],
        &["--changes", "--audit"],
        &["--changes", "--no-init"],
        &["--changes", "--landlock"],
        &["--changes", "--map", "single", "--user", "1000"],
    ] {
        run(&mut over(&folder, options, "echo x > new"))
            .exits(0)
            .complains("A /srv/new");
    }
}

fn without_an_overlay_in_memory_there_is_nothing_to_tell() {
    for option in [
        "--changes",
        "--commit",
        "--keep-changes=x",
        "--changes-json=x",
    ] {
        run(&mut warren(["run", option, "--here", "--", "true"]))
            .is_refused(option.split('=').next().unwrap_or(option))
            .complains("hint: --overlay SRC DST");
    }
    assert!(!Path::new("x").exists());
    let lower = ["run", "--lower", "/etc", "--overlay", "/usr", "/srv"];
    run(warren(lower).args(["--commit", "--", "true"]))
        .is_refused("--commit: the overlay at /srv lies on more than one folder");
    run(warren(lower).args(["--changes", "--", "touch", "/srv/new"]))
        .exits(0)
        .complains("A /srv/new");
}

fn what_the_caller_may_not_enter_is_no_matter_where_nothing_was_written() {
    let mut command = warren(["run", "--host-root=overlay", "--changes"]);
    let output = run(command.args(["--", "touch", "/etc/made"]));
    output.exits(0);
    output.expect("one change", told(&output) == ["A /etc/made"]);
}

fn a_descriptor_of_warrens_own_is_not_passed_on() {
    let folder = folder();
    for number in ["3", "4", "5", "6"] {
        let options = ["--changes", "--keep-fd", number];
        run(&mut over(&folder, &options, "true"))
            .is_refused(&format!("keep descriptor {number}: Bad file descriptor"));
    }
}

fn owners_are_those_that_the_command_saw() {
    let folder = folder();
    std::os::unix::fs::chown(folder.join("other"), Some(12), Some(34)).expect("as root");
    let script = "echo new > new; chown 5:6 same; echo after > other; \
        mkdir own; chown 7:8 own; ln -s x own/link; chown -h 9:10 own/link; \
        stat -c '%n %u:%g' new same other own own/link";
    let options = ["--commit", "--cap-add", "chown,dac_override"];
    let output = run(&mut over(&folder, &options, script));
    let mut outside = program("stat");
    outside.args(["-c", "%n %u:%g", "new", "same", "other", "own", "own/link"]);
    let expected = "new 0:0\nsame 5:6\nother 12:34\nown 7:8\nown/link 9:10";
    output.says(expected);
    run(outside.current_dir(&folder)).says(expected);
}

fn a_full_disk_names_the_file_and_keeps_the_old() {
    let disk = scratch().join("disk");
    fs::create_dir(&disk).expect("make a folder");
    // The disk is in a mount namespace of its own, and ends with it.
    let script = "mount -t tmpfs -o size=1M,mode=755 none disk && echo old > disk/big && \
        warren run --workdir /srv --overlay disk /srv --commit --changes-json list -- \
        sh -c 'echo a > a; head -c 3M /dev/zero > big; echo z > z; \
        head -c 3M /dev/zero > new'; \
        echo $?; cat disk/big; cd disk && echo $(ls -A)";
    let script = script.replace("warren run", "\"$0\" run");
    let mut command = program("unshare");
    command.args(["-m", "sh", "-c", &script]);
    command.arg(warren_testkit::staged("warren"));
    let output = run(&mut command);
    output
        .says("125\nold\na big z")
        .complains("/big: No space left on device")
        .complains("/new: No space left on device")
        .complains("hint: what is named here was not committed");
    eventually("the disk to be gone", || {
        fs::read_dir(&disk).is_ok_and(|mut names| names.next().is_none())
    });
    let list = fs::read_to_string("list").expect("the list");
    assert!(list.contains("\"failed\": [\n"), "{list}");
}
