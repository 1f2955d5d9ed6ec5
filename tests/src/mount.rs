//! `warren mount` and `warren umount`: into a mount namespace that is in use.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use warren_testkit::{Running, Test, eventually, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_mount_takes_a_target_and_two_paths,
        ones_own_mount_namespace_is_left_to_mount,
        a_source_that_is_not_there_is_refused_by_name,
        in_a_mount_namespace_of_ones_own_anybody_mounts_into_others;
    User:
        a_user_is_told_what_it_takes;
    Root:
        two_processes_read_different_contents_from_one_path,
        the_files_of_the_caller_are_its_own_inside,
        files_whose_owner_is_known_inside_are_not_shifted,
        a_read_only_mount_cannot_be_written,
        a_file_goes_on_a_file_and_a_folder_on_a_folder,
        the_place_must_be_there_or_be_made,
        a_symlink_is_not_followed_out_of_the_root_nor_at_the_end,
        a_root_below_that_of_the_namespace_is_the_limit,
        a_filesystem_without_idmaps_says_so_and_is_mounted_as_it_is,
        what_is_mounted_in_the_source_comes_along_or_stays,
        only_what_is_mounted_exactly_there_is_unmounted,
        what_is_in_use_is_not_unmounted,
        a_plan_mounts_nothing,
        the_caller_sees_nothing_of_it;
};

/// A shell in namespaces of its own that runs the lines it is given.
struct Inside {
    shell: Running,
    pid: String,
    fifo: PathBuf,
    answers: PathBuf,
    asked: std::cell::Cell<u32>,
}

impl Inside {
    /// A run with an empty, writable /srv; its host's tree is its own.
    fn start() -> Self {
        Self::of("run", |command, exchange| {
            command.args(["run", "--hostname", "burrow", "--bind"]);
            command.args([exchange, exchange]);
        })
    }

    /// `exchange` is a folder through which the shell is spoken to.
    fn of(name: &str, options: impl Fn(&mut std::process::Command, &str)) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let exchange = scratch().join(format!("{name}-{}", count_of(&scratch())));
        fs::create_dir(&exchange).expect("make a folder");
        fs::set_permissions(&exchange, fs::Permissions::from_mode(0o777)).expect("chmod");
        let fifo = exchange.join("script");
        let answers = exchange.join("answer");
        let mut command = warren::<[&str; 0], &str>([]);
        options(&mut command, &exchange.display().to_string());
        let script = "echo ready; n=0; while :; do n=$((n+1)); \
            while [ ! -e $0/script.$n ]; do sleep 0.02; done; \
            sh $0/script.$n > $0/part 2>&1; mv $0/part $0/answer.$n; done";
        command.args(["--", "sh", "-c", script]).arg(&exchange);
        let mut shell = Running::start(&mut command);
        assert_eq!(shell.line(), "ready");
        let mut inside = Self {
            pid: String::new(),
            shell,
            fifo,
            answers,
            asked: 0.into(),
        };
        inside.pid = inside.find_shell();
        inside
    }

    /// The shell is the youngest descendant of the supervisor that has no child.
    fn find_shell(&self) -> String {
        let mut pid = self.shell.pid().as_raw_nonzero().to_string();
        loop {
            let children = format!("/proc/{pid}/task/{pid}/children");
            let text = fs::read_to_string(children).unwrap_or_default();
            let comm =
                fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            match text.split_whitespace().next() {
                Some(child) if comm.trim() != "sh" => child.clone_into(&mut pid),
                _ => return pid,
            }
        }
    }

    /// What a script says there, on both streams.
    fn says(&self, script: &str) -> String {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let part = self.fifo.with_extension("new");
        fs::write(&part, script).expect("write the script");
        let script = self.fifo.with_file_name(format!("script.{number}"));
        fs::rename(&part, script).expect("rename the script");
        let answer = self.answers.with_file_name(format!("answer.{number}"));
        eventually("an answer", || answer.exists());
        let text = fs::read_to_string(answer).expect("read the answer");
        text.trim_end().to_owned()
    }

    fn mount(&self, words: &[&str]) -> warren_testkit::Output {
        let mut command = warren(["mount", "--into", &self.pid]);
        run(command.args(words))
    }

    fn unmount(&self, target: &str) -> warren_testkit::Output {
        run(&mut warren(["umount", "--into", &self.pid, target]))
    }
}

