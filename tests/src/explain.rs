//! `warren explain`: its examples work, and its facts are this machine's.

use std::fs;

use warren_testkit::{Test, program, run, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        every_example_works_and_shows_what_it_says,
        the_limit_is_the_sysctls,
        the_list_has_every_kind,
        an_unknown_kind_is_refused_with_the_known_ones;
};

/// Each kind, and what its example must print.
const KINDS: [(&str, &str); 8] = [
    ("mnt", "/mnt"),
    ("net", "lo:"),
    ("ipc", "4096"),
    ("user", "0\n"),
    ("pid", "1\n"),
    ("uts", "burrow"),
    ("cgroup", ":/"),
    ("time", "."),
];

fn every_example_works_and_shows_what_it_says() {
    let stage = staged("warren");
    let folder = stage.parent().expect("a folder").display().to_string();
    for (kind, shows) in KINDS {
        let text = run(&mut warren(["explain", kind]));
        let lines = text.succeeds().lines();
        let examples: Vec<&str> =
            lines.filter_map(|line| line.strip_prefix("  $ ")).collect();
        text.expect("one example", examples.len() == 1);
        let script = format!("PATH={folder}:$PATH; {}", examples[0]);
        run(program("sh").args(["-ec", &script]))
            .has(shows)
            .succeeds();
        text.expect(
            "80 columns",
            text.stdout.lines().all(|line| line.len() <= 80),
        );
    }
}

fn the_limit_is_the_sysctls() {
    for (kind, _) in KINDS {
        let name = format!("max_{kind}_namespaces");
        let most = fs::read_to_string(format!("/proc/sys/user/{name}"));
        let most = most.expect("the sysctl");
        let most = most.trim();
        run(&mut warren(["explain", kind])).has(&format!("{most} here (user.{name})"));
    }
}

fn the_list_has_every_kind() {
    let list = run(&mut warren(["explain"]));
    for (kind, _) in KINDS {
        let is_there = list
            .succeeds()
            .lines()
            .any(|line| line.split_whitespace().next() == Some(kind));
        list.expect(kind, is_there);
    }
}

fn an_unknown_kind_is_refused_with_the_known_ones() {
    run(&mut warren(["explain", "nte"]))
        .is_refused("nte")
        .complains("mnt net ipc user pid uts cgroup time");
}
