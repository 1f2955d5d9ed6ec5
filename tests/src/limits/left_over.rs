//! Nothing is left: after an end, a failure, and the death of Warren at any moment.

use std::fs;
use std::path::Path;
use std::time::Duration;

use warren_testkit::{Test, eventually, patience, run, tests};

use super::{folders_of, init_of, limited, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        a_group_is_gone_with_its_run,
        a_group_is_gone_after_a_failure,
        the_root_of_the_cgroup_namespace_is_the_group,
        what_a_killed_warren_leaves_is_found_and_removed,
        a_group_that_is_in_use_is_not_left_over;
};

const LIMITS: &[&str] = &["--memory", "64M", "--pids", "10"];

fn groups() -> Vec<String> {
    fn search(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                if path
                    .file_name()
                    .is_some_and(|it| it.to_string_lossy().contains("warren-"))
                {
                    found.push(path.display().to_string());
                }
                search(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    search(Path::new("/sys/fs/cgroup"), &mut found);
    found
}

fn a_group_is_gone_with_its_run() {
    for way in ways() {
        let mut running = warren_testkit::Running::start(limited(way, LIMITS).args([
            "sh",
            "-c",
            "echo here; exec sleep 1000",
        ]));
        running.line();
        let own: Vec<String> = folders_of(&init_of(running.pid()))
            .into_iter()
            .filter(|folder| folder.contains("warren-"))
            .collect();
        assert!(!own.is_empty());
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.ends(), 143);
        for folder in own {
            assert!(!Path::new(&folder).exists(), "{folder}");
        }
    }
}

fn a_group_is_gone_after_a_failure() {
    let before = groups();
    for way in ways() {
        run(limited(way, LIMITS).arg("no-such-program")).exits(127);
        // The kernel refuses this one when it is set.
        let options = ["--pids", "10", "--cpuset-cpus", "4095"];
        run(limited(way, &options).arg("true")).exits(125);
        let after = groups();
        let left: Vec<_> = after.iter().filter(|it| !before.contains(it)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn the_root_of_the_cgroup_namespace_is_the_group() {
    for way in ways() {
        let mut command = limited(way, LIMITS);
        let output = run(command.args(["cat", "/proc/self/cgroup"]));
        let lines = output.succeeds().lines();
        assert!(lines.clone().count() > 0);
        for line in lines {
            assert!(line.ends_with(":/"), "{line}");
        }
    }
}

/// From before the group is made to after the program was started.
fn what_a_killed_warren_leaves_is_found_and_removed() {
    let before = groups();
    for way in ways() {
        for step in 0..24 {
            let mut command = limited(way, LIMITS);
            let mut child = command.args(["sleep", "1000"]).spawn().expect("started");
            std::thread::sleep(Duration::from_micros(1500) * step * patience());
            child.kill().expect("it lives");
            child.wait().expect("it ends");
        }
    }
    eventually("nothing left", || {
        for left in warren::cgroups::left_over().expect("looked for") {
            assert!(left.path().to_string_lossy().contains("warren-"));
            left.remove().expect("removed");
        }
        groups().iter().all(|group| before.contains(group))
    });
}

fn a_group_that_is_in_use_is_not_left_over() {
    for way in ways() {
        let mut running = warren_testkit::Running::start(limited(way, LIMITS).args([
            "sh",
            "-c",
            "echo here; exec sleep 1000",
        ]));
        running.line();
        let own = folders_of(&init_of(running.pid()));
        let left = warren::cgroups::left_over().expect("looked for");
        let is_own = |left: &warren::cgroups::LeftOver| {
            own.iter().any(|folder| Path::new(folder) == left.path())
        };
        assert!(!left.iter().any(is_own));
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.ends(), 143);
    }
}