fn count_of(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

/// A folder of the caller's with a file that says `text`.
fn tree(name: &str, text: &str) -> String {
    let folder = scratch().join(name);
    fs::create_dir(&folder).expect("make a folder");
    fs::write(folder.join("file"), text).expect("write a file");
    folder.display().to_string()
}

fn a_mount_takes_a_target_and_two_paths() {
    run(&mut warren(["mount", "/usr", "/srv"])).is_refused("--into");
    run(&mut warren(["mount", "--into", "1", "/usr"])).is_refused("<DST>");
    run(&mut warren(["umount", "--into", "99999999", "/srv"])).exits(125);
    run(&mut warren(["mount", "--into", "4194304", "/usr", "/srv"]))
        .is_refused("process 4194304");
}

fn ones_own_mount_namespace_is_left_to_mount() {
    let own = std::process::id().to_string();
    run(&mut warren(["mount", "--into", &own, "/usr", "/srv"]))
        .is_refused("its mnt namespace is the caller's")
        .complains("mount --bind");
}

fn a_source_that_is_not_there_is_refused_by_name() {
    let inside = Inside::start();
    inside.mount(&["/no/such", "/srv"]).is_refused("/no/such");
}

fn a_user_is_told_what_it_takes() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside
        .mount(&[&tree, "/srv"])
        .is_refused("clone the tree")
        .complains("CAP_SYS_ADMIN over the caller's own mount namespace")
        .complains("warren unshare -r -m");
    assert_eq!(inside.says("ls /srv"), "");
}

/// The way out that the hint above names.
fn in_a_mount_namespace_of_ones_own_anybody_mounts_into_others() {
    let script = "
        mkdir tree && echo dug > tree/file
        warren run -- sh -c 'echo $$; until [ -e /srv/file ]; do sleep 0.05; done
            cat /srv/file; until [ ! -e /srv/file ]; do sleep 0.05; done; echo gone' > said &
        supervisor=$!
        until [ -s said ]; do sleep 0.05; done
        init=$(cat /proc/$supervisor/task/$supervisor/children)
        pid=$(cat /proc/${init% }/task/${init% }/children)
        warren mount --into ${pid% } $PWD/tree /srv --ids keep || kill $supervisor
        until grep -q dug said; do sleep 0.05; done
        warren umount --into ${pid% } /srv || kill $supervisor
        wait $supervisor && tail -n 2 said";
    let binary = warren_testkit::staged("warren");
    let folder = binary.parent().expect("a folder").display().to_string();
    let mut command = warren(["unshare", "-r", "-m", "--", "sh", "-c", script]);
    command.env("PATH", format!("{folder}:/usr/sbin:/usr/bin:/sbin:/bin"));
    run(&mut command).says("dug\ngone");
}

fn two_processes_read_different_contents_from_one_path() {
    let (one, other) = (Inside::start(), Inside::start());
    let [warm, cold] = [tree("warm", "warm"), tree("cold", "cold")];
    one.mount(&[&warm, "/srv"]).says("");
    other.mount(&[&cold, "/srv"]).says("");
    assert_eq!(one.says("cat /srv/file"), "warm");
    assert_eq!(other.says("cat /srv/file"), "cold");
    one.unmount("/srv").says("");
    assert_eq!(one.says("ls /srv"), "");
    assert_eq!(other.says("cat /srv/file"), "cold");
}

fn the_files_of_the_caller_are_its_own_inside() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside.mount(&[&tree, "/srv"]).says("");
    assert_eq!(inside.says("stat -c %u:%g /srv/file"), "0:0");
    inside.says("echo dug > /srv/made");
    let made = fs::metadata(Path::new(&tree).join("made")).expect("it was made");
    assert_eq!((made.uid(), made.gid()), (0, 0));
    inside.unmount("/srv").says("");
    inside.mount(&[&tree, "/srv", "--ids", "keep"]).says("");
    assert_eq!(inside.says("stat -c %u:%g /srv/file"), "65534:65534");
    let denied = inside.says("echo > /srv/file");
    assert!(denied.contains("ermission denied"), "{denied}");
}

fn files_whose_owner_is_known_inside_are_not_shifted() {
    let inside = Inside::start();
    let map = fs::read_to_string(format!("/proc/{}/uid_map", inside.pid));
    let map = map.expect("a map");
    let first: u32 = map
        .split_whitespace()
        .nth(1)
        .expect("an id")
        .parse()
        .expect("an id");
    let tree = tree("tree", "x");
    let id = Some(first + 7);
    for path in [Path::new(&tree), &Path::new(&tree).join("file")] {
        std::os::unix::fs::chown(path, id, id).expect("chown");
    }
    inside.mount(&[&tree, "/srv"]).says("");
    assert_eq!(inside.says("stat -c %u:%g /srv/file"), "7:7");
}

fn a_read_only_mount_cannot_be_written() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside.mount(&["--ro", &tree, "/srv"]).says("");
    let said = inside.says("cat /srv/file; echo y > /srv/file");
    assert!(
        said.starts_with('x') && said.contains("Read-only file system"),
        "{said}"
    );
    let options = inside.says("grep ' /srv ' /proc/self/mountinfo");
    assert!(options.contains("ro,nosuid,nodev"), "{options}");
}

fn a_file_goes_on_a_file_and_a_folder_on_a_folder() {
    let inside = Inside::start();
    let tree = tree("tree", "burrow\n");
    let file = format!("{tree}/file");
    inside.says("echo old > /srv/file");
    inside.mount(&[&file, "/srv/file"]).says("");
    assert_eq!(inside.says("cat /srv/file"), "burrow");
    inside
        .mount(&[&file, "/srv"])
        .is_refused("Is a directory")
        .complains("a folder goes on a folder");
    inside
        .mount(&[&tree, "/srv/file"])
        .is_refused("Not a directory");
    inside.unmount("/srv/file").says("");
    assert_eq!(inside.says("cat /srv/file"), "old");
}

fn the_place_must_be_there_or_be_made() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside
        .mount(&[&tree, "/srv/a/b"])
        .is_refused("No such file or directory")
        .complains("--mkdir");
    assert_eq!(inside.says("ls /srv"), "");
    inside.mount(&["--mkdir", &tree, "/srv/a/b"]).says("");
    assert_eq!(inside.says("cat /srv/a/b/file; stat -c :%u /srv/a"), "x:0");
    let file = format!("{tree}/file");
    inside.mount(&["--mkdir", &file, "/srv/c/d"]).says("");
    assert_eq!(inside.says("cat /srv/c/d"), "x");
}

fn a_symlink_is_not_followed_out_of_the_root_nor_at_the_end() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    let outside = outside.display();
    inside.says(&format!(
        "mkdir -p /srv/real; ln -s {outside} /srv/out; ln -s real /srv/near"
    ));
    // The path of the host leads nowhere in that root.
    inside
        .mount(&[&tree, "/srv/out/x"])
        .is_refused("No such file or directory");
    inside
        .mount(&[&tree, "/srv/near"])
        .is_refused("symbolic links")
        .complains("a symlink is there");
    inside.mount(&[&tree, "/srv/../etc"]).is_refused("'..'");
    inside.mount(&[&tree, "/"]).is_refused("root itself");
    inside.says("mkdir /srv/real/x");
    inside.mount(&[&tree, "/srv/near/x"]).says("");
    assert_eq!(inside.says("cat /srv/real/x/file"), "x");
    inside.unmount("/srv/near").is_refused("Invalid argument");
}

fn a_root_below_that_of_the_namespace_is_the_limit() {
    let jail = scratch().join("jail");
    for folder in ["bin", "place"] {
        fs::create_dir_all(jail.join(folder)).expect("make a root");
    }
    symlink("/", jail.join("slash")).expect("symlink");
    let mut command = program("unshare");
    command.args(["--mount", "perl", "-e"]);
    let script =
        "chroot $ARGV[0] or die; chdir '/'; $| = 1; print \"ready\n\"; sleep 1000";
    let mut shell = Running::start(command.arg(script).arg(&jail));
    assert_eq!(shell.line(), "ready");
    let pid = shell.pid().as_raw_nonzero().to_string();
    let tree = tree("tree", "x");
    let into = |target: &str| run(&mut warren(["mount", "--into", &pid, &tree, target]));
    into("/slash/place").says("");
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mounts");
    assert!(mounts.contains(" /place "), "{mounts}");
    into("/usr").is_refused("No such file or directory");
    assert!(!jail.join("place/file").exists());
}

fn a_filesystem_without_idmaps_says_so_and_is_mounted_as_it_is() {
    let inside = Inside::start();
    inside
        .mount(&["/proc", "/srv"])
        .is_refused("show /proc under the ids of user:[")
        .complains("--ids keep");
    inside
        .mount(&["--ids", "keep", "/proc/sys/kernel/ostype", "/etc/hostname"])
        .says("");
    assert_eq!(inside.says("cat /etc/hostname"), "Linux");
}

fn what_is_mounted_in_the_source_comes_along_or_stays() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    let below = format!("{tree}/below");
    fs::create_dir(&below).expect("make a folder");
    run(program("mount").args(["-t", "tmpfs", "hole", &below])).succeeds();
    fs::write(format!("{below}/deep"), "x").expect("write a file");
    let whole = inside.mount(&[&tree, "/srv"]);
    let seen = inside.says("ls /srv/below");
    inside.unmount("/srv").is_refused("Device or resource busy");
    inside.unmount("/srv/below").says("");
    inside.unmount("/srv").says("");
    inside.mount(&["--no-submounts", &tree, "/srv"]).says("");
    let alone = inside.says("ls /srv/below");
    run(program("umount").arg(&below)).succeeds();
    whole.says("");
    assert_eq!((seen.as_str(), alone.as_str()), ("deep", ""));
}

fn only_what_is_mounted_exactly_there_is_unmounted() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    fs::create_dir(format!("{tree}/sub")).expect("make a folder");
    inside.mount(&[&tree, "/srv"]).says("");
    inside
        .unmount("/srv/sub")
        .is_refused("Invalid argument")
        .complains("nothing is mounted exactly there");
    inside
        .unmount("/srv/no/such")
        .is_refused("No such file or directory");
    inside.unmount("/").is_refused("root itself");
    // Two at one place: the topmost first.
    inside.mount(&[&tree, "/srv"]).says("");
    inside.unmount("/srv").says("");
    assert_eq!(inside.says("cat /srv/file"), "x");
    inside.unmount("/srv").says("");
    assert_eq!(inside.says("ls /srv"), "");
}

fn what_is_in_use_is_not_unmounted() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside.mount(&[&tree, "/srv"]).says("");
    inside.says("cd /srv; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > /tmp/pid");
    inside
        .unmount("/srv")
        .is_refused("Device or resource busy")
        .complains("a process uses it");
    inside.says("kill $(cat /tmp/pid)");
    eventually("nobody uses it", || inside.unmount("/srv").code() == 0);
}

fn a_plan_mounts_nothing() {
    let inside = Inside::start();
    let tree = tree("tree", "x");
    let plan = inside.mount(&["--plan", &tree, "/srv"]);
    plan.has("clone the tree").has("enter the mnt namespace");
    plan.has(&format!("mount {tree} at /srv\n"));
    let plan = run(&mut warren([
        "umount",
        "--plan",
        "--into",
        &inside.pid,
        "/srv",
    ]));
    plan.has("unmount /srv");
    assert_eq!(inside.says("ls /srv"), "");
}

fn the_caller_sees_nothing_of_it() {
    let before = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let inside = Inside::start();
    let tree = tree("tree", "x");
    inside.mount(&[&tree, "/srv"]).says("");
    let after = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert_eq!(before, after);
    // And what is mounted here later does not spread to the copy.
    let below = format!("{tree}/below");
    fs::create_dir(&below).expect("make a folder");
    run(program("mount").args(["-t", "tmpfs", "hole", &below])).succeeds();
    fs::write(format!("{below}/deep"), "x").expect("write a file");
    let seen = inside.says("ls /srv/below");
    run(program("umount").arg(&below)).succeeds();
    assert_eq!(seen, "");
}
